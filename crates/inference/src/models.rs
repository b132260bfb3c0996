//! The models of a site: by name, loaded when they are wanted, shared by all scans.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::check::check;
use crate::engine::EngineOptions;
use crate::golden::GoldenSet;
use crate::guard::{ScanConditions, check_conditions};
use crate::lane::{Lane, Plan, State};
use crate::runtime::{Provider, ProviderChoice, find_libraries};
use crate::turns::Turns;
use crate::worker::WorkerProgram;
use crate::{Answer, InferenceError, Manifest, Request};

/// Bytes of a manifest: more is a mistake.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Bytes of a model that are held in memory.
const MAX_MODEL_BYTES: u64 = 2 << 30;

/// A model that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its manifest.
    pub manifest: &'static str,
    /// Its ONNX file.
    pub model: &'static [u8],
    /// Files of its golden set, by name.
    pub golden: &'static [(&'static str, &'static [u8])],
}

/// What a site sets.
#[derive(Clone, Debug, Default)]
pub struct ModelSettings {
    /// Folder of manifests and models; they go before the built-in ones.
    pub folder: Option<PathBuf>,
    /// Models that are part of the program.
    pub built_in: &'static [BuiltIn],
    /// What they run on.
    pub provider: ProviderChoice,
    /// The ONNX Runtime library, or its folder.
    pub library: Option<PathBuf>,
    /// Data folders, which a library may lie in.
    pub data: Vec<PathBuf>,
    /// Threads of one call [default: as many as there are cores].
    pub n_threads: Option<usize>,
    /// What the models that are loaded may take together, by their manifests, in MiB
    /// [default: half of the machine's memory].
    pub memory_mib: Option<usize>,
    /// The program that runs each model in a process of its own; [`None`]: in this one.
    pub worker: Option<WorkerProgram>,
    /// Whoever asks says how each model is: that is not logged as well.
    pub is_quiet: bool,
}

/// The models of a site.
pub struct Models {
    settings: ModelSettings,
    options: EngineOptions,
    turns: Arc<Turns>,
    open: Mutex<BTreeMap<String, Arc<Model>>>,
    n_openings: AtomicU64,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A model that can be asked.
pub struct Model {
    manifest: Arc<Manifest>,
    source: Source,
    lane: Lane,
    /// When it was last opened, in number of openings.
    opened: AtomicU64,
}

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(PathBuf, u64, Option<SystemTime>);

#[derive(Clone, Debug)]
enum Source {
    BuiltIn(BuiltIn),
    Files { manifest: Stamp, model: Stamp },
}

/// How a model is.
#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    /// It has not been loaded yet.
    NotLoaded,
    /// It is being loaded.
    Loading,
    /// It can be asked: on what it runs, in words.
    Ready(Provider, String),
    /// It cannot be asked.
    Refused(InferenceError),
}

/// A model in a list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// Whether it is part of the program.
    pub is_built_in: bool,
    /// Its manifest, where that can be read.
    pub manifest: Option<Arc<Manifest>>,
    /// How it is.
    pub health: Health,
}

/// Half of what the machine has; 4 GiB where it does not say.
fn half_of_memory_mib() -> usize {
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = about.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total_kib = total.and_then(|text| text.split_whitespace().next()?.parse::<usize>().ok());
    total_kib.map_or(4096, |kib| kib / 2048)
}

impl Models {
    /// Models as set. Nothing is loaded yet.
    pub fn new(settings: ModelSettings) -> Self {
        let libraries = find_libraries(settings.library.as_deref(), &settings.data);
        let wants_gpu = matches!(
            settings.provider,
            ProviderChoice::Cuda | ProviderChoice::Tensorrt | ProviderChoice::Auto
        );
        // A library with the part for GPUs goes first where one is wanted.
        let with_gpu = libraries.iter().find(|library| library.has_cuda && wants_gpu);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = EngineOptions {
            provider: settings.provider,
            n_threads: settings.n_threads.unwrap_or(cores),
            ..EngineOptions::default()
        };
        let mut options = options.with_library(with_gpu.or(libraries.first()));
        if options.library.is_none() {
            // That it is not there is said where it is wanted.
            options.library.clone_from(&settings.library);
        }
        let n_openings = AtomicU64::new(0);
        Self { settings, options, turns: Arc::default(), open: Mutex::default(), n_openings }
    }

