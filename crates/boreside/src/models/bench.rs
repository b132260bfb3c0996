//! `boreside models bench`: how long a call takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use inference::manifest::{Axis, Length};
use inference::{Engine, Manifest, Model, ProviderChoice, Request, Tensor};

use super::{Place, told, told_here};

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

/// Times of calls of the bare runtime in this process, then of the model as gadgets ask it. What is
/// around a call is all that is not the runtime's own time for it.
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
            let models = told_here(&networks, &options.at.data);
            // The bare runtime goes before the model comes: their threads would wait for each other.
            let bare = bare_times(&models, options, size);
            let model = models.open(&options.name).map_err(|error| told(&error))?;
            let runs_on = model.wait_until_ready().map_err(|error| told(&error))?;
            let bare = bare?;
            for (place, batch) in options.batch.iter().enumerate() {
                let Some(inputs) = inputs(model.manifest(), *batch, size) else { continue };
                let times = time(&model, &inputs, options.calls)?;
                let bare = bare.get(place).and_then(Option::as_ref);
                outln!(
                    "{:<10} {n_threads:>7} {batch:>5}  {:>10.3} {:>10.3} {:>10}  {:>9}",
                    runs_on.name(),
                    median(&times.whole),
                    times.whole.iter().copied().fold(f64::MAX, f64::min),
                    bare.map_or("-".to_owned(), |bare| format!("{:.3}", median(bare))),
                    format!("{:+.3} ms", median(&times.around)),
                );
            }
        }
    }
    Ok(())
}

/// Calls that find nothing in the caches, and are not counted.
const N_FIRST: usize = 3;

/// Times of the runtime alone for each batch; [`None`] where the model has no such batch.
fn bare_times(
    models: &inference::Models,
    options: &BenchOptions,
    size: [usize; 2],
) -> Result<Vec<Option<Vec<f64>>>> {
    let (manifest, bytes) = models.files(&options.name)?;
    let mut engine = Engine::load(&bytes, models.options(), None)?;
    let times = options.batch.iter().map(|batch| {
        let Some(inputs) = inputs(&manifest, *batch, size) else { return Ok(None) };
        let mut times = Vec::new();
        for _ in 0..options.calls + N_FIRST {
            let start = Instant::now();
            engine.run(&inputs, None)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Some(times.split_off(N_FIRST)))
    });
    times.collect()
}

#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    /// Of it, what the runtime did not need.
    around: Vec<f64>,
}

fn time(model: &Model, inputs: &[(String, Tensor)], n_calls: usize) -> Result<Times> {
    let mut times = Times::default();
    for call in 0..n_calls + N_FIRST {
        let request =
            Request { inputs: inputs.to_vec(), session: 0, time: Some(Duration::from_secs(60)) };
        let start = Instant::now();
        let answer = model.run(request)?;
        let whole_ms = start.elapsed().as_secs_f64() * 1e3;
        if call >= N_FIRST {
            times.whole.push(whole_ms);
            times.around.push(whole_ms - answer.provenance.time_ms);
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
