//! The wire form of protocol buffers: tagged fields of four kinds.

/// Bytes that are no protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// A field goes beyond the end.
    #[error("the file ends within a field: it is truncated")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a number has more than 64 bits: this is no protocol buffer")]
    TooLong,
    /// A kind of field that does not exist.
    #[error("a field has kind {0}: this is no protocol buffer")]
    WrongKind(u64),
}

/// Value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Number(u64),
    /// Text, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes that are no whole number.
    Fixed(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes; none for a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) | Self::Fixed(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    /// The number; 0 for bytes.
    pub fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) | Self::Fixed(_) => 0,
        }
    }

    /// The bytes as text; what is no UTF-8 is replaced.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Reads the fields of a message in their order.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The message in these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field's number and value; [`None`] at the end.
    ///
    /// # Errors
    /// [`ProtobufError`].
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, ProtobufError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let len = usize::try_from(self.number()?).map_err(|_| ProtobufError::Truncated)?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed(self.take(4)?),
            kind => return Err(ProtobufError::WrongKind(kind)),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// A number as packed fields have them; [`None`] at the end.
    ///
    /// # Errors
    /// [`ProtobufError`].
    pub fn packed(&mut self) -> Result<Option<u64>, ProtobufError> {
        if self.0.is_empty() { Ok(None) } else { self.number().map(Some) }
    }

    fn number(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ProtobufError::TooLong)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ProtobufError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Writes the fields of a message.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    pub fn number(mut self, field: u64, number: u64) -> Self {
        self.push(field << 3);
        self.push(number);
        self
    }

    /// Adds text, a message or raw bytes.
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.push(field << 3 | 2);
        self.push(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a message.
    pub fn message(self, field: u64, message: Self) -> Self {
        self.bytes(field, message.0)
    }

    /// Adds a 32-bit float.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.push(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn push(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let inner = Writer::new().number(1, 300);
        let bytes = Writer::new().bytes(4, "text").message(7, inner).float(2, 1.5).finish();
        let mut reader = Reader::new(&bytes);
        let (field, value) = reader.next().expect("good").expect("a field");
        assert_eq!((field, value.text().as_str()), (4, "text"));
        let (field, value) = reader.next().expect("good").expect("a field");
        assert_eq!(field, 7);
        assert_eq!(Reader::new(value.bytes()).next(), Ok(Some((1, Value::Number(300)))));
        let (_, value) = reader.next().expect("good").expect("a field");
        assert_eq!(value, Value::Fixed(&1.5_f32.to_le_bytes()));
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn what_is_cut_or_foreign_is_an_error() {
        let bytes = Writer::new().bytes(4, "a longer text").finish();
        for len in 1..bytes.len() {
            assert_eq!(Reader::new(&bytes[..len]).next(), Err(ProtobufError::Truncated), "{len}");
        }
        assert_eq!(Reader::new(&[0xff; 11]).next(), Err(ProtobufError::TooLong));
        assert_eq!(Reader::new(&[0x0f]).next(), Err(ProtobufError::WrongKind(7)));
    }
}
