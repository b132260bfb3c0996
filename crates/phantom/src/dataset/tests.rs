//! All kinds: what they promise about each other, and the truth of fields, signals and noise.

use ndarray::ArrayView4;

use super::series::RandomRhythm;
use super::*;
use crate::physics::{Block, SignalModel, SpoiledTrain, Spoiling, echoes};
use crate::raster::PixelGrid;
use crate::sequence::{Fingerprinting, MolliScheme, Preparation};
use crate::tissue::Tissue;

const GRID: PixelGrid = PixelGrid { matrix_size: [96, 80], field_of_view_mm: [360.0, 300.0] };

fn images() -> ImageOptions {
    ImageOptions { grid: GRID, ..ImageOptions::default() }
}

fn molli(images: ImageOptions, motion: MotionOptions) -> SeriesDataset {
    let options = SeriesOptions { images, motion, rhythm: RandomRhythm::default() };
    SeriesDataset::new(Protocol::Molli(MolliSeries::default()), options).expect("options")
}

fn series(protocol: Protocol) -> Box<dyn Dataset> {
    let options = SeriesOptions { images: images(), ..SeriesOptions::default() };
    Box::new(SeriesDataset::new(protocol, options).expect("options"))
}

fn all() -> Vec<Box<dyn Dataset>> {
    let dti = DtiOptions {
        images: ImageOptions { content: ImageContent::Complex, ..images() },
        ..DtiOptions::default()
    };
    let contrasts = SegmentationContrast::ALL.to_vec();
    vec![
        series(Protocol::Molli(MolliSeries::default())),
        series(Protocol::Sasha(SashaSeries::default())),
        series(Protocol::T2(T2Series::default())),
        series(Protocol::T2Star(T2StarSeries::default())),
        Box::new(SegmentationDataset::new(images(), contrasts).expect("options")),
        Box::new(CmrfDataset::new(CmrfOptions::default()).expect("options")),
        Box::new(DtiDataset::new(dti).expect("options")),
    ]
}

/// The values of an array of a group, by name.
fn find<'a>(dataset: &dyn Dataset, values: &'a [Values], name: &str) -> &'a Values {
    let arrays = dataset.arrays();
    let place = arrays.iter().position(|array| array.name == name);
    &values[place.unwrap_or_else(|| panic!("no array {name}"))]
}

fn floats<'a>(dataset: &dyn Dataset, values: &'a [Values], name: &str) -> &'a [f32] {
    match find(dataset, values, name) {
        Values::F32(values) => values,
        other => panic!("{name} is {:?}", other.element()),
    }
}

#[test]
fn every_group_is_as_described_finite_and_the_same_on_any_number_of_threads() {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
    let (one, three) = (pool(1), pool(3));
    for dataset in all() {
        let arrays = dataset.arrays();
        let group = one.install(|| dataset.group(2)).expect("a group");
        assert_eq!(group.len(), arrays.len(), "{}", dataset.kind());
        for (array, values) in arrays.iter().zip(&group) {
            assert_eq!(values.element(), array.element, "{} {}", dataset.kind(), array.name);
            assert_eq!(values.len(), dataset.group_len() * array.n_elements(), "{}", array.name);
            assert_eq!(array.axes.len(), array.shape.len());
            let is_finite = match values {
                Values::F32(values) => values.iter().all(|value| value.is_finite()),
                Values::Complex32(values) => values.iter().all(|value| value.is_finite()),
                _ => true,
            };
            assert!(is_finite, "{} {}", dataset.kind(), array.name);
        }
        assert_eq!(group, three.install(|| dataset.group(2)).expect("a group"));
        assert_ne!(group, dataset.group(3).expect("a group"), "{}", dataset.kind());
    }
}

