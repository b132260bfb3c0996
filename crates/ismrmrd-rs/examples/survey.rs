//! Prints what a scan consists of, from an HDF5 file or from recorded MRD messages.
//!
//! `cargo run --example survey -- FILE [GROUP]`

use std::error::Error;
use std::fs::File;

use ismrmrd::hdf5::{DEFAULT_GROUP, FileReader};
use ismrmrd::sniff::{Format, sniff};
use ismrmrd::wire::{Message, Reader};
use ismrmrd::{Header, Survey};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let group = arguments.next().unwrap_or_else(|| DEFAULT_GROUP.to_owned());

    let mut survey = Survey::new();
    let mut header = None;
    if sniff(&path)?.format == Format::MrdStream {
        for message in Reader::new(File::open(&path)?) {
            let message = message?;
            if let Message::Header(text) = &message {
                header = Some(Header::from_xml(text)?);
            }
            survey.observe(&message);
        }
    } else {
        let reader = FileReader::open_group(&path, &group)?;
        header = reader.header()?;
        for message in reader.messages()? {
            survey.observe(&message?);
        }
        for name in reader.image_names()? {
            for image in reader.images(&name)? {
                survey.observe_image(&image?);
            }
        }
    }
    print!("{}", survey.report(header.as_ref()));
    Ok(())
}
