//! Chores: `cargo xtask …`.

mod bench_server;
mod process;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Time the running server on a generated scan, against a bare loop and against peers
    BenchServer(bench_server::Options),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::BenchServer(options) => bench_server::run(&options),
    }
}
