//! How much of each pixel an ellipse covers.

use ndarray::ArrayViewMut2;
use num_complex::{Complex32, Complex64};

use crate::ellipse::Ellipse;
use crate::raster::PixelGrid;

/// Lines through a pixel on which the edge is found. Along them it is exact.
const N_LINES: usize = 16;

/// The share of every pixel that lies in an ellipse: runs of full pixels and single ones on the
/// edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    grid: PixelGrid,
    /// Index of the first pixel in `[y, x]`, and how many.
    runs: Vec<(u32, u32)>,
    /// Index of the pixel, and its share.
    edges: Vec<(u32, f32)>,
}

impl Coverage {
    /// The coverage of the pixels of `grid`; outside it, the ellipse is cut off.
    ///
    /// # Method
    /// The exact length of the ellipse on 16 lines through each pixel, so a share is off by at
    /// most some hundredths, and the whole area by less than a thousandth for shapes larger
    /// than a few pixels.
    ///
    /// # Panics
    /// If the grid has 2³² pixels or more.
    pub fn new(ellipse: &Ellipse, grid: PixelGrid) -> Self {
        let (n_rows, n_columns) = grid.shape();
        assert!(u32::try_from(n_rows * n_columns).is_ok(), "too many pixels");
        let chords = Chords::new(ellipse, grid);
        let mut coverage = Self { grid, runs: Vec::new(), edges: Vec::new() };
        // Shares of a row as differences: two per edge of a line.
        let mut differences = vec![0.0_f32; n_columns + 2];
        for row in chords.rows(n_rows) {
            let (mut first, mut last) = (n_columns, 0);
            for line in 0..N_LINES {
                let y = row as f64 + (line as f64 + 0.5) / N_LINES as f64;
                let Some([left, right]) = chords.at(y) else { continue };
                let (left, right) = (left.max(0.0), right.min(n_columns as f64));
                if left >= right {
                    continue;
                }
                first = first.min(left as usize);
                last = last.max((right as usize).min(n_columns - 1));
                // A step up at `left` covers the rest of that pixel and all that follow.
                for (edge, weight) in [(left, 1.0), (right, -1.0)] {
                    let pixel = edge as usize;
                    let rest = weight * (1.0 - (edge - pixel as f64)) as f32;
                    differences[pixel] += rest;
                    differences[pixel + 1] += weight - rest;
                }
            }
            if first > last {
                continue;
            }
            coverage.push_row((row * n_columns) as u32, first, &differences[..=last]);
            differences[first..last + 2].fill(0.0);
        }
        coverage
    }

    /// Adds the ellipse with its amplitude to an image, `[y, x]`.
    ///
    /// # Panics
    /// If the image has another shape than the grid or is not contiguous.
    pub fn add_to(&self, mut image: ArrayViewMut2<'_, Complex32>, amplitude: Complex64) {
        assert_eq!(image.dim(), self.grid.shape(), "image of another grid");
        let amplitude = Complex32::new(amplitude.re as f32, amplitude.im as f32);
        let pixels = image.as_slice_mut().expect("contiguous image");
        for &(start, length) in &self.runs {
            for pixel in &mut pixels[start as usize..(start + length) as usize] {
                *pixel += amplitude;
            }
        }
        for &(index, share) in &self.edges {
            pixels[index as usize] += amplitude * share;
        }
    }

    /// Area of the ellipse in the grid, mm².
    pub fn area_mm2(&self) -> f64 {
        let [x_mm, y_mm] = self.grid.pixel_mm();
        let full: f64 = self.runs.iter().map(|&(_, length)| f64::from(length)).sum();
        let partial: f64 = self.edges.iter().map(|&(_, share)| f64::from(share)).sum();
        (full + partial) * x_mm * y_mm
    }

    /// Takes the shares of a row from the column `first` on.
    fn push_row(&mut self, row_start: u32, first: usize, differences: &[f32]) {
        let mut sum = 0.0_f32;
        let mut run: Option<u32> = None;
        for (column, difference) in (first as u32..).zip(&differences[first..]) {
            sum += difference;
            let index = row_start + column;
            let share = sum / N_LINES as f32;
            // Rounding of the sum of the 16 lines.
            if share > 1.0 - 1e-5 {
                run.get_or_insert(index);
                continue;
            }
            if let Some(start) = run.take() {
                self.runs.push((start, index - start));
            }
            if share > 1e-5 {
                self.edges.push((index, share));
            }
        }
        if let Some(start) = run {
            self.runs.push((start, row_start + differences.len() as u32 - start));
        }
    }
}

/// Cuts of horizontal lines through an ellipse, in pixels from the left top corner of the grid.
struct Chords {
    center: [f64; 2],
    half_height: f64,
    /// Half the length of the chord through the centre.
    half_width: f64,
    /// How much the middle of a chord shifts per line.
    slant: f64,
}

impl Chords {
    fn new(ellipse: &Ellipse, grid: PixelGrid) -> Self {
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        let [a, b] = ellipse.semi_axes_mm;
        // (x y) Q (x y)ᵀ ≤ 1 with Q = [[xx, xy], [xy, yy]].
        let xx = (cos / a).powi(2) + (sin / b).powi(2);
        let xy = sin * cos * (1.0 / (a * a) - 1.0 / (b * b));
        let half_height_mm = (a * sin).hypot(b * cos);
        let [x_mm, y_mm] = grid.pixel_mm();
        let corner = |axis: usize, pixel_mm: f64| {
            ellipse.center_mm[axis] / pixel_mm + (grid.matrix_size[axis] / 2) as f64 + 0.5
        };
        Self {
            center: [corner(0, x_mm), corner(1, y_mm)],
            half_height: half_height_mm / y_mm,
            half_width: 1.0 / (xx.sqrt() * x_mm),
            slant: -xy / xx * y_mm / x_mm,
        }
    }

