//! Fingerprints of hearts whose T1 and T2 are known, in all rhythms, through the spiral.
//!
//! Each case is a short-axis slice in one rhythm, 192 x 192 pixels, 16 channels: rates of 40, 60, 80,
//! 100 and 120 beats per minute, and an arrhythmia, in turn. Even rounds have no noise, odd ones a
//! signal-to-noise ratio of 10 in the brightest image. Pixels count whose neighbours of two pixels
//! around are of the same tissue. The system phantom follows once.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use cmrf::{
    MapFingerprint, MapFingerprintConfig, Method, ReconstructFingerprint,
    ReconstructFingerprintConfig,
};
use inference::Models;
use ndarray::Array2;
use phantom::{
    Body, Fingerprinting, Label, Motion, Noise, PixelGrid, Rhythm, RhythmOptions, Setup,
    ShortAxisOptions, SimulatedScan, SphereArray, SpiralOptions, Subject, TissueMaps,
};
use pipeline::{Bucket, ImageSeries, Message, ParametricMap, Scan, Services, run_gadget};

use super::averages::mean;
use super::{CaseOptions, Methods};
use crate::models::{Place, service};

#[derive(Args, Clone, Debug)]
pub struct CmrfOptions {
    #[command(flatten)]
    pub cases: CaseOptions,
    #[command(flatten)]
    at: Place,
}

const RATES: [f64; 5] = [40.0, 60.0, 80.0, 100.0, 120.0];
const MATRIX: usize = 192;
const FIELD_OF_VIEW_MM: f64 = 360.0;
const NETWORK: &str = "fingerprint_t1_t2";
/// Spheres that matter for the heart.
const SPHERE_T1_MS: [f64; 2] = [200.0, 2000.0];
const SPHERE_T2_MS: [f64; 2] = [20.0, 280.0];

/// Relative errors of T1 and T2, and how many are within one standard deviation.
#[derive(Default, Clone)]
struct Errors {
    t1: Vec<f64>,
    t2: Vec<f64>,
    n_covered: usize,
    n_sds: usize,
}

fn nrmse_percent(errors: &[f64]) -> f64 {
    100.0 * (errors.iter().map(|e| e * e).sum::<f64>() / errors.len().max(1) as f64).sqrt()
}

/// What a method gave, by rhythm and tissue.
#[derive(Default)]
struct Sums {
    by_rhythm: BTreeMap<(usize, &'static str), Errors>,
    reconstruction_ms: Vec<f64>,
    /// Of the step from images to T1 and T2.
    step_ms: Vec<f64>,
}

impl Sums {
    fn all(&self, tissue: &str) -> Errors {
        let mut sum = Errors::default();
        for ((_, _), errors) in self.by_rhythm.iter().filter(|((_, own), _)| *own == tissue) {
            sum.t1.extend(&errors.t1);
            sum.t2.extend(&errors.t2);
            sum.n_covered += errors.n_covered;
            sum.n_sds += errors.n_sds;
        }
        sum
    }

    fn worst(&self, tissue: &str, of: impl Fn(&Errors) -> f64) -> f64 {
        let own = self.by_rhythm.iter().filter(|((_, own), _)| *own == tissue);
        own.map(|(_, errors)| of(errors)).fold(0.0, f64::max)
    }

    fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = Vec::new();
        for (tissue, names) in TISSUES.iter().zip(METRICS) {
            let all = self.all(tissue.0);
            let values = [
                nrmse_percent(&all.t1),
                nrmse_percent(&all.t2),
                self.worst(tissue.0, |errors| nrmse_percent(&errors.t1)),
                self.worst(tissue.0, |errors| nrmse_percent(&errors.t2)),
                mean_percent(&all.t1),
                mean_percent(&all.t2),
                100.0 * all.n_covered as f64 / all.n_sds.max(1) as f64,
            ];
            metrics.extend(names.into_iter().zip(values));
        }
        for (rhythm, names) in OF_RHYTHMS.into_iter().enumerate() {
            if let Some(errors) = self.by_rhythm.get(&(rhythm, TISSUES[0].0)) {
                let values = [nrmse_percent(&errors.t1), nrmse_percent(&errors.t2)];
                metrics.extend(names.into_iter().zip(values));
            }
        }
        metrics.push(("reconstruction_ms", mean(&self.reconstruction_ms)));
        metrics.push(("t1_and_t2_ms", mean(&self.step_ms)));
        metrics
    }
}

fn mean_percent(errors: &[f64]) -> f64 {
    100.0 * mean(errors)
}

