//! `boreside simulate`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use ismrmrd::hdf5::FileWriter;
use ismrmrd::{Acquisition, Image, ImageHeader, ImageType, Meta, Pixels, wire};
use ndarray::Axis;
use phantom::{Calibration, CartesianOptions, CartesianScan, NoiseScan};

use crate::client;
use crate::outcome::Outcome;
use crate::recording::Pace;
use crate::replay;

#[derive(Args)]
pub struct SimulateOptions {
    #[command(subcommand)]
    sequence: Sequence,
}

#[derive(Subcommand)]
enum Sequence {
    /// The Shepp-Logan phantom, Cartesian, with exact multi-coil k-space
    SheppLogan(Box<SheppLogan>),
}

#[derive(Args)]
struct SheppLogan {
    /// Pixels of the image: N or XxY
    #[arg(long, default_value = "256", value_name = "N|XxY", value_parser = matrix)]
    matrix: [usize; 2],
    /// Field of view in mm: F or XxY
    #[arg(long, default_value = "300", value_name = "F|XxY", value_parser = field_of_view)]
    field_of_view_mm: [f64; 2],
    /// Receive channels
    #[arg(long, default_value_t = 8)]
    channels: usize,
    /// Slices
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Repetitions
    #[arg(long, default_value_t = 1)]
    repetitions: usize,
    /// Samples of a readout over pixels
    #[arg(long, default_value_t = 2)]
    oversampling: usize,
    /// Every how many lines one is acquired
    #[arg(long, default_value_t = 1)]
    acceleration: usize,
    /// Lines around the centre that are all acquired
    #[arg(long, default_value_t = 0)]
    calibration_lines: usize,
    /// Acquire the calibration lines in readouts of their own before the image
    #[arg(long)]
    separate_calibration: bool,
    /// Standard deviation of the noise; the brightest part of the phantom is 1
    #[arg(long, default_value_t = 0.0)]
    noise: f64,
    /// Readouts of noise before the scan [default: 16 where there is noise]
    #[arg(long)]
    noise_readouts: Option<usize>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    target: Target,
}

/// Where the scan goes.
#[derive(Args)]
struct Target {
    /// New HDF5 file for the scan
    #[arg(long, short, value_name = "SCAN.h5", required_unless_present = "to")]
    output: Option<PathBuf>,
    /// New HDF5 file for the truth: the image and the coil maps on the image's grid
    #[arg(long, value_name = "TRUTH.h5")]
    truth: Option<PathBuf>,
    /// Server to stream it to
    #[arg(long, value_name = "HOST:PORT", requires = "chain")]
    to: Option<String>,
    /// Chain for the server: a name, or a file
    #[arg(long, short, value_name = "NAME|FILE")]
    chain: Option<String>,
    /// How fast it is streamed
    #[arg(long, value_enum, default_value_t)]
    pace: Pace,
    /// Contact sheet of the images that come back
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

fn pair<T: std::str::FromStr + Copy>(text: &str) -> Result<[T; 2], String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number"));
    match text.split_once(['x', 'X']) {
        Some((x, y)) => Ok([number(x)?, number(y)?]),
        None => Ok([number(text)?; 2]),
    }
}

fn matrix(text: &str) -> Result<[usize; 2], String> {
    pair(text)
}

fn field_of_view(text: &str) -> Result<[f64; 2], String> {
    pair(text)
}

