//! `boreside inspect`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use ismrmrd::{Header, Survey, wire};

use crate::cli::DataFolder;
use crate::recording::{self, Pace};
use crate::series::SeriesTable;

#[derive(Args)]
pub struct InspectOptions {
    /// HDF5 file, recorded stream, journal, number of a journalled session, or - for standard input
    pub input: String,
    /// Group of an HDF5 file
    #[arg(long, default_value = "dataset")]
    pub group: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data: DataFolder,
}

/// Reads the whole recording and prints what is in it.
pub fn run(options: &InspectOptions) -> Result<()> {
    let recording = recording::open(&options.input, &options.group, &options.data, Pace::Max)?;
    let mut header_error = None;
    let header = recording.header_text.as_deref().and_then(|text| {
        Header::from_xml(text).map_err(|error| header_error = Some(error.to_string())).ok()
    });
    let mut survey = Survey::default();
    let mut series = SeriesTable::default();
    let mut end = Ok(());
    for message in recording.messages {
        match message {
            Ok(message) => {
                survey.observe(&message);
                if let wire::Message::Image(image) = &message {
                    series.take(image, Duration::ZERO);
                }
            }
            Err(error) => {
                end = Err(error);
                break;
            }
        }
    }
    let report = survey.report(header.as_ref());
    if options.json {
        let mut report = serde_json::to_value(&report)?;
        if let Some(object) = report.as_object_mut() {
            object.insert("series".to_owned(), series.json());
        }
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        outln!("{report}");
        out!("{}", series.text(false));
        if let Some(error) = header_error {
            outln!("warning: the header is not read: {error}");
        }
    }
    end
}
