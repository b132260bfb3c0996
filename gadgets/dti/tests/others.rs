//! Fits and angles on data that others have made, against the answers of others.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ndarray::Array2;
use numerics::diffusion::{BMatrix, Eigen, FitMethod, TensorPlan, WallAxes, eigen, fibre_angles};

fn shared(name: &str) -> Option<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/diffusion");
    let path = Path::new(folder).join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the harness, which would hide it. Where there is nobody to tell, it does not matter.
    let _ = writeln!(std::io::stderr(), "skipped: {} is not here", path.display());
    None
}

/// The numbers of an array of a compressed `.npz`, slowest axis first.
fn npz(path: &Path, name: &str) -> Vec<f64> {
    let archive = std::fs::read(path).expect("readable");
    let name = format!("{name}.npy");
    // The local header of an entry: 30 bytes, its name, something extra, the deflated file.
    let entry = (0..archive.len() - 30 - name.len()).find(|&at| {
        archive[at..].starts_with(b"PK\x03\x04") && archive[at + 30..].starts_with(name.as_bytes())
    });
    let entry = entry.expect("it is there");
    let length = |at: usize| usize::from(u16::from_le_bytes([archive[at], archive[at + 1]]));
    let start = entry + 30 + length(entry + 26) + length(entry + 28);
    let mut bytes = Vec::new();
    flate2::read::DeflateDecoder::new(&archive[start..]).read_to_end(&mut bytes).expect("deflated");
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + header_len]).into_owned();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let data = &bytes[10 + header_len..];
    if header.contains("<f4") {
        let number = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().expect("four")));
        data.chunks_exact(4).map(number).collect()
    } else {
        assert!(header.contains("<f8"), "{header}");
        let number = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("eight"));
        data.chunks_exact(8).map(number).collect()
    }
}

/// Eigenvalues and eigenvectors by the other method in the workspace, largest first.
fn by_iteration(tensor: &[f64; 6]) -> Eigen {
    let [xx, xy, xz, yy, yz, zz] = *tensor;
    let matrix = nalgebra::Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
    let found = matrix.symmetric_eigen();
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]));
    Eigen {
        values: order.map(|k| found.eigenvalues[k]),
        vectors: order.map(|k| std::array::from_fn(|i| found.eigenvectors[(i, k)])),
    }
}

/// Difference of two angles of lines, degrees.
fn apart(a: f64, b: f64) -> f64 {
    let difference = (a - b).rem_euclid(180.0);
    difference.min(180.0 - difference)
}

#[test]
fn the_tensor_and_the_angles_of_indis_phantom_are_met() {
    let Some(path) = shared("indi_cdti_phantom.npz") else { return };
    let near = |name: &str| path.with_file_name(name);
    let (images, b, g) = (npz(&path, "images"), npz(&path, "bvals"), npz(&path, "bvecs"));
    let truth = npz(&near("indi_true_tensor.npz"), "DT");
    let mask = npz(&near("indi_mask.npz"), "mask_3c");
    let axes = |name: &str| npz(&near("indi_cardiac_coordinates.npz"), name);
    let [circ, long, radi] =
        ["circumferential_component", "longitudinal_component", "radial_component"].map(axes);
    let encodings: Vec<BMatrix> = (0..b.len())
        .map(|n| BMatrix::along(b[n], [g[3 * n], g[3 * n + 1], g[3 * n + 2]]))
        .collect();
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let n_pixels = mask.len();
    let (mut of_images, mut of_signals, mut helix, mut e2, mut n) =
        (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64, 0);
    for pixel in (0..n_pixels).filter(|pixel| mask[*pixel] == 1.0) {
        // mm²/s there, µm²/ms here.
        let element = |i: usize, j: usize| 1e3 * truth[9 * pixel + 3 * i + j];
        let expected = [
            element(0, 0),
            element(0, 1),
            element(0, 2),
            element(1, 1),
            element(1, 2),
            element(2, 2),
        ];
        let size = expected.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
        let error = |found: &[f64; 6]| {
            found
                .iter()
                .zip(expected)
                .fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs() / size))
        };
        // The images are in single precision: 6e-8 of them.
        let signals: Vec<f64> = (0..b.len()).map(|n| images[n * n_pixels + pixel]).collect();
        let fit = plan.fit_pixel(&signals, FitMethod::Linear).expect("signal");
        of_images = of_images.max(error(&fit.tensor));
        // The same signals in double precision.
        let exact: Vec<f64> = encodings
            .iter()
            .map(|encoding| {
                let [xx, xy, xz, yy, yz, zz] = encoding.0;
                let weights = [xx, 2.0 * xy, 2.0 * xz, yy, 2.0 * yz, zz];
                1000.0 * (-weights.iter().zip(expected).map(|(w, d)| w * d).sum::<f64>()).exp()
            })
            .collect();
        let exact = plan.fit_pixel(&exact, FitMethod::Linear).expect("signal");
        of_signals = of_signals.max(error(&exact.tensor));
        let three = |of: &[f64]| [of[3 * pixel], of[3 * pixel + 1], of[3 * pixel + 2]];
        let axes = WallAxes {
            circumferential: three(&circ),
            longitudinal: three(&long),
            radial: three(&radi),
        };
        let found = fibre_angles(&eigen(&fit.tensor), &axes);
        let known = fibre_angles(&by_iteration(&expected), &axes);
        helix = helix.max(apart(found.helix_deg, known.helix_deg));
        e2 = e2.max(apart(found.e2_deg, known.e2_deg));
        n += 1;
    }
    println!(
        "{n} pixels: tensor to {of_signals:.1e} (of images in single precision {of_images:.1e}), \
         helix angle to {helix:.1e} deg, E2A to {e2:.1e} deg"
    );
    assert_eq!(n, 1656);
    assert!(of_signals < 1e-12 && of_images < 2e-7, "{of_signals} {of_images}");
    assert!(helix < 0.01 && e2 < 0.01, "{helix} {e2}");
}

