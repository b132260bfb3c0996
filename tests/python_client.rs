//! The Python client against the real server: its example, and values bit by bit.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::control::{Watcher, has_ended};
use support::{TestServer, images, reconstruct, skipped, small_scan};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A Python that has what the client needs: that of `./dev setup`, or the system's.
fn python() -> Option<PathBuf> {
    let own = root().join("target/python/bin/python");
    let candidates = [own, PathBuf::from("python3")];
    let has_all = |python: &&PathBuf| {
        let output = Command::new(python.as_path())
            .args(["-c", "import grpc, numpy, google.protobuf; import boreside.v1.live_pb2_grpc"])
            .env("PYTHONPATH", root().join("clients/python/src"))
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = candidates.iter().find(has_all).cloned();
    if found.is_none() {
        skipped(
            "no Python with grpcio, protobuf and numpy: python3 -m venv target/python && target/python/bin/pip install ./clients/python",
        );
    }
    found
}

fn script(python: &Path, path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command
        .arg(root().join("clients/python").join(path))
        .args(arguments)
        .env("PYTHONPATH", root().join("clients/python/src"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn the_example_watches_a_session_and_prints_its_map() {
    let Some(python) = python() else { return };
    let server = TestServer::start(&["--http", "127.0.0.1:0"]);
    let example = script(
        &python,
        "examples/watch_session.py",
        &["--address", &server.http, "--session", "1"],
    )
    .spawn()
    .expect("it starts");
    reconstruct(&server, "molli_t1", &support::hearts::molli());
    let output = example.wait_with_output().expect("it ends");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("session 1: T1, slice 0: "), "{stdout}");
    assert!(stdout.contains("session 1 has ended: CLOSE"), "{stdout}");
}

#[test]
fn its_arrays_are_what_the_scanner_got() {
    let Some(python) = python() else { return };
    let server = TestServer::start(&["--http", "127.0.0.1:0"]);
    let mut watcher = Watcher::start(&server, None);
    let sent = images(reconstruct(&server, "cartesian_fft", &small_scan(2)));
    watcher.images_until(has_ended(1));
    let output =
        script(&python, "tests/print_values.py", &[&server.http]).output().expect("it runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Vec<f32>> = stdout
        .lines()
        .map(|line| line.split(' ').map(|value| value.parse().expect("a number")).collect())
        .collect();
    let values: Vec<Vec<f32>> =
        sent.iter().map(|image| image.pixels.to_magnitude().iter().copied().collect()).collect();
    assert!(told == values, "bit by bit");
}
