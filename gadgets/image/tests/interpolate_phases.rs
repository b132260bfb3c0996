//! Phases between the images of a simulated heart, against the images that were left out.

use image::InterpolatePhases;
use image::interpolate_phases::{Config, Method};
use ismrmrd::{Image, ImageHeader, Meta, Pixels};
use ndarray::{Array2, Axis};
use num_complex::Complex32;
use phantom::{
    Breathing, CardiacCycle, Cine, Gating, Motion, Rhythm, Setup, ShortAxisOptions, SimulatedScan,
    Subject,
};
use pipeline::{Message, Scan, run_gadget};

/// An image every 40 ms of a heart that beats once a second.
const FRAME_MS: f64 = 40.0;
const RR_MS: f64 = 1000.0;
const PHASES: usize = 25;

fn heart() -> SimulatedScan {
    let setup = Setup {
        matrix_size: [48, 20],
        n_channels: 1,
        motion: Motion {
            rhythm: Rhythm::default(),
            breathing: Breathing::still(),
            cycle: CardiacCycle::default(),
        },
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    let cine = Cine {
        gating: Gating::RealTime { n_images: 101 },
        repetition_time_ms: FRAME_MS / 20.0,
        ..Cine::default()
    };
    SimulatedScan::new(&cine, setup).expect("a good setup")
}

fn squared_error(image: &Array2<Complex32>, truth: &Array2<Complex32>) -> f64 {
    image.iter().zip(truth).map(|(a, b)| f64::from((a - b).norm_sqr())).sum()
}

#[test]
fn phases_between_images_are_nearer_to_the_heart_than_the_nearest_image() {
    let scan = heart();
    let truth: Vec<_> = (0..101).map(|frame| scan.object_image(frame)).collect();
    // The first image counts as the R wave: in a regular rhythm any moment will do.
    let start_ms = scan.plan().frames[0].time_ms;
    let sources = (0..101).step_by(2).map(|frame| {
        let time_ms = scan.plan().frames[frame].time_ms - start_ms;
        let header = ImageHeader {
            acquisition_time_stamp: 400 + (time_ms / 2.5).round() as u32,
            physiology_time_stamp: [((time_ms % RR_MS) / 2.5).round() as u32, 0, 0],
            ..ImageHeader::default()
        };
        let pixels = truth[frame].clone().insert_axis(Axis(0)).insert_axis(Axis(0));
        Image::new(header, Meta::new(), pixels)
    });
    let sources: Vec<_> = sources.collect();
    for interp_method in [Method::Spline, Method::BSpline] {
        let config = Config {
            phases: PHASES as u16,
            send_source: false,
            interp_method,
            ..Config::default()
        };
        let (phases, reports) =
            run_gadget::<InterpolatePhases>(config, &Scan::default(), sources.clone())
                .expect("there are beats");
        assert!(reports.is_empty(), "{reports:?}");
        let (mut error, mut nearest, mut moved) = (0.0, 0.0, 0.0);
        for (number, message) in phases.iter().enumerate() {
            let Message::Image(image) = message else { panic!("an image") };
            let Pixels::C32(pixels) = &image.pixels else { panic!("complex") };
            let pixels = pixels.index_axis(Axis(0), 0).index_axis(Axis(0), 0).to_owned();
            // The first beat is no complete one.
            let frame = PHASES + number;
            if frame % 2 == 1 {
                error += squared_error(&pixels, &truth[frame]);
                nearest += squared_error(&truth[frame - 1], &truth[frame]);
                moved += squared_error(&truth[PHASES], &truth[frame]);
            }
        }
        assert_eq!(phases.len(), 3 * PHASES, "three beats lie between R waves that were seen");
        let root = |sum: f64| (sum / moved).sqrt();
        println!(
            "{interp_method:?}: error {:.3} of the heart's motion, nearest image {:.3}",
            root(error),
            root(nearest)
        );
        assert!(root(error) < 0.5 * root(nearest), "{} against {}", root(error), root(nearest));
    }
}
