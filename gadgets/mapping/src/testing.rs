//! Series with known answers for the tests of the gadgets.

use ismrmrd::Meta;
use ismrmrd::xml::{Header, SequenceParameters};
use ndarray::{Array3, ArrayD, IxDyn};
use num_complex::Complex32;
use pipeline::{ImageRole, ImageSeries, Message, ParametricMap, Scan};

/// Edge of the images.
pub(crate) const EDGE: usize = 24;

/// `n` images of `signal(image, y, x)`.
pub(crate) fn series(n: usize, signal: impl Fn(usize, usize, usize) -> Complex32) -> ImageSeries {
    let shape = IxDyn(&[1, 1, n, 1, 1, EDGE, EDGE]);
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_shape_fn(shape, |place| signal(place[2], place[5], place[6])),
        headers: Array3::default((1, 1, n)),
        meta: vec![Meta::new(); n],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

/// A scan whose header has these times in ms.
pub(crate) fn scan(ti: &[f64], te: &[f64], tr: &[f64]) -> Scan {
    let list = |times: &[f64]| times.iter().map(|time| *time as f32).collect();
    let parameters =
        SequenceParameters { ti: list(ti), te: list(te), tr: list(tr), ..Default::default() };
    Scan::with_header(Header { sequence_parameters: Some(parameters), ..Default::default() })
}

/// What came out, series and maps.
pub(crate) fn sorted(outputs: Vec<Message>) -> (Vec<ImageSeries>, Vec<ParametricMap>) {
    let (mut series, mut maps) = (Vec::new(), Vec::new());
    for message in outputs {
        match message {
            Message::ImageSeries(one) => series.push(one),
            Message::ParametricMap(map) => maps.push(map),
            other => panic!("{:?} came out", other.kind()),
        }
    }
    (series, maps)
}

/// A number between -1 and 1 that looks random.
pub(crate) fn noise(n: usize) -> f32 {
    let mut bits = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    (bits >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}
