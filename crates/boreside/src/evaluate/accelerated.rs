//! Series of a fraction of their lines: T1 or T2 against that of all lines, lesions, and time.
//!
//! Each case is a random heart with a lesion of three pixels and 150 ms more T1, or 7.5 ms more T2,
//! 192 x 160 pixels, 16 channels, other lines in every image and 24 calibration lines. Errors are
//! against the fit of images of all lines without noise; the row `all_lines` is what noise alone
//! does.

mod scanned;
mod series;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cartesian::reconstruct_series::Method;
use cartesian::{CgSense, Grappa, ReconstructSeries, grappa, reconstruct_series};
use clap::{Args, ValueEnum};
use ndarray::{Array2, Array3};
use num_complex::Complex32;
use phantom::{
    Anatomy, Attachment, Ellipse, FieldStrength, Label, LesionKind, MolliScheme, PixelGrid,
    RandomOptions, Region, Setup, Subject, Tissue, TissueMaps, random_anatomy,
};
use pipeline::image_notes::NOISE_SD_KEY;
use pipeline::{Gadget, KSpace, Message, Scan, Services, run_gadget};

use super::averages::{mean, median, standard_error};
use super::similarity::{structural_similarity, window_means};
use super::{CaseOptions, Methods};
use scanned::Scanned;
use series::Series;

use crate::models::{Place, service};

#[derive(Args, Clone, Debug)]
pub struct AcceleratedOptions {
    #[command(flatten)]
    pub cases: CaseOptions,
    /// Every how many lines one is acquired, beside the calibration lines
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4, 8], value_name = "R,...")]
    acceleration: Vec<usize>,
    /// Signal of the myocardium in the brightest image over its noise, of all lines and channels
    #[arg(long, default_value_t = 20.0, value_name = "RATIO")]
    snr: f64,
    /// What is mapped
    #[arg(long, value_enum, default_value_t)]
    map: Scanned,
    /// Images and pauses of the MOLLI
    #[arg(long, default_value = "3(3)3(3)5", value_name = "SCHEME")]
    scheme: MolliScheme,
    /// How the images are reconstructed [default: all but patch-low-rank]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "METHOD,...")]
    methods: Vec<Reconstruction>,
    /// `regularisation` of `reconstruct_series` [default: the gadget's own]
    #[arg(long, value_name = "FACTOR")]
    regularisation: Option<f32>,
    /// Motion from image to image is looked for and put into the model, as in the chain
    #[arg(long)]
    correct_motion: bool,
    /// Who lies in the scanner
    #[arg(long, value_enum, default_value_t)]
    body: Body,
    #[command(flatten)]
    at: Place,
}

/// How images are made of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Reconstruction {
    /// The gadget `grappa` as in the chain `molli_t1`
    Grappa,
    /// The gadget `cg_sense`
    CgSense,
    /// `reconstruct_series` with the method of this name, as all that follow
    Sense,
    TotalVariation,
    Wavelets,
    LocallyLowRank,
    Subspace,
    Network,
    /// Takes some ten times as long as the others: only where it is named
    PatchLowRank,
}

/// What hearts are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Body {
    /// As those that networks are trained on
    #[default]
    Usual,
    /// Left and right exchanged
    SitusInversus,
    /// A wall of 16 to 24 mm
    ThickWall,
    /// A lead in the right ventricle that takes all signal around it
    Device,
}

const MATRIX: [usize; 2] = [192, 160];
const FIELD_OF_VIEW_MM: [f64; 2] = [360.0, 300.0];
/// Diameter of a lesion.
const LESION_PIXELS: f64 = 3.0;
/// Where a device takes all signal.
const DEVICE_RADIUS_MM: f64 = 4.0;

/// What a method gave, over all cases.
#[derive(Default)]
struct Sums {
    /// |value − truth| / truth of all pixels of all walls.
    errors: Vec<f64>,
    /// Pixels of all walls whose error is below its standard deviation.
    n_covered: usize,
    /// Median over a wall less that of the truth, over the latter, of each case.
    bias: Vec<f64>,
    similarity: Vec<f64>,
    /// Lesion less rest over the same of the truth, of each case.
    contrast: Vec<f64>,
    seconds: Vec<f64>,
    /// Cases of which the gadget told that something is wrong.
    n_warned: usize,
}

