//! Files come back as they were written.

use std::path::PathBuf;

use ndarray::{Array2, Array4, ArrayD, IxDyn};
use num_complex::{Complex32, Complex64};
use tempfile::TempDir;

use super::*;
use crate::wire::Message;
use crate::{
    Acquisition, AcquisitionFlags, AcquisitionHeader, Header, Image, ImageHeader, Meta, NdArray,
    Pixels, Waveform, WaveformHeader,
};

pub(super) fn temporary() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.h5");
    (folder, path)
}

/// A readout whose every member depends on `n`.
pub(super) fn readout(n: u16) -> Acquisition {
    let (n_channels, n_samples) = (usize::from(1 + n % 3), usize::from(2 + n % 5));
    let mut header = AcquisitionHeader {
        flags: AcquisitionFlags(u64::from(n) << 40 | 3),
        scan_counter: n.into(),
        acquisition_time_stamp: 100 * u32::from(n),
        physiology_time_stamp: [n.into(), 2, 3],
        channel_mask: [u64::from(n); 16],
        center_sample: n,
        sample_time_us: f32::from(n) + 0.5,
        position: [f32::from(n), -1.0, 2.0],
        user_int: [-i32::from(n); 8],
        user_float: [1.0 / (1.0 + f32::from(n)); 8],
        ..Default::default()
    };
    header.idx.kspace_encode_step_1 = n;
    header.idx.user = [n; 8];
    let data = Array2::from_shape_fn((n_channels, n_samples), |(channel, sample)| {
        Complex32::new(f32::from(n) + sample as f32, channel as f32)
    });
    let mut readout = Acquisition::new(header, data);
    if n.is_multiple_of(2) {
        readout.trajectory = Array2::from_shape_fn((n_samples, 2), |(s, d)| (s + 10 * d) as f32);
        readout.header.trajectory_dimensions = 2;
    }
    readout
}

pub(super) fn waveform(time_stamp: u32) -> Waveform {
    let header = WaveformHeader {
        version: 1,
        flags: 5,
        scan_counter: time_stamp,
        time_stamp,
        number_of_samples: 3,
        channels: 2,
        sample_time_us: 2500.0,
        waveform_id: 1,
        ..Default::default()
    };
    Waveform { header, data: Array2::from_shape_fn((2, 3), |(c, s)| (10 * c + s) as u32) }
}

#[test]
fn a_scan_comes_back_as_it_was_written() {
    let (_folder, path) = temporary();
    let mut header = Header::default();
    header.encoding.push(Default::default());
    header.set_user_string("operator", "Zoë");
    let mut writer = FileWriter::create(&path).unwrap();
    writer.write_header(&header).unwrap();
    writer.write_text("configAdditional", "{\"µ\": 1}").unwrap();
    for n in 0..1100 {
        writer.write_acquisition(&readout(n)).unwrap();
    }
    writer.write_waveform(&waveform(7)).unwrap();
    writer.finish().unwrap();

    // Blocks of a few rows, and of all.
    for block_bytes in [0, 200, 1 << 20] {
        let reader = FileReader::open(&path).unwrap().with_block_bytes(block_bytes);
        assert_eq!(reader.n_acquisitions().unwrap(), 1100);
        let readouts: Vec<_> = reader.acquisitions().unwrap().map(Result::unwrap).collect();
        assert_eq!(readouts.len(), 1100);
        for (n, found) in (0..).zip(&readouts) {
            assert_eq!(*found, readout(n));
        }
        let waveforms: Vec<_> = reader.waveforms().unwrap().map(Result::unwrap).collect();
        assert_eq!(waveforms, [waveform(7)]);
    }
    let reader = FileReader::open(&path).unwrap();
    assert!(reader.header_text().unwrap().unwrap().contains("Zo&#235;"));
    assert_eq!(reader.header().unwrap().unwrap(), header);
    assert_eq!(reader.text("configAdditional").unwrap().as_deref(), Some("{\"µ\": 1}"));
    assert_eq!(reader.text("config").unwrap(), None);
}

