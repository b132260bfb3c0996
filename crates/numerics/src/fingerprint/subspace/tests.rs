use ndarray::{Array1, Array2, Array3, Array4, s};

use super::*;

const N: [usize; 2] = [24, 20];
const N_ARMS: usize = 12;
const N_SHOTS: usize = 60;
const N_CHANNELS: usize = 3;
const N_MODES: usize = 3;

struct Random(u64);

impl Random {
    /// Between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn complex(&mut self) -> Complex32 {
        Complex32::new(self.next(), self.next())
    }
}

/// Spiral arms out to the corners' distance, so that all of k-space is covered.
fn arms() -> Vec<Vec<[f32; 2]>> {
    let arm = |arm: usize| {
        let samples = 0..160;
        let at = |sample: usize| {
            let share = sample as f32 / 160.0;
            let angle = 9.0 * share + std::f32::consts::TAU * arm as f32 / N_ARMS as f32;
            [0.72 * share * N[1] as f32 * angle.cos(), 0.72 * share * N[0] as f32 * angle.sin()]
        };
        samples.map(at).collect()
    };
    (0..N_ARMS).map(arm).collect()
}

/// Cosines are orthonormal.
fn modes() -> Array2<f32> {
    Array2::from_shape_fn((N_MODES, N_SHOTS), |(mode, echo)| {
        let angle = std::f32::consts::PI * mode as f32 * (echo as f32 + 0.5) / N_SHOTS as f32;
        let scale = if mode == 0 { 1.0 } else { 2.0_f32.sqrt() };
        scale * angle.cos() / (N_SHOTS as f32).sqrt()
    })
}

fn shots() -> Vec<Shot> {
    (0..N_SHOTS).map(|echo| Shot { arm: 5 * echo % N_ARMS, echo }).collect()
}

/// Smooth, with Σ|s|² = 1.
fn maps() -> Array4<Complex32> {
    let mut maps = Array4::from_shape_fn((N_CHANNELS, 1, N[0], N[1]), |(channel, _, y, x)| {
        let angle = 2.0 * channel as f32 + 0.1 * x as f32;
        let (y, x) = (y as f32 / 12.0 - 1.0, x as f32 / 10.0 - 1.0);
        let distance =
            (y - (2.1 * channel as f32).cos()).powi(2) + (x - (2.1 * channel as f32).sin()).powi(2);
        Complex32::from_polar((-0.5 * distance).exp(), angle)
    });
    for y in 0..N[0] {
        for x in 0..N[1] {
            let mut pixel = maps.slice_mut(s![.., 0, y, x]);
            let norm = pixel.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt();
            pixel.mapv_inplace(|value| value / norm);
        }
    }
    maps
}

fn subspace(regularisation: f32) -> Subspace {
    Subspace::new(N, &arms(), shots(), modes(), regularisation).expect("good arms")
}

/// What shots see of the images of the modes, by the sum itself.
fn samples(images: &Array3<Complex32>, maps: &Array4<Complex32>) -> Vec<Array2<Complex32>> {
    let (arms, modes) = (arms(), modes());
    let see = |shot: &Shot| {
        let course: Array1<f32> = modes.column(shot.echo).to_owned();
        Array2::from_shape_fn((N_CHANNELS, arms[shot.arm].len()), |(channel, sample)| {
            let [kx, ky] = arms[shot.arm][sample].map(f64::from);
            let mut sum = num_complex::Complex64::ZERO;
            for y in 0..N[0] {
                for x in 0..N[1] {
                    let pixel: Complex32 =
                        (0..N_MODES).map(|mode| images[[mode, y, x]] * course[mode]).sum();
                    let value = pixel * maps[[channel, 0, y, x]];
                    let turns =
                        kx * (x as f64 - 10.0) / N[1] as f64 + ky * (y as f64 - 12.0) / N[0] as f64;
                    let phase = num_complex::Complex64::cis(-std::f64::consts::TAU * turns);
                    sum += phase * num_complex::Complex64::new(value.re.into(), value.im.into());
                }
            }
            let sum = sum / ((N[0] * N[1]) as f64).sqrt();
            Complex32::new(sum.re as f32, sum.im as f32)
        })
    };
    shots().iter().map(see).collect()
}

fn images(seed: u64) -> Array3<Complex32> {
    let mut random = Random(seed);
    Array3::from_shape_simple_fn((N_MODES, N[0], N[1]), || random.complex())
}

#[test]
fn the_convolutions_are_the_adjoint_of_what_is_seen() {
    let (subspace, maps, images) = (subspace(0.0), maps(), images(3));
    let samples = samples(&images, &maps);
    let views: Vec<_> = samples.iter().map(|samples| samples.view()).collect();
    let plane = maps.index_axis(Axis(1), 0).to_owned();
    let expected = subspace.combined(&subspace.adjoint(&views), plane.view());
    let values: Vec<Complex32> = images.iter().copied().collect();
    let found = subspace.normal.apply(&values, plane.view());
    let norm = |values: &[Complex32]| values.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
    let off: Vec<Complex32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
    // Two transforms with a kernel of four taps.
    assert!(norm(&off) < 2e-3 * norm(&expected), "{}", norm(&off) / norm(&expected));
}

#[test]
fn images_of_all_modes_come_back_and_nothing_is_left_of_the_samples() {
    let (subspace, maps, images) = (subspace(1e-6), maps(), images(4));
    let samples = samples(&images, &maps);
    let views: Vec<_> = samples.iter().map(|samples| samples.view()).collect();
    let options = SubspaceOptions { max_iterations: 40, threshold: 1e-5, n_low_rank: 0 };
    let found = subspace.solve(&views, maps.view(), &options);
    let off: f32 = found.images.iter().zip(&images).map(|(a, b)| (a - b).norm_sqr()).sum();
    let all: f32 = images.iter().map(|value| value.norm_sqr()).sum();
    assert!((off / all).sqrt() < 0.01, "{} in {}", (off / all).sqrt(), found.n_iterations);
    assert!(found.residual < 1e-3 * found.energy, "{} of {}", found.residual, found.energy);
    assert!(found.n_iterations < 40);
}

#[test]
fn noise_of_the_modes_is_what_is_told() {
    let (subspace, maps) = (subspace(1e-6), maps());
    let mut random = Random(9);
    // Evenly from -√3 to √3: a standard deviation of 1.
    let root = 3.0_f32.sqrt();
    let samples: Vec<Array2<Complex32>> = subspace
        .shots
        .iter()
        .map(|_| Array2::from_shape_simple_fn((N_CHANNELS, 160), || random.complex() * root))
        .collect();
    let views: Vec<_> = samples.iter().map(|samples| samples.view()).collect();
    let options = SubspaceOptions { max_iterations: 30, threshold: 1e-4, n_low_rank: 0 };
    let found = subspace.solve(&views, maps.view(), &options).images;
    let told = subspace.noise_covariance();
    for mode in 0..N_MODES {
        let plane = found.index_axis(Axis(0), mode);
        let n = 2.0 * plane.len() as f32;
        let variance = plane.iter().map(|value| value.norm_sqr()).sum::<f32>() / n;
        let ratio = f64::from(variance) / told[[mode, mode]];
        // 960 numbers: 5 %. The object fills the image, so there is little to be resolved.
        assert!((0.8..1.25).contains(&ratio), "mode {mode}: {ratio}");
    }
}