    /// What networks are run with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// What the site has set.
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// Names of all models, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.built_in().map(|(manifest, _)| manifest.name).collect();
        let files = self.settings.folder.as_deref().and_then(|folder| folder.read_dir().ok());
        for entry in files.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "toml")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.dedup();
        names
    }

    /// All models and how they are, without loading any.
    pub fn list(&self) -> Vec<Listing> {
        let listing = |name: String| {
            let open = self.lock().get(&name).cloned();
            match self.read(&name) {
                Ok((manifest, source)) => {
                    let health = open.map_or(Health::NotLoaded, |model| model.health());
                    let is_built_in = matches!(source, Source::BuiltIn(_));
                    Listing { name, is_built_in, manifest: Some(Arc::new(manifest)), health }
                }
                Err(error) => {
                    let health = Health::Refused(error);
                    Listing { name, is_built_in: false, manifest: None, health }
                }
            }
        };
        self.names().into_iter().map(listing).collect()
    }

    /// A model by name. It is loaded in the background where it is not yet, and again where its
    /// files have changed.
    ///
    /// # Errors
    /// [`InferenceError`]: no such model, or one that cannot be right. What only the runtime
    /// knows is said by [`Model::wait_until_ready`].
    pub fn open(&self, name: &str) -> Result<Arc<Model>, InferenceError> {
        let mut open = self.lock();
        let opening = self.n_openings.fetch_add(1, Ordering::Relaxed);
        if let Some(model) = open.get(name) {
            if model.source.is_unchanged() {
                model.opened.store(opening, Ordering::Relaxed);
                return Ok(Arc::clone(model));
            }
            let was_deleted = model.source.is_deleted();
            open.remove(name);
            if was_deleted && self.read(name).is_err() {
                return Err(InferenceError::Deleted(name.to_owned()));
            }
        }
        let (manifest, source) = self.read(name)?;
        let manifest = Arc::new(manifest);
        let golden = self.golden(&manifest, &source)?;
        // The file is read twice: now, so that faults are told at once, and to load it.
        source.read(&manifest)?;
        self.make_room(&mut open, &manifest)?;
        let (own, own_manifest) = (source.clone(), Arc::clone(&manifest));
        let lane = Lane::start(Plan {
            manifest: Arc::clone(&manifest),
            options: self.options.clone(),
            worker: self.settings.worker.clone(),
            golden,
            read: Box::new(move || own.read(&own_manifest)),
            turns: Arc::clone(&self.turns),
            is_quiet: self.settings.is_quiet,
        });
        let opened = AtomicU64::new(opening);
        let model = Arc::new(Model { manifest, source, lane, opened });
        open.insert(name.to_owned(), Arc::clone(&model));
        Ok(model)
    }

    /// Puts models away that nobody uses, the longest unused first, until there is memory for
    /// another.
    fn make_room(
        &self,
        open: &mut BTreeMap<String, Arc<Model>>,
        manifest: &Manifest,
    ) -> Result<(), InferenceError> {
        let limit_mib = self.settings.memory_mib.unwrap_or_else(half_of_memory_mib);
        let needed_mib = manifest.budget.memory_mib;
        loop {
            let used_mib: usize = open.values().map(|model| model.manifest.budget.memory_mib).sum();
            if used_mib.saturating_add(needed_mib) <= limit_mib {
                return Ok(());
            }
            let unused = open.iter().filter(|(_, model)| model.lane.is_idle());
            let oldest = unused.min_by_key(|(_, model)| model.opened.load(Ordering::Relaxed));
            let Some(name) = oldest.map(|(name, _)| name.clone()) else {
                let model = manifest.name.clone();
                return Err(InferenceError::Memory { model, needed_mib, used_mib, limit_mib });
            };
            tracing::info!("model {name} makes room for {}", manifest.name);
            if let Some(model) = open.remove(&name) {
                model.lane.close();
            }
        }
    }

    /// The manifest and the file of a model, which is the one that the manifest is for.
    ///
    /// # Errors
    /// [`InferenceError`]: no such model, or another file.
    pub fn files(&self, name: &str) -> Result<(Manifest, Cow<'static, [u8]>), InferenceError> {
        let (manifest, source) = self.read(name)?;
        let bytes = source.read(&manifest)?;
        Ok((manifest, bytes))
    }

    /// Loads all models in the background, one after the other, as long as there is memory for
    /// them. Faults are logged.
    pub fn warm_up(self: &Arc<Self>) {
        let models = Arc::clone(self);
        let warm_up = move || {
            for name in models.names() {
                // Whoever has opened it is told how it is.
                if models.lock().contains_key(&name) {
                    continue;
                }
                if !models.has_room_for(&name) {
                    tracing::info!("model {name} is loaded when it is wanted: memory");
                    continue;
                }
                let loaded = models.open(&name).and_then(|model| model.wait_until_ready());
                if let Err(error) = loaded {
                    tracing::warn!("{error}: chains with this model use their fallback");
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("models".to_owned()).spawn(warm_up) {
            tracing::warn!("models are loaded when they are wanted only: {error}");
        }
    }

    fn has_room_for(&self, name: &str) -> bool {
        let Ok((manifest, _)) = self.read(name) else { return true };
        let used: usize = self.lock().values().map(|open| open.manifest.budget.memory_mib).sum();
        let limit_mib = self.settings.memory_mib.unwrap_or_else(half_of_memory_mib);
        used.saturating_add(manifest.budget.memory_mib) <= limit_mib
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Model>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn built_in(&self) -> impl Iterator<Item = (Manifest, BuiltIn)> {
        self.settings
            .built_in
            .iter()
            .filter_map(|built_in| Some((Manifest::parse(built_in.manifest).ok()?, *built_in)))
    }

    /// Manifest and files of a model.
    fn read(&self, name: &str) -> Result<(Manifest, Source), InferenceError> {
        let is_plain = !name.contains(['/', '\\']) && !name.starts_with('.');
        if let Some(folder) = self.settings.folder.as_deref().filter(|_| is_plain) {
            let path = folder.join(format!("{name}.toml"));
            if path.is_file() {
                return read_files(name, folder, &path);
            }
        }
        let built_in = self.built_in().find(|(manifest, _)| manifest.name == name);
        let (manifest, built_in) = built_in.ok_or_else(|| InferenceError::Unknown {
            name: name.to_owned(),
            known: self.names(),
        })?;
        Ok((manifest, Source::BuiltIn(built_in)))
    }

    fn golden(
        &self,
        manifest: &Manifest,
        source: &Source,
    ) -> Result<Option<GoldenSet>, InferenceError> {
        let Some(name) = manifest.golden_folder() else { return Ok(None) };
        let set = match source {
            Source::BuiltIn(built_in) => GoldenSet::read_with(manifest, |name| {
                let file = built_in.golden.iter().find(|(known, _)| *known == name);
                Ok(file.map(|(_, bytes)| bytes.to_vec()))
            }),
            Source::Files { manifest: Stamp(path, ..), .. } => {
                let folder = path.parent().unwrap_or(Path::new("."));
                GoldenSet::read(&folder.join(name), manifest)
            }
        };
        let model = manifest.name.clone();
        set.map(Some).map_err(|error| InferenceError::GoldenSet { model, error })
    }
}

fn read_files(
    name: &str,
    folder: &Path,
    path: &Path,
) -> Result<(Manifest, Source), InferenceError> {
    let model = || name.to_owned();
    let unreadable = |path: &Path, reason: String| InferenceError::File {
        model: model(),
        path: path.to_owned(),
        reason,
    };
    let stamp = Stamp::of(path).map_err(|error| unreadable(path, error.to_string()))?;
    if stamp.1 > MAX_MANIFEST_BYTES {
        return Err(unreadable(path, format!("{} bytes are too many", stamp.1)));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| unreadable(path, error.to_string()))?;
    let manifest = Manifest::parse(&text)
        .map_err(|error| InferenceError::Manifest { model: model(), error })?;
    if manifest.name != name {
        let what = format!("`{}` is not the name of its file, {name}.toml", manifest.name);
        let error = crate::manifest::ManifestError { place: "name".to_owned(), what };
        return Err(InferenceError::Manifest { model: model(), error });
    }
    let file = folder.join(manifest.file_name());
    let model_stamp = Stamp::of(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            InferenceError::Missing { model: model(), path: file.clone() }
        }
        _ => unreadable(&file, error.to_string()),
    })?;
    Ok((manifest, Source::Files { manifest: stamp, model: model_stamp }))
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let about = std::fs::metadata(path)?;
        Ok(Self(path.to_owned(), about.len(), about.modified().ok()))
    }

    fn is_unchanged(&self) -> bool {
        Self::of(&self.0).is_ok_and(|now| now == *self)
    }
}

