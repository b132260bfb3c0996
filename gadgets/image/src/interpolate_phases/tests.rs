use super::*;
use ismrmrd::Meta;
use pipeline::{Message, run_gadget};

/// What a pixel shows at this part of a cycle.
fn course(cycle: f64, x: usize) -> Complex32 {
    let angle = std::f64::consts::TAU * cycle + x as f64;
    Complex32::new((10.0 + 3.0 * angle.cos()) as f32, (2.0 * angle.sin()) as f32)
}

/// Images every 30 ms of a heart with these R waves, from the moment `first_ms` on.
fn images(r_waves_ms: &[f64], first_ms: f64) -> Vec<Image> {
    let last_ms = r_waves_ms.last().expect("there are some");
    let n = ((last_ms - first_ms) / 30.0) as usize;
    let image = |number: usize| {
        let time_ms = first_ms + 30.0 * number as f64;
        let beat = r_waves_ms.partition_point(|r_wave| *r_wave <= time_ms) - 1;
        let since_ms = time_ms - r_waves_ms[beat];
        let cycle = since_ms / (r_waves_ms[beat + 1] - r_waves_ms[beat]);
        let header = ImageHeader {
            slice: 2,
            phase: number as u16,
            image_index: number as u16 + 1,
            image_series_index: 1,
            acquisition_time_stamp: 1000 + (time_ms / 2.5).round() as u32,
            physiology_time_stamp: [(since_ms / 2.5).round() as u32, 0, 7],
            ..ImageHeader::default()
        };
        let pixels = Array4::from_shape_fn((1, 1, 1, 4), |(.., x)| course(cycle, x));
        Image::new(header, Meta::from_iter([("key", "value")]), pixels)
    };
    (0..n).map(image).collect()
}

fn run(config: Config, images: Vec<Image>) -> Result<(Vec<Image>, Vec<String>), Error> {
    let (outputs, reports) = run_gadget::<InterpolatePhases>(config, &Scan::default(), images)?;
    let images = outputs.into_iter().map(|message| match message {
        Message::Image(image) => image,
        other => panic!("{:?} came out", other.kind()),
    });
    Ok((images.collect(), reports))
}

fn phases_only() -> Config {
    Config { send_source: false, phases: 20, ..Config::default() }
}

/// Largest difference from what the heart shows, over its largest value.
fn error(image: &Image, cycle: f64) -> f32 {
    let Pixels::C32(pixels) = &image.pixels else { panic!("complex stays complex") };
    let differences = pixels.iter().enumerate().map(|(x, v)| (v - course(cycle, x)).norm() / 13.0);
    differences.fold(0.0, f32::max)
}

#[test]
fn phases_of_every_complete_beat_show_the_heart_at_their_part_of_the_cycle() {
    let r_waves = [0.0, 900.0, 1850.0, 2700.0, 3600.0];
    for interp_method in [Method::Spline, Method::BSpline] {
        let config = Config { interp_method, ..phases_only() };
        let (phases, reports) = run(config, images(&r_waves, 200.0)).expect("there are beats");
        assert!(reports.is_empty(), "{reports:?}");
        // The last R wave comes after the last image.
        assert_eq!(phases.len(), 2 * 20);
        for (number, image) in phases.iter().enumerate() {
            let (beat, phase) = (number / 20, number % 20);
            // Ticks of 2.5 ms are a 360th of a cycle; phases of different beats meet at R waves.
            let error = error(image, phase as f64 / 20.0);
            assert!(error < 0.02, "beat {beat}, phase {phase}: {error}");
        }
    }
}

