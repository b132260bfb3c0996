//! `boreside demo`: the whole way once, with nothing to set up.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use ismrmrd::wire;
use phantom::{GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, Subject};
use server::{Server, Settings};

use crate::cli::ChainFolder;
use crate::recording::Pace;
use crate::{gadgets, simulate};

#[derive(Args)]
pub struct DemoOptions {
    /// Where the picture goes
    #[arg(long, default_value = "boreside-demo.png", value_name = "FILE")]
    pub png: PathBuf,
    /// Stream at the pace of the sequence, as a scanner does
    #[arg(long)]
    pub realtime: bool,
}

/// Starts a server, streams a simulated scan to it, and shows the picture.
pub fn run(options: &DemoOptions) -> Result<()> {
    let setup = Setup {
        matrix_size: [256, 256],
        n_channels: 16,
        noise: Noise::Sd(0.02),
        noise_scan: Some(NoiseScan::default()),
        ..Setup::new(Subject::SheppLogan)
    };
    let sequence = GradientEcho { n_repetitions: 4, ..GradientEcho::default() };
    let scan = SimulatedScan::new(&sequence, setup)?;
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
        "a scanner streams {} readouts of 16 channels to it, chain `cartesian_fft`",
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
    outcome.sheet.write_png(&options.png)?;
    if std::io::stdout().is_terminal() {
        out!("{}", outcome.sheet.for_terminal());
    }
    outln!("picture: {}", options.png.display());
    Ok(())
}
