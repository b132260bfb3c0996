//! A server process under measurement: time and memory of it and its children, from /proc.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of the kernel's process clock in a second, on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is ended with this value.
pub struct Process(Child);

impl Process {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Self(child))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor seconds of a process and of all its descendants, those that have ended too.
pub fn cpu_seconds(root: u32) -> f64 {
    tree(root).values().map(|stat| stat.cpu_ticks).sum::<f64>() / TICKS_PER_SECOND
}

/// Watches the memory of a process and its descendants.
pub struct PeakMemory {
    stop: Arc<AtomicBool>,
    peak_bytes: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl PeakMemory {
    /// Begins to watch.
    pub fn watch(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let peak_bytes = Arc::new(AtomicU64::new(0));
        let (own_stop, own_peak) = (Arc::clone(&stop), Arc::clone(&peak_bytes));
        let thread = std::thread::spawn(move || {
            while !own_stop.load(Ordering::Relaxed) {
                let bytes = tree(root).keys().map(|&pid| resident_bytes(pid)).sum();
                own_peak.fetch_max(bytes, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { stop, peak_bytes, thread }
    }

    /// The most that was seen, in bytes.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // It does nothing that panics.
        let _ = self.thread.join();
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

struct Stat {
    parent: u32,
    cpu_ticks: f64,
}

fn tree(root: u32) -> HashMap<u32, Stat> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(stat) = stat(pid)
        {
            all.insert(pid, stat);
        }
    }
    let is_descendant = |mut pid: u32| {
        for _ in 0..64 {
            if pid == root {
                return true;
            }
            match all.get(&pid) {
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        }
        false
    };
    let keep: Vec<_> = all.keys().copied().filter(|&pid| is_descendant(pid)).collect();
    keep.into_iter().filter_map(|pid| all.remove(&pid).map(|stat| (pid, stat))).collect()
}

/// Fields 4, 14 to 17 of /proc/PID/stat: parent, own time, time of children waited for.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let cpu_ticks = (11..=14).filter_map(number).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, cpu_ticks })
}

fn resident_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
