//! Noise that one scan leaves for later ones, through the real server.

mod support;

use ismrmrd::wire::{Message, Writer};
use ismrmrd::xml::MeasurementDependency;
use ismrmrd::{Acquisition, AcquisitionFlags, Header, Meta};
use phantom::{GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, Subject};
use support::{Client, TestServer, boreside, images, run_well, texts};

const CHAIN: &str = "[[gadget]]\nuse = \"adjust_noise\"\n[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\ntrigger_dimension = \"repetition\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\nuse = \"reconstruct_fft\"\n[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \"extract\"\n";

fn scan() -> SimulatedScan {
    let setup = Setup {
        matrix_size: [32, 32],
        n_channels: 2,
        noise: Noise::Sd(0.5),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::SheppLogan)
    };
    SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup")
}

/// The scan's header with an id and the id of the noise scan that it needs.
fn header(scan: &SimulatedScan, id: Option<&str>, needs: Option<&str>) -> String {
    let mut header: Header = scan.header().clone();
    let measurement = header.measurement_information.get_or_insert_default();
    measurement.measurement_id = id.map(str::to_owned);
    measurement.measurement_dependency = needs
        .map(|id| MeasurementDependency {
            dependency_type: "Noise".to_owned(),
            measurement_id: id.to_owned(),
        })
        .into_iter()
        .collect();
    header.to_xml()
}

fn is_noise(readout: &Acquisition) -> bool {
    readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT)
}

fn send(mut client: Client, readouts: impl Iterator<Item = Acquisition>) -> Vec<Message> {
    readouts.for_each(|readout| client.send(readout));
    client.send(Message::Close);
    client.read_to_close()
}

/// Writes a scan as a stream.
fn write_stream(path: &str, header: &str, readouts: impl Iterator<Item = Acquisition>) {
    let mut writer = Writer::new(std::fs::File::create(path).expect("a file"));
    let header = Message::Header(header.to_owned());
    let messages = std::iter::once(header).chain(readouts.map(Message::from));
    for message in messages.chain([Message::Close]) {
        writer.write(&message).expect("written");
    }
    writer.flush().expect("written");
}

/// Sends the scan's noise readouts as a measurement of their own.
fn send_noise(server: &TestServer, id: Option<&str>) -> Vec<Message> {
    let scan = scan();
    let header = header(&scan, id, None);
    let client = Client::open(server, "default_measurement_dependencies.xml", &header);
    send(client, scan.acquisitions().filter(is_noise))
}

/// Sends the rest of the scan, which needs the noise of that measurement.
fn send_data(server: &TestServer, needs: &str) -> Vec<Message> {
    let scan = scan();
    let header = header(&scan, Some("imaging"), Some(needs));
    let client = Client::open_with(server, CHAIN, &header);
    send(client, scan.acquisitions().filter(|readout| !is_noise(readout)))
}

/// The question of Gadgetron's client before it sends a scan.
fn ask(server: &TestServer, id: &str) -> Meta {
    let config = format!(
        "<gadgetronStreamConfiguration><writer><slot>1019</slot><dll>x</dll><classname>DependencyQueryWriter</classname></writer><gadget><name>N</name><dll>x</dll><classname>NoiseSummaryGadget</classname><property><name>noise_file</name><value>GadgetronNoiseCovarianceMatrix_{id}</value></property></gadget></gadgetronStreamConfiguration>"
    );
    let mut client = Client::connect(server);
    client.send(Message::ConfigText(config));
    client.send(Message::Close);
    match &client.read_to_close()[..] {
        [Message::DependencyQuery(meta)] => meta.clone(),
        other => panic!("one answer and no text: {other:?}"),
    }
}

#[test]
fn the_noise_of_an_earlier_measurement_gives_the_images_of_a_scan_with_its_own() {
    let server = TestServer::start(&[]);
    let answer = send_noise(&server, Some("7_1_1_3"));
    let [text] = texts(&answer)[..] else { panic!("one text: {answer:?}") };
    assert!(text.starts_with("INFO") && text.contains("is kept as 7_1_1_3"), "{text}");
    let summary = ask(&server, "7_1_1_3");
    assert_eq!(summary.get("status"), Some("success"));
    assert_eq!(summary.get_i64("channels"), Some(2));
    assert_eq!(summary.get_f64("noise_dwell_time_us"), Some(5.0));
    let mean_sigma = summary.get_f64("mean_sigma").expect("a number");
    // 0.5 per component, lowered by the receiver's filter.
    let expected = 0.5 * (2.0 * 0.793_f64).sqrt();
    assert!((mean_sigma / expected - 1.0).abs() < 0.03, "{mean_sigma} and {expected}");

    let from_store = send_data(&server, "7_1_1_3");
    assert!(texts(&from_store).is_empty(), "{:?}", texts(&from_store));
    let scan = scan();
    let client = Client::open_with(&server, CHAIN, &header(&scan, None, None));
    let with_own = images(send(client, scan.acquisitions()));
    let (from_store, with_own) = (&images(from_store)[0], &with_own[0]);
    let error =
        support::relative_error(&from_store.pixels.to_magnitude(), &with_own.pixels.to_magnitude());
    assert!(error < 1e-6, "{error}");
    server.stop();
}

