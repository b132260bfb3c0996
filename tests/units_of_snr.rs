//! Units of SNR through the real server: noise goes in, and comes out of every stage with a
//! standard deviation of 1 in the real and in the imaginary part. (The stages of readouts are in
//! `gadgets/acquisition/tests/snr_units.rs`.)

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Acquisition, AcquisitionFlags, Pixels};
use num_complex::Complex32;
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, Noise, NoiseScan, Setup, SimulatedScan, Subject,
    Undersampling,
};
use support::{Client, TestServer, texts};

const FFT: &str = include_str!("../config/Generic_Cartesian_FFT.xml");
const GRAPPA: &str = include_str!("../config/Generic_Cartesian_Grappa.xml");
const DEFAULT: &str = include_str!("../config/default.xml");

/// Some 10 000 pixels: the standard error of a deviation is 0.7 %.
const TOLERANCE: f64 = 0.02;

/// A scan whose lines for the image are noise and whose calibration lines show the phantom: coil
/// maps that were made of the same noise would favour it.
fn noise_only(acceleration: usize) -> (String, Vec<Acquisition>) {
    let scan = |noise| {
        let setup = Setup {
            matrix_size: [112, 96],
            n_channels: 4,
            noise,
            noise_scan: Some(NoiseScan { n_readouts: 128, sample_time_us: 5.0 }),
            lines: LineOptions {
                undersampling: Undersampling::Regular { acceleration },
                calibration: CalibrationLines::Separate(32),
                ..LineOptions::default()
            },
            ..Setup::new(Subject::SheppLogan)
        };
        SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup")
    };
    let (noisy, clean) = (scan(Noise::Sd(1e-3)), scan(Noise::Sd(1e-9)));
    let mut readouts: Vec<_> = noisy.acquisitions().collect();
    for (readout, clean) in readouts.iter_mut().zip(clean.acquisitions()) {
        let is_image = !readout.header.has_any(
            AcquisitionFlags::IS_NOISE_MEASUREMENT | AcquisitionFlags::IS_PARALLEL_CALIBRATION,
        );
        if is_image {
            readout.data -= &clean.data;
        }
    }
    (noisy.header().to_xml(), readouts)
}

/// The chain up to and with the gadget of this class, and then what sends its results.
fn up_to(chain: &str, class: &str, then: &[&str]) -> String {
    let class = format!("<classname>{class}</classname>");
    let at = chain.find(&class).unwrap_or_else(|| panic!("{class} is in the chain"));
    let gadget = &chain[at..];
    let end = at + gadget.find("</gadget>").expect("a gadget ends") + "</gadget>".len();
    let then: String = then
        .iter()
        .map(|class| format!("<gadget><dll>-</dll><classname>{class}</classname></gadget>"))
        .collect();
    format!("{}{then}</stream></configuration>", &chain[..end])
}

fn send(
    server: &TestServer,
    chain: &str,
    (header, readouts): &(String, Vec<Acquisition>),
) -> Vec<Message> {
    let mut client = Client::open_with(server, chain, header);
    readouts.iter().for_each(|readout| client.send(readout.clone()));
    client.send(Message::Close);
    let answer = client.read_to_close();
    assert_eq!(texts(&answer), [""; 0], "of {chain}");
    answer
}

/// Standard deviation of the real and of the imaginary parts.
fn deviations<'a>(values: impl Iterator<Item = &'a Complex32>) -> [f64; 2] {
    let (mut squares, mut n) = ([0.0, 0.0], 0.0);
    for value in values {
        squares[0] += f64::from(value.re).powi(2);
        squares[1] += f64::from(value.im).powi(2);
        n += 1.0;
    }
    squares.map(|square: f64| (square / n).sqrt())
}

#[track_caller]
fn check(stage: &str, found: [f64; 2], expected: f64) {
    for found in found {
        assert!((found / expected - 1.0).abs() < TOLERANCE, "after {stage}: {found}");
    }
}

