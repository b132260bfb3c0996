use ismrmrd::AcquisitionHeader;
use ismrmrd::xml::{Encoding, Header, Limit};
use ndarray::{Array3, Array5};
use num_complex::Complex32;
use pipeline::{Verdict, run_gadget};

use super::*;
use crate::MapT1;
use crate::testing::{EDGE, noise, scan, series, sorted};

const TIMES: [f64; 4] = [120.0, 1100.0, 2130.0, 3090.0];

fn recovery(time_ms: f64, t1_ms: f64) -> f32 {
    (1.0 - 1.9 * (-time_ms / (t1_ms / 0.9)).exp()) as f32
}

/// Four images of 1000 ms in the left half and 1600 ms in the right.
fn images(times_ms: &[f64]) -> ImageSeries {
    series(times_ms.len(), |image, y, x| {
        let t1_ms = if x < EDGE / 2 { 1000.0 } else { 1600.0 };
        let number = 2 * ((image * EDGE + y) * EDGE + x);
        Complex32::from_polar(100.0 * recovery(times_ms[image], t1_ms), 0.1 * x as f32)
            + Complex32::new(noise(number), noise(number + 1))
    })
}

fn map(times_ms: &[f64]) -> (pipeline::ParametricMap, Vec<String>) {
    let scan = scan(times_ms, &[], &[]);
    let (outputs, reports) =
        run_gadget::<EstimateT1>(Config::default(), &scan, [images(times_ms)]).expect("a map");
    let told = reports.iter().map(ToString::to_string).collect();
    (sorted(outputs).1.remove(0), told)
}

#[test]
fn without_a_network_the_map_is_that_of_the_fit_and_a_warning_says_so() {
    let (instead, told) = map(&TIMES);
    let (outputs, _) =
        run_gadget::<MapT1>(MapT1Config::default(), &scan(&TIMES, &[], &[]), [images(&TIMES)])
            .expect("a map");
    let fitted = sorted(outputs).1.remove(0);
    assert_eq!(instead.values, fitted.values);
    assert_eq!(instead.sd, fitted.sd);
    assert_eq!(instead.meta.get("BoresideMethod"), fitted.meta.get("BoresideMethod"));
    assert!(told.iter().any(|text| text.contains("fit of three parameters makes the T1 map")));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn what_the_network_was_not_trained_for_is_named_and_fitted() {
    let readout = Readout {
        flip_angle_deg: 35.0,
        repetition_time_ms: 2.8,
        n_before_center: 20,
        n_pulses: 66,
    };
    let new = |times: &[f64], readout: Option<&Readout>| {
        FewImages::new(times, &vec![0; times.len()], readout)
    };
    assert!(new(&TIMES, None).is_ok());
    assert!(new(&TIMES, Some(&readout)).is_ok());
    assert_eq!(new(&TIMES[..3], None), Err(UntrainedError::Images(3)));
    assert_eq!(FewImages::new(&TIMES, &[0, 0, 0, 1], None), Err(UntrainedError::Inversions(2)));
    assert_eq!(new(&[600.0, 1600.0, 2600.0, 3600.0], None), Err(UntrainedError::FirstTime(600.0)));
    assert_eq!(new(&[100.0, 400.0, 1400.0, 2400.0], None), Err(UntrainedError::Interval(300.0)));
    for wrong in [
        Readout { flip_angle_deg: 10.0, ..readout },
        Readout { repetition_time_ms: 6.0, ..readout },
        Readout { n_pulses: 192, ..readout },
        Readout { n_before_center: 60, ..readout },
    ] {
        let fault = new(&TIMES, Some(&wrong));
        assert!(matches!(fault, Err(UntrainedError::Readout { .. })), "{fault:?}");
    }
    let (fitted, told) = map(&[120.0, 400.0, 1400.0, 2400.0]);
    assert!(told[0].contains("two are 280 ms apart"), "{told:?}");
    assert!(fitted.values.iter().any(|t1_ms| *t1_ms > 900.0));
}

#[test]
fn images_that_their_t1_does_not_explain_are_less_certain_and_to_be_checked() {
    let mut spoilt = images(&TIMES);
    // An image with a fault in the right third.
    for (place, value) in spoilt.data.indexed_iter_mut() {
        if place[2] == 2 && place[6] >= 2 * EDGE / 3 {
            *value *= 0.2;
        }
    }
    let mut map_t1 = MapT1::new(MapT1Config::default(), &scan(&TIMES, &[], &[])).expect("good");
    let true_t1_ms =
        Array2::from_shape_fn(
            (EDGE, EDGE),
            |(_, x)| {
                if x < EDGE / 2 { 1000.0_f32 } else { 1600.0 }
            },
        );
    let mut replace = |_: &Source, images: ArrayView3<'_, f32>, mut fitted: Fitted| {
        // The mean of all pixels would take the fault for noise.
        fitted.noise_sd = 0.6;
        let estimates = T1Estimates { t1_ms: true_t1_ms.clone(), sd_ms: true_t1_ms.mapv(|_| 20.0) };
        (explained(images, &TIMES, estimates, &fitted), None)
    };
    let results = map_t1.results(spoilt, &mut replace).expect("a map");
    let map = results.outputs.into_iter().find_map(|output| match output {
        SeriesAndMap::ParametricMap(map) => Some(map),
        SeriesAndMap::ImageSeries(_) => None,
    });
    let map = map.expect("a map");
    let sd = map.sd.expect("standard deviations");
    let at = |x: usize| sd[[0, 7, x]];
    assert!((at(3) - 20.0).abs() < 1e-3, "{}", at(3));
    assert!(at(20) > 100.0, "{}", at(20));
    let Some(Verdict::Check(reason)) = map.verdict else { panic!("{:?}", map.verdict) };
    assert!(reason.contains("% of the tissue differs from what its value means"), "{reason}");
}

