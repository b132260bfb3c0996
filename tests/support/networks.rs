//! What tests of networks share.

use ismrmrd::wire::Message;
use ismrmrd::{Image, Pixels};

use super::{Client, TestServer, images, run, small_scan};
use crate::support::onnx::Folder;
use crate::support::skipped;

/// Whether there is a runtime; where none can be had, a word.
pub fn has_runtime() -> bool {
    let found = run(&["models", "runtime", "--no-models"]);
    if !found.status.success() {
        skipped(&String::from_utf8_lossy(&found.stdout));
    }
    found.status.success()
}

/// A chain of magnitude images of each repetition with this behind them.
pub fn chain(last: &str) -> String {
    format!(
        "[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\n\
         trigger_dimension = \"repetition\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\n\
         use = \"reconstruct_fft\"\n[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \"extract\"\n\
         {last}"
    )
}

/// The gadget that runs a model.
pub fn gadget(model: &str) -> String {
    format!("[[gadget]]\nuse = \"apply_model\"\nmodel = \"{model}\"\n")
}

/// A chain of magnitude images with a model behind them.
pub fn apply(model: &str) -> String {
    chain(&gadget(model))
}

/// Sends a small scan, gives the whole answer.
pub fn send(server: &TestServer, chain: &str, n_repetitions: usize) -> Vec<Message> {
    let scan = small_scan(n_repetitions);
    let mut client = Client::open_with(server, chain, &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    client.read_to_close()
}

/// The floats of an image.
pub fn pixels(image: &Image) -> Vec<f32> {
    let Pixels::F32(pixels) = &image.pixels else { panic!("floats were expected") };
    pixels.iter().copied().collect()
}

/// What a scan gives without any network.
pub fn untouched(server: &TestServer) -> Vec<f32> {
    let images = images(send(server, &chain(""), 1));
    assert_eq!(images.len(), 1);
    pixels(&images[0])
}

/// A server with a folder of models.
pub fn serve(folder: &Folder, more: &[&str]) -> TestServer {
    TestServer::start(&[&["--models", folder.text()], more].concat())
}
