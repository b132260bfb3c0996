//! A simulated scan through a chain, in one program: `cargo run -p cartesian --example reconstruct`.

use std::error::Error;

use pipeline::chain::ChainFile;
use pipeline::{Chain, Message, Registry, Scan};
use tokio::sync::mpsc;

const CHAIN: &str = r#"
[[gadget]]
use = "remove_oversampling"

[[gadget]]
use = "collect_readouts"
sorting_dimension = "slice"

[[gadget]]
use = "sort_k_space"

[[gadget]]
use = "reconstruct_fft"

[[gadget]]
use = "split_series"

[[gadget]]
use = "extract"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // The gadgets that the chain can name, and the chain, checked whole before any data.
    let registry = Registry::new()
        .with::<acquisition::RemoveOversampling>()
        .with::<acquisition::CollectReadouts>()
        .with::<acquisition::SortKSpace>()
        .with::<cartesian::ReconstructFft>()
        .with::<image::SplitSeries>()
        .with::<image::Extract>();
    let chain = Chain::check(&ChainFile::parse("example.toml", CHAIN)?, &registry)?;

    // A Shepp-Logan phantom of two slices, seen by four coils.
    let setup = phantom::Setup {
        matrix_size: [128, 96],
        n_channels: 4,
        n_slices: 2,
        ..phantom::Setup::new(phantom::Subject::SheppLogan)
    };
    let simulated = phantom::SimulatedScan::new(&phantom::GradientEcho::default(), setup)?;
    let scan = Scan::with_header(simulated.header().clone());

    let (output, mut results) = mpsc::channel(4);
    let (faults, mut reported) = mpsc::unbounded_channel();
    let (input, run) = chain.start(&scan, output, faults).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    })?;

    // Readouts go in on a thread of their own; dropping the input ends the scan.
    let feeder = std::thread::spawn(move || {
        for readout in simulated.acquisitions() {
            if input.blocking_send(readout.into()).is_err() {
                break;
            }
        }
    });
    while let Some(message) = results.blocking_recv() {
        if let Message::Image(image) = message {
            let pixels = image.pixels.to_magnitude();
            let (_, _, ny, nx) = pixels.dim();
            let mean = pixels.mean().unwrap_or_default();
            println!("slice {}: {nx} x {ny} pixels, mean {mean:.4}", { image.header.slice });
        }
    }
    run.join();
    while let Ok(fault) = reported.try_recv() {
        eprintln!("{fault}");
    }
    feeder.join().map_err(|_| "the simulation panicked".into())
}
