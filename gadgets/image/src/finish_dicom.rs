//! Images as DICOM files for the client.

use dicom_out::{Forms, Study};
use pipeline::{DicomFile, Gadget, Image, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes DICOM files of images and sends these to the client.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Makes DICOM files of images and sends these to the client instead, in messages 1018.
pub struct FinishDicom {
    study: Study,
}

impl Gadget for FinishDicom {
    const NAME: &str = "finish_dicom";
    const ALIASES: &'static [&'static str] = &["DicomFinishGadget"];
    type Config = Config;
    type Input = Image; // [channel, z, y, x]
    type Output = DicomFile;
    type Error = dicom_out::Error;

    fn new(_config: Config, scan: &Scan) -> Result<Self, dicom_out::Error> {
        let run = match scan.session {
            0 => String::new(),
            session => format!("session {session}"),
        };
        Ok(Self { study: Study::new(scan.header.as_ref(), &run) })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), dicom_out::Error> {
        for file in dicom_out::objects(&image, &self.study, Forms::default())? {
            let meta = image.meta.clone();
            out.push(DicomFile { data: file.bytes, file_name: file.name, meta });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    #[test]
    fn each_plane_becomes_a_file() {
        let header = ImageHeader {
            field_of_view: [8.0, 6.0, 5.0],
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            ..ImageHeader::default()
        };
        let meta = Meta::from_iter([("A", "b")]);
        let image = Image::new(header, meta.clone(), Array4::<u16>::ones((1, 2, 3, 4)));
        let (files, _) = run_gadget::<FinishDicom>(Config {}, &Scan::default(), [image])
            .expect("it lies somewhere");
        assert_eq!(files.len(), 2);
        for file in &files {
            let Message::DicomFile(file) = file else { panic!("{:?}", file.kind()) };
            assert_eq!(&file.data[128..132], b"DICM");
            assert!(file.file_name.ends_with(".dcm"));
            assert_eq!(file.meta, meta);
        }
    }
}
