//! Where a simulated scan goes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use ismrmrd::hdf5::FileWriter;
use ismrmrd::{Image, ImageHeader, ImageType, Meta, Pixels, wire};
use ndarray::Axis;
use phantom::{Event, SimulatedScan, TruthImage, TruthValues};

use crate::client;
use crate::outcome::{self, Outcome};
use crate::recording::Pace;
use crate::replay;

/// Where the scan goes.
#[derive(Args)]
#[command(next_help_heading = "Target")]
pub struct Target {
    /// New HDF5 file for the scan
    #[arg(long, short, value_name = "SCAN.h5", required_unless_present = "to", value_parser = crate::cli::new_file)]
    output: Option<PathBuf>,
    /// New HDF5 file for the truth: maps, masks, displacement fields, coil maps and images
    /// without noise on the image's grid, a series per quantity
    #[arg(long, value_name = "TRUTH.h5", value_parser = crate::cli::new_file)]
    truth: Option<PathBuf>,
    /// Replace these files if they are there
    #[arg(long)]
    overwrite: bool,
    /// Server to stream it to
    #[arg(long, value_name = "HOST:PORT", requires = "chain")]
    to: Option<String>,
    /// Chain for the server: a name, or a file
    #[arg(long, short, value_name = "NAME|FILE")]
    chain: Option<String>,
    /// How fast it is streamed [default: max]
    #[arg(long, value_enum, requires = "to")]
    pace: Option<Pace>,
    /// Contact sheet of the images that come back
    #[arg(long, requires = "to", value_name = "FILE", value_parser = crate::cli::png_file)]
    png: Option<PathBuf>,
}

impl Target {
    /// Writes the truth and the scan and streams it, as far as each was asked for.
    pub fn deliver(&self, scan: &SimulatedScan) -> Result<()> {
        let files = [&self.output, &self.truth];
        if self.output.is_some() && self.output == self.truth {
            bail!("the scan and its truth cannot be one file: choose two names");
        }
        // Before any work.
        for path in files.into_iter().flatten() {
            self.must_be_free(path)?;
        }
        if let Some(path) = &self.truth {
            remove_unless_whole(path, write_truth(scan, path))?;
            outln!("truth: {}", path.display());
        }
        if let Some(path) = &self.output {
            remove_unless_whole(path, write_scan(scan, path))?;
            outln!("{} readouts in {}", scan.n_acquisitions(), path.display());
        }
        if let (Some(address), Some(chain)) = (&self.to, &self.chain) {
            let outcome =
                stream_to(scan, address, replay::config_of(chain)?, self.pace.unwrap_or_default())?;
            out!("{}", outcome.table());
            if let Some(path) = &self.png {
                outcome.sheet.write_png(path)?;
            }
        }
        Ok(())
    }

    fn must_be_free(&self, path: &Path) -> Result<()> {
        if path.exists() && !self.overwrite {
            bail!("{} is there already: choose another name or --overwrite", path.display());
        }
        Ok(())
    }
}

/// Streams a simulated scan to a server and collects what comes back.
///
/// # Errors
/// The server cannot be reached, or reports an error.
pub fn stream_to(
    scan: &SimulatedScan,
    address: &str,
    config: wire::Message,
    pace: Pace,
) -> Result<Outcome> {
    let mut outcome = Outcome::new(None, false, None)?;
    let opening = client::Opening { config, header_text: scan.header().to_xml(), parameters: None };
    let started = Instant::now();
    let messages = scan.events().map(|(at, event)| {
        if pace == Pace::Realtime {
            std::thread::sleep(at.saturating_sub(started.elapsed()));
        }
        Ok(match event {
            Event::Acquisition(acquisition) => wire::Message::Acquisition(acquisition),
            Event::Waveform(waveform) => wire::Message::Waveform(waveform),
        })
    });
    let finished = client::run(address, opening, messages, |message| outcome.take(message))?;
    outcome::fail_on_reported(finished.n_errors)?;
    Ok(outcome)
}

