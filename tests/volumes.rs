//! Undersampled volumes through the real server: slices of a simulated heart, encoded along the
//! partitions as well.

mod support;

use std::collections::BTreeMap;
use std::f32::consts::TAU;

use ismrmrd::xml::{AccelerationFactor, CalibrationMode, Limit, ParallelImaging};
use ismrmrd::{Acquisition, AcquisitionFlags};
use num_complex::Complex32;
use phantom::{
    Label, LineOptions, LineOrder, Molli, Motion, Noise, NoiseScan, Rhythm, Setup,
    ShortAxisOptions, SignalModel, SimulatedScan, Subject,
};
use support::TestServer;
use support::networks::has_runtime;
use support::recording::{Recording, inside_slice, values, with_role};

const N_PARTITIONS: usize = 6;
// Pixels as fine as the network has seen them.
const MATRIX: [usize; 2] = [160, 160];

/// All lines of the slices.
fn slices() -> SimulatedScan {
    let setup = Setup {
        matrix_size: MATRIX,
        n_slices: N_PARTITIONS,
        slice_spacing_mm: 3.0,
        n_channels: 8,
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(15.0),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(&Molli::default(), setup).expect("a good setup")
}

/// A quarter of the lines of the volume that the slices are: every other line and partition, others
/// in each image, and all in the middle.
fn volume(scan: &SimulatedScan) -> Recording {
    let mut recording = Recording::of(scan);
    let (noise, readouts): (Vec<_>, Vec<_>) = recording
        .readouts
        .into_iter()
        .partition(|readout| readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT));
    let mut lines: BTreeMap<(u16, u16), Vec<Acquisition>> = BTreeMap::new();
    for readout in readouts {
        let idx = readout.header.idx;
        lines.entry((idx.set, idx.kspace_encode_step_1)).or_default().push(readout);
    }
    let half = N_PARTITIONS / 2;
    let mut encoded = Vec::new();
    for ((set, line), slices) in lines {
        assert_eq!(slices.len(), N_PARTITIONS, "a line of every slice");
        for partition in 0..N_PARTITIONS {
            let (set, line) = (usize::from(set), usize::from(line));
            let calibrates = line.abs_diff(MATRIX[1] / 2) < 10 && partition.abs_diff(half) < 2;
            let is_own = (line + set) % 2 == 0 && (partition + set / 2) % 2 == 0;
            let role = match (calibrates, is_own) {
                (false, false) => continue,
                (false, true) => AcquisitionFlags::NONE,
                (true, false) => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
                (true, true) => AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING,
            };
            let mut readout = slices[half].clone();
            readout.data.fill(Complex32::ZERO);
            for (place, slice) in slices.iter().enumerate() {
                let turns = (partition as f32 - half as f32) * (place as f32 - half as f32);
                let phase = -TAU * turns / N_PARTITIONS as f32;
                let factor = Complex32::from_polar((N_PARTITIONS as f32).sqrt().recip(), phase);
                readout.data.zip_mut_with(&slice.data, |sum, value| *sum += factor * value);
            }
            readout.header.idx.slice = 0;
            readout.header.idx.kspace_encode_step_2 = partition as u16;
            readout.header.clear_flags(AcquisitionFlags::LAST_IN_SLICE);
            readout.header.set_flags(role);
            encoded.push(readout);
        }
    }
    let depth_mm = (scan.setup().slice_spacing_mm * N_PARTITIONS as f64) as f32;
    for encoding in &mut recording.header.encoding {
        for space in [&mut encoding.encoded_space, &mut encoding.recon_space] {
            space.matrix_size.z = N_PARTITIONS as u16;
            space.field_of_view_mm.z = depth_mm;
        }
        encoding.encoding_limits.slice = Some(Limit::up_to(0, 0));
        encoding.encoding_limits.kspace_encoding_step_2 =
            Some(Limit::up_to(N_PARTITIONS as u16 - 1, half as u16));
        encoding.parallel_imaging = Some(ParallelImaging {
            acceleration_factor: AccelerationFactor {
                kspace_encoding_step_1: 2,
                kspace_encoding_step_2: 2,
            },
            calibration_mode: Some(CalibrationMode::Embedded),
            ..ParallelImaging::default()
        });
    }
    recording.readouts = noise.into_iter().chain(encoded).collect();
    recording
}

/// The chain with another way to reconstruct.
fn by(method: &str) -> String {
    let chain = include_str!("../config/molli_t1_accelerated.toml");
    assert!(chain.contains("method = \"network\"\n"));
    chain.replace("method = \"network\"\n", &format!("method = \"{method}\"\n"))
}

#[test]
fn t1_of_every_partition_of_a_volume_is_that_of_the_tissue() {
    let server = TestServer::start(&[]);
    let scan = slices();
    let volume = volume(&scan);
    let walls = [0, 1, 2, 3, 4, 5].map(|slice| inside_slice(&scan, slice, Label::Myocardium));
    let [by_model, by_network] = ["subspace", "network"].map(|method| {
        let (images, told) = volume.through_text(&server, &by(method));
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{method}: {told:?}"));
        let map = values(map);
        assert_eq!(map.dim(), (1, N_PARTITIONS, MATRIX[1], MATRIX[0]));
        let mut spread = Vec::new();
        for (partition, wall) in walls.iter().enumerate() {
            let pixels = wall.indexed_iter().filter(|(_, is_wall)| **is_wall);
            let t1_ms: Vec<f32> = pixels.map(|((y, x), _)| map[[0, partition, y, x]]).collect();
            let of_wall = median(t1_ms.clone());
            println!("{method}, partition {partition}: {of_wall} ms of {} pixels", t1_ms.len());
            assert!((of_wall / 1000.0 - 1.0).abs() < 0.04, "{method}, {partition}: {of_wall} ms");
            spread.extend(t1_ms.iter().map(|t1_ms| (t1_ms / of_wall - 1.0).abs()));
        }
        let instead = told.iter().any(|text| text.contains("`subspace` is used instead"));
        assert_eq!(instead, method == "network" && !has_runtime(), "{told:?}");
        median(spread)
    });
    println!(
        "median distance from the wall's median by subspace {by_model}, by network {by_network}"
    );
    // The network looks at partitions one by one, where `subspace` sees the volume.
    assert!(by_model < 0.03 && by_network < 0.03, "{by_model} {by_network}");
    server.stop();
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}
