//! Images and maps as DICOM, to a folder and to archives.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dicom_out::{Destination, DestinationError, Forms, Job, Outbox, OutboxSettings, Study, Tally};
use pipeline::{Gadget, ImageFacts, Remedy, Scan, ScanError, Sink, message_set};
use schemars::JsonSchema;
use serde::Deserialize;

/// How long the end of a scan waits for its last files.
const PATIENCE: Duration = Duration::from_secs(5);
/// Our AE title where none is given.
const OWN_AE_TITLE: &str = "BORESIDE";

/// Writes images and maps as DICOM files and sends them to archives.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder for the files, made where it is missing; a relative one lies in the server's folder for
    /// saved data. Empty: no files, unless nothing is sent either: then `dicom`.
    pub folder: String,
    /// Archives, several with commas between: `AET@HOST:PORT` for C-STORE, the http(s) address of a
    /// DICOMweb service for STOW-RS.
    pub send_to: String,
    /// Our AE title for C-STORE.
    pub ae_title: String,
    /// File with the value of the `Authorization` header for STOW-RS; a token alone is a bearer's.
    pub token_file: String,
    /// File with the certificates (PEM) that a DICOMweb service's is signed by, where these are not
    /// public.
    pub ca_file: String,
    /// Maps with their companions only, and no images.
    pub maps_only: bool,
    /// Maps also as Parametric Map Storage: 32-bit floats.
    pub parametric_map: bool,
    /// Maps also as pictures in the recommended colours, with a colour bar.
    pub color: bool,
    /// Whether images and maps go on to the next gadget and the client.
    pub forward: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: String::new(),
            send_to: String::new(),
            ae_title: OWN_AE_TITLE.to_owned(),
            token_file: String::new(),
            ca_file: String::new(),
            maps_only: false,
            parametric_map: false,
            color: false,
            forward: true,
        }
    }
}

message_set! {
    /// Images and maps.
    pub enum Images { Image, ParametricMap }
}

/// Writes images and maps as DICOM files and sends them to archives; see [`dicom_out`].
pub struct WriteDicom {
    config: Config,
    forms: Forms,
    folder: Option<PathBuf>,
    to: Vec<Destination>,
    study: Arc<Study>,
    outbox: Arc<Outbox>,
    tally: Arc<Tally>,
}

impl Gadget for WriteDicom {
    const NAME: &str = "write_dicom";
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Images; // [channel, z, y, x]
    type Output = Images;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let mut to = Vec::new();
        for text in config.send_to.split(',').filter(|text| !text.trim().is_empty()) {
            let mut destination = Destination::parse(text, &config.ae_title)?;
            if let Destination::Stow { token_file, ca_file, .. } = &mut destination {
                let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
                (*token_file, *ca_file) = (path(&config.token_file), path(&config.ca_file));
            }
            to.push(destination);
        }
        let folder = match config.folder.as_str() {
            "" if !to.is_empty() => None,
            folder => {
                let folder = PathBuf::from(if folder.is_empty() { "dicom" } else { folder });
                let is_absolute = folder.is_absolute();
                Some(if is_absolute { folder } else { scan.save_dir()?.join(folder) })
            }
        };
        let outbox = match scan.services.get::<Outbox>() {
            Some(outbox) => outbox,
            None => Arc::new(Outbox::new(OutboxSettings::default())),
        };
        outbox.start()?;
        if !to.is_empty() && !outbox.can_send() {
            return Err(Error::NoOutbox);
        }
        let run = match scan.session {
            0 => String::new(),
            session => format!("session {session}"),
        };
        Ok(Self {
            forms: Forms { parametric_map: config.parametric_map, color: config.color },
            folder,
            to,
            study: Arc::new(Study::new(scan.header.as_ref(), &run)),
            outbox,
            tally: Arc::default(),
            config,
        })
    }

    fn process(&mut self, input: Images, out: &mut Sink<Self>) -> Result<(), Error> {
        let images = match &input {
            Images::Image(image) => vec![image.clone()],
            Images::ParametricMap(map) => map.clone().into_images(),
        };
        for image in images {
            if !self.config.maps_only || ImageFacts::of(&image).kind.is_of_map() {
                self.outbox.post(Job {
                    image,
                    study: Arc::clone(&self.study),
                    forms: self.forms,
                    folder: self.folder.clone(),
                    to: self.to.clone(),
                    tally: Arc::clone(&self.tally),
                });
            }
        }
        if self.config.forward {
            out.push(input);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        let counts = self.tally.wait(PATIENCE);
        for fault in &counts.faults {
            out.warn(
                format!("DICOM: {fault}"),
                "the images themselves were sent on; write the objects again with `boreside dicom convert`",
            );
        }
        if counts.n_done < counts.n_images {
            let left = counts.n_images - counts.n_done;
            out.inform(format!("DICOM: {left} images are still to be written"));
        } else if counts.n_objects > 0 {
            let folder = self.folder.as_ref().map(|folder| format!("in {}", folder.display()));
            let to: Vec<_> = self.to.iter().map(|to| format!("for {}", to.label())).collect();
            let places: Vec<_> = folder.into_iter().chain(to).collect();
            out.inform(format!("DICOM: {} objects {}", counts.n_objects, places.join(", ")));
        }
        Ok(())
    }
}

