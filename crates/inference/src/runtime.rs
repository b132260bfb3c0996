//! Where the ONNX Runtime library is, and what runs a network.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version that `boreside models runtime --fetch` fetches.
pub const RUNTIME_VERSION: &str = "1.32.0";
/// Versions from this one on can be used.
pub const LEAST_RUNTIME: &str = "1.24";
/// The package that has the library for GPUs, as pip names it.
pub const GPU_PACKAGE: &str = "onnxruntime-gpu";

/// What a site wants its networks to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderChoice {
    /// CUDA where it works, else ONNX Runtime on the CPU, else the embedded runtime.
    #[default]
    Auto,
    /// ONNX Runtime on an NVIDIA GPU, or nothing.
    Cuda,
    /// The same with TensorRT, which builds an engine first.
    Tensorrt,
    /// ONNX Runtime on the CPU, or nothing.
    Cpu,
    /// The runtime in this program, on the CPU, or nothing.
    Embedded,
}

/// What a network runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    /// The same with TensorRT.
    Tensorrt,
    /// ONNX Runtime on the CPU.
    Cpu,
    /// The runtime in this program, on the CPU.
    Embedded,
}

impl Provider {
    /// Whether it is a GPU.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::Tensorrt)
    }

    /// Its name as settings write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
            Self::Cpu => "cpu",
            Self::Embedded => "embedded",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the embedded runtime is part of this program.
pub const HAS_EMBEDDED: bool = cfg!(feature = "embedded");

/// A library that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLibrary {
    /// The file.
    pub path: PathBuf,
    /// Where it was found, for people.
    pub place: &'static str,
    /// Whether the part for GPUs lies beside it.
    pub has_cuda: bool,
}

/// Looks for the ONNX Runtime library: as set, `ORT_DYLIB_PATH`, beside the program, in the data
/// folder, in the `target/onnxruntime` that the program was built in, in an installed Python.
///
/// * `setting`: the library or its folder.
/// * `data`: data folders, the first one first.
///
/// Gives all that were found, the one to use first.
pub fn find_libraries(setting: Option<&Path>, data: &[PathBuf]) -> Vec<FoundLibrary> {
    let mut found: Vec<FoundLibrary> = Vec::new();
    let mut look = |place, path: &Path| {
        let path = if path.is_dir() { library_in(path) } else { Some(path.to_owned()) };
        if let Some(path) = path.filter(|path| path.is_file())
            && !found.iter().any(|other| other.path == path)
        {
            let beside = |name| path.parent().is_some_and(|folder| folder.join(name).is_file());
            let has_cuda = beside("libonnxruntime_providers_cuda.so");
            found.push(FoundLibrary { path, place, has_cuda });
        }
    };
    // What a site has chosen is used or refused, never replaced.
    if let Some(path) = setting {
        look("setting", path);
        return found;
    }
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH") {
        look("ORT_DYLIB_PATH", Path::new(&path));
    }
    if let Some(folder) = program_folder() {
        look("beside the program", &folder);
        look("beside the program", &folder.join("onnxruntime"));
    }
    for data in data {
        look("data folder", &data.join("onnxruntime"));
    }
    if let Some(folder) = target_folder() {
        look("target folder", &folder.join("onnxruntime"));
    }
    for folder in python_folders() {
        look("Python package onnxruntime", &folder.join("onnxruntime/capi"));
    }
    found
}

fn program_folder() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

/// Cargo's `target` folder that the program lies in.
pub fn target_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.to_owned())
}

/// The library in a folder: wheels name it with its version only. The newest where there are
/// several.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<(Vec<u64>, PathBuf)> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let rest = name.strip_prefix("libonnxruntime.so")?;
            let version = rest.split('.').filter_map(|part| part.parse().ok()).collect();
            Some((version, path))
        })
        .collect();
    files.sort();
    files.pop().map(|(_, path)| path)
}

/// Folders that Python's packages lie in.
fn python_folders() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .iter()
        .filter_map(std::env::var_os)
        .map(|root| PathBuf::from(root).join("lib"))
        .collect();
    if let Some(home) = std::env::var_os("HOME") {
        roots.push(PathBuf::from(home).join(".local/lib"));
    }
    roots.extend(["/usr/local/lib", "/usr/lib"].map(PathBuf::from));
    let mut folders = Vec::new();
    for root in roots {
        let Ok(entries) = std::fs::read_dir(&root) else { continue };
        let mut pythons: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with("python3"))
            })
            .collect();
        pythons.sort();
        for python in pythons {
            folders.extend(["site-packages", "dist-packages"].map(|name| python.join(name)));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "other.so"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let found = find_libraries(Some(folder.path()), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, folder.path().join("libonnxruntime.so.1.32.0"));
        assert!(!found[0].has_cuda);
        let none = find_libraries(Some(Path::new("/nowhere")), &[folder.path().to_owned()]);
        assert!(none.is_empty(), "what was set is not replaced");
    }
}
