//! Recordings that the control plane can play: journals, and files of a folder.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use server::control::{RecordingSource, ReplayRequest, Replayer};
use server::proto;

use crate::cli::DataFolder;
use crate::recording::{self, Pace};
use crate::{client, replay};

/// Files that are listed.
const MAX_FILES: usize = 1000;
/// Folders below each other that are looked into.
const MAX_DEPTH: usize = 4;

/// Plays journals, and files of the folder where there is one.
#[derive(Debug)]
pub struct Recordings {
    folder: Option<PathBuf>,
    data: DataFolder,
}

impl Recordings {
    /// Recordings in `folder`.
    pub fn new(folder: Option<PathBuf>, data: DataFolder) -> Self {
        Self { folder, data }
    }

    fn path(&self, source: &RecordingSource) -> Result<PathBuf> {
        match source {
            RecordingSource::Journal(path) => Ok(path.clone()),
            RecordingSource::File(name) => match &self.folder {
                Some(folder) => inside(folder, name),
                None => bail!(
                    "this server has no folder for recordings\n  start it with --recordings DIR"
                ),
            },
        }
    }

    fn replay(&self, request: &ReplayRequest, connected: &mut dyn FnMut(SocketAddr)) -> Result<()> {
        let path = self.path(&request.source)?;
        let pace = if request.keeps_pace { Pace::Realtime } else { Pace::Max };
        let mut recording = recording::open(&path.to_string_lossy(), "dataset", &self.data, pace)?;
        let config = match (&request.chain, recording.config.take()) {
            (Some(chain), _) => ismrmrd::wire::Message::ConfigFile(chain.clone()),
            (None, Some(recorded)) => recorded,
            (None, None) => bail!("the recording names no chain\n  choose one"),
        };
        let parameters = replay::merged(recording.parameters.take(), &[], request.chain.is_some())?;
        let opening = client::Opening {
            config,
            header_text: recording.header_text.take().unwrap_or_default(),
            parameters,
        };
        let stream = TcpStream::connect(request.to)
            .with_context(|| format!("{} does not answer", request.to))?;
        connected(stream.local_addr().context("the connection has no address")?);
        // What comes back is watched where it is made.
        client::run_on(stream, opening, recording.messages, |_| Ok(()))?;
        Ok(())
    }
}

impl Replayer for Recordings {
    fn has_folder(&self) -> bool {
        self.folder.is_some()
    }

    fn list(&self) -> Result<Vec<proto::Recording>, String> {
        let mut found = Vec::new();
        if let Some(folder) = &self.folder {
            list_in(folder, folder, 0, &mut found)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(found)
    }

    fn play(
        &self,
        request: ReplayRequest,
        connected: &mut dyn FnMut(SocketAddr),
    ) -> Result<(), String> {
        self.replay(&request, connected).map_err(|error| format!("{error:#}"))
    }
}

/// The file of this name in the folder, wherever links lead to.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let refused = || {
        format!(
            "{name:?} is no file of the folder for recordings\n  ListRecordings names those that there are"
        )
    };
    let is_plain = !name.is_empty()
        && !name.contains(['\0', '\\'])
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain {
        bail!(refused());
    }
    let folder = folder.canonicalize().context("the folder for recordings")?;
    // What is wrong with a path outside is nobody's business.
    let Ok(path) = folder.join(name).canonicalize() else { bail!(refused()) };
    if !path.starts_with(&folder) || !path.is_file() {
        bail!(refused());
    }
    Ok(path)
}

fn list_in(
    root: &Path,
    folder: &Path,
    depth: usize,
    found: &mut Vec<proto::Recording>,
) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // Of the entry itself: links are not followed here.
        let metadata = entry.metadata()?;
        let path = entry.path();
        if metadata.is_dir() && depth < MAX_DEPTH {
            list_in(root, &path, depth + 1, found)?;
        }
        let is_recording = path
            .extension()
            .is_some_and(|ending| ["h5", "mrd", "journal"].iter().any(|known| ending == *known));
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        if let (true, true, Some(name)) = (metadata.is_file(), is_recording, name)
            && found.len() < MAX_FILES
        {
            let modified = metadata.modified().ok();
            let since_1970 = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            found.push(proto::Recording {
                n_bytes: metadata.len(),
                modified_unix_ms: since_1970.map_or(0.0, |time| time.as_secs_f64() * 1e3),
                source: Some(proto::recording::Source::File(name.to_owned())),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("recordings");
        fs::create_dir_all(folder.join("deeper")).expect("writable");
        for path in ["secret.h5", "recordings/a.h5", "recordings/deeper/b.mrd"] {
            fs::write(outer.path().join(path), "x").expect("writable");
        }
        std::os::unix::fs::symlink(outer.path().join("secret.h5"), folder.join("link.h5"))
            .expect("links are supported");
        for good in ["a.h5", "deeper/b.mrd"] {
            assert!(inside(&folder, good).is_ok(), "{good}");
        }
        let absolute = outer.path().join("secret.h5");
        for bad in [
            "",
            ".",
            "..",
            "../secret.h5",
            "deeper/../../secret.h5",
            "link.h5",
            "deeper",
            "none.h5",
            "a.h5\0",
            "..\\secret.h5",
            absolute.to_str().expect("UTF-8"),
        ] {
            let error = inside(&folder, bad).expect_err(bad).to_string();
            assert!(error.contains("is no file of the folder"), "{bad}: {error}");
        }
        let mut found = Vec::new();
        list_in(&folder, &folder, 0, &mut found).expect("readable");
        let names: Vec<_> = found.into_iter().filter_map(|recording| recording.source).collect();
        let file = |name: &str| proto::recording::Source::File(name.to_owned());
        assert_eq!(names, [file("a.h5"), file("deeper/b.mrd")]);
    }
}