/// The tensor with eigenvalues of 10⁻⁶ µm²/ms at least, as DIPY has it: one of the voxels has a
/// negative one.
fn without_negative(tensor: &[f64; 6]) -> [f64; 6] {
    let Eigen { values, vectors } = eigen(tensor);
    let element = |i: usize, j: usize| -> f64 {
        vectors.iter().zip(values).map(|(v, value)| value.max(1e-6) * v[i] * v[j]).sum()
    };
    [element(0, 0), element(0, 1), element(0, 2), element(1, 1), element(1, 2), element(2, 2)]
}

#[test]
fn fits_to_a_brain_are_those_of_dipy() {
    let Some(path) = shared("small_64D.nii") else { return };
    let numbers = |name: &str| -> Vec<f64> {
        let text = std::fs::read_to_string(path.with_file_name(name)).expect("readable");
        text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    };
    let (b, g) = (numbers("small_64D.bval"), numbers("small_64D.bvec"));
    assert_eq!((b.len(), g.len()), (65, 195));
    let encodings: Vec<BMatrix> =
        (0..65).map(|n| BMatrix::along(b[n], [g[3 * n], g[3 * n + 1], g[3 * n + 2]])).collect();
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let bytes = std::fs::read(&path).expect("readable");
    // NIfTI: 16-bit integers from byte 352, x fastest; voxels as numpy numbers them, z fastest.
    let voxel = |number: usize| -> Vec<f64> {
        let place = number / 100 + 10 * (number / 10 % 10) + 100 * (number % 10);
        (0..65)
            .map(|image| {
                let at = 352 + 2 * (1000 * image + place);
                f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]))
            })
            .collect()
    };
    let mut worst = [0.0_f64; 3];
    // DIPY 1.12.1, `TensorModel(gradient_table(bvals, bvecs=bvecs), fit_method=…)`, 10⁻³ mm²/s.
    for line in include_str!("small_64d_dipy.txt").lines() {
        let mut words = line.split_whitespace();
        let (which, method) = match words.next() {
            Some("OLS") => (0, FitMethod::Linear),
            Some("WLS") => (1, FitMethod::Weighted { reweightings: 1 }),
            _ => (2, FitMethod::NonLinear),
        };
        let number: usize = words.next().and_then(|word| word.parse().ok()).expect("a voxel");
        let fit = plan.fit_pixel(&voxel(number), method).expect("signal");
        for (found, expected) in without_negative(&fit.tensor).iter().zip(words) {
            let expected: f64 = expected.parse().expect("a number");
            worst[which] = worst[which].max((found - expected).abs());
        }
    }
    println!(
        "largest difference from DIPY, um2/ms: linear {:.1e}, weighted {:.1e}, non-linear {:.1e}",
        worst[0], worst[1], worst[2]
    );
    assert!(worst.iter().all(|difference| *difference < 1e-5), "{worst:?}");
    // And the fast fit of all voxels.
    let images = Array2::from_shape_fn((65, 20), |(image, n)| voxel(26 + n)[image] as f32);
    let fast = plan.fit_linear(images.view());
    for n in 0..20 {
        if let Some(fit) = plan.fit_pixel(&voxel(26 + n), FitMethod::Linear) {
            for element in 0..6 {
                let difference = f64::from(fast.tensor[[element, n]]) - fit.tensor[element];
                assert!(difference.abs() < 1e-5, "{n}: {difference}");
            }
        }
    }
}
