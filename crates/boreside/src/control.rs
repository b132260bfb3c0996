//! The control plane's options, and what the program gives it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use inference::{Health, Listing, Models};
use pipeline::Remedy;
use serde::Deserialize;
use server::control::log_tail::LogTail;
use server::control::{
    ControlError, ControlLimits, ControlPlane, ControlSettings, RunningControlPlane, Sources,
    TlsFiles, Token,
};
use server::{LiveSettings, Server, StoreLimits, proto};

use crate::cli::DataFolder;
use crate::recordings::Recordings;

/// Where the viewer is if nothing else is said.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9080";
/// The database of images in the folder for data.
const ARCHIVE: &str = "images.redb";

macro_rules! http_settings {
    ($($(#[$attribute:meta])* $field:ident: $type:ty,)*) => {
        /// What a site can set of the viewer and the control plane, the same by flag, variable and
        /// file.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct HttpSettings {
            $($(#[$attribute])* pub $field: Option<$type>,)*
        }

        impl HttpSettings {
            /// These settings, and those of the file where there is none here.
            pub fn or(self, file: Self) -> Self {
                Self { $($field: self.$field.or(file.$field),)* }
            }

            /// Whether a name of the settings file is one of these.
            pub fn has(name: &str) -> bool {
                [$(stringify!($field)),*].contains(&name)
            }
        }
    };
}

http_settings! {
    /// Address and port of the viewer and the control plane, or none; port 0 takes a free one. Beyond this machine it needs a token and TLS [default: 127.0.0.1:9080]
    #[arg(long, env = "BORESIDE_HTTP", value_name = "ADDR|none")]
    http: String,
    /// File with the token that clients of the control plane must send
    #[arg(long, env = "BORESIDE_HTTP_TOKEN_FILE", value_name = "FILE")]
    http_token_file: PathBuf,
    /// Certificate of the control plane (PEM), for TLS
    #[arg(long, env = "BORESIDE_HTTP_TLS_CERT", value_name = "FILE", requires = "http_tls_key")]
    http_tls_cert: PathBuf,
    /// Key of that certificate (PEM)
    #[arg(long, env = "BORESIDE_HTTP_TLS_KEY", value_name = "FILE")]
    http_tls_key: PathBuf,
    /// Show patients' names and numbers in the viewer and the control plane
    #[arg(long, env = "BORESIDE_SHOW_PATIENTS", num_args = 0..=1, default_missing_value = "true")]
    show_patients: bool,
    /// Memory for images that can be watched, in MiB; the oldest are forgotten [default: 512]
    #[arg(long, env = "BORESIDE_IMAGES_MIB", value_name = "N")]
    images_mib: usize,
    /// Keep these images on disk as well, so that they are there after a restart
    #[arg(long, env = "BORESIDE_KEEP_IMAGES", num_args = 0..=1, default_missing_value = "true")]
    keep_images: bool,
    /// Folder of recordings that the control plane can replay
    #[arg(long, env = "BORESIDE_RECORDINGS", value_name = "DIR", value_parser = crate::cli::folder)]
    recordings: PathBuf,
    /// Viewers and scripts that may watch at once [default: 64]
    #[arg(long, env = "BORESIDE_MAX_WATCHERS", value_name = "N")]
    max_watchers: usize,
    /// Connections to the control plane at once [default: 256]
    #[arg(long, env = "BORESIDE_MAX_HTTP_CONNECTIONS", value_name = "N")]
    max_http_connections: usize,
    /// Seconds that a watcher may take nothing of what is sent to it [default: 30]
    #[arg(long, env = "BORESIDE_WATCH_STALL_S", value_name = "S")]
    watch_stall_s: f64,
}

impl HttpSettings {
    fn is_off(&self) -> bool {
        self.http.as_deref() == Some("none")
    }

    /// What is kept of images.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub fn live(&self, data: &Path) -> Result<LiveSettings> {
        let mut limits = StoreLimits::default();
        if let Some(mib) = self.images_mib {
            if mib == 0 {
                bail!(
                    "--images-mib is 0: nothing could be watched; leave the viewer out with --http none"
                );
            }
            limits.max_bytes = mib.saturating_mul(1 << 20);
        }
        Ok(LiveSettings {
            images: (!self.is_off()).then_some(limits),
            hides_patients: self.show_patients != Some(true),
            archive: (self.keep_images == Some(true)).then(|| data.join(ARCHIVE)),
        })
    }

    /// Where it listens, and for whom.
    fn control(&self) -> Result<ControlSettings> {
        let text = self.http.as_deref().unwrap_or(DEFAULT_ADDRESS);
        let address: SocketAddr = text
            .to_socket_addrs()
            .with_context(|| format!("--http {text} is no address: write HOST:PORT, or none"))?
            .next()
            .with_context(|| format!("--http {text} has no address"))?;
        let token = self.http_token_file.as_deref().map(Token::read).transpose();
        let tls = match (&self.http_tls_cert, &self.http_tls_key) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => None,
            _ => bail!("TLS needs both --http-tls-cert and --http-tls-key"),
        };
        let mut limits = ControlLimits::default();
        for (name, value, limit) in [
            ("max-watchers", self.max_watchers, &mut limits.max_watchers),
            ("max-http-connections", self.max_http_connections, &mut limits.max_connections),
        ] {
            match value {
                Some(0) => bail!("--{name} is 0: nobody could watch"),
                Some(value) => *limit = value,
                None => {}
            }
        }
        if let Some(stall_s) = self.watch_stall_s {
            limits.stall = std::time::Duration::try_from_secs_f64(stall_s)
                .ok()
                .filter(|stall| !stall.is_zero())
                .with_context(|| format!("--watch-stall-s {stall_s} is not a positive number"))?;
        }
        Ok(ControlSettings { address, token: token.map_err(anyhow::Error::msg)?, tls, limits })
    }
}

/// Starts the control plane; gives it and its URL. [`None`] where none is wanted, and where the
/// usual port is taken: that never keeps a scanner waiting.
///
/// # Errors
/// Settings that cannot be met.
pub fn start(
    http: &HttpSettings,
    server: &Server,
    networks: &Arc<Models>,
    data: DataFolder,
    log: Arc<LogTail>,
) -> Result<Option<(RunningControlPlane, String)>> {
    if http.is_off() {
        return Ok(None);
    }
    let networks = Arc::clone(networks);
    let sources = Sources {
        models: Arc::new(move || networks.list().into_iter().map(model).collect()),
        replayer: Arc::new(Recordings::new(http.recordings.clone(), data)),
        log,
    };
    let control = match ControlPlane::bind(http.control()?, server, sources) {
        Ok(control) => control,
        Err(error @ ControlError::Listen { .. }) if http.http.is_none() => {
            tracing::warn!("no viewer and no control plane: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let url = control.url();
    Ok(Some((control.start()?, url)))
}

/// A model as the control plane tells of it.
fn model(listing: Listing) -> proto::Model {
    use proto::model::Health as Told;
    let Listing { name, is_built_in, manifest, health } = listing;
    let mut model = proto::Model { name, is_built_in, ..proto::Model::default() };
    let told = match health {
        Health::NotLoaded => Told::NotLoaded,
        Health::Loading => Told::Loading,
        Health::Ready(provider, runtime) => {
            provider.name().clone_into(&mut model.provider);
            model.runtime = runtime;
            Told::Ready
        }
        Health::Refused(error) => {
            model.problem = error.to_string();
            error.remedy().clone_into(&mut model.remedy);
            Told::Refused
        }
    };
    model.health = told.into();
    if let Some(manifest) = manifest {
        model.version.clone_from(&manifest.version);
        model.description.clone_from(&manifest.provenance);
        model.sha256.clone_from(&manifest.sha256);
        model.licence.clone_from(&manifest.licence);
        model.intended_use.clone_from(&manifest.intended_use);
        model.budget_ms = manifest.budget.time_ms;
    }
    model
}
