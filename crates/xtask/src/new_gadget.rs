//! Begins a gadget: its file, its lines in the lists, a chain that uses it and its README section.

mod edit;
mod name;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::workspace;
use edit::{add_to_readme, insert_sorted};
use name::GadgetName;

/// The list of gadgets and built-in chains.
const LIST: &str = "crates/boreside/src/gadgets.rs";

#[derive(Args)]
pub struct Options {
    /// Folder in gadgets/ that it belongs to
    family: String,
    /// Its name, a verb in snake case, e.g. remove_oversampling
    name: String,
    /// What it takes and gives [default: readouts in acquisition, images elsewhere]
    #[arg(long, value_enum)]
    takes: Option<Takes>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Takes {
    Readouts,
    Images,
}

impl Takes {
    /// Template of the gadget and of its chain.
    fn templates(self) -> (&'static str, &'static str) {
        match self {
            Self::Readouts => (
                include_str!("new_gadget/readout.rs.template"),
                include_str!("new_gadget/readout.toml.template"),
            ),
            Self::Images => (
                include_str!("new_gadget/image.rs.template"),
                include_str!("new_gadget/image.toml.template"),
            ),
        }
    }

    /// What it multiplies, and the kind of message, in the README.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Readouts => ("the samples of readouts", "Acquisition"),
            Self::Images => ("the pixels of images", "Image"),
        }
    }
}

/// A file and its new text.
struct Change {
    path: PathBuf,
    text: String,
}

/// Makes the gadget, or refuses the name without a trace.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace::root();
    // Everything is made before anything is written.
    let changes = plan(&root, options)?;
    for Change { path, text } in &changes {
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    for Change { path, .. } in &changes {
        println!("written: {}", workspace::shown(&root, path));
    }
    let Options { family, name, .. } = options;
    println!(
        "\nIt multiplies by a factor. What to do next:\n\
         \x20 1. write what it does into gadgets/{family}/src/{name}.rs, with its properties and tests\n\
         \x20 2. cargo test -p {family} {name}\n\
         \x20 3. cargo run -p boreside -- chains check {name}\n\
         \x20 4. cargo run -p boreside -- simulate shepp-logan -o scan.h5\n\
         \x20    cargo run -p boreside -- replay scan.h5 --chain {name} --png picture.png\n\
         \x20 5. write its section in gadgets/{family}/README.md, then: cargo xtask docs"
    );
    Ok(())
}

fn plan(root: &Path, options: &Options) -> Result<Vec<Change>> {
    let GadgetName { name, type_name } = GadgetName::parse(&options.name)?;
    let families = workspace::families(root)?;
    let family = &options.family;
    if !families.contains(family) {
        bail!("there is no family {family:?} in gadgets/: it is one of {}", families.join(", "));
    }
    let read = |path: &Path| fs::read_to_string(path).with_context(|| workspace::shown(root, path));
    let folder = root.join("gadgets").join(family);
    let (gadget_path, lib_path) =
        (folder.join(format!("src/{name}.rs")), folder.join("src/lib.rs"));
    let (readme_path, list_path) = (folder.join("README.md"), root.join(LIST));
    let chain_path = root.join(format!("config/{name}.toml"));
    let list = read(&list_path)?;
    if list.contains(&format!("::{type_name}>()")) {
        bail!("there is a gadget {type_name} already: choose another name");
    }
    let other_form = root.join(format!("config/{name}.xml"));
    for path in [&gadget_path, &folder.join("src").join(name), &chain_path, &other_form] {
        if path.exists() {
            bail!("{} is there already: choose another name", workspace::shown(root, path));
        }
    }
    let takes = options.takes.unwrap_or(match family.as_str() {
        "acquisition" => Takes::Readouts,
        _ => Takes::Images,
    });
    let (what, kind) = takes.words();
    let (gadget, chain) = takes.templates();
    let from_template = |template: &str| {
        template.replace("@NAME@", name).replace("@GADGET@", &type_name).replace("@WHAT@", what)
    };

    let lib = read(&lib_path)?;
    let module = format!("pub mod {name};");
    let lib = insert_sorted(&lib, &module, |line| line.starts_with("pub mod "));
    let export = format!("pub use {name}::{type_name};");
    let lib = lib
        .and_then(|lib| insert_sorted(&lib, &export, |line| line.starts_with("pub use ")))
        .with_context(|| workspace::shown(root, &lib_path))?;

    let entry = format!("        .with::<{family}::{type_name}>()");
    let list = insert_sorted(&list, &entry, |line| line.trim_start().starts_with(".with::<"));
    let built_in = format!("    \"{name}.toml\"");
    let is_chain = |line: &str| {
        let line = line.trim();
        line.starts_with('"') && (line.ends_with(".toml\"") || line.ends_with(".xml\""))
    };
    let list = list
        .and_then(|list| insert_sorted(&list, &built_in, is_chain))
        .with_context(|| LIST.to_owned())?;

    let section = from_template(include_str!("new_gadget/README.md.template"));
    let row = format!("| [{name}](#{name}) | {kind} | {kind} | – |");
    let readme = add_to_readme(&read(&readme_path)?, &row, &section);

    Ok(vec![
        Change { path: gadget_path, text: from_template(gadget) },
        Change { path: lib_path, text: lib },
        Change { path: list_path, text: list },
        Change { path: chain_path, text: from_template(chain) },
        Change { path: readme_path, text: readme },
    ])
}
