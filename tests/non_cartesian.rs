//! Spirals and spokes through the real server, against the truth, Cartesian images and what others
//! made of the same recording.

mod support;

use std::path::Path;

use ismrmrd::hdf5::FileReader;
use ismrmrd::wire::Message;
use ismrmrd::{Acquisition, AcquisitionFlags, Pixels};
use ndarray::{Array2, Array4, s};
use num_complex::Complex32;
use phantom::{
    Encoding, GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, SpiralOptions, SpokeAngles,
    Subject,
};
use support::{Client, TestServer, images, reconstruct, run_well, shared, texts};

const SNR: &str = include_str!("../config/Generic_Spiral_SNR.xml");

fn spiral(n_arms: usize) -> GradientEcho {
    // With turns 1 / FOV apart an object that fills the image folds into itself.
    let options = SpiralOptions {
        n_arms,
        field_of_view_factor: 1.25,
        peripheral_undersampling: 1.0,
        ..SpiralOptions::default()
    };
    GradientEcho {
        encoding: Encoding::Spiral(options),
        repetition_time_ms: 30.0,
        ..GradientEcho::default()
    }
}

fn radial(n_spokes: usize, angles: SpokeAngles) -> GradientEcho {
    GradientEcho {
        encoding: Encoding::Radial { n_spokes, angles },
        repetition_time_ms: 30.0,
        ..GradientEcho::default()
    }
}

fn heart(n_channels: usize) -> Setup {
    Setup {
        matrix_size: [96, 96],
        n_channels,
        noise: Noise::SignalToNoise(200.0),
        noise_scan: Some(NoiseScan { n_readouts: 32, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(Default::default()))
    }
}

fn magnitude(image: &ismrmrd::Image) -> Array2<f32> {
    image.pixels.to_magnitude().slice(s![0, 0, .., ..]).to_owned()
}

fn truth(scan: &SimulatedScan) -> Array2<f32> {
    scan.image(0).mapv(|pixel| pixel.norm())
}

fn correlation(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    let mean = |a: &Array2<f32>| a.iter().map(|v| f64::from(*v)).sum::<f64>() / a.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    ab / (aa * bb).sqrt()
}

/// ‖a·scale − b‖ / ‖b‖ with the best scale.
fn error(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    let scale = (a * b).sum() / (a * a).sum();
    support::relative_error(&a.mapv(|value| value * scale), b)
}

#[test]
fn spirals_and_spokes_show_the_heart_where_cartesian_lines_show_it() {
    let server = TestServer::start(&[]);
    let cartesian = SimulatedScan::new(
        &GradientEcho { repetition_time_ms: 30.0, ..GradientEcho::default() },
        heart(6),
    )
    .expect("a good setup");
    let [lines] = &images(reconstruct(&server, "cartesian_fft", &cartesian))[..] else {
        panic!("one image")
    };
    for (name, sequence) in [
        ("spiral", spiral(24)),
        ("uniform spokes", radial(160, SpokeAngles::Uniform(160))),
        ("golden spokes", radial(160, SpokeAngles::Golden)),
    ] {
        let scan = SimulatedScan::new(&sequence, heart(6)).expect("a good setup");
        for chain in ["Generic_Spiral.xml", "Generic_CPU_Gridding_Recon.xml", "non_cartesian"] {
            let answer = reconstruct(&server, chain, &scan);
            let warned = texts(&answer).iter().any(|text| text.starts_with("WARN"));
            assert!(!warned, "{name}, {chain}: {:?}", texts(&answer));
            let [image] = &images(answer)[..] else { panic!("one image of {name}, {chain}") };
            let pixels = magnitude(image);
            let found = correlation(&pixels, &truth(&scan));
            println!("{name}, {chain}: correlation with the truth {found:.4}");
            // The corners of k-space are not sampled: the edges ring otherwise.
            assert!(found > 0.985, "{name}, {chain}: {found}");
            // Mirrored or turned it would not fit.
            let lines_of = magnitude(lines);
            let found = correlation(&pixels, &lines_of);
            assert!(found > 0.96, "{name}, {chain}: {found} with Cartesian lines");
            for other in [pixels.t().to_owned(), pixels.slice(s![..;-1, ..]).to_owned()] {
                assert!(correlation(&other, &lines_of) < found - 0.05, "{name}, {chain}");
            }
            for (ours, theirs) in [
                (image.header.position, lines.header.position),
                (image.header.read_dir, lines.header.read_dir),
                (image.header.phase_dir, lines.header.phase_dir),
                (image.header.field_of_view, lines.header.field_of_view),
            ] {
                assert_eq!(ours, theirs, "{name}, {chain}");
            }
        }
    }
    server.stop();
}

#[test]
fn sense_of_a_complete_spiral_shows_shepp_and_logans_phantom() {
    let server = TestServer::start(&[]);
    let setup = Setup { matrix_size: [96, 96], n_channels: 6, ..Setup::new(Subject::SheppLogan) };
    for (name, sequence) in [
        ("12 arms", spiral(12)),
        ("24 arms", spiral(24)),
        ("48 arms", spiral(48)),
        ("160 spokes", radial(160, SpokeAngles::Uniform(160))),
    ] {
        let scan = SimulatedScan::new(&sequence, setup.clone()).expect("a good setup");
        let [gridded, sense] = ["non_cartesian", "non_cartesian_sense"].map(|chain| {
            let [image] = &images(reconstruct(&server, chain, &scan))[..] else {
                panic!("one image of {name}")
            };
            error(&magnitude(image), &truth(&scan))
        });
        println!("Shepp-Logan, {name}: relative error of gridding {gridded:.3}, SENSE {sense:.3}");
        // What the corners of k-space hold of sharp edges.
        assert!(sense < 0.1 && gridded < 0.1, "{name}: {sense}, {gridded}");
    }
    server.stop();
}

/// The readouts of a scan, of those for the image every second one only.
fn every_second(scan: &SimulatedScan) -> Vec<Acquisition> {
    let is_image =
        |readout: &Acquisition| !readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT);
    let mut n = 0;
    scan.acquisitions()
        .filter(|readout| {
            n += usize::from(is_image(readout));
            !is_image(readout) || n % 2 == 1
        })
        .collect()
}

