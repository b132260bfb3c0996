//! Files of scanners and of other programs, against what h5py reads from them.
#![cfg(feature = "hdf5")]

use std::path::{Path, PathBuf};

use ismrmrd::hdf5::{FileReader, FileWriter};
use ismrmrd::xml::Trajectory;
use ismrmrd::{Acquisition, DataType};
use tempfile::{TempDir, tempdir};

/// A copy of a file that is not part of the project, [`None`] with a word where it is absent. A
/// copy, because other programs lock the files that they read.
fn shared(path: &str, folder: &TempDir) -> Option<PathBuf> {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if !original.exists() {
        println!("skipped: {} is not there", original.display());
        return None;
    }
    let copy = folder.path().join(path.replace('/', "_"));
    std::fs::copy(original, &copy).unwrap();
    Some(copy)
}

/// What h5py reads. The row is the one in the middle.
struct Known {
    file: &'static str,
    n_rows: usize,
    n_samples: usize,
    n_channels: usize,
    n_dimensions: usize,
    scan_counter: u32,
    time_stamp: u32,
    center_sample: u16,
    sample_time_us: f32,
    position: [f32; 3],
    phase_dir: [f32; 3],
    encode_step_1: u16,
    contrast: u16,
    repetition: u16,
    /// Of all rows.
    flags: u64,
    /// Sum of the squares of all numbers.
    energy: f64,
    /// Sum of the magnitudes of all trajectories.
    trajectory: f64,
    first_sample: [f32; 2],
    kind: Trajectory,
    field_strength_t: Option<f32>,
}

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    Known { file: "jemris_spiral_15arm.h5", n_rows: 16, n_samples: 4940, n_channels: 1, n_dimensions: 3, scan_counter: 0, time_stamp: 0, center_sample: 0, sample_time_us: 0.0, position: [0.0; 3], phase_dir: [0.0; 3], encode_step_1: 71, contrast: 0, repetition: 0, flags: 0x1000_0080, energy: 6.210_075_587_082_795_5, trajectory: 6_226_898.796_655_01, first_sample: [4.034_072_4e-6, 0.145_903_29], kind: Trajectory::Other, field_strength_t: Some(0.0) },
    Known { file: "koma_epi_nonstandard.mrd", n_rows: 101, n_samples: 101, n_channels: 1, n_dimensions: 2, scan_counter: 50, time_stamp: 31616, center_sample: 0, sample_time_us: 2.0, position: [0.0; 3], phase_dir: [0.0, 1.0, 0.0], encode_step_1: 50, contrast: 0, repetition: 0, flags: 0, energy: 0.852_784_779_881_757_4, trajectory: 5_150.999_998_494_984, first_sample: [0.001_138_175_1, -0.000_635_700_94], kind: Trajectory::Other, field_strength_t: Some(1.5) },
    Known { file: "pulseq_gre_3echo.h5", n_rows: 768, n_samples: 256, n_channels: 1, n_dimensions: 0, scan_counter: 385, time_stamp: 1077, center_sample: 128, sample_time_us: 12.5, position: [0.0; 3], phase_dir: [0.0, 1.0, 0.0], encode_step_1: 128, contrast: 0, repetition: 0, flags: 0x100_20c0, energy: 6.014_392_031_894_748_5e-5, trajectory: 0.0, first_sample: [-2.393_964_7e-6, -3.022_141_8e-7], kind: Trajectory::Cartesian, field_strength_t: Some(2.893_62) },
    Known { file: "rat_multi_echo_15te.h5", n_rows: 3840, n_samples: 256, n_channels: 1, n_dimensions: 0, scan_counter: 1921, time_stamp: 0, center_sample: 128, sample_time_us: 0.0, position: [0.0; 3], phase_dir: [0.0, 1.0, 0.0], encode_step_1: 128, contrast: 7, repetition: 0, flags: 0x100_2080, energy: 290.303_154_822_188_96, trajectory: 0.0, first_sample: [0.000_43, 0.001_68], kind: Trajectory::Cartesian, field_strength_t: None },
    Known { file: "rat_saturation_recovery_10tr.h5", n_rows: 2560, n_samples: 256, n_channels: 1, n_dimensions: 0, scan_counter: 1281, time_stamp: 0, center_sample: 128, sample_time_us: 0.0, position: [0.0; 3], phase_dir: [0.0, 1.0, 0.0], encode_step_1: 0, contrast: 0, repetition: 0, flags: 0x100_2080, energy: 347.065_304_116_56, trajectory: 0.0, first_sample: [-0.000_13, -0.001_23], kind: Trajectory::Cartesian, field_strength_t: None },
    Known { file: "siemens_7t_localizer_asymmetric_echo.h5", n_rows: 256, n_samples: 428, n_channels: 1, n_dimensions: 0, scan_counter: 129, time_stamp: 19_973_535, center_sample: 172, sample_time_us: 6.1, position: [-2.421_307_6, -9.685_23, 0.0], phase_dir: [5.960_464_5e-8, 0.999_999_94, 0.0], encode_step_1: 128, contrast: 0, repetition: 0, flags: 0x100_20c0, energy: 0.001_480_127_219_724_980_3, trajectory: 0.0, first_sample: [1.064_036e-7, -9.743_73e-6], kind: Trajectory::Cartesian, field_strength_t: Some(6.980_94) },
    Known { file: "siemens_ep2d_bold_2ch.h5", n_rows: 83, n_samples: 160, n_channels: 2, n_dimensions: 0, scan_counter: 42, time_stamp: 22_329_374, center_sample: 80, sample_time_us: 3.1, position: [-2.5897, 53.922_43, -53.999_474], phase_dir: [0.0, 0.999_262_9, -0.038_387_798], encode_step_1: 38, contrast: 0, repetition: 0, flags: 0x9e0_20c0, energy: 0.000_268_613_278_247_865_9, trajectory: 0.0, first_sample: [-8.821_021e-6, 2.229_120_6e-6], kind: Trajectory::Epi, field_strength_t: Some(2.893_62) },
    Known { file: "siemens_gre_2ch.h5", n_rows: 160, n_samples: 320, n_channels: 2, n_dimensions: 0, scan_counter: 81, time_stamp: 22_321_487, center_sample: 160, sample_time_us: 11.6, position: [-2.5897, 53.922_43, -53.999_474], phase_dir: [0.0, 0.999_262_9, -0.038_387_798], encode_step_1: 80, contrast: 0, repetition: 0, flags: 0x100_20c0, energy: 9.413_952_388_689_884e-6, trajectory: 0.0, first_sample: [7.513_445e-7, -2.883_840_4e-6], kind: Trajectory::Cartesian, field_strength_t: Some(2.893_62) },
    Known { file: "siemens_gre_bodycoil_2rep.h5", n_rows: 256, n_samples: 256, n_channels: 2, n_dimensions: 0, scan_counter: 129, time_stamp: 22_921_269, center_sample: 128, sample_time_us: 14.5, position: [2.667_256_4, 26.519_405, -95.714_21], phase_dir: [2.980_232_2e-7, 0.999_701_2, -0.024_432_205], encode_step_1: 0, contrast: 0, repetition: 1, flags: 0x100_20c0, energy: 2.132_181_825_783_012_6e-5, trajectory: 0.0, first_sample: [-5.643_815e-7, -7.012_859e-7], kind: Trajectory::Cartesian, field_strength_t: Some(2.893_62) },
];

