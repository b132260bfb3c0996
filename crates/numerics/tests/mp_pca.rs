//! MP-PCA against DIPY's on a block of an in-vivo brain.

use std::path::Path;

use ndarray::Array4;
use numerics::denoise::mp_pca;

/// x, y, z, image; denoised value and standard deviation of the noise of
/// `dipy.denoise.localpca.mppca(data.astype(float), patch_radius=2, return_sigma=True)`, DIPY 1.12.1.
const OF_DIPY: [([usize; 4], f32, f32); 8] = [
    ([0, 0, 0, 0], 94.404_67, 19.557_805),
    ([4, 4, 5, 0], 162.676_47, 19.277_68),
    ([4, 5, 4, 10], 72.720_42, 19.402_79),
    ([2, 7, 3, 33], 63.969_94, 19.333_72),
    ([9, 9, 9, 64], 183.460_77, 16.681_566),
    ([5, 1, 8, 50], 136.560_46, 18.712_428),
    ([1, 1, 1, 20], 75.621_05, 19.754_755),
    ([7, 3, 6, 5], 81.294_75, 18.984_844),
];

/// `[image, z, y, x]` of a NIfTI file of 16-bit integers, x fastest.
fn read(path: &Path) -> Option<Array4<f32>> {
    let bytes = std::fs::read(path).ok()?;
    let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    assert_eq!((short(40), short(70)), (4, 4), "four axes of 16-bit integers");
    let size = |axis: usize| short(42 + 2 * axis) as usize;
    let values = bytes[352..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])));
    let shape = (size(3), size(2), size(1), size(0));
    Array4::from_shape_vec(shape, values.collect()).ok()
}

#[test]
fn a_brain_is_denoised_as_dipy_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = root.join("shared/data/diffusion/small_64D.nii");
    let Some(images) = read(&path) else {
        println!("skipped: no {}", path.display());
        return;
    };
    let found = mp_pca(images.view(), [2, 2, 2]).expect("patches fit");
    for ([x, y, z, image], value, sd) in OF_DIPY {
        let (own, own_sd) = (found.images[[image, z, y, x]], found.noise_sd[[z, y, x]]);
        assert!((own / value - 1.0).abs() < 1e-4, "{x} {y} {z} {image}: {own} {value}");
        assert!((own_sd / sd - 1.0).abs() < 1e-4, "{x} {y} {z}: {own_sd} {sd}");
    }
}