    /// The rows that it may touch.
    fn rows(&self, n_rows: usize) -> std::ops::Range<usize> {
        let row = |y: f64| y.clamp(0.0, n_rows as f64);
        let first = row((self.center[1] - self.half_height).floor());
        let end = row((self.center[1] + self.half_height).ceil());
        first as usize..end as usize
    }

    /// Left and right end at the height y, if it is not missed.
    fn at(&self, y: f64) -> Option<[f64; 2]> {
        let height = y - self.center[1];
        let part = 1.0 - (height / self.half_height).powi(2);
        (part > 0.0).then(|| {
            let middle = self.center[0] + self.slant * height;
            let half = self.half_width * part.sqrt();
            [middle - half, middle + half]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use ndarray::Array2;

    use super::*;

    const GRID: PixelGrid = PixelGrid { matrix_size: [64, 50], field_of_view_mm: [128.0, 75.0] };

    const ELLIPSES: [Ellipse; 4] = [
        Ellipse { semi_axes_mm: [30.0, 18.0], center_mm: [12.3, -7.1], angle_rad: 0.4 },
        Ellipse { semi_axes_mm: [9.0, 25.0], center_mm: [-30.0, 3.0], angle_rad: -1.1 },
        Ellipse { semi_axes_mm: [4.0, 4.0], center_mm: [0.0, 0.0], angle_rad: 0.0 },
        Ellipse { semi_axes_mm: [0.7, 0.4], center_mm: [10.3, 8.0], angle_rad: 0.9 },
    ];

    fn shares(ellipse: &Ellipse) -> Array2<f64> {
        let mut image = Array2::zeros(GRID.shape());
        Coverage::new(ellipse, GRID).add_to(image.view_mut(), Complex64::ONE);
        image.mapv(|value: Complex32| f64::from(value.re))
    }

    /// Share of a pixel by counting 80 × 80 points.
    fn counted(ellipse: &Ellipse, x_mm: f64, y_mm: f64) -> f64 {
        let offset = |n: i32| (f64::from(n) + 0.5) / 80.0 - 0.5;
        let [width, height] = GRID.pixel_mm();
        let inside = (0..80).flat_map(|i| (0..80).map(move |j| (i, j))).filter(|&(i, j)| {
            ellipse.contains(x_mm + width * offset(i), y_mm + height * offset(j))
        });
        inside.count() as f64 / 6400.0
    }

    #[test]
    fn shares_are_those_of_the_area() {
        for ellipse in &ELLIPSES {
            let shares = shares(ellipse);
            let (x_mm, y_mm) = (GRID.x_mm(), GRID.y_mm());
            let mut squares = (0.0, 0.0);
            for ((row, column), share) in shares.indexed_iter() {
                let (x, y) = (x_mm[column], y_mm[row]);
                let reach = ellipse.semi_axes_mm[0].max(ellipse.semi_axes_mm[1]) + 2.0;
                if (x - ellipse.center_mm[0]).hypot(y - ellipse.center_mm[1]) > reach {
                    assert_eq!(*share, 0.0);
                    continue;
                }
                let difference = share - counted(ellipse, x, y);
                // Where the edge is nearly horizontal, one of 16 lines is 0.06.
                assert!(difference.abs() < 0.05, "{ellipse:?} at {x}, {y}: {difference}");
                if *share > 0.0 && *share < 1.0 {
                    squares = (squares.0 + difference * difference, squares.1 + 1.0);
                }
            }
            let rms: f64 = f64::sqrt(squares.0 / squares.1);
            assert!(rms < 0.01, "{ellipse:?}: {rms}");
        }
    }

    #[test]
    fn the_area_is_kept() {
        for ellipse in &ELLIPSES[..3] {
            let [a, b] = ellipse.semi_axes_mm;
            let ratio = Coverage::new(ellipse, GRID).area_mm2() / (PI * a * b);
            // 16 lines a pixel; the smallest spans 5 rows of them.
            assert!((ratio - 1.0).abs() < 1e-3, "{ellipse:?}: {ratio}");
        }
    }

    #[test]
    fn what_reaches_beyond_the_grid_is_cut_off() {
        let all = Ellipse { semi_axes_mm: [300.0, 200.0], center_mm: [20.0, 9.0], angle_rad: 0.2 };
        assert!(shares(&all).iter().all(|&share| share == 1.0));
        let half = Ellipse { semi_axes_mm: [40.0, 20.0], center_mm: [-65.0, 0.0], angle_rad: 0.0 };
        let shares = shares(&half);
        assert_eq!(shares[[25, 0]], 1.0);
        assert_eq!(shares[[25, 63]], 0.0);
        for center_mm in [[500.0, 0.0], [0.0, 500.0], [-500.0, 0.0], [0.0, -500.0]] {
            let outside = Ellipse { semi_axes_mm: [40.0, 20.0], center_mm, angle_rad: 0.3 };
            assert_eq!(Coverage::new(&outside, GRID).area_mm2(), 0.0);
        }
    }
}
