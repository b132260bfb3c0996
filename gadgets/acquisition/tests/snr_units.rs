//! After every gadget of the readouts, noise has standard deviation 1 in the real and in the
//! imaginary part of every sample that was acquired, and channels share none.

use acquisition::{
    AdjustAsymmetricEcho, AdjustNoise, CompressChannels, RemoveOversampling, SelectChannels,
};
use ismrmrd::{Acquisition, AcquisitionFlags};
use ndarray::{Array2, s};
use num_complex::{Complex32, Complex64};
use phantom::{GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, Subject};
use pipeline::{Gadget, Message, Scan, run_gadget};

const N_CHANNELS: usize = 4;

fn simulated(sd: f64, n_samples_left_out: usize) -> SimulatedScan {
    let covariance = Array2::from_shape_fn((N_CHANNELS, N_CHANNELS), |(i, j)| {
        if i == j {
            return Complex64::from(1.0 + i as f64);
        }
        let share = Complex64::new(0.3, if i < j { 0.2 } else { -0.2 });
        share * ((1.0 + i as f64) * (1.0 + j as f64)).sqrt()
    });
    let setup = Setup {
        matrix_size: [96, 96],
        n_channels: N_CHANNELS,
        noise: Noise::Sd(sd),
        noise_covariance: Some(covariance),
        noise_scan: Some(NoiseScan { n_readouts: 256, sample_time_us: 3.0 }),
        n_samples_left_out,
        ..Setup::new(Subject::SheppLogan)
    };
    SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup")
}

/// The scan's noise without its signal: noise readouts as they are, and of all others what is
/// left when those of the same scan without noise are taken off.
fn noise_only(n_samples_left_out: usize) -> (Scan, Vec<Acquisition>) {
    let noisy = simulated(0.7, n_samples_left_out);
    // A noise scan needs noise: so little that it does not count.
    let clean = simulated(1e-6, n_samples_left_out);
    let readouts = noisy.acquisitions().zip(clean.acquisitions()).map(|(mut noisy, clean)| {
        noisy.data -= &clean.data;
        noisy
    });
    (Scan::with_header(noisy.header().clone()), readouts.collect())
}

fn through<G>(scan: &Scan, readouts: Vec<Acquisition>) -> Vec<Acquisition>
where
    G: Gadget<Input = Acquisition>,
    G::Config: Default,
{
    let (outputs, told) =
        run_gadget::<G>(G::Config::default(), scan, readouts).unwrap_or_else(|e| panic!("{e}"));
    assert!(told.is_empty(), "{told:?}");
    outputs
        .into_iter()
        .map(|message| match message {
            Message::Acquisition(readout) => readout,
            other => panic!("{other:?} came out"),
        })
        .collect()
}

/// Standard deviations of the real and of the imaginary parts of the samples that were acquired,
/// and the largest correlation of two channels.
fn statistics(readouts: &[Acquisition]) -> ([f64; 2], f64) {
    let mut moments = Array2::<Complex64>::zeros((N_CHANNELS, N_CHANNELS));
    let (mut squares, mut n_samples) = ([0.0; 2], 0);
    for readout in readouts {
        let first = usize::from(readout.header.discard_pre);
        let end = readout.n_samples() - usize::from(readout.header.discard_post);
        let kept = readout.data.slice(s![.., first..end]);
        n_samples += kept.ncols();
        for (i, a) in kept.rows().into_iter().enumerate() {
            for value in a {
                squares[0] += f64::from(value.re).powi(2);
                squares[1] += f64::from(value.im).powi(2);
            }
            for (j, b) in kept.rows().into_iter().enumerate() {
                let products = a.iter().zip(b).map(|(a, b): (&Complex32, &Complex32)| {
                    let product = a * b.conj();
                    Complex64::new(product.re.into(), product.im.into())
                });
                moments[[i, j]] += products.sum::<Complex64>();
            }
        }
    }
    let deviation = |squares: f64| (squares / (n_samples * N_CHANNELS) as f64).sqrt();
    let largest = moments
        .indexed_iter()
        .filter(|((i, j), _)| i != j)
        .map(|((i, j), value)| value.norm() / (moments[[i, i]].re * moments[[j, j]].re).sqrt())
        .fold(0.0, f64::max);
    (squares.map(deviation), largest)
}

fn assert_unit(stage: &str, readouts: &[Acquisition]) {
    assert!(readouts.len() >= 96, "{stage}: {} readouts", readouts.len());
    let (deviations, correlation) = statistics(readouts);
    // 18 000 samples or more of four channels: a standard error of 0.3 % at most, and 0.75 % of
    // a correlation.
    for deviation in deviations {
        assert!((deviation - 1.0).abs() < 0.02, "{stage}: standard deviation {deviation}");
    }
    assert!(correlation < 0.04, "{stage}: correlation {correlation}");
    println!("{stage}: {:.4} {:.4}, correlation {correlation:.4}", deviations[0], deviations[1]);
}

#[test]
fn noise_has_unit_deviation_after_every_stage() {
    let (scan, readouts) = noise_only(0);
    let raw = readouts
        .iter()
        .filter(|readout| !readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT));
    assert!(statistics(&raw.cloned().collect::<Vec<_>>()).1 > 0.3, "channels share noise");
    let whitened = through::<AdjustNoise>(&scan, readouts);
    assert_unit("whitened", &whitened);
    let compressed = through::<CompressChannels>(&scan, whitened);
    assert_unit("compressed", &compressed);
    let selected = through::<SelectChannels>(&scan, compressed);
    assert_unit("selected", &selected);
    let cut = through::<RemoveOversampling>(&scan, selected);
    assert_unit("oversampling removed", &cut);
}

#[test]
fn noise_has_unit_deviation_in_the_acquired_part_of_an_asymmetric_echo() {
    let (scan, readouts) = noise_only(48);
    let whitened = through::<AdjustNoise>(&scan, readouts);
    let filled = through::<AdjustAsymmetricEcho>(&scan, whitened);
    let header = &filled[0].header;
    let counts = (header.number_of_samples, header.center_sample, header.discard_pre);
    assert_eq!(counts, (192, 96, 48));
    assert_unit("filled up", &filled);
    let cut = through::<RemoveOversampling>(&scan, filled);
    assert_unit("filled up, oversampling removed", &cut);
}
