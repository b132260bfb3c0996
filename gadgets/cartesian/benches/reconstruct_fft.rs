//! Time per image of 256 × 256 pixels with 1, 8 and 32 channels: `cargo bench -p cartesian`.

use cartesian::ReconstructFft;
use divan::Bencher;
use ismrmrd::{AcquisitionHeader, KSpaceBuffer, SamplingDescription};
use ndarray::{Array5, ArrayD, IxDyn};
use num_complex::Complex32;
use pipeline::{Gadget, KSpace, Scan, Sink};

fn main() {
    divan::main();
}

fn k_space(n_channels: usize) -> KSpace {
    let data = KSpaceBuffer {
        data: ArrayD::from_shape_fn(IxDyn(&[1, 1, 1, n_channels, 1, 256, 256]), |place| {
            Complex32::new((place[5] * 7 % 13) as f32, (place[6] * 5 % 11) as f32)
        }),
        trajectory: None,
        density: None,
        headers: Array5::from_elem((1, 1, 1, 1, 256), AcquisitionHeader::default()),
        sampling: SamplingDescription::default(),
    };
    let waveforms = Vec::new();
    KSpace { encoding_space: 0, s: None, n: None, data, reference: None, waveforms }
}

#[divan::bench(args = [1, 8, 32])]
fn reconstruct_fft(bencher: Bencher, n_channels: usize) {
    let k_space = k_space(n_channels);
    let mut gadget = ReconstructFft::new(Default::default(), &Scan::default())
        .unwrap_or_else(|error| panic!("{error}"));
    bencher.with_inputs(|| k_space.clone()).bench_local_values(|k_space| {
        let mut forward = |message| {
            divan::black_box(message);
        };
        let mut warn = |_, what, _| panic!("{what}");
        let mut sink = Sink::new(&mut forward, &mut warn);
        gadget.process(k_space, &mut sink).unwrap_or_else(|error| panic!("{error}"));
    });
}
