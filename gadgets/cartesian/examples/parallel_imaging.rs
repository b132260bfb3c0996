//! How good and how fast parallel imaging is, on the simulated scanner:
//!
//! ```text
//! cargo run --release -p cartesian --example parallel_imaging [FOLDER]
//! ```
//!
//! 256 × 256 pixels, 16 channels, acceleration 2, 3 and 4. Printed are, for each scan, the error
//! to the truth and the time with the settings of `Generic_Cartesian_Grappa.xml` and with those of
//! `cartesian_grappa.toml`; at the end g-factor maps against 200 replicas of the noise.
//!
//! With a folder, the k-space of each scan is left there for BART (`r2_kspace.cfl`, …), and what
//! BART made of it is compared where it is there (`r2_bart.cfl`, …). BART's side is
//!
//! ```text
//! for scan in FOLDER/*_kspace.cfl; do
//!     base=${scan%_kspace.cfl}
//!     bart ecalib -m 1 ${base}_kspace ${base}_maps
//!     bart pics -R Q:0.001 ${base}_kspace ${base}_maps ${base}_bart
//! done
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acquisition::{CollectReadouts, RemoveOversampling, SortKSpace};
use cartesian::{CompressCoils, Grappa, PrepareReference};
use cartesian::{compress_coils, grappa, prepare_reference};
use ndarray::{Array2, Array4, Axis, s};
use num_complex::Complex32;
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, Noise, Setup, ShortAxisOptions, SimulatedScan,
    Subject, Undersampling,
};
use pipeline::{Accept, Gadget, ImageRole, ImageSeries, KSpace, Message, Scan, Sink, run_gadget};

const SIZE: usize = 256;
const N_CHANNELS: usize = 16;
/// Signal of the heart muscle, or the brightest of the Shepp-Logan phantom, over the noise of
/// one channel of the whole scan.
const SIGNAL_TO_NOISE: f64 = 100.0;
const N_REPLICAS: u64 = 200;
const MAX_TIMINGS: usize = 25;
const TIMING: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    println!("{} threads", rayon::current_num_threads());
    println!(
        "scan                          settings of                   error in object        time \
         calibrated before"
    );
    for (name, subject) in [("shepp_logan", Subject::SheppLogan), ("heart", heart())] {
        for (acceleration, n_lines) in [(2, 24), (3, 24), (4, 24), (4, 32)] {
            for (kind, calibration) in [
                ("embedded", CalibrationLines::Embedded(n_lines)),
                ("separate", CalibrationLines::Separate(n_lines)),
            ] {
                let setup = setup(subject.clone(), acceleration, calibration);
                let simulated = SimulatedScan::new(&GradientEcho::default(), setup)?;
                let truth = truth(&simulated);
                let (scan, k_space) = sorted(&simulated)?;
                for settings in [Settings::gadgetron(), Settings::ours()] {
                    let (first, later) = times(&scan, &k_space, &settings)?;
                    let image = reconstructed(&scan, k_space.clone(), &settings)?;
                    let [all, inside] = errors(&image, &truth);
                    println!(
                        "{name:12} R = {acceleration} {n_lines} {kind:9} {:25} {all:8.4} \
                         {inside:8.4} {:8.1} ms {:8.1} ms",
                        settings.chain,
                        milliseconds(first),
                        milliseconds(later)
                    );
                    if let (Some(folder), "embedded") = (&folder, kind) {
                        let base = format!("{name}_r{acceleration}_{n_lines}");
                        compare(folder, &base, &k_space, &truth, [all, inside])?;
                    }
                }
            }
        }
    }
    println!("g-factor: standard deviation of {N_REPLICAS} replicas over the map, in the object");
    for (acceleration, n_lines) in [(2, 24), (3, 24), (4, 32)] {
        let setup = setup(Subject::SheppLogan, acceleration, CalibrationLines::Embedded(n_lines));
        let simulated = SimulatedScan::new(&GradientEcho::default(), setup)?;
        let truth = truth(&simulated);
        let (scan, k_space) = sorted(&simulated)?;
        let (median, low, high) = replicas(&scan, k_space, &truth)?;
        println!("R = {acceleration}: median {median:.3}, 5 % {low:.3}, 95 % {high:.3}");
    }
    Ok(())
}

