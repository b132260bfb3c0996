//! Several axes of an array.

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayViewMut, ArrayViewMutD, Axis, Dimension};
use num_complex::Complex32;
use rayon::prelude::*;

use super::{Centered, Direction};

/// Columns that are gathered, transformed and put back together: two cache lines wide.
const COLUMNS: usize = 16;

/// Side of the squares in which columns are gathered and put back.
const TILE: usize = 8;

/// Samples below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 15;

thread_local! {
    static WORKSPACE: RefCell<Vec<Complex32>> = const { RefCell::new(Vec::new()) };
}

/// Centred unitary transform of chosen axes of arrays of one shape.
///
/// Everything outside the outermost transformed axis (coils, slices) is a batch whose members
/// are spread over the current rayon pool. Each is computed by one thread, so the number of
/// threads changes no bit.
#[derive(Clone, Debug)]
pub struct Plan {
    shape: Vec<usize>,
    /// Innermost axis first.
    passes: Vec<Pass>,
    /// Samples of one member of the batch.
    member_len: usize,
    workspace_len: usize,
}

/// One transformed axis.
#[derive(Clone, Debug)]
struct Pass {
    fft: Centered,
    /// Samples between neighbours along the axis.
    stride: usize,
    scale: f32,
}

impl Plan {
    /// Plans the transform of `axes` of arrays of `shape`, slowest axis first.
    ///
    /// # Panics
    /// If an axis is named twice or lies outside `shape`.
    pub fn new(shape: &[usize], axes: &[Axis]) -> Self {
        let mut axes: Vec<usize> = axes.iter().map(|axis| axis.index()).collect();
        axes.sort_unstable_by(|a, b| b.cmp(a));
        assert!(axes.windows(2).all(|pair| pair[0] != pair[1]), "an axis is named twice: {axes:?}");
        assert!(axes.iter().all(|&axis| axis < shape.len()), "axes {axes:?} of shape {shape:?}");
        // An axis of one sample is its own transform.
        axes.retain(|&axis| shape[axis] != 1);
        let mut passes: Vec<Pass> = axes
            .iter()
            .map(|&axis| Pass {
                fft: Centered::new(shape[axis]),
                stride: shape[axis + 1..].iter().product(),
                scale: 1.0,
            })
            .collect();
        // The whole scale goes into the last pass: one rounding, not one per axis.
        let scale: f64 = passes.iter().map(|pass| pass.fft.unitary_scale()).product();
        if let Some(last) = passes.last_mut() {
            last.scale = scale as f32;
        }
        let member_len = axes.last().map_or(0, |&outermost| shape[outermost..].iter().product());
        let workspace_len = passes.iter().map(Pass::workspace_len).max().unwrap_or(0);
        Self { shape: shape.to_vec(), passes, member_len, workspace_len }
    }

    /// Shape of the arrays, slowest axis first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Transforms `data` from image to k-space in place.
    ///
    /// # Panics
    /// If the shape of `data` is not the plan's.
    pub fn forward<D: Dimension>(&self, data: ArrayViewMut<'_, Complex32, D>) {
        self.process(Direction::Forward, data);
    }

    /// Transforms `data` from k-space to image in place.
    ///
    /// # Panics
    /// As [`Plan::forward`].
    pub fn inverse<D: Dimension>(&self, data: ArrayViewMut<'_, Complex32, D>) {
        self.process(Direction::Inverse, data);
    }

    /// [`Plan::forward`] or [`Plan::inverse`]. An array that is not contiguous in standard
    /// order is copied there and back.
    ///
    /// # Panics
    /// As [`Plan::forward`].
    pub fn process<D: Dimension>(
        &self,
        direction: Direction,
        mut data: ArrayViewMut<'_, Complex32, D>,
    ) {
        assert_eq!(data.shape(), self.shape, "shape of the data and of the plan");
        if data.is_empty() {
            return;
        }
        if let Some(samples) = data.as_slice_mut() {
            self.process_slice(direction, samples);
        } else {
            let mut copy = data.as_standard_layout().into_owned();
            if let Some(samples) = copy.as_slice_mut() {
                self.process_slice(direction, samples);
            }
            data.assign(&copy);
        }
    }

    fn process_slice(&self, direction: Direction, samples: &mut [Complex32]) {
        if self.passes.is_empty() {
            return;
        }
        let parallel = samples.len() >= PARALLEL_FROM && samples.len() > self.member_len;
        if parallel && rayon::current_num_threads() > 1 {
            samples
                .par_chunks_exact_mut(self.member_len)
                .for_each(|member| self.process_member(direction, member));
        } else {
            samples
                .chunks_exact_mut(self.member_len)
                .for_each(|member| self.process_member(direction, member));
        }
    }

    fn process_member(&self, direction: Direction, member: &mut [Complex32]) {
        WORKSPACE.with_borrow_mut(|workspace| {
            if workspace.len() < self.workspace_len {
                workspace.resize(self.workspace_len, Complex32::ZERO);
            }
            for pass in &self.passes {
                pass.process(direction, member, workspace);
            }
        });
    }
}

