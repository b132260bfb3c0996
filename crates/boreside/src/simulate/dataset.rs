//! `boreside simulate dataset`: training sets as arrays that numpy reads.

mod kinds;
mod npy;
mod pictures;
mod set;

use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub struct DatasetOptions {
    #[command(subcommand)]
    kind: kinds::Kind,
}

/// Makes a training set and says how fast.
pub fn run(options: &DatasetOptions) -> Result<()> {
    let (dataset, folder) = options.kind.dataset()?;
    folder.write(&*dataset, options.kind.seed())
}
