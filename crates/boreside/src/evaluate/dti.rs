//! Diffusion of hearts whose tensor is known: errors by number of averages and signal-to-noise
//! ratio.
//!
//! Cases are those of `boreside simulate dataset dti` with 12 directions at 500 s/mm², without
//! shots that lose signal. Averages are as many of the same eight, so that rows compare. The truth
//! is the fit of the same images without noise: pixels at the wall's borders are part blood, which
//! is no matter of the method.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use ndarray::{Array2, Array3, s};
use numerics::diffusion::{
    BMatrix, FitMethod, SlopeOptions, TensorPlan, Wall, each_pixel, eigen, fibre_angles,
    fractional_anisotropy, helix_slope_percent, mean_diffusivity,
};
use phantom::{Dataset, DtiDataset, DtiOptions, ImageOptions, ShotOptions, Values};

use super::{CaseOptions, Methods};

#[derive(Args, Clone, Debug)]
pub struct DtiEvaluation {
    #[command(flatten)]
    pub cases: CaseOptions,
    /// What is done to the images before the fit
    #[arg(long, value_enum, default_value_t)]
    denoise: Denoising,
}

/// What is done to the images before the fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Denoising {
    /// Nothing: averages alone
    #[default]
    None,
    /// Principal components of patches that noise does not explain
    MpPca,
}

/// The images `[image, y, x]` after denoising.
///
/// * `_noise_sd`: of the noise in each of real and imaginary part.
fn denoise(method: Denoising, images: Array3<f32>, _noise_sd: f32) -> Result<Array3<f32>> {
    match method {
        Denoising::None => Ok(images),
        Denoising::MpPca => Ok(dti::by_mp_pca(images.view(), 2)?),
    }
}

const N_DIRECTIONS: usize = 12;
const B_VALUE_S_PER_MM2: f64 = 500.0;
const MOST_AVERAGES: usize = 8;
/// Averages and signal-to-noise ratio of the rows.
const ROWS: [(usize, f64, &str); 7] = [
    (1, 10.0, "snr10_averages1"),
    (2, 10.0, "snr10_averages2"),
    (4, 10.0, "snr10_averages4"),
    (8, 10.0, "snr10_averages8"),
    (8, 5.0, "snr05_averages8"),
    (8, 20.0, "snr20_averages8"),
    (8, 30.0, "snr30_averages8"),
];

/// Sums over the wall's pixels of all cases.
#[derive(Default)]
struct Sums {
    n: f64,
    md_ratio: Vec<f64>,
    fa: f64,
    fa_truth: f64,
    helix_deg: f64,
    e2_deg: f64,
    e2_angle_deg: f64,
    n_negative: f64,
    slope_ratio: Vec<f64>,
    lesion_ratio: Vec<f64>,
}

/// One heart.
struct Case {
    images: Array3<f32>,
    /// Without noise.
    clean: Array3<f32>,
    encodings: Vec<BMatrix>,
    noise_sd: f32,
    wall: Array2<bool>,
    lesion: Array2<bool>,
}

pub fn evaluate(n_cases: u64, options: &DtiEvaluation) -> Result<Methods> {
    let mut methods = Methods::new();
    for (n_averages, signal_to_noise, name) in ROWS {
        let set = DtiDataset::new(DtiOptions {
            images: ImageOptions {
                seed: options.cases.seed,
                signal_to_noise: [signal_to_noise; 2],
                ..DtiOptions::default().images
            },
            n_directions: N_DIRECTIONS,
            b_value_s_per_mm2: B_VALUE_S_PER_MM2,
            n_averages: MOST_AVERAGES,
            shots: ShotOptions { dropout_probability: 0.0, ..ShotOptions::default() },
            ..DtiOptions::default()
        })?;
        let mut sums = Sums::default();
        for index in 0..n_cases {
            let case = case(&set, index, n_averages)?;
            sums.add(case, options.denoise)?;
        }
        methods.insert(name, sums.metrics());
    }
    Ok(methods)
}

fn case(set: &DtiDataset, index: u64, n_averages: usize) -> Result<Case> {
    let group = set.group(index)?;
    let names: Vec<&str> = set.arrays().iter().map(|array| array.name).collect();
    let of = |name: &str| {
        let at = names.iter().position(|known| *known == name);
        at.and_then(|at| group.get(at)).with_context(|| format!("the set has no {name}"))
    };
    let floats = |name: &str| match of(name)? {
        Values::F32(values) => Ok(values.clone()),
        _ => anyhow::bail!("{name} are no numbers"),
    };
    let Values::Bool(lesion) = of("diffusion_lesion_mask")? else {
        anyhow::bail!("the mask of lesions is none")
    };
    let (b, g) = (floats("b_value_s_per_mm2")?, floats("direction")?);
    let (images, clean) = (floats("images")?, floats("clean_images")?);
    let n_pixels = images.len() / b.len();
    let edge = (n_pixels as f64).sqrt().round() as usize;
    ensure!(edge * edge == n_pixels, "pictures are not square");
    let n = n_averages * (N_DIRECTIONS + 1);
    let plane = |values: Vec<f32>| Array2::from_shape_vec((edge, edge), values);
    let fa = plane(floats("fractional_anisotropy_map")?)?;
    Ok(Case {
        images: Array3::from_shape_vec((n, edge, edge), images[..n * n_pixels].to_vec())?,
        clean: Array3::from_shape_vec((n, edge, edge), clean[..n * n_pixels].to_vec())?,
        encodings: (0..n)
            .map(|k| {
                let direction = [g[3 * k], g[3 * k + 1], g[3 * k + 2]].map(f64::from);
                BMatrix::along(f64::from(b[k]), direction)
            })
            .collect(),
        noise_sd: floats("noise_sd")?[0],
        wall: fa.mapv(|fa| fa > 0.0),
        lesion: Array2::from_shape_vec((edge, edge), lesion.clone())?,
    })
}

