//! `boreside models bench`: how long a call takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use inference::manifest::{Axis, Length};
use inference::{Engine, EngineOptions, Manifest, Model, ProviderChoice, Request, Tensor};

use super::{Place, service};

#[derive(Args)]
pub struct BenchOptions {
    /// Name of the model
    name: String,
    /// Height and width of the images where the model leaves them free: YxX
    #[arg(long, default_value = "160x192", value_name = "YxX")]
    size: String,
    /// Images of one call
    #[arg(long, value_delimiter = ',', default_value = "1,4", value_name = "N,...")]
    batch: Vec<usize>,
    /// Threads of one call
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_name = "N,...")]
    threads: Vec<usize>,
    /// What it runs on
    #[arg(long, value_delimiter = ',', default_value = "cpu", value_name = "P,...", value_parser = crate::cli::provider)]
    providers: Vec<ProviderChoice>,
    /// Calls of each; the median counts
    #[arg(long, default_value_t = 30, value_name = "N")]
    calls: usize,
    #[command(flatten)]
    at: Place,
}

/// Times of calls in turn: the bare runtime in this process, and the model as gadgets ask it. What
/// is around a call is all that is not the runtime's own time for it.
pub fn run(options: &BenchOptions) -> Result<()> {
    let (y, x) = options.size.split_once('x').context("--size: write YxX")?;
    let size: [usize; 2] = [y.parse()?, x.parse()?];
    outln!(
        "{:<10} {:>7} {:>5}  {:>10} {:>10} {:>10}  {:>9}",
        "provider",
        "threads",
        "batch",
        "median ms",
        "least ms",
        "bare ms",
        "around it"
    );
    for provider in &options.providers {
        for n_threads in &options.threads {
            let mut networks = options.at.networks.clone();
            networks.provider = Some(*provider);
            networks.model_threads = Some(*n_threads);
            let models = service(&networks, &options.at.data);
            let model = models.open(&options.name)?;
            let runs_on = model.wait_until_ready()?;
            // One runtime for each process: the embedded one is timed in the worker only.
            let bare = (runs_on != inference::Provider::Embedded)
                .then(|| bare_engine(&models, &options.name, models.options()))
                .transpose()?;
            let mut bare = bare;
            for batch in &options.batch {
                let Some(inputs) = inputs(model.manifest(), *batch, size) else { continue };
                let times = time(&model, bare.as_mut(), &inputs, options.calls)?;
                outln!(
                    "{:<10} {n_threads:>7} {batch:>5}  {:>10.3} {:>10.3} {:>10}  {:>9}",
                    runs_on.name(),
                    median(&times.whole),
                    times.whole.iter().copied().fold(f64::MAX, f64::min),
                    times
                        .bare
                        .first()
                        .map_or("-".to_owned(), |_| format!("{:.3}", median(&times.bare))),
                    format!("{:+.3} ms", median(&times.around)),
                );
            }
        }
    }
    Ok(())
}

fn bare_engine(models: &inference::Models, name: &str, options: &EngineOptions) -> Result<Engine> {
    let bytes = models.model_bytes(name)?;
    Ok(Engine::load(&bytes, options, None)?)
}

#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    /// Of it, what the runtime did not need.
    around: Vec<f64>,
    bare: Vec<f64>,
}

fn time(
    model: &Model,
    mut bare: Option<&mut Engine>,
    inputs: &[(String, Tensor)],
    n_calls: usize,
) -> Result<Times> {
    let mut times = Times::default();
    for call in 0..n_calls + 3 {
        // Both in turn, so that whatever else the machine does is the same for both.
        let bare_ms = match &mut bare {
            Some(engine) => {
                let start = Instant::now();
                engine.run(inputs, None)?;
                Some(start.elapsed().as_secs_f64() * 1e3)
            }
            None => None,
        };
        let request =
            Request { inputs: inputs.to_vec(), session: 0, time: Some(Duration::from_secs(60)) };
        let start = Instant::now();
        let answer = model.run(request)?;
        let whole_ms = start.elapsed().as_secs_f64() * 1e3;
        // The first calls find nothing in the caches.
        if call >= 3 {
            times.whole.push(whole_ms);
            times.around.push(whole_ms - answer.provenance.time_ms);
            times.bare.extend(bare_ms);
        }
    }
    Ok(times)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Inputs of some size: a pattern without much in it. [`None`] where the model has no batch of
/// this size.
fn inputs(manifest: &Manifest, batch: usize, [y, x]: [usize; 2]) -> Option<Vec<(String, Tensor)>> {
    let mut inputs = Vec::new();
    for input in &manifest.inputs {
        let mut shape = Vec::new();
        for (axis, length) in input.axes.iter().zip(&input.shape) {
            shape.push(match (axis, length) {
                (Axis::Batch, Length::Fixed(fixed)) if *fixed != batch => return None,
                (_, Length::Fixed(fixed)) => *fixed,
                (Axis::Batch, _) => batch,
                (Axis::Y, _) => y.next_multiple_of(input.multiple_of),
                (Axis::X, _) => x.next_multiple_of(input.multiple_of),
                (Axis::Frame, _) => 11,
                (Axis::Channel | Axis::Z, _) => 1,
            });
        }
        let n = shape.iter().product();
        let values = (0..n).map(|index: usize| ((index * 7919) % 1000) as f32 / 1000.0).collect();
        let tensor = Tensor::from_f32(&shape, values).ok()?;
        inputs.push((input.name.clone(), tensor.cast(input.element_type)));
    }
    Some(inputs)
}