#[test]
fn fields_lead_from_the_reference_to_the_same_tissue_in_every_frame() {
    // Without noise and bias, so that frames of one contrast differ by motion alone.
    let anatomy = crate::anatomy::RandomOptions { bias_amplitude: 0.0, ..Default::default() };
    let clean = ImageOptions { signal_to_noise: [1e9; 2], anatomy, ..images() };
    let motion = MotionOptions { still_share: 0.0, elastic_share: 1.0, ..Default::default() };
    let moving = molli(clean.clone(), motion);
    let still = molli(clean, MotionOptions { strength: 0.0, ..motion });
    let (mut before, mut after) = (0.0, 0.0);
    for index in 0..3 {
        let [moved, rest] = [&moving, &still].map(|set| set.group(index).expect("a case"));
        let shape = (8, 1, 80, 96);
        let of = |set, values| {
            ArrayView4::from_shape(shape, floats(set, values, "images")).expect("8 frames")
        };
        let (moved_images, rest_images) = (of(&moving, &moved), of(&still, &rest));
        let fields = floats(&moving, &moved, "displacement_field_px");
        let fields = ArrayView4::from_shape((8, 2, 80, 96), fields).expect("8 frames");
        let Values::U16(labels) = find(&moving, &moved, "labels") else { panic!("labels") };
        for (frame, field) in fields.outer_iter().enumerate() {
            for (pixel, label) in labels.iter().enumerate() {
                let (row, column) = (pixel / 96, pixel % 96);
                if !(6..=29).contains(label) {
                    continue;
                }
                let y = row as f32 + field[[0, row, column]];
                let x = column as f32 + field[[1, row, column]];
                let (top, left) = (y.floor() as usize, x.floor() as usize);
                let (down, right) = (y.fract(), x.fract());
                let at = |j, i| moved_images[[frame, 0, top + j, left + i]];
                let upper = at(0, 0) * (1.0 - right) + at(0, 1) * right;
                let lower = at(1, 0) * (1.0 - right) + at(1, 1) * right;
                let warped = upper * (1.0 - down) + lower * down;
                let expected = rest_images[[frame, 0, row, column]];
                after += f64::from(warped - expected).powi(2);
                before += f64::from(moved_images[[frame, 0, row, column]] - expected).powi(2);
            }
        }
    }
    // What is left is the blur of bilinear sampling at edges and their ringing.
    assert!(after < 0.08 * before, "{after} of {before}");
}

#[test]
fn still_series_have_no_field_and_the_reference_none_in_any() {
    let still = molli(images(), MotionOptions { strength: 0.0, ..MotionOptions::default() });
    let group = still.group(0).expect("a case");
    assert!(floats(&still, &group, "displacement_field_px").iter().all(|d| *d == 0.0));
    let moving = molli(images(), MotionOptions { still_share: 0.0, ..MotionOptions::default() });
    let group = moving.group(1).expect("a case");
    let times_ms = floats(&moving, &group, "inversion_time_ms");
    let Values::U16(reference) = find(&moving, &group, "reference_frame") else { panic!("u16") };
    let reference = usize::from(reference[0]);
    assert!(times_ms.iter().all(|time_ms| *time_ms <= times_ms[reference]));
    let n_field = 2 * 80 * 96;
    let fields = floats(&moving, &group, "displacement_field_px");
    let largest = |frame: usize| {
        fields[frame * n_field..][..n_field].iter().fold(0.0_f32, |a, d| a.max(d.abs()))
    };
    assert_eq!(largest(reference), 0.0);
    assert!((0..8).filter(|frame| *frame != reference).all(|frame| largest(frame) > 0.1));
}

#[test]
fn the_short_cut_is_close_to_the_way_through_k_space() {
    for (elastic_share, n_channels, most) in [(0.0, 1, 0.008), (0.0, 4, 0.012), (1.0, 1, 0.012)] {
        let clean = ImageOptions { signal_to_noise: [1e9; 2], ..images() };
        let motion = MotionOptions { still_share: 0.0, elastic_share, ..Default::default() };
        let exact = ImageOptions { route: Route::KSpace { n_channels }, ..clean.clone() };
        let [short, exact] = [clean, exact].map(|images| {
            let set = molli(images, motion);
            let group = set.group(1).expect("a case");
            floats(&set, &group, "images").to_vec()
        });
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>();
        let difference = square(&mut short.iter().zip(&exact).map(|(a, b)| a - b));
        let nrmse = (difference / square(&mut exact.iter().copied())).sqrt();
        assert!(nrmse < most, "{elastic_share} {n_channels}: {nrmse}");
    }
}

#[test]
fn noise_is_as_large_as_it_says_and_magnitudes_are_those_of_complex_images() {
    let with = |content| molli(ImageOptions { content, ..images() }, MotionOptions::default());
    let (real, complex) = (with(ImageContent::Real), with(ImageContent::Complex));
    let magnitude = with(ImageContent::Magnitude);
    let [real_group, complex_group, magnitude_group] =
        [&real, &complex, &magnitude].map(|set| set.group(4).expect("a case"));
    let sd = floats(&real, &real_group, "noise_sd")[0];
    let pixels = floats(&real, &real_group, "images");
    // The upper rows are air.
    let air: Vec<f32> =
        pixels.chunks(80 * 96).flat_map(|frame| &frame[..4 * 96]).copied().collect();
    let measured = (air.iter().map(|v| v * v).sum::<f32>() / air.len() as f32).sqrt();
    // 3072 pixels: 1.3 %; and ringing.
    assert!((measured / sd - 1.0).abs() < 0.08, "{measured} and {sd}");
    let Values::Complex32(pixels) = find(&complex, &complex_group, "images") else {
        panic!("complex")
    };
    for (pixel, expected) in pixels.iter().zip(floats(&magnitude, &magnitude_group, "images")) {
        // Noise is drawn alike, but the object has a phase: only sizes are alike.
        assert!((pixel.norm() - expected).abs() < 8.0 * sd);
    }
}