impl Sums {
    fn metrics(self, seconds_of_low_rank: Option<f64>) -> Vec<(&'static str, f64)> {
        let seconds = mean(&self.seconds);
        let n_cases = self.seconds.len().max(1) as f64;
        let covered_percent = 100.0 * self.n_covered as f64 / self.errors.len().max(1) as f64;
        let mut metrics = vec![
            ("error_median_percent", 100.0 * median(self.errors)),
            (
                "wall_error_percent",
                100.0 * median(self.bias.iter().map(|bias| bias.abs()).collect()),
            ),
            ("wall_bias_percent", 100.0 * mean(&self.bias)),
            ("covered_by_one_sd_percent", covered_percent),
            ("ssim", mean(&self.similarity)),
            ("lesion_contrast_percent", 100.0 * mean(&self.contrast)),
            ("lesion_contrast_standard_error_percent", 100.0 * standard_error(&self.contrast)),
        ];
        if seconds > 0.0 {
            metrics.push(("told_of_percent", 100.0 * self.n_warned as f64 / n_cases));
            metrics.push(("s_per_series", seconds));
            if let Some(of_low_rank) = seconds_of_low_rank {
                metrics.push(("speed_over_locally_low_rank", of_low_rank / seconds));
            }
        }
        // Of no case with a lesion there is no contrast.
        metrics.retain(|(_, value)| value.is_finite());
        metrics
    }
}

/// Rows, and the number of their acceleration.
type Row = (&'static str, usize);

/// The metrics of each method at each acceleration.
pub fn evaluate(n_cases: u64, options: &AcceleratedOptions) -> Result<Methods<String>> {
    if let Some(wrong) = options.acceleration.iter().find(|r| !(2..=16).contains(*r)) {
        bail!("--acceleration is {wrong}: choose 2 to 16");
    }
    if !(options.snr > 0.0 && options.snr.is_finite()) {
        bail!("--snr is {}: choose more than 0", options.snr);
    }
    let mut methods = options.methods.clone();
    if methods.is_empty() {
        methods = Reconstruction::value_variants().to_vec();
        methods.retain(|method| *method != Reconstruction::PatchLowRank);
    }
    let mut models = None;
    if methods.contains(&Reconstruction::Network) {
        let service = service(&options.at.networks, &options.at.data);
        let ready = service.open("series_regulariser").and_then(|model| model.wait_until_ready());
        match ready {
            Ok(_) => models = Some(service),
            Err(error) if !options.methods.is_empty() => {
                return Err(error).context("the network cannot be asked");
            }
            Err(error) => {
                tracing::warn!("no rows of the network, a chain takes `subspace` then: {error}");
                methods.retain(|method| *method != Reconstruction::Network);
            }
        }
    }
    let mut sums: BTreeMap<Row, Sums> = BTreeMap::new();
    for index in 0..n_cases {
        let seed = options.cases.seed;
        let case = Case::new(seed, index, options).with_context(|| format!("case {index}"))?;
        let all_lines = Found { images: case.series.all_lines(), told: Vec::new(), noise_sd: None };
        case.add(sums.entry(("all_lines", 1)).or_default(), &all_lines, 0.0)?;
        for &acceleration in &options.acceleration {
            let (mut scan, k_space) = case.series.undersampled(acceleration)?;
            if let Some(models) = &models {
                scan.services = Services::default().with(Arc::clone(models));
            }
            for method in &methods {
                let name = method.name();
                let started = Instant::now();
                let found = method.found(&scan, &k_space, options);
                let found = found.with_context(|| {
                    format!("case {index}, {name}, acceleration {acceleration}")
                })?;
                let seconds = started.elapsed().as_secs_f64();
                let sums = sums.entry((name, acceleration)).or_default();
                sums.n_warned += usize::from(!found.told.is_empty());
                case.add(sums, &found, seconds)?;
            }
        }
        tracing::info!("case {} of {n_cases}", index + 1);
    }
    let low_rank: BTreeMap<usize, f64> = sums
        .iter()
        .filter(|((name, _), _)| *name == "locally_low_rank")
        .map(|((_, acceleration), sums)| (*acceleration, mean(&sums.seconds)))
        .collect();
    let methods = sums.into_iter().map(|((name, acceleration), sums)| {
        let name = match acceleration {
            1 => name.to_owned(),
            _ => format!("r{acceleration}_{name}"),
        };
        (name, sums.metrics(low_rank.get(&acceleration).copied()))
    });
    Ok(methods.collect())
}

impl Reconstruction {
    fn name(self) -> &'static str {
        match self {
            Self::Grappa => "grappa",
            Self::CgSense => "cg_sense",
            Self::Sense => "sense",
            Self::TotalVariation => "total_variation",
            Self::Wavelets => "wavelets",
            Self::LocallyLowRank => "locally_low_rank",
            Self::Subspace => "subspace",
            Self::Network => "network",
            Self::PatchLowRank => "patch_low_rank",
        }
    }

    fn found(self, scan: &Scan, k_space: &KSpace, options: &AcceleratedOptions) -> Result<Found> {
        let method = match self {
            Self::Grappa => {
                let config = grappa::Config {
                    grappa_ksize_ro: 7,
                    grappa_ksize_e1: 3,
                    grappa_ksize_e2: 3,
                    downstream_coil_compression: false,
                    ..grappa::Config::default()
                };
                return run::<Grappa>(config, scan, k_space);
            }
            Self::CgSense => return run::<CgSense>(Default::default(), scan, k_space),
            Self::Sense => Method::Sense,
            Self::TotalVariation => Method::TotalVariation,
            Self::Wavelets => Method::Wavelets,
            Self::LocallyLowRank => Method::LocallyLowRank,
            Self::Subspace => Method::Subspace,
            Self::Network => Method::Network,
            Self::PatchLowRank => Method::PatchLowRank,
        };
        let correct_motion = options.correct_motion;
        let mut config =
            reconstruct_series::Config { method, correct_motion, ..Default::default() };
        if let Some(regularisation) = options.regularisation {
            config.regularisation = regularisation;
        }
        run::<ReconstructSeries>(config, scan, k_space)
    }
}

