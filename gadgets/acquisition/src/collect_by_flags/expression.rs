//! Boolean expressions over the names of flags.

use ismrmrd::AcquisitionFlags;

use super::Error;

/// Brackets and negations inside each other, so that a chain from a client cannot exhaust the
/// stack.
const MAX_DEPTH: usize = 64;

/// An expression whose `!` binds before `&&` and that before `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Flag(AcquisitionFlags),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl Expression {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Err(Error::Empty);
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expression = parser.any()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.fault("expected `&&`, `||` or the end"));
        }
        Ok(expression)
    }

    /// Whether it is true of these flags.
    pub fn holds_for(&self, flags: AcquisitionFlags) -> bool {
        match self {
            Self::Flag(flag) => flags.contains(*flag),
            Self::Not(inner) => !inner.holds_for(flags),
            Self::All(parts) => parts.iter().all(|part| part.holds_for(flags)),
            Self::Any(parts) => parts.iter().any(|part| part.holds_for(flags)),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Byte of `text` that comes next.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, Error> {
        self.joined("||", Self::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Expression, Error> {
        self.joined("&&", Self::term, Expression::All)
    }

    fn joined(
        &mut self,
        sign: &str,
        part: fn(&mut Self) -> Result<Expression, Error>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, Error> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.takes(sign) {
            parts.push(part(self)?);
        }
        match parts.len() {
            1 => Ok(parts.swap_remove(0)),
            _ => Ok(join(parts)),
        }
    }

    fn term(&mut self) -> Result<Expression, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("too many brackets and negations inside each other"));
        }
        let term = if self.takes("!") {
            Expression::Not(Box::new(self.term()?))
        } else if self.takes("(") {
            let inner = self.any()?;
            if !self.takes(")") {
                return Err(self.fault("expected `)`"));
            }
            inner
        } else {
            Expression::Flag(self.flag()?)
        };
        self.depth -= 1;
        Ok(term)
    }

    fn flag(&mut self) -> Result<AcquisitionFlags, Error> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() {
            return Err(self.fault("expected the name of a flag, `!` or `(`"));
        }
        let flag = AcquisitionFlags::from_name(&name.to_ascii_uppercase());
        self.at += length;
        flag.ok_or_else(|| Error::UnknownFlag(name.to_owned()))
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.skip_space();
        let takes = self.text[self.at..].starts_with(sign);
        if takes {
            self.at += sign.len();
        }
        takes
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn fault(&self, what: &'static str) -> Error {
        Error::Syntax { at: self.text[..self.at].chars().count() + 1, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AcquisitionFlags as F;

    fn holds(text: &str, flags: AcquisitionFlags) -> bool {
        Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds_for(flags)
    }

    #[test]
    fn operators_bind_as_in_c() {
        let (slice, repetition, first) =
            (F::LAST_IN_SLICE, F::LAST_IN_REPETITION, F::FIRST_IN_SLICE);
        for bits in 0..8 {
            let has = |bit: u64| bits >> bit & 1 == 1;
            let mut flags = F::NONE;
            for (bit, flag) in [slice, repetition, first].into_iter().enumerate() {
                if has(bit as u64) {
                    flags |= flag;
                }
            }
            let (a, b, c) = (has(0), has(1), has(2));
            for (text, expected) in [
                ("last_in_slice", a),
                ("last_in_slice || last_in_repetition && first_in_slice", a || b && c),
                ("(last_in_slice||last_in_repetition)&&first_in_slice", (a || b) && c),
                ("last_in_slice  &&  ! last_in_repetition", a && !b),
                ("!last_in_slice || last_in_repetition", !a || b),
                ("!(last_in_slice || last_in_repetition)", !(a || b)),
                ("!!first_in_slice", c),
            ] {
                assert_eq!(holds(text, flags), expected, "{text} of {flags:?}");
            }
        }
    }

    #[test]
    fn every_name_of_gadgetrons_list_is_its_own_flag() {
        for (name, flag) in [
            ("is_surfacecoilcorrectionscan_data", F::IS_SURFACECOILCORRECTIONSCAN_DATA),
            ("is_parallel_calibration", F::IS_PARALLEL_CALIBRATION),
            ("is_parallel_calibration_and_imaging", F::IS_PARALLEL_CALIBRATION_AND_IMAGING),
            ("last_in_measurement", F::LAST_IN_MEASUREMENT),
            ("first_in_encode_step1", F::FIRST_IN_ENCODE_STEP1),
            ("is_reverse", F::IS_REVERSE),
            ("compression4", F::COMPRESSION4),
            ("user8", F::USER8),
        ] {
            assert_eq!(Expression::parse(name), Ok(Expression::Flag(flag)));
        }
    }

    #[test]
    fn faults_say_where_they_are() {
        let at = |text: &str| match Expression::parse(text) {
            Err(Error::Syntax { at, .. }) => at,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(at("user1 &&"), 9);
        assert_eq!(at("user1 user2"), 7);
        assert_eq!(at("(user1"), 7);
        assert_eq!(at("user1 & user2"), 7);
        assert_eq!(at("äß"), 1);
        assert_eq!(at(&"!".repeat(1000)), MAX_DEPTH + 1);
    }
}
