//! What a site can set.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ismrmrd::wire::Limits;
use pipeline::Services;
use pipeline::noise::NoiseLimits;

use crate::ImageTap;
use crate::live::LiveSettings;

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at the same time; one more is refused with a sentence.
    pub max_sessions: usize,
    /// Largest messages that are accepted.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The journal, [`None`] for none.
    pub journal: Option<JournalSettings>,
    /// Folder for gadgets that keep files, [`None`] for none.
    pub save_dir: Option<PathBuf>,
    /// Noise that is kept for later scans.
    pub noise: NoiseSettings,
    /// What gadgets are given beside their scan.
    pub services: Services,
    /// What can be watched of sessions and images.
    pub live: LiveSettings,
    /// Who else gets every image, [`None`] for nobody.
    pub image_tap: Option<Arc<dyn ImageTap>>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From one byte of the client to the next while the scan runs.
    pub idle: Duration,
    /// From the connection to its end.
    pub total: Duration,
    /// For the client to take a piece of what is sent to it.
    pub write: Duration,
    /// After our CLOSE, for the client to close the connection.
    pub drain: Duration,
    /// At shutdown, for running scans to finish.
    pub shutdown: Duration,
}

/// Noise that is kept for later scans.
#[derive(Clone, Debug, Default)]
pub struct NoiseSettings {
    /// File that it outlives the server in, [`None`] for none.
    pub file: Option<PathBuf>,
    /// How much is kept, and for how long.
    pub limits: NoiseLimits,
}

/// Where the journal lies and how large it may grow.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// Folder of the journal's files.
    pub directory: PathBuf,
    /// The oldest sessions are deleted so that all of them stay below this.
    pub max_bytes: u64,
    /// Older sessions are deleted.
    pub max_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_sessions: 32,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            journal: None,
            save_dir: None,
            noise: NoiseSettings::default(),
            services: Services::default(),
            live: LiveSettings::default(),
            image_tap: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15 * 60),
            total: Duration::from_secs(6 * 3600),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            shutdown: Duration::from_secs(10 * 60),
        }
    }
}

impl JournalSettings {
    /// Sessions of the last 7 days and at most 20 GiB, in `directory`.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory, max_bytes: 20 << 30, max_age: Duration::from_secs(7 * 24 * 3600) }
    }
}