impl Pass {
    fn workspace_len(&self) -> usize {
        let columns = if self.stride == 1 { 0 } else { COLUMNS * self.fft.len() };
        columns + self.fft.scratch_len()
    }

    fn process(&self, direction: Direction, member: &mut [Complex32], workspace: &mut [Complex32]) {
        if self.stride == 1 {
            self.fft.process_rows_scaled(direction, member, self.scale, workspace);
            return;
        }
        let len = self.fft.len();
        let (columns, scratch) = workspace.split_at_mut(COLUMNS * len);
        for plane in member.chunks_exact_mut(len * self.stride) {
            for first in (0..self.stride).step_by(COLUMNS) {
                let width = COLUMNS.min(self.stride - first);
                let columns = &mut columns[..width * len];
                self.gather(plane, first, columns);
                self.fft.raw(direction).process_with_scratch(columns, scratch);
                self.put_back(columns, plane, first);
            }
        }
    }

    /// Copies columns `first`… of `plane`, `[len, stride]`, to `columns`, `[column, len]`, with
    /// the order that the raw transform of an odd length needs.
    fn gather(&self, plane: &[Complex32], first: usize, columns: &mut [Complex32]) {
        let len = self.fft.len();
        let shift = if len.is_multiple_of(2) { 0 } else { len / 2 };
        for (rows, to) in [(shift..len, 0), (0..shift, len - shift)] {
            self.for_each_tile(rows, columns.len() / len, |rows, tile_columns| {
                let to = to + rows.start - if rows.start < shift { 0 } else { shift };
                if rows.len() == TILE && tile_columns.len() == TILE {
                    for row in 0..TILE {
                        let from = (rows.start + row) * self.stride + first + tile_columns.start;
                        let source = &plane[from..from + TILE];
                        for column in 0..TILE {
                            columns[(tile_columns.start + column) * len + to + row] =
                                source[column];
                        }
                    }
                } else {
                    for row in 0..rows.len() {
                        for column in tile_columns.clone() {
                            columns[column * len + to + row] =
                                plane[(rows.start + row) * self.stride + first + column];
                        }
                    }
                }
            });
        }
    }

    /// Undoes [`Pass::gather`] and centres and scales what the raw transform gave.
    fn put_back(&self, columns: &[Complex32], plane: &mut [Complex32], first: usize) {
        let len = self.fft.len();
        let even = len.is_multiple_of(2);
        let shift = len - len / 2;
        let split = len - shift;
        let odd_sign = if even { -1.0 } else { 1.0 };
        let first_sign = if even && !(len / 2).is_multiple_of(2) { -1.0 } else { 1.0 };
        for rows in [0..split, split..len] {
            self.for_each_tile(rows, columns.len() / len, |rows, tile_columns| {
                let from = (rows.start + shift) % len;
                let mut scale = self.scale * first_sign;
                if !rows.start.is_multiple_of(2) {
                    scale *= odd_sign;
                }
                if rows.len() == TILE && tile_columns.len() == TILE {
                    for row in 0..TILE {
                        let to = (rows.start + row) * self.stride + first + tile_columns.start;
                        let target = &mut plane[to..to + TILE];
                        for column in 0..TILE {
                            target[column] =
                                columns[(tile_columns.start + column) * len + from + row] * scale;
                        }
                        scale *= odd_sign;
                    }
                } else {
                    for row in 0..rows.len() {
                        for column in tile_columns.clone() {
                            plane[(rows.start + row) * self.stride + first + column] =
                                columns[column * len + from + row] * scale;
                        }
                        scale *= odd_sign;
                    }
                }
            });
        }
    }

    /// Calls `visit` with squares of rows and columns that cover `rows` × 0..`n_columns`.
    fn for_each_tile(
        &self,
        rows: Range<usize>,
        n_columns: usize,
        mut visit: impl FnMut(Range<usize>, Range<usize>),
    ) {
        for row in rows.clone().step_by(TILE) {
            for column in (0..n_columns).step_by(TILE) {
                visit(row..rows.end.min(row + TILE), column..n_columns.min(column + TILE));
            }
        }
    }
}

/// Transforms `axes` of `data` from image to k-space in place. Arrays of the same shape that
/// come again and again are better served by a [`Plan`].
///
/// # Panics
/// If an axis is named twice or lies outside the shape.
pub fn forward_axes(data: ArrayViewMutD<'_, Complex32>, axes: &[Axis]) {
    Plan::new(data.shape(), axes).forward(data);
}

/// Transforms `axes` of `data` from k-space to image in place. Arrays of the same shape that
/// come again and again are better served by a [`Plan`].
///
/// # Panics
/// As [`forward_axes`].
pub fn inverse_axes(data: ArrayViewMutD<'_, Complex32>, axes: &[Axis]) {
    Plan::new(data.shape(), axes).inverse(data);
}

/// Transforms the last two axes of `data`, `[…, y, x]`, from image to k-space in place.
///
/// # Panics
/// If there are fewer than two axes.
pub fn forward_2d<D: Dimension>(data: ArrayViewMut<'_, Complex32, D>) {
    last_two(data.shape()).forward(data);
}

