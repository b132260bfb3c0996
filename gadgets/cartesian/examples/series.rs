//! Errors and times of reconstructions of a MOLLI series, and BART's beside them where the program
//! `bart` is on the path:
//!
//! ```text
//! cargo run --release -p cartesian --example series [ACCELERATION...]
//! cargo run --release -p cartesian --example series bart
//! cargo run --release -p cartesian --example series volume
//! ```
//!
//! 11 images of 192 x 160 pixels, 16 channels, SNR 20, other lines in each image. Printed are, for
//! each method, the error of the complex images, the median error of T1 in the myocardium against
//! the fit of images without noise of all lines, and the time. BART gets the same samples, coil
//! maps and weights, and blocks that lie in the same places. `volume`: time and memory of 8 contrasts
//! of 128 x 128 x 48 pixels, a quarter of the lines of 12 channels.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use acquisition::{
    CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts, sort_k_space,
};
use cartesian::reconstruct_series::Method;
use cartesian::{CgSense, Grappa, PrepareReference, ReconstructSeries};
use cartesian::{grappa, prepare_reference, reconstruct_series};
use ndarray::{Array2, Array3, Array4, Axis, s};
use num_complex::Complex32;
use numerics::coil_maps::{InatiOptions, inati};
use numerics::joint::{
    Normal, ProximalOptions, Regulariser, SeriesEncoding, Subspace, principal_modes, reconstruct,
};
use numerics::relaxation::{FitOptions, Model, Plan, restore_polarity};
use numerics::wavelet::ShrinkageOptions;
use phantom::{
    Body, CalibrationLines, LineOptions, LineOrder, Molli, Motion, Noise, PixelGrid, Rhythm, Setup,
    ShortAxisOptions, SignalModel, SimulatedScan, Subject, TissueMaps, Undersampling,
};
use pipeline::{Accept, Gadget, KSpace, Message, Scan, run_gadget};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MATRIX: [usize; 2] = [192, 160];
/// Pixels of a block along an axis beside BART.
const BLOCK: usize = 8;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("bart") {
        let simulated = molli(4)?;
        return bart(&sorted(&simulated)?.1, &Truth::new(&simulated)?);
    }
    if std::env::args().nth(1).as_deref() == Some("volume") {
        return volume();
    }
    let mut accelerations: Vec<usize> = Vec::new();
    for argument in std::env::args().skip(1) {
        accelerations.push(argument.parse()?);
    }
    if accelerations.is_empty() {
        accelerations = vec![2, 4, 8];
    }
    println!("{} threads", rayon::current_num_threads());
    for acceleration in accelerations {
        println!("acceleration {acceleration}: error of images, of T1 in %, time");
        compare(acceleration)?;
    }
    Ok(())
}

