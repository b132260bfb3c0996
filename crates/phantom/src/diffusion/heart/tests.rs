use super::*;
use crate::anatomy::{Attachment, Region};
use crate::diffusion::{Eigenvalues, FibreChange, FibrePatch};
use crate::ellipse::Ellipse;
use crate::tissue::{LesionKind, Tissue};

const TISSUE: Tissue = Tissue {
    t1_ms: 1000.0,
    t2_ms: 50.0,
    t2_star_ms: 35.0,
    proton_density: 0.8,
    off_resonance_hz: 0.0,
    ecv_percent: None,
};

fn disc(label: Label, center_mm: [f64; 2], radius_mm: f64, parent: Option<usize>) -> Region {
    Region {
        label,
        ellipse: Ellipse { semi_axes_mm: [radius_mm; 2], center_mm, angle_rad: 0.0 },
        parent,
        tissue: TISSUE,
        attachment: Attachment::LeftVentricle,
    }
}

/// A chest with a heart whose wall is from 22 to 32 mm, with its insertion at `angle_rad`.
fn anatomy(center_mm: [f64; 2], angle_rad: f64) -> Anatomy {
    let lesion = [
        center_mm[0] + 27.0 * (angle_rad + 2.0).cos(),
        center_mm[1] + 27.0 * (angle_rad + 2.0).sin(),
    ];
    Anatomy {
        regions: vec![
            disc(Label::Muscle, [0.0, 0.0], 90.0, None),
            disc(Label::Myocardium, center_mm, 32.0, Some(0)),
            disc(Label::LeftBlood, center_mm, 22.0, Some(1)),
            disc(Label::Lesion(LesionKind::Infarct), lesion, 3.5, Some(1)),
        ],
        left_ventricle: Some(LeftVentricle {
            center_mm,
            endocardial_radius_mm: 22.0,
            epicardial_radius_mm: 32.0,
            insertion_angle_rad: angle_rad,
        }),
    }
}

fn heart(anatomy: &Anatomy, options: &DiffusionOptions) -> DiffusionHeart {
    DiffusionHeart::new(anatomy, options, [200, 192], [200.0, 192.0]).expect("heart")
}

/// Row and column of the pixel whose centre is nearest to a point.
fn pixel_at(x_mm: f64, y_mm: f64) -> [usize; 2] {
    [(y_mm + 96.0).round() as usize, (x_mm + 100.0).round() as usize]
}

#[test]
fn the_helix_angle_falls_linearly_from_endocardium_to_epicardium() {
    let heart = heart(&anatomy([0.0, 0.0], 0.0), &DiffusionOptions::default());
    let helix = heart.helix_angle_map_deg();
    for radius_mm in 22..=32 {
        let expected = 60.0 * (1.0 - f64::from(radius_mm - 22) / 5.0);
        let [row, column] = pixel_at(f64::from(radius_mm), 0.0);
        if radius_mm > 22 {
            let value = f64::from(helix[[row, column]]);
            assert!((value - expected).abs() < 1e-4, "{radius_mm}: {value}");
            assert!(heart.myocardium_mask()[[row, column]]);
        }
    }
    let [row, column] = pixel_at(33.0, 0.0);
    assert!(!heart.myocardium_mask()[[row, column]] && helix[[row, column]] == 0.0);
    // 55°, from the wall's plane.
    let [row, column] = pixel_at(0.0, 27.0);
    assert!((heart.e2_angle_map_deg()[[row, column]] - 55.0).abs() < 1e-4);
}

#[test]
fn tissues_without_fibres_are_isotropic_and_air_has_no_tensor() {
    let heart = heart(&anatomy([0.0, 0.0], 0.0), &DiffusionOptions::default());
    let tensor = heart.tensor_um2_per_ms();
    for ([row, column], diffusivity) in
        [(pixel_at(0.0, 0.0), 3.0), (pixel_at(60.0, 0.0), 1.5), (pixel_at(-95.0, 0.0), 0.0)]
    {
        let elements: Vec<f32> = (0..6).map(|element| tensor[[element, row, column]]).collect();
        assert_eq!(elements, [diffusivity, 0.0, 0.0, diffusivity, 0.0, diffusivity]);
    }
}

#[test]
fn the_maps_are_the_invariants_of_the_tensor() {
    let heart = heart(&anatomy([5.0, -3.0], 0.3), &DiffusionOptions::default());
    let tensor = heart.tensor_um2_per_ms();
    let mut n_myocardium = 0;
    for ((row, column), &inside) in heart.myocardium_mask().indexed_iter() {
        if !inside {
            continue;
        }
        n_myocardium += 1;
        let [xx, xy, xz, yy, yz, zz] =
            std::array::from_fn(|element| f64::from(tensor[[element, row, column]]));
        let mean = (xx + yy + zz) / 3.0;
        let off_diagonal = 2.0 * (xy * xy + xz * xz + yz * yz);
        let norm = xx * xx + yy * yy + zz * zz + off_diagonal;
        let deviation =
            (xx - mean).powi(2) + (yy - mean).powi(2) + (zz - mean).powi(2) + off_diagonal;
        let anisotropy = (1.5 * deviation / norm).sqrt();
        let map = f64::from(heart.mean_diffusivity_map_um2_per_ms()[[row, column]]);
        assert!((mean - map).abs() < 1e-6);
        let map = f64::from(heart.fractional_anisotropy_map()[[row, column]]);
        assert!((anisotropy - map).abs() < 1e-6);
    }
    // π·(32² − 22²) = 1696 mm², with pixels of 1 mm² and an edge of 340 mm.
    assert!((n_myocardium as f64 - 1696.0).abs() < 40.0, "{n_myocardium}");
}