#[test]
fn noise_that_is_not_kept_is_told_and_the_images_come_nevertheless() {
    let server = TestServer::start(&[]);
    assert_eq!(ask(&server, "9").get("status"), Some("failed"));
    let answer = send_data(&server, "9");
    let text = texts(&answer).join("\n");
    assert!(text.contains("WARNING") && text.contains("measurement 9 is not kept here"), "{text}");
    assert_eq!(images(answer).len(), 1);
    // No id is no error either.
    let text = texts(&send_noise(&server, None)).join("\n");
    assert!(text.starts_with("WARNING") && text.contains("measurementID"), "{text}");
    server.stop();
}

#[test]
fn noise_outlives_the_server_orderly_ended_or_killed() {
    let mut server = TestServer::start(&[]);
    send_noise(&server, Some("before"));
    server.terminate();
    assert!(server.wait(), "it ends with success");
    let mut server = TestServer::start_in(server.take_data(), boreside(), &[]);
    assert_eq!(ask(&server, "before").get("status"), Some("success"));
    send_noise(&server, Some("after"));
    server.wait_for_log("on disk");
    server.kill();
    let server = TestServer::start_in(server.take_data(), boreside(), &[]);
    let mut client = Client::connect(&server);
    client.send(Message::ConfigFile("gtquery.xml".to_owned()));
    client.send(Message::Close);
    let answer = client.read_to_close();
    let [Message::DependencyQuery(kept)] = &answer[..] else { panic!("one answer: {answer:?}") };
    let both = ["GadgetronNoiseCovarianceMatrix_after", "GadgetronNoiseCovarianceMatrix_before"];
    assert_eq!(kept.values("NoiseDependencies"), both);
    server.stop();
}

#[test]
fn a_replay_with_the_servers_folder_finds_what_the_server_kept() {
    let mut server = TestServer::start(&[]);
    send_noise(&server, Some("kept"));
    server.terminate();
    assert!(server.wait(), "it ends with success");
    let folder = server.take_data();
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let scan = scan();
    let readouts = scan.acquisitions().filter(|readout| !is_noise(readout));
    write_stream(&path("scan.mrd"), &header(&scan, None, Some("kept")), readouts);
    std::fs::write(path("chain.toml"), CHAIN).expect("written");
    let (stream, chain, data) = (path("scan.mrd"), path("chain.toml"), path(""));
    let run = |more: &[&str]| {
        let arguments = ["replay", &stream, "--chain", &chain];
        let output = boreside().args(arguments).args(more).output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let log = run(&["--data", &data]);
    assert!(!log.contains("without whitening"), "{log}");
    let log = run(&[]);
    assert!(log.contains("measurement kept is not kept here"), "{log}");
}

#[test]
fn covariance_files_go_in_and_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let scan = scan();
    let write = |name: &str, takes_noise: bool| {
        let readouts = scan.acquisitions().filter(|readout| is_noise(readout) == takes_noise);
        write_stream(&path(name), &header(&scan, None, None), readouts);
    };
    write("noise.mrd", true);
    write("data.mrd", false);
    std::fs::write(path("chain.toml"), CHAIN).expect("written");
    let (noise, data, chain) = (path("noise.mrd"), path("data.mrd"), path("chain.toml"));
    let covariance = path("covariance.sfndam");
    let parameter = format!("noisecovarianceout={covariance}");
    let dependencies = "default_measurement_dependencies.xml";
    let output = path("out.mrd");
    run_well(&["stream", "-c", dependencies, "-i", &noise, "-o", &output, "-p", &parameter]);
    let bytes = std::fs::read(&covariance).expect("it was written");
    assert!(bytes.starts_with(b"SFNDAM\x01\0\0\0\x07\0\0\0\x02\0\0\0\x02"), "{:?}", &bytes[..20]);
    let run = |covariance: &[&str]| {
        let arguments = ["replay", &data, "--chain", &chain];
        let output = boreside().args(arguments).args(covariance).output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run(&[]).contains("without whitening"));
    let log = run(&["--noise-covariance-in", &covariance]);
    assert!(!log.contains("without whitening"), "{log}");
    let log = run(&["--noise-covariance-in", &chain]);
    assert!(log.contains("no noise covariance"), "{log}");
}

#[test]
fn a_void_connection_to_a_chain_without_gadgets_is_closed() {
    let server = TestServer::start(&[]);
    let mut client = Client::connect(&server);
    client.send(Message::ConfigFile("isalive.xml".to_owned()));
    client.send(Message::Close);
    assert!(client.read_to_close().is_empty());
    server.stop();
}

#[test]
fn two_noise_scans_at_once_are_both_kept() {
    let server = TestServer::start(&[]);
    std::thread::scope(|scope| {
        for id in ["one", "two"] {
            let server = &server;
            scope.spawn(move || send_noise(server, Some(id)));
        }
    });
    for id in ["one", "two"] {
        assert_eq!(ask(&server, id).get("status"), Some("success"));
    }
    server.stop();
}