fn molli(acceleration: usize) -> Result<SimulatedScan> {
    let setup = Setup {
        matrix_size: MATRIX,
        n_channels: 16,
        lines: LineOptions {
            undersampling: Undersampling::Interleaved { acceleration },
            calibration: CalibrationLines::Embedded(24),
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(20.0),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    let molli = Molli { scheme: "5(3)3(3)3".parse()?, ..Molli::default() };
    Ok(SimulatedScan::new(&molli, setup)?)
}

fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Result<Vec<Message>> {
    let inputs: Vec<_> =
        messages.into_iter().filter_map(|message| G::Input::accept(message).ok()).collect();
    Ok(run_gadget::<G>(config, scan, inputs)?.0)
}

/// K-space with its calibration, whose lines are lines of the data too.
fn sorted(simulated: &SimulatedScan) -> Result<(Scan, KSpace)> {
    let scan = Scan::with_header(simulated.header().clone());
    let messages = simulated.acquisitions().map(Message::from).collect();
    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages)?;
    let collect = collect_readouts::Config {
        trigger_dimension: Some(collect_readouts::Dimension::Slice),
        ..Default::default()
    };
    let messages = step::<CollectReadouts>(collect, &scan, messages)?;
    let sort = sort_k_space::Config {
        n_dimension: Some(sort_k_space::Dimension::Set),
        ignore_segment: true,
        ..Default::default()
    };
    let messages = step::<SortKSpace>(sort, &scan, messages)?;
    let prepare =
        prepare_reference::Config { ref_fill_into_data_embedded: true, ..Default::default() };
    let messages = step::<PrepareReference>(prepare, &scan, messages)?;
    match messages.into_iter().next() {
        Some(Message::KSpace(k_space)) => Ok((scan, k_space)),
        _ => Err("no k-space".into()),
    }
}

/// Images `[frame, y, x]` of one method, how long they took, and what was reported.
struct Images {
    images: Array3<Complex32>,
    time: Duration,
    told: Vec<String>,
}

fn run<G: Gadget<Input = KSpace>>(
    config: G::Config,
    scan: &Scan,
    k_space: &KSpace,
) -> Result<Images> {
    let input = k_space.clone();
    let start = Instant::now();
    let (outputs, told) = run_gadget::<G>(config, scan, [input])?;
    let time = start.elapsed();
    let Some(Message::ImageSeries(series)) = outputs.into_iter().next() else {
        return Err("no images".into());
    };
    let n = series.data.shape()[2];
    let images = series.data.into_shape_with_order((n, MATRIX[1], MATRIX[0]))?;
    Ok(Images { images, time, told })
}

/// What the images are held against.
struct Truth {
    /// `[frame, y, x]`.
    images: Array3<Complex32>,
    t1_map_ms: Array2<f32>,
    myocardium: Array2<bool>,
    times_ms: Vec<f64>,
}

impl Truth {
    fn new(simulated: &SimulatedScan) -> Result<Self> {
        let n = simulated.plan().frames.len();
        let mut images = Array3::zeros((n, MATRIX[1], MATRIX[0]));
        // Coil maps of Σ|s|² = 1 leave the channels' common brightness in the images.
        let brightness = simulated.coil_maps(0).map_axis(Axis(0), |channels| {
            channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
        });
        for (frame, mut image) in images.outer_iter_mut().enumerate() {
            let object = simulated.object_image(frame);
            image.zip_mut_with(&object, |image, value| *image = *value);
            image.zip_mut_with(&brightness, |image, factor| *image *= *factor);
        }
        let Some(Body::Anatomy(anatomy)) = simulated.bodies().first() else {
            return Err("no tissues".into());
        };
        let grid =
            PixelGrid { matrix_size: MATRIX, field_of_view_mm: simulated.setup().field_of_view_mm };
        let myocardium = TissueMaps::new(anatomy, grid).myocardium();
        let parameters = simulated.header().sequence_parameters.as_ref();
        let times = parameters.map(|parameters| parameters.ti.clone()).unwrap_or_default();
        let times_ms: Vec<f64> = times.into_iter().map(f64::from).collect();
        let t1_map_ms = t1(&images, &times_ms, &myocardium)?;
        Ok(Self { images, t1_map_ms, myocardium, times_ms })
    }

    fn report(&self, name: &str, found: &Images) -> Result<()> {
        // After one real factor, and each pixel's own phase, which coil maps choose.
        let pairs = || {
            found
                .images
                .iter()
                .zip(&self.images)
                .map(|(a, b)| (f64::from(a.norm()), f64::from(b.norm())))
        };
        let (product, square) = pairs().fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
        let factor = product / square;
        let (misfit, energy) =
            pairs().fold((0.0, 0.0), |(m, e), (a, b)| (m + (a * factor - b).powi(2), e + b * b));
        let t1_map_ms = t1(&found.images, &self.times_ms, &self.myocardium)?;
        let mut errors: Vec<f64> = t1_map_ms
            .iter()
            .zip(&self.t1_map_ms)
            .zip(&self.myocardium)
            .filter(|(_, is_wall)| **is_wall)
            .map(|((found, truth), _)| f64::from((found / truth - 1.0).abs()))
            .collect();
        errors.sort_by(f64::total_cmp);
        println!(
            "  {name:<34} {:.4}  {:6.2}  {:6.2} s  {}",
            (misfit / energy).sqrt(),
            100.0 * errors[errors.len() / 2],
            found.time.as_secs_f64(),
            found.told.join("; "),
        );
        Ok(())
    }
}

fn t1(
    images: &Array3<Complex32>,
    times_ms: &[f64],
    myocardium: &Array2<bool>,
) -> Result<Array2<f32>> {
    let longest = (0..times_ms.len()).max_by(|&a, &b| times_ms[a].total_cmp(&times_ms[b]));
    let signed = restore_polarity(images.view(), longest.unwrap_or(0));
    let model = Model::LookLocker { inversion_factor: 1.0 };
    let plan = Plan::new(model, times_ms, model.usual_range())?;
    let options = FitOptions { mask: Some(myocardium.view()), ..FitOptions::default() };
    Ok(plan.fit(signed.view(), &options).value_ms)
}

fn compare(acceleration: usize) -> Result<()> {
    let simulated = molli(acceleration)?;
    let truth = Truth::new(&simulated)?;
    let (scan, k_space) = sorted(&simulated)?;
    let kernel = grappa::Config {
        grappa_ksize_ro: 7,
        grappa_ksize_e1: 3,
        downstream_coil_compression: false,
        ..grappa::Config::default()
    };
    match run::<Grappa>(kernel, &scan, &k_space) {
        Ok(images) => truth.report("grappa", &images)?,
        Err(error) => println!("  grappa: {error}"),
    }
    truth.report("cg_sense", &run::<CgSense>(Default::default(), &scan, &k_space)?)?;
    for method in [
        Method::Sense,
        Method::TotalVariation,
        Method::Wavelets,
        Method::LocallyLowRank,
        Method::Subspace,
        Method::PatchLowRank,
    ] {
        for regularisation in factors() {
            let config = reconstruct_series::Config {
                method,
                regularisation,
                print_iterations: true,
                ..reconstruct_series::Config::default()
            };
            let images = run::<ReconstructSeries>(config, &scan, &k_space)?;
            truth.report(&format!("{method:?} x {regularisation}"), &images)?;
        }
    }
    Ok(())
}

/// A volume whose pixels recover with times of their own.
fn volume() -> Result<()> {
    const SHAPE: [usize; 4] = [8, 48, 128, 128];
    const N_CHANNELS: usize = 12;
    let [n_frames, n_z, n_y, n_x] = SHAPE;
    let place = |n: usize, of: usize| n as f32 / of as f32 - 0.5;
    let images = Array4::from_shape_fn(SHAPE, |(frame, z, y, x)| {
        let [z, y, x] = [place(z, n_z), place(y, n_y), place(x, n_x)];
        let radius = (z * z + y * y + x * x).sqrt();
        let time =
            0.6 + 0.6 * f32::from(u8::from(radius < 0.2)) + 0.3 * f32::from(u8::from(y > 0.1));
        let signal = 1.0 - 2.0 * (-(0.1 + 0.35 * frame as f32) / time).exp();
        if radius < 0.42 { Complex32::new(signal, 0.2 * signal) } else { Complex32::ZERO }
    });
    let mut maps = Array4::from_shape_fn((N_CHANNELS, n_z, n_y, n_x), |(channel, z, y, x)| {
        let angle_rad = channel as f32 * std::f32::consts::TAU / N_CHANNELS as f32;
        let (sin, cos) = angle_rad.sin_cos();
        let far = (place(x, n_x) - 0.6 * cos).powi(2) + (place(y, n_y) - 0.6 * sin).powi(2);
        let far = far + 0.2 * (place(z, n_z) - 0.2 * sin).powi(2);
        Complex32::from_polar((-3.0 * far).exp(), 2.0 * angle_rad + 3.0 * far)
    });
    for mut pixel in maps.lanes_mut(Axis(0)) {
        let norm = pixel.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt();
        pixel.mapv_inplace(|value| value / norm);
    }
    let sampled = Array3::from_shape_fn((n_frames, n_z, n_y), |(frame, z, y)| {
        let is_central = z.abs_diff(n_z / 2) < 6 && y.abs_diff(n_y / 2) < 12;
        is_central || (y + 2 * z + frame) % 4 == 0
    });
    let encoding = SeriesEncoding::new(sampled.view(), maps.view());
    let mut random = 1_u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.05 * ((random >> 8) as f32 / (1 << 24) as f32 - 0.5)
    };
    let samples =
        encoding.samples(images.view()).mapv(|value| value + Complex32::new(noise(), noise()));
    let start = Instant::now();
    let (right, squares) = encoding.adjoint(samples.view());
    let courses = images.to_shape((n_frames, n_z * n_y * n_x))?;
    let modes = principal_modes(courses.view(), 0.0, 4).courses;
    let subspace = Subspace::new(&encoding, &modes);
    let options = ProximalOptions {
        regulariser: Regulariser::Wavelets(ShrinkageOptions::default()),
        weight: 0.01,
        max_iterations: 40,
        threshold: 2e-3,
    };
    let of_modes = subspace.reduce(right.view());
    let (found, report) = reconstruct(&subspace, &of_modes, squares, &options);
    let found = subspace.expand(found.view());
    let seconds = start.elapsed().as_secs_f64();
    let sum = |values: &Array4<Complex32>| values.iter().map(|v| v.norm_sqr()).sum::<f32>();
    println!(
        "  {n_frames} contrasts of {n_x} x {n_y} x {n_z}, {N_CHANNELS} channels, {} threads: {seconds:.1} s, {} steps, \
         error {:.4}, most memory {}",
        rayon::current_num_threads(),
        report.n_iterations,
        (sum(&(&found - &images)) / sum(&images)).sqrt(),
        std::fs::read_to_string("/proc/self/status")?
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .map_or("unknown", str::trim),
    );
    Ok(())
}