#[test]
fn a_quarter_turn_of_the_anatomy_turns_the_maps_and_the_tensor() {
    let options = DiffusionOptions {
        patches: vec![FibrePatch::infarct(1.0, 0.6, 0.7)],
        angle_variability_deg: 6.0,
        transverse_angle_deg: 5.0,
        ..DiffusionOptions::default()
    };
    let size = |anatomy: &Anatomy| {
        DiffusionHeart::new(anatomy, &options, [161, 161], [161.0, 161.0]).expect("heart")
    };
    let center = [4.0, -6.0];
    let before = size(&anatomy(center, 0.4));
    // (x, y) goes to (−y, x).
    let after = size(&anatomy([-center[1], center[0]], 0.4 + std::f64::consts::FRAC_PI_2));
    let mut n_compared = 0;
    for row in 0..161_usize {
        for column in 0..161_usize {
            let (from, to) = ([row, column], [column, 160 - row]);
            // Pixels right on an edge may fall to either side.
            if before.regions[from] != after.regions[to] {
                continue;
            }
            // So may pixels at the edge of a patch.
            if before.changed[from] != after.changed[to] {
                continue;
            }
            n_compared += 1;
            for map in 0..N_MAPS {
                let difference =
                    before.maps[[map, row, column]] - after.maps[[map, column, 160 - row]];
                assert!(difference.abs() < 1e-3, "{map} {row} {column}: {difference}");
            }
            let [xx, xy, xz, yy, yz, zz] =
                std::array::from_fn(|element| before.tensor[[element, row, column]]);
            let turned = [yy, -xy, -yz, xx, xz, zz];
            for (element, expected) in turned.into_iter().enumerate() {
                let value = after.tensor[[element, column, 160 - row]];
                assert!((value - expected).abs() < 1e-5, "{element} {row} {column}");
            }
        }
    }
    assert!(n_compared > 161 * 161 - 20, "{n_compared}");
}

#[test]
fn lesions_and_patches_raise_diffusivity_and_lower_anisotropy() {
    let options = DiffusionOptions {
        patches: vec![FibrePatch::infarct(-1.5, 0.4, 0.6)],
        ..DiffusionOptions::default()
    };
    let anatomy = anatomy([0.0, 0.0], 0.0);
    let heart = heart(&anatomy, &options);
    let healthy = Eigenvalues::SPIN_ECHO;
    let at = |angle: f64, radius: f64| pixel_at(radius * angle.cos(), radius * angle.sin());
    for (place, factors) in [
        (at(2.0, 27.0), [1.3, 0.6]),
        (at(-1.5, 25.0), [1.3, 0.6]),
        (at(-1.5, 30.0), [1.0, 1.0]),
        (at(0.5, 25.0), [1.0, 1.0]),
    ] {
        assert_eq!(heart.lesion_mask()[place], factors != [1.0, 1.0]);
        let mean = f64::from(heart.mean_diffusivity_map_um2_per_ms()[place]);
        let anisotropy = f64::from(heart.fractional_anisotropy_map()[place]);
        assert!((mean / healthy.mean() - factors[0]).abs() < 1e-6);
        assert!((anisotropy / healthy.fractional_anisotropy() - factors[1]).abs() < 1e-6);
    }
    // Fibres in disarray: helix angles scatter in the patch alone.
    let helix = heart.helix_angle_map_deg();
    let disorder = |lesion: bool| {
        let mut sum = (0.0, 0.0);
        for (index, &inside) in heart.myocardium_mask().indexed_iter() {
            if inside && heart.lesion_mask()[index] == lesion {
                let x = index.1 as f64 - 100.0;
                let y = index.0 as f64 - 96.0;
                let expected = 60.0 * (1.0 - (x.hypot(y) - 22.0) / 5.0);
                sum.0 += (f64::from(helix[index]) - expected).abs();
                sum.1 += 1.0;
            }
        }
        sum.0 / sum.1
    };
    assert!(disorder(false) < 1e-3 && disorder(true) > 5.0, "{}", disorder(true));
    assert_eq!(FibreChange::of(LesionKind::Iron), FibreChange::NONE);
}

