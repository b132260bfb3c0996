//! Simulated scans through one gadget, for the tests of those that solve for images.

use acquisition::{
    CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts, sort_k_space,
};
use ndarray::{Array2, Axis};
use num_complex::Complex32;
use phantom::{SimulatedScan, Subject};
use pipeline::{Accept, Gadget, ImageSeries, Message, Remedy, Scan, run_gadget};

use crate::{PrepareReference, prepare_reference};

/// A small phantom seen by eight coils.
pub(crate) fn setup(lines: phantom::LineOptions) -> phantom::Setup {
    phantom::Setup {
        matrix_size: [64, 64],
        n_channels: 8,
        lines,
        ..phantom::Setup::new(Subject::SheppLogan)
    }
}

fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Vec<Message> {
    let inputs = messages.into_iter().filter_map(|message| G::Input::accept(message).ok());
    let run = run_gadget::<G>(config, scan, inputs.collect::<Vec<_>>());
    run.unwrap_or_else(|error| panic!("{}: {error}; {}", G::NAME, error.remedy())).0
}

/// K-space of a scan with its calibration, images along `n` by cardiac phase.
pub(crate) fn k_space(simulated: &SimulatedScan) -> (Scan, Vec<Message>) {
    let config = Default::default();
    k_space_along(sort_k_space::Dimension::Phase, config, simulated)
}

/// The same by another counter, with calibration lines made ready in this way.
pub(crate) fn k_space_along(
    dimension: sort_k_space::Dimension,
    prepare: prepare_reference::Config,
    simulated: &SimulatedScan,
) -> (Scan, Vec<Message>) {
    let scan = Scan::with_header(simulated.header().clone());
    let messages = simulated.acquisitions().map(Message::from).collect();
    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages);
    let collect = collect_readouts::Config {
        trigger_dimension: Some(collect_readouts::Dimension::Slice),
        ..Default::default()
    };
    let messages = step::<CollectReadouts>(collect, &scan, messages);
    let sort = sort_k_space::Config {
        n_dimension: Some(dimension),
        ignore_segment: true,
        ..Default::default()
    };
    let messages = step::<SortKSpace>(sort, &scan, messages);
    (scan.clone(), step::<PrepareReference>(prepare, &scan, messages))
}

/// The one series that a gadget makes of a scan, and what it reported.
pub(crate) fn reconstruct<G: Gadget>(
    config: G::Config,
    simulated: &SimulatedScan,
) -> Result<(ImageSeries, Vec<String>), G::Error> {
    let (scan, messages) = k_space(simulated);
    let inputs: Vec<_> =
        messages.into_iter().filter_map(|message| G::Input::accept(message).ok()).collect();
    let (mut outputs, reports) = run_gadget::<G>(config, &scan, inputs)?;
    assert_eq!(outputs.len(), 1, "one series");
    let Some(Message::ImageSeries(series)) = outputs.pop() else { panic!("no series") };
    Ok((series, reports))
}

/// Image `n` of the first slice: `[y, x]`.
pub(crate) fn image(series: &ImageSeries, n: usize) -> Array2<Complex32> {
    let mut plane = series.data.view();
    for place in [0, 0, n, 0, 0] {
        plane = plane.index_axis_move(Axis(0), place);
    }
    plane.into_dimensionality::<ndarray::Ix2>().expect("two axes are left").to_owned()
}

/// What all channels show of image `n` in a scan of all lines without noise: `[y, x]`. Coil maps
/// with Σ|s|² = 1 leave the channels' common brightness in the image.
pub(crate) fn truth(simulated: &SimulatedScan, n: usize) -> Array2<Complex32> {
    simulated.coil_images(n).map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt().into()
    })
}

/// ‖found·f − truth‖ / ‖truth‖ of the magnitudes with the best real factor f, which is returned
/// too.
pub(crate) fn error(found: &Array2<Complex32>, truth: &Array2<Complex32>) -> (f64, f64) {
    let pairs = || found.iter().zip(truth).map(|(a, b)| (f64::from(a.norm()), f64::from(b.norm())));
    let (product, square): (f64, f64) =
        pairs().fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
    let factor = product / square;
    let (misfit, energy): (f64, f64) =
        pairs().fold((0.0, 0.0), |(m, e), (a, b)| (m + (a * factor - b).powi(2), e + b * b));
    ((misfit / energy).sqrt(), factor)
}