#[test]
fn what_is_added_later_comes_behind() {
    let (_folder, path) = temporary();
    for n in 0..3 {
        let mut writer = FileWriter::append(&path, "a/b").unwrap();
        writer.write_header_text(&format!("<ismrmrdHeader>{n}</ismrmrdHeader>")).unwrap();
        writer.write_acquisition(&readout(n)).unwrap();
        writer.write_waveform(&waveform(n.into())).unwrap();
        writer.write_image(&image(pixels(0), n)).unwrap();
        writer.finish().unwrap();
    }
    let reader = FileReader::open_group(&path, "/a/b/").unwrap();
    let counters: Vec<u32> =
        reader.acquisitions().unwrap().map(|row| row.unwrap().header.scan_counter).collect();
    assert_eq!(counters, [0, 1, 2]);
    assert_eq!(reader.n_waveforms().unwrap(), 3);
    assert_eq!(reader.images("image_0").unwrap().count(), 3);
    assert!(reader.header_text().unwrap().unwrap().contains('2'));
    assert_eq!(FileReader::groups(&path).unwrap(), ["a/b"]);
    let error = FileReader::open(&path).err().unwrap().to_string();
    assert!(error.ends_with("no group `dataset` with a scan; the file has `a/b`"), "{error}");
}

fn pixels(kind: usize) -> Pixels {
    let shape = (2, 1, 3, 4);
    let value = |(c, z, y, x): (usize, usize, usize, usize)| 100 * c + 50 * z + 10 * y + x;
    match kind {
        0 => Array4::from_shape_fn(shape, |at| value(at) as u16).into(),
        1 => Array4::from_shape_fn(shape, |at| -(value(at) as i16)).into(),
        2 => Array4::from_shape_fn(shape, |at| value(at) as u32 + (1 << 31)).into(),
        3 => Array4::from_shape_fn(shape, |at| -(value(at) as i32)).into(),
        4 => Array4::from_shape_fn(shape, |at| value(at) as f32 / 3.0).into(),
        5 => Array4::from_shape_fn(shape, |at| value(at) as f64 / 3.0).into(),
        6 => Array4::from_shape_fn(shape, |at| Complex32::new(value(at) as f32, -1.0)).into(),
        _ => Array4::from_shape_fn(shape, |at| Complex64::new(value(at) as f64, -1.0)).into(),
    }
}

fn image(pixels: Pixels, index: u16) -> Image {
    let header = ImageHeader {
        image_index: index,
        field_of_view: [300.0, 200.0, 8.0],
        user_float: [f32::from(index); 8],
        ..Default::default()
    };
    let mut meta = Meta::new();
    if index > 0 {
        meta.set("ImageComment", "T₁ < 3 µs");
        meta.append("ImageComment", index);
    }
    Image::new(header, meta, pixels)
}

#[test]
fn images_of_all_types_come_back() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    for kind in 0..8_u16 {
        for index in 0..3 {
            let mut image = image(pixels(kind.into()), index);
            image.header.image_series_index = kind;
            writer.write_image(&image).unwrap();
        }
    }
    writer.finish().unwrap();
    let reader = FileReader::open(&path).unwrap();
    assert_eq!(reader.image_names().unwrap().len(), 8);
    for kind in 0..8_u16 {
        let images = reader.images(&format!("image_{kind}")).unwrap();
        for (index, found) in (0..).zip(images) {
            let found = found.unwrap();
            let mut written = image(pixels(kind.into()), index);
            written.header.image_series_index = kind;
            // What the C++ library copies from the stored text, which is ASCII.
            written.header.attribute_string_len = found.header.attribute_string_len;
            assert_eq!(found, written);
        }
    }
}

#[test]
fn images_of_another_shape_or_type_go_to_a_group_of_their_own() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    let small = Pixels::from(Array4::<u16>::zeros((1, 1, 2, 2)));
    for pixels in [pixels(0), small.clone(), pixels(4), pixels(0), small] {
        writer.write_image(&image(pixels, 0)).unwrap();
    }
    writer.finish().unwrap();
    let reader = FileReader::open(&path).unwrap();
    assert_eq!(reader.image_names().unwrap(), ["image_0", "image_0_2", "image_0_3"]);
    let counts = ["image_0", "image_0_2", "image_0_3"].map(|n| reader.images(n).unwrap().count());
    assert_eq!(counts, [2, 2, 1]);
    let error = reader.images("image_9").err().unwrap().to_string();
    assert!(error.contains("`dataset/image_9`: cannot open"), "{error}");
}

