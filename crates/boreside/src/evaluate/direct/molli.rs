//! A MOLLI of four tissues by Bloch's equations.

use anyhow::{Context, Result};
use ismrmrd::xml::{Encoding, Header, Limit, SequenceParameters};
use ismrmrd::{AcquisitionHeader, Meta};
use ndarray::{Array3, Array5, ArrayD, IxDyn};
use num_complex::{Complex32, Complex64};
use numerics::relaxation::{FitOptions, Model, Plan};
use phantom::{BalancedTrain, Block, Magnetization, SignalModel, Startup, Tissue};
use pipeline::{ImageRole, ImageSeries, Scan};
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rand_pcg::Pcg64Mcg;

/// Pixels of the edge of an image, of which each tissue has a quarter.
const EDGE: usize = 48;
pub(super) const TISSUES: [&str; 4] = [
    "native myocardium",
    "native blood",
    "myocardium after contrast agent",
    "blood after contrast agent",
];
/// Middle and half width of T1 and of T2, ms.
const T1_MS: [[f64; 2]; 4] = [[1150.0, 150.0], [1700.0, 200.0], [600.0, 150.0], [420.0, 130.0]];
const T2_MS: [[f64; 2]; 4] = [[48.0, 6.0], [200.0, 50.0], [48.0, 6.0], [180.0, 50.0]];
const PROTON_DENSITY: [f64; 4] = [0.8, 1.0, 0.8, 1.0];

// 5(3)3 with a partial readout of 66 lines, of which the centre comes early enough for the first time.
const N_IMAGES: usize = 8;
const N_FIRST: usize = 5;
const N_PAUSE: usize = 3;
const FIRST_MS: [f64; 2] = [110.0, 190.0];
const FLIP_ANGLE_DEG: f64 = 35.0;
const REPETITION_TIME_MS: f64 = 2.8;
const N_RAMP: usize = 5;
const N_LINES: usize = 66;
const CENTER: usize = 30;

/// One patient.
pub(super) struct Patient {
    tissues: [Tissue; 4],
    /// Of all images, in the order of acquisition, and the inversion before each.
    times_ms: Vec<f64>,
    /// Signals without noise: `[tissue][image]`.
    signals: Vec<Vec<f64>>,
    noise_sd: f64,
    seed: u128,
}