const TISSUES: [(&str, Label); 3] =
    [("myocardium", Label::Myocardium), ("liver", Label::Liver), ("blood", Label::LeftBlood)];
/// Of each tissue.
const METRICS: [[&str; 7]; 3] = [
    [
        "nrmse_t1_percent",
        "nrmse_t2_percent",
        "nrmse_t1_worst_rhythm_percent",
        "nrmse_t2_worst_rhythm_percent",
        "bias_t1_percent",
        "bias_t2_percent",
        "coverage_one_sigma_percent",
    ],
    [
        "liver_nrmse_t1_percent",
        "liver_nrmse_t2_percent",
        "liver_nrmse_t1_worst_rhythm_percent",
        "liver_nrmse_t2_worst_rhythm_percent",
        "liver_bias_t1_percent",
        "liver_bias_t2_percent",
        "liver_coverage_one_sigma_percent",
    ],
    [
        "blood_nrmse_t1_percent",
        "blood_nrmse_t2_percent",
        "blood_nrmse_t1_worst_rhythm_percent",
        "blood_nrmse_t2_worst_rhythm_percent",
        "blood_bias_t1_percent",
        "blood_bias_t2_percent",
        "blood_coverage_one_sigma_percent",
    ],
];
/// Of the myocardium, by rhythm.
const OF_RHYTHMS: [[&str; 2]; 6] = [
    ["nrmse_t1_40_per_min_percent", "nrmse_t2_40_per_min_percent"],
    ["nrmse_t1_60_per_min_percent", "nrmse_t2_60_per_min_percent"],
    ["nrmse_t1_80_per_min_percent", "nrmse_t2_80_per_min_percent"],
    ["nrmse_t1_100_per_min_percent", "nrmse_t2_100_per_min_percent"],
    ["nrmse_t1_120_per_min_percent", "nrmse_t2_120_per_min_percent"],
    ["nrmse_t1_arrhythmia_percent", "nrmse_t2_arrhythmia_percent"],
];
/// Pixels to each side that are of the same tissue.
const REACH: usize = 2;

/// Differences of the methods, network less dictionary.
#[derive(Default)]
struct Differences {
    t1_ms: Vec<f64>,
    t2_ms: Vec<f64>,
}

/// The metrics of each method.
pub fn evaluate(n_cases: u64, options: &CmrfOptions) -> Result<Methods> {
    let models = service(&options.at.networks, &options.at.data);
    let has_network = match models.open(NETWORK).and_then(|model| {
        model.wait_until_ready()?;
        Ok(())
    }) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("{error}: the network is left out");
            false
        }
    };
    let mut sums: BTreeMap<&'static str, Sums> = BTreeMap::new();
    let mut differences = Differences::default();
    for index in 0..n_cases {
        let n_rhythms = RATES.len() + 1;
        let rhythm = (index as usize) % n_rhythms;
        let is_noisy = (index as usize / n_rhythms) % 2 == 1;
        let seed = options.cases.seed.wrapping_mul(1000).wrapping_add(index);
        let noise = if is_noisy { Noise::SignalToNoise(10.0) } else { Noise::Sd(0.0) };
        let scan = heart(rhythm, seed, noise).with_context(|| format!("case {index}"))?;
        let started = Instant::now();
        let (series, of_scan) = reconstructed(&scan, &models)?;
        let reconstruction_ms = 1e3 * started.elapsed().as_secs_f64();
        let mut by_method = Vec::new();
        for method in [Method::Dictionary, Method::Network] {
            if method == Method::Network && !has_network {
                continue;
            }
            let name = match (method == Method::Network, is_noisy) {
                (false, false) => "dictionary",
                (false, true) => "dictionary_snr_10",
                (true, false) => "network",
                (true, true) => "network_snr_10",
            };
            let maps = mapped(method, &series, &of_scan)?;
            let sums = sums.entry(name).or_default();
            sums.reconstruction_ms.push(reconstruction_ms);
            let step_ms = map_of(&maps, "T1")?.meta.get("BoresideStepMs");
            sums.step_ms.extend(step_ms.and_then(|text| text.parse::<f64>().ok()));
            add(sums, rhythm, &scan, &maps)?;
            by_method.push(maps);
        }
        if let [dictionary, network] = &by_method[..] {
            compare(&mut differences, &scan, dictionary, network)?;
        }
        tracing::info!("case {} of {n_cases}", index + 1);
    }
    let mut methods: Methods = sums.iter().map(|(name, sums)| (*name, sums.metrics())).collect();
    if has_network {
        let values = [("t1_ms", mean(&differences.t1_ms)), ("t2_ms", mean(&differences.t2_ms))];
        methods.insert("network_less_dictionary", values.to_vec());
    }
    methods.insert("system_phantom", system_phantom(&models)?);
    Ok(methods)
}

