//! Images in the field of view and matrix that the header asks for.

use ismrmrd::{SamplingDescription, SamplingLimit};
use ndarray::Axis;
use numerics::fft::{ThroughKSpace, ThroughKSpaceError};
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{SeriesError, sampling, shape};

/// Fields of view that differ by less are the same (mm), as in Gadgetron.
const FIELD_OF_VIEW_TOLERANCE_MM: f64 = 0.1;

/// Most pixels of a series: 4 GiB.
const MAX_PIXELS: usize = 1 << 29;

/// Gives images the field of view and the matrix that the header asks for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Interpolates images by zero filling (cuts k-space where pixels become larger) and cuts what the
/// encoded field of view has more than the reconstructed one. The centre of the image stays at
/// pixel N/2. Maps are treated like the images that they belong to.
pub struct AdjustFieldOfView {
    plan: Option<Plan>,
    told: bool,
}

/// What is to be done to images of one shape.
struct Plan {
    lengths: [usize; 3],
    sampling: SamplingDescription,
    /// Axes of the data that change, those first that become shorter.
    steps: Vec<(Axis, ThroughKSpace)>,
    /// Of the result, \[z, y, x\].
    result: [usize; 3],
    result_sampling: SamplingDescription,
}

impl Gadget for AdjustFieldOfView {
    const NAME: &str = "adjust_field_of_view";
    const ALIASES: &'static [&'static str] = &["GenericReconFieldOfViewAdjustmentGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self { plan: None, told: false })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let shape = shape(&series)?;
        let lengths = [shape[4], shape[5], shape[6]];
        let known = sampling(&series).filter(|sampling| has_target(sampling, lengths));
        let Some(sampling) = known.filter(|_| !series.data.is_empty()) else {
            if !std::mem::replace(&mut self.told, true) {
                out.warn(
                    "images that do not say which field of view they have and ought to have stay \
                     as they are",
                    "give the header's encoded and reconstructed spaces sizes, or the images the \
                     meta attributes `encoding_FOV`, `recon_FOV` and `recon_matrix`",
                );
            }
            out.push(series);
            return Ok(());
        };
        let plan = match &mut self.plan {
            Some(plan) if plan.lengths == lengths && plan.sampling == sampling => plan,
            plan => plan.insert(Plan::new(lengths, sampling)?),
        };
        let n_volumes = shape[..4].iter().product::<usize>();
        let n_pixels = plan.result.iter().try_fold(n_volumes, |n, len| n.checked_mul(*len));
        if n_pixels.is_none_or(|n| n > MAX_PIXELS.max(series.data.len())) {
            return Err(Error::TooLarge { n_volumes, matrix: plan.result });
        }
        for (axis, step) in &plan.steps {
            series.data = step.apply(series.data.view(), *axis);
        }
        let [z, y, x] = plan.result.map(|len| u16::try_from(len).unwrap_or(u16::MAX));
        for header in &mut series.headers {
            header.matrix_size = [x, y, z];
            header.field_of_view = plan.result_sampling.recon_field_of_view_mm;
        }
        series.sampling = Some(plan.result_sampling);
        out.push(series);
        Ok(())
    }
}

/// Whether the sizes along the axes that have pixels are sizes.
fn has_target(sampling: &SamplingDescription, lengths: [usize; 3]) -> bool {
    (0..3).all(|axis| {
        let is_size = |mm: f32| mm.is_finite() && mm > 0.0;
        lengths[2 - axis] <= 1
            || (is_size(sampling.encoded_field_of_view_mm[axis])
                && is_size(sampling.recon_field_of_view_mm[axis])
                && sampling.recon_matrix_size[axis] > 0)
    })
}

