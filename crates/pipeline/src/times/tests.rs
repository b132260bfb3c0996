//! Times from each of their places, and what is wrong with them.

use ismrmrd::xml::{Header, SequenceParameters, UserParameter, UserParameters};
use ismrmrd::{AcquisitionHeader, ImageHeader, Meta};
use ndarray::{Array3, Array5, ArrayD, IxDyn};
use num_complex::Complex32;

use super::*;
use crate::ImageRole;

fn series(n: usize) -> ImageSeries {
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_elem(IxDyn(&[1, 1, n, 1, 1, 2, 2]), Complex32::ONE),
        headers: Array3::default((1, 1, n)),
        meta: vec![Meta::new(); n],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

/// 3 images after an inversion and 2 after the next, a second apart, as Siemens' MOLLI has them.
fn molli() -> ImageSeries {
    let mut series = series(5);
    let lines = [(0, 100, 1), (400, 100, 1), (800, 100, 1), (2400, 180, 2), (2800, 180, 2)];
    let headers = Array5::from_shape_fn((1, 1, 5, 1, 3), |(.., n, _, y)| {
        let (stamp, first_ms, group) = lines[n];
        let mut header = AcquisitionHeader { version: 1, ..AcquisitionHeader::default() };
        header.idx.kspace_encode_step_1 = y as u16;
        header.acquisition_time_stamp = 34_559_000 + stamp + y as u32;
        header.user_int[4] = first_ms;
        header.user_int[5] = group;
        header
    });
    series.acquisition_headers = Some(headers);
    series
}

fn with_ti(ti: &[f32]) -> Scan {
    Scan::with_header(Header {
        sequence_parameters: Some(SequenceParameters { ti: ti.to_vec(), ..Default::default() }),
        ..Default::default()
    })
}

fn times(
    series: &ImageSeries,
    scan: &Scan,
    preparation: Preparation,
    from: TimesFrom,
) -> Result<PreparationTimes, TimesError> {
    let stacks = series.stacks().expect("a good shape");
    preparation_times(series, &stacks[0], scan, preparation, from)
}

const EXACT: [f32; 5] = [100.0, 1101.0, 2099.0, 180.0, 1181.0];

#[test]
fn time_stamps_give_inversion_times_also_across_midnight() {
    let mut series = molli();
    let found = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto)
        .expect("they are there");
    assert_eq!(found.times_ms, [100.0, 1100.0, 2100.0, 180.0, 1180.0]);
    assert_eq!(found.inversions, [0, 0, 0, 1, 1]);
    for line in series.acquisition_headers.iter_mut().flatten() {
        line.acquisition_time_stamp %= 34_560_000;
    }
    assert_eq!(
        times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto),
        Ok(found)
    );
}

#[test]
fn exact_times_of_the_header_go_before_ticks_and_groups_come_from_the_readouts() {
    let found = times(&molli(), &with_ti(&EXACT), Preparation::Inversion, TimesFrom::Auto)
        .expect("they agree");
    assert_eq!(found.times_ms[1], 1101.0);
    assert_eq!(found.inversions, [0, 0, 0, 1, 1]);
    // A protocol's one inversion time says nothing about five images.
    let found = times(&molli(), &with_ti(&[100.0]), Preparation::Inversion, TimesFrom::Auto)
        .expect("the stamps");
    assert_eq!(found.source, TimesFrom::TimeStamps);
}

#[test]
fn places_that_disagree_are_an_error_unless_one_is_chosen() {
    let mut shuffled = EXACT;
    shuffled.swap(1, 3);
    let scan = with_ti(&shuffled);
    let error =
        times(&molli(), &scan, Preparation::Inversion, TimesFrom::Auto).expect_err("they disagree");
    let text = error.to_string();
    assert!(
        text.contains("image 2 of 5") && text.contains("180.0 ms by the scan's header"),
        "{text}"
    );
    assert!(text.contains("1100.0 ms by the time stamps"), "{text}");
    let found =
        times(&molli(), &scan, Preparation::Inversion, TimesFrom::TimeStamps).expect("chosen");
    assert_eq!(found.times_ms[1], 1100.0);
}

#[test]
fn missing_times_say_where_was_looked() {
    let error = times(&series(5), &with_ti(&[1.0, 2.0]), Preparation::Inversion, TimesFrom::Auto)
        .expect_err("none");
    let text = error.to_string();
    assert!(
        text.contains("no inversion times for 5 images") && text.contains("2 TI for 5 images"),
        "{text}"
    );
    assert!(text.contains("meta attributes: none") && text.contains("user_int[4]"), "{text}");
}

