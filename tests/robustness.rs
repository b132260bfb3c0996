//! Whatever a client does, the server ends its session with one clear sentence and goes on.

mod support;

use std::io::Write;
use std::net::TcpStream;

use ismrmrd::wire::Message;
use ismrmrd::{AcquisitionHeader, Image};
use ndarray::Array4;
use support::{Client, TestServer, images, reconstruct, small_scan, texts};

const HEADER_ONLY: &str = "no chain needs more";

/// A chain that gives its images back, to fill the way to the client.
const RETURN_IMAGES: &str = "input = [\"image\"]\n[[gadget]]\nuse = \"finish_images\"\n";

/// The only text, which must be of this level and contain all of these words.
fn assert_one_sentence(messages: &[Message], level: &str, words: &[&str]) {
    let texts = texts(messages);
    assert_eq!(texts.len(), 1, "one sentence: {texts:?}");
    assert!(texts[0].starts_with(&format!("{level:<8} session ")), "{}", texts[0]);
    for word in words {
        assert!(texts[0].contains(word), "no {word:?} in {:?}", texts[0]);
    }
}

/// The server still reconstructs, and no session is left behind.
fn assert_unharmed(server: TestServer) {
    let answer = reconstruct(&server, "default.xml", &small_scan(1));
    assert_eq!(images(answer).len(), 1);
    server.stop();
}

#[test]
fn a_probe_that_connects_and_closes_is_no_session() {
    let server = TestServer::start(&[]);
    drop(TcpStream::connect(&server.address).expect("it listens"));
    // One that stays and says nothing does not hold up a shutdown.
    let silent = TcpStream::connect(&server.address).expect("it listens");
    let answer = reconstruct(&server, "default.xml", &small_scan(1));
    assert_eq!(images(answer).len(), 1);
    assert!(
        server.journal(1).exists() && !server.journal(2).exists(),
        "the scan alone is a session"
    );
    server.stop();
    drop(silent);
}

#[test]
fn a_connection_that_ends_before_the_header_is_answered_with_close() {
    let server = TestServer::start(&[]);
    let mut client = Client::connect(&server);
    client.send(Message::ConfigFile("default.xml".to_owned()));
    client.half_close();
    let answer = client.read_to_close();
    assert_one_sentence(&answer, "ERROR", &["ended without CLOSE", "before the MRD header"]);
    assert_unharmed(server);
}

#[test]
fn config_and_close_without_a_header_is_answered_with_close_alone() {
    let server = TestServer::start(&[]);
    let mut client = Client::connect(&server);
    client.send(Message::ConfigFile("null".to_owned()));
    client.send(Message::Close);
    assert!(client.read_to_close().is_empty());
    let mut client = Client::connect(&server);
    client.send(Message::Close);
    assert!(client.read_to_close().is_empty());
    assert_unharmed(server);
}

#[test]
fn an_unknown_message_id_is_named_and_what_came_before_is_reconstructed() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send_raw(&9999_u16.to_le_bytes());
    let answer = client.read_to_close();
    assert_one_sentence(&answer, "ERROR", &["9999"]);
    assert_eq!(images(answer).len(), 1);
    assert_unharmed(server);
}

#[test]
fn an_unknown_chain_is_refused_with_the_nearest_name() {
    let server = TestServer::start(&[]);
    let mut client = Client::connect(&server);
    client.send(Message::ConfigFile("defualt.xml".to_owned()));
    let answer = client.read_to_close();
    assert_one_sentence(
        &answer,
        "ERROR",
        &["no chain \"defualt.xml\"", "did you mean \"default.xml\"?"],
    );
    // A name that is no file's could still be replaced by parameters, in the other dialect.
    let client = Client::open(&server, "simplefff", HEADER_ONLY);
    assert_one_sentence(&client.read_to_close(), "ERROR", &["did you mean"]);
    assert_unharmed(server);
}

#[test]
fn a_misspelt_property_is_named_with_its_line() {
    let server = TestServer::start(&[]);
    let chain = "[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\ntriger_dimension = \"slice\"\n";
    let mut client = Client::connect(&server);
    client.send(Message::ConfigText(chain.to_owned()));
    let answer = client.read_to_close();
    assert_one_sentence(&answer, "ERROR", &["line 5", "`triger_dimension`"]);
    assert_unharmed(server);
}

#[test]
fn a_chain_name_never_leaves_the_folder() {
    let chains = tempfile::tempdir().expect("a folder");
    let inner = chains.path().join("inner");
    std::fs::create_dir(&inner).expect("made");
    std::fs::write(chains.path().join("secret.toml"), RETURN_IMAGES).expect("written");
    let server = TestServer::start(&["--chains", inner.to_str().expect("UTF-8")]);
    for name in ["../secret.toml", "..", "/etc/passwd", "inner/../../secret.toml"] {
        let mut client = Client::open(&server, name, HEADER_ONLY);
        client.send(Message::Close);
        assert_one_sentence(&client.read_to_close(), "ERROR", &["is not the name of a chain"]);
    }
    assert_unharmed(server);
}