fn heart() -> Subject {
    Subject::ShortAxis(ShortAxisOptions::default())
}

fn setup(subject: Subject, acceleration: usize, calibration: CalibrationLines) -> Setup {
    Setup {
        matrix_size: [SIZE, SIZE],
        n_channels: N_CHANNELS,
        noise: Noise::SignalToNoise(SIGNAL_TO_NOISE),
        lines: LineOptions {
            undersampling: Undersampling::Regular { acceleration },
            calibration,
            ..LineOptions::default()
        },
        ..Setup::new(subject)
    }
}

/// What the channels show together without noise: `[y, x]`.
fn truth(simulated: &SimulatedScan) -> Array2<f32> {
    simulated.coil_images(0).map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
    })
}

fn step<G: Gadget>(
    config: G::Config,
    scan: &Scan,
    messages: Vec<Message>,
) -> Result<Vec<Message>, Box<dyn Error>> {
    let inputs = messages.into_iter().filter_map(|message| G::Input::accept(message).ok());
    Ok(run_gadget::<G>(config, scan, inputs)?.0)
}

/// Noise of standard deviation 1, calibration made ready.
fn sorted(simulated: &SimulatedScan) -> Result<(Scan, KSpace), Box<dyn Error>> {
    let scan = Scan::with_header(simulated.header().clone());
    let noise_sd = simulated.noise_sd() as f32;
    let messages = simulated
        .acquisitions()
        .map(|mut readout| {
            readout.data.mapv_inplace(|value| value / noise_sd);
            Message::from(readout)
        })
        .collect();
    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages)?;
    let messages = step::<CollectReadouts>(Default::default(), &scan, messages)?;
    let messages = step::<SortKSpace>(Default::default(), &scan, messages)?;
    match messages.into_iter().next() {
        Some(Message::KSpace(k_space)) => Ok((scan, k_space)),
        _ => Err("no k-space".into()),
    }
}

/// What a chain gives its gadgets.
struct Settings {
    chain: &'static str,
    prepare: prepare_reference::Config,
    compress: compress_coils::Config,
    grappa: grappa::Config,
}

impl Settings {
    fn gadgetron() -> Self {
        Self {
            chain: "Generic_Cartesian_Grappa",
            prepare: Default::default(),
            compress: compress_coils::Config {
                upstream_coil_compression_thres: 0.002,
                ..Default::default()
            },
            grappa: grappa::Config {
                downstream_coil_compression_thres: 0.01,
                ..Default::default()
            },
        }
    }

    fn ours() -> Self {
        Self {
            chain: "cartesian_grappa",
            prepare: prepare_reference::Config {
                ref_fill_into_data_embedded: true,
                ..Default::default()
            },
            compress: compress_coils::Config {
                upstream_coil_compression_thres: 0.0005,
                ..Default::default()
            },
            grappa: grappa::Config {
                grappa_ksize_ro: 7,
                grappa_ksize_e1: 3,
                grappa_ksize_e2: 3,
                downstream_coil_compression: false,
                ..Default::default()
            },
        }
    }
}

fn reconstructed(
    scan: &Scan,
    k_space: KSpace,
    settings: &Settings,
) -> Result<Array2<f32>, Box<dyn Error>> {
    let messages = vec![Message::KSpace(k_space)];
    let messages = step::<PrepareReference>(settings.prepare.clone(), scan, messages)?;
    let messages = step::<CompressCoils>(settings.compress.clone(), scan, messages)?;
    let messages = step::<Grappa>(settings.grappa.clone(), scan, messages)?;
    let image = images(messages).pop().ok_or("no image")?;
    Ok(image.data.slice(s![0, 0, 0, 0, 0, .., ..]).map(|value| value.norm()))
}

