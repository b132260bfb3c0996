//! Time per readout of the decoder and of the survey, beside a bare copy of the same bytes.
//!
//! `cargo bench -p ismrmrd-rs --bench decode`

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ismrmrd::wire::{Decoder, Limits, encode_acquisition};
use ismrmrd::{Acquisition, AcquisitionHeader, Survey};
use ndarray::Array2;
use num_complex::Complex32;

const N_SAMPLES: usize = 512;

/// Readouts in a stream, so that they lie at all alignments.
const N_READOUTS: usize = 64;

fn main() {
    divan::main();
}

fn readout(n_channels: usize) -> Acquisition {
    let data = Array2::from_elem((n_channels, N_SAMPLES), Complex32::new(0.5, -1.0));
    Acquisition::new(AcquisitionHeader::default(), data)
}

fn stream(n_channels: usize) -> BytesMut {
    let mut stream = BytesMut::new();
    for _ in 0..N_READOUTS {
        encode_acquisition(&readout(n_channels), &mut stream).expect("a readout that fits");
    }
    stream
}

/// The bytes of one readout into memory that was just obtained, as the decoder has to.
#[divan::bench(args = [16, 32], sample_count = 2000)]
fn copy(bencher: Bencher, n_channels: usize) {
    let stream = stream(n_channels);
    let n_bytes = stream.len() / N_READOUTS;
    let mut readouts = stream.chunks_exact(n_bytes).cycle();
    bencher
        .counter(BytesCount::new(n_bytes))
        .bench_local(|| readouts.next().map(|bytes| black_box(bytes.to_vec())));
}

#[divan::bench(args = [16, 32], sample_count = 2000)]
fn decode(bencher: Bencher, n_channels: usize) {
    let stream = stream(n_channels);
    let mut decoder = Decoder::new(Limits::default());
    let mut rest = &stream[..];
    bencher.counter(BytesCount::new(stream.len() / N_READOUTS)).bench_local(|| {
        if rest.is_empty() {
            rest = &stream;
        }
        let (message, n_bytes) = decoder.decode_slice(rest).ok().flatten()?;
        rest = &rest[n_bytes..];
        Some(black_box(message))
    });
}

#[divan::bench(args = [16, 32], sample_count = 2000)]
fn encode(bencher: Bencher, n_channels: usize) {
    let readout = readout(n_channels);
    let mut buffer = BytesMut::new();
    bencher.counter(BytesCount::new(8 * n_channels * N_SAMPLES)).bench_local(|| {
        buffer.clear();
        encode_acquisition(black_box(&readout), &mut buffer)
    });
}

#[divan::bench(args = [16, 32], sample_count = 2000)]
fn survey(bencher: Bencher, n_channels: usize) {
    let mut readout = readout(n_channels);
    let mut survey = Survey::new();
    let mut line = 0_u16;
    bencher.bench_local(|| {
        line = (line + 1) % 256;
        readout.header.idx.kspace_encode_step_1 = line;
        survey.observe_acquisition(black_box(&readout));
    });
}