fn close(found: f32, expected: f32) -> bool {
    // The expected value is a decimal of 8 digits.
    (found - expected).abs() <= 1e-6 * expected.abs()
}

#[test]
fn recorded_scans_have_the_values_that_h5py_reads() {
    let folder = tempdir().unwrap();
    for known in KNOWN {
        let Some(path) = shared(&format!("raw/{}", known.file), &folder) else { continue };
        // A small block, so that there are several.
        let reader = FileReader::open(&path).unwrap().with_block_bytes(100_000);
        let header = reader.header().unwrap().unwrap();
        assert_eq!(header.encoding[0].trajectory, known.kind);
        let system = header.acquisition_system_information.unwrap();
        assert_eq!(system.system_field_strength_t, known.field_strength_t);

        let rows: Vec<Acquisition> = reader.acquisitions().unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), known.n_rows);
        let flags = rows.iter().fold(0, |flags, row| flags | row.header.flags.0);
        assert_eq!(flags, known.flags, "{}", known.file);
        let energy: f64 = rows.iter().flat_map(|row| &row.data).map(energy).sum();
        // Sums in another order differ by rounding in double precision.
        assert!((energy - known.energy).abs() <= 1e-11 * known.energy, "{}: {energy}", known.file);
        let trajectory: f64 =
            rows.iter().flat_map(|row| &row.trajectory).map(|k| f64::from(k.abs())).sum();
        assert!((trajectory - known.trajectory).abs() <= 1e-12 * known.trajectory);

        let row = &rows[known.n_rows / 2];
        assert_eq!(row.data.dim(), (known.n_channels, known.n_samples));
        let dimensions =
            if known.n_dimensions == 0 { (0, 0) } else { (known.n_samples, known.n_dimensions) };
        assert_eq!(row.trajectory.dim(), dimensions);
        let (head, idx) = (row.header, row.header.idx);
        let numbers = (head.scan_counter, head.acquisition_time_stamp, head.center_sample);
        assert_eq!(numbers, (known.scan_counter, known.time_stamp, known.center_sample));
        let counters = (idx.kspace_encode_step_1, idx.contrast, idx.repetition);
        assert_eq!(counters, (known.encode_step_1, known.contrast, known.repetition));
        assert!(close(head.sample_time_us, known.sample_time_us));
        let directions = head.position.into_iter().chain(head.phase_dir);
        let expected = known.position.into_iter().chain(known.phase_dir);
        assert!(directions.zip(expected).all(|(found, expected)| close(found, expected)));
        let sample = row.data[[0, 0]];
        assert!(close(sample.re, known.first_sample[0]) && close(sample.im, known.first_sample[1]));
    }
}