#[test]
fn a_fine_grid_holds_the_pixels_of_a_coarse_one() {
    let options =
        DiffusionOptions { angle_variability_deg: 5.0, seed: 4, ..DiffusionOptions::default() };
    let anatomy = anatomy([3.0, 2.0], 0.0);
    let coarse = DiffusionHeart::new(&anatomy, &options, [96, 80], [240.0, 200.0]).expect("heart");
    let fine = DiffusionHeart::new(&anatomy, &options, [384, 320], [240.0, 200.0]).expect("heart");
    for ((row, column), &value) in coarse.helix_angle_map_deg().indexed_iter() {
        assert_eq!(value, fine.helix_angle_map_deg()[[4 * row, 4 * column]]);
    }
}

#[test]
fn the_signal_is_attenuated_by_the_tensor_along_the_direction() {
    let anatomy = anatomy([0.0, 0.0], 0.0);
    let heart = heart(&anatomy, &DiffusionOptions::default());
    let base = heart.base_image(&[0.5, 1.0, 2.0, 1.0].map(Complex64::from));
    let at = pixel_at(0.0, 0.0);
    assert_eq!(base[at], Complex32::new(2.0, 0.0));
    assert_eq!(base[pixel_at(-95.0, 0.0)], Complex32::ZERO);
    let direction = [0.48, 0.6, -0.64];
    let encoding = DiffusionEncoding { b_value_s_per_mm2: 500.0, direction };
    let object = heart.signal(&encoding, base.view());
    // Blood: 2·exp(−0.5·3).
    assert!((object.values[at].re - 2.0 * (-1.5_f32).exp()).abs() < 1e-6);
    let wall = pixel_at(20.0, 18.0);
    let fibre_tensor = heart.tensor_um2_per_ms();
    let [xx, xy, xz, yy, yz, zz] =
        std::array::from_fn(|element| f64::from(fibre_tensor[[element, wall[0], wall[1]]]));
    let [x, y, z] = direction;
    let along = xx * x * x + yy * y * y + zz * z * z + 2.0 * (xy * x * y + xz * x * z + yz * y * z);
    assert!((f64::from(object.values[wall].re) - (-0.5 * along).exp()).abs() < 1e-6);
    // Without weighting nothing changes, bit for bit.
    let none = DiffusionEncoding { b_value_s_per_mm2: 0.0, ..encoding };
    assert_eq!(heart.signal(&none, base.view()).values, base);
}

#[test]
fn the_logarithm_of_the_signal_gives_the_tensor_back() {
    let anatomy = anatomy([0.0, 0.0], 0.0);
    let options = DiffusionOptions { e2_angle_deg: 30.0, ..DiffusionOptions::default() };
    let heart = heart(&anatomy, &options);
    let base = heart.base_image(&[Complex64::ONE; 4]);
    let log_at = |direction: [f64; 3], place: [usize; 2]| {
        let encoding = DiffusionEncoding { b_value_s_per_mm2: 1000.0, direction };
        -f64::from(heart.signal(&encoding, base.view()).values[place].re.ln())
    };
    let place = pixel_at(-19.0, 19.0);
    let diagonal: [f64; 3] = std::array::from_fn(|axis| {
        let mut direction = [0.0; 3];
        direction[axis] = 1.0;
        log_at(direction, place)
    });
    let half = std::f64::consts::FRAC_1_SQRT_2;
    // Along (x + y)/√2: (Dxx + Dyy)/2 + Dxy.
    let xy = log_at([half, half, 0.0], place) - 0.5 * (diagonal[0] + diagonal[1]);
    let tensor = heart.tensor_um2_per_ms();
    assert!((diagonal[0] - f64::from(tensor[[0, place[0], place[1]]])).abs() < 1e-5);
    assert!((xy - f64::from(tensor[[1, place[0], place[1]]])).abs() < 1e-5);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let anatomy = anatomy([0.0, 0.0], 0.0);
    let options = DiffusionOptions { angle_variability_deg: 5.0, ..DiffusionOptions::default() };
    let object = || {
        let heart = heart(&anatomy, &options);
        let base = heart.base_image(&[Complex64::ONE; 4]);
        let encoding = DiffusionEncoding { b_value_s_per_mm2: 500.0, direction: [0.6, 0.0, 0.8] };
        heart.signal(&encoding, base.view())
    };
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
    assert_eq!(pool(1).install(object), pool(5).install(object));
}

#[test]
fn an_anatomy_without_a_heart_and_impossible_grids_are_refused() {
    let mut anatomy = anatomy([0.0, 0.0], 0.0);
    let options = DiffusionOptions::default();
    for (matrix_size, field_of_view_mm) in
        [([0, 10], [100.0; 2]), ([10, 5000], [100.0; 2]), ([10, 10], [100.0, f64::NAN])]
    {
        assert!(DiffusionHeart::new(&anatomy, &options, matrix_size, field_of_view_mm).is_err());
    }
    anatomy.left_ventricle = None;
    let error = DiffusionHeart::new(&anatomy, &options, [10, 10], [100.0; 2]).expect_err("none");
    assert_eq!(error, DiffusionError::NoLeftVentricle);
}