#[test]
fn a_header_that_is_not_xml_is_said_so() {
    let server = TestServer::start(&[]);
    let mut client = Client::open(&server, "default.xml", "Dummy XML header");
    for readout in small_scan(1).acquisitions() {
        if !client.try_send(readout) {
            break;
        }
    }
    client.try_send(Message::Close);
    let answer = client.read_to_close();
    assert!(images(answer.clone()).is_empty());
    let texts = texts(&answer);
    assert!(
        texts.iter().any(|text| text.starts_with("ERROR") && text.contains("no MRD header")),
        "{texts:?}"
    );
    assert_unharmed(server);
}

#[test]
fn a_stream_that_ends_in_a_readout_gives_what_is_whole() {
    let server = TestServer::start(&[]);
    let scan = small_scan(2);
    let readouts: Vec<_> = scan.acquisitions().collect();
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    for readout in &readouts[..32] {
        client.send(readout.clone());
    }
    let mut bytes = 1008_u16.to_le_bytes().to_vec();
    bytes.extend(bytemuck::bytes_of(&readouts[32].header));
    bytes.extend([0; 77]);
    client.send_raw(&bytes);
    client.half_close();
    let answer = client.read_to_close();
    assert_one_sentence(
        &answer,
        "ERROR",
        &[
            "ended without CLOSE",
            "in the middle of a message",
            "after 32 readouts",
            "boreside replay 1",
        ],
    );
    assert_eq!(images(answer).len(), 1);
    assert_unharmed(server);
}

#[test]
fn a_peer_that_stops_reading_loses_its_session_only() {
    let server = TestServer::start(&["--write-timeout-s", "0.5"]);
    let mut client = Client::open_with(&server, RETURN_IMAGES, HEADER_ONLY);
    let image = Image::new(
        Default::default(),
        Default::default(),
        Array4::<f32>::zeros((1, 1, 1024, 1024)),
    );
    // The server must stop taking images: its queues and the sockets' buffers are bounded.
    for _ in 0..200 {
        if !client.try_send(image.clone()) {
            break;
        }
    }
    server.wait_for_log("the client took nothing for");
    drop(client);
    assert_unharmed(server);
}

#[test]
fn sizes_beyond_the_limits_are_refused_before_memory_is_asked_for() {
    let server = TestServer::start(&[]);
    // A text of 2^31 bytes.
    let mut client = Client::connect(&server);
    client.send_raw(&[&2_u16.to_le_bytes()[..], &(1_u32 << 31).to_le_bytes()].concat());
    assert_one_sentence(&client.read_to_close(), "ERROR", &["2147483648", "max_text_bytes"]);
    // A readout of 65535 samples of 65535 channels: 2^32 samples.
    let mut client = Client::open(&server, "default.xml", &small_scan(1).header().to_xml());
    let header = AcquisitionHeader {
        number_of_samples: u16::MAX,
        active_channels: u16::MAX,
        ..AcquisitionHeader::default()
    };
    client.send_raw(&[&1008_u16.to_le_bytes()[..], bytemuck::bytes_of(&header)].concat());
    assert_one_sentence(&client.read_to_close(), "ERROR", &["max_acquisition_bytes"]);
    assert_unharmed(server);
}

#[test]
fn a_panic_in_one_session_leaves_the_other_alone() {
    let server = TestServer::start(&[]);
    let scan = small_scan(2);
    let header = scan.header().to_xml();
    let readouts: Vec<_> = scan.acquisitions().collect();
    let mut good = Client::open(&server, "default.xml", &header);
    for readout in &readouts[..40] {
        good.send(readout.clone());
    }
    let chain = "[[gadget]]\nuse = \"inject_fault\"\nhow = \"panic\"\nafter = 35\n[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\ntrigger_dimension = \"repetition\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\nuse = \"reconstruct_fft\"\n[[gadget]]\nuse = \"split_series\"\n";
    let mut bad = Client::open_with(&server, chain, &header);
    for readout in &readouts {
        if !bad.try_send(readout.clone()) {
            break;
        }
    }
    let answer = bad.read_to_close();
    assert_one_sentence(&answer, "ERROR", &["inject_fault", "panicked"]);
    assert!(!images(answer).is_empty(), "the first repetition was whole before the panic");
    for readout in &readouts[40..] {
        good.send(readout.clone());
    }
    good.send(Message::Close);
    let answer = good.read_to_close();
    assert!(texts(&answer).is_empty());
    assert_eq!(images(answer).len(), 2);
    assert_unharmed(server);
}

