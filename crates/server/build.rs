//! Compiles `proto/` and lists the files of the viewer.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    compile_proto(&root.join("proto"), &out)?;
    list_pages(&root.join("web/dist"), &out)?;
    Ok(())
}

/// Types, services, and the descriptors that reflection gives to clients. Needs no `protoc`.
fn compile_proto(folder: &Path, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(folder.join("boreside/v1"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, [folder])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Pixels are handed on without a copy.
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}

/// `PAGES`: path, media type and bytes of every file below the folder.
fn list_pages(folder: &Path, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages = BTreeMap::new();
    collect(folder, folder, &mut pages)?;
    let mut code = String::from("const PAGES: &[Page] = &[\n");
    for (name, path) in pages {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.canonicalize()?;
        writeln!(code, "    Page {{ path: {name:?}, bytes: include_bytes!({path:?}) }},")?;
    }
    code.push_str("];\n");
    fs::write(out.join("pages.rs"), code)?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, pages: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, pages)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            let name = name.to_string_lossy().replace('\\', "/");
            pages.insert(format!("/{name}"), path);
        }
    }
    Ok(())
}
