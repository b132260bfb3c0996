//! What gadgets after the transform ask of a series: whether they may touch it, and how the
//! k-space behind it was sampled.

use ismrmrd::{Meta, SamplingDescription, SamplingLimit};
use num_complex::Complex32;
use numerics::partial_fourier::Acquired;
use pipeline::{ImageRole, ImageSeries, Scan};

/// The meta attribute that keeps filters off a series.
pub(crate) const SKIP_FIELD: &str = "Skip_processing_after_recon";

/// A series whose parts do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "images of shape {shape:?} with headers of shape {headers:?}, expected (slice, s, n, channel, \
     z, y, x) with a header for each image"
)]
pub struct SeriesError {
    shape: Vec<usize>,
    headers: Vec<usize>,
}

impl SeriesError {
    /// What to do about it.
    pub(crate) const REMEDY: &'static str = "correct the gadget or the client that made the series";
}

/// Acceleration along encoding steps 1 and 2, encoding by encoding.
pub(crate) struct Accelerations(Vec<[usize; 2]>);

impl Accelerations {
    pub(crate) fn of(scan: &Scan) -> Self {
        let encodings = scan.header.iter().flat_map(|header| &header.encoding);
        let factors = encodings.map(|encoding| {
            encoding.parallel_imaging.as_ref().map_or([1, 1], |parallel| {
                let factor = parallel.acceleration_factor;
                [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2].map(usize::from)
            })
        });
        Self(factors.collect())
    }

    /// That of the series along \[readout, encoding step 1, encoding step 2\]. The readout has
    /// none.
    fn of_series(&self, series: &ImageSeries) -> [usize; 3] {
        let [e1, e2] = self.0.get(encoding_space(series)).copied().unwrap_or([1, 1]);
        [1, e1, e2]
    }
}

/// `[slice, s, n, channel, z, y, x]` of a series whose parts belong together.
pub(crate) fn shape(series: &ImageSeries) -> Result<[usize; 7], SeriesError> {
    let error = || SeriesError {
        shape: series.data.shape().to_vec(),
        headers: series.headers.shape().to_vec(),
    };
    let shape: [usize; 7] = series.data.shape().try_into().map_err(|_| error())?;
    if series.headers.shape() == &shape[..3] { Ok(shape) } else { Err(error()) }
}

/// Whether filters are for what series of this role show: the patient, or its SNR, which is to be
/// that of the images that are sent along.
pub(crate) fn is_filtered(role: ImageRole) -> bool {
    role.is_image() || role == ImageRole::SnrMap
}

/// Whether filters are for this series: for its role, and its meta attributes do not have
/// `skip_field`.
pub(crate) fn is_to_be_filtered(series: &ImageSeries, skip_field: &str) -> bool {
    let is_kept_off = series.meta.first().is_some_and(|meta| !meta.values(skip_field).is_empty());
    is_filtered(series.role) && !is_kept_off && !series.data.is_empty()
}

/// Index of the encoding in the scan's header, 0 where it is not named.
pub(crate) fn encoding_space(series: &ImageSeries) -> usize {
    let named = series.meta.first().and_then(|meta| meta.get_i64("encoding"));
    named.and_then(|index| usize::try_from(index).ok()).unwrap_or(0)
}

/// How k-space was sampled: what the series says, or the meta attributes that Gadgetron writes
/// (series that a client sends have nothing else).
pub(crate) fn sampling(series: &ImageSeries) -> Option<SamplingDescription> {
    series.sampling.or_else(|| sampling_of_meta(series.meta.first()?))
}

