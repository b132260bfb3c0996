//! Diffusion of hearts whose tensor is known: errors by number of averages, signal-to-noise ratio
//! and denoiser.
//!
//! Cases are those of `boreside simulate dataset dti` with 12 directions at 500 s/mm², without
//! shots that lose signal. Averages are as many of the same eight, so that rows compare. The truth
//! is the fit of the same images without noise, and not the simulated tensor: pixels at the wall's
//! borders are part blood, which no denoiser can know. Only a box around the heart is looked at.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use inference::Model;
use ndarray::{Array2, Array3, Axis, s};
use numerics::diffusion::{
    BMatrix, FitMethod, SlopeOptions, TensorPlan, Wall, each_pixel, eigen, fibre_angles,
    fractional_anisotropy, helix_slope_percent, mean_diffusivity,
};
use phantom::{Dataset, DtiDataset, DtiOptions, ImageOptions, ShotOptions, Values};

use super::averages::{mean, median};
use super::similarity::structural_similarity;
use super::{CaseOptions, Methods};
use crate::models::{Place, service};

#[derive(Args, Clone, Debug)]
pub struct DtiEvaluation {
    #[command(flatten)]
    pub cases: CaseOptions,
    /// What is done to the images before the fit [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "METHOD,...")]
    denoise: Vec<Denoising>,
    /// Signal-to-noise ratios of the wall without weighting, of a single image
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,30", value_name = "SNR,...")]
    snr: Vec<f64>,
    /// Averages, 1 to 8
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_name = "N,...")]
    averages: Vec<usize>,
    #[command(flatten)]
    at: Place,
}

/// What is done to the images before the fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Denoising {
    /// Nothing: averages alone
    None,
    /// Principal components of patches that noise does not explain
    MpPca,
    /// Means of what looks alike
    NonLocalMeans,
    /// The network `diffusion_denoising`
    Network,
}

impl Denoising {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MpPca => "mp_pca",
            Self::NonLocalMeans => "non_local_means",
            Self::Network => "network",
        }
    }

    /// The images `[image, y, x]` after denoising, as `denoise_diffusion` does it.
    ///
    /// * `noise_sd`: of the noise in each of real and imaginary part.
    fn denoised(
        self,
        images: Array3<f32>,
        plan: &TensorPlan,
        noise_sd: f32,
        network: Option<&Model>,
    ) -> Result<Array3<f32>> {
        let (_, n_y, n_x) = images.dim();
        let noise_sd = vec![noise_sd; n_y * n_x];
        match (self, network) {
            (Self::None, _) => Ok(images),
            (Self::MpPca, _) => Ok(dti::by_mp_pca(images.view(), 2)?),
            (Self::NonLocalMeans, _) => Ok(dti::by_non_local_means(images.view(), &noise_sd, 7)),
            (Self::Network, Some(model)) => {
                Ok(dti::by_network(model, plan, images.view(), &noise_sd, 0)?.0)
            }
            (Self::Network, None) => anyhow::bail!("there is no network"),
        }
    }
}

const NETWORK: &str = "diffusion_denoising";
const N_DIRECTIONS: usize = 12;
const B_VALUE_S_PER_MM2: f64 = 500.0;
const MOST_AVERAGES: usize = 8;
/// Around the wall, px.
const MARGIN: usize = 14;

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
    similarity: Vec<f64>,
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

/// The metrics of each denoiser at each ratio and number of averages.
pub fn evaluate(n_cases: u64, options: &DtiEvaluation) -> Result<Methods<String>> {
    for averages in &options.averages {
        ensure!(
            (1..=MOST_AVERAGES).contains(averages),
            "--averages {averages}: 1 to {MOST_AVERAGES} are simulated"
        );
    }
    let (denoisers, network) = denoisers(options)?;
    let mut methods = Methods::new();
    for signal_to_noise in &options.snr {
        let set = DtiDataset::new(DtiOptions {
            images: ImageOptions {
                seed: options.cases.seed,
                signal_to_noise: [*signal_to_noise; 2],
                ..DtiOptions::default().images
            },
            n_directions: N_DIRECTIONS,
            b_value_s_per_mm2: B_VALUE_S_PER_MM2,
            n_averages: MOST_AVERAGES,
            shots: ShotOptions { dropout_probability: 0.0, ..ShotOptions::default() },
            ..DtiOptions::default()
        })?;
        let rows: Vec<(usize, Denoising)> = options
            .averages
            .iter()
            .flat_map(|averages| denoisers.iter().map(|denoiser| (*averages, *denoiser)))
            .collect();
        let mut sums: Vec<Sums> = rows.iter().map(|_| Sums::default()).collect();
        for index in 0..n_cases {
            let case = case(&set, index)?;
            for ((n_averages, denoiser), sums) in rows.iter().zip(&mut sums) {
                sums.add(&case, *n_averages, *denoiser, network.as_deref())?;
            }
        }
        for ((n_averages, denoiser), sums) in rows.into_iter().zip(sums) {
            let name = denoiser.name();
            let row = format!("snr{signal_to_noise:02}_averages{n_averages}_{name}");
            methods.insert(row, sums.metrics());
        }
    }
    Ok(methods)
}

