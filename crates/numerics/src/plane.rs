//! Planes of pixels: smoothing, halving, gradients.

/// Rows and columns of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub n_y: usize,
    pub n_x: usize,
}

/// Smoothing kernels end at so many standard deviations.
const KERNEL_SDS: f32 = 2.6;

impl Size {
    pub fn len(self) -> usize {
        self.n_y * self.n_x
    }

    /// Of the next coarser level.
    pub fn halved(self) -> Self {
        Self { n_y: self.n_y.div_ceil(2), n_x: self.n_x.div_ceil(2) }
    }
}

/// One half of a Gaussian kernel of sum 1, its middle first.
pub(crate) struct Kernel(Vec<f32>);

impl Kernel {
    /// * `sd_px`: 0 leaves planes as they are.
    pub fn gaussian(sd_px: f32) -> Self {
        let radius = (KERNEL_SDS * sd_px).ceil().max(0.0) as usize;
        let mut half: Vec<f32> =
            (0..=radius).map(|n| (-0.5 * (n as f32 / sd_px.max(1e-6)).powi(2)).exp()).collect();
        let sum = half[0] + 2.0 * half[1..].iter().sum::<f32>();
        half.iter_mut().for_each(|weight| *weight /= sum);
        Self(half)
    }
}

/// Room for smoothing planes of one size.
#[derive(Default)]
pub(crate) struct SmoothingRoom {
    rows: Vec<f32>,
    padded: Vec<f32>,
}

/// Smooths a plane in place; its border pixels go on outside.
pub(crate) fn smooth(plane: &mut [f32], size: Size, kernel: &Kernel, room: &mut SmoothingRoom) {
    let radius = kernel.0.len() - 1;
    if radius == 0 {
        return;
    }
    room.rows.resize(size.len(), 0.0);
    room.padded.resize(size.n_x + 2 * radius, 0.0);
    smooth_planes(plane, size, &kernel.0, &mut room.rows, &mut room.padded);
}

#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn smooth_planes(
    plane: &mut [f32],
    size: Size,
    half: &[f32],
    rows: &mut [f32],
    padded: &mut [f32],
) {
    let Size { n_y, n_x } = size;
    for (y, target) in rows.chunks_exact_mut(n_x).enumerate() {
        let row = |at: usize| &plane[at * n_x..(at + 1) * n_x];
        let middle = row(y);
        for (value, pixel) in target.iter_mut().zip(middle) {
            *value = half[0] * pixel;
        }
        for (step, weight) in half.iter().enumerate().skip(1) {
            let (above, below) = (row(y.saturating_sub(step)), row((y + step).min(n_y - 1)));
            for ((value, above), below) in target.iter_mut().zip(above).zip(below) {
                *value += weight * (above + below);
            }
        }
    }
    let radius = half.len() - 1;
    for (target, row) in plane.chunks_exact_mut(n_x).zip(rows.chunks_exact(n_x)) {
        padded[..radius].fill(row[0]);
        padded[radius..radius + n_x].copy_from_slice(row);
        padded[radius + n_x..radius + n_x + radius].fill(row[n_x - 1]);
        for (value, pixel) in target.iter_mut().zip(row) {
            *value = half[0] * pixel;
        }
        for (step, weight) in half.iter().enumerate().skip(1) {
            let left = &padded[radius - step..radius - step + n_x];
            let right = &padded[radius + step..radius + step + n_x];
            for ((value, left), right) in target.iter_mut().zip(left).zip(right) {
                *value += weight * (left + right);
            }
        }
    }
}

/// The plane of half the size: binomial weights (1 3 3 1)/8 along both axes, so that pixel `i`
/// lies between pixels `2i` and `2i + 1`.
pub(crate) fn halve(plane: &[f32], size: Size) -> Vec<f32> {
    let half = size.halved();
    let weight =
        |values: [f32; 4]| 0.125 * (values[0] + values[3]) + 0.375 * (values[1] + values[2]);
    let places = |at: usize, n: usize| {
        [(2 * at).saturating_sub(1), 2 * at, (2 * at + 1).min(n - 1), (2 * at + 2).min(n - 1)]
    };
    let mut along_y = vec![0.0; half.n_y * size.n_x];
    for (y, target) in along_y.chunks_exact_mut(size.n_x).enumerate() {
        let rows = places(y, size.n_y).map(|at| &plane[at * size.n_x..(at + 1) * size.n_x]);
        for (x, value) in target.iter_mut().enumerate() {
            *value = weight(rows.map(|row| row[x]));
        }
    }
    let mut halved = Vec::with_capacity(half.len());
    for row in along_y.chunks_exact(size.n_x) {
        halved.extend((0..half.n_x).map(|x| weight(places(x, size.n_x).map(|at| row[at]))));
    }
    halved
}

/// What [`halve`] leaves of the standard deviation of white noise.
pub(crate) const HALVING_NOISE_GAIN: f32 = 0.3125;

/// Central differences of a plane along y and x.
pub(crate) fn gradient(plane: &[f32], size: Size, along_y: &mut [f32], along_x: &mut [f32]) {
    let Size { n_y, n_x } = size;
    for y in 0..n_y {
        let row = |at: usize| &plane[at * n_x..(at + 1) * n_x];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(n_y - 1)));
        let range = y * n_x..(y + 1) * n_x;
        for ((value, above), below) in along_y[range.clone()].iter_mut().zip(above).zip(below) {
            *value = 0.5 * (below - above);
        }
        let target = &mut along_x[range];
        for (value, pair) in target[1..].iter_mut().zip(here.windows(3)) {
            *value = 0.5 * (pair[2] - pair[0]);
        }
        if n_x > 1 {
            target[0] = 0.5 * (here[1] - here[0]);
            target[n_x - 1] = 0.5 * (here[n_x - 1] - here[n_x - 2]);
        } else {
            target[0] = 0.0;
        }
    }
}
