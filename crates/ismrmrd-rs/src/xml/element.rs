//! How elements become values and back: one list of fields per element drives both.

use std::fmt;

use super::HeaderError;
use super::tree::{Document, Node};

/// Where an element lies, for error messages. Text is made only when there is an error.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    pub parent: Option<&'a Path<'a>>,
    pub name: &'a str,
    /// Position among the repeats of the element.
    pub index: Option<usize>,
}

impl Path<'_> {
    fn child<'a>(&'a self, name: &'a str, index: Option<usize>) -> Path<'a> {
        Path { parent: Some(self), name, index }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}/")?;
        }
        f.write_str(self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// What one element holds.
pub(super) trait Value: Sized {
    /// [`None`] where the element is empty and thereby absent.
    fn read(node: &Node, path: &Path<'_>) -> Result<Option<Self>, HeaderError>;
    fn write(&self, name: &str, document: &mut Document);
}

/// A child element by its cardinality: exactly one, at most one ([`Option`]), any number ([`Vec`]).
pub(super) trait Field: Sized {
    fn read_from(parent: &Node, name: &str, path: &Path<'_>) -> Result<Self, HeaderError>;
    fn write_to(&self, name: &str, document: &mut Document);
}

impl<T: Value> Field for T {
    fn read_from(parent: &Node, name: &str, path: &Path<'_>) -> Result<Self, HeaderError> {
        Option::read_from(parent, name, path)?
            .ok_or_else(|| HeaderError::Missing { path: path.child(name, None).to_string() })
    }

    fn write_to(&self, name: &str, document: &mut Document) {
        self.write(name, document);
    }
}

impl<T: Value> Field for Option<T> {
    fn read_from(parent: &Node, name: &str, path: &Path<'_>) -> Result<Self, HeaderError> {
        match parent.child(name) {
            Some(node) => T::read(node, &path.child(name, None)),
            None => Ok(None),
        }
    }

    fn write_to(&self, name: &str, document: &mut Document) {
        if let Some(value) = self {
            value.write(name, document);
        }
    }
}

impl<T: Value> Field for Vec<T> {
    fn read_from(parent: &Node, name: &str, path: &Path<'_>) -> Result<Self, HeaderError> {
        parent
            .children_named(name)
            .enumerate()
            .filter_map(|(index, node)| T::read(node, &path.child(name, Some(index))).transpose())
            .collect()
    }

    fn write_to(&self, name: &str, document: &mut Document) {
        for value in self {
            value.write(name, document);
        }
    }
}

impl Value for String {
    fn read(node: &Node, _path: &Path<'_>) -> Result<Option<Self>, HeaderError> {
        Ok(Some(&node.text).filter(|text| !text.trim().is_empty()).cloned())
    }

    fn write(&self, name: &str, document: &mut Document) {
        document.leaf(name, self);
    }
}

/// Numbers as the XML schema types write them.
pub(super) trait Number: Copy + fmt::Display {
    const EXPECTED: &'static str;
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty => $expected:literal,)*) => {
        $(impl Number for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok().or_else(|| {
                    // "1.0" and "1e3" come from writers without integer types.
                    let value: f64 = text.parse().ok()?;
                    let integral = value.fract() == 0.0 && value.abs() < 9e15;
                    integral.then_some(value as i64).and_then(|value| value.try_into().ok())
                })
            }
        })*
    };
}

integers! {
    u16 => "a whole number from 0 to 65535",
    u32 => "a whole number from 0 to 4294967295",
    u64 => "a whole number, 0 or more",
    i64 => "a whole number",
}

macro_rules! floats {
    ($($type:ty),*) => {
        $(impl Number for $type {
            const EXPECTED: &'static str = "a number";

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

floats!(f32, f64);

/// The shortest decimal form that reads back as the same number (at most 9 digits for `f32`,
/// 17 for `f64`), with the schema's spelling of the infinities.
pub(super) fn number_text(value: impl Number) -> String {
    match value.to_string() {
        text if text == "inf" => "INF".to_owned(),
        text if text == "-inf" => "-INF".to_owned(),
        text => text,
    }
}

macro_rules! number_values {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn read(node: &Node, path: &Path<'_>) -> Result<Option<Self>, HeaderError> {
                let text = node.text.trim();
                if text.is_empty() {
                    return Ok(None);
                }
                Number::parse(text)
                    .map(Some)
                    .ok_or_else(|| HeaderError::invalid(path, text, <$type>::EXPECTED))
            }

            fn write(&self, name: &str, document: &mut Document) {
                document.leaf(name, &number_text(*self));
            }
        })*
    };
}

number_values!(u16, u32, u64, i64, f32, f64);

/// Reads a child that counts as absent where it cannot be read: what no reconstruction uses must
/// not stop one.
pub(super) fn read_or_absent<T: Value>(parent: &Node, name: &str, path: &Path<'_>) -> Option<T> {
    Option::read_from(parent, name, path).unwrap_or_default()
}

/// Declares the struct of an element from one list: field, type, name of the child element, and
/// optionally `or` what the field is where the element is absent, or `or absent` where an
/// unreadable one counts as absent. Fields are written in the order of the list.
macro_rules! element {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $xml:literal $(or $fallback:tt)?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::xml::element::Value for $name {
            fn read(
                node: &$crate::xml::tree::Node,
                path: &$crate::xml::element::Path<'_>,
            ) -> Result<Option<Self>, $crate::xml::HeaderError> {
                Ok(Some(Self {
                    $($field: $crate::xml::element::read_field!(node, $xml, path $(, $fallback)?),)*
                }))
            }

            fn write(&self, name: &str, document: &mut $crate::xml::tree::Document) {
                document.element(name, "", |document| self.write_children(document));
            }
        }

        impl $name {
            pub(in crate::xml) fn write_children(
                &self,
                document: &mut $crate::xml::tree::Document,
            ) {
                $($crate::xml::element::Field::write_to(&self.$field, $xml, document);)*
            }
        }
    };
}

