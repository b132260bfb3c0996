//! Why a network's result is not to be had.

use std::path::PathBuf;

use pipeline::Remedy;

use crate::Provider;
use crate::check::Difference;
use crate::engine::EngineError;
use crate::golden::GoldenError;
use crate::guard::Breach;
use crate::manifest::ManifestError;

/// Why a network's result is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// No networks at all.
    #[error("model {0}: this program was started without a place for models")]
    NoModels(String),
    /// No such model.
    #[error("there is no model {name}{}", known_text(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("model {model}: {} cannot be read: {reason}", .path.display())]
    File {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Its ONNX file is not there.
    #[error("model {model}: there is no file {}, which its manifest names", .path.display())]
    Missing {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
    },
    /// Its files were deleted while the program ran.
    #[error("model {0} was deleted")]
    Deleted(String),
    /// The manifest.
    #[error("model {model}, manifest: {error}")]
    Manifest {
        /// The model.
        model: String,
        /// What is wrong.
        error: ManifestError,
    },
    /// Manifest and file differ.
    #[error("model {model}: {difference}")]
    Differs {
        /// The model.
        model: String,
        /// How.
        difference: Difference,
    },
    /// The runtime, or what it says.
    #[error("model {model}: {error}")]
    Engine {
        /// The model.
        model: String,
        /// What is wrong.
        error: EngineError,
    },
    /// Another provider is required.
    #[error("model {model} runs on {found}, {required} is required")]
    Required {
        /// The model.
        model: String,
        /// What it runs on.
        found: Provider,
        /// What is required.
        required: Provider,
    },
    /// Arrays for the golden check that cannot be read.
    #[error("model {model}, golden arrays: {error}")]
    GoldenSet {
        /// The model.
        model: String,
        /// What is wrong.
        error: GoldenError,
    },
    /// The golden check.
    #[error("model {model}, golden check on {provider}: {error}")]
    Golden {
        /// The model.
        model: String,
        /// What it ran on.
        provider: Provider,
        /// What is wrong.
        error: GoldenError,
    },
    /// A guard.
    #[error("model {model}: guard of the {breach}")]
    Guard {
        /// The model.
        model: String,
        /// What was found.
        breach: Breach,
    },
    /// Too late.
    #[error("model {model} did not answer within {time_ms:.0} ms")]
    Late {
        /// The model.
        model: String,
        /// Its time.
        time_ms: u64,
    },
    /// The process that ran it has ended.
    #[error("model {model}: its process ended: {how}")]
    Crashed {
        /// The model.
        model: String,
        /// How: signal or exit code.
        how: String,
    },
    /// The models that are in use take what they may.
    #[error(
        "model {model} needs {needed_mib} MiB; those in use have {used_mib} of {limit_mib} MiB"
    )]
    Memory {
        /// The model.
        model: String,
        /// What its manifest says.
        needed_mib: usize,
        /// What those of others say.
        used_mib: usize,
        /// What all may have.
        limit_mib: usize,
    },
    /// Too many wait.
    #[error("model {model}: {n_waiting} requests wait already")]
    Busy {
        /// The model.
        model: String,
        /// How many.
        n_waiting: usize,
    },
}

fn known_text(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) }
}

impl Remedy for InferenceError {
    fn remedy(&self) -> &str {
        match self {
            Self::NoModels(_) => "start it with a folder of models (`--models DIR`)",
            Self::Unknown { .. } | Self::Deleted(_) => {
                "put its manifest and its .onnx file into the folder of models; \
                 `boreside models list` names what is there"
            }
            Self::File { .. } => "let the server's user read it",
            Self::Missing { .. } => {
                "put the file there, or write the name of the one that is there into the manifest \
                 (`file`)"
            }
            Self::Manifest { .. } => "correct the manifest; `boreside models check` names faults",
            Self::Differs { .. } => {
                "put the file that the manifest is for beside it, or write a manifest for this file"
            }
            Self::Engine { error: EngineError::NoRuntime, .. } => {
                "`boreside models runtime` says what was found and what to install"
            }
            Self::Engine { error: EngineError::Library { .. }, .. } => {
                "name another one (`--onnxruntime`, ORT_DYLIB_PATH) or none: then it is looked for; \
                 `boreside models runtime` says what was found and what to install"
            }
            Self::Engine { error: EngineError::Provider { .. }, .. } | Self::Required { .. } => {
                "`boreside models runtime` says what this provider needs"
            }
            Self::Engine { error: EngineError::Model(_), .. } => {
                "export the model for an opset and operators that the runtime has"
            }
            Self::Engine { error: EngineError::Call(_), .. } => {
                "give it what its manifest describes; `boreside models check` tries it"
            }
            Self::GoldenSet { .. } => {
                "put the arrays (input_0.pb, output_0.pb, …) into the folder that the manifest \
                 names under `golden`, or take `golden` out of it"
            }
            Self::Golden { .. } => "use another provider, and tell whoever made the model",
            Self::Guard { .. } => {
                "look at the image before trusting it; the model was not made for it"
            }
            Self::Late { .. } => "give it more time in its manifest, more threads, or a GPU",
            Self::Crashed { .. } => {
                "it is started again; if that goes on, take the model out and tell whoever made it"
            }
            Self::Memory { .. } => "give models more (`--models-mib`), or use fewer at once",
            Self::Busy { .. } => "run fewer scans at once, or the model on a GPU",
        }
    }
}
