//! Files that other programs wrote, with and without regard for the standard.

use std::path::PathBuf;

use ::hdf5::types::{FixedAscii, FixedUnicode, VarLenArray, VarLenAscii, VarLenUnicode};
use ::hdf5::{File, H5Type};
use ndarray::Array4;
use num_complex::Complex32;

use super::pixels::RI32;
use super::tests::{readout, temporary, waveform};
use super::*;
use crate::wire::Limits;
use crate::{Acquisition, AcquisitionHeader, Image, ImageHeader, Meta};

/// Rows of another program: few members, in another order, of other types.
#[derive(H5Type, Clone)]
#[repr(C)]
struct ForeignRow {
    data: VarLenArray<f64>,
    head: ForeignHead,
}

#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct ForeignHead {
    idx: ForeignCounters,
    scan_counter: i64,
    active_channels: u8,
    number_of_samples: i32,
    trajectory_dimensions: u16,
    sample_time_us: f64,
}

#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct ForeignCounters {
    slice: u32,
}

fn foreign_row() -> ForeignRow {
    ForeignRow {
        data: VarLenArray::from_slice(&[1.0, 2.0, 3.0, 4.0]),
        head: ForeignHead {
            idx: ForeignCounters { slice: 9 },
            scan_counter: 77,
            active_channels: 1,
            number_of_samples: 2,
            trajectory_dimensions: 2,
            sample_time_us: 2.5,
        },
    }
}

fn file_with<T: H5Type>(path: &PathBuf, name: &str, rows: &[T]) {
    let group = File::create(path).unwrap().create_group("dataset").unwrap();
    group.new_dataset::<T>().shape(rows.len()).create(name).unwrap().write(rows).unwrap();
}

#[test]
fn what_a_file_lacks_has_the_value_of_a_fresh_header() {
    let (_folder, path) = temporary();
    file_with(&path, "data", &vec![foreign_row(); 3]);
    let reader = FileReader::open(&path).unwrap();
    let readouts: Vec<_> = reader.acquisitions().unwrap().map(Result::unwrap).collect();
    let mut expected = Acquisition::new(
        AcquisitionHeader { scan_counter: 77, sample_time_us: 2.5, ..Default::default() },
        ndarray::array![[Complex32::new(1.0, 2.0), Complex32::new(3.0, 4.0)]],
    );
    expected.header.idx.slice = 9;
    // There are no trajectories, so that the header must not say so.
    assert_eq!(readouts, vec![expected; 3]);

    let limits = Limits { max_array_bytes: 100, ..Limits::default() };
    let error = reader.with_limits(limits).acquisitions().err().unwrap().to_string();
    assert!(error.contains("the limit is 100"), "{error}");
}

#[test]
fn unreadable_rows_are_refused_with_a_sentence() {
    #[derive(H5Type, Clone)]
    #[repr(C)]
    struct TextRow {
        head: ForeignHead,
        data: VarLenAscii,
    }
    #[derive(H5Type, Clone)]
    #[repr(C)]
    struct ShortRow {
        head: ForeignCounters,
        data: VarLenArray<f32>,
    }
    let (_folder, path) = temporary();
    let error = || {
        let reader = FileReader::open(&path).unwrap();
        let error = match reader.acquisitions() {
            Ok(mut readouts) => readouts.next().unwrap().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let (_, what) = error.split_once(", ").unwrap();
        what.to_owned()
    };
    let head = foreign_row().head;
    file_with(&path, "data", &[TextRow { head, data: VarLenAscii::new() }]);
    assert_eq!(
        error(),
        "`dataset/data`: member `data` is a text, expected a list of any length, each a float of \
         4 bytes"
    );
    file_with(&path, "data", &[ShortRow { head: head.idx, data: VarLenArray::from_slice(&[]) }]);
    assert_eq!(error(), "`dataset/data`: member `head.number_of_samples` is missing");
    file_with(&path, "data", &[1.0_f32]);
    assert_eq!(error(), "`dataset/data`: the record is a float of 4 bytes, expected a record");
    let mut row = foreign_row();
    row.head.number_of_samples = 3;
    file_with(&path, "data", &[foreign_row(), row]);
    let reader = FileReader::open(&path).unwrap().with_block_bytes(0);
    let mut readouts = reader.acquisitions().unwrap();
    assert!(readouts.next().unwrap().is_ok());
    let message = readouts.next().unwrap().unwrap_err().to_string();
    assert!(
        message.ends_with(
            "`dataset/data`, row 1: 4 numbers of data, 1 channels of 3 complex samples need 6"
        ),
        "{message}"
    );
    assert!(readouts.next().is_none());
}

#[test]
fn a_row_beyond_the_limit_is_refused_by_its_header() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    writer.write_acquisition(&readout(4)).unwrap();
    writer.finish().unwrap();
    let limits = Limits { max_acquisition_bytes: 64, ..Limits::default() };
    let reader = FileReader::open(&path).unwrap().with_limits(limits);
    let error = reader.acquisitions().unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("row 0: samples and trajectory of 144 bytes"), "{error}");
}

