//! T1 of the first images of a MOLLI, directly: by network and by fit, against the whole MOLLI.
//!
//! Each case is a patient: four tissues with T1 and T2 of their own, a rhythm from 44 to 109 beats
//! per minute, a transmit field, an inversion factor, and a signal-to-noise ratio of the myocardium
//! from 15 to 60. Signals of a MOLLI 5(3)3 are those of Bloch's equations; each tissue is a square
//! with a phase and complex noise. The gadgets `map_t1` and `estimate_t1` make maps of all eight
//! images, and of the first four and five of the same. Errors are against the fit of all eight
//! without noise (`error`) and against the true T1 (`bias_to_true`).

mod molli;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use mapping::{EstimateT1, EstimateT1Config, MapT1, MapT1Config};
use pipeline::{Gadget, ImageSeries, Message, ParametricMap, Scan, Services, run_gadget};

use super::averages::{mean, quantile};
use super::{CaseOptions, Methods};
use crate::models::{Place, service};
use molli::{Patient, TISSUES};

#[derive(Args, Clone, Debug)]
pub struct DirectOptions {
    #[command(flatten)]
    pub cases: CaseOptions,
    #[command(flatten)]
    at: Place,
}

const NETWORK: &str = "t1_from_few_images";

/// What a method gave of a tissue.
#[derive(Default)]
struct Sums {
    /// Median of each case.
    t1_ms: Vec<f64>,
    /// Median less that of the whole MOLLI without noise, and less the true T1, of each case.
    error_ms: Vec<f64>,
    true_error_ms: Vec<f64>,
    /// Standard deviation over a tissue's pixels, of each case.
    spread_ms: Vec<f64>,
    n_covered: usize,
    n_pixels: usize,
    n_without: usize,
}

impl Sums {
    fn metrics(&self) -> Vec<(&'static str, f64)> {
        let n = self.n_pixels.max(1) as f64;
        let squares: Vec<f64> = self.error_ms.iter().map(|error| error * error).collect();
        vec![
            ("t1_mean_ms", mean(&self.t1_ms)),
            ("t1_sd_of_patients_ms", spread(&self.t1_ms)),
            ("bias_ms", mean(&self.error_ms)),
            ("rms_error_ms", mean(&squares).sqrt()),
            ("bias_to_true_ms", mean(&self.true_error_ms)),
            ("precision_ms", mean(&self.spread_ms)),
            ("coverage_one_sigma_percent", 100.0 * self.n_covered as f64 / n),
            ("without_value_percent", 100.0 * self.n_without as f64 / n),
        ]
    }

    /// Adds the pixels of a tissue: T1 and its standard deviation.
    fn add(&mut self, pixels: &[(f64, f64)], molli_t1_ms: f64, true_t1_ms: f64) {
        let valid: Vec<_> = pixels.iter().copied().filter(|(t1_ms, _)| *t1_ms > 0.0).collect();
        self.n_pixels += pixels.len();
        self.n_without += pixels.len() - valid.len();
        let is_covered = |(t1_ms, sd_ms): &&(f64, f64)| (t1_ms - molli_t1_ms).abs() <= *sd_ms;
        self.n_covered += valid.iter().filter(is_covered).count();
        if valid.is_empty() {
            return;
        }
        let at = |share| quantile(valid.iter().map(|(t1_ms, _)| *t1_ms).collect(), share);
        let median_ms = at(0.5);
        self.t1_ms.push(median_ms);
        self.error_ms.push(median_ms - molli_t1_ms);
        self.true_error_ms.push(median_ms - true_t1_ms);
        // Half of what lies between the ends of one sigma: single wild fits do not count for all.
        self.spread_ms.push(0.5 * (at(0.841_34) - at(0.158_66)));
    }
}

fn spread(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt()
}

/// Which gadget, how many of the images, and whether the readout is told.
#[derive(Clone, Copy)]
struct Method {
    name: &'static str,
    n_images: usize,
    is_network: bool,
    knows_readout: bool,
}

impl Method {
    const fn fit(name: &'static str, n_images: usize) -> Self {
        Self { name, n_images, is_network: false, knows_readout: true }
    }

    const fn network(name: &'static str, n_images: usize, knows_readout: bool) -> Self {
        Self { name, n_images, is_network: true, knows_readout }
    }
}