fn images(messages: Vec<Message>) -> Vec<ImageSeries> {
    messages
        .into_iter()
        .filter_map(|message| match message {
            Message::ImageSeries(series) => Some(series),
            _ => None,
        })
        .collect()
}

/// Median time from sorted k-space to the image: with a new calibration, and with one that is
/// known.
fn times(
    scan: &Scan,
    k_space: &KSpace,
    settings: &Settings,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let started = Instant::now();
    while later.len() < 3 || later.len() < MAX_TIMINGS && started.elapsed() < TIMING {
        let mut prepare = PrepareReference::new(settings.prepare.clone(), scan)?;
        let mut compress = CompressCoils::new(settings.compress.clone(), scan)?;
        let mut grappa = Grappa::new(settings.grappa.clone(), scan)?;
        for times in [&mut first, &mut later] {
            let input = k_space.clone();
            let begin = Instant::now();
            let prepared = pushed(&mut prepare, input)?;
            let compressed = pushed(&mut compress, prepared)?;
            run_one(&mut grappa, compressed)?;
            times.push(begin.elapsed());
        }
    }
    first.sort();
    later.sort();
    Ok((first[first.len() / 2], later[later.len() / 2]))
}

fn run_one<G: Gadget>(gadget: &mut G, input: G::Input) -> Result<Vec<Message>, G::Error> {
    let mut outputs = Vec::new();
    let mut forward = |message| outputs.push(message);
    let mut report = |_, what, _| eprintln!("{what}");
    gadget.process(input, &mut Sink::new(&mut forward, &mut report))?;
    Ok(outputs)
}

