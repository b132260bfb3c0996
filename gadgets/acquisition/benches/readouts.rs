//! Time per readout of the gadgets that work during the scan, 32 channels × 512 samples, and per
//! bucket of 256 of them: `cargo bench -p acquisition`.

use acquisition::{AdjustNoise, CollectReadouts, RemoveOversampling, SortKSpace};
use divan::{Bencher, counter::ItemsCount};
use ismrmrd::xml::{Encoding, EncodingLimits, EncodingSpace, FieldOfView, Limit, MatrixSize};
use ismrmrd::{Acquisition, AcquisitionFlags, AcquisitionHeader, Bucket, Header};
use ndarray::Array2;
use num_complex::Complex32;
use pipeline::{Gadget, Scan, Sink};

const N_CHANNELS: usize = 32;
const N_SAMPLES: usize = 512;
const N_LINES: u16 = 256;

fn main() {
    divan::main();
}

fn scan() -> Scan {
    let space = |x, mm| EncodingSpace {
        matrix_size: MatrixSize { x, y: N_LINES, z: 1 },
        field_of_view_mm: FieldOfView { x: mm, y: 300.0, z: 5.0 },
    };
    let encoding = Encoding {
        encoded_space: space(N_SAMPLES as u16, 600.0),
        recon_space: space(N_SAMPLES as u16 / 2, 300.0),
        encoding_limits: EncodingLimits {
            kspace_encoding_step_1: Some(Limit::up_to(N_LINES - 1, N_LINES / 2)),
            ..EncodingLimits::default()
        },
        ..Encoding::default()
    };
    Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
}

fn readout(line: u16, flags: AcquisitionFlags) -> Acquisition {
    let mut header = AcquisitionHeader {
        flags,
        sample_time_us: 5.0,
        center_sample: (N_SAMPLES / 2) as u16,
        ..AcquisitionHeader::default()
    };
    header.idx.kspace_encode_step_1 = line;
    let data = Array2::from_shape_fn((N_CHANNELS, N_SAMPLES), |(channel, sample)| {
        let angle_rad = ((channel * 31 + sample * 17) % 97) as f32 + f32::from(line);
        Complex32::from_polar(1.0, angle_rad)
    });
    Acquisition::new(header, data)
}

/// One scan of imaging readouts, after `before`, through one gadget.
fn per_readout<G>(bencher: Bencher, config: fn() -> G::Config, before: &[Acquisition])
where
    G: Gadget,
    G::Input: From<Acquisition>,
{
    let scan = scan();
    let lines: Vec<_> = (0..N_LINES).map(|line| readout(line, AcquisitionFlags::NONE)).collect();
    bencher
        .counter(ItemsCount::new(lines.len()))
        .with_inputs(|| {
            let mut gadget = G::new(config(), &scan).unwrap_or_else(|error| panic!("{error}"));
            feed(&mut gadget, before.to_vec());
            (gadget, lines.clone())
        })
        .bench_local_values(|(mut gadget, lines)| {
            feed(&mut gadget, lines);
            gadget
        });
}

fn feed<G>(gadget: &mut G, readouts: Vec<Acquisition>)
where
    G: Gadget,
    G::Input: From<Acquisition>,
{
    let mut forward = |message| {
        divan::black_box(message);
    };
    let mut warn = |_, what, _| panic!("{what}");
    let mut sink = Sink::new(&mut forward, &mut warn);
    for readout in readouts {
        gadget.process(readout.into(), &mut sink).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[divan::bench]
fn adjust_noise(bencher: Bencher) {
    let noise: Vec<_> =
        (0..64).map(|line| readout(line * 7, AcquisitionFlags::IS_NOISE_MEASUREMENT)).collect();
    per_readout::<AdjustNoise>(bencher, Default::default, &noise);
}

#[divan::bench]
fn remove_oversampling(bencher: Bencher) {
    per_readout::<RemoveOversampling>(bencher, Default::default, &[]);
}

#[divan::bench]
fn collect_readouts(bencher: Bencher) {
    let config = || acquisition::collect_readouts::Config {
        trigger_dimension: Some(acquisition::collect_readouts::Dimension::Repetition),
        sorting_dimension: Some(acquisition::collect_readouts::Dimension::Slice),
        ..Default::default()
    };
    per_readout::<CollectReadouts>(bencher, config, &[]);
}

#[divan::bench]
fn sort_k_space(bencher: Bencher) {
    let scan = scan();
    let data: Vec<_> = (0..N_LINES).map(|line| readout(line, AcquisitionFlags::NONE)).collect();
    bencher
        .counter(ItemsCount::new(data.len()))
        .with_inputs(|| {
            let gadget = SortKSpace::new(Default::default(), &scan);
            let gadget = gadget.unwrap_or_else(|error| panic!("{error}"));
            (gadget, Bucket { data: data.clone(), ..Bucket::default() })
        })
        .bench_local_values(|(mut gadget, bucket)| {
            let mut forward = |message| {
                divan::black_box(message);
            };
            let mut warn = |_, what, _| panic!("{what}");
            let mut sink = Sink::new(&mut forward, &mut warn);
            gadget.process(bucket, &mut sink).unwrap_or_else(|error| panic!("{error}"));
        });
}