impl Plan {
    fn new(lengths: [usize; 3], sampling: SamplingDescription) -> Result<Self, Error> {
        let (mut result, mut result_sampling) = (lengths, sampling);
        let mut steps = Vec::new();
        // From here on axes are x, y, z, as in the header.
        for axis in 0..3 {
            let n_in = lengths[2 - axis];
            if n_in <= 1 {
                continue;
            }
            let n_out = usize::from(sampling.recon_matrix_size[axis]);
            let encoded_mm = f64::from(sampling.encoded_field_of_view_mm[axis]);
            let recon_mm = f64::from(sampling.recon_field_of_view_mm[axis]);
            let is_same_field = (encoded_mm - recon_mm).abs() < FIELD_OF_VIEW_TOLERANCE_MM;
            let share = if is_same_field { 1.0 } else { recon_mm / encoded_mm };
            result[2 - axis] = n_out;
            result_sampling.encoded_field_of_view_mm[axis] = sampling.recon_field_of_view_mm[axis];
            result_sampling.encoded_matrix_size[axis] = sampling.recon_matrix_size[axis];
            result_sampling.limits[axis] = limits(sampling.limits[axis], n_in, n_out, share);
            if !(is_same_field && n_in == n_out) {
                let step = ThroughKSpace::new(n_in, None, n_out, share / n_out as f64)?;
                steps.push((Axis(6 - axis), step));
            }
        }
        // What becomes shorter first leaves less to do.
        steps.sort_by(|(_, a), (_, b)| {
            let growth = |step: &ThroughKSpace| step.n_out() as f64 / step.n_in() as f64;
            growth(a).total_cmp(&growth(b))
        });
        Ok(Self { lengths, sampling, steps, result, result_sampling })
    }
}

/// The acquired range in samples of the result, whose k-space is `share` times as dense.
fn limits(limit: SamplingLimit, n_in: usize, n_out: usize, share: f64) -> SamplingLimit {
    let (centre_in, centre_out) = ((n_in / 2) as f64, (n_out / 2) as f64);
    let moved = |sample: u16, round: fn(f64) -> f64| {
        let sample = centre_out + round((f64::from(sample) - centre_in) * share);
        sample.clamp(0.0, (n_out - 1) as f64) as u16
    };
    if usize::from(limit.max) >= n_in || limit.min >= limit.max {
        // It said nothing about these images.
        let last = u16::try_from(n_out - 1).unwrap_or(u16::MAX);
        return SamplingLimit { min: 0, center: centre_out as u16, max: last };
    }
    SamplingLimit {
        min: moved(limit.min, f64::floor),
        center: moved(limit.center, f64::round),
        max: moved(limit.max, f64::ceil),
    }
}

