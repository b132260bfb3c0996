//! `boreside demo`: the whole way once, with nothing to set up.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use ismrmrd::{Image, Pixels, wire};
use ndarray::Axis;
use phantom::{
    Lesion, LesionKind, LineOptions, LineOrder, Molli, Noise, NoiseScan, Setup, ShortAxisOptions,
    SimulatedScan, Subject,
};
use server::{Server, Settings};

use crate::cli::ChainFolder;
use crate::picture::ContactSheet;
use crate::recording::Pace;
use crate::{gadgets, simulate};

#[derive(Args)]
pub struct DemoOptions {
    /// Where the picture goes
    #[arg(long, default_value = "boreside-demo.png", value_name = "FILE", value_parser = crate::cli::png_file)]
    pub png: PathBuf,
    /// Stream at the pace of the sequence, as a scanner does
    #[arg(long)]
    pub realtime: bool,
}

/// Starts a server, streams a simulated heart to it, and shows what came back beside what it
/// should be.
pub fn run(options: &DemoOptions) -> Result<()> {
    let scan = SimulatedScan::new(&Molli::default(), heart())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sockets")
        .enable_all()
        .build()
        .context("the sockets' threads cannot be started")?;
    let chains = gadgets::library(&ChainFolder::default());
    let server = runtime.block_on(Server::bind("127.0.0.1:0", Settings::default(), chains))?;
    let address = server.local_addr()?.to_string();
    outln!("a server listens on {address}");
    outln!(
        "a scanner streams {} readouts of 16 channels to it (a heart, MOLLI), chain `cartesian_fft`",
        scan.n_acquisitions()
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(server.run(async {
        // Dropped or sent: both mean that the demonstration is over.
        let _ = stopped.await;
    }));
    let pace = if options.realtime { Pace::Realtime } else { Pace::Max };
    let config = wire::Message::ConfigFile("cartesian_fft".to_owned());
    let outcome = simulate::stream_to(&scan, &address, config, pace)?;
    drop(stop);
    runtime.block_on(serving).context("the server panicked")?;
    out!("{}", outcome.table());
    if std::io::stdout().is_terminal() {
        out!("{}", outcome.sheet.for_terminal());
    }
    let mut phantom = ContactSheet::default();
    for frame in 0..scan.plan().frames.len() {
        let pixels = scan.object_image(frame).insert_axis(Axis(0)).insert_axis(Axis(0));
        phantom.add(&Image::new(Default::default(), Default::default(), Pixels::C32(pixels)));
    }
    phantom.beside(outcome.sheet).write_png(&options.png)?;
    outln!("picture, the phantom to the left of each image: {}", options.png.display());
    Ok(())
}

/// A heart with a scar, whose blood and myocardium whose myocardium is 25 times the noise in the brightest image.
fn heart() -> Setup {
    let scar = Lesion {
        kind: LesionKind::Infarct,
        angle_rad: -0.5,
        extent_rad: 1.2,
        transmural: [0.0, 0.7],
    };
    let subject = ShortAxisOptions { lesions: vec![scar], ..ShortAxisOptions::default() };
    Setup {
        matrix_size: [192, 160],
        field_of_view_mm: [360.0, 300.0],
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        sample_time_us: 2.5,
        n_channels: 16,
        noise: Noise::SignalToNoise(25.0),
        noise_scan: Some(NoiseScan::default()),
        ..Setup::new(Subject::ShortAxis(subject))
    }
}
