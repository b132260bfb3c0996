//! Time of what follows the transform, per image of 256 × 256 pixels and one channel:
//! `cargo bench -p cartesian --bench images`. `RAYON_NUM_THREADS=1` shows one core.

use cartesian::{
    AdjustFieldOfView, FilterKSpace, PartialFourierFilter, PartialFourierHomodyne,
    PartialFourierPocs, ScaleSeries,
};
use divan::Bencher;
use ismrmrd::{ImageHeader, Meta, SamplingDescription, SamplingLimit};
use ndarray::{Array3, ArrayD, IxDyn};
use num_complex::Complex32;
use pipeline::{Gadget, ImageRole, ImageSeries, Message, Scan, Sink};

fn main() {
    divan::main();
}

/// A combined image; `first_line` above 0 is partial Fourier, `encoded_mm` above 300 phase
/// oversampling.
fn series(first_line: u16, n_lines: usize, encoded_mm: f32) -> ImageSeries {
    let limit =
        |min, len: usize| SamplingLimit { min, center: (len / 2) as u16, max: (len - 1) as u16 };
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_shape_fn(IxDyn(&[1, 1, 1, 1, 1, n_lines, 256]), |place| {
            Complex32::new((place[5] * 7 % 13) as f32, (place[6] * 5 % 11) as f32)
        }),
        headers: Array3::from_elem((1, 1, 1), ImageHeader::default()),
        meta: vec![Meta::new()],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: Some(SamplingDescription {
            encoded_field_of_view_mm: [300.0, encoded_mm, 8.0],
            recon_field_of_view_mm: [300.0, 300.0, 8.0],
            encoded_matrix_size: [256, n_lines as u16, 1],
            recon_matrix_size: [256, 256, 1],
            limits: [limit(0, 256), limit(first_line, n_lines), limit(0, 1)],
            ..SamplingDescription::default()
        }),
    }
}

/// A gadget, ready for images.
fn gadget<G: Gadget<Input = ImageSeries>>() -> G
where
    G::Config: Default,
{
    G::new(Default::default(), &Scan::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What `gadget` makes of `series`.
fn step<G: Gadget<Input = ImageSeries>>(gadget: &mut G, series: ImageSeries) -> ImageSeries {
    let mut result = None;
    let mut forward = |message| result = Some(message);
    let mut report = |_, what, _| panic!("{what}");
    let mut sink = Sink::new(&mut forward, &mut report);
    gadget.process(series, &mut sink).unwrap_or_else(|error| panic!("{error}"));
    match result {
        Some(Message::ImageSeries(series)) => series,
        _ => panic!("a series comes out"),
    }
}

fn bench<G: Gadget<Input = ImageSeries>>(bencher: Bencher, series: ImageSeries)
where
    G::Config: Default,
{
    let mut gadget: G = gadget();
    bencher.with_inputs(|| series.clone()).bench_local_values(|series| step(&mut gadget, series));
}

/// Partial Fourier check, filter, field of view and scaling, as the chains have them.
#[divan::bench(args = ["whole", "partial Fourier", "phase oversampling", "75 % resolution"])]
fn all_four(bencher: Bencher, case: &str) {
    let series = match case {
        "partial Fourier" => series(64, 256, 300.0),
        "phase oversampling" => series(0, 320, 375.0),
        "75 % resolution" => series(0, 192, 300.0),
        _ => series(0, 256, 300.0),
    };
    let mut partial_fourier: PartialFourierFilter = gadget();
    let mut filter: FilterKSpace = gadget();
    let mut field_of_view: AdjustFieldOfView = gadget();
    let mut scale: ScaleSeries = gadget();
    bencher.with_inputs(|| series.clone()).bench_local_values(|series| {
        let series = step(&mut partial_fourier, series);
        let series = step(&mut filter, series);
        let series = step(&mut field_of_view, series);
        step(&mut scale, series)
    });
}

#[divan::bench]
fn partial_fourier_filter(bencher: Bencher) {
    bench::<PartialFourierFilter>(bencher, series(64, 256, 300.0));
}

#[divan::bench]
fn partial_fourier_pocs(bencher: Bencher) {
    bench::<PartialFourierPocs>(bencher, series(64, 256, 300.0));
}

#[divan::bench]
fn partial_fourier_homodyne(bencher: Bencher) {
    bench::<PartialFourierHomodyne>(bencher, series(64, 256, 300.0));
}

#[divan::bench]
fn filter_k_space(bencher: Bencher) {
    bench::<FilterKSpace>(bencher, series(0, 256, 300.0));
}

/// 192 lines to 256; 320 to 256 with a fifth of them cut; pixels that do not divide the field of
/// view.
#[divan::bench(args = [(192, 300.0), (320, 375.0), (280, 329.0)])]
fn adjust_field_of_view(bencher: Bencher, (n_lines, encoded_mm): (usize, f32)) {
    bench::<AdjustFieldOfView>(bencher, series(0, n_lines, encoded_mm));
}

#[divan::bench]
fn scale_series(bencher: Bencher) {
    bench::<ScaleSeries>(bencher, series(0, 256, 300.0));
}
