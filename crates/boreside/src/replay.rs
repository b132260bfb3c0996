//! `boreside replay`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ismrmrd::{Header, wire};
use pipeline::{Scan, Services};
use serde_json::Value;
use server::ChainChoice;

use crate::cli::{ChainFolder, DataFolder, ModelOptions};
use crate::noise::NoiseOptions;
use crate::outcome::{self, Outcome};
use crate::recording::{self, Pace, Recording};
use crate::{client, dicom, gadgets, local, maps, models};

#[derive(Args)]
pub struct ReplayOptions {
    /// HDF5 file, recorded stream, journal, number of a journalled session, or - for standard input
    pub input: String,
    /// Chain: a name, or a file [default: the one that was recorded]
    #[arg(long, short, value_name = "NAME|FILE")]
    pub chain: Option<String>,
    /// New HDF5 file for the results
    #[arg(long, short, value_name = "OUT.h5", value_parser = crate::cli::new_file)]
    pub output: Option<PathBuf>,
    /// Replace the output file if it is there
    #[arg(long)]
    pub overwrite: bool,
    /// Server to send it to; without one the chain runs here
    #[arg(long, value_name = "HOST:PORT")]
    pub to: Option<String>,
    /// How fast it is played
    #[arg(long, value_enum, default_value_t)]
    pub pace: Pace,
    /// Contact sheet of the images
    #[arg(long, value_name = "FILE", value_parser = crate::cli::png_file)]
    pub png: Option<PathBuf>,
    /// Group of an HDF5 file
    #[arg(long, default_value = "dataset")]
    pub group: String,
    /// Property of the gadgets, as a scanner's interface would send it: NAME sets it in every
    /// gadget of the chain that has it, GADGET.NAME in one; may be repeated
    #[arg(long = "parameter", short = 'p', value_name = "[GADGET.]NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Print what each gadget took, gave and cost (in this process only)
    #[arg(long)]
    pub statistics: bool,
    #[command(flatten)]
    pub noise: NoiseOptions,
    #[command(flatten)]
    pub chains: ChainFolder,
    #[command(flatten)]
    pub networks: ModelOptions,
    #[command(flatten)]
    pub data: DataFolder,
}

/// Plays a recording to a server or through a chain in this process.
pub fn run(options: &ReplayOptions) -> Result<()> {
    let mut recording =
        recording::open(&options.input, &options.group, &options.data, options.pace)?;
    let config = match (&options.chain, recording.config.take()) {
        (Some(chain), _) => config_of(chain)?,
        (None, Some(recorded)) => recorded,
        (None, None) => bail!("the recording names no chain: choose one with --chain"),
    };
    let parameters =
        merged(recording.parameters.take(), &options.parameters, options.chain.is_some())?;
    let header_text = recording.header_text.take();
    let mut outcome =
        Outcome::new(options.output.as_deref(), options.overwrite, header_text.as_deref())?;
    let played = match &options.to {
        Some(address) => {
            if options.noise.is_given() {
                bail!("noise covariance files are for chains that run here, without --to");
            }
            let messages = with_progress(recording);
            let opening = client::Opening {
                config,
                header_text: header_text.unwrap_or_default(),
                parameters,
            };
            client::run(address, opening, messages, |message| outcome.take(message))
                .map(|finished| finished.n_errors)
        }
        None => {
            let own = !options.parameters.is_empty();
            let own_name = options.chain.as_deref().unwrap_or("of the recording");
            let parameters = parameters.as_deref();
            let chain = chain_of(&config, own_name, parameters, own, &options.chains)?;
            let scan = scan_of(header_text, &options.data, &options.noise, &options.networks)?;
            let messages = with_progress(recording);
            let finished = local::run(&chain, &scan, messages, |message| outcome.take(message));
            if let (true, Ok(finished)) = (options.statistics, &finished) {
                print_statistics(&finished.statistics)?;
            }
            finished.map(|finished| finished.n_errors)
        }
    };
    // What came back before a failure is kept and shown.
    outcome.finish()?;
    out!("{}", outcome.table());
    let n_errors = played?;
    if let Some(path) = &options.png {
        if outcome.sheet.is_empty() {
            bail!("no image came back: {} is not written", path.display());
        }
        outcome.sheet.write_png(path)?;
    }
    outcome::fail_on_reported(n_errors)
}

/// The scan for a chain that runs here. A header that is not MRD XML is said so once.
///
/// # Errors
/// A noise file that cannot be read.
pub fn scan_of(
    header_text: Option<String>,
    data: &DataFolder,
    noise: &NoiseOptions,
    networks: &ModelOptions,
) -> Result<Scan> {
    let header = header_text.as_deref().and_then(|text| match Header::from_xml(text) {
        Ok(header) => Some(header),
        Err(error) => {
            tracing::warn!("header: {error}");
            None
        }
    });
    let services = Services::default()
        .with(models::service(networks, data))
        .with(maps::service(data.data.as_deref()))
        .with(dicom::service(data));
    Ok(Scan {
        session: 0,
        header_text: header_text.unwrap_or_default(),
        header,
        save_dir: Some(data.path().join("saved")),
        noise: Some(noise.store(data)?),
        services,
    })
}