#[test]
fn schemes_and_times_are_those_asked_for() {
    let scheme: MolliScheme = "3(3)3(3)5".parse().expect("a scheme");
    let protocol = MolliSeries { scheme, ..MolliSeries::default() };
    let set = series(Protocol::Molli(protocol));
    let group = set.group(0).expect("a case");
    let times_ms = floats(&*set, &group, "inversion_time_ms");
    assert_eq!(times_ms.len(), 11);
    let first = [times_ms[0], times_ms[3] - 80.0, times_ms[6] - 160.0];
    assert!(first.iter().all(|time_ms| (time_ms - first[0]).abs() < 1e-2), "{times_ms:?}");
    assert!((100.0..120.0).contains(&first[0]));
    let sasha = series(Protocol::Sasha(SashaSeries::default()));
    let group = sasha.group(0).expect("a case");
    assert_eq!(floats(&*sasha, &group, "saturation_time_ms")[..3], [10_000.0, 120.0, 180.0]);
}

#[test]
fn fingerprints_are_those_of_the_phase_graph_of_their_own_rhythm() {
    let set = CmrfDataset::new(CmrfOptions { seed: 3, ..CmrfOptions::default() }).expect("options");
    let group = set.group(5).expect("a group");
    let of = |name| floats(&set, &group, name);
    let sequence = Fingerprinting::default();
    for n in [0, 7, 15] {
        let [t1_ms, t2_ms, factor, b1] =
            ["t1_ms", "t2_ms", "inversion_factor", "b1"].map(|name| f64::from(of(name)[n]));
        let starts_ms = &of("beat_start_ms")[15 * n..][..15];
        let mut blocks = Vec::new();
        let mut now_ms = 0.0;
        for (beat, preparation) in sequence.preparations.iter().enumerate() {
            let before_ms = match preparation {
                Preparation::None => 0.0,
                Preparation::Inversion => sequence.inversion_time_ms,
                Preparation::T2(echo_time_ms) => *echo_time_ms,
            };
            let start_ms = f64::from(starts_ms[beat]);
            if beat > 0 {
                blocks.push(Block::Wait { duration_ms: start_ms - before_ms - now_ms });
            }
            match preparation {
                Preparation::None => {}
                Preparation::Inversion => {
                    blocks.push(Block::Inversion { factor });
                    blocks.push(Block::Wait { duration_ms: before_ms });
                }
                Preparation::T2(echo_time_ms) => blocks.push(Block::T2Preparation {
                    echo_time_ms: *echo_time_ms,
                    efficiency: 1.0,
                    offset: 0.0,
                }),
            }
            let angles = sequence.flip_angles_deg(beat).into_iter().map(|angle| b1 * angle);
            blocks.push(Block::SpoiledTrain(SpoiledTrain {
                flip_angles_deg: angles.collect(),
                repetition_time_ms: sequence.repetition_time_ms,
                echo_times_ms: vec![sequence.echo_time_ms],
                spoiling: Spoiling::Gradient,
                n_dummies: 0,
            }));
            now_ms = start_ms + 47.0 * sequence.repetition_time_ms;
        }
        let tissue = Tissue {
            t1_ms,
            t2_ms,
            t2_star_ms: t2_ms,
            proton_density: 1.0,
            off_resonance_hz: 0.0,
            ecv_percent: None,
        };
        let expected = echoes(SignalModel::Epg, &blocks, &tissue);
        let signals = &of("signals")[705 * n..][..705];
        let norm: f64 = expected.iter().map(|echo| echo.norm_sqr()).sum::<f64>().sqrt();
        let difference: f64 = signals
            .iter()
            .zip(&expected)
            .map(|(signal, echo)| (f64::from(*signal) - echo.re).powi(2) + echo.im.powi(2))
            .sum();
        // 40 orders instead of all, and single precision.
        assert!(difference.sqrt() < 1e-3 * norm, "{n}: {} of {norm}", difference.sqrt());
    }
}