/// Simulates a scan into a file or to a server.
pub fn run(options: &SimulateOptions) -> Result<()> {
    let Sequence::SheppLogan(options) = &options.sequence;
    let n_noise = options.noise_readouts.unwrap_or(if options.noise > 0.0 { 16 } else { 0 });
    let scan = CartesianScan::new(CartesianOptions {
        matrix_size: options.matrix,
        field_of_view_mm: options.field_of_view_mm,
        n_channels: options.channels,
        n_slices: options.slices,
        n_repetitions: options.repetitions,
        readout_oversampling: options.oversampling,
        acceleration: options.acceleration,
        n_calibration_lines: options.calibration_lines,
        calibration: if options.separate_calibration {
            Calibration::Separate
        } else {
            Calibration::Embedded
        },
        noise_sd: options.noise,
        noise_scan: (n_noise > 0)
            .then(|| NoiseScan { n_readouts: n_noise, ..NoiseScan::default() }),
        seed: options.seed,
        ..CartesianOptions::default()
    })?;
    let target = &options.target;
    if let Some(path) = &target.truth {
        write_truth(&scan, path)?;
        outln!("truth: {}", path.display());
    }
    if let Some(path) = &target.output {
        write_scan(&scan, path)?;
        outln!("{} readouts in {}", scan.n_acquisitions(), path.display());
    }
    if let (Some(address), Some(chain)) = (&target.to, &target.chain) {
        let outcome = stream_to(&scan, address, replay::config_of(chain)?, target.pace)?;
        out!("{}", outcome.table());
        if let Some(path) = &target.png {
            outcome.sheet.write_png(path)?;
        }
    }
    Ok(())
}

/// Streams a simulated scan to a server and collects what comes back.
///
/// # Errors
/// The server cannot be reached, or reports an error.
pub fn stream_to(
    scan: &CartesianScan,
    address: &str,
    config: wire::Message,
    pace: Pace,
) -> Result<Outcome> {
    let mut outcome = Outcome::new(None, false, None)?;
    let opening = client::Opening { config, header_text: scan.header().to_xml(), parameters: None };
    let started = Instant::now();
    let readouts = scan.acquisitions().enumerate().map(|(index, readout): (usize, Acquisition)| {
        if pace == Pace::Realtime {
            std::thread::sleep(scan.start_time(index).saturating_sub(started.elapsed()));
        }
        Ok(wire::Message::Acquisition(readout))
    });
    let finished = client::run(address, opening, readouts, |message| outcome.take(message))?;
    if finished.n_errors > 0 {
        bail!("{} errors were reported, see the log above", finished.n_errors);
    }
    Ok(outcome)
}

fn create(path: &Path) -> Result<FileWriter> {
    if path.exists() {
        bail!("{} is there already: choose another name", path.display());
    }
    FileWriter::create(path).with_context(|| path.display().to_string())
}

fn write_scan(scan: &CartesianScan, path: &Path) -> Result<()> {
    let mut file = create(path)?;
    file.write_header(scan.header())?;
    for readout in scan.acquisitions() {
        file.write_acquisition(&readout)?;
    }
    Ok(file.finish()?)
}

/// The band-limited image of each slice as series `image`, and the coil maps as `coil_map`.
fn write_truth(scan: &CartesianScan, path: &Path) -> Result<()> {
    let mut file = create(path)?;
    file.write_header(scan.header())?;
    for (slice, truth) in scan.truth().outer_iter().enumerate() {
        let header = ImageHeader {
            image_type: ImageType::Complex as u16,
            slice: u16::try_from(slice)?,
            image_index: u16::try_from(slice + 1)?,
            field_of_view: field_of_view_of(scan),
            ..ImageHeader::default()
        };
        let pixels = truth.to_owned().insert_axis(Axis(0)).insert_axis(Axis(0));
        file.write_image_to("image", &Image::new(header, Meta::new(), Pixels::C32(pixels)))?;
        let maps = scan.coil_maps(slice).insert_axis(Axis(1));
        file.write_image_to("coil_map", &Image::new(header, Meta::new(), Pixels::C32(maps)))?;
    }
    Ok(file.finish()?)
}

fn field_of_view_of(scan: &CartesianScan) -> [f32; 3] {
    let field_of_view = scan.header().encoding.first().map(|e| e.recon_space.field_of_view_mm);
    field_of_view.map_or([0.0; 3], |f| [f.x, f.y, f.z])
}