#[test]
fn seconds_are_told_from_milliseconds_by_their_size() {
    let scan = with_ti(&[10.0, 0.12, 0.3, 0.7]);
    let saturation = Preparation::Saturation { anchor: Some(0) };
    let found = times(&series(4), &scan, saturation, TimesFrom::Auto).expect("they are there");
    assert_eq!(found.times_ms[0], f64::INFINITY);
    assert!((found.times_ms[3] - 700.0).abs() < 1e-3);
    assert!(found.note.is_some_and(|note| note.contains("taken for seconds")));
    let found =
        times(&series(4), &with_ti(&[10_000.0, 120.0, 300.0, 700.0]), saturation, TimesFrom::Auto);
    assert_eq!(found.expect("they are there").note, None);
}

#[test]
fn saturation_times_come_from_the_images_headers_too() {
    let mut series = series(4);
    for (n, header) in series.headers.iter_mut().enumerate() {
        let mut user_int = [0; 8];
        user_int[7] = 100_000 * n as i32;
        *header = ImageHeader { user_int, ..ImageHeader::default() };
    }
    let saturation = Preparation::Saturation { anchor: Some(0) };
    let found =
        times(&series, &Scan::default(), saturation, TimesFrom::Auto).expect("they are there");
    assert_eq!(found.times_ms, [f64::INFINITY, 100.0, 200.0, 300.0]);
    let scan = with_ti(&[0.0, 100.0, 250.0, 300.0]);
    assert!(matches!(
        times(&series, &scan, saturation, TimesFrom::Auto),
        Err(TimesError::Contradiction { image: 3, .. })
    ));
}

#[test]
fn t2_preparations_are_found_by_name_wherever_they_stand() {
    let mut parameters = UserParameters::default();
    for (name, value) in [
        ("Other", 7.0),
        ("T2PrepDuration_2", 55.0),
        ("T2PrepDuration_0", 0.0),
        ("T2PrepDuration_1", 25.0),
    ] {
        parameters.user_parameter_double.push(UserParameter::new(name, value));
    }
    let scan =
        Scan::with_header(Header { user_parameters: Some(parameters), ..Default::default() });
    let found = times(&series(3), &scan, Preparation::T2Preparation, TimesFrom::Auto)
        .expect("they are there");
    assert_eq!(found.times_ms, [0.0, 25.0, 55.0]);
    let error = times(&series(4), &scan, Preparation::T2Preparation, TimesFrom::Auto)
        .expect_err("one is missing");
    assert!(error.to_string().contains("no T2PrepDuration_3 for 4 images"), "{error}");
}

#[test]
fn what_is_written_into_meta_attributes_is_found_there() {
    let mut series = molli();
    let stack = series.stacks().expect("a good shape")[0];
    let found = times(&series, &with_ti(&EXACT), Preparation::Inversion, TimesFrom::Auto)
        .expect("they agree");
    write_times(&mut series, &stack, Preparation::Inversion, &found);
    series.acquisition_headers = None;
    let again = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto)
        .expect("in the meta");
    assert_eq!((again.times_ms, again.inversions), (found.times_ms, found.inversions));
    assert_eq!(again.source, TimesFrom::Meta);
    assert_eq!(series.meta[3].get("GADGETRON_TI"), Some("180"));
}

#[test]
fn an_image_that_others_count_from_must_be_there() {
    for (missing, is_fatal) in [(0, true), (1, false), (3, true), (4, false)] {
        let mut series = molli();
        if let Some(lines) = &mut series.acquisition_headers {
            for y in 0..3 {
                lines[[0, 0, missing, 0, y]].version = 0;
            }
        }
        let found = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto);
        assert_eq!(found.is_err(), is_fatal, "image {missing}: {found:?}");
        // The header knows them all.
        series
            .data
            .slice_each_axis_mut(|axis| {
                if axis.axis.index() == 2 {
                    ndarray::Slice::from(missing..=missing)
                } else {
                    ndarray::Slice::from(..)
                }
            })
            .fill(Complex32::ZERO);
        assert!(times(&series, &with_ti(&EXACT), Preparation::Inversion, TimesFrom::Auto).is_ok());
    }
}

