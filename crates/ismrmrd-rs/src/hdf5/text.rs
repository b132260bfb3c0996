//! Texts in files: of fixed and of any length, ASCII, UTF-8, and lists of bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use ::hdf5::types::{
    FixedAscii, FixedUnicode, TypeDescriptor, VarLenArray, VarLenAscii, VarLenUnicode,
};
use ::hdf5::{Dataset, Group};

use super::error::{FileError, Place};
use super::file_lock::LockedFile;
use super::layout::described;
use super::table::Table;
use crate::wire::text_from;

/// Reads texts of fixed length into the smallest of some lengths that holds them.
macro_rules! fixed {
    ($table:ident, $rows:ident, $type:ident, $n_bytes:ident, $($size:literal)*) => {
        match $n_bytes {
            $(0..=$size => $table
                .read_rows::<$type<$size>>($rows)?
                .iter()
                .map(|text| text_from(text.as_bytes()))
                .collect(),)*
            _ => {
                let what = format!("a text of {} bytes is too long to be read", $n_bytes);
                return Err($table.place.layout(what));
            }
        }
    };
}

/// Some texts of a dataset. A null pointer in place of a text is an empty one.
pub(super) fn read_texts(table: &Table, rows: Range<usize>) -> Result<Vec<String>, FileError> {
    Ok(match table.descriptor()? {
        TypeDescriptor::VarLenAscii => {
            let texts = table.read_rows::<VarLenAscii>(rows)?;
            texts.iter().map(|text| text_from(text.as_bytes())).collect()
        }
        TypeDescriptor::VarLenUnicode => {
            let texts = table.read_rows::<VarLenUnicode>(rows)?;
            texts.iter().map(|text| text_from(text.as_bytes())).collect()
        }
        TypeDescriptor::FixedAscii(n_bytes) => {
            fixed!(table, rows, FixedAscii, n_bytes, 256 8192 262_144 8_388_608)
        }
        TypeDescriptor::FixedUnicode(n_bytes) => {
            fixed!(table, rows, FixedUnicode, n_bytes, 256 8192 262_144 8_388_608)
        }
        TypeDescriptor::VarLenArray(kind)
            if matches!(*kind, TypeDescriptor::Unsigned(_) | TypeDescriptor::Integer(_)) =>
        {
            let texts = table.read_rows::<VarLenArray<u8>>(rows)?;
            texts.iter().map(|bytes| text_from(bytes)).collect()
        }
        other => {
            let what = format!("holds {}, expected a text", described(&other));
            return Err(table.place.layout(what));
        }
    })
}

/// The text of a dataset with one, [`None`] where there is no such dataset or nothing in it.
pub(super) fn read_text(
    file: &Arc<LockedFile>,
    group: &Group,
    place: &Place,
    name: &str,
) -> Result<Option<String>, FileError> {
    match Table::open(file, group, place, name)? {
        Some(table) if table.n_rows() > 0 => Ok(read_texts(&table, 0..1)?.pop()),
        _ => Ok(None),
    }
}

/// An XML text in ASCII, which is all that the C++ library and Python's read: other characters
/// become character references. [`None`] where they would stay as they are, in CDATA.
fn ascii_xml(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    if text.contains("<![CDATA[") {
        return None;
    }
    let mut ascii = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            ascii.push_str(&format!("&#{};", u32::from(character)));
        }
    }
    Some(Cow::Owned(ascii))
}

/// A text as it can be stored.
pub(super) enum Stored {
    Ascii(VarLenAscii),
    Unicode(VarLenUnicode),
}

impl Stored {
    /// An XML document or nothing.
    pub fn xml(text: &str) -> Self {
        match ascii_xml(text) {
            Some(ascii) => Self::new(&ascii),
            None => Self::new(text),
        }
    }

    /// Any text. It ends at its first NUL.
    pub fn new(text: &str) -> Self {
        let text = text.split('\0').next().unwrap_or_default();
        match VarLenAscii::from_ascii(text) {
            Ok(ascii) => Self::Ascii(ascii),
            // Cannot fail: there is no NUL in it.
            Err(_) => Self::Unicode(text.parse().unwrap_or_default()),
        }
    }

    /// Bytes of the text.
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Ascii(text) => text.as_bytes().len(),
            Self::Unicode(text) => text.as_bytes().len(),
        }
    }

    /// Writes the only text of a dataset, in place of one that may be there.
    pub fn write_only(&self, group: &Group, place: &Place, name: &str) -> Result<(), FileError> {
        let place = place.child(name);
        let write = || -> ::hdf5::Result<()> {
            if group.link_exists(name) {
                group.unlink(name)?;
            }
            match self {
                Self::Ascii(text) => {
                    let dataset: Dataset =
                        group.new_dataset::<VarLenAscii>().shape(1).create(name)?;
                    dataset.write(std::slice::from_ref(text))
                }
                Self::Unicode(text) => {
                    let dataset: Dataset =
                        group.new_dataset::<VarLenUnicode>().shape(1).create(name)?;
                    dataset.write(std::slice::from_ref(text))
                }
            }
        };
        write().map_err(|error| place.library("write", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meta;

    #[test]
    fn xml_in_ascii_means_the_same() {
        let mut meta = Meta::new();
        meta.set("Müller", "T₁ µs <&>");
        let text = meta.to_xml();
        let ascii = ascii_xml(&text).unwrap();
        assert!(ascii.is_ascii());
        assert_eq!(Meta::from_xml(&ascii).unwrap(), meta);
    }

    #[test]
    fn cdata_keeps_its_characters() {
        assert!(ascii_xml("<a><![CDATA[µ]]></a>").is_none());
        assert_eq!(ascii_xml("<a><![CDATA[u]]></a>").unwrap(), "<a><![CDATA[u]]></a>");
    }
}