impl Source {
    fn is_unchanged(&self) -> bool {
        match self {
            Self::BuiltIn(_) => true,
            Self::Files { manifest, model } => manifest.is_unchanged() && model.is_unchanged(),
        }
    }

    fn is_deleted(&self) -> bool {
        match self {
            Self::BuiltIn(_) => false,
            Self::Files { manifest, model } => !manifest.0.exists() || !model.0.exists(),
        }
    }

    /// The model's bytes, which are those that the manifest is for.
    fn read(&self, manifest: &Manifest) -> Result<Cow<'static, [u8]>, InferenceError> {
        let model = || manifest.name.clone();
        let bytes = match self {
            Self::BuiltIn(built_in) => Cow::Borrowed(built_in.model),
            Self::Files { model: Stamp(path, ..), .. } => {
                let fail = |reason: String| InferenceError::File {
                    model: model(),
                    path: path.clone(),
                    reason,
                };
                let about = std::fs::metadata(path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => InferenceError::Deleted(model()),
                    _ => fail(error.to_string()),
                })?;
                if about.len() > MAX_MODEL_BYTES {
                    return Err(fail(format!("{} bytes are too many", about.len())));
                }
                Cow::Owned(std::fs::read(path).map_err(|error| fail(error.to_string()))?)
            }
        };
        check(manifest, &bytes)
            .map_err(|difference| InferenceError::Differs { model: model(), difference })?;
        Ok(bytes)
    }
}