#[test]
fn a_client_that_vanishes_mid_scan_leaves_a_replayable_journal() {
    let server = TestServer::start(&[]);
    let scan = small_scan(3);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    for readout in scan.acquisitions().take(70) {
        client.send(readout);
    }
    drop(client);
    server.wait_for_log("readouts,");
    let journal = server.journal(1);
    let table = support::run_well(&["replay", journal.to_str().expect("UTF-8"), "--log", "off"]);
    assert!(table.contains("32x32x1"), "{table}");
    assert_unharmed(server);
}

#[test]
fn two_clients_at_once_get_their_own_images() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut louder: Vec<_> = scan.acquisitions().collect();
    for readout in &mut louder {
        readout.data.mapv_inplace(|sample| sample * 3.0);
    }
    let header = scan.header().to_xml();
    let mut first = Client::open(&server, "default.xml", &header);
    let mut second = Client::open(&server, "default.xml", &header);
    for (quiet, loud) in scan.acquisitions().zip(louder) {
        first.send(quiet);
        second.send(loud);
    }
    second.send(Message::Close);
    first.send(Message::Close);
    let [first, second] = [first, second].map(|client| {
        let images = images(client.read_to_close());
        assert_eq!(images.len(), 1);
        images[0].pixels.to_magnitude()
    });
    let error = support::relative_error(&second, &(first * 3.0));
    assert!(error < 1e-6, "{error}: the same scan, three times as loud");
    assert_unharmed(server);
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = TestServer::start(&["--max-sessions", "1"]);
    let mut first = Client::connect(&server);
    first.send(Message::ConfigFile("null".to_owned()));
    server.wait_for_log("connected");
    let second = Client::connect(&server).read_to_close();
    assert!(texts(&second)[0].contains("1 sessions already"), "{second:?}");
    first.send(Message::Close);
    assert!(first.read_to_close().is_empty());
    server.stop();
}

#[test]
fn a_gadget_that_cannot_be_made_is_said_so() {
    let server = TestServer::start(&[]);
    let chain = "[[gadget]]\nuse = \"collect_readouts\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\nuse = \"reconstruct_fft\"\n[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \"extract\"\nextract_magnitude = false\n";
    let scan = small_scan(1);
    // The error must not lose a race against CLOSE.
    for _ in 0..20 {
        let mut client = Client::open_with(&server, chain, &scan.header().to_xml());
        client.try_send(support::first_readout(&scan));
        assert_one_sentence(&client.read_to_close(), "ERROR", &["extract"]);
    }
    assert_unharmed(server);
}

#[test]
fn a_chain_that_never_ends_is_cut_off_with_a_sentence_and_close() {
    let server = TestServer::start(&["--total-timeout-s", "0.5", "--drain-timeout-s", "0.2"]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    client.send(support::first_readout(&scan));
    let answer = client.read_to_close();
    assert_one_sentence(&answer, "ERROR", &["the session has lasted 0.5 s, its limit"]);
    server.stop();
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let mut server = TestServer::start(&["--shutdown-timeout-s", "0.3"]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    client.send(support::first_readout(&scan));
    server.wait_for_log("chain:");
    server.terminate();
    assert_one_sentence(&client.read_to_close(), "ERROR", &["the server shuts down"]);
    assert!(!server.wait(), "a session that was cut off is a failure");
}

#[test]
fn a_silent_client_is_not_waited_for_for_ever() {
    let server = TestServer::start(&["--idle-timeout-s", "1"]);
    let client = Client::open(&server, "default.xml", &small_scan(1).header().to_xml());
    assert_one_sentence(&client.read_to_close(), "ERROR", &["nothing arrived for"]);
    server.stop();
}

#[test]
fn shutdown_lets_a_running_scan_finish() {
    let mut server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    server.wait_for_log("connected");
    server.terminate();
    server.wait_for_log("shutting down");
    assert!(TcpStream::connect(&server.address).is_err(), "it takes no new sessions");
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    assert_eq!(images(client.read_to_close()).len(), 1);
    assert!(server.wait());
}

#[test]
fn garbage_is_refused() {
    let server = TestServer::start(&[]);
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: scanner\r\n\r\n").expect("taken");
    let client = Client::from_stream(stream);
    assert_one_sentence(&client.read_to_close(), "ERROR", &["wire"]);
    assert_unharmed(server);
}

#[test]
fn data_that_are_not_what_they_seem_are_reported_with_their_images() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut readouts: Vec<_> = scan.acquisitions().collect();
    readouts[5].data[[0, 0]].re = f32::NAN;
    readouts.remove(9);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    readouts.into_iter().for_each(|readout| client.send(readout));
    client.send(Message::Close);
    let answer = client.read_to_close();
    let texts = texts(&answer);
    for word in ["infinite or no numbers", "1 lines within the limits"] {
        let is_told =
            |text: &&str| text.starts_with("WARNING  session 1, data: ") && text.contains(word);
        assert!(texts.iter().any(is_told), "no {word:?} in {texts:?}");
    }
    assert_eq!(images(answer).len(), 1);
    server.stop();
}