/// Factors of the regularisation, from the variable `REGULARISATION`.
fn factors() -> Vec<f32> {
    let text = std::env::var("REGULARISATION").unwrap_or_default();
    let factors: Vec<f32> = text.split(',').filter_map(|factor| factor.parse().ok()).collect();
    if factors.is_empty() { vec![1.0] } else { factors }
}

/// BART's `pics` and ours on the same samples, coil maps and weights.
fn bart(k_space: &KSpace, truth: &Truth) -> Result<()> {
    if Command::new("bart").arg("version").output().is_err() {
        println!("  bart is not there");
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("boreside-series-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    // `[frame, channel, encoding_step_2, encoding_step_1, readout]`.
    let samples = k_space.data.data.slice(s![0, 0, .., .., .., .., ..]).into_owned();
    let mut hybrid = samples.clone();
    numerics::fft::Plan::new(hybrid.shape(), &[Axis(4)]).inverse(hybrid.view_mut().into_dyn());
    let lines = k_space.data.headers.slice(s![0, 0, .., .., ..]);
    let sampled = lines.mapv(|line| line.version != 0);
    let maps = maps(k_space)?;
    let encoding = SeriesEncoding::new(sampled.view(), maps.view());
    let (right, squares) = encoding.adjoint(hybrid.view());
    // BART's times are its last but five dimensions; maps of ones make it take all of k-space.
    let [n_frames, n_channels, _, n_y, n_x] =
        [0, 1, 2, 3, 4].map(|axis| samples.len_of(Axis(axis)));
    let of_bart = [n_x, n_y, 1, n_channels, 1, 1, 1, 1, 1, 1, n_frames];
    write_cfl(&folder.join("k"), samples.iter(), &of_bart)?;
    write_cfl(&folder.join("maps"), maps.iter(), &[n_x, n_y, 1, n_channels])?;
    for (name, regulariser, weight, n_iterations) in [
        ("l2", Regulariser::None, 0.01_f32, 50),
        (
            "locally low rank",
            Regulariser::LocallyLowRank {
                block_size: [1, BLOCK, BLOCK],
                random_shift: false,
                keep_strong: false,
            },
            weight_of_blocks(truth),
            100,
        ),
    ] {
        let options =
            ProximalOptions { regulariser, weight, max_iterations: n_iterations, threshold: 1e-5 };
        let start = Instant::now();
        let (mut found, report) = reconstruct(&encoding, &right, squares, &options);
        let own = start.elapsed();
        if regulariser != Regulariser::None {
            // BART's FISTA ends with a step towards the samples, behind the last threshold.
            let mut applied = Array4::zeros(found.raw_dim());
            encoding.apply(&found, &mut applied);
            found = &found + (&right - &applied) * Complex32::from(BART_STEP);
        }
        let (n, block) = (n_iterations.to_string(), BLOCK.to_string());
        let mut arguments = vec!["pics", "-n", "-w", "1", "-i", &n];
        let regularisation = match regulariser {
            Regulariser::None => format!("Q:{weight}"),
            _ => format!("L:7:7:{}", weight / of_bart_blocks(n_frames)),
        };
        arguments.extend(["-R", &regularisation, "-b", &block, "k", "maps", "image"]);
        let start = Instant::now();
        let output = Command::new("bart").args(&arguments).current_dir(&folder).output()?;
        let theirs = start.elapsed();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let image = read_cfl(&folder.join("image"), (n_frames, 1, n_y, n_x))?;
        let difference: f32 =
            found.iter().zip(&image).map(|(own, theirs)| (own - theirs).norm_sqr()).sum();
        let norm: f32 = image.iter().map(|value| value.norm_sqr()).sum();
        println!(
            "  bart {name}: normalised difference {:.2} %, {:.2} s with {} steps of ours, {:.2} s of bart's: {:.1} times as fast",
            100.0 * (difference / norm).sqrt(),
            own.as_secs_f64(),
            report.n_iterations,
            theirs.as_secs_f64(),
            theirs.as_secs_f64() / own.as_secs_f64(),
        );
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// What a singular value loses at a weight of 1 of BART's locally low rank: how large the largest
/// singular value of noise in any block is.
fn of_bart_blocks(n_frames: usize) -> f32 {
    let n_blocks = (MATRIX[0].div_ceil(BLOCK) * MATRIX[1].div_ceil(BLOCK)) as f32;
    let (n_pixels, n_frames) = ((BLOCK * BLOCK) as f32, n_frames as f32);
    let largest = (n_blocks * n_pixels.min(n_frames)).ln().sqrt();
    n_pixels.sqrt() + n_frames.sqrt() + largest
}

/// Length of BART's steps.
const BART_STEP: f32 = 0.95;

/// That of `reconstruct_series`, about, of samples in units of blood's magnetisation.
fn weight_of_blocks(truth: &Truth) -> f32 {
    let brightest = truth.images.iter().map(|value| value.norm()).fold(0.0, f32::max);
    0.05 * brightest
}

fn maps(k_space: &KSpace) -> Result<Array4<Complex32>> {
    let reference = k_space.reference.as_ref().ok_or("no calibration lines")?;
    let samples = reference.data.slice(s![0, 0, 0, .., .., .., ..]);
    let (n_channels, n_lines) = (samples.len_of(Axis(0)), samples.len_of(Axis(2)));
    let mut images = Array4::<Complex32>::zeros((n_channels, 1, MATRIX[1], MATRIX[0]));
    let first = MATRIX[1] / 2 - n_lines / 2;
    images.slice_mut(s![.., .., first..first + n_lines, ..]).assign(&samples);
    numerics::fft::Plan::new(images.shape(), &[Axis(2), Axis(3)])
        .inverse(images.view_mut().into_dyn());
    Ok(inati(images.view(), &InatiOptions::default()))
}

fn write_cfl<'a>(
    path: &Path,
    values: impl Iterator<Item = &'a Complex32>,
    shape: &[usize],
) -> Result<()> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    std::fs::write(path.with_extension("hdr"), format!("# Dimensions\n{}\n", shape.join(" ")))?;
    let bytes: Vec<u8> =
        values.flat_map(|v| [v.re.to_le_bytes(), v.im.to_le_bytes()]).flatten().collect();
    Ok(std::fs::write(path.with_extension("cfl"), bytes)?)
}

fn read_cfl(path: &Path, shape: (usize, usize, usize, usize)) -> Result<Array4<Complex32>> {
    let bytes = std::fs::read(path.with_extension("cfl"))?;
    let values = bytes.chunks_exact(8).map(|value| {
        let part = |at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|n| value[at + n]));
        Complex32::new(part(0), part(4))
    });
    Ok(Array4::from_shape_vec(shape, values.collect())?)
}
