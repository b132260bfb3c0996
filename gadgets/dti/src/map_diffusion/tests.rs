use ismrmrd::{DataType, Pixels};
use ndarray::{Array4, s};
use pipeline::{Message, run_gadget};

use super::*;
use crate::test_heart::{self, encodings, weighted_series};

fn run(config: Config, inputs: Vec<SeriesOrLabels>) -> (Vec<ParametricMap>, Vec<String>) {
    let (messages, notes) =
        run_gadget::<MapDiffusion>(config, &Scan::default(), inputs).expect("it runs");
    let maps = messages.into_iter().filter_map(|message| match message {
        Message::ParametricMap(map) => Some(map),
        _ => None,
    });
    (maps.collect(), notes)
}

fn heart() -> ImageSeries {
    let encodings = encodings(12);
    weighted_series(&test_heart::images(&encodings, |_| [0.0; 2]), &encodings)
}

fn labels(name: &str) -> SeriesOrLabels {
    let mut pixels = Array4::<u16>::zeros((1, 1, test_heart::SIZE, test_heart::SIZE));
    for (y, x) in test_heart::wall(0.0) {
        pixels[[0, 0, y, x]] = 2;
    }
    let mut meta = Meta::new();
    meta.set("DataRole", "Segmentation");
    meta.append("ImageComments", format!("labels: 1 blood, 2 {name}"));
    SeriesOrLabels::Image(Image::new(ImageHeader::default(), meta, Pixels::U16(pixels)))
}

#[track_caller]
fn map<'a>(maps: &'a [ParametricMap], quantity: &str) -> &'a ParametricMap {
    maps.iter().find(|map| map.quantity == quantity).unwrap_or_else(|| panic!("{quantity}"))
}

/// Largest difference from what is expected, a pixel away from the wall's borders.
fn error(map: &ParametricMap, expected: impl Fn(usize, usize) -> f32) -> f32 {
    let of = |(y, x): (usize, usize)| (map.values[[0, y, x]] - expected(y, x)).abs();
    test_heart::wall(1.0).into_iter().map(of).fold(0.0, f32::max)
}

#[test]
fn maps_have_the_values_of_the_tensor_whatever_the_fit() {
    for fit in [Fit::Linear, Fit::Weighted, Fit::NonLinear, Fit::Robust] {
        let config = Config { fit, ..Config::default() };
        let (maps, notes) = run(config, vec![labels("myocardium"), heart().into()]);
        assert!(notes.is_empty(), "{notes:?}");
        // A pixel away from blood a four-hundredth of it is left in the images.
        for (quantity, expected, limit) in
            [("MD", test_heart::MD, 0.02), ("FA", test_heart::FA, 0.01)]
        {
            let error = error(map(&maps, quantity), |_, _| expected);
            assert!(error < limit, "{fit:?}: {quantity} {error}");
        }
        // Borders of pixels are stairs, which the axes follow by a few degrees.
        assert!(error(map(&maps, "HA"), test_heart::helix_deg) < 4.0);
        assert!(error(map(&maps, "ABS_E2A"), |_, _| test_heart::ABS_E2A_DEG) < 6.0);
        let of_zero = error(map(&maps, "NEGATIVE_EIGENVALUES"), |_, _| 0.0);
        assert_eq!(of_zero, 0.0);
    }
    let (maps, _) = run(Config::default(), vec![labels("myocardium"), heart().into()]);
    // 120 degrees over the wall.
    assert!(error(map(&maps, "HA_SLOPE"), |_, _| 1.2) < 0.15);
    assert_eq!(map(&maps, "HA_SLOPE").unit.symbol(), "deg/%");
    for (quantity, colors) in [
        ("MD", Some("batlow")),
        ("FA", Some("batlow")),
        ("HA", Some("vikO")),
        ("E2A", Some("vikO")),
        ("ABS_E2A", Some("batlow")),
        ("HA_SLOPE", Some("vik")),
        ("S0", None),
    ] {
        assert_eq!(map(&maps, quantity).presentation.values.color_map, colors, "{quantity}");
    }
    let mode = map(&maps, "MODE").values[[0, 31, 43]];
    // Eigenvalues 1.8, 1.2, 0.9.
    assert!((mode - 0.577).abs() < 0.05, "{mode}");
    let s0 = map(&maps, "S0").values[[0, 31, 43]];
    assert!((s0 / 100.0 - 1.0).abs() < 0.01, "{s0}");
    let sd = map(&maps, "MD").sd.as_ref().expect("asked for");
    // No noise: what is left is single precision and blood.
    assert!(sd[[0, 31, 43]] < 0.01);
    assert_eq!(maps[0].verdict, Some(Verdict::Accept));
    let told = maps[0].meta.values(REMARK_KEY);
    assert!(told.iter().any(|remark| remark.starts_with("wall, medians: MD 1.3")), "{told:?}");
}