#[test]
fn the_old_name_of_waveforms_is_read() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    writer.write_waveform(&waveform(3)).unwrap();
    writer.finish().unwrap();
    File::open_rw(&path)
        .unwrap()
        .group("dataset")
        .unwrap()
        .relink("waveforms", "waveform")
        .unwrap();
    let reader = FileReader::open(&path).unwrap();
    assert_eq!(reader.waveforms().unwrap().next().unwrap().unwrap(), waveform(3));
}

#[test]
fn texts_of_all_kinds_are_read() {
    let (_folder, path) = temporary();
    let group = File::create(&path).unwrap().create_group("dataset").unwrap();
    let ascii = VarLenAscii::from_ascii("vlen").unwrap();
    group.new_dataset::<VarLenAscii>().shape(1).create("a").unwrap().write(&[ascii]).unwrap();
    let unicode: VarLenUnicode = "µ".parse().unwrap();
    group.new_dataset::<VarLenUnicode>().create("b").unwrap().write_scalar(&unicode).unwrap();
    let fixed = FixedAscii::<300>::from_ascii("fixed").unwrap();
    group.new_dataset::<FixedAscii<300>>().shape(1).create("c").unwrap().write(&[fixed]).unwrap();
    let fixed: FixedUnicode<9> = "µµ".parse().unwrap();
    group.new_dataset::<FixedUnicode<9>>().shape(1).create("d").unwrap().write(&[fixed]).unwrap();
    let bytes = VarLenArray::<u8>::from_slice(b"bytes\0");
    group.new_dataset::<VarLenArray<u8>>().shape(1).create("e").unwrap().write(&[bytes]).unwrap();
    // Never written: a null pointer.
    group.new_dataset::<VarLenAscii>().shape(1).create("f").unwrap();
    group.new_dataset::<f32>().shape(1).create("g").unwrap();
    group.new_dataset::<VarLenAscii>().shape(0).create("h").unwrap();
    group.new_dataset::<f32>().shape(1).create("xml").unwrap();

    let reader = FileReader::open(&path).unwrap();
    let texts = ["a", "b", "c", "d", "e", "f", "h", "i"].map(|name| reader.text(name).unwrap());
    let expected =
        [Some("vlen"), Some("µ"), Some("fixed"), Some("µµ"), Some("bytes"), Some(""), None, None];
    assert_eq!(texts.each_ref().map(Option::as_deref), expected);
    let error = reader.text("g").unwrap_err().to_string();
    assert!(error.ends_with("`dataset/g`: holds a float of 4 bytes, expected a text"), "{error}");
}

/// Images as h5py stores them by itself: fixed shape, complex parts named `r` and `i`, no
/// attributes, and a header with what was thought to be enough.
#[test]
fn images_of_other_programs_are_read() {
    #[derive(H5Type, Clone, Copy)]
    #[repr(C)]
    struct Head {
        image_series_index: u32,
        position: [f64; 3],
    }
    let (_folder, path) = temporary();
    let group = File::create(&path).unwrap().create_group("dataset").unwrap();
    let group = group.create_group("images_1").unwrap();
    let pixels = vec![RI32 { r: 1.0, i: -2.0 }; 6];
    let pixels = ndarray::Array5::from_shape_vec((2, 1, 1, 1, 3), pixels).unwrap();
    group.new_dataset_builder().with_data(&pixels).create("data").unwrap();
    let head = Head { image_series_index: 4, position: [1.0, 2.0, 3.0] };
    group.new_dataset_builder().with_data(&[head, head]).create("header").unwrap();

    let reader = FileReader::open(&path).unwrap();
    let images: Vec<_> = reader.images("images_1").unwrap().map(Result::unwrap).collect();
    let header =
        ImageHeader { image_series_index: 4, position: [1.0, 2.0, 3.0], ..Default::default() };
    let pixels = Array4::from_elem((1, 1, 1, 3), Complex32::new(1.0, -2.0));
    assert_eq!(images, vec![Image::new(header, Meta::new(), pixels); 2]);

    group.unlink("header").unwrap();
    group.new_dataset_builder().with_data(&[head]).create("header").unwrap();
    let error = reader.images("images_1").err().unwrap().to_string();
    assert!(error.contains("expected [1, channels, z, y, x] as there are 1 headers"), "{error}");
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let (_folder, path) = temporary();
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = FileReader::open(&path).err().unwrap().to_string();
        error.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(error(b"hello"), "not an HDF5 file");
    assert_eq!(error(b"\x04\0"), "not an HDF5 file; it is an MRD stream");
    assert!(error(b"\x89HDF\r\n\x1a\ngarbage").starts_with("cannot open"));
    let absent = FileReader::open(path.with_extension("none")).err().unwrap();
    assert!(matches!(absent, FileError::Io { .. }));
}

#[test]
fn a_file_that_another_program_has_locked_is_told_from_a_broken_one() {
    let (_folder, path) = temporary();
    FileWriter::create(&path).unwrap().finish().unwrap();
    let other = std::fs::File::open(&path).unwrap();
    other.lock().unwrap();
    let error = FileReader::open(&path).err().unwrap();
    assert!(matches!(error, FileError::Busy { .. }), "{error}");
    let error = FileWriter::append(&path, "dataset").err().unwrap();
    assert!(matches!(error, FileError::Busy { .. }), "{error}");
    drop(other);
    assert!(FileReader::open(&path).is_ok());
}