fn run<G: Gadget<Input = KSpace>>(config: G::Config, scan: &Scan, k_space: &KSpace) -> Result<Found>
where
    G::Error: Send + Sync + 'static,
{
    let (outputs, told) = run_gadget::<G>(config, scan, [k_space.clone()])?;
    let Some(Message::ImageSeries(series)) = outputs.into_iter().next() else {
        bail!("no images came out");
    };
    if let Some(instead) = told.iter().find(|text| text.contains("is used instead")) {
        bail!(
            "the row would not be the network's: {instead}. Where it was late, let nothing run beside"
        );
    }
    let n = series.data.shape().get(2).copied().unwrap_or(0);
    let noise_sd = series.meta.first().and_then(|meta| meta.get_f64(NOISE_SD_KEY));
    let images = series.data.into_shape_with_order((n, MATRIX[1], MATRIX[0]))?;
    Ok(Found { images, told, noise_sd: noise_sd.map(|sd| sd as f32) })
}

/// What a reconstruction gave.
struct Found {
    /// `[frame, y, x]` of one slice.
    images: Array3<Complex32>,
    told: Vec<String>,
    /// What the samples allow, where it is said.
    noise_sd: Option<f32>,
}

/// A heart, its scan, and what is true of it.
struct Case {
    series: Series,
    /// `[frame, y, x]`: of all lines without noise, as the channels together show them.
    images: Array3<Complex32>,
    map_ms: Array2<f32>,
    myocardium: Array2<bool>,
    lesion: Array2<bool>,
    times_ms: Vec<f64>,
    scanned: Scanned,
}

impl Case {
    fn new(seed: u64, index: u64, options: &AcceleratedOptions) -> Result<Self> {
        let AcceleratedOptions { map: scanned, scheme, snr, body: kind, .. } = options;
        let options = RandomOptions {
            mirror_probability: f64::from(u8::from(*kind == Body::SitusInversus)),
            thick_wall_probability: f64::from(u8::from(*kind == Body::ThickWall)),
            field_strengths: vec![FieldStrength::Medium, FieldStrength::High],
            contrast_probability: 0.0,
            lesion_probability: 0.0,
            field_of_view_mm: FIELD_OF_VIEW_MM,
            ..RandomOptions::default()
        };
        let body = random_anatomy(seed, index, &options)?;
        let mut anatomy = body.anatomy;
        add_lesion(&mut anatomy, index, *scanned)?;
        if *kind == Body::Device {
            add_device(&mut anatomy)?;
        }
        let grid = PixelGrid { matrix_size: MATRIX, field_of_view_mm: FIELD_OF_VIEW_MM };
        let maps = TissueMaps::new(&anatomy, grid);
        let seed = seed.wrapping_mul(1000).wrapping_add(index);
        let sequence = scanned.sequence(scheme);
        let setup = Setup {
            field_strength: body.field_strength,
            seed,
            ..Setup::new(Subject::Anatomies(vec![anatomy]))
        };
        let series = Series::new(&*sequence, setup, *snr, &maps.myocardium())?;
        let images = series.truth();
        let times_ms = scanned.times_ms(series.inversion_times_ms());
        let myocardium = maps.myocardium();
        let map_ms = scanned.fit(&images, &times_ms, &myocardium, None)?.value_ms;
        let lesion = maps.lesions();
        Ok(Self { series, images, map_ms, myocardium, lesion, times_ms, scanned: *scanned })
    }

