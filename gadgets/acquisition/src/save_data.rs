//! The client's data as an ISMRMRD file.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ismrmrd::hdf5::{FileError, FileWriter};
use pipeline::{Gadget, Remedy, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Files of one session. More is a fault of the server's folder.
const MAX_FILES: u32 = 10_000;

/// Saves what the client sends and gives nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

pipeline::message_set! {
    /// What files have a place for.
    pub enum Saved { Acquisition, Waveform, Image }
}

/// Writes readouts, waveforms and images, with the scan's header, to a new ISMRMRD HDF5 file in
/// the server's folder for data.
pub struct SaveData {
    file: FileName,
    /// [`None`] after a failure.
    writer: Option<FileWriter>,
    counts: [u64; 3],
}

/// A file by its name, which may be told to the client, and its place, which may not.
struct FileName {
    name: String,
    path: PathBuf,
}

impl Gadget for SaveData {
    const NAME: &str = "save_data";
    const ALIASES: &'static [&'static str] = &["savedataonly"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = Saved;
    type Output = Infallible;
    type Error = Error;

    fn new(_config: Config, scan: &Scan) -> Result<Self, Error> {
        let file = FileName::reserve(scan.save_dir()?, scan.session)?;
        let failed =
            |error: FileError| Error::Create { name: file.name.clone(), reason: error.to_string() };
        let mut writer = FileWriter::create(&file.path).map_err(failed)?;
        if !scan.header_text.is_empty() {
            writer.write_header_text(&scan.header_text).map_err(failed)?;
        }
        Ok(Self { writer: Some(writer), counts: [0; 3], file })
    }

    fn process(&mut self, message: Saved, _out: &mut Sink<Self>) -> Result<(), Error> {
        self.save(&message)
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        if let Some(what) = self.close()? {
            out.inform(what);
        }
        Ok(())
    }
}

impl SaveData {
    /// Writes a message.
    pub(crate) fn save(&mut self, message: &Saved) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let (written, kind) = match message {
            Saved::Acquisition(readout) => (writer.write_acquisition(readout), 0),
            Saved::Waveform(waveform) => (writer.write_waveform(waveform), 1),
            Saved::Image(image) => (writer.write_image(image), 2),
        };
        match written {
            Ok(()) => self.counts[kind] += 1,
            Err(error) => {
                // The rest is discarded: the error is told once.
                self.writer = None;
                return Err(self.lost(&error));
            }
        }
        Ok(())
    }

    /// Ends the file. Says what is in it.
    pub(crate) fn close(&mut self) -> Result<Option<String>, Error> {
        let Some(writer) = self.writer.take() else {
            return Ok(None);
        };
        match writer.finish() {
            Ok(()) => {
                let [readouts, waveforms, images] = self.counts;
                Ok(Some(format!(
                    "saved {readouts} readouts, {waveforms} waveforms and {images} images as {}",
                    self.file.name
                )))
            }
            Err(error) => Err(self.lost(&error)),
        }
    }
}

impl SaveData {
    fn lost(&self, error: &FileError) -> Error {
        let (name, counts, reason) = (self.file.name.clone(), self.counts, error.to_string());
        Error::Write { name, counts, reason }
    }
}

