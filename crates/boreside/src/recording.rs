//! Recordings of any kind: HDF5 files, streams and journals, told apart by their first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use ismrmrd::hdf5::{FileError, FileReader};
use ismrmrd::sniff::{Format, sniff};
use ismrmrd::wire::{self, ReadError, Reader};
use server::journal::{self, JournalReader};

use crate::cli::DataFolder;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Pace {
    /// As fast as it is taken.
    #[default]
    Max,
    /// As it was recorded: by the time of arrival in a journal, by the time stamps in a file.
    Realtime,
}

/// A recording that is being read.
pub struct Recording {
    /// Chain that it was recorded for: its name or text.
    pub config: Option<wire::Message>,
    /// The MRD header.
    pub header_text: Option<String>,
    /// Parameters as JSON.
    pub parameters: Option<String>,
    /// The data.
    pub messages: Box<dyn Iterator<Item = Result<wire::Message>> + Send>,
    /// Number of messages, where the file tells.
    pub n_messages: Option<u64>,
}

/// Opens a file, the standard input (`-`), or a journalled session by its number. `group` is the
/// group of an HDF5 file.
///
/// # Errors
/// There is no such thing, or it is no recording.
pub fn open(input: &str, group: &str, data: &DataFolder, pace: Pace) -> Result<Recording> {
    if input == "-" {
        return from_stream(io::stdin(), pace).context("standard input");
    }
    let path = match input.parse::<u64>() {
        Ok(session) if !Path::new(input).exists() => journal_path(session, data)?,
        _ => PathBuf::from(input),
    };
    let what = || path.display().to_string();
    let sniffed = sniff(&path).map_err(|error| unopened(&path, &error))?;
    if sniffed.first_bytes.starts_with(journal::MAGIC) {
        let mut reader = JournalReader::open(&path)?;
        if pace == Pace::Realtime {
            reader.keep_pace();
        }
        let mut recording = from_stream(reader, Pace::Max).with_context(what)?;
        recording.messages = Box::new(recording.messages.map_while(unless_cut_off));
        return Ok(recording);
    }
    match sniffed.format {
        Format::Hdf5 => from_hdf5(&path, group, pace),
        _ if sniffed.first_bytes.is_empty() => {
            bail!("{} is empty\n  record or copy it again: nothing was written", path.display())
        }
        Format::MrdStream => from_stream(File::open(&path)?, pace).with_context(what),
        Format::Unknown => {
            bail!(
                "{} is neither an HDF5 file nor an MRD stream nor a journal\n  convert it to ISMRMRD \
                 first: siemens_to_ismrmrd, ge_to_ismrmrd, philips_to_ismrmrd and bruker_to_ismrmrd \
                 take the vendors' files",
                path.display()
            )
        }
    }
}

/// Why a file cannot be read at all, and what to do.
fn unopened(path: &Path, error: &io::Error) -> anyhow::Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let from = std::env::current_dir().unwrap_or_default();
            anyhow!(
                "there is no file {path}\n  check its name; names without a folder are looked for in {}",
                from.display()
            )
        }
        io::ErrorKind::IsADirectory => anyhow!("{path} is a folder\n  name a file in it"),
        io::ErrorKind::PermissionDenied => {
            anyhow!("{path} cannot be read: {error}\n  ask its owner for the right to read it")
        }
        _ => anyhow!("{path} cannot be read: {error}\n  check the disk, or take a copy"),
    }
}

/// What is wrong with an HDF5 file, and what to do.
fn explained(error: FileError) -> anyhow::Error {
    match &error {
        FileError::NoGroup { found, .. } if found.is_empty() => {
            anyhow!("{error}\n  it is an HDF5 file of another kind: convert it to ISMRMRD first")
        }
        FileError::NoGroup { .. } => anyhow!("{error}\n  choose that one with --group"),
        FileError::Library { place, source, .. } => {
            let file = place.file.display();
            let remedy =
                "copy it again, or take an earlier copy: what is left of it cannot be read";
            match cut_off(&source.to_string()) {
                Some((found, whole)) => {
                    anyhow!("{file} is cut off: {found} of {whole} bytes are there\n  {remedy}")
                }
                None => anyhow!("{file} is damaged, or no whole HDF5 file: {source}\n  {remedy}"),
            }
        }
        _ => error.into(),
    }
}

