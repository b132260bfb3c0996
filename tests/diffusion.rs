//! Diffusion of the heart through the real server: maps of a simulated scan against its truth, and
//! what becomes of scans whose weightings are wrong.

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Image, Meta};
use phantom::{
    Body, CalibrationLines, Diffusion, DiffusionHeart, DiffusionOptions, EpiOptions, LineOptions,
    MixingTime, Motion, Noise, Rhythm, RhythmOptions, Setup, ShortAxisOptions, ShotOptions,
    SimulatedScan, Subject, Undersampling, Weighting,
};
use support::recording::{Recording, values, with_role};
use support::{Client, TestServer, images, texts};

/// Pixels of the images that are sent directly.
const EDGE: usize = 96;
const FIELD_OF_VIEW_MM: f64 = 270.0;

fn sequence(weighting: Weighting) -> Diffusion {
    Diffusion {
        weighting,
        n_averages: 2,
        n_dummy_shots: 1,
        // 128 lines fit before the echo.
        epi: Some(EpiOptions {
            n_samples: 256,
            dwell_time_us: 1.6,
            ramp_up_time_us: 60,
            flat_top_time_us: 360,
            ramp_down_time_us: 60,
            echo_spacing_us: 500.0,
            ..EpiOptions::default()
        }),
        shots: ShotOptions { dropout_probability: 0.0, ..ShotOptions::default() },
        refinement: 3,
        ..Diffusion::default()
    }
}

/// The same with straight lines, which take longer than an echo-planar train.
fn straight(weighting: Weighting) -> Diffusion {
    Diffusion { echo_time_ms: 110.0, epi: None, refinement: 2, ..sequence(weighting) }
}

fn setup(edge: usize) -> Setup {
    Setup {
        matrix_size: [edge, edge],
        field_of_view_mm: [FIELD_OF_VIEW_MM; 2],
        n_channels: 2,
        motion: Motion::still(Rhythm::default()),
        noise: Noise::Sd(2e-4),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    }
}

fn scan(sequence: &Diffusion, setup: Setup) -> SimulatedScan {
    SimulatedScan::new(sequence, setup).expect("a good setup")
}

/// The truth at the centres of the images' pixels.
fn truth(scan: &SimulatedScan) -> DiffusionHeart {
    let Body::Anatomy(anatomy) = &scan.bodies()[0] else { panic!("a body of tissues") };
    let setup = scan.setup();
    DiffusionHeart::new(
        anatomy,
        &DiffusionOptions::default(),
        setup.matrix_size,
        setup.field_of_view_mm,
    )
    .expect("a heart")
}

/// Pixels whose centre is so many pixels away from the wall's borders.
fn inside(heart: &DiffusionHeart, margin_px: f64) -> Vec<(usize, usize)> {
    let wall = heart.left_ventricle();
    let n = heart.matrix_size()[0];
    let pixel_mm = FIELD_OF_VIEW_MM / n as f64;
    let place = |index: usize| (index as f64 - (n / 2) as f64) * pixel_mm;
    let [x_mm, y_mm] = wall.center_mm;
    let margin_mm = margin_px * pixel_mm;
    let radii = wall.endocardial_radius_mm + margin_mm..=wall.epicardial_radius_mm - margin_mm;
    (0..n * n)
        .map(|at| (at / n, at % n))
        .filter(|(y, x)| radii.contains(&(place(*x) - x_mm).hypot(place(*y) - y_mm)))
        .collect()
}

