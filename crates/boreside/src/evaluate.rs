//! `boreside evaluate`: how good methods are on freshly simulated data whose answer is known.

mod accelerated;
mod averages;
mod cmrf;
mod direct;
mod dti;
mod mapping;
mod moco;
mod similarity;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

#[derive(Args)]
pub struct EvaluateOptions {
    #[command(subcommand)]
    command: EvaluateCommand,
}

#[derive(Subcommand)]
enum EvaluateCommand {
    /// Fits of T1, T2, T2* and extracellular volume: bias, precision, and what their uncertainty
    /// is worth
    Mapping(CaseOptions),
    /// Motion correction of MOLLI series: by network, from nothing, and none
    Moco(moco::MocoOptions),
    /// Fingerprints: T1 and T2 in all rhythms by dictionary and by network, and the system phantom
    Cmrf(cmrf::CmrfOptions),
    /// Diffusion tensors: diffusivity, anisotropy and angles by averages, signal-to-noise ratio and
    /// denoiser
    Dti(dti::DtiEvaluation),
    /// T1 of four and five images after one inversion: by network, by fit, and by a full MOLLI
    Direct(direct::DirectOptions),
    /// Undersampled MOLLI series: T1, likeness and lesions by each reconstruction, and its time
    Accelerated(accelerated::AcceleratedOptions),
}

/// Which cases, and how the result is printed.
#[derive(Args, Clone, Debug)]
pub struct CaseOptions {
    /// Cases [default: 20 of mapping, 200 of moco, 6 of cmrf, 10 of dti, 40 of direct, 4 of accelerated]
    #[arg(long, value_name = "N")]
    pub cases: Option<u64>,
    /// Seed of the cases: the same cases for the same number
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Metrics by method, each in the order in which it was added.
pub type Methods<Name = &'static str> = BTreeMap<Name, Vec<(&'static str, f64)>>;

pub fn run(options: &EvaluateOptions) -> Result<()> {
    match &options.command {
        EvaluateCommand::Mapping(cases) => {
            let n_cases = number_of(cases, 20)?;
            let methods = mapping::evaluate(n_cases, cases.seed)?;
            print("mapping", n_cases, cases, &methods)
        }
        EvaluateCommand::Moco(options) => {
            let n_cases = number_of(&options.cases, 200)?;
            let methods = moco::evaluate(n_cases, options)?;
            print("moco", n_cases, &options.cases, &methods)
        }
        EvaluateCommand::Cmrf(options) => {
            let n_cases = number_of(&options.cases, 6)?;
            let methods = cmrf::evaluate(n_cases, options)?;
            print("cmrf", n_cases, &options.cases, &methods)
        }
        EvaluateCommand::Dti(options) => {
            let n_cases = number_of(&options.cases, 10)?;
            let methods = dti::evaluate(n_cases, options)?;
            print("dti", n_cases, &options.cases, &methods)
        }
        EvaluateCommand::Direct(options) => {
            let n_cases = number_of(&options.cases, 40)?;
            let methods = direct::evaluate(n_cases, options)?;
            print("direct", n_cases, &options.cases, &methods)
        }
        EvaluateCommand::Accelerated(options) => {
            let n_cases = number_of(&options.cases, 4)?;
            let methods = accelerated::evaluate(n_cases, options)?;
            print("accelerated", n_cases, &options.cases, &methods)
        }
    }
}

/// The number of cases, `usual` where none is given.
pub fn number_of(cases: &CaseOptions, usual: u64) -> Result<u64> {
    match cases.cases.unwrap_or(usual) {
        0 => bail!("--cases is 0, 1 is the least"),
        n => Ok(n),
    }
}

/// Prints a table, or an object as design.md has it: evaluation, cases, seed, methods.
pub fn print<Name: AsRef<str>>(
    evaluation: &str,
    n_cases: u64,
    cases: &CaseOptions,
    methods: &Methods<Name>,
) -> Result<()> {
    if cases.json {
        let methods: serde_json::Map<_, _> = methods
            .iter()
            .map(|(method, metrics)| {
                let metrics = metrics
                    .iter()
                    .map(|(metric, value)| ((*metric).to_owned(), serde_json::json!(value)));
                (method.as_ref().to_owned(), serde_json::Value::Object(metrics.collect()))
            })
            .collect();
        let object = serde_json::json!({
            "evaluation": evaluation,
            "cases": n_cases,
            "seed": cases.seed,
            "methods": methods,
        });
        outln!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    outln!("{evaluation}: {n_cases} cases, seed {}", cases.seed);
    for (method, metrics) in methods {
        outln!("{}", method.as_ref());
        for (metric, value) in metrics {
            outln!("  {metric:<32} {value:>12.4}");
        }
    }
    Ok(())
}
