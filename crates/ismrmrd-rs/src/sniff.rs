//! What a file holds, by its first bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at the beginning of a file that [`sniff`] returns, if there are so many.
const FIRST_BYTES: usize = 64;

const HDF5_SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An HDF5 file.
    Hdf5,
    /// Messages of the MRD protocol.
    MrdStream,
    /// Something else, or nothing.
    Unknown,
}

/// What [`sniff`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sniffed {
    /// Kind of the file, as far as this crate knows.
    pub format: Format,
    /// Its first bytes, for kinds of the caller's own.
    pub first_bytes: Vec<u8>,
}

/// Looks at the beginning of a file.
///
/// # Errors
/// Those of the system.
pub fn sniff(path: impl AsRef<Path>) -> io::Result<Sniffed> {
    let mut file = File::open(path)?;
    let mut first_bytes = Vec::new();
    (&mut file).take(FIRST_BYTES as u64).read_to_end(&mut first_bytes)?;
    let mut format = sniff_bytes(&first_bytes);
    if format == Format::Unknown && has_signature_behind_a_user_block(&mut file)? {
        format = Format::Hdf5;
    }
    Ok(Sniffed { format, first_bytes })
}

/// HDF5 allows the caller's own data in front, of 512 bytes or twice, four times as much and so on.
fn has_signature_behind_a_user_block(file: &mut File) -> io::Result<bool> {
    let mut signature = [0; HDF5_SIGNATURE.len()];
    for power in 9..20 {
        file.seek(SeekFrom::Start(1 << power))?;
        match file.read_exact(&mut signature) {
            Ok(()) if signature == HDF5_SIGNATURE => return Ok(true),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The kind of a file that begins with these bytes; 64 are enough.
///
/// ```
/// use ismrmrd::sniff::{Format, sniff_bytes};
///
/// assert_eq!(sniff_bytes(b"\x89HDF\r\n\x1a\n..."), Format::Hdf5);
/// assert_eq!(sniff_bytes(b"\x03\0\x10\0\0\0<?xml version="), Format::MrdStream);
/// assert_eq!(sniff_bytes(b"GIF89a"), Format::Unknown);
/// ```
pub fn sniff_bytes(first: &[u8]) -> Format {
    if first.starts_with(HDF5_SIGNATURE) {
        return Format::Hdf5;
    }
    let Some((id, body)) = first.split_first_chunk() else { return Format::Unknown };
    let is_stream = match u16::from_le_bytes(*id) {
        // The name of a configuration.
        1 => body.first().is_some_and(|byte| byte.is_ascii_graphic()),
        // A text: its length and a printable beginning.
        2 | 3 | 5 => body.split_first_chunk::<4>().is_some_and(|(length, text)| {
            let length = u32::from_le_bytes(*length);
            length > 0
                && length < 1 << 28
                && text
                    .iter()
                    .take(length as usize)
                    .all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
        }),
        // Nothing but the end.
        4 => body.is_empty(),
        // A query begins with 8 reserved bytes.
        6 => body.starts_with(&[0; 8]),
        // Headers begin with their version, which is 1; very old ones have 0.
        1008 | 1022 | 1026 => matches!(body, [0 | 1, 0, ..]),
        1030 => matches!(body, [1..=8, 0, 0 | 1, 0, ..]),
        _ => false,
    };
    if is_stream { Format::MrdStream } else { Format::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let kind = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            sniff(&path).unwrap().format
        };
        assert_eq!(kind(b""), Format::Unknown);
        assert_eq!(kind(b"\x04\0"), Format::MrdStream);
        assert_eq!(kind(b"\x01\0default.xml\0\0"), Format::MrdStream);
        assert_eq!(kind(b"PK\x03\x04"), Format::Unknown);
        let mut behind = vec![0; 1024];
        behind.extend_from_slice(HDF5_SIGNATURE);
        assert_eq!(kind(&behind), Format::Hdf5);
        assert_eq!(kind(b"BOREJRNL"), Format::Unknown);
        assert_eq!(sniff(&path).unwrap().first_bytes, b"BOREJRNL");
    }
}
