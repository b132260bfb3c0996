//! `boreside models`: networks, whether they are right, how fast they are, and what they run on.

mod bench;
mod built_in;
mod card;
mod runtime;
mod skeleton;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use inference::worker::WorkerProgram;
use inference::{Health, Manifest, ModelSettings, Models};
use pipeline::Remedy;

use crate::cli::{DataFolder, ModelOptions};

#[derive(Args)]
pub struct ModelsOptions {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// List the models that chains can name, and how they are
    List {
        /// Do not load them: what only the runtime knows is left out
        #[arg(long)]
        no_load: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Place,
    },
    /// Check models: manifest, file, runtime, golden outputs
    Check {
        /// Names, or folders of models [default: all models]
        #[arg(value_name = "NAME|DIR")]
        names: Vec<String>,
        #[command(flatten)]
        at: Place,
    },
    /// Time a model by provider, threads and batch
    Bench(bench::BenchOptions),
    /// Print a model's card: what it is for, what was measured, what it cannot do (Markdown)
    Card {
        /// Name of the model
        name: String,
        #[command(flatten)]
        at: Place,
    },
    /// Print the beginning of a manifest for an ONNX file
    Describe {
        /// The file
        #[arg(value_name = "FILE.onnx")]
        file: PathBuf,
    },
    /// Print the JSON Schema of manifests
    Schema,
    /// Say which runtime was found and what to install, or fetch it
    Runtime(runtime::RuntimeOptions),
    /// Runs a network for another process
    #[command(hide = true)]
    Worker,
}

/// Where models are, and what they run on.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    #[command(flatten)]
    pub networks: ModelOptions,
    #[command(flatten)]
    pub data: DataFolder,
}

impl Place {
    fn models(&self) -> Arc<Models> {
        told_here(&self.networks, &self.data)
    }
}

/// Runs the sub-command.
pub fn run(options: &ModelsOptions) -> Result<()> {
    match &options.command {
        ModelsCommand::List { no_load, json, at } => list(&at.models(), !no_load, *json),
        ModelsCommand::Check { names, at } => check(names, at),
        ModelsCommand::Bench(options) => bench::run(options),
        ModelsCommand::Card { name, at } => {
            let models = at.models();
            let listing = models.list().into_iter().find(|listing| listing.name == *name);
            match listing.and_then(|listing| listing.manifest) {
                Some(manifest) => out!("{}", card::card(&manifest)),
                None => {
                    models.open(name).map_err(|error| told(&error))?;
                }
            }
            Ok(())
        }
        ModelsCommand::Describe { file } => skeleton::run(file),
        ModelsCommand::Schema => {
            outln!("{}", serde_json::to_string_pretty(&Manifest::schema())?);
            Ok(())
        }
        ModelsCommand::Runtime(options) => runtime::run(options),
        ModelsCommand::Worker => Ok(inference::worker::serve_stdin()?),
    }
}

/// The networks of a program with these options.
pub fn service(options: &ModelOptions, data: &DataFolder) -> Arc<Models> {
    Arc::new(Models::new(settings(options, data)))
}

/// The same for commands that print how each of them is.
fn told_here(options: &ModelOptions, data: &DataFolder) -> Arc<Models> {
    Arc::new(Models::new(ModelSettings { is_quiet: true, ..settings(options, data) }))
}

fn settings(options: &ModelOptions, data: &DataFolder) -> ModelSettings {
    let data_folders = data.with_default();
    let data = data.path();
    ModelSettings {
        folder: Some(options.models.clone().unwrap_or_else(|| data.join("models"))),
        built_in: built_in::BUILT_IN,
        provider: options.provider.unwrap_or_default(),
        library: options.onnxruntime.clone(),
        data: data_folders,
        n_threads: options.model_threads,
        memory_mib: options.models_mib,
        worker: if options.models_in_process == Some(true) { None } else { worker() },
        is_quiet: false,
    }
}

