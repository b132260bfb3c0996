//! The ONNX Runtime library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};
use serde::Deserialize;

use super::{EngineError, EngineOptions, Placement};
use crate::Tensor;
use crate::runtime::{LEAST_RUNTIME, Provider, ProviderChoice};
use crate::tensor::{Elements, for_all};

/// A network in ONNX Runtime.
pub(super) struct LibraryEngine {
    session: Session,
    provider: Provider,
    runtime: String,
    profile: Option<PathBuf>,
}

/// The library that this process has started; there is one for its whole life.
struct Started {
    environment: Environment,
    name: String,
}

static STARTED: OnceLock<Result<Started, EngineError>> = OnceLock::new();

fn start(path: &Path) -> Result<Started, EngineError> {
    let fail = |reason: String| EngineError::Library { path: path.to_owned(), reason };
    if path.is_dir() {
        return Err(fail("there is no libonnxruntime.so in this folder".to_owned()));
    }
    if !path.exists() {
        return Err(fail("there is no such file".to_owned()));
    }
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
    Ok(Started { environment, name: format!("ONNX Runtime {version}") })
}

impl LibraryEngine {
    /// As [`super::Engine::load`].
    pub fn load(
        library: &Path,
        model: &[u8],
        options: &EngineOptions,
        profile: Option<&Path>,
    ) -> Result<Self, EngineError> {
        let started = STARTED.get_or_init(|| start(library)).as_ref().map_err(Clone::clone)?;
        let runtime = started.name.clone();
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

    /// Name and version.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// As [`super::Engine::placement`].
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

    /// As [`super::Engine::run`].
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
    let mut builder = prepared(builder, options, profile).map_err(fail)?;
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
