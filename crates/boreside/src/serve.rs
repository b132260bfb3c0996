//! `boreside serve`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use pipeline::Services;
use serde::Deserialize;
use server::control::log_tail::LogTail;
use server::{JournalSettings, Server, Settings};

use crate::cli::{ChainFolder, DataFolder, ModelOptions};
use crate::control::{self, HttpSettings};
use crate::dicom::DicomSettings;
use crate::noise::ARCHIVE;
use crate::{gadgets, maps, models};

/// Settings come from flags, then from variables (BORESIDE_…), then from the settings file.
#[derive(Args)]
pub struct ServeOptions {
    #[command(flatten)]
    pub settings: ServeSettings,
    #[command(flatten)]
    pub http: HttpSettings,
    #[command(flatten)]
    pub dicom: DicomSettings,
    /// Settings file (TOML): the names of these flags with underscores
    #[arg(long, env = "BORESIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What a site can set, the same by flag, variable and file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSettings {
    /// Address and port for scanners and clients; port 0 takes a free one [default: 0.0.0.0:9002]
    #[arg(long, env = "BORESIDE_LISTEN", value_name = "ADDR")]
    pub listen: Option<String>,
    /// Folder for journals and saved data [default: ~/.local/state/boreside]
    #[arg(long, env = "BORESIDE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of chain files; they go before the built-in ones
    #[arg(long, env = "BORESIDE_CHAINS", value_name = "DIR", value_parser = crate::cli::folder)]
    pub chains: Option<PathBuf>,
    /// Folder of models (manifests and .onnx files); they go before the built-in ones
    #[arg(long, env = "BORESIDE_MODELS", value_name = "DIR", value_parser = crate::cli::folder)]
    pub models: Option<PathBuf>,
    /// What networks run on: auto, cuda, tensorrt, cpu or embedded [default: auto]
    #[arg(long, env = "BORESIDE_PROVIDER", value_name = "PROVIDER", value_parser = crate::cli::provider)]
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
    /// Keep no journal of what arrives
    #[arg(long, env = "BORESIDE_NO_JOURNAL", num_args = 0..=1, default_missing_value = "true")]
    pub no_journal: Option<bool>,
    /// The journal's size in GiB; the oldest sessions are deleted [default: 20]
    #[arg(long, env = "BORESIDE_JOURNAL_GIB", value_name = "N")]
    pub journal_gib: Option<f64>,
    /// The journal's age in days; older sessions are deleted [default: 7]
    #[arg(long, env = "BORESIDE_JOURNAL_DAYS", value_name = "N")]
    pub journal_days: Option<f64>,
    /// Hours that noise scans are kept for later scans [default: 48]
    #[arg(long, env = "BORESIDE_NOISE_HOURS", value_name = "N")]
    pub noise_hours: Option<f64>,
    /// Memory and disk for noise scans in MiB; the oldest are forgotten [default: 256]
    #[arg(long, env = "BORESIDE_NOISE_MIB", value_name = "N")]
    pub noise_mib: Option<f64>,
    /// Sessions at the same time [default: 32]
    #[arg(long, env = "BORESIDE_MAX_SESSIONS", value_name = "N")]
    pub max_sessions: Option<usize>,
    /// Largest image or array from a client in MiB [default: 4096]
    #[arg(long, env = "BORESIDE_MAX_MESSAGE_MIB", value_name = "N")]
    pub max_message_mib: Option<usize>,
    /// Seconds without a byte from the client that end its session [default: 900]
    #[arg(long, env = "BORESIDE_IDLE_TIMEOUT_S", value_name = "S")]
    pub idle_timeout_s: Option<f64>,
    /// Seconds that a session may last [default: 21600]
    #[arg(long, env = "BORESIDE_TOTAL_TIMEOUT_S", value_name = "S")]
    pub total_timeout_s: Option<f64>,
    /// Seconds for a client to take something of what is sent to it [default: 30]
    #[arg(long, env = "BORESIDE_WRITE_TIMEOUT_S", value_name = "S")]
    pub write_timeout_s: Option<f64>,
    /// Seconds without a byte after our CLOSE until the connection is closed [default: 5]
    #[arg(long, env = "BORESIDE_DRAIN_TIMEOUT_S", value_name = "S")]
    pub drain_timeout_s: Option<f64>,
    /// Seconds for running scans to finish at shutdown [default: 600]
    #[arg(long, env = "BORESIDE_SHUTDOWN_TIMEOUT_S", value_name = "S")]
    pub shutdown_timeout_s: Option<f64>,
}

