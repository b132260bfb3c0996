//! Meta attributes of an image: a key, a list of texts.

use std::collections::BTreeMap;

use crate::xml::XmlError;
use crate::xml::tree::{Document, Node};

const ROOT: &str = "ismrmrdMeta";

/// Meta attributes of an image: each key has a list of texts, keys are in alphabetic order.
///
/// ```
/// use ismrmrd::Meta;
///
/// let mut meta = Meta::new();
/// meta.set("WindowCenter", 1200);
/// meta.append("ImageComment", "T1");
/// meta.append("ImageComment", "ms");
/// assert_eq!(meta.get_i64("WindowCenter"), Some(1200));
/// assert_eq!(meta.values("ImageComment"), ["T1", "ms"]);
/// assert_eq!(Meta::from_xml(&meta.to_xml()).unwrap(), meta);
/// ```
///
/// # Source
/// `ismrmrd/meta.h` of the C++ library: the form of the document and the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Meta {
    values: BTreeMap<String, Vec<String>>,
}

/// Why a text is not a document of meta attributes.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The text is not XML.
    #[error("meta attributes: {0}")]
    Xml(#[from] XmlError),
    /// The document is something else.
    #[error("meta attributes: the document's element is `{0}`, expected `ismrmrdMeta`")]
    WrongRoot(String),
}

/// A text for [`Meta`]: numbers are written so that they read back as the same bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaValue(String);

macro_rules! meta_values {
    ($($type:ty),*) => {
        $(impl From<$type> for MetaValue {
            fn from(value: $type) -> Self {
                Self(value.to_string())
            }
        })*
    };
}

meta_values!(&str, bool, u8, u16, u32, u64, usize, i16, i32, i64, f32, f64);

impl From<String> for MetaValue {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl Meta {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values(key).first().map(String::as_str)
    }

    /// All values of `key`, none if it is absent.
    pub fn values(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The first value of `key` if it is a number.
    pub fn get_f64(&self, key: &str) -> Option<f64> {
        self.get(key)?.trim().parse().ok()
    }

    /// The first value of `key` if it is a whole number, `3.0` included.
    pub fn get_i64(&self, key: &str) -> Option<i64> {
        let text = self.get(key)?.trim();
        text.parse().ok().or_else(|| {
            let value: f64 = text.parse().ok()?;
            (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
        })
    }

    /// Makes `value` the only value of `key`.
    pub fn set(&mut self, key: &str, value: impl Into<MetaValue>) {
        self.values.insert(key.to_owned(), vec![value.into().0]);
    }

    /// Makes `values` the values of `key`; none removes it.
    pub fn set_all<V: Into<MetaValue>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        self.values.remove(key);
        for value in values {
            self.append(key, value);
        }
    }

    /// Adds a value after those that `key` has.
    pub fn append(&mut self, key: &str, value: impl Into<MetaValue>) {
        match self.values.get_mut(key) {
            Some(values) => values.push(value.into().0),
            None => self.set(key, value),
        }
    }

    /// Removes `key` and returns its values.
    pub fn remove(&mut self, key: &str) -> Option<Vec<String>> {
        self.values.remove(key)
    }

    /// Keys in alphabetic order, each with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.values.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes over the keys of `other`; where both have one, the values of `other` replace.
    pub fn merge(&mut self, other: &Self) {
        for (key, values) in &other.values {
            self.values.insert(key.clone(), values.clone());
        }
    }

    /// Reads the document. A text of nothing but NULs and blanks is no attributes, a repeated key
    /// adds to its values, and a `meta` without name or value is left out.
    ///
    /// # Errors
    /// Where the text is not XML or its element is not `ismrmrdMeta`.
    pub fn from_xml(text: &str) -> Result<Self, MetaError> {
        let text = text.trim_end_matches('\0');
        if text.trim().is_empty() {
            return Ok(Self::new());
        }
        let root = Node::parse(text)?;
        if root.name != ROOT {
            return Err(MetaError::WrongRoot(root.name));
        }
        let mut meta = Self::new();
        for entry in root.children_named("meta") {
            let Some(key) = entry.child("name").map(|name| name.text.trim()) else { continue };
            if key.is_empty() {
                continue;
            }
            for value in entry.children_named("value") {
                meta.append(key, value.text.as_str());
            }
        }
        Ok(meta)
    }

    /// The document, or nothing at all where there are no attributes: on the wire and in files,
    /// other programs refuse anything between the two.
    pub fn to_xml(&self) -> String {
        if self.is_empty() { String::new() } else { self.to_document() }
    }

    /// The document, even where there are no attributes.
    pub(crate) fn to_document(&self) -> String {
        let mut document = Document::new();
        document.element(ROOT, "", |document| {
            for (key, values) in &self.values {
                document.element("meta", "", |document| {
                    document.leaf("name", key);
                    for value in values {
                        document.leaf("value", value);
                    }
                });
            }
        });
        document.finish()
    }
}

impl<K: Into<String>, V: Into<MetaValue>> FromIterator<(K, V)> for Meta {
    /// A repeated key adds to its values.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut meta = Self::new();
        for (key, value) in pairs {
            meta.append(&key.into(), value);
        }
        meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_THE_CPP_LIBRARY: &str = "<?xml version=\"1.0\"?>\n<ismrmrdMeta>\n\t<meta>\n\t\t\
        <name>DataRole</name>\n\t\t<value>Image</value>\n\t\t<value>T1 &lt;ms&gt;</value>\n\t\
        </meta>\n\t<meta>\n\t\t<name>TI</name>\n\t\t<value>1.5</value>\n\t</meta>\n\
        </ismrmrdMeta>\n\0";