impl Patient {
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let seed = (u128::from(seed) << 64) | u128::from(2 * index + 1);
        let mut random = Pcg64Mcg::new(seed);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            let _: f64 = StandardUniform.sample(&mut random);
        }
        let mut between = |low: f64, high: f64| -> f64 {
            let share: f64 = StandardUniform.sample(&mut random);
            low + (high - low) * share
        };
        let tissues = [0, 1, 2, 3].map(|tissue| {
            let mut of = |[middle, half]: [f64; 2]| between(middle - half, middle + half);
            let t2_ms = of(T2_MS[tissue]);
            Tissue {
                t1_ms: of(T1_MS[tissue]),
                t2_ms,
                t2_star_ms: t2_ms,
                proton_density: PROTON_DENSITY[tissue],
                off_resonance_hz: 0.0,
                ecv_percent: None,
            }
        });
        let mean_rr_ms = between(550.0, 1350.0);
        let variability = between(0.0, 0.08);
        let angle_scale = between(0.85, 1.15);
        let inversion_factor = between(0.94, 1.0);
        let snr = 15.0 * 4.0_f64.powf(between(0.0, 1.0));
        let centers_ms = {
            let mut now_ms = FIRST_MS[0];
            let mut centers = Vec::new();
            for beat in 0..N_FIRST + N_PAUSE + (N_IMAGES - N_FIRST) {
                if !(N_FIRST..N_FIRST + N_PAUSE).contains(&beat) {
                    centers.push(now_ms);
                }
                now_ms += mean_rr_ms * (1.0 + variability * between(-1.7, 1.7));
            }
            centers
        };
        let second_ms = centers_ms[N_FIRST] - FIRST_MS[1];
        let times_ms = centers_ms
            .iter()
            .enumerate()
            .map(|(image, center)| if image < N_FIRST { *center } else { center - second_ms })
            .collect();
        let signals: Vec<Vec<f64>> = tissues
            .iter()
            .map(|tissue| signals(tissue, &centers_ms, second_ms, inversion_factor, angle_scale))
            .collect();
        let noise_sd = signals[0][N_FIRST - 1].abs() / snr;
        Self { tissues, times_ms, signals, noise_sd, seed }
    }

    pub(super) fn t1_ms(&self, tissue: usize) -> f64 {
        self.tissues[tissue].t1_ms
    }

    /// T1 of each tissue by the fit of all images without noise.
    pub(super) fn molli_t1_ms(&self) -> Result<[f64; 4]> {
        let model = Model::LookLocker { inversion_factor: 1.0 };
        let plan = Plan::new(model, &self.times_ms, model.usual_range())?;
        let images = Array3::from_shape_fn((N_IMAGES, 1, 4), |(image, _, tissue)| {
            self.signals[tissue][image] as f32
        });
        let fit = plan.fit(images.view(), &FitOptions::default());
        let t1_ms = [0, 1, 2, 3].map(|tissue| f64::from(fit.value_ms[[0, tissue]]));
        t1_ms.iter().all(|t1_ms| *t1_ms > 0.0).then_some(t1_ms).context("no fit without noise")
    }

    /// The tissue of a pixel.
    fn tissue_at(y: usize, x: usize) -> usize {
        2 * (2 * y / EDGE) + 2 * x / EDGE
    }

    /// Pixels of a tissue in a map `[z, y, x]`.
    pub(super) fn pixels(tissue: usize) -> impl Iterator<Item = [usize; 3]> {
        (0..EDGE * EDGE)
            .map(|pixel| [0, pixel / EDGE, pixel % EDGE])
            .filter(move |[_, y, x]| Self::tissue_at(*y, *x) == tissue)
    }

    /// The first images with noise, which is the same whatever their number.
    pub(super) fn series(&self, n_images: usize, knows_readout: bool) -> ImageSeries {
        let mut random = Pcg64Mcg::new(self.seed ^ (1 << 100));
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut images = Array3::zeros((N_IMAGES, EDGE, EDGE));
        for ((image, y, x), pixel) in images.indexed_iter_mut() {
            let phase = 0.01 * y as f64 - 0.02 * x as f64;
            let signal = self.signals[Self::tissue_at(y, x)][image];
            let noise = Complex64::new(normal(), normal()) * self.noise_sd;
            let value = Complex64::from_polar(1.0, phase) * signal + noise;
            *pixel = Complex32::new(value.re as f32, value.im as f32);
        }
        let meta = (0..n_images).map(|image| {
            let mut meta = Meta::new();
            meta.set("InversionTime", self.times_ms[image]);
            meta.set("BoresideInversion", i64::from(image >= N_FIRST));
            meta
        });
        let lines = Array5::from_shape_fn((1, 1, n_images, 1, N_LINES), |place| {
            let mut line = AcquisitionHeader { version: 1, ..AcquisitionHeader::default() };
            let mut idx = line.idx;
            idx.kspace_encode_step_1 = place.4 as u16;
            line.idx = idx;
            line.scan_counter = (place.2 * N_LINES + place.4) as u32;
            line
        });
        ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data: ArrayD::from_shape_fn(IxDyn(&[1, 1, n_images, 1, 1, EDGE, EDGE]), |place| {
                images[[place[2], place[5], place[6]]]
            }),
            headers: Array3::default((1, 1, n_images)),
            meta: meta.collect(),
            waveforms: Vec::new(),
            acquisition_headers: knows_readout.then_some(lines),
            sampling: None,
        }
    }

    /// A scan with this readout.
    pub(super) fn scan(&self) -> Scan {
        let parameters = SequenceParameters {
            tr: vec![REPETITION_TIME_MS as f32],
            flip_angle_deg: vec![FLIP_ANGLE_DEG as f32],
            echo_spacing: vec![REPETITION_TIME_MS as f32],
            ..SequenceParameters::default()
        };
        let mut encoding = Encoding::default();
        encoding.encoding_limits.kspace_encoding_step_1 =
            Some(Limit { minimum: 0, maximum: N_LINES as u16 - 1, center: CENTER as u16 });
        Scan::with_header(Header {
            sequence_parameters: Some(parameters),
            encoding: vec![encoding],
            ..Header::default()
        })
    }
}

/// Signals at the centre of k-space, with signs.
fn signals(
    tissue: &Tissue,
    centers_ms: &[f64],
    second_ms: f64,
    inversion_factor: f64,
    angle_scale: f64,
) -> Vec<f64> {
    let train = BalancedTrain {
        flip_angle_deg: FLIP_ANGLE_DEG,
        repetition_time_ms: REPETITION_TIME_MS,
        echo_time_ms: 0.5 * REPETITION_TIME_MS,
        n_echoes: N_LINES,
        startup: Startup::Ramp(N_RAMP),
    };
    let lead_ms = (N_RAMP as f64 + CENTER as f64 + 0.5) * REPETITION_TIME_MS;
    let train = Block::BalancedTrain(train);
    let mut spins =
        Magnetization::equilibrium(SignalModel::Bloch, tissue).with_angle_scale(angle_scale);
    let mut now_ms = 0.0;
    let mut signals = Vec::with_capacity(centers_ms.len());
    for (image, center_ms) in centers_ms.iter().enumerate() {
        let inversion_ms = match image {
            0 => Some(0.0),
            N_FIRST => Some(second_ms),
            _ => None,
        };
        let mut echoes = Vec::new();
        if let Some(at_ms) = inversion_ms {
            spins.play(&Block::Wait { duration_ms: at_ms - now_ms }, &mut echoes);
            spins.play(&Block::Inversion { factor: inversion_factor }, &mut echoes);
            now_ms = at_ms;
        }
        let start_ms = center_ms - lead_ms;
        spins.play(&Block::Wait { duration_ms: start_ms - now_ms }, &mut echoes);
        spins.play(&train, &mut echoes);
        now_ms = start_ms + train.duration_ms();
        signals.push(echoes.get(CENTER).map_or(0.0, |echo: &Complex64| echo.re));
    }
    signals
}
