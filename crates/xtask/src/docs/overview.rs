//! `docs/gadgets.md`: all gadgets and all built-in chains.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cell;
use super::program::{Chain, Gadget};

/// The whole file.
///
/// * `sections`: where each gadget is described, by name.
/// * `n_kinds`: how many kinds of message there are.
pub fn overview(
    gadgets: &[Gadget],
    sections: &BTreeMap<String, String>,
    chains: &[Chain],
    n_kinds: usize,
) -> String {
    let mut text = String::from(
        "# Gadgets and chains\n\n\
         Made from the code by `cargo xtask docs`. A gadget of your own begins with \
         `cargo xtask new-gadget FAMILY NAME`.\n\n\
         ## Gadgets\n\n\
         | gadget | what it does | takes | gives | other names |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a string cannot fail.
    for gadget in gadgets {
        let name = &gadget.name;
        let link = match sections.get(name) {
            Some(section) => format!("[{name}]({section})"),
            None => name.clone(),
        };
        let _ = writeln!(
            text,
            "| {link} | {} | {} | {} | {} |",
            cell(gadget.schema["description"].as_str().unwrap_or_default()),
            kinds(&gadget.takes, n_kinds),
            kinds(&gadget.gives, n_kinds),
            gadget.aliases.join(", "),
        );
    }
    text += "\n## Built-in chains\n\n\
             A client names a chain with or without its ending.\n\n\
             | chain | description | gadgets |\n\
             | --- | --- | --- |\n";
    for chain in chains {
        let _ = writeln!(
            text,
            "| [{0}](../config/{0}) | {1} | {2} |",
            chain.name,
            cell(&chain.description),
            chain.gadgets.join(", "),
        );
    }
    text
}

/// `Acquisition or Waveform` with commas; `everything` for all kinds.
fn kinds(listed: &str, n_kinds: usize) -> String {
    let kinds: Vec<_> = listed.split(" or ").collect();
    if kinds.len() == n_kinds { "everything".to_owned() } else { kinds.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gadgets_link_to_their_sections_and_all_kinds_are_everything() {
        let gadget = Gadget {
            name: "scale".to_owned(),
            aliases: vec!["ScaleGadget".to_owned(), "Scaler".to_owned()],
            takes: "ImageSeries or Image".to_owned(),
            gives: "Bucket or ImageSeries or Image".to_owned(),
            schema: serde_json::json!({ "description": "Scales\na | b." }),
        };
        let sections = BTreeMap::from([("scale".to_owned(), "x.md#scale".to_owned())]);
        let text = overview(&[gadget], &sections, &[], 3);
        let row = "| [scale](x.md#scale) | Scales a \\| b. | ImageSeries, Image | everything | ScaleGadget, Scaler |";
        assert!(text.lines().any(|line| line == row), "{text}");
    }
}