    #[test]
    fn the_cpp_librarys_document_is_read_and_written() {
        let meta = Meta::from_xml(FROM_THE_CPP_LIBRARY).unwrap();
        assert_eq!(meta.values("DataRole"), ["Image", "T1 <ms>"]);
        assert_eq!(meta.get_f64("TI"), Some(1.5));
        assert_eq!(meta.get_i64("TI"), None);
        assert_eq!(meta.len(), 2);
        assert_eq!(format!("{}\0", meta.to_xml()), FROM_THE_CPP_LIBRARY);
        assert_eq!(Meta::new().to_document(), "<?xml version=\"1.0\"?>\n<ismrmrdMeta />\n");
    }

    #[test]
    fn no_attributes_are_no_text() {
        assert_eq!(Meta::new().to_xml(), "");
        for text in ["", "\0", " \n\0\0", "<ismrmrdMeta/>"] {
            assert!(Meta::from_xml(text).unwrap().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn keys_are_sorted_and_repeats_append() {
        let meta: Meta = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(meta.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(meta.values("b"), ["1", "3"]);
        let twice = "<ismrmrdMeta><meta><name>b</name><value>1</value></meta>\
                     <meta><name>b</name><value>3</value></meta></ismrmrdMeta>";
        assert_eq!(Meta::from_xml(twice).unwrap().values("b"), ["1", "3"]);
    }

    #[test]
    fn numbers_read_back_as_the_same_bits() {
        let mut meta = Meta::new();
        meta.set("x", 0.1_f32 + 0.2_f32);
        assert_eq!(meta.get_f64("x").map(|x| x as f32), Some(0.1_f32 + 0.2_f32));
        meta.set("x", f64::MAX);
        assert_eq!(meta.get_f64("x"), Some(f64::MAX));
    }

    #[test]
    fn merge_replaces_whole_lists() {
        let mut meta: Meta = [("a", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        meta.merge(&[("a", "4")].into_iter().collect());
        assert_eq!(meta.values("a"), ["4"]);
        assert_eq!(meta.values("b"), ["3"]);
    }

    #[test]
    fn any_text_survives() {
        let mut meta = Meta::new();
        meta.set("k<&>", "\"quoted\" <tag> & ]]> µ\n\ttabbed");
        meta.append("k<&>", "");
        assert_eq!(Meta::from_xml(&meta.to_xml()).unwrap(), meta);
    }

    #[test]
    fn another_document_is_refused_by_name() {
        assert_eq!(
            Meta::from_xml("<ismrmrdHeader/>").unwrap_err().to_string(),
            "meta attributes: the document's element is `ismrmrdHeader`, expected `ismrmrdMeta`"
        );
    }
}