fn sampling_of_meta(meta: &Meta) -> Option<SamplingDescription> {
    fn numbers<T: std::str::FromStr + Copy>(meta: &Meta, key: &str) -> Option<[T; 3]> {
        let values = meta.values(key).iter().map(|value| value.trim().parse());
        values.collect::<Result<Vec<T>, _>>().ok()?.try_into().ok()
    }
    let limit = |key| {
        let [min, center, max] = numbers(meta, key)?;
        Some(SamplingLimit { min, center, max })
    };
    let encoded_field_of_view_mm = numbers(meta, "encoding_FOV");
    let limits = ["sampling_limits_RO", "sampling_limits_E1", "sampling_limits_E2"].map(limit);
    if encoded_field_of_view_mm.is_none() && limits.iter().all(Option::is_none) {
        return None;
    }
    Some(SamplingDescription {
        encoded_field_of_view_mm: encoded_field_of_view_mm.unwrap_or_default(),
        recon_field_of_view_mm: numbers(meta, "recon_FOV").unwrap_or_default(),
        encoded_matrix_size: numbers(meta, "encoded_matrix").unwrap_or_default(),
        recon_matrix_size: numbers(meta, "recon_matrix").unwrap_or_default(),
        limits: limits.map(Option::unwrap_or_default),
        ..SamplingDescription::default()
    })
}

/// Acquired samples along \[z, y, x\] of a series of `shape`. A range that does not fit the images
/// (they were made larger or cut) is all of them.
pub(crate) fn acquired(series: &ImageSeries, shape: [usize; 7]) -> [Acquired; 3] {
    let limits = sampling(series).map_or_else(Default::default, |sampling| sampling.limits);
    let range = |axis: usize| {
        let len = shape[6 - axis];
        let SamplingLimit { min, max, .. } = limits[axis];
        let has_range = max > min;
        Some((len, usize::from(min), usize::from(max)))
            .filter(|_| has_range)
            .and_then(|(len, min, max)| Acquired::new(len, min, max).ok())
            .unwrap_or_else(|| Acquired::whole(len))
    };
    [range(2), range(1), range(0)]
}

/// As [`acquired`], with those axes whole that are not partial: one side of k-space goes farther
/// than the other by no more than the distance of neighbouring lines.
pub(crate) fn partial(
    series: &ImageSeries,
    shape: [usize; 7],
    accelerations: &Accelerations,
) -> [Acquired; 3] {
    let [readout, e1, e2] = accelerations.of_series(series);
    let mut axes = acquired(series, shape);
    for (axis, spacing) in axes.iter_mut().zip([e2, e1, readout]) {
        if axis.excess() <= spacing {
            *axis = Acquired::whole(axis.len());
        }
    }
    axes
}