#[test]
fn without_labels_the_wall_is_found_and_where_there_is_none_there_are_no_angles() {
    let (maps, notes) = run(Config::default(), vec![labels("liver"), heart().into()]);
    assert!(notes.is_empty(), "{notes:?}");
    assert!(error(map(&maps, "HA"), test_heart::helix_deg) < 10.0);
    let told = maps[0].meta.values(REMARK_KEY);
    assert!(told.iter().any(|remark| remark == "wall found in the maps themselves"), "{told:?}");
    // A picture without a heart.
    let mut flat = heart();
    for n in 0..flat.headers.len() {
        let value = flat.data[[0, 0, n, 0, 0, 0, 0]];
        flat.data.slice_mut(s![0, 0, n, .., .., .., ..]).fill(value);
    }
    let (maps, notes) = run(Config::default(), vec![flat.into()]);
    assert!(notes.iter().any(|note| note.starts_with("no angles of fibres")), "{notes:?}");
    assert!(maps.iter().all(|map| map.quantity != "HA"));
    assert!(matches!(&maps[0].verdict, Some(Verdict::Check(why)) if why.contains("not found")));
    let md = map(&maps, "MD").values[[0, 5, 5]];
    assert!((md - 1.5).abs() < 1e-3, "{md}");
}

#[test]
fn negative_angles_survive_integers_and_lead_back_to_their_values() {
    let (maps, _) = run(Config::default(), vec![labels("myocardium"), heart().into()]);
    for quantity in ["HA", "TA", "E2A", "MODE", "HA_SLOPE", "S0", "MD"] {
        let map = map(&maps, quantity).clone();
        let half = 0.5 / map.presentation.values.integer_scale.unwrap_or(map.unit.integer_scale());
        let values = map.values.clone();
        let image = map.into_images_as(DataType::U16, 4095).remove(0);
        let Pixels::U16(stored) = &image.pixels else { panic!("integers") };
        let number = |key| image.meta.get_f64(key).expect("it leads back") as f32;
        let (slope, intercept) = (number("RescaleSlope"), number("RescaleIntercept"));
        for (y, x) in test_heart::wall(1.0) {
            let (value, stored) = (values[[0, y, x]], stored[[0, 0, y, x]]);
            let back = slope * f32::from(stored) + intercept;
            assert!(
                stored > 0 && (back - value).abs() <= 1.01 * half,
                "{quantity}: {value} {back}"
            );
        }
        assert_eq!(stored[[0, 0, 0, 0]] == 0, values[[0, 0, 0]] == 0.0, "{quantity}");
    }
    let helix = map(&maps, "HA");
    assert!(test_heart::wall(1.0).iter().any(|(y, x)| helix.values[[0, *y, *x]] < -20.0));
}

#[test]
fn rejected_images_do_not_count_and_many_of_them_are_told() {
    let encodings: Vec<_> = encodings(12).repeat(2);
    let mut images = test_heart::images(&encodings, |_| [0.0; 2]);
    let lost = [3, 6, 9, 15, 18, 21];
    for n in lost {
        images.index_axis_mut(Axis(0), n).fill(1.0);
    }
    let mut series = weighted_series(&images, &encodings);
    for n in lost {
        series.meta[n].set(REJECTED_KEY, "1 % of the expected signal");
    }
    let (maps, _) = run(Config::default(), vec![labels("myocardium"), series.into()]);
    assert!(error(map(&maps, "MD"), |_, _| test_heart::MD) < 0.02);
    let Some(Verdict::Check(why)) = &maps[0].verdict else { panic!("6 of 26 are many") };
    assert!(why.contains("6 of 26 images left out"), "{why}");
}

#[test]
fn what_tells_no_tensor_is_an_error_and_properties_are_checked() {
    for config in [
        Config { mask_share: 1.5, ..Config::default() },
        Config { slope_margin: 0.5, ..Config::default() },
        Config { noise_sd: Some(f64::NAN), ..Config::default() },
    ] {
        let error = MapDiffusion::new(config, &Scan::default()).err();
        assert!(matches!(error, Some(SeriesError::Property { .. })), "{error:?}");
    }
    let error = |series: ImageSeries| {
        let input = [SeriesOrLabels::ImageSeries(series)];
        run_gadget::<MapDiffusion>(Config::default(), &Scan::default(), input).err()
    };
    let images = test_heart::images(&encodings(12), |_| [0.0; 2]);
    assert_eq!(error(test_heart::series(&images)), Some(SeriesError::NoWeighting));
    let few = encodings(5);
    let series = weighted_series(&test_heart::images(&few, |_| [0.0; 2]), &few);
    let refused = error(series);
    assert!(matches!(refused, Some(SeriesError::Encodings(_))), "{refused:?}");
}