/// Adds the differences in myocardium and liver, where the published ones are from.
fn compare(
    differences: &mut Differences,
    scan: &SimulatedScan,
    dictionary: &[ParametricMap],
    network: &[ParametricMap],
) -> Result<()> {
    let labels = truth_of(scan)?.labels;
    for (quantity, sum) in [("T1", &mut differences.t1_ms), ("T2", &mut differences.t2_ms)] {
        let [of_dictionary, of_network] =
            [map_of(dictionary, quantity)?, map_of(network, quantity)?].map(|map| &map.values);
        for (_, label) in &TISSUES[..2] {
            for [y, x] in deep(&labels, *label, REACH) {
                sum.push(f64::from(of_network[[0, y, x]] - of_dictionary[[0, y, x]]));
            }
        }
    }
    Ok(())
}

fn setup(subject: Subject, noise: Noise, seed: u64, rhythm: Rhythm) -> Setup {
    Setup {
        matrix_size: [MATRIX; 2],
        field_of_view_mm: [FIELD_OF_VIEW_MM; 2],
        n_channels: 16,
        motion: Motion::still(rhythm),
        noise,
        seed,
        ..Setup::new(subject)
    }
}

fn scan_of(setup: Setup) -> Result<SimulatedScan> {
    let sequence = Fingerprinting {
        spiral: SpiralOptions { n_arms: 48, field_of_view_factor: 1.3, ..SpiralOptions::default() },
        ..Fingerprinting::default()
    };
    Ok(SimulatedScan::new(&sequence, setup)?)
}

fn heart(rhythm: usize, seed: u64, noise: Noise) -> Result<SimulatedScan> {
    let options = match RATES.get(rhythm) {
        Some(rate) => RhythmOptions {
            rr_interval_ms: 60_000.0 / rate,
            variability: 0.03,
            seed,
            ..RhythmOptions::default()
        },
        None => RhythmOptions {
            variability: 0.12,
            ectopic_probability: 0.15,
            missed_trigger_probability: 0.1,
            seed,
            ..RhythmOptions::default()
        },
    };
    let subject = Subject::ShortAxis(ShortAxisOptions::default());
    scan_of(setup(subject, noise, seed, Rhythm::new(&options)?))
}

/// The images of the modes, and the scan as a gadget sees it.
fn reconstructed(
    scan: &SimulatedScan,
    models: &std::sync::Arc<Models>,
) -> Result<(ImageSeries, Scan)> {
    let mut of_scan = Scan::with_header(scan.header().clone());
    of_scan.services = Services::default().with(std::sync::Arc::clone(models));
    let is_data = |readout: &ismrmrd::Acquisition| {
        !readout.header.has_any(ismrmrd::AcquisitionFlags::IS_NOISE_MEASUREMENT)
    };
    let bucket =
        Bucket { data: scan.acquisitions().filter(is_data).collect(), ..Bucket::default() };
    let config = ReconstructFingerprintConfig::default();
    let (outputs, _) = run_gadget::<ReconstructFingerprint>(config, &of_scan, [bucket])?;
    match outputs.into_iter().next() {
        Some(Message::ImageSeries(series)) => Ok((series, of_scan)),
        _ => bail!("no images came out"),
    }
}

fn mapped(method: Method, series: &ImageSeries, scan: &Scan) -> Result<Vec<ParametricMap>> {
    let config = MapFingerprintConfig { method, ..MapFingerprintConfig::default() };
    let (outputs, reports) = run_gadget::<MapFingerprint>(config, scan, [series.clone()])?;
    if let (Method::Network, Some(report)) = (method, reports.first()) {
        bail!("{report}");
    }
    let maps = outputs.into_iter().filter_map(|message| match message {
        Message::ParametricMap(map) => Some(map),
        _ => None,
    });
    Ok(maps.collect())
}

fn map_of<'a>(maps: &'a [ParametricMap], quantity: &str) -> Result<&'a ParametricMap> {
    maps.iter().find(|map| map.quantity == quantity).with_context(|| format!("no {quantity} map"))
}

fn truth_of(scan: &SimulatedScan) -> Result<TissueMaps> {
    let Some(Body::Anatomy(anatomy)) = scan.bodies().first() else { bail!("no tissues") };
    let grid = PixelGrid { matrix_size: [MATRIX; 2], field_of_view_mm: [FIELD_OF_VIEW_MM; 2] };
    Ok(TissueMaps::new(anatomy, grid))
}

