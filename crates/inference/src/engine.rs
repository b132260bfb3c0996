//! A network in a runtime, in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};
use serde::{Deserialize, Serialize};

use crate::Tensor;
use crate::runtime::{FoundLibrary, HAS_EMBEDDED, LEAST_RUNTIME, Provider, ProviderChoice};
use crate::tensor::{Elements, for_all};

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
    /// No runtime.
    #[error("there is no ONNX Runtime library, and no embedded runtime in this program")]
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
pub struct Engine {
    session: Session,
    provider: Provider,
    runtime: String,
    profile: Option<PathBuf>,
}

/// A runtime that this process has started; there is one for its whole life.
struct Started {
    environment: Environment,
    name: String,
    is_embedded: bool,
}

static STARTED: OnceLock<Result<Started, EngineError>> = OnceLock::new();

fn started(options: &EngineOptions) -> Result<&'static Started, EngineError> {
    let started = STARTED.get_or_init(|| start(options)).as_ref().map_err(Clone::clone)?;
    let wants_embedded = options.provider == ProviderChoice::Embedded;
    let wants_library = matches!(
        options.provider,
        ProviderChoice::Cpu | ProviderChoice::Cuda | ProviderChoice::Tensorrt
    );
    if started.is_embedded && wants_library || !started.is_embedded && wants_embedded {
        let reason = format!("this process has started {} before", started.name);
        let provider = if wants_embedded { Provider::Embedded } else { Provider::Cpu };
        return Err(EngineError::Provider { provider, reason });
    }
    Ok(started)
}

fn start(options: &EngineOptions) -> Result<Started, EngineError> {
    if options.provider != ProviderChoice::Embedded
        && let Some(path) = &options.library
    {
        return start_library(path);
    }
    match options.provider {
        ProviderChoice::Auto | ProviderChoice::Embedded if HAS_EMBEDDED => start_embedded(),
        ProviderChoice::Embedded => Err(EngineError::Provider {
            provider: Provider::Embedded,
            reason: "this program was built without it".to_owned(),
        }),
        _ => Err(EngineError::NoRuntime),
    }
}

fn start_library(path: &Path) -> Result<Started, EngineError> {
    let fail = |reason: String| EngineError::Library { path: path.to_owned(), reason };
    let builder = ort::init_from(path).map_err(|error| fail(error.to_string()))?;
    let environment = builder
        .with_name("boreside")
        .with_telemetry(false)
        .build()
        .map_err(|error| fail(error.to_string()))?;
    let version = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix("libonnxruntime.so."))
        .map_or_else(|| LEAST_RUNTIME.to_owned() + " or newer", str::to_owned);
    Ok(Started { environment, name: format!("ONNX Runtime {version}"), is_embedded: false })
}

#[cfg(feature = "embedded")]
fn start_embedded() -> Result<Started, EngineError> {
    let fail = |reason| EngineError::Provider { provider: Provider::Embedded, reason };
    if !ort::set_api(ort_tract::api()) {
        return Err(fail("another runtime was started before".to_owned()));
    }
    let environment = ort::init().build().map_err(|error| fail(error.to_string()))?;
    Ok(Started { environment, name: "tract".to_owned(), is_embedded: true })
}

#[cfg(not(feature = "embedded"))]
fn start_embedded() -> Result<Started, EngineError> {
    Err(EngineError::NoRuntime)
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
        let started = started(options)?;
        let runtime = started.name.clone();
        if started.is_embedded {
            let session = commit(started, options, None, None, model)?;
            return Ok(Self { session, provider: Provider::Embedded, runtime, profile: None });
        }
        let gpu = match options.provider {
            ProviderChoice::Cuda => Some(Provider::Cuda),
            ProviderChoice::Tensorrt => Some(Provider::Tensorrt),
            ProviderChoice::Auto if options.has_cuda => Some(Provider::Cuda),
            _ => None,
        };
        let profile = profile.map(|folder| folder.join("profile"));
        let profile = profile.as_deref();
        if let Some(provider) = gpu {
            match commit(started, options, Some(provider), profile, model) {
                Ok(session) => {
                    let profile = profile.map(Path::to_owned);
                    return Ok(Self { session, provider, runtime, profile });
                }
                Err(error) if options.provider != ProviderChoice::Auto => return Err(error),
                Err(error) => tracing::warn!("{error}: the CPU is used"),
            }
        }
        let session = commit(started, options, None, profile, model)?;
        let profile = profile.map(Path::to_owned);
        Ok(Self { session, provider: Provider::Cpu, runtime, profile })
    }

    /// What it runs on.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Name and version of the runtime.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Ends the runtime's profile and gives how many operators of the calls until now ran on
    /// which provider. Empty where the runtime has no profile.
    ///
    /// # Errors
    /// [`EngineError::Call`].
    pub fn placement(&mut self) -> Result<Placement, EngineError> {
        if self.profile.take().is_none() {
            return Ok(Placement::new());
        }
        let fail = |error: String| EngineError::Call(format!("profile: {error}"));
        let path = self.session.end_profiling().map_err(|error| fail(error.to_string()))?;
        let text = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
        // Read already; it lies in a temporary folder anyway.
        let _ = std::fs::remove_file(&path);
        placement_of(&text).map_err(|error| fail(error.to_string()))
    }

    /// Runs the network. `options` can end the call from another thread; the embedded runtime has
    /// none.
    ///
    /// # Errors
    /// [`EngineError::Call`] in the runtime's words.
    pub fn run(
        &mut self,
        inputs: &[(String, Tensor)],
        options: Option<&RunOptions>,
    ) -> Result<Vec<(String, Tensor)>, EngineError> {
        let fail = |error: ort::Error| EngineError::Call(error.message().to_owned());
        let mut values = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            values.push((name.as_str(), input_value(tensor).map_err(fail)?));
        }
        let outputs = match options {
            Some(options) => self.session.run_with_options(values, options),
            None => self.session.run(values),
        };
        let outputs = outputs.map_err(fail)?;
        let mut results = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            let tensor = output_tensor(&value).map_err(fail)?;
            results.push((name.to_owned(), tensor));
        }
        Ok(results)
    }
}

