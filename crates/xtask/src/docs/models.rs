//! The table of the built-in models, from their manifests.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::cell;
use crate::workspace;

/// What the table says of a model.
#[derive(Debug, PartialEq)]
pub struct Manifest {
    family: String,
    name: String,
    intended_use: String,
    provenance: String,
}

/// The manifests of all families, in order of the models' names, as `boreside models list` has them.
pub fn manifests(root: &Path) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for family in workspace::families(root)? {
        let folder = root.join("gadgets").join(&family).join("models");
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| workspace::shown(root, &folder))? {
            let path = entry?.path();
            // Other files are of the networks' tests.
            if path.extension().is_some_and(|ending| ending == "toml")
                && path.with_extension("onnx").is_file()
            {
                let place = || workspace::shown(root, &path);
                let text = fs::read_to_string(&path).with_context(place)?;
                manifests.push(manifest(&family, &text).with_context(place)?);
            }
        }
    }
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(manifests)
}

fn manifest(family: &str, text: &str) -> Result<Manifest> {
    let table: toml::Table = text.parse()?;
    let text = |key: &str| {
        let value = table.get(key).and_then(|value| value.as_str());
        value.map(str::to_owned).with_context(|| format!("no text `{key}`"))
    };
    Ok(Manifest {
        family: family.to_owned(),
        name: text("name")?,
        intended_use: text("intended_use")?,
        provenance: text("provenance")?,
    })
}

/// A row for each model, with links as seen from the README of the family `model`.
pub fn models_table(manifests: &[Manifest]) -> Result<String> {
    let mut table = String::from(
        "| model | what for | family | trained by |\n\
         | --- | --- | --- | --- |\n",
    );
    for Manifest { family, name, intended_use, provenance } in manifests {
        let script = provenance
            .split_whitespace()
            .map(|word| word.trim_end_matches([',', '.', ';']))
            .find_map(|word| word.strip_prefix("gadgets/").filter(|path| path.ends_with(".py")))
            .with_context(|| format!("the provenance of {name} names no script that trained it"))?;
        let file = script.rsplit('/').next().unwrap_or(script);
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{name}` | {} | [{family}](../{family}/README.md) | [{file}](../{script}) |",
            cell(intended_use)
        );
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_model_is_for_and_who_trained_it() {
        let text = "name = \"calm\"\nintended_use = \"Less | noise.\"\n\
                    provenance = \"Trained by gadgets/moco/training/calm.py on hearts\"\n";
        let found = manifest("moco", text).expect("a manifest");
        let table = models_table(&[found]).expect("a table");
        let row = "| `calm` | Less \\| noise. | [moco](../moco/README.md) | [calm.py](../moco/training/calm.py) |";
        assert_eq!(table.lines().last(), Some(row));
        let error = manifest("moco", "name = \"calm\"").expect_err("no more than a name");
        assert_eq!(error.to_string(), "no text `intended_use`");
    }

    #[test]
    fn all_models_of_the_workspace_are_there() {
        let found = manifests(&workspace::root()).expect("they can be read");
        let names: Vec<&str> = found.iter().map(|manifest| &*manifest.name).collect();
        assert!(names.is_sorted() && names.contains(&"motion_of_series"), "{names:?}");
        assert_eq!(
            models_table(&found).expect("each has a script").lines().count(),
            2 + names.len()
        );
    }
}
