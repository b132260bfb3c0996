//! `boreside models runtime`: what networks can run on here, and what to install.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use inference::runtime::{
    GPU_PACKAGE, HAS_EMBEDDED, LEAST_RUNTIME, RUNTIME_VERSION, find_libraries, target_folder,
};

use super::Place;

#[derive(Args)]
pub struct RuntimeOptions {
    /// Fetch the ONNX Runtime library by pip, if none is here
    #[arg(long)]
    fetch: bool,
    /// Package and version to fetch; the one for NVIDIA GPUs is onnxruntime-gpu
    #[arg(long, default_value_t = format!("onnxruntime=={RUNTIME_VERSION}"), value_name = "PACKAGE")]
    package: String,
    /// Do not try the models
    #[arg(long)]
    no_models: bool,
    /// Fetch it although one is here
    #[arg(long)]
    again: bool,
    /// Where it is put [default: target/onnxruntime beside a program that Cargo built, else
    /// onnxruntime in the data folder]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    at: Place,
}

/// Says what was found, after fetching it where that is wanted.
pub fn run(options: &RuntimeOptions) -> Result<()> {
    let data = options.at.data.path();
    let folders = options.at.data.with_default();
    let find = || find_libraries(options.at.networks.onnxruntime.as_deref(), &folders);
    if options.fetch && (options.again || find().is_empty()) {
        let own = || target_folder().map(|target| target.join("onnxruntime"));
        let folder = options.to.clone().or_else(own).unwrap_or_else(|| data.join("onnxruntime"));
        fetch(&options.package, &folder)?;
        outln!("fetched {} into {}", options.package, folder.display());
    }
    let found = find();
    for (n, library) in found.iter().enumerate() {
        let used = if n == 0 { "used" } else { "also there" };
        let gpu = if library.has_cuda { ", with its part for NVIDIA GPUs" } else { "" };
        outln!("ONNX Runtime: {} ({}, {used}{gpu})", library.path.display(), library.place);
    }
    if let (true, Some(path)) = (found.is_empty(), &options.at.networks.onnxruntime) {
        let path = path.display();
        outln!(
            "ONNX Runtime: not found at {path}, which --onnxruntime (BORESIDE_ONNXRUNTIME) names"
        );
        outln!("  leave that out, and it is looked for in the usual places; or correct it");
    } else if found.is_empty() {
        outln!("ONNX Runtime: not found");
        outln!("  fetch it:   boreside models runtime --fetch");
        outln!("  or install: pip install onnxruntime     (version {LEAST_RUNTIME} or newer)");
        outln!("  or name it: --onnxruntime FILE, or the variable ORT_DYLIB_PATH");
    }
    let embedded = if HAS_EMBEDDED {
        "part of this program"
    } else {
        "not part of this program (build with `--features embedded`)"
    };
    outln!("embedded runtime: {embedded}");
    outln!("NVIDIA driver: {}", driver().unwrap_or_else(|| "not found".to_owned()));
    if !found.iter().any(|library| library.has_cuda) {
        outln!("for NVIDIA GPUs: boreside models runtime --fetch --again --package {GPU_PACKAGE}");
        outln!("  and CUDA and cuDNN of the version that the package names");
    }
    if !options.no_models {
        let models = options.at.models();
        for listing in models.list() {
            let health = super::health(&models, &listing.name, true);
            outln!("model {}: {}", listing.name, super::words(&health));
        }
    }
    if found.is_empty() && !HAS_EMBEDDED {
        bail!("networks cannot run here: chains that have some use their fallback");
    }
    Ok(())
}

/// Version of the NVIDIA driver, as the kernel says it.
fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    Some(text.lines().next()?.to_owned())
}

/// Fetches a package by pip and takes the libraries out of it.
fn fetch(package: &str, folder: &Path) -> Result<()> {
    let by_hand = format!(
        "by hand: pip download --no-deps --only-binary :all: {package}, then unzip \
         onnxruntime/capi/libonnxruntime* of the .whl into {}",
        folder.display()
    );
    let parent = folder.parent().context("no place for the library")?;
    std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let work = parent.join(format!(".onnxruntime-{}", std::process::id()));
    let done = fetch_into(package, folder, &work);
    // What is left of the download is of no use.
    let _ = std::fs::remove_dir_all(&work);
    done.with_context(|| by_hand)
}

fn fetch_into(package: &str, folder: &Path, work: &Path) -> Result<()> {
    std::fs::create_dir_all(work)?;
    let mut tried = Vec::new();
    for python in ["python3", "python"] {
        let downloaded = Command::new(python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
            .arg("--dest")
            .arg(work)
            .arg(package)
            .output();
        match downloaded {
            Ok(output) if output.status.success() => {
                // Python is here, and knows zip files.
                let unpacked = work.join("unpacked");
                let script = "import glob, sys, zipfile\n\
                    wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0])\n\
                    names = [n for n in wheel.namelist() if n.startswith('onnxruntime/capi/libonnxruntime') \
                    or n in ('onnxruntime/LICENSE', 'onnxruntime/ThirdPartyNotices.txt')]\n\
                    wheel.extractall(sys.argv[2], names)\n";
                let status =
                    Command::new(python).args(["-c", script]).arg(work).arg(&unpacked).status()?;
                if !status.success() {
                    bail!("the package cannot be unpacked");
                }
                return put(&unpacked, folder);
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                tried.push(text.lines().last().unwrap_or("pip failed").to_owned());
            }
            Err(error) => tried.push(format!("{python}: {error}")),
        }
    }
    bail!("pip could not fetch {package}: {}", tried.join("; "))
}

/// Puts the libraries into their folder, in whose place another may lie.
fn put(unpacked: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for part in ["onnxruntime/capi", "onnxruntime"] {
        let Ok(files) = std::fs::read_dir(unpacked.join(part)) else { continue };
        for file in files {
            let file = file?;
            if file.file_type()?.is_file() {
                std::fs::rename(file.path(), folder.join(file.file_name()))?;
            }
        }
    }
    Ok(())
}
