//! The commands as people and scripts use them.

mod support;

use std::io::Write;
use std::process::Stdio;

use bytes::BytesMut;
use ismrmrd::wire::{self, Message, Reader};
use support::{boreside, run, run_well, shared, small_scan};

fn stderr_of(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} fails");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_scan_is_simulated_inspected_and_reconstructed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (scan, truth) = (file("scan.h5"), file("truth.h5"));
    run_well(&[
        "simulate",
        "shepp-logan",
        "--matrix",
        "64x48",
        "--channels",
        "4",
        "--repetitions",
        "2",
        "--noise",
        "0.01",
        "-o",
        &scan,
        "--truth",
        &truth,
    ]);
    let report = run_well(&["inspect", &scan]);
    for word in ["64", "48", "4 channels", "noise"] {
        assert!(report.contains(word), "no {word:?} in\n{report}");
    }
    let json = run_well(&["inspect", &scan, "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    let png = file("sheet.png");
    let table =
        run_well(&["replay", &scan, "--chain", "default.xml", "--png", &png, "--statistics"]);
    assert!(table.contains("64x48x1") && table.contains("remove_oversampling"), "{table}");
    assert!(std::fs::read(&png).expect("written").starts_with(b"\x89PNG"));
    let report = run_well(&["inspect", &truth]);
    assert!(report.contains("64 × 48") || report.contains("64x48"), "{report}");
}

#[test]
fn stream_is_a_filter_between_pipes() {
    let scan = small_scan(2);
    let mut bytes = BytesMut::new();
    let mut put = |message: Message| wire::encode(&message, &mut bytes).expect("a wire form");
    put(Message::Header(scan.header().to_xml()));
    scan.acquisitions().for_each(|readout| put(Message::Acquisition(readout)));
    put(Message::Close);
    let mut child = boreside()
        .args(["stream", "--chain", "default.xml"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("taken"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("all was taken");
    assert!(output.status.success());
    let mut reader = Reader::new(output.stdout.as_slice());
    let mut messages = Vec::new();
    while let Some(message) = reader.read().expect("standard output is clean MRD") {
        messages.push(message.id().0);
    }
    assert_eq!(messages, [3, 1022, 1022, 4], "header, images, CLOSE");
}

#[test]
fn every_failure_has_a_sentence_and_an_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(file("text"), "no recording at all").expect("written");
    std::fs::write(file("empty"), "").expect("written");
    assert!(
        stderr_of(&["replay", &file("missing.h5"), "--chain", "default.xml"])
            .contains("missing.h5")
    );
    assert!(
        stderr_of(&["replay", &file("text"), "--chain", "default.xml"])
            .contains("neither an HDF5 file")
    );
    assert!(stderr_of(&["replay", &file("empty"), "--chain", "default.xml"]).contains("is empty"));
    run_well(&["simulate", "shepp-logan", "--matrix", "16", "-o", &file("scan.h5")]);
    assert!(stderr_of(&["replay", &file("scan.h5")]).contains("--chain"));
    assert!(
        stderr_of(&["replay", &file("scan.h5"), "--chain", "defualt"]).contains("did you mean")
    );
    let nobody = ["replay", &file("scan.h5"), "--chain", "default.xml", "--to", "127.0.0.1:1"];
    assert!(stderr_of(&nobody).contains("boreside serve"));
    let again = ["simulate", "shepp-logan", "--matrix", "16", "-o", &file("scan.h5")];
    let said = stderr_of(&again);
    assert!(said.contains("is there already") && said.contains("--overwrite"), "{said}");
    run_well(&[&again[..], &["--overwrite"]].concat());
    // Before any work, and not after it.
    let picture = file("none/a.png");
    let said = stderr_of(&["replay", &file("scan.h5"), "-c", "default.xml", "--png", &picture]);
    assert!(said.contains("there is no folder"), "{said}");
    assert!(stderr_of(&["serve", "--listen", "nowhere:x"]).contains("cannot listen"));
    assert!(stderr_of(&["journal", "list", "--data", &file("none")]).contains("no journal"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    run_well(&["simulate", "shepp-logan", "--matrix", "16", "-o", &file("scan.h5")]);
    let whole = std::fs::read(file("scan.h5")).expect("written");
    std::fs::write(file("cut.h5"), &whole[..whole.len() / 2]).expect("written");
    std::fs::write(file("text"), "no recording at all").expect("written");
    std::fs::write(file("empty"), "").expect("written");
    for (name, what, remedy) in [
        ("missing.h5", "there is no file", "check its name"),
        ("cut.h5", "is cut off", "copy it again"),
        ("text", "neither an HDF5 file", "siemens_to_ismrmrd"),
        ("empty", "is empty", "record or copy it again"),
    ] {
        let said = stderr_of(&["inspect", &file(name)]);
        assert!(said.contains(what) && said.contains(remedy), "{said}");
        assert_eq!(said.matches(what).count(), 1, "{said}");
    }
    let said = stderr_of(&["inspect", &file("scan.h5"), "--group", "other"]);
    assert!(said.contains("the file has `dataset`") && said.contains("--group"), "{said}");
}

#[test]
fn a_value_out_of_range_is_found_by_the_check_and_told_where_it_was_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let own = "[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\nuse = \"prepare_reference\"\n[[gadget]]\n\
               use = \"reconstruct_series\"\nregularisation = 500\nthreshold = -1.0\nn_modes = 65\n";
    std::fs::write(file("own.toml"), own).expect("written");
    let output = run(&["chains", "check", &file("own.toml")]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    for expected in [
        "line 7: `reconstruct_series`: property `regularisation`: 500 is out of range: 0 to 100",
        "line 8: `reconstruct_series`: property `threshold`: -1 is out of range: 0 to 1",
        "line 9: `reconstruct_series`: property `n_modes`: 65 is out of range: 0 to 64",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    run_well(&["simulate", "shepp-logan", "--matrix", "16", "-o", &file("scan.h5")]);
    let said = stderr_of(&["replay", &file("scan.h5"), "-c", &file("own.toml")]);
    assert!(said.contains("own.toml, line") && !said.contains("from the client"), "{said}");
    let given = ["replay", &file("scan.h5"), "-c", "molli_t1_accelerated", "-p"];
    let said = stderr_of(&[&given[..], &["regularisation=-3"]].concat());
    assert!(said.contains("parameter `regularisation`: -3 is out of range"), "{said}");
    assert!(said.contains("(`-p`") && !said.contains(", line "), "{said}");
}

#[test]
fn a_map_is_told_with_its_name_unit_and_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let scan = file("molli.h5");
    // Noise that no map can be made of is told.
    let size = ["--matrix", "64x64", "--channels", "2", "--snr", "1"];
    run_well(&[&["simulate", "molli", "-o", &scan][..], &size].concat());
    let maps = file("maps.h5");
    let table = run_well(&["replay", &scan, "--chain", "molli_t1", "-o", &maps]);
    let report = run_well(&["inspect", &maps]);
    for text in [&table, &report] {
        let row = text.lines().find(|line| line.contains(" T1  "));
        assert!(row.is_some_and(|row| row.contains(" ms ") && row.contains("REPEAT")), "{text}");
        assert!(text.contains("REPEAT the scan for T1 (series "), "{text}");
        assert!(text.contains("made by: "), "{text}");
    }
    let json = run_well(&["inspect", &maps, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let series = json["series"].as_array().expect("series");
    let map = series.iter().find(|row| row["shows"] == "T1").expect("a T1 map");
    assert_eq!((&map["unit"], &map["verdicts"][0]["verdict"]), (&"ms".into(), &"repeat".into()));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = boreside()
        .args(["chains", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn chains_are_listed_checked_and_described() {
    assert!(run_well(&["chains", "list"]).contains("default_short.xml"));
    assert!(
        run_well(&["chains", "list", "--gadgets"]).contains("AcquisitionAccumulateTriggerGadget")
    );
    let schema = run_well(&["chains", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["title"], "Boreside chain");
    assert!(run_well(&["chains", "schema", "collect_readouts"]).contains("trigger_dimension"));
    assert!(run_well(&["chains", "check", "default.xml", "simplefft"]).contains("good"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.xml");
    let text = "<configuration><version>2</version><stream>\n<gadget><classname>ExtractGadget</classname></gadget>\n<gadget><classname>GrapaGadget</classname></gadget></stream></configuration>";
    std::fs::write(&path, text).expect("written");
    let output = run(&["chains", "check", path.to_str().expect("UTF-8")]);
    assert!(!output.status.success());
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(stdout.contains("line 3: there is no gadget `GrapaGadget`"), "{stdout}");
}

#[test]
fn the_demonstration_ends_with_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let png = folder.path().join("demo.png");
    let table = run_well(&["demo", "--png", png.to_str().expect("UTF-8")]);
    assert!(table.contains("8  192x160x1"), "{table}");
    assert!(std::fs::read(&png).expect("written").starts_with(b"\x89PNG"));
}

#[test]
fn the_non_standard_koma_file_is_read_or_refused_with_a_reason() {
    let Some(path) = shared("raw/koma_epi_nonstandard.mrd") else { return };
    let output = run(&["inspect", path.to_str().expect("UTF-8")]);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        assert!(stdout.contains("101"), "all readouts are counted: {stdout}");
    } else {
        let reason = stderr.split("koma_epi_nonstandard.mrd").last().unwrap_or_default();
        assert!(reason.len() > 30, "a sentence after the name: {stderr}");
    }
}
