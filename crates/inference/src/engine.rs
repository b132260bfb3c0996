//! A network in a runtime, in this process.

#[cfg(feature = "embedded")]
mod embedded;
mod library;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::session::RunOptions;
use serde::{Deserialize, Serialize};

use self::library::LibraryEngine;
use crate::Tensor;
use crate::runtime::{FoundLibrary, HAS_EMBEDDED, Provider, ProviderChoice};

/// How a network is to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct EngineOptions {
    /// On what.
    pub provider: ProviderChoice,
    /// The ONNX Runtime library, [`None`] where there is none.
    pub library: Option<PathBuf>,
    /// Whether the part for GPUs lies beside it.
    pub has_cuda: bool,
    /// Threads of one call.
    pub n_threads: usize,
}

impl EngineOptions {
    /// With a library that was found.
    pub fn with_library(mut self, library: Option<&FoundLibrary>) -> Self {
        self.library = library.map(|library| library.path.clone());
        self.has_cuda = library.is_some_and(|library| library.has_cuda);
        self
    }
}

/// Why a network does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Deserialize, Serialize)]
pub enum EngineError {
    /// No runtime of the kind that is asked for.
    #[error("there is no ONNX Runtime library{}", if HAS_EMBEDDED { "" } else { ", and no embedded runtime in this program" })]
    NoRuntime,
    /// The library cannot be used.
    #[error("the library {path} cannot be used: {reason}")]
    Library {
        /// The file.
        path: PathBuf,
        /// The loader's or the library's words.
        reason: String,
    },
    /// The provider that was asked for.
    #[error("{provider} is asked for and cannot be had: {reason}")]
    Provider {
        /// The provider.
        provider: Provider,
        /// The runtime's words.
        reason: String,
    },
    /// The runtime does not take the model.
    #[error("the runtime does not take the model: {0}")]
    Model(String),
    /// A call failed.
    #[error("the call failed: {0}")]
    Call(String),
}

/// On what the operators of a network ran: the runtime's own profile.
pub type Placement = BTreeMap<String, usize>;

/// A network that is ready to run.
pub struct Engine(Backend);

enum Backend {
    Library(LibraryEngine),
    #[cfg(feature = "embedded")]
    Embedded(embedded::EmbeddedEngine),
}

impl Engine {
    /// Gives a model to the runtime. `profile` is a folder for the runtime's own account of the
    /// calls up to [`Engine::placement`].
    ///
    /// # Errors
    /// [`EngineError`]: no runtime, not the one that was asked for, or it does not take the model.
    pub fn load(
        model: &[u8],
        options: &EngineOptions,
        profile: Option<&Path>,
    ) -> Result<Self, EngineError> {
        let is_free = options.provider == ProviderChoice::Auto && HAS_EMBEDDED;
        match (options.provider, &options.library) {
            (ProviderChoice::Embedded, _) => Self::embedded(model),
            (_, Some(library)) => match LibraryEngine::load(library, model, options, profile) {
                Ok(engine) => Ok(Self(Backend::Library(engine))),
                Err(error @ EngineError::Library { .. }) if is_free => {
                    tracing::warn!("{error}: the embedded runtime is used");
                    Self::embedded(model)
                }
                Err(error) => Err(error),
            },
            (_, None) if is_free => Self::embedded(model),
            (_, None) => Err(EngineError::NoRuntime),
        }
    }

    #[cfg(feature = "embedded")]
    fn embedded(model: &[u8]) -> Result<Self, EngineError> {
        Ok(Self(Backend::Embedded(embedded::EmbeddedEngine::load(model)?)))
    }

    #[cfg(not(feature = "embedded"))]
    fn embedded(_model: &[u8]) -> Result<Self, EngineError> {
        Err(EngineError::Provider {
            provider: Provider::Embedded,
            reason: "this program was built without it".to_owned(),
        })
    }

    /// What it runs on.
    pub fn provider(&self) -> Provider {
        match &self.0 {
            Backend::Library(engine) => engine.provider(),
            #[cfg(feature = "embedded")]
            Backend::Embedded(_) => Provider::Embedded,
        }
    }

    /// Name and version of the runtime.
    pub fn runtime(&self) -> &str {
        match &self.0 {
            Backend::Library(engine) => engine.runtime(),
            #[cfg(feature = "embedded")]
            Backend::Embedded(_) => embedded::NAME,
        }
    }

    /// Ends the runtime's profile and gives how many operators of the calls until now ran on
    /// which provider. Empty where the runtime has no profile.
    ///
    /// # Errors
    /// [`EngineError::Call`].
    pub fn placement(&mut self) -> Result<Placement, EngineError> {
        match &mut self.0 {
            Backend::Library(engine) => engine.placement(),
            #[cfg(feature = "embedded")]
            Backend::Embedded(_) => Ok(Placement::new()),
        }
    }

    /// Runs the network. `options` can end the call from another thread; the embedded runtime has
    /// none.
    ///
    /// # Errors
    /// [`EngineError::Call`] in the runtime's words; [`EngineError::Model`] where the embedded
    /// runtime cannot make the network for inputs of these shapes.
    pub fn run(
        &mut self,
        inputs: &[(String, Tensor)],
        options: Option<&RunOptions>,
    ) -> Result<Vec<(String, Tensor)>, EngineError> {
        match &mut self.0 {
            Backend::Library(engine) => engine.run(inputs, options),
            #[cfg(feature = "embedded")]
            Backend::Embedded(engine) => engine.run(inputs),
        }
    }
}

/// Options that end a call from another thread.
///
/// # Errors
/// [`EngineError::Call`] where the runtime has none.
pub fn run_options() -> Result<Arc<RunOptions>, EngineError> {
    let options =
        RunOptions::new().map_err(|error| EngineError::Call(error.message().to_owned()))?;
    Ok(Arc::new(options))
}