/// This program as one that runs a network.
fn worker() -> Option<WorkerProgram> {
    match std::env::current_exe() {
        Ok(path) => {
            let arguments = ["models", "worker"].map(str::to_owned).to_vec();
            Some(WorkerProgram { path, arguments })
        }
        Err(error) => {
            tracing::warn!("networks run in this process: its own file is not known: {error}");
            None
        }
    }
}

fn health(models: &Models, name: &str, load: bool) -> Health {
    let not_loaded = |listing: inference::Listing| listing.health;
    if !load {
        let listing = models.list().into_iter().find(|listing| listing.name == name);
        return listing.map_or(Health::NotLoaded, not_loaded);
    }
    match models.open(name) {
        Ok(model) => {
            // The health says how it went.
            let _ = model.wait_until_ready();
            model.health()
        }
        Err(error) => Health::Refused(error),
    }
}

fn words(health: &Health) -> String {
    match health {
        Health::NotLoaded => "not loaded".to_owned(),
        Health::Loading => "is being loaded".to_owned(),
        Health::Ready(_, summary) => summary.clone(),
        Health::Refused(error) => format!("REFUSED: {error}\n  {}", error.remedy()),
    }
}

/// What is wrong, and what to do.
fn told(error: &inference::InferenceError) -> anyhow::Error {
    anyhow!("{error}\n  {}", error.remedy())
}

fn list(models: &Models, load: bool, json: bool) -> Result<()> {
    let listings = models.list();
    if listings.is_empty() {
        let folder = models.settings().folder.clone().unwrap_or_default();
        outln!("no models: put manifests and .onnx files into {}", folder.display());
    }
    let mut rows = Vec::new();
    for listing in listings {
        let health = match listing.health {
            refused @ Health::Refused(_) => refused,
            _ => health(models, &listing.name, load),
        };
        let version = listing.manifest.as_ref().map(|manifest| manifest.version.clone());
        let place = if listing.is_built_in { "built in" } else { "folder" };
        if json {
            let provider = match &health {
                Health::Ready(provider, _) => Some(provider.name()),
                _ => None,
            };
            let error = match &health {
                Health::Refused(error) => Some(error.to_string()),
                _ => None,
            };
            rows.push(serde_json::json!({
                "name": listing.name,
                "version": version,
                "built_in": listing.is_built_in,
                "intended_use": listing.manifest.as_ref().map(|m| m.intended_use.clone()),
                "provider": provider,
                "health": words(&health),
                "error": error,
            }));
            continue;
        }
        let version = version.unwrap_or_default();
        outln!("{:<24} {version:<8} {place:<9} {}", listing.name, words(&health));
    }
    if json {
        outln!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

fn check(names: &[String], at: &Place) -> Result<()> {
    let mut todo: Vec<(Arc<Models>, String)> = Vec::new();
    let own = at.models();
    if names.is_empty() {
        todo.extend(own.names().into_iter().map(|name| (Arc::clone(&own), name)));
    }
    for name in names {
        if Path::new(name).is_dir() {
            let networks =
                ModelOptions { models: Some(PathBuf::from(name)), ..at.networks.clone() };
            let models = told_here(&networks, &at.data);
            let folder = models.list().into_iter().filter(|listing| !listing.is_built_in);
            let found: Vec<String> = folder.map(|listing| listing.name).collect();
            if found.is_empty() {
                bail!("there is no manifest in {name}");
            }
            todo.extend(found.into_iter().map(|name| (Arc::clone(&models), name)));
        } else {
            todo.push((Arc::clone(&own), name.clone()));
        }
    }
    let mut n_faulty = 0;
    for (models, name) in &todo {
        let health = health(models, name, true);
        if matches!(health, Health::Ready(..)) {
            outln!("{name}: good: {}", words(&health));
        } else {
            n_faulty += 1;
            outln!("{name}: {}", words(&health));
        }
    }
    if n_faulty > 0 {
        bail!("{n_faulty} of {} models are faulty", todo.len());
    }
    Ok(())
}