    /// Adds what a method made of the samples.
    fn add(&self, sums: &mut Sums, found: &Found, seconds: f64) -> Result<()> {
        let Found { images, noise_sd, .. } = found;
        let fit = self.scanned.fit(images, &self.times_ms, &self.myocardium, *noise_sd)?;
        let map_ms = fit.value_ms;
        let pixels = map_ms.iter().zip(&fit.sd_ms).zip(&self.map_ms).zip(&self.myocardium);
        let pixels = pixels.filter(|((_, truth), is_wall)| **is_wall && **truth > 0.0);
        let before = sums.errors.len();
        let (mut found, mut truth) = (Vec::new(), Vec::new());
        for (((value, sd), true_value), _) in pixels {
            let [value, sd, true_value] = [*value, *sd, *true_value].map(f64::from);
            sums.n_covered += usize::from((value - true_value).abs() <= sd);
            sums.errors.push((value - true_value).abs() / true_value);
            found.push(value);
            truth.push(true_value);
        }
        if sums.errors.len() == before {
            bail!("the slice has no myocardium");
        }
        let of_truth = median(truth);
        sums.bias.push((median(found) - of_truth) / of_truth);
        let contrast = |map: &Array2<f32>| {
            let of = |is_lesion: bool| {
                let pixels = map.iter().zip(&self.lesion).zip(&self.myocardium);
                let values = pixels
                    .filter(|((_, lesion), wall)| **wall && **lesion == is_lesion)
                    .map(|((value, _), _)| f64::from(*value));
                values.collect::<Vec<_>>()
            };
            mean(&of(true)) - median(of(false))
        };
        let has_lesion = self.lesion.iter().zip(&self.myocardium).any(|(is, wall)| *is && *wall);
        if has_lesion {
            sums.contrast.push(contrast(&map_ms) / contrast(&self.map_ms));
        }
        sums.similarity.push(similarity_of_series(images, &self.images));
        sums.seconds.push(seconds);
        Ok(())
    }
}

/// Mean structural similarity of the magnitudes of series, `[frame, y, x]`, after the best common
/// factor. Windows without signal do not count.
fn similarity_of_series(found: &Array3<Complex32>, truth: &Array3<Complex32>) -> f64 {
    let [found, truth] = [found, truth].map(|images| images.mapv(|value| f64::from(value.norm())));
    let product: f64 = found.iter().zip(&truth).map(|(a, b)| a * b).sum();
    let square: f64 = found.iter().map(|a| a * a).sum();
    let found = &found * (product / square.max(f64::MIN_POSITIVE));
    let range = truth.iter().copied().fold(0.0, f64::max);
    let mut values = Vec::new();
    for (found, truth) in found.outer_iter().zip(truth.outer_iter()) {
        let similarity = structural_similarity(found, truth, range);
        let windows = similarity.iter().zip(window_means(truth));
        values.extend(windows.filter(|(_, mean)| *mean >= 0.05 * range).map(|(value, _)| *value));
    }
    mean(&values)
}

/// A round lesion in the middle of the wall's thickness, elsewhere in each case.
fn add_lesion(anatomy: &mut Anatomy, index: u64, scanned: Scanned) -> Result<()> {
    let ring = anatomy.left_ventricle.context("no left ventricle")?;
    let is_wall = |region: &Region| region.label == Label::Myocardium;
    let parent = anatomy.regions.iter().position(is_wall).context("no myocardium")?;
    let thickness_mm = ring.epicardial_radius_mm - ring.endocardial_radius_mm;
    let radius_mm = 0.5 * LESION_PIXELS * FIELD_OF_VIEW_MM[0] / MATRIX[0] as f64;
    let angle_rad = TAU * (0.618 * index as f64).fract();
    let at_mm = 0.5 * (ring.epicardial_radius_mm + ring.endocardial_radius_mm);
    let (sin, cos) = angle_rad.sin_cos();
    let mut tissue = anatomy.regions[parent].tissue;
    scanned.prolong(&mut tissue);
    anatomy.regions.push(Region {
        label: Label::Lesion(LesionKind::Fibrosis),
        ellipse: Ellipse {
            // A thin wall has less room.
            semi_axes_mm: [radius_mm.min(0.45 * thickness_mm), radius_mm],
            center_mm: [ring.center_mm[0] + at_mm * cos, ring.center_mm[1] + at_mm * sin],
            angle_rad,
        },
        parent: Some(parent),
        tissue,
        attachment: Attachment::LeftVentricle,
    });
    Ok(())
}