#[test]
fn rhythms_of_fingerprints_are_as_varied_as_asked_for() {
    let set = CmrfDataset::new(CmrfOptions::default()).expect("options");
    let mut rates = Vec::new();
    for group in 0..20 {
        let group = set.group(group).expect("a group");
        let intervals_ms = floats(&set, &group, "rr_interval_ms");
        let starts_ms = floats(&set, &group, "beat_start_ms");
        for (intervals_ms, starts_ms) in intervals_ms.chunks(15).zip(starts_ms.chunks(15)) {
            for beat in 0..14 {
                let between_ms = starts_ms[beat + 1] - starts_ms[beat];
                assert!((between_ms - intervals_ms[beat]).abs() < 0.01);
                assert!(between_ms > 239.0, "echoes of two beats meet: {between_ms}");
            }
            let mut sorted = intervals_ms.to_vec();
            sorted.sort_by(f32::total_cmp);
            rates.push(60_000.0 / sorted[7]);
        }
        let (t1_ms, t2_ms) = (floats(&set, &group, "t1_ms"), floats(&set, &group, "t2_ms"));
        assert!(t1_ms.iter().zip(t2_ms).all(|(t1, t2)| t1 > t2 && *t1 < 3000.1 && *t2 > 4.99));
    }
    let below = |rate: f32| rates.iter().filter(|other| **other < rate).count();
    // 320 rates, evenly from 40 to 120.
    assert!((110..210).contains(&below(80.0)), "{}", below(80.0));
    assert!(below(50.0) > 15 && below(110.0) < 305);
}

#[test]
fn weighted_signals_are_those_of_the_tensor() {
    let clean = ImageOptions {
        content: ImageContent::Magnitude,
        anatomy: crate::anatomy::RandomOptions { lesion_probability: 0.0, ..Default::default() },
        ..images()
    };
    let set = DtiDataset::new(DtiOptions { images: clean, ..DtiOptions::default() });
    let set = set.expect("options");
    let mut n_compared = 0;
    for case in 0..6 {
        let group = set.group(case).expect("a case");
        let of = |name| floats(&set, &group, name);
        let n_pixels = 80 * 96;
        let (tensor, pictures) = (of("tensor_um2_per_ms"), of("clean_images"));
        let Values::U16(labels) = find(&set, &group, "labels") else { panic!("labels") };
        // Blood of the right ventricle is wide, bright and isotropic: away from edges only ringing
        // differs.
        for pixel in 0..n_pixels {
            let (row, column) = (pixel / 96, pixel % 96);
            let is_inside = (3..77).contains(&row)
                && (3..93).contains(&column)
                && (row - 2..=row + 2)
                    .all(|y| (column - 2..=column + 2).all(|x| labels[y * 96 + x] == 7));
            if !is_inside {
                continue;
            }
            let b = of("b_value_s_per_mm2")[1];
            let expected = (-1e-3 * b * tensor[pixel]).exp();
            let measured = pictures[n_pixels + pixel] / pictures[pixel];
            assert!((measured / expected - 1.0).abs() < 0.15, "{measured} {expected}");
            n_compared += 1;
        }
    }
    assert!(n_compared > 10, "{n_compared}");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let text = |error: DatasetError| error.to_string();
    let images_of = |images: ImageOptions| {
        let options = SeriesOptions { images, ..SeriesOptions::default() };
        SeriesDataset::new(Protocol::T2(T2Series::default()), options).err().map(text)
    };
    let has = |fault: Option<String>, word: &str| {
        let fault = fault.expect("refused");
        assert!(fault.contains(word), "{fault}");
    };
    has(images_of(ImageOptions { signal_to_noise: [60.0, 10.0], ..images() }), "signal-to-noise");
    has(images_of(ImageOptions { signal_to_noise: [0.0, 10.0], ..images() }), "signal-to-noise");
    let grid = PixelGrid { matrix_size: [96, 80], field_of_view_mm: [300.0, 300.0] };
    has(images_of(ImageOptions { grid, ..images() }), "field_of_view_mm[0]");
    let grid = PixelGrid { matrix_size: [8, 80], field_of_view_mm: [360.0, 300.0] };
    has(images_of(ImageOptions { grid, ..images() }), "pixels along x");
    let route = Route::KSpace { n_channels: 0 };
    has(images_of(ImageOptions { route, ..images() }), "channels");
    let protocol =
        |protocol| SeriesDataset::new(protocol, SeriesOptions::default()).err().map(text);
    let none = SashaSeries { saturation_times_ms: Vec::new(), ..SashaSeries::default() };
    has(protocol(Protocol::Sasha(none)), "0 saturation times");
    let back = T2StarSeries { echo_times_ms: vec![4.0, 2.0], ..T2StarSeries::default() };
    has(protocol(Protocol::T2Star(back)), "from one echo to the next");
    let factor = MolliSeries { inversion_factor: [0.9, f64::NAN], ..MolliSeries::default() };
    has(protocol(Protocol::Molli(factor)), "inversion factor");
    let cmrf = CmrfOptions { t2_ms: [90.0, 500.0], ..CmrfOptions::default() };
    has(CmrfDataset::new(cmrf).err().map(text), "smallest T2");
    let dti = DtiOptions { n_directions: 3, ..DtiOptions::default() };
    has(DtiDataset::new(dti).err().map(text), "directions");
    has(SegmentationDataset::new(images(), Vec::new()).err().map(text), "contrasts");
}
