//! The gadgets on images that others have made, with the maps that others made of them.

use std::path::{Path, PathBuf};

use ismrmrd::Meta;
use mapping::{MapT1, MapT1Config, MapT2, MapT2Config};
use ndarray::{Array3, ArrayD, IxDyn};
use num_complex::Complex32;
use pipeline::{ImageRole, ImageSeries, Message, ParametricMap, Scan, run_gadget};

fn shared(name: &str) -> Option<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/mapping");
    let path = Path::new(folder).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

/// Magnitudes `[image, y, x]` sent directly, with their times in ms in their meta attributes.
fn series(images: &Array3<f32>, key: &str, times_ms: &[f64]) -> ImageSeries {
    let (n, height, width) = images.dim();
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_shape_fn(IxDyn(&[1, 1, n, 1, 1, height, width]), |place| {
            Complex32::from(images[[place[2], place[5], place[6]]])
        }),
        headers: Array3::default((1, 1, n)),
        meta: times_ms.iter().map(|time| Meta::from_iter([(key, *time)])).collect(),
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

fn only_map(outputs: Vec<Message>) -> ParametricMap {
    let map = outputs.into_iter().find_map(|message| match message {
        Message::ParametricMap(map) => Some(map),
        _ => None,
    });
    map.expect("a map")
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// The arrays of an uncompressed or deflated `.npz` of `f32` or `f64`, by Python's own program:
/// they are read with numpy's format, which is a header and the numbers.
fn npz(path: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).expect("readable");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an archive");
    let mut entry = archive.by_name(&format!("{name}.npy")).expect("it is there");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).expect("readable");
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + header_len]).into_owned();
    let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next());
    let shape: Vec<usize> = shape
        .expect("a shape")
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let data = &bytes[10 + header_len..];
    let values = if header.contains("<f4") {
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect()
    } else if header.contains("<u2") {
        data.chunks_exact(2).map(|b| f32::from(u16::from_le_bytes([b[0], b[1]]))).collect()
    } else {
        assert!(header.contains("<f8"), "{header}");
        let number = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("eight")) as f32;
        data.chunks_exact(8).map(number).collect()
    };
    (shape, values)
}