/// A chain as a message: the text of a file that is there, else a name.
pub fn config_of(chain: &str) -> Result<wire::Message> {
    let path = Path::new(chain);
    if path.is_file() {
        let text = std::fs::read_to_string(path).with_context(|| format!("chain {chain}"))?;
        return Ok(wire::Message::ConfigText(text));
    }
    if chain.contains(['/', '\\']) {
        bail!(
            "there is no chain file {chain}\n  check its name and folder; `boreside chains list` names \
             the chains that need no file"
        );
    }
    Ok(wire::Message::ConfigFile(chain.to_owned()))
}

/// The chain of these command line options.
pub fn chain_of_options(
    chain: &str,
    parameters: &[String],
    folder: &ChainFolder,
) -> Result<pipeline::Chain> {
    let own = !parameters.is_empty();
    let parameters = merged(None, parameters, true)?;
    chain_of(&config_of(chain)?, chain, parameters.as_deref(), own, folder)
}

/// The chain for a run in this process; messages call one that is no name `own_name`. Parameters that it does not have are a mistake where they
/// were `own` ones of the command line; a scanner may send more than one chain needs.
fn chain_of(
    config: &wire::Message,
    own_name: &str,
    parameters: Option<&str>,
    own: bool,
    folder: &ChainFolder,
) -> Result<pipeline::Chain> {
    let choice = match config {
        wire::Message::ConfigFile(name) => ChainChoice::Name(name.clone()),
        wire::Message::ConfigText(text) => ChainChoice::Text(text.clone()),
        other => bail!("message {} names no chain", other.id()),
    };
    let parameters = parameters.and_then(server::parameters::of_json);
    let (chain, unused) = choice
        .resolve_called(own_name, parameters.as_ref(), &gadgets::library(folder))
        .map_err(anyhow::Error::msg)?;
    if !unused.is_empty() {
        let text = format!("parameters that no gadget of the chain has: {}", unused.join(", "));
        if own {
            bail!("{text}\n  `boreside chains schema GADGET` lists those of a gadget");
        }
        tracing::warn!("{text}");
    }
    Ok(chain)
}

/// Recorded parameters and those from the command line in one JSON text. A chain that was
/// chosen here goes before the recorded one.
pub fn merged(
    recorded: Option<String>,
    own: &[String],
    chain_is_chosen: bool,
) -> Result<Option<String>> {
    if own.is_empty() && !(chain_is_chosen && recorded.is_some()) {
        return Ok(recorded);
    }
    let mut object = match recorded.as_deref().map(serde_json::from_str::<Value>) {
        Some(Ok(Value::Object(object))) => object,
        _ => serde_json::Map::new(),
    };
    let mut parameters = match object.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        _ => serde_json::Map::new(),
    };
    if chain_is_chosen {
        parameters.remove("config");
        parameters.remove("customconfig");
    }
    for parameter in own {
        let Some((name, value)) = parameter.split_once('=') else {
            bail!("--parameter {parameter}: write NAME=VALUE");
        };
        parameters.insert(name.trim().to_owned(), value.into());
    }
    object.insert("parameters".to_owned(), parameters.into());
    Ok(Some(Value::Object(object).to_string()))
}

fn with_progress(recording: Recording) -> impl Iterator<Item = Result<wire::Message>> + Send {
    let bar = match recording.n_messages {
        Some(n) => ProgressBar::new(n),
        None => ProgressBar::no_length(),
    };
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} messages, {elapsed}") {
        bar.set_style(style);
    }
    let counter = bar.clone();
    recording.messages.inspect(move |_| counter.inc(1)).chain(std::iter::from_fn(move || {
        bar.finish_and_clear();
        None
    }))
}

fn print_statistics(statistics: &pipeline::Statistics) -> Result<()> {
    outln!(
        "{:<24} {:>9} {:>9} {:>7} {:>12} {:>12}",
        "gadget",
        "in",
        "out",
        "faults",
        "busy",
        "longest"
    );
    for gadget in statistics.snapshot() {
        outln!(
            "{:<24} {:>9} {:>9} {:>7} {:>9.3} ms {:>9.3} ms",
            gadget.gadget,
            gadget.messages_in,
            gadget.messages_out,
            gadget.faults,
            gadget.busy.as_secs_f64() * 1e3,
            gadget.longest.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_chain_goes_before_the_recorded_one_and_parameters_add_up() {
        let recorded = r#"{"version": "1", "parameters": {"config": "old", "x": "1"}}"#;
        let text = merged(Some(recorded.to_owned()), &["y=2".to_owned()], true)
            .expect("good")
            .expect("some");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["parameters"], serde_json::json!({"x": "1", "y": "2"}));
        assert_eq!(value["version"], "1");
        assert_eq!(
            merged(Some(recorded.to_owned()), &[], false).expect("good").as_deref(),
            Some(recorded)
        );
        assert!(merged(None, &["no value".to_owned()], false).is_err());
    }
}