impl Model {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Waits until it is loaded, and gives what it runs on.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn wait_until_ready(&self) -> Result<Provider, InferenceError> {
        self.lane.wait_until_ready().map(|ready| ready.provider)
    }

    /// The same, and an error where it does not run on what is required.
    ///
    /// # Errors
    /// Why it cannot be asked; [`InferenceError::Required`].
    pub fn require(&self, required: Option<Provider>) -> Result<Provider, InferenceError> {
        let found = self.wait_until_ready()?;
        match required {
            Some(required) if required != found => {
                Err(InferenceError::Required { model: self.manifest.name.clone(), found, required })
            }
            _ => Ok(found),
        }
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        match self.lane.state() {
            State::Loading => Health::Loading,
            State::Ready(ready) => Health::Ready(ready.provider, ready.summary()),
            State::Refused(error) => Health::Refused(error),
        }
    }

    /// Asks whether it was made for a scan.
    ///
    /// # Errors
    /// [`InferenceError::Guard`].
    pub fn check_conditions(&self, scan: &ScanConditions) -> Result<(), InferenceError> {
        check_conditions(&self.manifest, scan)
            .map_err(|breach| InferenceError::Guard { model: self.manifest.name.clone(), breach })
    }

    /// Asks for an answer, and waits for it. Its outputs have passed their guards.
    ///
    /// # Errors
    /// [`InferenceError`]: the classical method has to run.
    pub fn run(&self, request: Request) -> Result<Answer, InferenceError> {
        let name = || self.manifest.name.clone();
        let answer = self.lane.run(request)?;
        for output in &self.manifest.outputs {
            let tensor = answer.output(&output.name).ok_or_else(|| InferenceError::Engine {
                model: name(),
                error: crate::EngineError::Call(format!("there is no output `{}`", output.name)),
            })?;
            crate::guard::check_output(output, tensor)
                .map_err(|breach| InferenceError::Guard { model: name(), breach })?;
        }
        Ok(answer)
    }
}