#[test]
fn arrays_come_back_one_by_one() {
    let (_folder, path) = temporary();
    let array = |n: f32| NdArray::F32(ArrayD::from_elem(IxDyn(&[2, 3]), n));
    let complex = NdArray::C32(ArrayD::from_elem(IxDyn(&[4]), Complex32::new(1.0, 2.0)));
    let mut writer = FileWriter::create(&path).unwrap();
    writer.append_array("t1_ms", &array(1.0)).unwrap();
    writer.append_array("t1_ms", &array(2.0)).unwrap();
    writer.append_array("kernel", &complex).unwrap();
    assert!(writer.append_array("t1_ms", &complex).is_err());
    writer.finish().unwrap();
    let reader = FileReader::open(&path).unwrap();
    assert_eq!(reader.array("t1_ms", 1).unwrap(), array(2.0));
    assert_eq!(reader.array("kernel", 0).unwrap(), complex);
    assert!(reader.array("t1_ms", 2).is_err() && reader.array("t2_ms", 0).is_err());
}

#[test]
fn readouts_and_waveforms_are_merged_by_their_time() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    for n in 1..=3 {
        writer.write_acquisition(&readout(n)).unwrap();
    }
    for time in [50, 200, 250, 900] {
        writer.write_waveform(&waveform(time)).unwrap();
    }
    writer.finish().unwrap();
    let times: Vec<(char, u32)> = FileReader::open(&path)
        .unwrap()
        .messages()
        .unwrap()
        .map(|message| match message.unwrap() {
            Message::Acquisition(readout) => ('r', readout.header.acquisition_time_stamp),
            Message::Waveform(waveform) => ('w', waveform.header.time_stamp),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected =
        [('w', 50), ('r', 100), ('r', 200), ('w', 200), ('w', 250), ('r', 300), ('w', 900)];
    assert_eq!(times, expected);
}

/// HDF5 1.10 reads from the wrong file where a dataset is open through two handles of a file and
/// the first is closed; readers of the same file therefore share one.
#[test]
fn readers_of_the_same_file_do_not_disturb_each_other() {
    let (folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    for n in 0..600 {
        writer.write_acquisition(&readout(n)).unwrap();
    }
    writer.finish().unwrap();
    for round in 0..3 {
        let first = FileReader::open(&path).unwrap().with_block_bytes(0);
        let mut first_rows = first.acquisitions().unwrap();
        assert_eq!(first_rows.next().unwrap().unwrap(), readout(0));
        let second = FileReader::open(&path).unwrap().with_block_bytes(0);
        let second_rows = second.acquisitions().unwrap();
        drop((first, first_rows));
        let mut other = FileWriter::create(folder.path().join(format!("other{round}.h5"))).unwrap();
        other.write_acquisition(&readout(1)).unwrap();
        for (n, row) in (0..).zip(second_rows) {
            assert_eq!(row.unwrap(), readout(n));
        }
        other.finish().unwrap();
    }
}

#[test]
fn a_file_that_is_being_written_can_be_read_but_not_written_twice() {
    let (_folder, path) = temporary();
    let mut writer = FileWriter::create(&path).unwrap();
    writer.write_acquisition(&readout(1)).unwrap();
    writer.flush().unwrap();
    let reader = FileReader::open(&path).unwrap();
    assert_eq!(reader.acquisitions().unwrap().next().unwrap().unwrap(), readout(1));
    for error in [FileWriter::append(&path, "dataset"), FileWriter::create(&path)] {
        let error = error.err().unwrap().to_string();
        assert!(error.contains("is open in this program already"), "{error}");
    }
    drop(writer);
    assert_eq!(reader.n_acquisitions().unwrap(), 1);
    drop(reader);
    FileWriter::append(&path, "dataset").unwrap().finish().unwrap();
}