/// A series that is none, or sizes that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The parts of the series do not belong together.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// There are no such lines.
    #[error(transparent)]
    Lines(#[from] ThroughKSpaceError),
    /// More memory than a series may have.
    #[error(
        "{n_volumes} images of {} × {} × {} pixels (x, y, z) are more than 4 GiB",
        matrix[2], matrix[1], matrix[0]
    )]
    TooLarge {
        /// Images and channels.
        n_volumes: usize,
        /// Pixels along \[z, y, x\].
        matrix: [usize; 3],
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Series(_) => SeriesError::REMEDY,
            Self::Lines(_) => "correct the encoded and reconstructed spaces of the header",
            Self::TooLarge { .. } => {
                "correct the reconstructed matrix of the header, or collect fewer images at once"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing;
    use ndarray::s;
    use num_complex::Complex32;
    use pipeline::run_gadget;

    /// Brightness of a blob at `(y, x)` mm from the centre, 4 mm wide: smooth enough for pixels
    /// of 2 mm.
    fn blob(y_mm: f64, x_mm: f64) -> f32 {
        let (dy, dx) = (y_mm - BLOB_MM[0], x_mm - BLOB_MM[1]);
        (-(dy * dy + dx * dx) / 32.0).exp() as f32
    }

    const BLOB_MM: [f64; 2] = [-17.0, 23.0];

    /// `[y, x]` pixels of an image of a field of view, centre at pixel N/2.
    fn image(matrix: [usize; 2], field_of_view_mm: [f64; 2]) -> ndarray::Array2<Complex32> {
        ndarray::Array2::from_shape_fn(matrix, |(y, x)| {
            let mm = |index: usize, axis: usize| {
                (index as f64 - (matrix[axis] / 2) as f64) * field_of_view_mm[axis]
                    / matrix[axis] as f64
            };
            Complex32::new(blob(mm(y, 0), mm(x, 1)), 0.0)
        })
    }

    fn series(
        matrix: [usize; 2],
        encoded_mm: [f64; 2],
        recon: [usize; 2],
        recon_mm: [f64; 2],
    ) -> ImageSeries {
        let mut series = testing::series([1, 1, 1, 1, 1, matrix[0], matrix[1]]);
        let pixels = image(matrix, encoded_mm);
        series.data.slice_mut(s![0, 0, 0, 0, 0, .., ..]).assign(&pixels);
        let sampling = series.sampling.as_mut().expect("it is there");
        sampling.encoded_field_of_view_mm = [encoded_mm[1] as f32, encoded_mm[0] as f32, 5.0];
        sampling.recon_field_of_view_mm = [recon_mm[1] as f32, recon_mm[0] as f32, 5.0];
        sampling.recon_matrix_size = [recon[1] as u16, recon[0] as u16, 1];
        series
    }

    fn adjust(series: ImageSeries) -> ImageSeries {
        testing::run::<AdjustFieldOfView>(Config {}, &Scan::default(), series).remove(0)
    }

    #[test]
    fn an_object_off_the_centre_stays_where_it_is_in_millimetres() {
        // Encoded matrix and mm, reconstructed matrix and mm, along y and x.
        let cases = [
            // Nothing, zero filling, even and odd.
            ([96, 96], [192.0, 192.0], [96, 96], [192.0, 192.0]),
            ([96, 96], [192.0, 192.0], [128, 150], [192.0, 192.0]),
            ([96, 95], [192.0, 192.0], [127, 128], [192.0, 192.0]),
            // Phase oversampling and a rectangular field of view.
            ([144, 96], [288.0, 192.0], [96, 96], [192.0, 192.0]),
            ([72, 96], [144.0, 192.0], [72, 96], [144.0, 192.0]),
            ([115, 96], [230.4, 192.0], [96, 96], [192.0, 192.0]),
            // Phase resolution of 75 % and 120 %.
            ([72, 96], [192.0, 192.0], [96, 96], [192.0, 192.0]),
            ([115, 96], [192.0, 192.0], [96, 96], [192.0, 192.0]),
            // All at once, with pixels that do not divide the encoded field of view.
            ([101, 96], [231.0, 192.0], [113, 128], [187.0, 192.0]),
        ];
        for (matrix, encoded_mm, recon, recon_mm) in cases {
            let result = adjust(series(matrix, encoded_mm, recon, recon_mm));
            assert_eq!(result.data.shape(), [1, 1, 1, 1, 1, recon[0], recon[1]]);
            let header = result.headers[[0, 0, 0]];
            assert_eq!({ header.matrix_size }, [recon[1] as u16, recon[0] as u16, 1]);
            let truth = image(recon, recon_mm);
            // Fewer lines than before: the signal rises with the root of the size.
            let scale: f32 = (0..2)
                .map(|axis| {
                    let n_kept = recon[axis] as f64 * encoded_mm[axis] / recon_mm[axis];
                    (matrix[axis] as f64 / n_kept.round()).max(1.0).sqrt() as f32
                })
                .product();
            for ((y, x), truth) in truth.indexed_iter() {
                let value = result.data[[0, 0, 0, 0, 0, y, x]];
                let difference = (value - truth * scale).norm();
                assert!(difference < 2e-3, "{matrix:?} to {recon:?} at {y}, {x}: {difference}");
            }
        }
    }

    #[test]
    fn no_line_is_black_where_the_object_fills_the_field_of_view() {
        for (matrix, recon) in [(64, 96), (63, 96), (64, 95), (80, 64)] {
            let mut full = series([matrix, 64], [128.0, 128.0], [recon, 64], [128.0, 128.0]);
            full.data.fill(Complex32::new(1.0, 0.0));
            let result = adjust(full);
            let expected = (matrix as f32 / recon as f32).max(1.0).sqrt();
            for value in &result.data {
                assert!((value.re - expected).abs() < 1e-4, "{matrix} to {recon}: {value}");
            }
        }
    }

    #[test]
    fn noise_stays_as_it_is() {
        // What `BoresideNoiseSd` says of the images holds of the result: fewer lines have more
        // signal, not less noise.
        for (matrix, recon) in [(96, 64), (96, 128)] {
            let mut noisy = series([matrix, 96], [192.0, 192.0], [recon, 96], [192.0, 192.0]);
            let mut bits = 1_u64;
            noisy.data.mapv_inplace(|_| {
                let mut uniform = || {
                    bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
                };
                Complex32::new(uniform(), uniform()) * 3.0_f32.sqrt()
            });
            let result = adjust(noisy).data;
            let variance = result.iter().map(|value| value.norm_sqr() / 2.0).sum::<f32>();
            let sd = (variance / result.len() as f32).sqrt();
            assert!((sd - 1.0).abs() < 0.03, "{matrix} to {recon}: {sd}");
        }
    }

    #[test]
    fn limits_follow_the_matrix() {
        let mut partial = series([96, 96], [288.0, 192.0], [96, 128], [192.0, 192.0]);
        partial.sampling.as_mut().expect("it is there").limits[1].min = 24;
        let result = adjust(partial).sampling.expect("it is still there");
        // 96 samples in the middle of 128.
        assert_eq!(result.limits[0], SamplingLimit { min: 16, center: 64, max: 111 });
        // 24 lines from the centre at 1/288 mm are 16 at 1/192 mm.
        assert_eq!((result.limits[1].min, result.limits[1].center), (32, 48));
        assert_eq!(result.encoded_matrix_size, [128, 96, 1]);
        assert_eq!(result.encoded_field_of_view_mm, [192.0, 192.0, 5.0]);
    }

    #[test]
    fn a_volume_is_interpolated_along_z_without_a_change_of_brightness() {
        let mut volume = testing::series([1, 1, 1, 1, 8, 16, 16]);
        volume.data.fill(Complex32::new(2.0, 0.0));
        volume.sampling.as_mut().expect("it is there").recon_matrix_size = [24, 20, 12];
        let result = adjust(volume);
        assert_eq!(result.data.shape()[4..], [12, 20, 24]);
        assert!(result.data.iter().all(|value| (value.re - 2.0).abs() < 1e-4));
    }

    #[test]
    fn a_series_that_says_nothing_passes_and_an_endless_one_is_refused() {
        let mut unknown = testing::series([1, 1, 1, 1, 1, 8, 8]);
        unknown.sampling = None;
        let (outputs, reports) = run_gadget::<AdjustFieldOfView>(
            Config {},
            &Scan::default(),
            [unknown.clone(), unknown],
        )
        .expect("it passes");
        assert_eq!((outputs.len(), reports.len()), (2, 1), "told once");
        let mut endless = testing::series([1, 1, 1, 1, 1, 8, 8]);
        endless.sampling.as_mut().expect("it is there").recon_matrix_size = [65535, 65535, 1];
        let error = run_gadget::<AdjustFieldOfView>(Config {}, &Scan::default(), [endless])
            .expect_err("that is too large");
        assert_eq!(
            error.to_string(),
            "1 images of 65535 × 65535 × 1 pixels (x, y, z) are more than 4 GiB"
        );
    }
}