fn send(server: &TestServer, chain: &str, header: &str, readouts: &[Acquisition]) -> Vec<Message> {
    let mut client = Client::open(server, chain, header);
    readouts.iter().for_each(|readout| client.send(readout.clone()));
    client.send(Message::Close);
    client.read_to_close()
}

#[test]
fn every_second_arm_folds_by_gridding_and_not_by_sense() {
    let server = TestServer::start(&[]);
    let scan = SimulatedScan::new(&spiral(24), heart(8)).expect("a good setup");
    let (header, readouts) = (scan.header().to_xml(), every_second(&scan));
    let gridded = send(&server, "non_cartesian", &header, &readouts);
    assert!(texts(&gridded).iter().any(|text| text.contains("fold")), "{:?}", texts(&gridded));
    let of = |answer| {
        let [image] = &images(answer)[..] else { panic!("one image") };
        error(&magnitude(image), &truth(&scan))
    };
    let all: Vec<Acquisition> = scan.acquisitions().collect();
    let complete = of(send(&server, "non_cartesian", &header, &all));
    let (gridded, sense) =
        (of(gridded), of(send(&server, "non_cartesian_sense", &header, &readouts)));
    println!(
        "relative error: all arms {complete:.3}; half: gridding {gridded:.3}, SENSE {sense:.3}"
    );
    // Of all arms the missing corners of k-space are left. Of half of them the coil maps are made
    // too, whose centre of k-space is undersampled as well.
    assert!(
        complete < 0.1 && sense < 0.7 * gridded && sense < 0.2,
        "{complete}, {gridded}, {sense}"
    );
    server.stop();
}

#[test]
fn noise_has_a_standard_deviation_of_1() {
    let server = TestServer::start(&[]);
    let scan =
        |noise| SimulatedScan::new(&spiral(24), Setup { noise, ..heart(4) }).expect("a good setup");
    let (noisy, clean) = (scan(Noise::Sd(1e-3)), scan(Noise::Sd(1e-9)));
    // One channel, whose map does not depend on the noise.
    let mut readouts: Vec<Acquisition> = noisy.acquisitions().collect();
    for (readout, clean) in readouts.iter_mut().zip(clean.acquisitions()) {
        if !readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            readout.data -= &clean.data;
        }
        readout.data = readout.data.slice(s![..1, ..]).to_owned();
        readout.header.active_channels = 1;
    }
    let at =
        SNR.find("<gadget><dll>gadgetron_mricore</dll><classname>GenericReconImageArrayScaling");
    let chain = format!(
        "{}<gadget><dll>-</dll><classname>ImageArraySplitGadget</classname></gadget>\
         <gadget><dll>-</dll><classname>ImageFinishGadget</classname></gadget>\
         </stream></configuration>",
        &SNR[..at.expect("the scaling is in the chain")]
    );
    let mut client = Client::open_with(&server, &chain, &noisy.header().to_xml());
    readouts.iter().for_each(|readout| client.send(readout.clone()));
    client.send(Message::Close);
    let [image] = &images(client.read_to_close())[..] else { panic!("one image") };
    let Pixels::C32(pixels) = &image.pixels else { panic!("complex pixels") };
    let sd = |of: fn(&Complex32) -> f32, pixels: &Array4<Complex32>| {
        let sum: f64 = pixels.iter().map(|value| f64::from(of(value)).powi(2)).sum();
        (sum / pixels.len() as f64).sqrt()
    };
    for found in [sd(|value| value.re, pixels), sd(|value| value.im, pixels)] {
        // 9216 pixels, and the noise scan's own error of 32 readouts.
        assert!((found - 1.0).abs() < 0.05, "{found}");
    }
    server.stop();
}

