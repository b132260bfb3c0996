//! Training sets as the command writes them and as numpy would read them.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{run, run_well};

const KINDS: [&str; 7] = ["segmentation", "molli", "sasha", "t2", "t2-star", "cmrf", "dti"];

fn simulate(kind: &str, cases: &str, folder: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["simulate", "dataset", kind, "--cases", cases].map(str::to_owned).to_vec();
    if kind != "cmrf" {
        arguments.extend(["--matrix", "48x40"].map(str::to_owned));
    }
    arguments.extend(["-o", folder.to_str().expect("UTF-8")].map(str::to_owned));
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    arguments
}

fn make(kind: &str, cases: &str, folder: &Path, more: &[&str]) -> Value {
    let arguments = simulate(kind, cases, folder, more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = run_well(&arguments);
    assert!(said.contains("cases per second"), "{said}");
    let text = fs::read_to_string(folder.join("dataset.json")).expect("written last");
    serde_json::from_str(&text).expect("JSON")
}

fn refusal(kind: &str, cases: &str, folder: &Path, more: &[&str]) -> String {
    let arguments = simulate(kind, cases, folder, more);
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!output.status.success(), "{arguments:?} fails");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Data of an array whose header is checked against the description.
fn read(folder: &Path, array: &Value) -> Vec<u8> {
    let bytes = fs::read(folder.join(array["file"].as_str().expect("a name"))).expect("there");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("text");
    let dtype = array["dtype"].as_str().expect("a type");
    let shape: Vec<u64> =
        array["shape"].as_array().expect("axes").iter().map(|n| n.as_u64().expect("n")).collect();
    let lengths: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let lengths = lengths.join(" ");
    let expected =
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({lengths}), }}");
    assert_eq!(header.trim_end(), expected);
    assert_eq!(array["axes"].as_array().expect("axes").len(), shape.len());
    assert_eq!(array["axes"][0], "case");
    let size: u64 = dtype[2..].parse().expect("bytes of an element");
    let data = &bytes[10 + length..];
    assert_eq!(data.len() as u64, size * shape.iter().product::<u64>());
    data.to_vec()
}

fn array<'a>(set: &'a Value, name: &str) -> &'a Value {
    let mut arrays = set["arrays"].as_array().expect("arrays").iter();
    arrays.find(|array| array["name"] == name).unwrap_or_else(|| panic!("no {name} in {set}"))
}

#[test]
fn every_kind_writes_arrays_that_are_as_described() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let set = make(kind, "2", folder.path(), &["--seed", "5"]);
        assert_eq!(
            (&set["kind"], &set["n_cases"], &set["seed"]),
            (&kind.into(), &2.into(), &5.into())
        );
        let arrays = set["arrays"].as_array().expect("arrays");
        for array in arrays {
            let data = read(folder.path(), array);
            assert_eq!(array["shape"][0], 2);
            assert!(!array["meaning"].as_str().expect("text").is_empty());
            // Two cases differ in what they show.
            if ["images", "signals"].contains(&array["name"].as_str().expect("a name")) {
                assert_ne!(data[..data.len() / 2], data[data.len() / 2..], "{kind}");
            }
        }
        let n_files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(n_files, arrays.len() + 1, "{kind}");
    }
}

#[test]
fn a_case_is_the_same_whatever_the_number_of_cases() {
    for kind in ["molli", "cmrf"] {
        let [few, many] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let few_set = make(kind, "3", few.path(), &[]);
        let many_set = make(kind, "19", many.path(), &[]);
        for (a, b) in few_set["arrays"]
            .as_array()
            .expect("arrays")
            .iter()
            .zip(many_set["arrays"].as_array().expect("arrays"))
        {
            let (few, many) = (read(few.path(), a), read(many.path(), b));
            assert_eq!(few, many[..few.len()], "{kind} {}", a["name"]);
        }
    }
}

#[test]
fn options_reach_the_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = make(
        "molli",
        "1",
        folder.path(),
        &["--scheme", "3(3)3(3)5", "--complex", "--through-k-space", "--channels", "2"],
    );
    let images = array(&set, "images");
    assert_eq!(images["shape"], serde_json::json!([1, 11, 40, 48]));
    assert_eq!(images["dtype"], "<c8");
    let field = array(&set, "displacement_field_px");
    assert_eq!(field["axes"], serde_json::json!(["case", "frame", "component", "y", "x"]));
    let words = set["command_line"].as_array().expect("words");
    assert!(words.contains(&"3(3)3(3)5".into()));
}

#[test]
fn nothing_is_written_where_the_set_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = folder.path().join("set");
    let fault = refusal("molli", "1000000", &set, &["--max-gib", "1"]);
    assert!(fault.contains("the limit is 1 GiB") && fault.contains("--cases"), "{fault}");
    let fault = refusal("molli", "1000000000", &set, &["--max-gib", "1e9"]);
    assert!(fault.contains("has room for"), "{fault}");
    let fault = refusal("molli", "1", &set, &["--snr", "0,10"]);
    assert!(fault.contains("signal-to-noise"), "{fault}");
    let fault = refusal("molli", "1", &set, &["--field-of-view-mm", "200"]);
    assert!(fault.contains("field_of_view_mm"), "{fault}");
    let fault = refusal("t2", "1", &set, &["--field-strengths", "7"]);
    assert!(fault.contains("0.55, 1.5 or 3"), "{fault}");
    let fault = refusal("t2", "1", &set, &["--channels", "4"]);
    assert!(fault.contains("--through-k-space"), "{fault}");
    assert!(!set.exists(), "no folder was made");
    fs::create_dir(&set).expect("a folder");
    fs::write(set.join("mine.txt"), "precious").expect("written");
    let fault = refusal("t2", "1", &set, &[]);
    assert!(fault.contains("not empty"), "{fault}");
    assert_eq!(fs::read_dir(&set).expect("a folder").count(), 1);
}