/// Difference of the directions of two lines, degrees.
fn apart_deg(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let along: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    along.abs().min(1.0).acos().to_degrees()
}

/// Difference of two angles of lines, degrees.
fn turned_deg(a: f64, b: f64) -> f64 {
    let difference = (a - b).rem_euclid(180.0);
    difference.min(180.0 - difference)
}

impl Sums {
    fn add(&mut self, case: Case, method: Denoising) -> Result<()> {
        let Case { images, clean, encodings, noise_sd, wall, lesion } = case;
        let plan = TensorPlan::new(&encodings)?;
        let images = denoise(method, images, noise_sd)?;
        let (_, n_y, n_x) = images.dim();
        // Axes by the true wall: what is measured is the tensor.
        let axes = Wall::from_mask(wall.view(), [1.0; 2])?;
        let fits = |images: &Array3<f32>| {
            each_pixel(n_y * n_x, |number| {
                let (y, x) = (number / n_x, number % n_x);
                if !wall[[y, x]] {
                    return None;
                }
                let signals: Vec<f64> =
                    images.slice(s![.., y, x]).iter().map(|value| f64::from(*value)).collect();
                let fit = plan.fit_pixel(&signals, FitMethod::Weighted { reweightings: 2 })?;
                Some(eigen(&fit.tensor))
            })
        };
        let (fitted, known) = (fits(&images), fits(&clean));
        let [mut helix, mut known_helix] =
            [(); 2].map(|()| Array2::from_elem((n_y, n_x), f32::NAN));
        let (mut inside, mut outside) = ([0.0; 3], [0.0; 3]);
        for (number, pair) in fitted.iter().zip(&known).enumerate() {
            let (Some(found), Some(known)) = pair else { continue };
            let (y, x) = (number / n_x, number % n_x);
            let angles = fibre_angles(found, &axes.axes(y, x));
            let truth = fibre_angles(known, &axes.axes(y, x));
            helix[[y, x]] = angles.helix_deg as f32;
            known_helix[[y, x]] = truth.helix_deg as f32;
            let (md, md_truth) = (mean_diffusivity(&found.values), mean_diffusivity(&known.values));
            self.n += 1.0;
            self.md_ratio.push(md / md_truth);
            self.fa += fractional_anisotropy(&found.values);
            self.fa_truth += fractional_anisotropy(&known.values);
            self.helix_deg += turned_deg(angles.helix_deg, truth.helix_deg);
            self.e2_deg += apart_deg(&found.vectors[1], &known.vectors[1]);
            self.e2_angle_deg += (angles.e2_deg.abs() - truth.e2_deg.abs()).abs();
            self.n_negative += f64::from(u8::from(found.values[2] < 0.0));
            let place = if lesion[[y, x]] { &mut inside } else { &mut outside };
            place.iter_mut().zip([1.0, md, md_truth]).for_each(|(sum, value)| *sum += value);
        }
        if inside[0] > 20.0 && outside[0] > 20.0 {
            let contrast = |k: usize| inside[k] / inside[0] - outside[k] / outside[0];
            if contrast(2) > 0.1 {
                self.lesion_ratio.push(contrast(1) / contrast(2));
            }
        }
        let slope = |map: &Array2<f32>| {
            let slopes = helix_slope_percent(&axes, map.view(), &SlopeOptions::default());
            median(slopes.into_iter().flatten().collect())
        };
        let truth = slope(&known_helix);
        if truth.abs() > 0.2 {
            self.slope_ratio.push(slope(&helix) / truth);
        }
        Ok(())
    }

    fn metrics(self) -> Vec<(&'static str, f64)> {
        let n = self.n.max(1.0);
        vec![
            ("md_median_error_percent", 100.0 * (median(self.md_ratio) - 1.0)),
            ("fa_mean", self.fa / n),
            ("fa_mean_without_noise", self.fa_truth / n),
            ("helix_angle_error_deg", self.helix_deg / n),
            ("e2_error_deg", self.e2_deg / n),
            ("abs_e2_angle_error_deg", self.e2_angle_deg / n),
            ("slope_error_percent", 100.0 * (median(self.slope_ratio) - 1.0)),
            ("lesion_md_contrast_percent", 100.0 * median(self.lesion_ratio)),
            ("negative_eigenvalues_percent", 100.0 * self.n_negative / n),
            ("n_pixels", n),
        ]
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