/// Transforms the last two axes of `data`, `[…, y, x]`, from k-space to image in place.
///
/// # Panics
/// As [`forward_2d`].
pub fn inverse_2d<D: Dimension>(data: ArrayViewMut<'_, Complex32, D>) {
    last_two(data.shape()).inverse(data);
}

fn last_two(shape: &[usize]) -> Plan {
    assert!(shape.len() >= 2, "a 2-D transform of an array of shape {shape:?}");
    Plan::new(shape, &[Axis(shape.len() - 2), Axis(shape.len() - 1)])
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, s};
    use proptest::prelude::*;

    use super::super::reference::{array, dft, relative_error};
    use super::*;

    /// As for one axis; the steps of three axes add up to no more than those of a long row.
    const TOLERANCE: f64 = 1e-6;

    fn bits(data: &ArrayD<Complex32>) -> Vec<(u32, u32)> {
        data.iter().map(|value| (value.re.to_bits(), value.im.to_bits())).collect()
    }

    fn energy(data: &ArrayD<Complex32>) -> f64 {
        data.iter().map(|value| f64::from(value.norm_sqr())).sum()
    }

    fn widen(data: &ArrayD<Complex32>) -> ArrayD<num_complex::Complex64> {
        data.mapv(|value| num_complex::Complex64::new(value.re.into(), value.im.into()))
    }

    #[test]
    fn one_to_three_axes_of_any_length_agree_with_the_definition() {
        let cases: [(&[usize], &[usize]); 10] = [
            (&[40], &[0]),
            (&[3, 32], &[1]),
            (&[32, 19], &[0]),
            (&[2, 16, 24], &[1, 2]),
            (&[2, 15, 21], &[1, 2]),
            (&[2, 18, 37], &[2, 1]),
            (&[30, 34], &[1, 0]),
            (&[8, 5, 33], &[0]),
            (&[12, 3, 10], &[0, 2]),
            (&[2, 6, 9, 20], &[1, 2, 3]),
        ];
        for (shape, axes) in cases {
            let axes: Vec<Axis> = axes.iter().map(|&axis| Axis(axis)).collect();
            for direction in [Direction::Forward, Direction::Inverse] {
                let mut data = array(shape);
                let truth = dft(direction, &data, &axes);
                Plan::new(shape, &axes).process(direction, data.view_mut());
                let error = relative_error(&data, &truth);
                assert!(error < TOLERANCE, "{direction:?} of {shape:?}, {axes:?}: {error:e}");
            }
        }
    }

    #[test]
    fn a_view_with_gaps_or_in_another_order_is_transformed_in_place() {
        let mut data = array(&[12, 10, 3]);
        let mut truth = dft(
            Direction::Inverse,
            &data.slice(s![..;2, 1..7, ..]).to_owned().into_dyn(),
            &[Axis(1), Axis(0)],
        );
        inverse_axes(data.slice_mut(s![..;2, 1..7, ..]).into_dyn(), &[Axis(0), Axis(1)]);
        let result = data.slice(s![..;2, 1..7, ..]).to_owned().into_dyn();
        assert!(relative_error(&result, &truth) < TOLERANCE);

        let mut data = array(&[6, 10]);
        truth = dft(Direction::Forward, &data, &[Axis(0), Axis(1)]);
        forward_2d(data.view_mut().reversed_axes());
        assert!(relative_error(&data, &truth) < TOLERANCE);
    }

    #[test]
    fn result_is_bitwise_the_same_on_one_thread_and_on_eight() {
        let transform = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let mut data = array(&[13, 48, 70]);
            pool.install(|| inverse_2d(data.view_mut()));
            bits(&data)
        };
        assert_eq!(transform(1), transform(8));
    }

    #[test]
    fn no_axis_means_no_change() {
        let mut data = array(&[3, 4]);
        forward_axes(data.view_mut(), &[]);
        assert_eq!(data, array(&[3, 4]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn inverse_undoes_forward_and_energy_stays(
            n_channels in 1_usize..4, ny in 1_usize..40, nx in 1_usize..40,
        ) {
            let original = array(&[n_channels, ny, nx]);
            let mut data = original.clone();
            forward_2d(data.view_mut());
            prop_assert!((energy(&data) / energy(&original) - 1.0).abs() < TOLERANCE);
            inverse_2d(data.view_mut());
            prop_assert!(relative_error(&data, &widen(&original)) < TOLERANCE);
        }

        #[test]
        fn transform_is_linear(ny in 1_usize..30, nx in 1_usize..30, re in -2_f32..2.0, im in -2_f32..2.0) {
            let factor = Complex32::new(re, im);
            let both = array(&[2, ny, nx]);
            let (a, b) = (both.slice(s![0, .., ..]), both.slice(s![1, .., ..]));
            let mut of_sum = (&a * factor + b).into_dyn();
            forward_2d(of_sum.view_mut());
            let mut apart = both.clone();
            forward_2d(apart.view_mut());
            let sum_of = &apart.slice(s![0, .., ..]) * factor + apart.slice(s![1, .., ..]);
            prop_assert!(relative_error(&of_sum, &widen(&sum_of.into_dyn())) < 2.0 * TOLERANCE);
        }
    }
}