/// The denoisers that were asked for, all where none was, and the network where it is one of them.
fn denoisers(options: &DtiEvaluation) -> Result<(Vec<Denoising>, Option<Arc<Model>>)> {
    let is_asked = options.denoise.contains(&Denoising::Network);
    let mut denoisers = options.denoise.clone();
    if denoisers.is_empty() {
        denoisers = Denoising::value_variants().to_vec();
    }
    if !denoisers.contains(&Denoising::Network) {
        return Ok((denoisers, None));
    }
    let network = service(&options.at.networks, &options.at.data).open(NETWORK).and_then(|model| {
        model.wait_until_ready()?;
        Ok(model)
    });
    match network {
        Ok(model) => Ok((denoisers, Some(model))),
        Err(error) if is_asked => Err(error).context("the network cannot be asked"),
        Err(error) => {
            // MP-PCA, which a chain falls back to, has rows of its own.
            tracing::warn!("no rows of the network, a chain uses MP-PCA instead: {error}");
            denoisers.retain(|denoiser| *denoiser != Denoising::Network);
            Ok((denoisers, None))
        }
    }
}

fn case(set: &DtiDataset, index: u64) -> Result<Case> {
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
    let n = b.len();
    let plane = |values: Vec<f32>| Array2::from_shape_vec((edge, edge), values);
    let fa = plane(floats("fractional_anisotropy_map")?)?;
    let wall = fa.mapv(|fa| fa > 0.0);
    // A box around it.
    let places = || wall.indexed_iter().filter(|(_, is_wall)| **is_wall).map(|(place, _)| place);
    let [y, x] = [|place: (usize, usize)| place.0, |place: (usize, usize)| place.1].map(|of| {
        let (first, last) = places().map(of).fold((edge, 0), |(a, b), at| (a.min(at), b.max(at)));
        first.saturating_sub(MARGIN)..(last + MARGIN + 1).min(edge)
    });
    ensure!(!y.is_empty() && !x.is_empty(), "case {index} has no wall");
    let stack = |values: Vec<f32>| -> Result<Array3<f32>> {
        let images = Array3::from_shape_vec((n, edge, edge), values)?;
        Ok(images.slice(s![.., y.clone(), x.clone()]).to_owned())
    };
    let lesion = Array2::from_shape_vec((edge, edge), lesion.clone())?;
    Ok(Case {
        images: stack(images)?,
        clean: stack(clean)?,
        encodings: (0..n)
            .map(|k| {
                let direction = [g[3 * k], g[3 * k + 1], g[3 * k + 2]].map(f64::from);
                BMatrix::along(f64::from(b[k]), direction)
            })
            .collect(),
        noise_sd: floats("noise_sd")?[0],
        wall: wall.slice(s![y.clone(), x.clone()]).to_owned(),
        lesion: lesion.slice(s![y.clone(), x.clone()]).to_owned(),
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
    fn add(
        &mut self,
        case: &Case,
        n_averages: usize,
        denoiser: Denoising,
        network: Option<&Model>,
    ) -> Result<()> {
        let Case { noise_sd, wall, lesion, .. } = case;
        let n = n_averages * (N_DIRECTIONS + 1);
        let first = |images: &Array3<f32>| images.slice(s![..n, .., ..]).to_owned();
        let clean = first(&case.clean);
        let plan = TensorPlan::new(&case.encodings[..n])?;
        let images = denoiser.denoised(first(&case.images), &plan, *noise_sd, network)?;
        let (_, n_y, n_x) = images.dim();
        // The pictures of each weighting, averaged as a reader sees them.
        for weighting in 0..=N_DIRECTIONS {
            let picture = |images: &Array3<f32>| {
                let repeats = images.slice(s![weighting..;N_DIRECTIONS + 1, .., ..]);
                repeats.mapv(f64::from).mean_axis(Axis(0)).unwrap_or_default()
            };
            let (found, truth) = (picture(&images), picture(&clean));
            let range = truth.iter().fold(f64::NEG_INFINITY, |most, value| most.max(*value))
                - truth.iter().fold(f64::INFINITY, |least, value| least.min(*value));
            let similarity = structural_similarity(found.view(), truth.view(), range.max(1e-30));
            self.similarity.extend(similarity.mean());
        }
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
            ("ssim", mean(&self.similarity)),
            ("slope_error_percent", 100.0 * (median(self.slope_ratio) - 1.0)),
            ("lesion_md_contrast_percent", 100.0 * median(self.lesion_ratio)),
            ("negative_eigenvalues_percent", 100.0 * self.n_negative / n),
            ("n_pixels", n),
        ]
    }
}
