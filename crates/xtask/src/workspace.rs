//! Where things are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's folder.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// A path as people see it: from the workspace's folder.
pub fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Names of the gadget families, in order.
pub fn families(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("gadgets");
    let mut families = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            families.push(name);
        }
    }
    families.sort();
    Ok(families)
}
