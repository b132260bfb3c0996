//! Errors and times of the gadgets for undersampled k-space on simulated scans, and BART's beside
//! them where the program `bart` is on the path:
//! `cargo run --release -p cartesian --example iterative`.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use acquisition::{
    CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts, sort_k_space,
};
use cartesian::{
    CgSense, Grappa, PrepareReference, Spirit, SpiritNonLinear, prepare_reference,
    spirit_non_linear,
};
use ndarray::{Array2, ArrayD, Axis, s};
use num_complex::Complex32;
use phantom::{
    CalibrationLines, Cine, Gating, GradientEcho, LineOptions, Noise, Sequence, Setup,
    SimulatedScan, Subject, Undersampling,
};
use pipeline::{Accept, Gadget, KSpace, Message, Scan, run_gadget};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!(
        "relative error of the magnitudes after one real factor; 256 x 256, 16 channels, SNR 50"
    );
    for acceleration in [2, 3, 4] {
        let lines = LineOptions {
            undersampling: Undersampling::Regular { acceleration },
            calibration: CalibrationLines::Embedded(24),
            ..LineOptions::default()
        };
        compare(&format!("every {acceleration}. line"), &GradientEcho::default(), lines)?;
    }
    for acceleration in [2.0, 3.0, 4.0] {
        let lines = LineOptions {
            undersampling: random(acceleration),
            calibration: CalibrationLines::Embedded(24),
            ..LineOptions::default()
        };
        compare(&format!("one of {acceleration} at random"), &GradientEcho::default(), lines)?;
    }
    println!();
    println!("mean error of 30 images of a real-time cine; 192 x 144, 12 channels, SNR 15");
    for acceleration in [4.0, 5.0, 6.0] {
        real_time(acceleration)?;
    }
    Ok(())
}

fn random(acceleration: f64) -> Undersampling {
    Undersampling::VariableDensity {
        acceleration,
        n_center_lines: 8,
        k0_lines: 16.0,
        power: 1.5,
        seed: 1,
    }
}

/// What all channels show of a scan of all lines without noise: coil maps with Σ|s|² = 1 leave the
/// channels' common brightness in the image.
fn root_sum_of_squares(simulated: &SimulatedScan, frame: usize) -> Array2<f32> {
    simulated.coil_images(frame).map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
    })
}

/// One image with every method.
fn compare(name: &str, sequence: &dyn Sequence, lines: LineOptions) -> Result<()> {
    let setup = Setup {
        matrix_size: [256, 256],
        n_channels: 16,
        lines,
        noise: Noise::SignalToNoise(50.0),
        ..Setup::new(Subject::ShortAxis(Default::default()))
    };
    let simulated = SimulatedScan::new(sequence, setup)?;
    let truth = [root_sum_of_squares(&simulated, 0)];
    let (scan, k_space) = sorted(&simulated, true)?;
    println!("{name}");
    let is_regular = matches!(lines.undersampling, Undersampling::Regular { .. });
    if is_regular {
        let (scan, k_space) = sorted(&simulated, false)?;
        report(
            "grappa, without the calibration lines",
            &run::<Grappa>(Default::default(), &scan, &k_space)?,
            &truth,
        );
        report(
            "spirit, without the calibration lines",
            &run::<Spirit>(Default::default(), &scan, &k_space)?,
            &truth,
        );
    }
    report("spirit", &run::<Spirit>(Default::default(), &scan, &k_space)?, &truth);
    report("cg_sense", &run::<CgSense>(Default::default(), &scan, &k_space)?, &truth);
    if let Some(images) = bart(&k_space)? {
        for (name, image) in images {
            report(&name, &image, &truth);
        }
    }
    Ok(())
}

fn real_time(acceleration: f64) -> Result<()> {
    let lines = LineOptions {
        undersampling: random(acceleration),
        calibration: CalibrationLines::Embedded(24),
        ..LineOptions::default()
    };
    let setup = Setup {
        matrix_size: [192, 144],
        n_channels: 12,
        lines,
        noise: Noise::SignalToNoise(15.0),
        ..Setup::new(Subject::ShortAxis(Default::default()))
    };
    let cine = Cine { gating: Gating::RealTime { n_images: 30 }, ..Cine::default() };
    let simulated = SimulatedScan::new(&cine, setup)?;
    let truth: Vec<_> = (0..30).map(|n| root_sum_of_squares(&simulated, n)).collect();
    let (scan, k_space) = sorted(&simulated, false)?;
    println!("one of {acceleration} at random");
    report("spirit", &run::<Spirit>(Default::default(), &scan, &k_space)?, &truth);
    report("cg_sense", &run::<CgSense>(Default::default(), &scan, &k_space)?, &truth);
    let automatic = spirit_non_linear::Config::default();
    for (name, config) in [
        ("spirit_non_linear", automatic.clone()),
        (
            "spirit_non_linear, lambda x 10",
            spirit_non_linear::Config { spirit_image_reg_lamda: 0.0005, ..automatic.clone() },
        ),
        (
            "spirit_non_linear, noise floor",
            spirit_non_linear::Config {
                spirit_reg_estimate_noise_floor: true,
                ..automatic.clone()
            },
        ),
        (
            "spirit_non_linear, channels together",
            spirit_non_linear::Config {
                spirit_reg_proximity_across_cha: true,
                ..automatic.clone()
            },
        ),
        (
            "spirit_non_linear, combined image",
            spirit_non_linear::Config { spirit_reg_use_coil_sen_map: true, ..automatic },
        ),
    ] {
        report(name, &run::<SpiritNonLinear>(config, &scan, &k_space)?, &truth);
    }
    Ok(())
}

fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Result<Vec<Message>> {
    let inputs: Vec<_> =
        messages.into_iter().filter_map(|message| G::Input::accept(message).ok()).collect();
    Ok(run_gadget::<G>(config, scan, inputs)?.0)
}

/// K-space with its calibration; with `fill`, calibration lines are lines of the data too.
fn sorted(simulated: &SimulatedScan, fill: bool) -> Result<(Scan, KSpace)> {
    let scan = Scan::with_header(simulated.header().clone());
    let messages = simulated.acquisitions().map(Message::from).collect();
    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages)?;
    let collect = collect_readouts::Config {
        trigger_dimension: Some(collect_readouts::Dimension::Slice),
        ..Default::default()
    };
    let messages = step::<CollectReadouts>(collect, &scan, messages)?;
    let sort = sort_k_space::Config {
        n_dimension: Some(sort_k_space::Dimension::Phase),
        ignore_segment: true,
        ..Default::default()
    };
    let messages = step::<SortKSpace>(sort, &scan, messages)?;
    let prepare =
        prepare_reference::Config { ref_fill_into_data_embedded: fill, ..Default::default() };
    let messages = step::<PrepareReference>(prepare, &scan, messages)?;
    match messages.into_iter().next() {
        Some(Message::KSpace(k_space)) => Ok((scan, k_space)),
        _ => Err("no k-space".into()),
    }
}

/// Images of one method, and how long it took.
struct Images {
    magnitudes: Vec<Array2<f32>>,
    time: Duration,
}

fn run<G: Gadget<Input = KSpace>>(
    config: G::Config,
    scan: &Scan,
    k_space: &KSpace,
) -> Result<Images> {
    let input = k_space.clone();
    let start = Instant::now();
    let (outputs, _) = run_gadget::<G>(config, scan, [input])?;
    let time = start.elapsed();
    let Some(Message::ImageSeries(series)) = outputs.into_iter().next() else {
        return Err("no images".into());
    };
    let frames = series.data.index_axis(Axis(0), 0);
    let frames = frames.index_axis(Axis(0), 0);
    let magnitudes = frames
        .axis_iter(Axis(0))
        .map(|image| {
            let plane = image.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0);
            plane.into_dimensionality::<ndarray::Ix2>().map(|plane| plane.mapv(Complex32::norm))
        })
        .collect::<std::result::Result<_, ndarray::ShapeError>>()?;
    Ok(Images { magnitudes, time })
}

fn report(name: &str, images: &Images, truth: &[Array2<f32>]) {
    let errors = images.magnitudes.iter().zip(truth).map(|(image, truth)| {
        let pairs = || image.iter().zip(truth).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let (product, square): (f64, f64) =
            pairs().fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
        let factor = product / square;
        let (misfit, energy): (f64, f64) =
            pairs().fold((0.0, 0.0), |(m, e), (a, b)| (m + (a * factor - b).powi(2), e + b * b));
        (misfit / energy).sqrt()
    });
    let error = errors.sum::<f64>() / truth.len() as f64;
    println!("  {name:<42} {error:.4}  {:6.2} s", images.time.as_secs_f64());
}

/// BART's images of the same lines: coil maps by `ecalib`, then `pics` with ℓ2 and with wavelets.
fn bart(k_space: &KSpace) -> Result<Option<Vec<(String, Images)>>> {
    if Command::new("bart").arg("version").output().is_err() {
        println!("  bart is not there");
        return Ok(None);
    }
    let folder = std::env::temp_dir().join(format!("boreside-iterative-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let samples = k_space.data.data.slice(s![0, 0, 0, .., .., .., ..]).into_owned();
    let [c, z, y, x] = [0, 1, 2, 3].map(|axis| samples.len_of(Axis(axis)));
    write_cfl(&folder.join("k"), &samples.into_dyn(), [x, y, z, c])?;
    let run = |arguments: &[&str]| -> Result<Duration> {
        let start = Instant::now();
        let output = Command::new("bart").args(arguments).current_dir(&folder).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(start.elapsed())
    };
    let calibration = run(&["ecalib", "-m", "1", "-r", "24", "k", "maps"])?;
    let mut images = Vec::new();
    for (name, regularisation) in [
        ("bart ecalib, pics -l2 -r 0.001", &["-l2", "-r", "0.001"][..]),
        ("bart ecalib, pics -R W:3:0:0.001", &["-R", "W:3:0:0.001"][..]),
        ("bart ecalib, pics -R W:3:0:0.003", &["-R", "W:3:0:0.003"][..]),
    ] {
        let mut arguments = vec!["pics", "-S", "-i", "60"];
        arguments.extend(regularisation);
        arguments.extend(["k", "maps", "image"]);
        let time = calibration + run(&arguments)?;
        let image = read_cfl(&folder.join("image"), [y, x])?;
        images.push((name.to_owned(), Images { magnitudes: vec![image], time }));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(Some(images))
}

fn write_cfl(path: &Path, data: &ArrayD<Complex32>, shape: [usize; 4]) -> Result<()> {
    let [x, y, z, c] = shape;
    std::fs::write(path.with_extension("hdr"), format!("# Dimensions\n{x} {y} {z} {c}\n"))?;
    let bytes: Vec<u8> =
        data.iter().flat_map(|v| [v.re.to_le_bytes(), v.im.to_le_bytes()]).flatten().collect();
    Ok(std::fs::write(path.with_extension("cfl"), bytes)?)
}

fn read_cfl(path: &Path, [y, x]: [usize; 2]) -> Result<Array2<f32>> {
    let bytes = std::fs::read(path.with_extension("cfl"))?;
    let values = bytes.chunks_exact(8).map(|value| {
        let part = |at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|n| value[at + n]));
        part(0).hypot(part(4))
    });
    Ok(Array2::from_shape_vec((y, x), values.take(y * x).collect())?)
}
