//! The command line. Doc comments are its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::chains::ChainsOptions;
use crate::classifier::ClassifierOptions;
use crate::demo::DemoOptions;
use crate::dicom::DicomOptions;
use crate::evaluate::EvaluateOptions;
use crate::inspect::InspectOptions;
use crate::journal::JournalOptions;
use crate::models::ModelsOptions;
use crate::palette::PaletteOptions;
use crate::replay::ReplayOptions;
use crate::serve::ServeOptions;
use crate::simulate::SimulateOptions;
use crate::stream::StreamOptions;

/// Inline MR reconstruction: raw k-space in, images and maps out.
///
/// Results go to standard output, log and progress to standard error; the exit code is not 0 for
/// every failure.
#[derive(Parser)]
#[command(name = "boreside", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct LogOptions {
    /// What is logged: off, error, warn, info, debug, trace, or a filter by module.
    #[arg(long, global = true, env = "BORESIDE_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// How the log is written.
    #[arg(long, global = true, env = "BORESIDE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Collector that sessions are sent to as traces, by OTLP over gRPC; needs a build with the feature otlp.
    #[arg(long, global = true, env = "BORESIDE_OTLP", value_name = "URL")]
    pub otlp: Option<String>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve scanners and clients.
    Serve(ServeOptions),
    /// Reconstruct a recording: a file, a stream, or a journalled session by its number.
    Replay(ReplayOptions),
    /// Simulate a scan whose answer is known.
    Simulate(SimulateOptions),
    /// Say on one screen what is in a recording.
    Inspect(InspectOptions),
    /// Reconstruct an MRD stream from standard input to standard output.
    Stream(StreamOptions),
    /// List, check and describe chains and gadgets.
    Chains(ChainsOptions),
    /// List and export journalled sessions.
    Journal(JournalOptions),
    /// List, check, time and describe networks, and find the runtime for them.
    Models(ModelsOptions),
    /// Train classifiers of tissue from labelled fingerprints.
    Classifier(ClassifierOptions),
    /// Say how good methods are on simulated data whose answer is known.
    Evaluate(EvaluateOptions),
    /// Start a server, stream a simulated scan to it, and show the picture.
    Demo(DemoOptions),
    /// Images as DICOM files, and DICOM files to an archive.
    Dicom(DicomOptions),
    /// Write a map's colours as a palette file.
    Palette(PaletteOptions),
}

/// Where chain files are looked for.
#[derive(Args, Clone, Debug, Default)]
pub struct ChainFolder {
    /// Folder of chain files; they go before the built-in ones.
    #[arg(long, env = "BORESIDE_CHAINS", value_name = "DIR", value_parser = folder)]
    pub chains: Option<PathBuf>,
}

/// A folder that is there.
pub fn folder(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.is_dir() { Ok(path) } else { Err("there is no such folder".to_owned()) }
}

/// A file that is written to, in a folder that is there: known before the work is done.
pub fn new_file(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(format!("there is no folder {}: make it, or choose another", folder.display()))
        }
        _ if path.is_dir() => Err("this is a folder: add the name of a file".to_owned()),
        _ => Ok(path),
    }
}

/// A file that a picture is written to.
pub fn png_file(path: &str) -> Result<PathBuf, String> {
    let path = new_file(path)?;
    let is_png = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if is_png {
        Ok(path)
    } else {
        Err("pictures are PNG: give a name that ends in .png".to_owned())
    }
}

/// Where networks are, and what they run on.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelOptions {
    /// Folder of models (manifests and .onnx files); they go before the built-in ones
    #[arg(long, env = "BORESIDE_MODELS", value_name = "DIR", value_parser = folder)]
    pub models: Option<PathBuf>,
    /// What networks run on: auto, cuda, tensorrt, cpu or embedded [default: auto]
    #[arg(long, env = "BORESIDE_PROVIDER", value_name = "PROVIDER", value_parser = provider)]
    pub provider: Option<inference::ProviderChoice>,
    /// The ONNX Runtime library, or its folder [default: it is looked for]
    #[arg(long, env = "BORESIDE_ONNXRUNTIME", value_name = "FILE|DIR")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads of one network [default: as many as there are cores]
    #[arg(long, env = "BORESIDE_MODEL_THREADS", value_name = "N")]
    pub model_threads: Option<usize>,
    /// Memory of all networks together, by their manifests, in MiB [default: half of the machine's]
    #[arg(long, env = "BORESIDE_MODELS_MIB", value_name = "N")]
    pub models_mib: Option<usize>,
    /// Run networks in this process, where one that crashes ends all scans
    #[arg(long, env = "BORESIDE_MODELS_IN_PROCESS", num_args = 0..=1, default_missing_value = "true")]
    pub models_in_process: Option<bool>,
}

/// A provider by its name.
pub fn provider(text: &str) -> Result<inference::ProviderChoice, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "auto, cuda, tensorrt, cpu and embedded are known".to_owned())
}

/// The folder for journals and saved data.
#[derive(Args, Clone, Debug, Default)]
pub struct DataFolder {
    /// Folder for journals and saved data [default: ~/.local/state/boreside]
    #[arg(long, env = "BORESIDE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataFolder {
    /// The folder: as given, or the user's state folder.
    pub fn path(&self) -> PathBuf {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let state = || std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
        self.data.clone().unwrap_or_else(|| {
            state().unwrap_or_else(|| PathBuf::from("/var/lib")).join("boreside")
        })
    }

    /// The folder, and the user's state folder: what was fetched into that serves all.
    pub fn with_default(&self) -> Vec<PathBuf> {
        vec![self.path(), Self::default().path()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn files_are_written_only_where_there_is_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        assert!(new_file("here.h5").is_ok() && png_file("here.png").is_ok());
        assert!(new_file(&inside("a.h5")).is_ok());
        let error = png_file(&inside("none/a.png")).expect_err("no such folder");
        assert!(error.contains("there is no folder") && error.contains("none"), "{error}");
        assert!(new_file(&inside("")).expect_err("a folder").contains("name of a file"));
    }
}