/// A file that could not be written to its end is of no use.
fn remove_unless_whole(path: &Path, written: Result<()>) -> Result<()> {
    if written.is_err() {
        // The first error says what happened.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn create(path: &Path) -> Result<FileWriter> {
    FileWriter::create(path).with_context(|| path.display().to_string())
}

fn write_scan(scan: &SimulatedScan, path: &Path) -> Result<()> {
    let mut file = create(path)?;
    file.write_header(scan.header())?;
    for (_, event) in scan.events() {
        match event {
            Event::Acquisition(acquisition) => file.write_acquisition(&acquisition)?,
            Event::Waveform(waveform) => file.write_waveform(&waveform)?,
        }
    }
    Ok(file.finish()?)
}

fn write_truth(scan: &SimulatedScan, path: &Path) -> Result<()> {
    let mut file = create(path)?;
    file.write_header(scan.header())?;
    for image in scan.truth() {
        let name = image.name;
        file.write_image_to(name, &to_mrd(scan, image)?)?;
    }
    Ok(file.finish()?)
}

/// The truth as an MRD image, whose channels are the components of fields and tensors.
fn to_mrd(scan: &SimulatedScan, truth: TruthImage) -> Result<Image> {
    let TruthImage { name, slice, frame, values } = truth;
    let geometry = scan.image_geometry(slice);
    let mut header = ImageHeader {
        measurement_uid: scan.setup().measurement_uid,
        slice: u16::try_from(slice)?,
        // Counted from 1, and over again.
        image_index: (frame.unwrap_or(slice) % usize::from(u16::MAX)) as u16 + 1,
        field_of_view: geometry.field_of_view_mm,
        position: geometry.center_mm,
        read_dir: geometry.read_direction,
        phase_dir: geometry.phase_direction,
        slice_dir: geometry.slice_direction,
        ..ImageHeader::default()
    };
    let mut meta = Meta::new();
    meta.set("DataRole", name);
    if let Some((_, unit)) = UNITS.iter().find(|(ending, _)| name.ends_with(ending)) {
        meta.set("Unit", *unit);
    }
    match name {
        "displacement_field_px" => meta.set_all("Components", ["dy", "dx"]),
        // The header's directions are in the patient's axes.
        "diffusion_tensor_um2_per_ms" => {
            meta.set_all("Components", ["xx", "xy", "xz", "yy", "yz", "zz"]);
            meta.set("ComponentAxes", "image");
        }
        _ => {}
    }
    if let Some(frame) = frame.map(|frame| &scan.plan().frames[frame]) {
        let counters = frame.counters;
        header.average = counters.average;
        header.contrast = counters.contrast;
        header.phase = counters.phase;
        header.repetition = counters.repetition;
        header.set = counters.set;
        header.acquisition_time_stamp = phantom::ticks(frame.time_ms);
        header.physiology_time_stamp[0] = phantom::duration_ticks(frame.since_trigger_ms);
        for (key, value) in &frame.values {
            meta.set(key, format!("{value}"));
        }
    }
    let pixels = match values {
        TruthValues::Complex(values) => {
            header.image_type = ImageType::Complex as u16;
            Pixels::C32(values.insert_axis(Axis(1)))
        }
        TruthValues::Real(values) => {
            header.image_type = ImageType::Real as u16;
            Pixels::F32(values.insert_axis(Axis(1)))
        }
        TruthValues::Labels(labels) => {
            header.image_type = ImageType::Magnitude as u16;
            Pixels::U16(labels.insert_axis(Axis(0)).insert_axis(Axis(0)))
        }
    };
    Ok(Image::new(header, meta, pixels))
}

/// Endings of names and the units that they stand for; the first that fits counts.
const UNITS: [(&str, &str); 5] =
    [("_um2_per_ms", "um2/ms"), ("_ms", "ms"), ("_px", "px"), ("_deg", "deg"), ("_percent", "%")];
