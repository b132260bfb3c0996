//! Denoised diffusion maps through the real server: fewer averages, less noise in the maps.

mod support;

use ismrmrd::Image;
use phantom::{
    Diffusion, EpiOptions, Motion, Noise, Rhythm, Setup, ShortAxisOptions, ShotOptions,
    SimulatedScan, Subject,
};
use support::TestServer;
use support::networks::has_runtime;
use support::recording::{Recording, values, with_role};

/// A scan of 12 directions whose wall has a signal-to-noise ratio of 10 without weighting.
fn scan() -> SimulatedScan {
    let sequence = Diffusion {
        n_averages: 2,
        n_dummy_shots: 1,
        epi: Some(EpiOptions {
            n_samples: 192,
            dwell_time_us: 2.0,
            ramp_up_time_us: 60,
            flat_top_time_us: 340,
            ramp_down_time_us: 60,
            echo_spacing_us: 480.0,
            ..EpiOptions::default()
        }),
        shots: ShotOptions { dropout_probability: 0.0, ..ShotOptions::default() },
        refinement: 3,
        ..Diffusion::default()
    };
    let setup = Setup {
        matrix_size: [96, 96],
        field_of_view_mm: [270.0; 2],
        n_channels: 4,
        motion: Motion::still(Rhythm::default()),
        noise: Noise::SignalToNoise(10.0),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(&sequence, setup).expect("a good setup")
}

/// Values of a map at the pixels of the ring from 25 to 29 mm: the wall without its borders.
#[track_caller]
fn of_wall(images: &[Image], role: &str) -> Vec<f32> {
    let map = values(with_role(images, role).unwrap_or_else(|| panic!("a map of {role}")));
    let pixel_mm = 270.0 / 96.0;
    let radius_mm = |y: usize, x: usize| (y as f64 - 48.0).hypot(x as f64 - 48.0) * pixel_mm;
    map.indexed_iter()
        .filter(|((.., y, x), value)| (25.0..=29.0).contains(&radius_mm(*y, *x)) && **value != 0.0)
        .map(|(_, value)| *value)
        .collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn sd(values: &[f32]) -> f32 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
}

#[test]
fn denoised_maps_have_less_noise_and_the_same_diffusivity() {
    let server = TestServer::start(&[]);
    let recording = Recording::of(&scan());
    let denoised = include_str!("../config/cdti_denoised.toml");
    // The same steps without the denoiser: both have the filter at the end.
    let plain = denoised.replace(
        "use = \"denoise_diffusion\"\n",
        "use = \"denoise_diffusion\"\nmethod = \"none\"\n",
    );
    let (noisy, told) = recording.through_text(&server, &plain);
    let (images, _) = recording.through(&server, "cdti_denoised");
    let before = (of_wall(&noisy, "MD"), of_wall(&noisy, "FA"));
    let after = (of_wall(&images, "MD"), of_wall(&images, "FA"));
    println!(
        "{} pixels, MD {:.3} +- {:.3} to {:.3} +- {:.3}, FA {:.3} +- {:.3} to {:.3} +- {:.3}",
        before.0.len(),
        mean(&before.0),
        sd(&before.0),
        mean(&after.0),
        sd(&after.0),
        mean(&before.1),
        sd(&before.1),
        mean(&after.1),
        sd(&after.1)
    );
    assert!(before.0.len() > 60, "{told:?}");
    assert!(sd(&after.0) < 0.9 * sd(&before.0) && sd(&after.1) < sd(&before.1));
    assert!((mean(&after.0) / mean(&before.0) - 1.0).abs() < 0.05);
    let map = with_role(&images, "MD").expect("a map");
    // The network where there is a runtime for it.
    let method = map.meta.get("BoresideDenoising").expect("a method");
    assert_eq!(method.starts_with("network diffusion_denoising"), has_runtime(), "{method}");
    let history = map.meta.values("ImageProcessingHistory");
    assert!(history.iter().any(|step| step == "DENOISE"), "{history:?}");
    server.stop();
}

#[test]
fn a_network_that_is_not_there_is_replaced_by_mp_pca_with_a_warning() {
    let server = TestServer::start(&[]);
    let recording = Recording::of(&scan());
    let chain = include_str!("../config/cdti_denoised.toml").replace(
        "use = \"denoise_diffusion\"\n",
        "use = \"denoise_diffusion\"\nmethod = \"network\"\nnetwork = \"no_such_network\"\n",
    );
    let (images, told) = recording.through_text(&server, &chain);
    assert!(told.iter().any(|text| text.contains("MP-PCA is used instead")), "{told:?}");
    let map = with_role(&images, "MD").expect("a map");
    assert_eq!(map.meta.get("BoresideDenoising"), Some("MP-PCA"));
    server.stop();
}