/// Pixels whose neighbours, diagonal ones too, have the same label.
fn deep(labels: &Array2<u16>, label: Label, reach: usize) -> Vec<[usize; 2]> {
    let (height, width) = labels.dim();
    let is_deep = |[y, x]: &[usize; 2]| {
        let (y, x) = (*y, *x);
        y >= reach
            && x >= reach
            && y + reach < height
            && x + reach < width
            && (y - reach..=y + reach)
                .all(|y| (x - reach..=x + reach).all(|x| labels[[y, x]] == label.code()))
    };
    (0..height).flat_map(|y| (0..width).map(move |x| [y, x])).filter(is_deep).collect()
}

fn add(sums: &mut Sums, rhythm: usize, scan: &SimulatedScan, maps: &[ParametricMap]) -> Result<()> {
    let truth = truth_of(scan)?;
    let (t1, t2) = (map_of(maps, "T1")?, map_of(maps, "T2")?);
    for (name, label) in TISSUES {
        let errors = sums.by_rhythm.entry((rhythm, name)).or_default();
        for [y, x] in deep(&truth.labels, label, REACH) {
            let own = [f64::from(truth.t1_map_ms[[y, x]]), f64::from(truth.t2_map_ms[[y, x]])];
            for (map, truth, errors_of) in
                [(t1, own[0], &mut errors.t1), (t2, own[1], &mut errors.t2)]
            {
                let off = f64::from(map.values[[0, y, x]]) - truth;
                errors_of.push(off / truth);
                if let Some(sd) = &map.sd {
                    errors.n_sds += 1;
                    errors.n_covered += usize::from(off.abs() < sd[[0, y, x]].into());
                }
            }
        }
    }
    Ok(())
}

/// Means over the spheres through the whole chain.
fn system_phantom(models: &std::sync::Arc<Models>) -> Result<Vec<(&'static str, f64)>> {
    let mut metrics = Vec::new();
    let names = [
        (SphereArray::T1, ["t1_array_t1_worst_percent", "t1_array_t2_worst_percent"]),
        (SphereArray::T2, ["t2_array_t1_worst_percent", "t2_array_t2_worst_percent"]),
    ];
    for (array, [t1_name, t2_name]) in names {
        let rhythm = Rhythm::new(&RhythmOptions { seed: 3, ..RhythmOptions::default() })?;
        let scan = scan_of(setup(Subject::SystemPhantom(array), Noise::Sd(0.0), 0, rhythm))?;
        let (series, of_scan) = reconstructed(&scan, models)?;
        let maps = mapped(Method::Dictionary, &series, &of_scan)?;
        let truth = truth_of(&scan)?;
        let mut worst = [0.0_f64; 2];
        let mut pairs = [Vec::new(), Vec::new()];
        for number in 1..=14 {
            let places = deep(&truth.labels, Label::Vial(number), 1);
            let Some([y, x]) = places.first() else { continue };
            let own = [f64::from(truth.t1_map_ms[[*y, *x]]), f64::from(truth.t2_map_ms[[*y, *x]])];
            let inside = |value: f64, [least, most]: [f64; 2]| value >= least && value <= most;
            if !inside(own[0], SPHERE_T1_MS) || !inside(own[1], SPHERE_T2_MS) {
                continue;
            }
            let mut means = [0.0; 2];
            for (which, quantity) in ["T1", "T2"].into_iter().enumerate() {
                let map = map_of(&maps, quantity)?;
                let sum: f64 = places.iter().map(|[y, x]| f64::from(map.values[[0, *y, *x]])).sum();
                means[which] = sum / places.len() as f64;
                let off = 100.0 * (means[which] / own[which] - 1.0).abs();
                worst[which] = worst[which].max(off);
                pairs[which].push((own[which], means[which]));
            }
            tracing::info!("sphere {number}: {own:?} ms, found {means:?} ms");
        }
        metrics.extend([(t1_name, worst[0]), (t2_name, worst[1])]);
        // Of the T1 array one sphere only has a T2 that matters for the heart.
        if array == SphereArray::T2 {
            metrics.push(("t2_array_t1_r_squared", r_squared(&pairs[0])));
            metrics.push(("t2_array_t2_r_squared", r_squared(&pairs[1])));
        }
    }
    Ok(metrics)
}

fn r_squared(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len().max(1) as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (a, b) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let covariance = mean(&|pair| (pair.0 - a) * (pair.1 - b));
    let variances = mean(&|pair| (pair.0 - a).powi(2)) * mean(&|pair| (pair.1 - b).powi(2));
    covariance * covariance / variances
}
