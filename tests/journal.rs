//! What arrived survives the server, and the server survives its disk.

mod support;

use std::process::Command;

use ismrmrd::hdf5::FileReader;
use ismrmrd::wire::Message;
use ismrmrd::{Image, Pixels};
use support::{Client, TestServer, boreside, images, run_well, small_scan, texts};

/// Images of an HDF5 file.
fn images_in(path: &std::path::Path) -> Vec<Image> {
    let file = FileReader::open(path).expect("it is a file of ours");
    file.images("image_0")
        .expect("the series is there")
        .collect::<Result<_, _>>()
        .expect("readable")
}

fn pixels(images: &[Image]) -> Vec<Pixels> {
    images.iter().map(|image| image.pixels.clone()).collect()
}

#[test]
fn a_killed_server_leaves_a_journal_that_replays_to_the_same_images() {
    let mut server = TestServer::start(&[]);
    let scan = small_scan(3);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    for readout in scan.acquisitions().take(75) {
        client.send(readout);
    }
    // Each repetition comes back with its last line, without waiting for the next one.
    let mut live = Vec::new();
    while live.len() < 2 {
        live.extend(images(client.read().into_iter().collect()));
    }
    // The journal is written beside the scan, at most a few pieces behind it.
    let n_bytes = 75 * (2 + 340 + 4 * 64 * 8);
    while std::fs::metadata(server.journal(1)).is_ok_and(|journal| journal.len() < n_bytes) {
        std::thread::yield_now();
    }
    server.kill();
    let journal = server.journal(1);
    let out = server.data.path().join("out.h5");
    let (journal, out_path) = (journal.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    run_well(&["replay", journal, "-o", out_path]);
    let replayed = images_in(&out);
    assert!(replayed.len() >= 2, "the lines of the third repetition may be there or not");
    assert_eq!(pixels(&replayed[..2]), pixels(&live));
    // The paced replay gives the same.
    // Into another file: this process may have handed the open one on to a server that it started.
    let paced = server.data.path().join("paced.h5");
    let paced_path = paced.to_str().expect("UTF-8");
    run_well(&["replay", journal, "-o", paced_path, "--pace", "realtime"]);
    assert_eq!(pixels(&images_in(&paced)[..2]), pixels(&live));
}

#[test]
fn a_journalled_session_is_listed_replayed_by_its_number_and_exported() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let live = images(support::reconstruct(&server, "default.xml", &scan));
    let data = server.data.path().to_str().expect("UTF-8").to_owned();
    server.wait_for_log("CLOSE: 32 readouts");
    let list = run_well(&["journal", "list", "--data", &data]);
    assert!(list.contains("CLOSE"), "{list}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    run_well(&["replay", "1", "--data", &data, "-o", &file("1.h5")]);
    run_well(&["journal", "export", "1", "--data", &data, "-o", &file("scan.h5")]);
    run_well(&["replay", &file("scan.h5"), "-o", &file("2.h5")]);
    run_well(&["journal", "export", "1", "--data", &data, "-o", &file("scan.mrd")]);
    run_well(&["replay", &file("scan.mrd"), "-o", &file("3.h5")]);
    for name in ["1.h5", "2.h5", "3.h5"] {
        assert_eq!(pixels(&images_in(&folder.path().join(name))), pixels(&live), "{name}");
    }
    server.stop();
}

#[test]
fn a_full_disk_stops_the_journal_and_not_the_scan() {
    // Files of this server may have 32 KiB: the system refuses more, as a full disk does.
    let binary = boreside();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(binary.get_program());
    let server = TestServer::start_by(command, &[]);
    let scan = small_scan(12);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    let mut answer = Vec::new();
    let readouts: Vec<_> = scan.acquisitions().collect();
    // As a scanner does: one repetition after the other, so that the disk is full in the middle.
    for (repetition, lines) in readouts.chunks(32).enumerate() {
        lines.iter().for_each(|readout| client.send(readout.clone()));
        while images(answer.clone()).len() <= repetition {
            answer.extend(client.read());
        }
    }
    client.send(Message::Close);
    answer.extend(client.read_to_close());
    let texts = texts(&answer);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(
        texts[0].starts_with("WARNING  session 1, journal: the journal has stopped"),
        "{}",
        texts[0]
    );
    assert_eq!(images(answer).len(), 12);
    server.stop();
}

#[test]
fn a_journal_that_ends_within_a_readout_replays_to_what_is_whole() {
    let server = TestServer::start(&[]);
    let live = images(support::reconstruct(&server, "default.xml", &small_scan(1)));
    server.wait_for_log("CLOSE: 32 readouts");
    let path = server.journal(1);
    let whole = std::fs::read(&path).expect("readable");
    let out = server.data.path().join("out.h5");
    for cut in [40_000, 41_001] {
        std::fs::write(&path, &whole[..whole.len() - cut]).expect("writable");
        let (path, out) = (path.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        let table = run_well(&["replay", path, "-o", out, "--overwrite"]);
        assert!(table.contains("32x32x1"), "{table}");
    }
    assert_eq!(live.len(), 1);
    server.stop();
}

#[test]
fn without_a_journal_nothing_is_kept() {
    let server = TestServer::start(&["--no-journal"]);
    assert_eq!(images(support::reconstruct(&server, "default.xml", &small_scan(1))).len(), 1);
    assert!(!server.data.path().join("journal").exists());
    server.stop();
}

#[test]
fn data_after_a_fault_are_journalled_too() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let chain =
        "[[gadget]]\nuse = \"inject_fault\"\nhow = \"panic\"\n[[gadget]]\nuse = \"discard\"\n";
    let mut client = Client::open_with(&server, chain, &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    client.half_close();
    assert_eq!(texts(&client.read_to_close()).len(), 1);
    server.wait_for_log("readouts,");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.h5");
    let journal = server.journal(1);
    run_well(&[
        "replay",
        journal.to_str().expect("UTF-8"),
        "--chain",
        "default.xml",
        "-o",
        out.to_str().expect("UTF-8"),
    ]);
    assert_eq!(images_in(&out).len(), 1, "all 32 lines are in the journal");
    server.stop();
}
