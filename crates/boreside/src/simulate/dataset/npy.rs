//! Arrays in numpy's own format (NEP 1, version 1.0), whose parts may come in any order.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use phantom::{ArrayDescription, Element};

/// What headers are filled up to a multiple of.
const ALIGNMENT: usize = 64;

/// How numpy writes the type of an element, lowest byte first.
pub fn dtype(element: Element) -> &'static str {
    match element {
        Element::Bool => "|b1",
        Element::U16 => "<u2",
        Element::F32 => "<f4",
        Element::Complex32 => "<c8",
    }
}

/// The shape of a whole array.
///
/// * `array`: of a case.
pub fn shape(array: &ArrayDescription, n_cases: u64) -> Vec<u64> {
    std::iter::once(n_cases).chain(array.shape.iter().map(|&length| length as u64)).collect()
}

/// An array on disk.
pub struct NpyFile {
    file: Mutex<File>,
    header_len: u64,
    case_len: u64,
}

impl NpyFile {
    /// Makes a new file of the whole array's size.
    ///
    /// * `array`: of a case.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn create(path: &Path, array: &ArrayDescription, n_cases: u64) -> io::Result<Self> {
        let mut file = File::create_new(path)?;
        let header = header(array, n_cases);
        let case_len = array.n_bytes() as u64;
        file.set_len(header.len() as u64 + n_cases * case_len)?;
        file.write_all(&header)?;
        Ok(Self { file: Mutex::new(file), header_len: header.len() as u64, case_len })
    }

    /// Writes the bytes of some cases in a row.
    ///
    /// # Errors
    /// As of any file.
    pub fn write(&self, first_case: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.header_len + first_case * self.case_len))?;
        file.write_all(bytes)
    }
}

/// Magic, version, length and the text that says what the array is.
fn header(array: &ArrayDescription, n_cases: u64) -> Vec<u8> {
    let lengths: Vec<String> =
        shape(array, n_cases).iter().map(|length| format!("{length},")).collect();
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
        dtype(array.element),
        lengths.join(" ")
    );
    let start: &[u8] = b"\x93NUMPY\x01\x00";
    let unfilled = start.len() + 2 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unfilled.next_multiple_of(ALIGNMENT) - unfilled));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("a few axes");
    [start, &length.to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: Vec<usize>) -> ArrayDescription {
        ArrayDescription {
            name: "x",
            element: Element::U16,
            shape,
            axes: Vec::new(),
            unit: "",
            meaning: String::new(),
        }
    }

    #[test]
    fn headers_are_as_numpy_writes_them() {
        let expected =
            |shape: &str| format!("{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}");
        for (shape, text) in [(vec![], "(7,)"), (vec![3, 40], "(7, 3, 40,)")] {
            let header = header(&array(shape), 7);
            assert_eq!(header.len() % ALIGNMENT, 0);
            assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
            assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), header.len() - 10);
            let written = std::str::from_utf8(&header[10..]).expect("text");
            assert!(written.ends_with('\n'));
            assert_eq!(written.trim_end(), expected(text));
        }
    }

    #[test]
    fn cases_land_where_they_belong_in_any_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npy");
        let file = NpyFile::create(&path, &array(vec![2]), 3).expect("new");
        file.write(2, &[9, 0, 8, 0]).expect("written");
        file.write(0, &[1, 0, 2, 0, 3, 0, 4, 0]).expect("written");
        drop(file);
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(bytes[bytes.len() - 12..], [1, 0, 2, 0, 3, 0, 4, 0, 9, 0, 8, 0]);
        assert_eq!((bytes.len() - 12) % ALIGNMENT, 0);
        assert!(NpyFile::create(&path, &array(vec![2]), 3).is_err(), "it is there already");
    }
}