fn energy(sample: &num_complex::Complex32) -> f64 {
    f64::from(sample.re).powi(2) + f64::from(sample.im).powi(2)
}

#[test]
fn images_of_gadgetron_have_the_values_that_h5py_reads() {
    let folder = tempdir().unwrap();
    let known = [
        (
            "authors_jemris_spiral_15arm.h5",
            "images",
            "image_1",
            [1, 220, 220],
            DataType::F32,
            0,
            33.706_752_612_448_64,
        ),
        (
            "gadgetron_pulseq_gre_3echo.h5",
            "dataset",
            "image_0",
            [3, 256, 256],
            DataType::F32,
            3,
            2.146_708_611_335_934,
        ),
        (
            "gadgetron_rat_multi_echo_15te.h5",
            "dataset",
            "image_0",
            [15, 256, 256],
            DataType::F32,
            15,
            11_941.614_185_199_738,
        ),
        (
            "gadgetron_siemens_ep2d_bold_2ch.h5",
            "dataset",
            "image_0",
            [1, 80, 80],
            DataType::U16,
            1,
            5_667_694.0,
        ),
    ];
    for (file, group, name, shape, data_type, last_index, sum) in known {
        let Some(path) = shared(&format!("reference/{file}"), &folder) else { continue };
        assert_eq!(FileReader::groups(&path).unwrap(), [group]);
        let reader = FileReader::open_group(&path, group).unwrap();
        let images = reader.images(name).unwrap();
        assert_eq!(images.data_type(), data_type);
        let images: Vec<_> = images.map(Result::unwrap).collect();
        assert_eq!(images.len(), shape[0]);
        assert_eq!(images[0].pixels.shape(), [1, 1, shape[1], shape[2]]);
        assert_eq!({ images[images.len() - 1].header.image_index }, last_index);
        assert!(images[0].meta.is_empty());
        let found: f64 =
            images.iter().flat_map(|image| image.pixels.to_magnitude()).map(f64::from).sum();
        assert!((found - sum).abs() <= 1e-12 * sum, "{file}: {found}");
    }
}

#[test]
fn a_copy_of_a_recorded_scan_is_the_scan() {
    let folder = tempdir().unwrap();
    for known in KNOWN {
        let Some(path) = shared(&format!("raw/{}", known.file), &folder) else { continue };
        let copy = folder.path().join(known.file);
        let reader = FileReader::open(&path).unwrap();
        let mut writer = FileWriter::create(&copy).unwrap();
        writer.write_header(&reader.header().unwrap().unwrap()).unwrap();
        for message in reader.messages().unwrap() {
            assert!(writer.write(&message.unwrap()).unwrap());
        }
        writer.finish().unwrap();
        let copied = FileReader::open(&copy).unwrap();
        assert_eq!(copied.header().unwrap(), reader.header().unwrap());
        for (copied, row) in copied.acquisitions().unwrap().zip(reader.acquisitions().unwrap()) {
            assert_eq!(copied.unwrap(), row.unwrap());
        }
        assert_eq!(copied.n_acquisitions().unwrap(), known.n_rows);
    }
}
