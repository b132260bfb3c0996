//! Names that a gadget can have.

use anyhow::{Result, bail};

/// Longer names leave no room in a line of 100 characters.
const MAX_LEN: usize = 40;

/// Words of the language, and steps of chain files that are no gadgets.
const RESERVED: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "external",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "lib",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "parallel",
    "parallel_process",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Types that a gadget's file has already.
const TAKEN_TYPES: &[&str] = &[
    "Acquisition",
    "Complex32",
    "Config",
    "Default",
    "Deserialize",
    "Err",
    "Error",
    "Gadget",
    "Image",
    "ImageHeader",
    "JsonSchema",
    "Message",
    "Meta",
    "None",
    "Ok",
    "Option",
    "Pixels",
    "Remedy",
    "Result",
    "Scan",
    "Sink",
    "Some",
];

/// A good name.
#[derive(Debug)]
pub struct GadgetName<'a> {
    /// As in chain files: `map_t2_star`.
    pub name: &'a str,
    /// Its type: `MapT2Star`.
    pub type_name: String,
}

impl<'a> GadgetName<'a> {
    /// Reads a name.
    ///
    /// # Errors
    /// It is not in snake case, too long, or means something else.
    pub fn parse(name: &'a str) -> Result<Self> {
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.split('_').all(is_word) {
            bail!(
                "{name:?} is not in snake case: write small letters and digits, with one underscore between words, as in map_t2_star"
            );
        }
        if name.len() > MAX_LEN {
            bail!("{name:?} has more than {MAX_LEN} characters: choose a shorter name");
        }
        let type_name = type_name(name);
        if RESERVED.contains(&name) || TAKEN_TYPES.contains(&type_name.as_str()) {
            bail!("{name:?} means something else in Rust or in chain files: choose another name");
        }
        Ok(Self { name, type_name })
    }
}

/// `map_t2_star` as `MapT2Star`.
fn type_name(name: &str) -> String {
    let mut type_name = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        type_name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        type_name.push_str(letters.as_str());
    }
    type_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_type() {
        let name = GadgetName::parse("map_t2_star").expect("it is in snake case");
        assert_eq!((name.name, name.type_name.as_str()), ("map_t2_star", "MapT2Star"));
    }

    #[test]
    fn bad_names_are_refused_with_a_sentence() {
        let long = "a".repeat(MAX_LEN + 1);
        for (name, reason) in [
            ("", "snake case"),
            ("MapT1", "snake case"),
            ("map-t1", "snake case"),
            ("_map", "snake case"),
            ("map__t1", "snake case"),
            ("map_", "snake case"),
            ("1_map", "snake case"),
            ("../map", "snake case"),
            ("größe", "snake case"),
            (long.as_str(), "more than 40 characters"),
            ("match", "means something else"),
            ("parallel", "means something else"),
            ("image", "means something else"),
        ] {
            let error = GadgetName::parse(name).expect_err(name).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
