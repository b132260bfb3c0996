//! Time that each image costs on its way out, whatever the chain: `cargo bench -p pipeline`.
//!
//! * `contract`: the check before an image leaves.
//! * `chain_of`: gadgets that do nothing. Eight more of them cost eight copies of the pixels, which
//!   are kept in case they fail, and what the runtime does besides.

use std::convert::Infallible;

use divan::Bencher;
use ismrmrd::{Image, ImageHeader, ImageType, Meta};
use ndarray::Array4;
use num_complex::Complex32;
use pipeline::chain::ChainFile;
use pipeline::{Chain, Gadget, Message, Registry, Scan, ScannerContract, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

const N_IMAGES: u16 = 200;

fn main() {
    divan::main();
}

/// No properties.
#[derive(Clone, Deserialize, JsonSchema)]
struct Nothing {}

/// Passes images on.
struct Keep;

impl Gadget for Keep {
    const NAME: &str = "keep";
    type Config = Nothing;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(_config: Nothing, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        out.push(image);
        Ok(())
    }
}

fn chain(n_gadgets: usize) -> Chain {
    let text = format!("input = [\"image\"]\n{}", "[[gadget]]\nuse = \"keep\"\n".repeat(n_gadgets));
    let file = ChainFile::parse("bench", &text).expect("it parses");
    Chain::check(&file, &Registry::new().with::<Keep>()).expect("it is good")
}

/// Complex images of 256 × 256 with the attributes that a reconstruction gives them.
fn images() -> Vec<Image> {
    let image = |image_index| {
        let header = ImageHeader {
            field_of_view: [300.0, 300.0, 8.0],
            read_dir: [0.866_025_4, 0.5, 0.0],
            phase_dir: [-0.5, 0.866_025_4, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            image_type: ImageType::Magnitude as u16,
            image_index,
            ..ImageHeader::default()
        };
        let mut meta = Meta::from_iter([("WindowCenter", "300"), ("WindowWidth", "600")]);
        for key in 0..25 {
            meta.set(&format!("attribute_{key:02}"), "0.123456789");
        }
        Image::new(header, meta, Array4::<Complex32>::zeros((1, 1, 256, 256)))
    };
    (1..=N_IMAGES).map(image).collect()
}

#[divan::bench]
fn contract(bencher: Bencher) {
    let chain = chain(1);
    bencher.counter(divan::counter::ItemsCount::new(N_IMAGES)).with_inputs(images).bench_values(
        |images| {
            let mut contract = ScannerContract::new(&chain, None);
            let deliver = |image: Image| contract.deliver(image.into(), &mut |_| {});
            images.into_iter().filter_map(deliver).flatten().collect::<Vec<_>>()
        },
    );
}

#[divan::bench(args = [1, 9])]
fn chain_of(bencher: Bencher, n_gadgets: usize) {
    let chain = chain(n_gadgets);
    bencher.counter(divan::counter::ItemsCount::new(N_IMAGES)).with_inputs(images).bench_values(
        |images| {
            let (output, mut results) = mpsc::channel(8);
            let (faults, _reported) = mpsc::unbounded_channel();
            let (input, run) =
                chain.start(&Scan::default(), output, faults).expect("the gadgets can be made");
            let feeder = std::thread::spawn(move || {
                images.into_iter().for_each(|image| {
                    input.blocking_send(Message::from(image)).expect("the chain takes it");
                });
            });
            let results: Vec<_> = std::iter::from_fn(|| results.blocking_recv()).collect();
            feeder.join().expect("it ends");
            run.join();
            results
        },
    );
}
