//! Chores: `cargo xtask …`.

mod bench_latency;
mod bench_scan;
mod bench_server;
mod candidate;
mod docs;
mod new_gadget;
mod process;
mod workspace;

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
    /// Time from the last readout of a frame to its image, at the pace of a scanner
    BenchLatency(bench_latency::Options),
    /// Write property tables, the schema of chain files and the list of gadgets from the code
    Docs(docs::Options),
    /// Begin a gadget: its file, its lines in the lists, a chain and a README section
    NewGadget(new_gadget::Options),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::BenchServer(options) => bench_server::run(&options),
        Chore::BenchLatency(options) => bench_latency::run(&options),
        Chore::Docs(options) => docs::run(&options),
        Chore::NewGadget(options) => new_gadget::run(&options),
    }
}
