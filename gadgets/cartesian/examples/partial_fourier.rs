//! Error of partial Fourier reconstructions against all lines, on the simulated scanner's
//! objects with a smooth phase of ±60°; of the heart also with fat out of phase, where the phase
//! is not smooth: `cargo run --release -p cartesian --example
//! partial_fourier`.

use std::error::Error;

use ndarray::{Array3, Axis};
use num_complex::Complex32;
use numerics::fft::{Plan, ThroughKSpace};
use numerics::partial_fourier::{Acquired, Homodyne, Pocs, PocsOptions};
use phantom::{GradientEcho, Setup, SimulatedScan, Subject};

/// One turn of fat against water: it precesses 3.4 ppm slower, 217.1 Hz at 1.5 T.
const IN_PHASE_MS: f64 = 1000.0 / 217.1;

fn main() -> Result<(), Box<dyn Error>> {
    println!("relative error ‖image − all lines‖ / ‖all lines‖, 6/8 of the lines");
    println!(
        "{:12} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "matrix", "zeros", "filter", "homodyne", "POCS"
    );
    let heart = || Subject::ShortAxis(Default::default());
    for (name, subject, echo_time_ms) in [
        ("shepp_logan", Subject::SheppLogan, 3.0),
        ("heart", heart(), IN_PHASE_MS),
        ("heart, 3 ms", heart(), 3.0),
    ] {
        for n in [96, 128, 192, 256] {
            let setup = Setup {
                matrix_size: [n, n],
                n_channels: 1,
                object_phase_rad: std::f64::consts::FRAC_PI_3,
                ..Setup::new(subject.clone())
            };
            let sequence = GradientEcho { echo_time_ms, ..GradientEcho::default() };
            let scan = SimulatedScan::new(&sequence, setup)?;
            let truth = scan.object_image(0).insert_axis(Axis(0));
            let lines = Acquired::new(n, n / 4, n - 1)?;
            let acquired = [Acquired::whole(1), lines, Acquired::whole(n)];
            let zeros = zero_filled(&truth, n / 4);

            let mut filtered = zeros.clone();
            // The taper is scaled for noise; its centre is what the object sees.
            let taper = lines.taper(0.15, false);
            let weights: Vec<f32> = taper.iter().map(|weight| weight / taper[n / 2]).collect();
            ThroughKSpace::filter(&weights)?.apply_in_place(filtered.view_mut(), Axis(1));

            let mut homodyne = zeros.clone();
            Homodyne::new(acquired).run(homodyne.view_mut());

            let mut pocs = zeros.clone();
            Pocs::new(acquired, PocsOptions::default()).run(pocs.view_mut());

            print!("{name:12} {:>9}", format!("{n} x {n}"));
            for image in [&zeros, &filtered, &homodyne, &pocs] {
                print!(" {:9.4}", error(image, &truth));
            }
            println!("   POCS over zeros {:.2}", error(&pocs, &truth) / error(&zeros, &truth));
        }
    }
    Ok(())
}

/// The image without its first lines, `[z, y, x]`.
fn zero_filled(image: &Array3<Complex32>, n_missing: usize) -> Array3<Complex32> {
    let mut image = image.clone();
    let plan = Plan::new(image.shape(), &[Axis(1)]);
    plan.forward(image.view_mut());
    image.slice_axis_mut(Axis(1), (..n_missing).into()).fill(Complex32::ZERO);
    plan.inverse(image.view_mut());
    image
}

fn error(image: &Array3<Complex32>, truth: &Array3<Complex32>) -> f64 {
    let power = |values: &mut dyn Iterator<Item = Complex32>| -> f64 {
        values.map(|value| f64::from(value.norm_sqr())).sum()
    };
    let difference = power(&mut image.iter().zip(truth).map(|(a, b)| a - b));
    (difference / power(&mut truth.iter().copied())).sqrt()
}