/// Bytes of a file and what it should have, out of the words of the HDF5 library.
fn cut_off(said: &str) -> Option<(u64, u64)> {
    let number = |key: &str| {
        let (_, rest) = said.split_once(key)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    said.contains("truncated file").then_some(())?;
    Some((number(" eof = ")?, number("stored_eof = ")?))
}

fn journal_path(session: u64, data: &DataFolder) -> Result<PathBuf> {
    let folder = data.path().join("journal");
    let path = journal::path_in(&folder, session);
    if !path.exists() {
        bail!(
            "there is no file {session}, and no journal of session {session} in {}: `boreside journal list` shows them",
            folder.display()
        );
    }
    Ok(path)
}

fn from_hdf5(path: &Path, group: &str, pace: Pace) -> Result<Recording> {
    let file = FileReader::open_group(path, group).map_err(explained)?;
    let config = match (file.text("config_file")?, file.text("config")?) {
        (Some(name), _) => Some(wire::Message::ConfigFile(name)),
        (None, Some(text)) => Some(wire::Message::ConfigText(text)),
        (None, None) => None,
    };
    let n_messages = file.n_acquisitions()? + file.n_waveforms()?;
    let names = file.image_names()?;
    let header_text = file.header_text()?;
    let parameters = file.text("configAdditional")?;
    let data = file.messages()?.map(|message| Ok(message?));
    // Series after series, each opened when its turn comes.
    let images = names.into_iter().flat_map(move |name| -> Box<dyn Iterator<Item = _> + Send> {
        match file.images(&name) {
            Ok(images) => Box::new(images.map(|image| Ok(wire::Message::Image(image?)))),
            Err(error) => Box::new(std::iter::once(Err(error.into()))),
        }
    });
    Ok(Recording {
        config,
        header_text,
        parameters,
        n_messages: Some(n_messages as u64),
        messages: paced(data.chain(images), pace),
    })
}

fn from_stream(source: impl Read + Send + 'static, pace: Pace) -> Result<Recording> {
    let mut reader = Reader::new(source);
    let mut recording = Recording {
        config: None,
        header_text: None,
        parameters: None,
        messages: Box::new(std::iter::empty()),
        n_messages: None,
    };
    // Everything before the first datum.
    let first = loop {
        match reader.read()? {
            Some(config @ (wire::Message::ConfigFile(_) | wire::Message::ConfigText(_))) => {
                recording.config = Some(config);
            }
            Some(wire::Message::Header(text)) => recording.header_text = Some(text),
            Some(wire::Message::Text(text)) if recording.parameters.is_none() => {
                if serde_json::from_str::<serde_json::Map<_, _>>(&text).is_ok() {
                    recording.parameters = Some(text);
                }
            }
            // Asked of the server that it was sent to.
            Some(wire::Message::Query { .. }) => {}
            first => break first,
        }
    };
    let rest = std::iter::from_fn(move || match reader.read() {
        Ok(message) => message.map(Ok),
        Err(error) => Some(Err(error.into())),
    });
    let messages = Messages { inner: first.map(Ok).into_iter().chain(rest), is_over: false };
    recording.messages = paced(messages, pace);
    Ok(recording)
}

/// A journal ends in the middle of a message when its server was killed or its client vanished:
/// that is what it is kept for.
fn unless_cut_off(message: Result<wire::Message>) -> Option<Result<wire::Message>> {
    match &message {
        Err(error) if matches!(error.downcast_ref(), Some(ReadError::Truncated { .. })) => {
            tracing::warn!("the journal ends early: {error}");
            None
        }
        _ => Some(message),
    }
}

/// Ends at CLOSE or after the first error.
struct Messages<I> {
    inner: I,
    is_over: bool,
}

impl<I: Iterator<Item = Result<wire::Message>>> Iterator for Messages<I> {
    type Item = Result<wire::Message>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.inner.next();
        self.is_over = matches!(next, None | Some(Ok(wire::Message::Close) | Err(_)));
        next.filter(|message| !matches!(message, Ok(wire::Message::Close)))
    }
}

/// Ticks of the scanner's clock.
const TICK: Duration = Duration::from_micros(2500);

/// Holds each readout back until its time stamp has come.
fn paced(
    messages: impl Iterator<Item = Result<wire::Message>> + Send + 'static,
    pace: Pace,
) -> Box<dyn Iterator<Item = Result<wire::Message>> + Send> {
    if pace == Pace::Max {
        return Box::new(messages);
    }
    let mut start = None;
    Box::new(messages.inspect(move |message| {
        if let Ok(wire::Message::Acquisition(readout)) = message {
            let stamp = readout.header.acquisition_time_stamp;
            let (started, first) = *start.get_or_insert((Instant::now(), stamp));
            let due = TICK * stamp.saturating_sub(first);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_off_is_told_in_bytes() {
        let said = "H5Fopen(): unable to open file: truncated file: eof = 20000, \
                    sblock->base_addr = 0, stored_eof = 5161832";
        assert_eq!(cut_off(said), Some((20_000, 5_161_832)));
        assert_eq!(cut_off("H5Fopen(): bad superblock, eof = 7, stored_eof = 8"), None);
    }
}