const METHODS: [Method; 6] = [
    Method::fit("molli", 8),
    Method::fit("fit_of_5", 5),
    Method::fit("fit_of_4", 4),
    Method::network("network_of_5", 5, true),
    Method::network("network_of_4", 4, true),
    Method::network("network_of_4_readout_not_known", 4, false),
];

/// The metrics of each method and tissue.
pub fn evaluate(n_cases: u64, options: &DirectOptions) -> Result<Methods<String>> {
    let models = service(&options.at.networks, &options.at.data);
    let has_network = match models.open(NETWORK).and_then(|model| model.wait_until_ready()) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!("{error}: the network is left out");
            false
        }
    };
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for index in 0..n_cases {
        let patient = Patient::new(options.cases.seed, index);
        let molli_t1_ms = patient.molli_t1_ms().with_context(|| format!("case {index}"))?;
        for method in METHODS.iter().filter(|method| has_network || !method.is_network) {
            let series = patient.series(method.n_images, method.knows_readout);
            let mut scan = patient.scan();
            scan.services = Services::default().with(Arc::clone(&models));
            let map = method.map(&scan, series).with_context(|| format!("case {index}"))?;
            let sd = map.sd.as_ref().context("a map without standard deviations")?;
            for (tissue, name) in TISSUES.iter().enumerate() {
                let pixels: Vec<(f64, f64)> = Patient::pixels(tissue)
                    .map(|place| (f64::from(map.values[place]), f64::from(sd[place])))
                    .collect();
                let sums = sums.entry(format!("{name}, {}", method.name)).or_default();
                sums.add(&pixels, molli_t1_ms[tissue], patient.t1_ms(tissue));
            }
        }
        tracing::info!("case {} of {n_cases}", index + 1);
    }
    Ok(sums.iter().map(|(name, sums)| (name.clone(), sums.metrics())).collect())
}

impl Method {
    fn map(self, scan: &Scan, series: ImageSeries) -> Result<ParametricMap> {
        // The scan does not say its inversion factor: no method corrects for it.
        if self.is_network {
            let config = EstimateT1Config { correction_factor: 1.0, ..EstimateT1Config::default() };
            return map_of::<EstimateT1>(config, scan, series);
        }
        let config = MapT1Config { correction_factor: 1.0, ..MapT1Config::default() };
        map_of::<MapT1>(config, scan, series)
    }
}

fn map_of<G: Gadget<Input = ImageSeries>>(
    config: G::Config,
    scan: &Scan,
    series: ImageSeries,
) -> Result<ParametricMap>
where
    G::Error: Send + Sync + 'static,
{
    let (outputs, reports) = run_gadget::<G>(config, scan, [series])?;
    if let Some(report) = reports.iter().find(|report| report.contains("instead")) {
        bail!("{report}");
    }
    let map = outputs.into_iter().find_map(|message| match message {
        Message::ParametricMap(map) => Some(map),
        _ => None,
    });
    map.context("no map came out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ModelOptions;

    #[test]
    fn the_network_of_four_images_is_right_and_more_precise_than_the_fit() {
        let options = DirectOptions {
            cases: CaseOptions { cases: Some(4), seed: 3, json: false },
            // A test is no program that could run a network for another.
            at: Place {
                networks: ModelOptions { models_in_process: Some(true), ..Default::default() },
                ..Place::default()
            },
        };
        let methods = evaluate(4, &options).expect("cases");
        let value = |method: &str, name: &str| {
            let metrics = methods.get(method).unwrap_or_else(|| panic!("{method}: {methods:?}"));
            metrics.iter().find(|(metric, _)| *metric == name).expect(name).1
        };
        let whole = value("native myocardium, molli", "bias_ms");
        assert!(
            whole.abs() < 15.0,
            "the median of noisy pixels is that without noise: {methods:?}"
        );
        // Where there is no runtime, networks are left out.
        if !methods.contains_key("native myocardium, network_of_4") {
            return;
        }
        let precision = |method| value(&format!("native myocardium, {method}"), "precision_ms");
        assert!(precision("network_of_4") < precision("fit_of_4"), "{methods:?}");
        for tissue in TISSUES {
            let method = format!("{tissue}, network_of_4");
            let share = value(&method, "bias_ms") / value(&method, "t1_mean_ms");
            assert!(share.abs() < 0.04, "{method}: {methods:?}");
        }
    }
}