/// The pixels as volumes `[z, y, x]`, one after the other, without gaps.
pub(crate) fn volumes(series: &mut ImageSeries) -> &mut [Complex32] {
    if !series.data.is_standard_layout() {
        series.data = series.data.as_standard_layout().into_owned();
    }
    series.data.as_slice_mut().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod testing {
    use ismrmrd::{ImageHeader, Meta, SamplingDescription, SamplingLimit};
    use ndarray::{Array3, ArrayD, IxDyn};
    use num_complex::Complex32;
    use pipeline::{Gadget, ImageRole, ImageSeries, Message, Scan, run_gadget};

    /// Images of zeros, k-space sampled as a whole, 1 mm pixels.
    pub(crate) fn series(shape: [usize; 7]) -> ImageSeries {
        let outer = [shape[0], shape[1], shape[2]];
        let [z, y, x] = [shape[4], shape[5], shape[6]];
        let limit =
            |len: usize| SamplingLimit { min: 0, center: (len / 2) as u16, max: (len - 1) as u16 };
        let matrix = [x, y, z].map(|len| len as u16);
        ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data: ArrayD::zeros(IxDyn(&shape)),
            headers: Array3::from_elem(
                outer,
                ImageHeader { matrix_size: matrix, ..ImageHeader::default() },
            ),
            meta: vec![Meta::new(); outer.iter().product()],
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: Some(SamplingDescription {
                encoded_field_of_view_mm: [x, y, z].map(|len| len as f32),
                recon_field_of_view_mm: [x, y, z].map(|len| len as f32),
                encoded_matrix_size: matrix,
                recon_matrix_size: matrix,
                limits: [limit(x), limit(y), limit(z)],
                ..SamplingDescription::default()
            }),
        }
    }

    /// Noise of standard deviation 1 in both parts, the same in each run.
    pub(crate) fn noise(n: usize) -> Vec<Complex32> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        (0..n)
            .map(|_| {
                let radius = (-2.0 * uniform().ln()).sqrt();
                Complex32::from_polar(radius as f32, (std::f64::consts::TAU * uniform()) as f32)
            })
            .collect()
    }

    /// Standard deviation of the real and imaginary parts, whose mean is 0.
    pub(crate) fn sd<'a>(values: impl IntoIterator<Item = &'a Complex32>) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for value in values {
            sum += f64::from(value.norm_sqr());
            n += 2.0;
        }
        f64::sqrt(sum / n)
    }

    /// What a gadget makes of one series.
    pub(crate) fn run<G: Gadget<Input = ImageSeries>>(
        config: G::Config,
        scan: &Scan,
        series: ImageSeries,
    ) -> Vec<ImageSeries> {
        let (outputs, reports) =
            run_gadget::<G>(config, scan, [series]).unwrap_or_else(|error| panic!("{error}"));
        assert!(reports.is_empty(), "{reports:?}");
        outputs
            .into_iter()
            .map(|message| match message {
                Message::ImageSeries(series) => series,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::ImageRole;

    #[test]
    fn limits_come_from_the_series_or_from_gadgetrons_meta_attributes() {
        let mut images = testing::series([1, 1, 1, 1, 1, 64, 32]);
        let shape = shape(&images).expect("its parts belong together");
        assert!(acquired(&images, shape).iter().all(|axis| axis.is_whole()));
        images.sampling = None;
        assert!(acquired(&images, shape).iter().all(|axis| axis.is_whole()));
        images.meta[0].set_all("sampling_limits_E1", ["16", "32", "63"]);
        images.meta[0].set_all("encoding_FOV", ["300.5", "240", "6"]);
        let [z, y, x] = acquired(&images, shape);
        assert_eq!((y.range(), x.is_whole(), z.is_whole()), (16..=63, true, true));
        let found = sampling(&images).expect("the meta attributes have it");
        assert_eq!(found.encoded_field_of_view_mm, [300.5, 240.0, 6.0]);
        images.meta[0].set_all("sampling_limits_E1", ["16", "32", "64"]);
        assert!(acquired(&images, shape)[1].is_whole(), "64 lines have no line 64");
    }

    #[test]
    fn an_axis_is_partial_where_its_sides_differ_by_more_than_the_acceleration() {
        let mut images = testing::series([1, 1, 1, 1, 1, 64, 32]);
        let shape = shape(&images).expect("its parts belong together");
        let accelerations = Accelerations(vec![[4, 1]]);
        for (min, max, is_partial) in
            [(0, 63, false), (3, 63, false), (5, 63, false), (6, 63, true), (0, 53, true)]
        {
            let sampling = images.sampling.as_mut().expect("it is there");
            sampling.limits[1] = SamplingLimit { min, center: 32, max };
            let [_, y, _] = partial(&images, shape, &accelerations);
            assert_eq!(y.is_whole(), !is_partial, "{min} to {max}");
        }
    }

    #[test]
    fn maps_and_marked_images_are_left_alone() {
        let mut images = testing::series([1, 1, 1, 1, 1, 4, 4]);
        assert!(is_to_be_filtered(&images, SKIP_FIELD));
        images.meta[0].set(SKIP_FIELD, 1);
        assert!(!is_to_be_filtered(&images, SKIP_FIELD));
        assert!(is_to_be_filtered(&images, "another"));
        images.role = ImageRole::SnrMap;
        assert!(is_to_be_filtered(&images, "another"));
        images.role = ImageRole::GFactor;
        assert!(!is_to_be_filtered(&images, "another"));
    }
}