#[test]
fn the_readout_is_that_of_header_and_lines() {
    let mut series = images(&TIMES);
    let mut header = scan(&TIMES, &[], &[280.0]).header.expect("there is one");
    let parameters = header.sequence_parameters.as_mut().expect("there are some");
    parameters.flip_angle_deg = vec![35.0];
    let mut encoding = Encoding::default();
    encoding.encoding_limits.kspace_encoding_step_1 =
        Some(Limit { minimum: 0, maximum: 79, center: 40 });
    header.encoding = vec![encoding];
    let of = |series: &ImageSeries, header: &Header| {
        Readout::of(series, &Scan::with_header(header.clone()))
    };
    assert_eq!(of(&series, &header), None, "no lines");
    // Every other line, the last of them first.
    series.acquisition_headers =
        Some(Array5::from_shape_fn((1, 1, 4, 1, 80), |(_, _, image, _, y)| {
            let mut line = AcquisitionHeader { version: 0, ..AcquisitionHeader::default() };
            if y % 2 == 0 {
                line.version = 1;
                line.scan_counter = (1000 * image + 500 - y) as u32;
                let mut idx = line.idx;
                idx.kspace_encode_step_1 = y as u16;
                line.idx = idx;
            }
            line
        }));
    assert_eq!(of(&series, &header), None, "a repetition time of a heartbeat only");
    let parameters = header.sequence_parameters.as_mut().expect("there are some");
    parameters.echo_spacing = vec![2.75];
    let expected = Readout {
        flip_angle_deg: 35.0,
        repetition_time_ms: 2.75,
        n_before_center: 19,
        n_pulses: 40,
    };
    assert_eq!(of(&series, &header), Some(expected));
}

#[test]
fn a_pixel_that_is_no_number_is_not_asked_about() {
    let images = Array3::from_elem((4, 2, 2), f32::NAN);
    let fit = recovery_of_known_t1(
        &TIMES,
        images.view(),
        Array2::from_elem((2, 2), 1000.0).view(),
        Array2::zeros((2, 2)).view(),
    );
    assert!(fit.value_ms.iter().all(|t1_ms| *t1_ms == 0.0));
}
