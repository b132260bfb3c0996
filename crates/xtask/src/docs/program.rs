//! What the program says about itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The built program.
pub struct Program(PathBuf);

/// A gadget as the program lists it.
pub struct Gadget {
    pub name: String,
    pub aliases: Vec<String>,
    pub takes: String,
    pub gives: String,
    /// JSON Schema of its properties.
    pub schema: Value,
}

/// A built-in chain as the program lists it.
pub struct Chain {
    pub name: String,
    pub description: String,
    pub gadgets: Vec<String>,
}

impl Program {
    /// Builds the workspace's program.
    pub fn build(root: &Path) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--package", "boreside", "--bin", "boreside"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be run")?;
        if !output.status.success() {
            bail!("boreside does not build");
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let binary = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back();
        Ok(Self(binary.context("cargo does not say where it has put boreside")?))
    }

    /// What a command prints, as JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let command = || format!("boreside {}", arguments.join(" "));
        let output = Command::new(&self.0)
            .args(arguments)
            // The documentation is about what is built in.
            .env_remove("BORESIDE_CHAINS")
            .stderr(Stdio::inherit())
            .output()
            .with_context(command)?;
        if !output.status.success() {
            bail!("{} failed", command());
        }
        serde_json::from_slice(&output.stdout).with_context(command)
    }

    /// All gadgets in order of their names.
    pub fn gadgets(&self) -> Result<Vec<Gadget>> {
        let rows = self.json(&["chains", "list", "--gadgets", "--json"])?;
        rows.as_array()
            .context("`chains list --gadgets --json` gives no list")?
            .iter()
            .map(|row| {
                let name = text(row, "name")?;
                let schema = self.json(&["chains", "schema", &name])?;
                let (takes, gives) = (text(row, "takes")?, text(row, "gives")?);
                Ok(Gadget { name, aliases: texts(row, "aliases")?, takes, gives, schema })
            })
            .collect()
    }

    /// All built-in chains in order of their names. Gadgetron's format has no description, so
    /// there it is the file's first comment.
    pub fn chains(&self, root: &Path) -> Result<Vec<Chain>> {
        let rows = self.json(&["chains", "list", "--json"])?;
        rows.as_array()
            .context("`chains list --json` gives no list")?
            .iter()
            .map(|row| {
                let name = text(row, "name")?;
                let description = match row["description"].as_str() {
                    Some(description) => description.to_owned(),
                    None => {
                        let path = root.join("config").join(&name);
                        let file = fs::read_to_string(&path)
                            .with_context(|| path.display().to_string())?;
                        first_comment(&file).to_owned()
                    }
                };
                Ok(Chain { name, description, gadgets: texts(row, "gadgets")? })
            })
            .collect()
    }
}

fn text(row: &Value, key: &str) -> Result<String> {
    row[key].as_str().map(str::to_owned).with_context(|| format!("{row} has no text {key:?}"))
}

fn texts(row: &Value, key: &str) -> Result<Vec<String>> {
    let list = row[key].as_array().and_then(|list| {
        list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()
    });
    list.with_context(|| format!("{row} has no list of texts {key:?}"))
}

fn first_comment(xml: &str) -> &str {
    let comment = xml.split_once("<!--").and_then(|(_, rest)| rest.split_once("-->"));
    comment.map_or("", |(comment, _)| comment.trim().trim_end_matches('.'))
}
