//! Diffusion of the heart through the real server: maps of a simulated scan against its truth, and
//! what becomes of scans whose weightings are wrong.

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Image, Meta};
use ndarray::Array2;
use phantom::{
    Body, Diffusion, DiffusionHeart, DiffusionOptions, MixingTime, Motion, Noise, Rhythm, Setup,
    ShortAxisOptions, ShotOptions, SimulatedScan, Subject, Weighting,
};
use support::recording::{Recording, values, with_role};
use support::{Client, TestServer, images, texts};

const EDGE: usize = 96;

fn sequence(weighting: Weighting) -> Diffusion {
    Diffusion {
        weighting,
        n_averages: 2,
        n_dummy_shots: 1,
        // Straight lines of 96 take longer than an echo-planar train.
        echo_time_ms: 110.0,
        epi: None,
        shots: ShotOptions { dropout_probability: 0.0, ..ShotOptions::default() },
        refinement: 2,
        ..Diffusion::default()
    }
}

fn scan(sequence: &Diffusion, rhythm: Rhythm) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [EDGE, EDGE],
        field_of_view_mm: [270.0, 270.0],
        n_channels: 2,
        motion: Motion::still(rhythm),
        noise: Noise::Sd(2e-4),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
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

/// Pixels of the wall that have wall around them.
fn deep(heart: &DiffusionHeart) -> Vec<(usize, usize)> {
    let mask = heart.myocardium_mask();
    let (n_y, n_x) = mask.dim();
    let is_deep =
        |&(y, x): &(usize, usize)| (y - 1..y + 2).all(|y| (x - 1..x + 2).all(|x| mask[[y, x]]));
    let inner = (1..n_y - 1).flat_map(|y| (1..n_x - 1).map(move |x| (y, x)));
    inner.filter(is_deep).collect()
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
    let regular = Rhythm::default();
    // The wall is three pixels thick beside blood that is far brighter at this echo time, so MD and
    // FA are only held to be near; images without k-space are held to a hundredth below.
    for (weighting, md, fa) in [
        (Weighting::SpinEcho, 0.35, 0.12),
        (Weighting::StimulatedEcho(MixingTime::default()), 0.45, 0.15),
    ] {
        let scan = scan(&sequence(weighting), regular.clone());
        let heart = truth(&scan);
        let places = deep(&heart);
        assert!(places.len() >= 50, "{}", places.len());
        // Straight lines here: the chain without the steps of the echo-planar train.
        let chain = include_str!("../config/cdti.toml");
        let chain = chain
            .replace("use = \"regrid_epi\"", "use = \"remove_oversampling\"")
            .replace("[[gadget]]\nuse = \"correct_epi_phase\"\n\n", "")
            .replace("[[gadget]]\nuse = \"transform_readout\"\n\n", "");
        let mut client = Client::open_with(&server, &chain, &scan.header().to_xml());
        scan.acquisitions().for_each(|readout| client.send(readout));
        client.send(Message::Close);
        let answer = client.read_to_close();
        let told: Vec<String> = texts(&answer).into_iter().map(str::to_owned).collect();
        let images = images(answer);
        assert!(with_role(&images, "HA").is_some(), "{told:?}");
        let of = |map: ndarray::ArrayView2<'_, f32>| -> Array2<f32> { map.to_owned() };
        let (mds, fas, has, e2s) = (
            of(heart.mean_diffusivity_map_um2_per_ms()),
            of(heart.fractional_anisotropy_map()),
            of(heart.helix_angle_map_deg()),
            of(heart.e2_angle_map_deg()),
        );
        let errors = [
            error_of(&images, "MD", &places, |at| mds[at]),
            error_of(&images, "FA", &places, |at| fas[at]),
            error_of(&images, "HA", &places, |at| has[at]),
            error_of(&images, "ABS_E2A", &places, |at| e2s[at].abs()),
        ];
        println!(
            "{weighting:?}: MD {:.3}, FA {:.3}, HA {:.1}, |E2A| {:.1}",
            errors[0], errors[1], errors[2], errors[3]
        );
        assert!(errors[0] < md && errors[1] < fa, "{weighting:?}: {errors:?}");
        assert!(errors[2] < 8.0 && errors[3] < 12.0, "{weighting:?}: {errors:?}");
        let map = with_role(&images, "HA").expect("a map");
        assert_eq!(map.meta.get("BoresideUnit"), Some("deg"));
        assert_eq!(map.meta.get("DataRole"), Some("Quantitative"));
        assert!(map.meta.get("BoresideVerdict").is_some());
        for role in ["MDSD", "FASD", "HASD", "MODE", "TA", "HA_SLOPE", "NEGATIVE_EIGENVALUES", "S0"]
        {
            assert!(with_role(&images, role).is_some(), "{role}: {told:?}");
        }
    }
    server.stop();
}

#[test]
fn weightings_that_are_missing_or_contradict_the_images_are_an_error_that_says_so() {
    let server = TestServer::start(&[]);
    let scan =
        scan(&Diffusion { n_averages: 1, ..sequence(Weighting::SpinEcho) }, Rhythm::default());
    let whole = Recording::of(&scan);
    let changed = |change: &dyn Fn(&mut Vec<ismrmrd::xml::Diffusion>)| {
        let mut recording = whole.clone();
        let parameters = recording.header.sequence_parameters.as_mut().expect("there are some");
        change(&mut parameters.diffusion);
        recording
    };
    let chain = include_str!("../config/cdti.toml")
        .replace("use = \"regrid_epi\"", "use = \"remove_oversampling\"")
        .replace("[[gadget]]\nuse = \"correct_epi_phase\"\n\n", "")
        .replace("[[gadget]]\nuse = \"transform_readout\"\n\n", "");
    for (recording, expected) in [
        (changed(&|table| table.clear()), "nothing tells b-values and directions"),
        (changed(&|table| table.truncate(9)), "the table of weightings has 9 entries"),
        (changed(&|table| table.swap(0, 5)), "is not in the order of the images"),
        (
            changed(&|table| {
                let same = table[1].clone();
                table[2..].iter_mut().for_each(|entry| *entry = same.clone());
            }),
            "of the tensor's 7 unknowns",
        ),
    ] {
        let mut client = Client::open_with(&server, &chain, &recording.header.to_xml());
        recording.readouts.iter().for_each(|readout| client.send(readout.clone()));
        client.send(Message::Close);
        let answer = client.read_to_close();
        let told: Vec<String> = texts(&answer).into_iter().map(str::to_owned).collect();
        assert!(told.iter().any(|text| text.contains(expected)), "{told:?}, expected {expected:?}");
        assert!(with_role(&images(answer), "MD").is_none(), "{expected}");
    }
    server.stop();
}

#[test]
fn images_that_are_sent_directly_with_their_weightings_become_maps() {
    let scan =
        scan(&Diffusion { n_averages: 1, ..sequence(Weighting::SpinEcho) }, Rhythm::default());
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
    let places = deep(&heart);
    let helix = heart.helix_angle_map_deg();
    let anisotropy = heart.fractional_anisotropy_map();
    let (ha, fa) = (
        error_of(&images, "HA", &places, |at| helix[at]),
        error_of(&images, "FA", &places, |at| anisotropy[at]),
    );
    let diffusivity = heart.mean_diffusivity_map_um2_per_ms();
    let md = error_of(&images, "MD", &places, |at| diffusivity[at]);
    println!("images without noise: HA {ha:.2} deg, FA {fa:.4}, MD {md:.4} um2/ms");
    assert!(ha < 3.0 && fa < 0.01 && md < 0.01, "{ha} {fa} {md}");
    server.stop();
}