fn pushed<G: Gadget<Input = KSpace>>(
    gadget: &mut G,
    input: KSpace,
) -> Result<KSpace, Box<dyn Error>> {
    match run_one(gadget, input)?.pop() {
        Some(Message::KSpace(k_space)) => Ok(k_space),
        _ => Err("no k-space".into()),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Relative error of the magnitude after the best factor: everywhere, and where the truth is
/// above 5 % of its maximum.
fn errors(image: &Array2<f32>, truth: &Array2<f32>) -> [f64; 2] {
    let brightest = truth.iter().copied().fold(0.0, f32::max);
    [0.0, 0.05 * brightest].map(|limit| {
        let pixels = || image.iter().zip(truth).filter(move |(_, truth)| **truth >= limit);
        let sum = |of: fn(f64, f64) -> f64| -> f64 {
            pixels().map(|(image, truth)| of(f64::from(*image), f64::from(*truth))).sum()
        };
        let factor = sum(|image, truth| image * truth) / sum(|image, _| image * image);
        let difference: f64 = pixels()
            .map(|(image, truth)| (factor * f64::from(*image) - f64::from(*truth)).powi(2))
            .sum();
        (difference / sum(|_, truth| truth * truth)).sqrt()
    })
}

/// Leaves the lines of data and calibration for BART, and reads what it made of them.
fn compare(
    folder: &Path,
    base: &str,
    k_space: &KSpace,
    truth: &Array2<f32>,
    ours: [f64; 2],
) -> Result<(), Box<dyn Error>> {
    let mut samples: Array4<Complex32> =
        k_space.data.data.slice(s![0, 0, 0, .., .., .., ..]).to_owned();
    if let Some(reference) = &k_space.reference {
        let calibration = reference.data.slice(s![0, 0, 0, .., .., .., ..]);
        samples.zip_mut_with(&calibration, |sample, calibration| {
            if *sample == Complex32::ZERO {
                *sample = *calibration;
            }
        });
    }
    write_cfl(&folder.join(format!("{base}_kspace")), &samples)?;
    let result = folder.join(format!("{base}_bart"));
    if !result.with_extension("cfl").exists() {
        return Ok(());
    }
    let theirs = read_cfl(&result)?;
    let [all, inside] = errors(&theirs, truth);
    println!(
        "  BART on the same lines             {all:8.4} {inside:8.4}   ours over theirs {:.3} {:.3}",
        ours[0] / all,
        ours[1] / inside
    );
    Ok(())
}

/// `[channel, z, y, x]` is BART's `[x, y, z, channel]` with the first axis contiguous.
fn write_cfl(path: &Path, samples: &Array4<Complex32>) -> Result<(), Box<dyn Error>> {
    let (n_channels, nz, ny, nx) = samples.dim();
    std::fs::write(
        path.with_extension("hdr"),
        format!("# Dimensions\n{nx} {ny} {nz} {n_channels}{}\n", " 1".repeat(12)),
    )?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path.with_extension("cfl"))?);
    for value in samples {
        file.write_all(&value.re.to_le_bytes())?;
        file.write_all(&value.im.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// Magnitude of an image of the size of these: `[y, x]`.
fn read_cfl(path: &Path) -> Result<Array2<f32>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path.with_extension("cfl"))?;
    file.take((8 * SIZE * SIZE) as u64).read_to_end(&mut bytes)?;
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let values = bytes
        .chunks_exact(8)
        .map(|pair| Complex32::new(number(&pair[..4]), number(&pair[4..])).norm())
        .collect();
    Ok(Array2::from_shape_vec((SIZE, SIZE), values)?)
}

/// Standard deviation of replicas of the noise over the g-factor: median and 5 and 95 %.
fn replicas(
    scan: &Scan,
    k_space: KSpace,
    truth: &Array2<f32>,
) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let Settings { prepare, compress, grappa, .. } = Settings::gadgetron();
    let messages = step::<PrepareReference>(prepare, scan, vec![Message::KSpace(k_space)])?;
    let messages = step::<CompressCoils>(compress, scan, messages)?;
    let Some(Message::KSpace(k_space)) = messages.into_iter().next() else {
        return Err("no k-space".into());
    };
    let with_gfactor = grappa::Config { send_out_gfactor: true, ..grappa.clone() };
    let mut with_map = Grappa::new(with_gfactor, scan)?;
    let maps = images(run_one(&mut with_map, k_space.clone())?);
    let map = maps.iter().find(|map| map.role == ImageRole::GFactor).ok_or("no map")?;
    let mut gadget = Grappa::new(grappa, scan)?;
    let mut squares = Array2::<f64>::zeros((SIZE, SIZE));
    for replica in 0..N_REPLICAS {
        let mut noisy = k_space.clone();
        let mut random = Noise64(replica.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        noisy
            .data
            .data
            .mapv_inplace(|value| if value == Complex32::ZERO { value } else { random.normal() });
        let all = images(run_one(&mut gadget, noisy)?);
        let image = all.last().ok_or("no image")?;
        for (sum, value) in squares.iter_mut().zip(&image.data) {
            *sum += f64::from(value.norm_sqr()) / (2 * N_REPLICAS) as f64;
        }
    }
    let brightest = truth.iter().copied().fold(0.0, f32::max);
    let mut ratios: Vec<f64> = squares
        .iter()
        .zip(&map.data)
        .zip(truth)
        .filter(|(_, truth)| **truth > 0.05 * brightest)
        .map(|((square, g_factor), _)| square.sqrt() / f64::from(g_factor.re))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[(share * (ratios.len() - 1) as f64) as usize];
    Ok((at(0.5), at(0.05), at(0.95)))
}

/// Normal numbers (Box and Muller 1958) from xorshift (Marsaglia 2003).
struct Noise64(u64);

impl Noise64 {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> Complex32 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        Complex32::new((radius * cos) as f32, (radius * sin) as f32)
    }
}