/// A lead in the right ventricle, and all signal around it gone.
fn add_device(anatomy: &mut Anatomy) -> Result<()> {
    let is_blood = |region: &Region| region.label == Label::RightBlood;
    let parent = anatomy.regions.iter().position(is_blood).context("no right ventricle")?;
    let Region { ellipse, tissue, attachment, .. } = anatomy.regions[parent];
    // The left ventricle lies in the right one: what is left of it is a crescent.
    let children = anatomy.regions.iter().filter(|region| region.parent == Some(parent));
    let others: Vec<Ellipse> = children.map(|region| region.ellipse).collect();
    let (sin_tilt, cos_tilt) = ellipse.angle_rad.sin_cos();
    let places = (0..20 * 64).map(|n| {
        let (sin, cos) = (TAU * f64::from(n % 64) / 64.0).sin_cos();
        let share = 0.95 - 0.05 * f64::from(n / 64);
        let inner = ellipse.semi_axes_mm.map(|axis| share * (axis - DEVICE_RADIUS_MM - 1.0));
        let [x, y] = [inner[0] * cos, inner[1] * sin];
        [
            ellipse.center_mm[0] + cos_tilt * x - sin_tilt * y,
            ellipse.center_mm[1] + sin_tilt * x + cos_tilt * y,
        ]
    });
    let is_free = |[x, y]: &[f64; 2]| {
        others.iter().all(|other| {
            let reach = other.semi_axes_mm[0].max(other.semi_axes_mm[1]) + DEVICE_RADIUS_MM;
            (x - other.center_mm[0]).hypot(y - other.center_mm[1]) > reach + 1.0
        })
    };
    let center_mm = places.into_iter().find(is_free).context("no room for a device")?;
    anatomy.regions.push(Region {
        label: Label::RightBlood,
        ellipse: Ellipse { semi_axes_mm: [DEVICE_RADIUS_MM; 2], center_mm, angle_rad: 0.0 },
        parent: Some(parent),
        tissue: Tissue { proton_density: 0.0, ..tissue },
        attachment,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_like_itself_and_less_like_a_smooth_one() {
        let truth = Array3::from_shape_fn((2, 24, 20), |(n, y, x)| {
            Complex32::new(1.0 + n as f32 + ((y * 7 + x * 5) % 11) as f32, 0.0)
        });
        let twice = &truth * Complex32::new(0.0, 2.0);
        assert!((similarity_of_series(&twice, &truth) - 1.0).abs() < 1e-9);
        let flat = truth.mapv(|_| Complex32::new(6.0, 0.0));
        assert!(similarity_of_series(&flat, &truth) < 0.3);
    }

    #[test]
    fn together_images_need_fewer_lines() {
        for map in [Scanned::Molli, Scanned::Sasha, Scanned::T2] {
            fewer_lines(map);
        }
    }

    fn fewer_lines(map: Scanned) {
        let options = AcceleratedOptions {
            cases: CaseOptions { cases: Some(1), seed: 3, json: false },
            acceleration: vec![4],
            map,
            snr: 20.0,
            scheme: MolliScheme::native(),
            methods: vec![Reconstruction::Grappa, Reconstruction::LocallyLowRank],
            regularisation: None,
            correct_motion: false,
            body: Body::Usual,
            at: Place::default(),
        };
        let methods = evaluate(1, &options).expect("a case");
        let value = |method: &str, name: &str| {
            let metrics = methods.get(method).expect(method);
            metrics.iter().find(|(metric, _)| *metric == name).expect(name).1
        };
        let error = |method| value(method, "error_median_percent");
        assert!(error("r4_locally_low_rank") < 0.6 * error("r4_grappa"), "{methods:?}");
        assert!(value("r4_locally_low_rank", "ssim") > value("r4_grappa", "ssim"), "{methods:?}");
        let contrast = value("all_lines", "lesion_contrast_percent");
        // A mean over some seven pixels of a noisy map, of which those of SASHA and T2 have more
        // noise than that tells anything.
        let is_near = (60.0..140.0).contains(&contrast);
        assert!(is_near || map != Scanned::Molli, "{methods:?}");
    }
}