#[test]
fn times_that_cannot_be_are_refused() {
    for wrong in [-5.0, 0.0, f32::NAN, 1e6] {
        let mut ti = EXACT;
        ti[2] = wrong;
        let found = times(&series(5), &with_ti(&ti), Preparation::Inversion, TimesFrom::Auto);
        assert!(
            matches!(found, Err(TimesError::Implausible { image: 3, .. })),
            "{wrong}: {found:?}"
        );
    }
}

#[test]
fn a_group_has_one_first_time() {
    let mut series = molli();
    for line in series.acquisition_headers.iter_mut().flatten() {
        if line.acquisition_time_stamp >= 34_559_800 && line.user_int[5] == 1 {
            line.user_int[4] = 130;
        }
    }
    let error = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto)
        .expect_err("two first times");
    assert!(matches!(error, TimesError::Contradiction { image: 3, n_images: 5, .. }), "{error}");
    assert!(error.to_string().contains("130.0 ms by its user_int[4] and 100.0 ms"), "{error}");
}

#[test]
fn an_image_that_was_not_read_has_no_time() {
    let mut series = molli();
    let stack = series.stacks().expect("a good shape")[0];
    if let Some(lines) = &mut series.acquisition_headers {
        (0..3).for_each(|y| lines[[0, 0, 1, 0, y]].version = 0);
    }
    series.data.index_axis_mut(ndarray::Axis(2), 1).fill(Complex32::ZERO);
    let found = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto)
        .expect("those of the others");
    assert!(found.times_ms[1].is_nan());
    assert_eq!(found.times_ms[2], 2100.0);
    write_times(&mut series, &stack, Preparation::Inversion, &found);
    assert_eq!(series.meta[1].get("InversionTime"), None);
    series.acquisition_headers = None;
    let again = times(&series, &Scan::default(), Preparation::Inversion, TimesFrom::Auto)
        .expect("in the meta");
    assert!(again.times_ms[1].is_nan() && again.times_ms[4] == 1180.0, "{again:?}");
}

#[test]
fn the_header_of_several_slices_is_a_plan_that_stamps_go_before() {
    let with_slices = |ti: &[f32], n_slices: u16| {
        let mut scan = with_ti(ti);
        let mut encoding = ismrmrd::xml::Encoding::default();
        encoding.encoding_limits.slice = Some(ismrmrd::xml::Limit::up_to(n_slices - 1, 0));
        if let Some(header) = &mut scan.header {
            header.encoding = vec![encoding];
        }
        scan
    };
    let find = |scan: &Scan| times(&molli(), scan, Preparation::Inversion, TimesFrom::Auto);
    let planned = [100.0, 1230.0, 2200.0, 180.0, 1050.0];
    let found = find(&with_slices(&planned, 3)).expect("the stamps");
    assert_eq!(found.times_ms, [100.0, 1100.0, 2100.0, 180.0, 1180.0]);
    assert!(found.note.is_some_and(|note| note.contains("those of one slice")));
    assert!(find(&with_slices(&planned, 1)).is_err(), "one slice");
    let mut shuffled = planned;
    shuffled.swap(1, 2);
    assert!(find(&with_slices(&shuffled, 3)).is_err(), "another order");
    let mut late = planned;
    late[3] = 230.0;
    assert!(find(&with_slices(&late, 3)).is_err(), "another first time");
}

#[test]
fn images_that_did_not_arrive_are_noticed_by_the_list_and_by_the_limit() {
    let mut series = molli();
    let stack = series.stacks().expect("a good shape")[0];
    let expected = |series: &ImageSeries, scan: &Scan| {
        expected_images(series, &stack, scan, Preparation::Inversion)
    };
    assert_eq!(expected(&series, &with_ti(&EXACT)), None);
    assert_eq!(expected(&series, &with_ti(&[100.0])), None);
    assert_eq!(expected(&series, &with_ti(&[100.0; 7])), Some(7));
    let mut encoding = ismrmrd::xml::Encoding::default();
    encoding.encoding_limits.set = Some(ismrmrd::xml::Limit::up_to(5, 0));
    let header = Header { encoding: vec![encoding], ..Default::default() };
    let scan = Scan::with_header(header);
    assert_eq!(expected(&series, &scan), None, "which counter they differ in is not known");
    series.n = Some(crate::Counter::Set);
    assert_eq!(expected(&series, &scan), Some(6));
}
