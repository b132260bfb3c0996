//! `boreside chains`: what chains and gadgets there are, and whether they are right.

use std::io::Read;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use inference::Models;
use pipeline::Chain;
use pipeline::chain::{ChainFile, chain_schema};

use crate::cli::{ChainFolder, DataFolder, ModelOptions};
use crate::{gadgets, models};

#[derive(Args)]
pub struct ChainsOptions {
    #[command(subcommand)]
    command: ChainsCommand,
}

#[derive(Subcommand)]
enum ChainsCommand {
    /// List the chains that clients can name
    List {
        /// List the gadgets instead
        #[arg(long)]
        gadgets: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        folder: ChainFolder,
    },
    /// Check chain files, or chains by name
    Check {
        /// Names, files, or - for standard input
        #[arg(required = true, value_name = "NAME|FILE")]
        names: Vec<String>,
        #[command(flatten)]
        folder: ChainFolder,
        #[command(flatten)]
        networks: ModelOptions,
    },
    /// Print the text of a chain, e.g. to change a copy of it
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        folder: ChainFolder,
    },
    /// Print the JSON Schema of chain files, or of one gadget's properties
    Schema {
        /// Name or alias of a gadget
        gadget: Option<String>,
    },
}

/// Runs the sub-command.
pub fn run(options: &ChainsOptions) -> Result<()> {
    match &options.command {
        ChainsCommand::List { gadgets: true, json, .. } => list_gadgets(*json),
        ChainsCommand::List { folder, json, .. } => list_chains(folder, *json),
        ChainsCommand::Check { names, folder, networks } => check(names, folder, networks),
        ChainsCommand::Show { name, folder } => {
            let (_, text) = gadgets::library(folder).read(name)?;
            outln!("{}", text.trim_end());
            Ok(())
        }
        ChainsCommand::Schema { gadget } => schema(gadget.as_deref()),
    }
}

fn list_chains(folder: &ChainFolder, json: bool) -> Result<()> {
    let entries = gadgets::library(folder).list();
    if json {
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "name": entry.name,
                    "built_in": entry.is_built_in,
                    "description": entry.chain.as_ref().ok().and_then(|chain| chain.description.clone()),
                    "gadgets": entry.chain.as_ref().map(Chain::gadget_names).unwrap_or_default(),
                    "error": entry.chain.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for entry in entries {
        let place = if entry.is_built_in { "built in" } else { "folder" };
        match entry.chain {
            Ok(chain) => outln!(
                "{:<28} {place:<9} {}",
                entry.name,
                chain.description.clone().unwrap_or_else(|| chain.gadget_names().join(" > "))
            ),
            Err(error) => outln!("{:<28} {place:<9} FAULTY: {error}", entry.name),
        }
    }
    Ok(())
}

fn list_gadgets(json: bool) -> Result<()> {
    let registry = gadgets::registry();
    if json {
        let rows: Vec<_> = registry
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "name": entry.name,
                    "aliases": entry.aliases,
                    "takes": entry.input.to_string(),
                    "gives": entry.output.to_string(),
                })
            })
            .collect();
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for entry in registry.iter() {
        let aliases = entry.aliases.join(", ");
        outln!("{:<22} {} -> {}  {aliases}", entry.name, entry.input, entry.output);
    }
    Ok(())
}

/// Whether there are the models that a chain names. One that is missing does not keep the chain
/// from running, but is hardly what was meant.
fn check_models(file: &ChainFile, models: &Models) -> Result<()> {
    let known = models.names();
    for value in file.values_of("model") {
        let Some(name) = value.as_str().filter(|name| !known.iter().any(|known| known == name))
        else {
            continue;
        };
        let remedy = match pipeline::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => "`boreside models list` names all; `--models DIR` adds a folder".to_owned(),
        };
        bail!("chain {}: there is no model {name}\n  {remedy}", file.name);
    }
    Ok(())
}

fn check(chains: &[String], folder: &ChainFolder, networks: &ModelOptions) -> Result<()> {
    let library = gadgets::library(folder);
    let models = models::service(networks, &DataFolder::default());
    let mut n_faulty = 0;
    for name in chains {
        let text = match name.as_str() {
            "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Some(text)
            }
            path if std::path::Path::new(path).is_file() => {
                Some(std::fs::read_to_string(path).with_context(|| path.to_owned())?)
            }
            _ => None,
        };
        let parsed = match text {
            Some(text) => ChainFile::parse(name, &text).map_err(anyhow::Error::from),
            None => library.find(name).map_err(anyhow::Error::from),
        };
        let checked = parsed.and_then(|file| {
            let chain = library.check(&file)?;
            check_models(&file, &models)?;
            Ok(chain)
        });
        match checked {
            Ok(chain) => outln!("{name}: good: {}", chain.gadget_names().join(" > ")),
            Err(error) => {
                n_faulty += 1;
                outln!("{error}");
            }
        }
    }
    if n_faulty > 0 {
        bail!("{n_faulty} of {} chains are faulty", chains.len());
    }
    Ok(())
}

fn schema(gadget: Option<&str>) -> Result<()> {
    let registry = gadgets::registry();
    let schema = match gadget {
        None => chain_schema(&registry),
        Some(name) => match registry.get(name) {
            Some(entry) => entry.schema_value(),
            None => bail!(
                "there is no gadget {name}: `boreside chains list --gadgets` names all of them"
            ),
        },
    };
    outln!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