impl ServeSettings {
    /// These settings, and those of the file where there is none here.
    fn or(self, file: Self) -> Self {
        macro_rules! first_of {
            ($($field:ident)*) => { Self { $($field: self.$field.or(file.$field),)* } };
        }
        first_of! {
            listen data chains models provider onnxruntime model_threads models_mib models_in_process no_journal journal_gib journal_days noise_hours noise_mib max_sessions
            max_message_mib
            idle_timeout_s total_timeout_s write_timeout_s drain_timeout_s shutdown_timeout_s
        }
    }

    /// The networks.
    fn networks(&self) -> ModelOptions {
        ModelOptions {
            models: self.models.clone(),
            provider: self.provider,
            onnxruntime: self.onnxruntime.clone(),
            model_threads: self.model_threads,
            models_mib: self.models_mib,
            models_in_process: self.models_in_process,
        }
    }

    /// The server's settings.
    fn resolve(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        let data = DataFolder { data: self.data.clone() }.path();
        settings.save_dir = Some(data.join("saved"));
        settings.noise.file = Some(data.join(ARCHIVE));
        if let Some(hours) = self.noise_hours {
            settings.noise.limits.max_age = seconds("noise-hours", hours * 3600.0)?;
        }
        if let Some(mib) = self.noise_mib {
            settings.noise.limits.max_bytes = (positive("noise-mib", mib)? * 1048576.0) as usize;
        }
        if self.no_journal != Some(true) {
            let mut journal = JournalSettings::in_directory(data.join("journal"));
            if let Some(gib) = self.journal_gib {
                let bytes = positive("journal-gib", gib)? * f64::from(1 << 30);
                journal.max_bytes = bytes as u64;
            }
            if let Some(days) = self.journal_days {
                journal.max_age = seconds("journal-days", days * 86_400.0)?;
            }
            settings.journal = Some(journal);
        }
        if let Some(max_sessions) = self.max_sessions {
            if max_sessions == 0 {
                bail!("--max-sessions is 0: nobody could connect");
            }
            settings.max_sessions = max_sessions;
        }
        if let Some(mib) = self.max_message_mib {
            let bytes = mib.saturating_mul(1 << 20);
            let limits = &mut settings.limits;
            for limit in [
                &mut limits.max_text_bytes,
                &mut limits.max_acquisition_bytes,
                &mut limits.max_waveform_bytes,
                &mut limits.max_image_bytes,
                &mut limits.max_blob_bytes,
            ] {
                *limit = bytes.min(*limit);
            }
            limits.max_array_bytes = bytes;
        }
        let timeouts = &mut settings.timeouts;
        for (name, value, timeout) in [
            ("idle-timeout-s", self.idle_timeout_s, &mut timeouts.idle),
            ("total-timeout-s", self.total_timeout_s, &mut timeouts.total),
            ("write-timeout-s", self.write_timeout_s, &mut timeouts.write),
            ("drain-timeout-s", self.drain_timeout_s, &mut timeouts.drain),
            ("shutdown-timeout-s", self.shutdown_timeout_s, &mut timeouts.shutdown),
        ] {
            if let Some(value) = value {
                *timeout = seconds(name, value)?;
            }
        }
        Ok(settings)
    }
}

fn positive(name: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        bail!("--{name} {value} is not a positive number")
    }
}

fn seconds(name: &str, value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(positive(name, value)?).with_context(|| format!("--{name}"))
}

/// A settings file.
#[derive(Debug, Default)]
struct SettingsFile {
    settings: ServeSettings,
    http: HttpSettings,
    dicom: DicomSettings,
}

