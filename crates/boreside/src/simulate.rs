//! `boreside simulate`.

mod motion;
mod sequence;
mod setup;
mod subject;
mod target;

use anyhow::Result;
use clap::Args;

pub use target::stream_to;

#[derive(Args)]
pub struct SimulateOptions {
    #[command(subcommand)]
    sequence: sequence::SequenceOptions,
}

/// Simulates a scan into a file or to a server.
pub fn run(options: &SimulateOptions) -> Result<()> {
    let (scan, target) = options.sequence.scan()?;
    target.deliver(&scan)
}