/// Makes a session on the CPU, or on a GPU or not at all.
fn commit(
    started: &Started,
    options: &EngineOptions,
    gpu: Option<Provider>,
    profile: Option<&Path>,
    model: &[u8],
) -> Result<Session, EngineError> {
    let fail = |error: String| EngineError::Model(error);
    let builder =
        Session::builder(&started.environment).map_err(|error| fail(error.to_string()))?;
    let mut builder = if started.is_embedded {
        builder
    } else {
        prepared(builder, options, profile).map_err(fail)?
    };
    if let Some(provider) = gpu {
        let refused = |reason: String| EngineError::Provider { provider, reason };
        builder = builder
            .with_execution_providers([dispatch(provider)])
            .map_err(|error| refused(error.message().to_owned()))?;
    }
    builder.commit_from_memory(model).map_err(|error| fail(error.message().to_owned()))
}

fn prepared(
    builder: SessionBuilder,
    options: &EngineOptions,
    profile: Option<&Path>,
) -> Result<SessionBuilder, String> {
    let n_threads = options.n_threads.max(1);
    let mut builder =
        builder.with_intra_threads(n_threads).map_err(|error| error.message().to_owned())?;
    // Threads that wait for more work would take the processor from the reconstruction.
    builder = builder
        .with_config_entry("session.force_spinning_stop", "1")
        .map_err(|error| error.message().to_owned())?;
    if let Some(path) = profile {
        builder = builder.with_profiling(path).map_err(|error| error.message().to_owned())?;
    }
    Ok(builder)
}

/// The provider, which is an error where it cannot be had: the runtime would use the CPU without
/// a word.
fn dispatch(provider: Provider) -> ExecutionProviderDispatch {
    match provider {
        Provider::Tensorrt => TensorRT::default().build(),
        _ => CUDA::default().build(),
    }
    .error_on_failure()
}

/// The elements where they lie: nothing is copied.
fn input_value(tensor: &Tensor) -> Result<SessionInputValue<'_>, ort::Error> {
    let shape: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
    Ok(for_all!(tensor.elements(), values => {
        SessionInputValue::from(TensorRef::from_array_view((shape, values.as_slice()))?)
    }))
}

fn output_tensor(value: &DynValue) -> Result<Tensor, ort::Error> {
    use ort::value::TensorElementType as Element;
    fn of<T>(value: &DynValue, elements: impl Fn(Vec<T>) -> Elements) -> Result<Tensor, ort::Error>
    where
        T: ort::value::PrimitiveTensorElementType + Clone,
    {
        let (shape, values) = value.try_extract_tensor::<T>()?;
        let shape: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        Tensor::new(&shape, elements(values.to_vec())).map_err(ort::Error::wrap)
    }
    match value.dtype().tensor_type() {
        Some(Element::Float32) => of(value, Elements::F32),
        Some(Element::Float64) => of(value, Elements::F64),
        Some(Element::Uint8) => of(value, Elements::U8),
        Some(Element::Int32) => of(value, Elements::I32),
        Some(Element::Int64) => of(value, Elements::I64),
        other => Err(ort::Error::new(format!("an output has elements of type {other:?}"))),
    }
}

/// Operators by provider in a profile of ONNX Runtime, e.g. `CUDAExecutionProvider`.
fn placement_of(profile: &str) -> Result<Placement, serde_json::Error> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        name: String,
        #[serde(default)]
        args: Arguments,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Arguments {
        provider: Option<String>,
        node_index: Option<String>,
    }
    let events: Vec<Event> = serde_json::from_str(profile)?;
    // Each operator counts once, however many calls there were.
    let mut operators = BTreeMap::new();
    for Event { name, args } in events {
        if let (true, Some(provider)) = (name.ends_with("_kernel_time"), args.provider) {
            operators.insert((name, args.node_index), provider);
        }
    }
    let mut placement = Placement::new();
    for provider in operators.into_values() {
        *placement.entry(provider).or_default() += 1;
    }
    Ok(placement)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_of_a_profile_are_counted_once_by_provider() {
        let profile = r#"[{"name": "session_initialization", "args": {}},
            {"name": "conv_kernel_time", "args": {"provider": "CUDAExecutionProvider", "node_index": "1"}},
            {"name": "conv_kernel_time", "args": {"provider": "CUDAExecutionProvider", "node_index": "1"}},
            {"name": "shape_kernel_time", "args": {"provider": "CPUExecutionProvider", "node_index": "2"}},
            {"name": "conv_fence_before", "args": {"provider": "CUDAExecutionProvider"}}]"#;
        let placement = placement_of(profile).expect("JSON");
        assert_eq!(placement["CUDAExecutionProvider"], 1);
        assert_eq!(placement["CPUExecutionProvider"], 1);
    }
}