fn complex(messages: Vec<Message>) -> Vec<ndarray::Array4<Complex32>> {
    let images = support::images(messages).into_iter().map(|image| match image.pixels {
        Pixels::C32(pixels) => pixels,
        other => panic!("complex images, not {:?}", other.data_type()),
    });
    images.collect()
}

#[test]
fn noise_has_a_standard_deviation_of_1_after_each_stage_of_the_fft_chain() {
    let server = TestServer::start(&[]);
    let scan = noise_only(1);
    for stage in [
        "GenericReconCartesianFFTGadget",
        "GenericReconPartialFourierHandlingFilterGadget",
        "GenericReconKSpaceFilteringGadget",
        "GenericReconFieldOfViewAdjustmentGadget",
        "GenericReconImageArrayScalingGadget",
    ] {
        let chain = up_to(FFT, stage, &["ImageArraySplitGadget", "ImageFinishGadget"]);
        let [image] = &complex(send(&server, &chain, &scan))[..] else { panic!("one image") };
        check(stage, deviations(image.iter()), 1.0);
    }
    server.stop();
}

#[test]
fn noise_over_the_g_factor_has_a_standard_deviation_of_1_after_each_stage_of_the_grappa_chain() {
    let server = TestServer::start(&[]);
    let scan = noise_only(2);
    // All channels, so that the g-factor is that of the image; and the map with it.
    let chain = GRAPPA.replace(
        "<property name=\"send_out_gfactor\" value=\"false\"/>",
        "<property name=\"send_out_gfactor\" value=\"true\"/>",
    );
    assert_ne!(chain, GRAPPA);
    for (stage, factor) in [
        ("GenericReconCartesianGrappaGadget", 1.0),
        ("GenericReconPartialFourierHandlingFilterGadget", 1.0),
        ("GenericReconKSpaceFilteringGadget", 1.0),
        ("GenericReconFieldOfViewAdjustmentGadget", 1.0),
        ("GenericReconImageArrayScalingGadget", 10.0),
    ] {
        let chain = up_to(&chain, stage, &["ImageArraySplitGadget", "ImageFinishGadget"]);
        let images = complex(send(&server, &chain, &scan));
        let [map, image] = &images[..] else { panic!("a map and an image, not {}", images.len()) };
        let map_factor = if factor == 1.0 { 1.0 } else { 100.0 };
        let ratios: Vec<_> = image
            .iter()
            .zip(map)
            .filter(|(_, g_factor)| g_factor.re > 0.0)
            .map(|(value, g_factor)| value / (g_factor.re / map_factor))
            .collect();
        assert!(ratios.len() > 9000);
        check(stage, deviations(ratios.iter()), factor);
    }
    server.stop();
}

#[test]
fn the_default_chain_leaves_the_deviation_of_the_noise_as_it_came() {
    // It does not whiten. √Σ|x|² over the channels: n channels have 2n components.
    let server = TestServer::start(&[]);
    let (header, readouts) = noise_only(1);
    let readouts = readouts
        .into_iter()
        .filter(|readout| {
            !readout.header.has_any(
                AcquisitionFlags::IS_NOISE_MEASUREMENT | AcquisitionFlags::IS_PARALLEL_CALIBRATION,
            )
        })
        .map(|mut readout| {
            readout.data.mapv_inplace(|value| value * 1e3);
            readout
        });
    let answer = send(&server, DEFAULT, &(header, readouts.collect()));
    let [image] = &support::images(answer)[..] else { panic!("one image") };
    let Pixels::F32(pixels) = &image.pixels else { panic!("floats") };
    let n_components = 2.0 * 4.0;
    let squares: f64 = pixels.iter().map(|value| f64::from(*value).powi(2)).sum();
    let found = (squares / (pixels.len() as f64 * n_components)).sqrt();
    check("default.xml", [found, found], 1.0);
    server.stop();
}