/// Median differences of MD, FA, HA and |E2A| from the truth.
#[track_caller]
fn errors(images: &[Image], heart: &DiffusionHeart, places: &[(usize, usize)]) -> [f32; 4] {
    let (md, fa) = (heart.mean_diffusivity_map_um2_per_ms(), heart.fractional_anisotropy_map());
    let (ha, e2a) = (heart.helix_angle_map_deg(), heart.e2_angle_map_deg());
    [
        error_of(images, "MD", places, |at| md[at]),
        error_of(images, "FA", places, |at| fa[at]),
        error_of(images, "HA", places, |at| ha[at]),
        error_of(images, "ABS_E2A", places, |at| e2a[at].abs()),
    ]
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// Median difference in size of a map and its truth over these pixels that have a value.
#[track_caller]
fn error_of(
    images: &[Image],
    role: &str,
    places: &[(usize, usize)],
    truth: impl Fn((usize, usize)) -> f32,
) -> f32 {
    let map = values(with_role(images, role).unwrap_or_else(|| panic!("a map of {role}")));
    let errors: Vec<f32> = places
        .iter()
        .filter(|(y, x)| map[[0, 0, *y, *x]] != 0.0)
        .map(|&(y, x)| {
            let difference = (map[[0, 0, y, x]] - truth((y, x))).abs();
            // Angles of lines are the same half a turn on.
            if role.ends_with('A') && role != "FA" {
                difference.min(180.0 - difference)
            } else {
                difference
            }
        })
        .collect();
    assert!(errors.len() * 10 > places.len() * 8, "{role}: {} of {}", errors.len(), places.len());
    median(errors)
}

#[test]
fn maps_of_a_simulated_heart_have_its_diffusion_and_its_fibres() {
    let server = TestServer::start(&[]);
    for weighting in [Weighting::SpinEcho, Weighting::StimulatedEcho(MixingTime::default())] {
        let scan = scan(&sequence(weighting), setup(128));
        let heart = truth(&scan);
        // A pixel and a half of 2.1 mm: nearer to blood, pixels are part blood.
        let places = inside(&heart, 1.5);
        assert!(places.len() >= 60, "{}", places.len());
        let recording = Recording::of(&scan);
        let (images, told) = recording.through(&server, "cdti");
        assert!(with_role(&images, "HA").is_some(), "{told:?}");
        assert!(!told.iter().any(|text| text.starts_with("WARNING")), "{told:?}");
        let found = errors(&images, &heart, &places);
        println!("{weighting:?}: MD, FA, HA, |E2A| off by {found:.3?} of {} pixels", places.len());
        assert!(found[0] < 0.04, "3 % of 1.3: {found:?}");
        assert!(found[1] < 0.03 && found[2] < 5.0 && found[3] < 6.0, "{found:?}");
        let map = with_role(&images, "HA").expect("a map");
        assert_eq!(map.meta.get("BoresideUnit"), Some("deg"));
        assert_eq!(map.meta.get("DataRole"), Some("Quantitative"));
        assert!(map.meta.get("BoresideVerdict").is_some());
        for (role, colors) in [("MD", "batlow"), ("FA", "batlow"), ("HA", "vikO"), ("E2A", "vikO")]
        {
            let map = with_role(&images, role).expect("a map");
            assert_eq!(map.meta.get("BoresideColorMap"), Some(colors), "{role}");
        }
        for role in ["MDSD", "FASD", "HASD", "MODE", "TA", "HA_SLOPE", "NEGATIVE_EIGENVALUES", "S0"]
        {
            assert!(with_role(&images, role).is_some(), "{role}: {told:?}");
        }
        if weighting == Weighting::SpinEcho {
            // What the filter is for: blood rings into the wall, in the image without weighting
            // alone.
            let unfiltered = include_str!("../config/cdti.toml")
                .replace("readout_sigma = 1.5", "readout_window = \"none\"")
                .replace("encoding_step_1_sigma = 1.5", "encoding_step_1_window = \"none\"");
            let (images, _) = recording.through_text(&server, &unfiltered);
            let ringing = errors(&images, &heart, &places);
            println!("without the filter: {ringing:.3?}");
            assert!(ringing[0] > 2.0 * found[0], "{ringing:?}");
        }
    }
    server.stop();
}

#[test]
fn straight_lines_become_maps_with_all_lines_and_with_every_other() {
    let server = TestServer::start(&[]);
    for acceleration in [1, 2] {
        let calibration = match acceleration {
            1 => CalibrationLines::None,
            _ => CalibrationLines::Embedded(24),
        };
        let lines = LineOptions {
            undersampling: Undersampling::Regular { acceleration },
            calibration,
            ..LineOptions::default()
        };
        let sequence = Diffusion { n_averages: 1, ..straight(Weighting::SpinEcho) };
        let scan = scan(&sequence, Setup { lines, n_channels: 8, ..setup(96) });
        let heart = truth(&scan);
        let places = inside(&heart, 1.2);
        let (images, told) = Recording::of(&scan).through(&server, "cdti_cartesian");
        assert!(with_role(&images, "HA").is_some(), "{told:?}");
        let found = errors(&images, &heart, &places);
        println!("every {acceleration}: {found:.3?} of {} pixels", places.len());
        // Pixels of 2.8 mm, and blood that is six times as bright as the wall at this echo time.
        assert!(found[0] < 0.15 && found[1] < 0.06, "{found:?}");
        assert!(found[2] < 6.0 && found[3] < 9.0, "{found:?}");
    }
    server.stop();
}

#[test]
fn a_stimulated_echos_maps_do_not_change_with_an_unsteady_rhythm() {
    let server = TestServer::start(&[]);
    let weighting = Weighting::StimulatedEcho(MixingTime::default());
    let options = RhythmOptions { variability: 0.08, ..RhythmOptions::default() };
    let motion = Motion::still(Rhythm::new(&options).expect("a rhythm"));
    let scan = scan(&sequence(weighting), Setup { motion, ..setup(128) });
    let heart = truth(&scan);
    let places = inside(&heart, 1.5);
    let (images, told) = Recording::of(&scan).through(&server, "cdti");
    assert!(told.iter().any(|text| text.contains("real intervals of R waves")), "{told:?}");
    let found = errors(&images, &heart, &places);
    println!("unsteady rhythm: {found:.3?}");
    assert!(found[0] < 0.06 && found[1] < 0.04, "{found:?}");
    server.stop();
}

#[test]
fn weightings_that_are_missing_or_contradict_the_images_are_an_error_that_says_so() {
    let server = TestServer::start(&[]);
    let scan = scan(&Diffusion { n_averages: 1, ..straight(Weighting::SpinEcho) }, setup(64));
    let whole = Recording::of(&scan);
    let changed = |change: &dyn Fn(&mut Vec<ismrmrd::xml::Diffusion>)| {
        let mut recording = whole.clone();
        let parameters = recording.header.sequence_parameters.as_mut().expect("there are some");
        change(&mut parameters.diffusion);
        recording
    };
    for (recording, expected) in [
        (changed(&|table| table.clear()), "nothing tells b-values and directions"),
        (changed(&|table| table.truncate(9)), "the table of weightings has 9 entries"),
        (changed(&|table| table.swap(0, 5)), "is not in the order of the images"),
        (
            changed(&|table| {
                let same = table[1];
                table[2..].iter_mut().for_each(|entry| *entry = same);
            }),
            "of the tensor's 7 unknowns",
        ),
    ] {
        let (images, told) = recording.through(&server, "cdti_cartesian");
        assert!(told.iter().any(|text| text.contains(expected)), "{told:?}, expected {expected:?}");
        assert!(with_role(&images, "MD").is_none(), "{expected}");
    }
    server.stop();
}

#[test]
fn images_that_are_sent_directly_with_their_weightings_become_maps() {
    let scan = scan(&Diffusion { n_averages: 1, ..straight(Weighting::SpinEcho) }, setup(EDGE));
    let heart = truth(&scan);
    let server = TestServer::start(&[]);
    let mut client = Client::open(&server, "cdti_images", &scan.header().to_xml());
    let table =
        scan.header().sequence_parameters.as_ref().expect("there are some").diffusion.clone();
    let tensor = heart.tensor_um2_per_ms();
    for (repetition, entry) in table.iter().enumerate() {
        let g =
            [entry.gradient_direction.rl, entry.gradient_direction.ap, entry.gradient_direction.fh];
        let b = 1e-3 * entry.bvalue;
        let pixels = ndarray::Array4::from_shape_fn((1, 1, EDGE, EDGE), |(_, _, y, x)| {
            let d = |k: usize| tensor[[k, y, x]];
            let exponent = g[0] * g[0] * d(0)
                + 2.0 * g[0] * g[1] * d(1)
                + 2.0 * g[0] * g[2] * d(2)
                + g[1] * g[1] * d(3)
                + 2.0 * g[1] * g[2] * d(4)
                + g[2] * g[2] * d(5);
            if d(0) > 0.0 { 100.0 * (-b * exponent).exp() } else { 0.0 }
        });
        let mut header = ismrmrd::ImageHeader {
            matrix_size: [EDGE as u16, EDGE as u16, 1],
            field_of_view: [270.0, 270.0, 8.0],
            channels: 1,
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            repetition: repetition as u16,
            ..Default::default()
        };
        header.image_type = ismrmrd::ImageType::Magnitude as u16;
        client.send(Image::new(header, Meta::new(), pixels));
    }
    client.send(Message::Close);
    let answer = client.read_to_close();
    let told: Vec<String> = texts(&answer).into_iter().map(str::to_owned).collect();
    let images = images(answer);
    assert!(with_role(&images, "HA").is_some(), "{told:?}");
    let [md, fa, ha, _] = errors(&images, &heart, &inside(&heart, 1.0));
    println!("images without noise: HA {ha:.2} deg, FA {fa:.4}, MD {md:.4} um2/ms");
    assert!(ha < 3.0 && fa < 0.01 && md < 0.01, "{ha} {fa} {md}");
    server.stop();
}