#[test]
fn headers_say_phase_and_trigger_time_and_the_role_is_retro() {
    let r_waves = [0.0, 900.0, 1900.0, 2800.0];
    let (phases, _) = run(phases_only(), images(&r_waves, 0.0)).expect("there is a beat");
    assert_eq!(phases.len(), 20, "of the one beat between two R waves that were seen");
    for (phase, image) in phases.iter().enumerate() {
        let header = image.header;
        assert_eq!({ header.phase }, phase as u16);
        assert_eq!({ header.image_index }, 2 * 20 + phase as u16 + 1);
        assert_eq!({ header.image_series_index }, 10);
        assert_eq!({ header.slice }, 2);
        // A twentieth of 1000 ms is 20 ticks.
        let stamps = header.physiology_time_stamp;
        assert!(stamps[0].abs_diff(20 * phase as u32) <= 1, "phase {phase}: {stamps:?}");
        let clock = 1000 + 360 + 20 * phase as u32;
        assert!(header.acquisition_time_stamp.abs_diff(clock) <= 2, "phase {phase}");
        assert_eq!(image.meta.get("GADGETRON_DataRole"), Some("ImageRetro"));
        assert_eq!(image.meta.get("key"), Some("value"));
        let trigger_time = image.meta.get_f64("TriggerTime").expect("it is set");
        assert!((trigger_time - 50.0 * phase as f64).abs() < 3.0, "{trigger_time}");
    }
}

#[test]
fn the_source_goes_first_and_one_beat_is_enough_where_it_is_wanted() {
    let r_waves = [0.0, 900.0, 1800.0, 2700.0, 3600.0];
    let sources = images(&r_waves, 0.0);
    let config = Config { mode: Mode::Complete, first_beat_on_trigger: true, ..Config::default() };
    let (all, _) = run(config, sources.clone()).expect("there are beats");
    assert_eq!(all.len(), sources.len() + 30);
    assert_eq!(all[..sources.len()], sources);
    assert!(error(&all[sources.len()], 0.0) < 0.02, "the first beat began with the scan");
    assert!(all[sources.len()..].iter().all(|image| image.header.image_series_index == 10));
}

#[test]
fn irregular_beats_are_left_out_with_a_word() {
    let r_waves = [0.0, 900.0, 1800.0, 2700.0, 3200.0, 4600.0, 5500.0, 6400.0];
    let (phases, reports) = run(phases_only(), images(&r_waves, 100.0)).expect("there are beats");
    let series: Vec<_> =
        phases.iter().step_by(20).map(|image| image.header.image_series_index).collect();
    assert_eq!(series, [10, 20, 50]);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("2 of 5 beats") && reports[0].contains("1400"), "{reports:?}");
}

#[test]
fn without_an_ecg_the_error_says_so() {
    let mut sources = images(&[0.0, 900.0, 1800.0, 2700.0], 0.0);
    for image in &mut sources {
        image.header.physiology_time_stamp = [0; 3];
    }
    let n_images = sources.len();
    let error = run(Config::default(), sources).expect_err("there is no R wave");
    assert_eq!(error, Error::NoBeat { slice: 2, n_images, n_triggers: 0 });
}

#[test]
fn what_cannot_be_interpolated_passes_with_one_warning() {
    let mut inputs = Vec::new();
    for _ in 0..2 {
        inputs.push(Image::new(
            ImageHeader::default(),
            Meta::new(),
            Array4::<u16>::zeros((1, 1, 2, 2)),
        ));
    }
    let (outputs, reports) = run(Config::default(), inputs.clone()).expect("they pass");
    assert_eq!((outputs, reports.len()), (inputs, 1));
}

#[test]
fn properties_without_sense_are_refused() {
    let scan = Scan::default();
    let clock = Config { physiology_time_index: 3, ..Config::default() };
    assert_eq!(InterpolatePhases::new(clock, &scan).err(), Some(Error::Clock(3)));
    for config in [
        Config { phases: 0, ..Config::default() },
        Config { time_stamp_resolution_ms: f64::NAN, ..Config::default() },
    ] {
        assert!(matches!(InterpolatePhases::new(config, &scan).err(), Some(Error::Range { .. })));
    }
}
