//! The MRD counters that readouts are sorted by.

use ismrmrd::AcquisitionFlags;
use ismrmrd::EncodingCounters;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident = $name:literal $(or $alias:literal)?,)*) => {
        /// A counter in the header of every readout.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
        pub enum Counter {
            $($(#[$doc])* #[serde(rename = $name)] $(#[serde(alias = $alias)])? $counter,)*
        }

        impl Counter {
            /// Its name in chain files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$counter => $name,)*
                }
            }

            /// The counter of this name, Gadgetron's too, in any case.
            pub fn from_name(text: &str) -> Option<Self> {
                $(
                    if [$name $(, $alias)?].iter().any(|name| name.eq_ignore_ascii_case(text)) {
                        return Some(Self::$counter);
                    }
                )*
                None
            }
        }
    };
}

counters! {
    /// Phase-encoding line.
    EncodingStep1 = "encoding_step_1" or "kspace_encode_step_1",
    /// Partition.
    EncodingStep2 = "encoding_step_2" or "kspace_encode_step_2",
    /// Average.
    Average = "average",
    /// Slice.
    Slice = "slice",
    /// Contrast, e.g. the echo.
    Contrast = "contrast",
    /// Cardiac phase.
    Phase = "phase",
    /// Repetition.
    Repetition = "repetition",
    /// Set, e.g. the inversion time.
    Set = "set",
    /// Segment.
    Segment = "segment",
    /// User counter 0.
    User0 = "user_0",
    /// User counter 1.
    User1 = "user_1",
    /// User counter 2.
    User2 = "user_2",
    /// User counter 3.
    User3 = "user_3",
    /// User counter 4.
    User4 = "user_4",
    /// User counter 5.
    User5 = "user_5",
    /// User counter 6.
    User6 = "user_6",
    /// User counter 7.
    User7 = "user_7",
}

impl Counter {
    /// This counter of a readout.
    pub fn of(self, counters: &EncodingCounters) -> u16 {
        match self {
            Self::EncodingStep1 => counters.kspace_encode_step_1,
            Self::EncodingStep2 => counters.kspace_encode_step_2,
            Self::Average => counters.average,
            Self::Slice => counters.slice,
            Self::Contrast => counters.contrast,
            Self::Phase => counters.phase,
            Self::Repetition => counters.repetition,
            Self::Set => counters.set,
            Self::Segment => counters.segment,
            Self::User0 => counters.user[0],
            Self::User1 => counters.user[1],
            Self::User2 => counters.user[2],
            Self::User3 => counters.user[3],
            Self::User4 => counters.user[4],
            Self::User5 => counters.user[5],
            Self::User6 => counters.user[6],
            Self::User7 => counters.user[7],
        }
    }

    /// The flag that marks the last readout of one value of this counter; the user counters
    /// have none.
    pub fn last_flag(self) -> Option<AcquisitionFlags> {
        Some(match self {
            Self::EncodingStep1 => AcquisitionFlags::LAST_IN_ENCODE_STEP1,
            Self::EncodingStep2 => AcquisitionFlags::LAST_IN_ENCODE_STEP2,
            Self::Average => AcquisitionFlags::LAST_IN_AVERAGE,
            Self::Slice => AcquisitionFlags::LAST_IN_SLICE,
            Self::Contrast => AcquisitionFlags::LAST_IN_CONTRAST,
            Self::Phase => AcquisitionFlags::LAST_IN_PHASE,
            Self::Repetition => AcquisitionFlags::LAST_IN_REPETITION,
            Self::Set => AcquisitionFlags::LAST_IN_SET,
            Self::Segment => AcquisitionFlags::LAST_IN_SEGMENT,
            _ => return None,
        })
    }
}

