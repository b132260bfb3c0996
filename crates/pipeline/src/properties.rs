//! From a chain file's property list to a gadget's typed configuration.
//!
//! TOML values have types and must fit. XML files and scanner interfaces send everything as
//! text ("12", "True", "0.5 1.0"), so there text is read as whatever type the property has.

use std::cell::Cell;

use serde::de::value::{Error, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::Value;

/// One property as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Whether a text value may stand for a number, a truth value or a list.
    pub text_is_untyped: bool,
    /// Line of the chain file, from 1; 0 where it comes from elsewhere.
    pub line: usize,
}

/// A property that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyError {
    /// Index into the list, [`None`] where one is missing.
    pub index: Option<usize>,
    /// What is wrong.
    pub what: String,
}

/// Reads a configuration from its properties.
///
/// # Errors
/// The first property that is unknown, of the wrong type or out of range.
pub fn read_config<C: DeserializeOwned>(properties: &[Property]) -> Result<C, PropertyError> {
    let current = Cell::new(None);
    C::deserialize(PropertyMap { properties, current: &current })
        .map_err(|error| PropertyError { index: current.get(), what: error.to_string() })
}

/// The name that a property has in the configuration itself, found by its name or an alias;
/// [`None`] where there is no such property.
///
/// The aliases are known to the derived reader alone, which says whose double a property is.
pub fn canonical_name<C: DeserializeOwned>(property: &Property) -> Option<String> {
    let twice = [property.clone(), property.clone()];
    match read_config::<C>(&twice) {
        Err(error) if error.what.starts_with("unknown field") => None,
        Err(error) => {
            let name = error
                .what
                .strip_prefix("duplicate field `")
                .and_then(|rest| rest.strip_suffix('`'));
            Some(name.unwrap_or(&property.name).to_owned())
        }
        Ok(_) => Some(property.name.clone()),
    }
}

struct PropertyMap<'de> {
    properties: &'de [Property],
    /// Index of the property that is being read, for errors.
    current: &'de Cell<Option<usize>>,
}

impl<'de> Deserializer<'de> for PropertyMap<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let current = self.current;
        let value = visitor.visit_map(Entries { map: self, next: 0 })?;
        current.set(None);
        Ok(value)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'de> {
    map: PropertyMap<'de>,
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(property) = self.map.properties.get(self.next) else {
            self.map.current.set(None);
            return Ok(None);
        };
        self.map.current.set(Some(self.next));
        seed.deserialize(property.name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let property = &self.map.properties[self.next];
        self.next += 1;
        match &property.value {
            Value::String(text) if property.text_is_untyped => {
                seed.deserialize(UntypedText(text.trim()))
            }
            value => seed.deserialize(value).map_err(|error| Error::custom(strip_position(&error))),
        }
    }
}

/// serde_json's message without its "at line 0 column 0".
fn strip_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Text that is read as whatever is asked for.
struct UntypedText<'de>(&'de str);

macro_rules! parse_as {
    ($($method:ident => $visit:ident: $type:ty,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let value: $type = self.0.parse().map_err(|_| {
                let expected = if stringify!($type).starts_with('f') { "a number" } else { "a whole number" };
                Error::custom(format!("\"{}\" is not {expected}", self.0))
            })?;
            visitor.$visit(value)
        })*
    };
}

impl<'de> Deserializer<'de> for UntypedText<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => visitor.visit_bool(true),
            "false" | "0" | "no" | "off" => visitor.visit_bool(false),
            _ => Err(Error::custom(format!("\"{}\" is neither true nor false", self.0))),
        }
    }

    parse_as! {
        deserialize_i8 => visit_i64: i64,
        deserialize_i16 => visit_i64: i64,
        deserialize_i32 => visit_i64: i64,
        deserialize_i64 => visit_i64: i64,
        deserialize_u8 => visit_u64: u64,
        deserialize_u16 => visit_u64: u64,
        deserialize_u32 => visit_u64: u64,
        deserialize_u64 => visit_u64: u64,
        deserialize_f32 => visit_f32: f32,
        deserialize_f64 => visit_f64: f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.0.to_ascii_lowercase().as_str(), "" | "none") {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let parts = self.0.split([',', ' ', '\t', '\n', '\r']).filter(|part| !part.is_empty());
        visitor.visit_seq(SeqDeserializer::new(parts.map(UntypedText)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // Gadgetron ignores the case of its enumerations.
        let known = variants.iter().find(|known| known.eq_ignore_ascii_case(self.0));
        visitor.visit_enum(known.map_or(self.0, |known| *known).into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple_struct map struct identifier
        ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for UntypedText<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug, PartialEq, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        count: u16,
        #[serde(alias = "lamda")]
        lambda: f32,
        on: bool,
        axis: Option<crate::Counter>,
        list: Vec<u32>,
        name: String,
    }

    fn property(name: &str, value: impl Into<Value>, text_is_untyped: bool) -> Property {
        Property { name: name.to_owned(), value: value.into(), text_is_untyped, line: 0 }
    }

    #[test]
    fn untyped_text_becomes_the_type_of_the_property() {
        let properties = [
            property("count", " 12 ", true),
            property("lamda", "5e-4", true),
            property("on", "True", true),
            property("axis", "Slice", true),
            property("list", "24 64,100", true),
            property("name", "17", true),
        ];
        let expected = Config {
            count: 12,
            lambda: 5e-4,
            on: true,
            axis: Some(crate::Counter::Slice),
            list: vec![24, 64, 100],
            name: "17".to_owned(),
        };
        assert_eq!(read_config::<Config>(&properties), Ok(expected));
        for none in ["", "none"] {
            let config = read_config::<Config>(&[property("axis", none, true)]);
            assert_eq!(config, Ok(Config::default()));
        }
    }

    #[test]
    fn typed_values_must_fit() {
        let good = [property("count", 12, false), property("lambda", 1, false)];
        assert_eq!(
            read_config::<Config>(&good),
            Ok(Config { count: 12, lambda: 1.0, ..Config::default() })
        );
        let error =
            read_config::<Config>(&[property("on", true, false), property("count", "12", false)])
                .expect_err("text is no number in TOML");
        assert_eq!(error.index, Some(1));
        assert!(error.what.contains("invalid type: string \"12\", expected u16"), "{}", error.what);
    }

    #[test]
    fn an_alias_leads_to_the_name_of_the_property() {
        let name = |name, value: &str| canonical_name::<Config>(&property(name, value, true));
        assert_eq!(name("lamda", "5e-4").as_deref(), Some("lambda"));
        assert_eq!(name("lambda", "5e-4").as_deref(), Some("lambda"));
        assert_eq!(name("count", "not a number").as_deref(), Some("count"));
        assert_eq!(name("volume", "11"), None);
    }

    #[test]
    fn unknown_names_and_values_out_of_range_are_errors_that_name_the_property() {
        for (bad, expected) in [
            (property("cuont", "1", true), "unknown field `cuont`, expected one of"),
            (property("count", "70000", true), "invalid value: integer `70000`, expected u16"),
            (property("count", "1.5", true), "\"1.5\" is not a whole number"),
            (property("on", "maybe", true), "\"maybe\" is neither true nor false"),
            (property("axis", "slcie", true), "unknown variant `slcie`"),
        ] {
            let error = read_config::<Config>(&[property("name", "x", true), bad])
                .expect_err("the property is wrong");
            assert_eq!(error.index, Some(1));
            assert!(error.what.contains(expected), "{}", error.what);
        }
    }
}
