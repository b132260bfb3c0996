//! Writes what can be had from the code into the documentation: the property tables of the
//! gadgets' READMEs, that of the networks, the JSON Schema beside the chain files, and the list of gadgets
//! and chains.

mod models;
mod overview;
mod program;
mod property_table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace;
use models::{manifests, models_table};
use overview::overview;
use program::Program;
use property_table::property_table;

/// Begins the line before a table; the gadget's name follows. Several names, separated by
/// commas, share a table: their properties may differ in their defaults only.
const BEGIN: &str = "<!-- properties: ";

/// Ends that line.
const BEGIN_END: &str = " -->";

/// Is the line before the table of the built-in models.
const MODELS: &str = "<!-- models -->";

/// The line after a table.
const END: &str = "<!-- end -->";

#[derive(Args)]
pub struct Options {
    /// Change nothing; fail if something is out of date
    #[arg(long)]
    check: bool,
}

/// A file and what it has to hold.
struct Generated {
    path: PathBuf,
    text: String,
}

/// Writes the files that are out of date, or names them.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace::root();
    let program = Program::build(&root)?;
    let mut stale = Vec::new();
    for file in generate(&root, &program)? {
        if read_if_there(&file.path)? == file.text {
            continue;
        }
        if !options.check {
            fs::write(&file.path, &file.text).with_context(|| file.path.display().to_string())?;
        }
        stale.push(workspace::shown(&root, &file.path));
    }
    if options.check && !stale.is_empty() {
        bail!("out of date: {}\n  run: cargo xtask docs", stale.join(", "));
    }
    for name in stale {
        println!("written: {name}");
    }
    Ok(())
}

fn generate(root: &Path, program: &Program) -> Result<Vec<Generated>> {
    let chain_schema = program.json(&["chains", "schema"])?;
    let gadgets = program.gadgets()?;
    let mut files = vec![Generated {
        path: root.join("config/chain.schema.json"),
        text: format!("{}\n", serde_json::to_string_pretty(&chain_schema)?),
    }];
    let model_schema = program.json(&["models", "schema"])?;
    files.push(Generated {
        path: root.join("docs/model.schema.json"),
        text: format!("{}\n", serde_json::to_string_pretty(&model_schema)?),
    });
    // Where each gadget is described: the README seen from docs/, and the heading.
    let mut sections = BTreeMap::new();
    let models = models_table(&manifests(root)?)?;
    for family in workspace::families(root)? {
        let path = root.join("gadgets").join(&family).join("README.md");
        let text = read_if_there(&path)?;
        let filled = fill(&text, |names, heading| {
            let mut schemas = Vec::new();
            for &name in names {
                let Some(gadget) = gadgets.iter().find(|gadget| gadget.name == name) else {
                    bail!("there is no gadget {name}: correct its marker");
                };
                schemas.push((name, &gadget.schema));
                let place = format!("../gadgets/{family}/README.md#{}", anchor(heading));
                sections.insert(name.to_owned(), place);
            }
            property_table(&schemas)
        });
        let filled = filled.and_then(|text| fill_models(&text, &models));
        let text = filled.with_context(|| workspace::shown(root, &path))?;
        files.push(Generated { path, text });
    }
    for gadget in &gadgets {
        if !sections.contains_key(&gadget.name) {
            bail!(
                "no README describes {0}\n  put `{BEGIN}{0}{BEGIN_END}` and `{END}` into its section",
                gadget.name
            );
        }
    }
    let chains = program.chains(root)?;
    let n_kinds =
        chain_schema["properties"]["input"]["items"]["enum"].as_array().map_or(0, Vec::len);
    files.push(Generated {
        path: root.join("docs/gadgets.md"),
        text: overview(&gadgets, &sections, &chains, n_kinds),
    });
    Ok(files)
}

/// The text with what `table` gives (for the names of the marker and the heading above it)
/// between each pair of markers.
fn fill(text: &str, mut table: impl FnMut(&[&str], &str) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut heading = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled += line;
        filled.push('\n');
        if let Some(words) = line.strip_prefix("## ") {
            heading = words;
        }
        let marker = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(BEGIN_END));
        let Some(names) = marker else { continue };
        if !lines.by_ref().take_while(|line| !line.starts_with(BEGIN)).any(|line| line == END) {
            bail!("`{line}` is not followed by `{END}`");
        }
        let split: Vec<_> = names.split(',').map(str::trim).collect();
        let table = table(&split, heading).with_context(|| names.to_owned())?;
        filled += &format!("\n{}\n\n{END}\n", table.trim());
    }
    Ok(filled)
}

/// The text with the table of the models where there is a place for it.
fn fill_models(text: &str, table: &str) -> Result<String> {
    let begin = format!("{MODELS}\n");
    let Some((before, rest)) = text.split_once(&begin) else { return Ok(text.to_owned()) };
    let Some((old, after)) = rest.split_once(&format!("{END}\n")) else {
        bail!("`{MODELS}` is not followed by `{END}`");
    };
    // Another table's end is not this one's.
    if old.contains(BEGIN) {
        bail!("`{MODELS}` is not followed by `{END}`");
    }
    Ok(format!("{before}{begin}\n{}\n\n{END}\n{after}", table.trim()))
}

/// How GitHub and its like call a heading in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The file's text, empty where there is no file.
fn read_if_there(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let before = "# image\n\n## scale, shift\n\nProse.\n<!-- properties: scale, shift -->\nold\n<!-- end -->\nMore.\n";
        let after = fill(before, |names, heading| {
            assert_eq!((names, heading), (&["scale", "shift"][..], "scale, shift"));
            Ok("new".to_owned())
        });
        let expected = "# image\n\n## scale, shift\n\nProse.\n<!-- properties: scale, shift -->\n\nnew\n\n<!-- end -->\nMore.\n";
        let after = after.expect("the markers are a pair");
        assert_eq!(after, expected);
        assert_eq!(fill(&after, |_, _| Ok("new".to_owned())).expect("again"), expected);
    }

    #[test]
    fn the_table_of_the_models_stands_where_its_marker_is() {
        let before = "# model\n<!-- models -->\nold\n<!-- end -->\nMore.\n";
        let after = fill_models(before, "new").expect("the markers are a pair");
        assert_eq!(after, "# model\n<!-- models -->\n\nnew\n\n<!-- end -->\nMore.\n");
        assert_eq!(fill_models(&after, "new").expect("again"), after);
        assert_eq!(fill_models("# moco\n", "new").expect("no place"), "# moco\n");
        for text in [
            "<!-- models -->\nold\n",
            "<!-- models -->\n<!-- properties: scale -->\n<!-- end -->\n",
        ] {
            assert!(fill_models(text, "new").is_err(), "{text}");
        }
    }

    #[test]
    fn a_marker_without_its_end_is_an_error() {
        for text in [
            "<!-- properties: scale -->\nold\n",
            "<!-- properties: scale -->\n<!-- properties: shift -->\n<!-- end -->\n",
        ] {
            let error = fill(text, |_, _| Ok(String::new())).expect_err("the end is missing");
            assert!(error.to_string().contains("is not followed by"), "{error}");
        }
    }

    #[test]
    fn anchors_are_as_in_links() {
        assert_eq!(anchor("convert_to_u16, convert_to_i16"), "convert_to_u16-convert_to_i16");
        assert_eq!(anchor("The Python server's chains"), "the-python-servers-chains");
    }
}