impl FileName {
    /// An empty file of a name that no other has.
    fn reserve(folder: &Path, session: u64) -> Result<Self, Error> {
        let mut name = String::new();
        for count in 1..=MAX_FILES {
            name = format!("session_{session}_{count}.h5");
            let path = folder.join(&name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(Self { name, path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::Create { name, reason: error.to_string() }),
            }
        }
        Err(Error::Create { name, reason: "all names are taken".to_owned() })
    }
}

/// Why nothing can be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no folder for it.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The file cannot be made.
    #[error("{name} cannot be created: {reason}")]
    Create {
        /// Name of the file.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// The file cannot be written on.
    #[error(
        "{name} could not be written on after {} readouts, {} waveforms and {} images; the rest is \
         lost: {reason}", counts[0], counts[1], counts[2]
    )]
    Write {
        /// Name of the file.
        name: String,
        /// Readouts, waveforms and images that are in it.
        counts: [u64; 3],
        /// What cannot be written.
        reason: String,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::Write { .. } => "make room on the server's disk and send the data again",
            Self::Create { .. } => "check the server's folder for data: its permissions and room",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::hdf5::FileReader;
    use ismrmrd::{
        Acquisition, AcquisitionHeader, Image, ImageHeader, Meta, Waveform, WaveformHeader,
    };
    use ndarray::{Array2, Array4};
    use num_complex::Complex32;
    use pipeline::run_gadget;

    fn readout(line: u16) -> Acquisition {
        let mut header = AcquisitionHeader::default();
        header.idx.kspace_encode_step_1 = line;
        Acquisition::new(header, Array2::from_elem((2, 4), Complex32::new(f32::from(line), 1.0)))
    }

    fn inputs() -> Vec<Saved> {
        let waveform = WaveformHeader { channels: 1, number_of_samples: 3, ..Default::default() };
        let image = |series, x| {
            let header = ImageHeader { image_series_index: series, ..ImageHeader::default() };
            Image::new(
                header,
                Meta::from_iter([("key", "value")]),
                Array4::<f32>::zeros((1, 1, 2, x)),
            )
        };
        vec![
            readout(1).into(),
            Waveform { header: waveform, data: Array2::zeros((1, 3)) }.into(),
            readout(2).into(),
            image(0, 3).into(),
            image(4, 5).into(),
        ]
    }

    fn scan(folder: &Path) -> Scan {
        Scan {
            session: 7,
            header_text: "<ismrmrdHeader/>".to_owned(),
            save_dir: Some(folder.to_owned()),
            ..Scan::default()
        }
    }

    #[test]
    fn everything_is_in_the_file_and_nothing_comes_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (outputs, warnings) =
            run_gadget::<SaveData>(Config {}, &scan(folder.path()), inputs()).expect("it saves");
        assert!(outputs.is_empty());
        assert_eq!(warnings, ["saved 2 readouts, 1 waveforms and 2 images as session_7_1.h5"]);
        let file = FileReader::open(folder.path().join("session_7_1.h5")).expect("it opens");
        assert_eq!(file.header_text().expect("it reads"), Some("<ismrmrdHeader/>".to_owned()));
        let readouts: Vec<_> = file
            .acquisitions()
            .expect("there are some")
            .collect::<Result<_, _>>()
            .expect("they read");
        assert_eq!(readouts, [readout(1), readout(2)]);
        assert_eq!(file.n_waveforms().expect("it reads"), 1);
        assert_eq!(file.image_names().expect("it reads"), ["image_0", "image_4"]);
    }

    #[test]
    fn no_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = folder.path().join("session_7_1.h5");
        std::fs::write(&taken, "precious").expect("it can be written");
        let (_, warnings) =
            run_gadget::<SaveData>(Config {}, &scan(folder.path()), inputs()).expect("it saves");
        assert!(warnings[0].ends_with("session_7_2.h5"), "{warnings:?}");
        assert_eq!(std::fs::read_to_string(taken).expect("it is there"), "precious");
    }

    #[test]
    fn without_a_folder_the_chain_is_refused() {
        let error = run_gadget::<SaveData>(Config {}, &Scan::default(), inputs())
            .expect_err("there is no folder");
        assert_eq!(error, Error::Scan(ScanError::NoSaveDir));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = run_gadget::<SaveData>(Config {}, &scan(file.path()), inputs())
            .expect_err("a file is in the place of the folder");
        assert!(matches!(error, Error::Scan(ScanError::SaveDir(_))), "{error}");
    }

    #[test]
    fn data_that_cannot_be_written_are_told_once_and_discarded() {
        let folder = tempfile::tempdir().expect("a folder");
        let too_long = Acquisition::new(Default::default(), Array2::zeros((1, 70_000)));
        let inputs = vec![readout(1).into(), too_long.into(), readout(2).into()];
        let mut gadget = SaveData::new(Config {}, &scan(folder.path())).expect("it begins");
        let mut errors = Vec::new();
        for input in inputs {
            let (mut forward, mut report) = (|_| {}, |_, _, _| {});
            let mut sink = Sink::new(&mut forward, &mut report);
            errors.extend(gadget.process(input, &mut sink).err());
        }
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains("after 1 readouts"), "{errors:?}");
    }
}
