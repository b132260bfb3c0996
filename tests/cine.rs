//! Real-time cine: frames at once, and cardiac phases out of them.

mod support;

use ismrmrd::Image;
use ismrmrd::wire::Message;
use phantom::{Breathing, CardiacCycle, Cine, Gating, Motion, Rhythm, Setup, ShortAxisOptions};
use phantom::{SimulatedScan, Subject};
use support::{Client, TestServer, images, reconstruct, relative_error, texts};

/// A frame every 40 ms of a heart that beats once a second.
fn heart(n_images: usize) -> SimulatedScan {
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
    let cine =
        Cine { gating: Gating::RealTime { n_images }, repetition_time_ms: 2.0, ..Cine::default() };
    SimulatedScan::new(&cine, setup).expect("a good setup")
}

/// The next image; what is told meanwhile is no error.
fn next_image(client: &mut Client) -> Image {
    loop {
        match client.read() {
            Some(Message::Image(image)) => return image,
            Some(message) => assert_no_errors(&[message]),
            None => panic!("the connection ended"),
        }
    }
}

/// That there is no noise scan is told.
fn assert_no_errors(messages: &[Message]) {
    let told = texts(messages);
    assert!(told.iter().all(|text| text.contains("no noise scan")), "{told:?}");
}

#[test]
fn each_frame_of_a_real_time_cine_is_sent_before_the_next_begins() {
    let server = TestServer::start(&[]);
    let scan = heart(4);
    let mut client = Client::open(&server, "realtime_cine", &scan.header().to_xml());
    let readouts: Vec<_> = scan.acquisitions().collect();
    for (number, frame) in readouts.chunks(20).enumerate() {
        frame.iter().for_each(|readout| client.send(readout.clone()));
        // Nothing more is sent until it is there.
        let image = next_image(&mut client);
        assert_eq!(usize::from(image.header.phase), number);
        let truth = scan.object_image(number).mapv(|pixel| pixel.norm());
        let error = relative_error(&image.pixels.to_magnitude(), &truth);
        assert!(error < 1e-4, "frame {number}: {error}");
    }
    client.send(Message::Close);
    assert!(images(client.read_to_close()).is_empty());
    server.stop();
}

#[test]
fn cardiac_phases_follow_the_frames() {
    let server = TestServer::start(&[]);
    let scan = heart(85);
    let answer = reconstruct(&server, "retro_cine", &scan);
    assert_no_errors(&answer);
    let images = images(answer);
    let (frames, phases) = images.split_at(85);
    assert!(frames.iter().all(|image| image.header.image_series_index == 0));
    let truth = scan.plan();
    for (image, frame) in frames.iter().zip(&truth.frames) {
        let since_ms = 2.5 * f64::from({ image.header.physiology_time_stamp }[0]);
        assert!((since_ms - frame.since_trigger_ms).abs() <= 3.0, "{since_ms}");
    }
    // 3.4 s from an R wave on: the second and the third beat are complete.
    assert_eq!(phases.len(), 60);
    for (number, image) in phases.iter().enumerate() {
        assert_eq!(usize::from(image.header.phase), number % 30);
        assert_eq!(usize::from(image.header.image_series_index), 10 * (number / 30 + 1));
        assert_eq!(image.meta.get("GADGETRON_DataRole"), Some("ImageRetro"));
    }
    // A regular heart looks the same in both beats.
    for (first, second) in phases[..30].iter().zip(&phases[30..]) {
        let error = relative_error(&first.pixels.to_magnitude(), &second.pixels.to_magnitude());
        assert!(error < 1e-3, "phase {}: {error}", { first.header.phase });
    }
    server.stop();
}