/// What keeps it from writing anything.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A destination that is none.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// No folder for files.
    #[error(transparent)]
    Folder(#[from] ScanError),
    /// No thread for it.
    #[error(transparent)]
    Outbox(#[from] dicom_out::OutboxError),
    /// Nothing can be sent from here.
    #[error("this program has no outbox to send DICOM from")]
    NoOutbox,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Destination(_) => "correct `send_to` or `ae_title` of `write_dicom`",
            Self::Folder(error) => error.remedy(),
            Self::Outbox(_) => "make room on the disk and for threads",
            Self::NoOutbox => {
                "use `boreside serve`, or set `folder` and send the files with `boreside dicom send`"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::{Array3, Array4};
    use pipeline::{Image, Message, ParametricMap, Presentation, Unit, run_gadget};

    fn header() -> ImageHeader {
        ImageHeader {
            field_of_view: [8.0, 6.0, 5.0],
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            image_index: 1,
            ..ImageHeader::default()
        }
    }

    fn map() -> ParametricMap {
        ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header: header(),
            meta: Meta::new(),
            values: Array3::from_elem((1, 3, 4), 1200.0),
            sd: Some(Array3::from_elem((1, 3, 4), 20.0)),
            r_squared: None,
            verdict: None,
            presentation: Presentation::default(),
        }
    }

    fn written(config: Config, inputs: Vec<Images>) -> (Vec<String>, Vec<Message>, Vec<String>) {
        let data = tempfile::tempdir().expect("a folder");
        let scan = Scan { save_dir: Some(data.path().to_owned()), ..Scan::default() };
        let (outputs, reports) =
            run_gadget::<WriteDicom>(config, &scan, inputs).expect("it can write");
        let folder = data.path().join("dicom");
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            names.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        (names, outputs, reports)
    }

    #[test]
    fn a_map_becomes_files_and_goes_on_as_a_map() {
        let picture = Image::new(header(), Meta::new(), Array4::<f32>::ones((1, 2, 3, 4)));
        let inputs = vec![Images::ParametricMap(map()), Images::Image(picture)];
        let (names, outputs, reports) = written(Config::default(), inputs);
        assert_eq!(names.len(), 4, "map, uncertainty, two planes: {names:?}");
        assert!(names.iter().any(|name| name.contains("_t1_sd_")), "{names:?}");
        assert!(matches!(outputs[..], [Message::ParametricMap(_), Message::Image(_)]));
        assert!(reports[0].starts_with("DICOM: 4 objects in "), "{reports:?}");
    }

    #[test]
    fn only_maps_and_nothing_more_where_that_is_asked_for() {
        let picture = Image::new(header(), Meta::new(), Array4::<f32>::ones((1, 1, 3, 4)));
        let inputs = vec![Images::ParametricMap(map()), Images::Image(picture)];
        let config = Config { maps_only: true, forward: false, ..Config::default() };
        let (names, outputs, _) = written(config, inputs);
        assert_eq!((names.len(), outputs.len()), (2, 0));
    }

    #[test]
    fn an_image_that_lies_nowhere_is_told_and_goes_on() {
        let lost =
            Image::new(ImageHeader::default(), Meta::new(), Array4::<f32>::ones((1, 1, 3, 4)));
        let (names, outputs, reports) = written(Config::default(), vec![Images::Image(lost)]);
        assert_eq!((names.len(), outputs.len()), (0, 1));
        assert!(reports[0].contains("does not have"), "{reports:?}");
    }

    #[test]
    fn what_cannot_be_done_is_told_before_the_scan() {
        let scan = Scan::default();
        let new = |config| WriteDicom::new(config, &scan).err().map(|error| error.to_string());
        assert!(new(Config::default()).is_some_and(|e| e.contains("no folder for saved data")));
        let config = Config { send_to: "PACS@host:104".to_owned(), ..Config::default() };
        assert!(new(config).is_some_and(|e| e.contains("no outbox")));
        let config = Config { send_to: "host:104".to_owned(), ..Config::default() };
        assert!(new(config).is_some_and(|e| e.contains("AET@HOST:PORT")));
    }
}