macro_rules! read_field {
    ($node:ident, $xml:literal, $path:ident) => {
        $crate::xml::element::Field::read_from($node, $xml, $path)?
    };
    ($node:ident, $xml:literal, $path:ident, absent) => {
        $crate::xml::element::read_or_absent($node, $xml, $path)
    };
    ($node:ident, $xml:literal, $path:ident, default) => {
        <Option<_> as $crate::xml::element::Field>::read_from($node, $xml, $path)?
            .unwrap_or_default()
    };
    ($node:ident, $xml:literal, $path:ident, $fallback:literal) => {
        <Option<_> as $crate::xml::element::Field>::read_from($node, $xml, $path)?
            .unwrap_or($fallback)
    };
}

/// Declares an enumeration by its texts. Another text is an error, or `Other` where the list ends
/// with `else Other`. The first variant is the default.
macro_rules! enumeration {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $(#[$first_doc:meta])* $first:ident = $first_xml:literal,
            $($(#[$variant_doc:meta])* $variant:ident = $xml:literal,)*
        }
        $(else $other:ident)?
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $(#[$first_doc])*
            #[default]
            #[serde(rename = $first_xml)]
            $first,
            $($(#[$variant_doc])* #[serde(rename = $xml)] $variant,)*
        }

        impl $name {
            /// The text of the XML header.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_xml,
                    $(Self::$variant => $xml,)*
                }
            }

            /// The value with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                match text {
                    $first_xml => Some(Self::$first),
                    $($xml => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::xml::element::Value for $name {
            fn read(
                node: &$crate::xml::tree::Node,
                path: &$crate::xml::element::Path<'_>,
            ) -> Result<Option<Self>, $crate::xml::HeaderError> {
                let text = node.text.trim();
                if text.is_empty() {
                    return Ok(None);
                }
                let value = Self::from_text(text)$(.or(Some(Self::$other)))?;
                match value {
                    Some(value) => Ok(Some(value)),
                    None => Err($crate::xml::HeaderError::invalid(
                        path,
                        text,
                        concat!("one of ", $first_xml $(, " ", $xml)*),
                    )),
                }
            }

            fn write(&self, name: &str, document: &mut $crate::xml::tree::Document) {
                document.leaf(name, self.as_str());
            }
        }
    };
}

pub(super) use {element, enumeration, read_field};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_accept_integral_decimals_and_refuse_the_rest() {
        assert_eq!(u16::parse("128"), Some(128));
        assert_eq!(u16::parse("128.0"), Some(128));
        assert_eq!(u16::parse("1.5"), None);
        assert_eq!(u16::parse("-1"), None);
        assert_eq!(u16::parse("65536"), None);
        assert_eq!(i64::parse("1.2e8"), Some(120_000_000));
        assert_eq!(i64::parse("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(i64::parse("nan"), None);
    }

    #[test]
    fn floats_read_back_as_the_same_bits() {
        for value in [0.1_f32, 1.0 / 3.0, f32::MIN_POSITIVE, f32::MAX, -2.893_62, 1e-40] {
            assert_eq!(f32::parse(&number_text(value)), Some(value));
        }
        assert_eq!(number_text(f32::INFINITY), "INF");
        assert_eq!(f32::parse("INF"), Some(f32::INFINITY));
    }

    #[test]
    fn paths_show_the_index_of_repeats_only() {
        let root = Path { parent: None, name: "ismrmrdHeader", index: None };
        let encoding = root.child("encoding", Some(1));
        assert_eq!(
            encoding.child("trajectory", None).to_string(),
            "ismrmrdHeader/encoding[1]/trajectory"
        );
    }
}