fn pixels_of(path: &Path, group: &str) -> Vec<ismrmrd::Image> {
    let file = FileReader::open_group(path, group).expect("a file of images");
    let names = file.image_names().expect("readable");
    let of = |name: &String| {
        let images = file.images(name).expect("the series is there");
        images.collect::<Result<Vec<_>, _>>().expect("readable")
    };
    names.iter().flat_map(of).collect()
}

#[test]
fn a_simulated_spiral_of_others_is_as_its_authors_have_it() {
    let Some(raw) = shared("raw/jemris_spiral_15arm.h5") else { return };
    let Some(reference) = shared("reference/authors_jemris_spiral_15arm.h5") else { return };
    let group = FileReader::groups(&reference).expect("readable").remove(0);
    let theirs = pixels_of(&reference, &group);
    let theirs = magnitude(&theirs[0]);
    let folder = tempfile::tempdir().expect("a folder");
    for chain in ["non_cartesian", "Generic_Spiral.xml"] {
        let out = folder.path().join(format!("{chain}.h5"));
        let (raw, out_path) = (raw.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        run_well(&["replay", raw, "--chain", chain, "-o", out_path, "--log", "warn"]);
        let ours = pixels_of(&out, "dataset");
        let [ours] = &ours[..] else { panic!("one image, not {}", ours.len()) };
        let ours = magnitude(ours);
        let found = correlation(&ours, &theirs);
        println!("{chain}: correlation with the authors' image {found:.4}");
        assert!(found > 0.98, "{chain}: {found}");
    }
}

#[test]
fn what_cannot_be_reconstructed_is_told() {
    let server = TestServer::start(&[]);
    let setup = Setup { matrix_size: [32, 32], n_channels: 2, ..Setup::new(Subject::SheppLogan) };
    let scan = SimulatedScan::new(&spiral(8), setup).expect("a good setup");
    let header = scan.header().to_xml();
    let readouts: Vec<Acquisition> = scan.acquisitions().collect();
    let answer = |change: &dyn Fn(&mut Acquisition)| {
        let mut readouts = readouts.clone();
        readouts.iter_mut().for_each(change);
        send(&server, "non_cartesian", &header, &readouts)
    };
    let said =
        |answer: &[Message], word: &str| texts(answer).iter().any(|text| text.contains(word));
    let without = answer(&|readout| {
        readout.trajectory = Array2::zeros((0, 0));
        readout.header.trajectory_dimensions = 0;
    });
    assert!(said(&without, "carry no trajectory"), "{:?}", texts(&without));
    let not_finite = answer(&|readout| readout.trajectory[[3, 1]] = f32::NAN);
    assert!(said(&not_finite, "position 3"), "{:?}", texts(&not_finite));
    let flat = answer(&|readout| {
        readout.trajectory = Array2::zeros((readout.n_samples(), 1));
        readout.header.trajectory_dimensions = 1;
    });
    assert!(said(&flat, "2 or 3 dimensions"), "{:?}", texts(&flat));
    let centre = answer(&|readout| readout.trajectory.fill(0.0));
    assert!(said(&centre, "are 0"), "{:?}", texts(&centre));
    for answer in [without, not_finite, flat, centre] {
        assert!(images(answer).is_empty());
    }
    let far = answer(&|readout| readout.trajectory.mapv_inplace(|k| k * 1e20));
    assert!(said(&far, "trajectory_unit"), "{:?}", texts(&far));
    let wide = answer(&|readout| readout.trajectory.mapv_inplace(|k| k * 1.3));
    assert!(said(&wide, "beyond the edge"), "{:?}", texts(&wide));
    let holes = answer(&|readout| readout.data[[0, 7]] = Complex32::new(f32::NAN, 0.0));
    assert!(said(&holes, "not finite numbers"), "{:?}", texts(&holes));
    let [image] = &images(holes)[..] else { panic!("one image") };
    assert!(magnitude(image).iter().all(|pixel| pixel.is_finite()));
    // No readouts: no image, no fault.
    let nothing = send(&server, "non_cartesian", &header, &[]);
    assert!(images(nothing).is_empty());
    // Cartesian chains say that they are not made for it.
    for chain in ["default.xml", "Generic_Cartesian_Grappa.xml", "Generic_Cartesian_Spirit.xml"] {
        let answer = send(&server, chain, &header, &readouts);
        let told = texts(&answer).iter().any(|text| {
            text.contains("spiral") && text.contains("Cartesian") || text.starts_with("ERROR")
        });
        assert!(told, "{chain}: {:?}", texts(&answer));
    }
    server.stop();
}
