//! The folder of a set.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use phantom::{ArrayDescription, Dataset};
use rayon::prelude::*;
use serde::Serialize;

use super::npy::{self, NpyFile};

/// Name of the description, which is written last: a folder without it is no whole set.
const DESCRIPTION: &str = "dataset.json";

const GIB: f64 = (1_u64 << 30) as f64;

/// How many cases, and where they go.
#[derive(Args)]
#[command(next_help_heading = "Set")]
pub struct SetOptions {
    /// Cases
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    cases: u64,
    /// Seed of everything that is drawn; a case is the same whatever the number of cases
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// New or empty folder
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Largest size of the set in GiB
    #[arg(long, default_value_t = 64.0, value_name = "GIB")]
    max_gib: f64,
}

/// What `dataset.json` says.
#[derive(Serialize)]
struct Description<'a> {
    kind: &'a str,
    n_cases: u64,
    seed: u64,
    boreside_version: &'a str,
    command_line: Vec<String>,
    arrays: Vec<Array<'a>>,
}

#[derive(Serialize)]
struct Array<'a> {
    name: &'a str,
    file: String,
    dtype: &'a str,
    shape: Vec<u64>,
    axes: Vec<&'a str>,
    unit: &'a str,
    meaning: &'a str,
}

impl SetOptions {
    /// Makes all cases and writes them.
    pub fn write(&self, dataset: &dyn Dataset, seed: u64) -> Result<()> {
        let arrays = dataset.arrays();
        self.check_size(&arrays)?;
        self.prepare_folder()?;
        let started = Instant::now();
        self.write_arrays(dataset, &arrays)?;
        self.describe(dataset.kind(), seed, &arrays)?;
        let seconds = started.elapsed().as_secs_f64();
        outln!(
            "{} cases of {} in {}: {:.2} GiB, {seconds:.1} s, {:.1} cases per second",
            self.cases,
            dataset.kind(),
            self.output.display(),
            self.n_bytes(&arrays) as f64 / GIB,
            self.cases as f64 / seconds
        );
        Ok(())
    }

    fn n_bytes(&self, arrays: &[ArrayDescription]) -> u128 {
        let of_case: usize = arrays.iter().map(ArrayDescription::n_bytes).sum();
        of_case as u128 * u128::from(self.cases)
    }

    /// Whether there is room for the set.
    fn check_size(&self, arrays: &[ArrayDescription]) -> Result<()> {
        let needed = self.n_bytes(arrays) as f64 / GIB;
        ensure!(
            needed <= self.max_gib,
            "the set would have {needed:.2} GiB, the limit is {} GiB: choose fewer --cases or \
             another --max-gib",
            self.max_gib
        );
        if let Some(free) = free_bytes(&self.output) {
            let free = free as f64 / GIB;
            ensure!(
                needed < free,
                "the set would have {needed:.2} GiB, {} has room for {free:.2} GiB: choose fewer \
                 --cases or another folder",
                self.output.display()
            );
        }
        Ok(())
    }

    fn prepare_folder(&self) -> Result<()> {
        let name = || self.output.display().to_string();
        if self.output.exists() {
            let is_empty = fs::read_dir(&self.output).with_context(name)?.next().is_none();
            ensure!(is_empty, "{} is not empty: choose another folder", self.output.display());
        }
        fs::create_dir_all(&self.output).with_context(name)
    }

    fn write_arrays(&self, dataset: &dyn Dataset, arrays: &[ArrayDescription]) -> Result<()> {
        let files: Vec<NpyFile> = arrays
            .iter()
            .map(|array| {
                let path = self.output.join(file_name(array));
                NpyFile::create(&path, array, self.cases)
                    .with_context(|| path.display().to_string())
            })
            .collect::<Result<_>>()?;
        let group_len = dataset.group_len() as u64;
        let bar = progress_bar(self.cases);
        // Each thread holds one group at a time.
        (0..self.cases.div_ceil(group_len)).into_par_iter().try_for_each_init(
            Vec::new,
            |bytes, group| {
                let first_case = group * group_len;
                let n_cases = group_len.min(self.cases - first_case);
                let values = dataset.group(group).with_context(|| format!("case {first_case}"))?;
                for ((array, file), values) in arrays.iter().zip(&files).zip(&values) {
                    let expected = (array.element, array.n_elements() as u64 * group_len);
                    if (values.element(), values.len() as u64) != expected {
                        bail!("{} of case {first_case} is not as described", array.name);
                    }
                    bytes.clear();
                    values.extend_le_bytes(array.n_elements() * n_cases as usize, bytes);
                    file.write(first_case, bytes).with_context(|| file_name(array))?;
                }
                bar.inc(n_cases);
                Ok(())
            },
        )?;
        bar.finish_and_clear();
        Ok(())
    }

    fn describe(&self, kind: &str, seed: u64, arrays: &[ArrayDescription]) -> Result<()> {
        let description = Description {
            kind,
            n_cases: self.cases,
            seed,
            boreside_version: env!("CARGO_PKG_VERSION"),
            command_line: std::env::args().collect(),
            arrays: arrays
                .iter()
                .map(|array| Array {
                    name: array.name,
                    file: file_name(array),
                    dtype: npy::dtype(array.element),
                    shape: npy::shape(array, self.cases),
                    axes: std::iter::once("case").chain(array.axes.iter().copied()).collect(),
                    unit: array.unit,
                    meaning: &array.meaning,
                })
                .collect(),
        };
        let path = self.output.join(DESCRIPTION);
        let mut text = serde_json::to_string_pretty(&description)?;
        text.push('\n');
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

fn file_name(array: &ArrayDescription) -> String {
    format!("{}.npy", array.name)
}

fn progress_bar(n_cases: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(n_cases).with_style(style)
}

/// Room on the disk that holds `path`, or the first folder above that is there. [`None`] where
/// nobody knows.
#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    let there = absolute.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
