//! `boreside simulate`.

mod dataset;
mod motion;
mod sequence;
mod setup;
mod subject;
mod target;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use target::stream_to;

#[derive(Args)]
pub struct SimulateOptions {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(flatten)]
    Scan(sequence::SequenceOptions),
    /// A training set: pictures of random hearts and what is known about them, for numpy
    Dataset(Box<dataset::DatasetOptions>),
}

/// Simulates a scan into a file or to a server, or a training set into a folder.
pub fn run(options: &SimulateOptions) -> Result<()> {
    match &options.what {
        What::Scan(sequence) => {
            let (scan, target) = sequence.scan()?;
            target.deliver(&scan)
        }
        What::Dataset(options) => dataset::run(options),
    }
}