/// Schema of a property that takes counters of these names, and perhaps something else: its name
/// and meaning. For [`counter_choice!`](crate::counter_choice).
pub fn choice_schema(
    names: &[&str],
    other: Option<(&str, &str)>,
    generator: &mut SchemaGenerator,
) -> Schema {
    let all = Counter::json_schema(generator).to_value();
    let is_chosen =
        |choice: &&Value| choice["const"].as_str().is_some_and(|name| names.contains(&name));
    let all = all["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    let mut chosen: Vec<Value> = all.iter().filter(is_chosen).cloned().collect();
    chosen.extend(other.map(
        |(name, meaning)| json!({ "const": name, "description": meaning.trim(), "type": "string" }),
    ));
    json_schema!({ "oneOf": chosen })
}

/// An enum of some counters, and perhaps of something else, for a property that takes no others:
/// `counter_choice! { /// Where images lie. pub enum Axis { Slice, Repetition, } }`. Names in chain
/// files and meanings are those of [`Counter`].
#[macro_export]
macro_rules! counter_choice {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis enum $choice:ident {
            $($counter:ident,)*
            $(_ => #[doc = $other_doc:literal] $other:ident = $other_name:literal,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $choice {
            $(
                #[allow(missing_docs)]
                $counter,
            )*
            $(#[doc = $other_doc] $other,)?
        }

        impl $choice {
            const NAMES: &'static [&'static str] =
                &[$($crate::Counter::$counter.name(),)* $($other_name,)?];

            /// The counter, [`None`] for what is none.
            pub fn counter(self) -> Option<$crate::Counter> {
                match self {
                    $(Self::$counter => Some($crate::Counter::$counter),)*
                    $(Self::$other => None,)?
                }
            }

            fn from_name(text: &str) -> Option<Self> {
                $(
                    if text.eq_ignore_ascii_case($other_name) {
                        return Some(Self::$other);
                    }
                )?
                let counter = $crate::Counter::from_name(text)?;
                [$(Self::$counter,)*].into_iter().find(|choice| choice.counter() == Some(counter))
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $choice {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                Self::from_name(&text).ok_or_else(|| {
                    ::serde::de::Error::unknown_variant(&text, Self::NAMES)
                })
            }
        }

        impl ::serde::Serialize for $choice {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let name = self.counter().map($crate::Counter::name);
                $(let name = name.or(Some($other_name));)?
                serializer.serialize_str(name.unwrap_or_default())
            }
        }

        impl ::schemars::JsonSchema for $choice {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($choice).into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let other: Option<(&str, &str)> = None;
                $(let other = other.or(Some(($other_name, $other_doc)));)?
                $crate::choice_schema(Self::NAMES, other, generator)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    counter_choice! {
        /// Some counters, or their number.
        enum Some2 {
            Slice,
            EncodingStep1,
            _ => /// How many there are.
            Count = "count",
        }
    }

    #[test]
    fn a_choice_takes_its_counters_by_all_their_names_and_no_others() {
        let read = |text: &str| serde_json::from_value::<Some2>(text.into());
        assert_eq!(read("slice").expect("known"), Some2::Slice);
        assert_eq!(read("kspace_encode_step_1").expect("known"), Some2::EncodingStep1);
        assert_eq!(read("Count").expect("known").counter(), None);
        let error = read("set").expect_err("not in the choice").to_string();
        assert!(error.contains("expected one of `slice`, `encoding_step_1`, `count`"), "{error}");
        assert_eq!(serde_json::to_value(Some2::Count).expect("text"), "count");
        let schema = Some2::json_schema(&mut SchemaGenerator::default()).to_value();
        let names: Vec<_> =
            schema["oneOf"].as_array().expect("a list").iter().map(|one| &one["const"]).collect();
        assert_eq!(names, ["encoding_step_1", "slice", "count"]);
        assert_eq!(schema["oneOf"][2]["description"], "How many there are.");
    }

    #[test]
    fn every_counter_is_known_by_its_name() {
        for counter in [Counter::EncodingStep2, Counter::Set, Counter::User7] {
            assert_eq!(Counter::from_name(counter.name()), Some(counter));
        }
        assert_eq!(Counter::from_name("user_8"), None);
    }
}
