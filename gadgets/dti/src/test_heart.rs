//! A heart for tests: a ring of fibres around blood, whose tensor is known at each pixel.

use ismrmrd::{ImageHeader, Meta};
use ndarray::{Array3, ArrayD, IxDyn};
use num_complex::Complex32;
use numerics::diffusion::{BMatrix, WallAxes};
use pipeline::{ImageRole, ImageSeries};

use crate::weighting;

/// Edge of the picture, and of a pixel.
pub(crate) const SIZE: usize = 64;
pub(crate) const PIXEL_MM: f32 = 2.5;
/// Of the middle of the blood pool, y and x.
pub(crate) const CENTER_PX: [f64; 2] = [31.0, 33.0];
/// Borders of the wall, px.
const BORDERS_PX: [f64; 2] = [8.0, 13.0];
/// Eigenvalues, µm²/ms.
const VALUES: [f64; 3] = [1.8, 1.2, 0.9];
pub(crate) const MD: f32 = 1.3;
pub(crate) const FA: f32 = 0.338_75;
pub(crate) const ABS_E2A_DEG: f32 = 40.0;

/// One image without weighting, then directions over half of a sphere.
pub(crate) fn gradients(n_directions: usize) -> Vec<(f64, [f64; 3])> {
    let directions = (0..n_directions).map(|k| {
        let z = (k as f64 + 0.5) / n_directions as f64;
        let (sin, cos) = (2.4 * k as f64).sin_cos();
        let r = (1.0 - z * z).sqrt();
        (500.0, [r * cos, r * sin, z])
    });
    std::iter::once((0.0, [0.0, 0.0, 1.0])).chain(directions).collect()
}

/// Distance from the centre and depth in the wall, 0 to 1.
fn depth(y: f64, x: f64) -> (f64, f64) {
    let radius = (y - CENTER_PX[0]).hypot(x - CENTER_PX[1]);
    (radius, (radius - BORDERS_PX[0]) / (BORDERS_PX[1] - BORDERS_PX[0]))
}

/// Helix angle at a pixel, degrees: 60 to -60.
pub(crate) fn helix_deg(y: usize, x: usize) -> f32 {
    (60.0 - 120.0 * depth(y as f64, x as f64).1) as f32
}

/// Pixels of the wall that are `margin_px` away from its borders at least.
pub(crate) fn wall(margin_px: f64) -> Vec<(usize, usize)> {
    let inside = |&(y, x): &(usize, usize)| {
        let radius = depth(y as f64, x as f64).0;
        (BORDERS_PX[0] + margin_px..=BORDERS_PX[1] - margin_px).contains(&radius)
    };
    (0..SIZE * SIZE).map(|at| (at / SIZE, at % SIZE)).filter(inside).collect()
}

fn tensor(y: f64, x: f64) -> [f64; 6] {
    let axes = WallAxes::of_short_axis(x - CENTER_PX[1] + 1e-9, y - CENTER_PX[0]);
    let (sin, cos) = (60.0 - 120.0 * depth(y, x).1).to_radians().sin_cos();
    let (sin2, cos2) = f64::from(ABS_E2A_DEG).to_radians().sin_cos();
    let (c, l, r) = (axes.circumferential, axes.longitudinal, axes.radial);
    let e1: [f64; 3] = std::array::from_fn(|i| cos * c[i] + sin * l[i]);
    let across: [f64; 3] = std::array::from_fn(|i| cos * l[i] - sin * c[i]);
    let e2: [f64; 3] = std::array::from_fn(|i| cos2 * across[i] + sin2 * r[i]);
    let e3: [f64; 3] = std::array::from_fn(|i| {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        e1[j] * e2[k] - e1[k] * e2[j]
    });
    let element = |i: usize, j: usize| {
        VALUES[0] * e1[i] * e1[j] + VALUES[1] * e2[i] * e2[j] + VALUES[2] * e3[i] * e3[j]
    };
    [element(0, 0), element(0, 1), element(0, 2), element(1, 1), element(1, 2), element(2, 2)]
}

/// Signal without noise of a heart that has moved by (dy, dx) px: blood, wall, and tissue around.
pub(crate) fn signal(encoding: &BMatrix, y: f64, x: f64, shift_px: [f64; 2]) -> f32 {
    let (y, x) = (y - shift_px[0], x - shift_px[1]);
    let b = 1e-3 * encoding.b_value_s_per_mm2();
    let [xx, xy, xz, yy, yz, zz] = tensor(y, x);
    let [bxx, bxy, bxz, byy, byz, bzz] = encoding.0;
    let exponent = bxx * xx + byy * yy + bzz * zz + 2.0 * (bxy * xy + bxz * xz + byz * yz);
    let radius = depth(y, x).0;
    let within = |edge: f64| 1.0 / (1.0 + (6.0 * (radius - edge)).exp());
    let (pool, heart) = (within(BORDERS_PX[0]), within(BORDERS_PX[1]));
    let blood = 150.0 * (-3.0 * b).exp();
    let around = 60.0 * (-1.5 * b).exp();
    (pool * blood + (heart - pool) * 100.0 * (-exponent).exp() + (1.0 - heart) * around) as f32
}

/// Images of these weightings.
pub(crate) fn images(encodings: &[BMatrix], shift_px: impl Fn(usize) -> [f64; 2]) -> Array3<f32> {
    Array3::from_shape_fn((encodings.len(), SIZE, SIZE), |(n, y, x)| {
        signal(&encodings[n], y as f64, x as f64, shift_px(n))
    })
}

/// The images of a slice along `n`, whose axes are the patient's, counted by `repetition`.
pub(crate) fn series(images: &Array3<f32>) -> ImageSeries {
    let (n, n_y, n_x) = images.dim();
    let data = ArrayD::from_shape_fn(IxDyn(&[1, 1, n, 1, 1, n_y, n_x]), |place| {
        Complex32::from(images[[place[2], place[5], place[6]]])
    });
    let header = |(.., image): (usize, usize, usize)| ImageHeader {
        matrix_size: [n_x as u16, n_y as u16, 1],
        field_of_view: [PIXEL_MM * n_x as f32, PIXEL_MM * n_y as f32, 8.0],
        channels: 1,
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        repetition: image as u16,
        ..ImageHeader::default()
    };
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data,
        headers: Array3::from_shape_fn((1, 1, n), header),
        meta: vec![Meta::new(); n],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

/// The same after `assemble_diffusion`.
pub(crate) fn weighted_series(images: &Array3<f32>, encodings: &[BMatrix]) -> ImageSeries {
    let mut series = series(images);
    for (meta, encoding) in series.meta.iter_mut().zip(encodings) {
        weighting::write(meta, encoding);
    }
    series
}

pub(crate) fn encodings(n_directions: usize) -> Vec<BMatrix> {
    gradients(n_directions).into_iter().map(|(b, g)| BMatrix::along(b, g)).collect()
}