impl SettingsFile {
    /// All names stand beside each other; each belongs to one of the three.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let (http, rest) = toml::from_str::<toml::Table>(text)?
            .into_iter()
            .partition::<toml::Table, _>(|(name, _)| HttpSettings::has(name));
        let (dicom, settings) =
            rest.into_iter().partition::<toml::Table, _>(|(name, _)| DicomSettings::has(name));
        Ok(Self {
            settings: settings.try_into()?,
            http: http.try_into()?,
            dicom: dicom.try_into()?,
        })
    }
}

fn read_settings(path: &Path) -> Result<SettingsFile> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("settings file {}", path.display()))?;
    SettingsFile::parse(&text).with_context(|| format!("settings file {}", path.display()))
}

/// Serves until it is told to stop. `log`: its last lines, for those who follow it.
pub fn run(options: ServeOptions, log: Arc<LogTail>) -> Result<()> {
    let (settings, http, dicom) = match &options.config {
        Some(path) => {
            let file = read_settings(path)?;
            let dicom = options.dicom.or(file.dicom);
            (options.settings.or(file.settings), options.http.or(file.http), dicom)
        }
        None => (options.settings, options.http, options.dicom),
    };
    // Those of a settings file were not looked at yet.
    for folder in [&settings.chains, &settings.models].into_iter().flatten() {
        if !folder.is_dir() {
            bail!("there is no folder {}", folder.display());
        }
    }
    let address = settings.listen.clone().unwrap_or_else(|| "0.0.0.0:9002".to_owned());
    let chains = gadgets::library(&ChainFolder { chains: settings.chains.clone() });
    let networks =
        models::service(&settings.networks(), &DataFolder { data: settings.data.clone() });
    let data = DataFolder { data: settings.data.clone() }.path();
    let data_folder = DataFolder { data: settings.data.clone() };
    let mut settings = settings.resolve()?;
    settings.live = http.live(&data)?;
    let outbox = dicom.outbox(&data)?;
    dicom.start(&outbox)?;
    settings.image_tap = dicom.tap(&outbox)?;
    settings.services =
        Services::default().with(Arc::clone(&networks)).with(maps::service(Some(&data)));
    settings.services = settings.services.with(Arc::clone(&outbox));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("sockets")
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8))
        .build()
        .context("the sockets' threads cannot be started")?;
    let (cut_off, control) = runtime.block_on(async {
        let server = Server::bind(address, settings, chains).await?;
        let control = control::start(&http, &server, &networks, data_folder, log)?;
        outln!("listening on {}", server.local_addr()?);
        if let Some((_, url)) = &control {
            outln!("viewer and control plane on {url}");
        }
        // Scans may come while networks are loaded.
        networks.warm_up();
        let cut_off = server.run(stop_signal()).await;
        Ok::<_, anyhow::Error>((cut_off, control))
    })?;
    // Those who watch have seen how the last session ends.
    if let Some((control, _)) = control {
        control.stop();
    }
    // Sessions may still hold it, and nothing that they made may be lost.
    outbox.close();
    // Threads of a chain that hangs would keep the program from ending.
    runtime.shutdown_background();
    if cut_off > 0 {
        bail!("{cut_off} sessions were still running when their time was over");
    }
    Ok(())
}

/// Ready when the program is told to stop: SIGTERM or Ctrl-C. A second one ends it at once.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!("SIGTERM cannot be caught: {error}");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        std::process::exit(130);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file_and_unknown_names_are_refused() {
        let text = "max_sessions = 3\nhttp = \"none\"\nidle_timeout_s = 2";
        let SettingsFile { settings: file, http, .. } = SettingsFile::parse(text).expect("good");
        assert_eq!(http.http.as_deref(), Some("none"));
        let flags = ServeSettings { max_sessions: Some(9), ..ServeSettings::default() };
        let settings = flags.or(file).resolve().expect("all values are good");
        assert_eq!(settings.max_sessions, 9);
        assert_eq!(settings.timeouts.idle, Duration::from_secs(2));
        assert!(SettingsFile::parse("max_session = 3").is_err());
        assert!(SettingsFile::parse("http = 3").is_err());
        let bad = ServeSettings { idle_timeout_s: Some(-1.0), ..ServeSettings::default() };
        assert!(bad.resolve().is_err());
    }
}
