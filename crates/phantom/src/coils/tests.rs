//! Coils against what they should be like.

use super::*;

fn magnitudes_in_disc(n_channels: usize, z_mm: f64) -> Vec<f64> {
    let coils = LoopArray::new(n_channels, 135.0, [300.0, 280.0]).sensitivities(z_mm);
    assert_eq!(coils.n_channels(), n_channels);
    let maps = coils.maps([60, 56]);
    let mut rss = Vec::new();
    for y in 0..56 {
        for x in 0..60 {
            let (x_mm, y_mm) = (5.0 * (x as f64 - 30.0), 5.0 * (y as f64 - 28.0));
            if x_mm.hypot(y_mm) < 135.0 {
                let squares = (0..n_channels).map(|c| f64::from(maps[[c, y, x]].norm_sqr()));
                rss.push(squares.sum::<f64>().sqrt());
            }
        }
    }
    rss
}

#[test]
fn root_sum_of_squares_is_about_one_in_the_disc() {
    for n_channels in [1, 4, 16] {
        for z_mm in [0.0, 40.0] {
            let rss = magnitudes_in_disc(n_channels, z_mm);
            let worst = rss.iter().map(|value| (value - 1.0).abs()).fold(0.0, f64::max);
            // What nine waves in each direction miss of the loops nearest to the edge.
            assert!(worst < 0.035, "{n_channels} channels at {z_mm} mm: {worst}");
        }
    }
}

#[test]
fn maps_are_the_sum_of_waves() {
    let coils = LoopArray::new(4, 100.0, [240.0, 220.0]).sensitivities(10.0);
    let maps = coils.maps([12, 11]);
    let (x_mm, y_mm) = (3.0 * 20.0, -2.0 * 20.0);
    let mut sum = Complex64::ZERO;
    for ((q, p), coefficient) in coils.coefficients(2).indexed_iter() {
        let (p, q) = (p as f64 - ORDER as f64, q as f64 - ORDER as f64);
        sum += coefficient * Complex64::cis(TAU * (p * x_mm / 480.0 + q * y_mm / 440.0));
    }
    let map = maps[[2, 3, 9]];
    assert!((Complex64::new(map.re.into(), map.im.into()) - sum).norm() < 1e-6);
}

#[test]
fn each_loop_sees_best_what_is_near_it() {
    let n_channels = 8;
    let array = LoopArray::new(n_channels, 100.0, [200.0, 200.0]);
    let coils = array.sensitivities(0.0);
    for (channel, near) in array.loops.iter().enumerate() {
        let [x, y, _] = near.center_mm;
        let (sin, cos) = y.atan2(x).sin_cos();
        let at = |radius_mm: f64| {
            coils.on_grid(&[radius_mm * cos], &[radius_mm * sin])[[channel, 0, 0]].norm()
        };
        assert!(at(90.0) > 1.5 * at(0.0) && at(0.0) > 1.5 * at(-90.0), "channel {channel}");
    }
}

const CHEST_FIELD_OF_VIEW_MM: [f64; 2] = [360.0, 270.0];

fn chest_array(n_channels: usize) -> LoopArray {
    LoopArray::around(n_channels, [165.0, 115.0], [-10.0, 0.0], CHEST_FIELD_OF_VIEW_MM)
}

/// Visits the field of view, and says of each point whether it lies in the body.
fn in_chest(mut visit: impl FnMut([f64; 2], [usize; 2], bool), x_mm: &[f64], y_mm: &[f64]) {
    for (y, &y_mm) in y_mm.iter().enumerate() {
        for (x, &x_mm) in x_mm.iter().enumerate() {
            let inside = ((x_mm + 10.0) / 165.0).hypot(y_mm / 115.0) <= 1.0;
            visit([x_mm, y_mm], [x, y], inside);
        }
    }
}

fn over_field_of_view() -> [Vec<f64>; 2] {
    CHEST_FIELD_OF_VIEW_MM
        .map(|length| (0..60).map(|n| length * ((f64::from(n) + 0.5) / 60.0 - 0.5)).collect())
}

#[test]
fn a_chest_is_seen_evenly_and_its_surroundings_are_not_much_brighter() {
    let [x_mm, y_mm] = over_field_of_view();
    for n_channels in [1, 2, 3, 4, 8, 16, 32, 64] {
        let array = chest_array(n_channels);
        for z_mm in [0.0, -50.0] {
            let maps = array.sensitivities(z_mm).on_grid(&x_mm, &y_mm);
            let (mut worst, mut brightest): (f64, f64) = (0.0, 0.0);
            let visit = |_, [x, y]: [usize; 2], inside| {
                let squares = (0..n_channels).map(|c| maps[[c, y, x]].norm_sqr());
                let rss = squares.sum::<f64>().sqrt();
                brightest = brightest.max(rss);
                if inside {
                    worst = worst.max((rss - 1.0).abs());
                }
            };
            in_chest(visit, &x_mm, &y_mm);
            // What nine waves in each direction miss of the loops nearest to the edge.
            assert!(worst < 0.05, "{n_channels} channels at {z_mm} mm: {worst}");
            assert!(brightest < 1.5, "{n_channels} channels at {z_mm} mm: {brightest}");
        }
    }
}

#[test]
fn a_background_multiplies_all_channels() {
    let [x_mm, y_mm] = over_field_of_view();
    let array = chest_array(8);
    let plain = array.sensitivities(0.0).on_grid(&x_mm, &y_mm);
    for seed in 0..3 {
        let background = Background { max_phase_rad: TAU / 6.0, max_bias: 0.2, seed };
        let shape = background.shape();
        let with = array.sensitivities_with(0.0, &background).on_grid(&x_mm, &y_mm);
        let alone = array.uniform_with(&background).on_grid(&x_mm, &y_mm);
        let (mut worst, mut worst_alone): (f64, f64) = (0.0, 0.0);
        let visit = |[x_mm, y_mm]: [f64; 2], [x, y]: [usize; 2], inside| {
            if inside {
                let factor = shape.at([x_mm / 180.0, y_mm / 135.0]);
                worst_alone = worst_alone.max((alone[[0, y, x]] - factor).norm());
                for channel in 0..8 {
                    let product = plain[[channel, y, x]] * factor;
                    worst = worst.max((with[[channel, y, x]] - product).norm());
                }
            }
        };
        in_chest(visit, &x_mm, &y_mm);
        // Nine waves in each direction miss little of a quadratic.
        assert!(worst_alone < 0.01, "{seed}: {worst_alone}");
        assert!(worst < 0.03, "{seed}: {worst}");
    }
}

#[test]
fn loops_are_evenly_spaced_around_an_ellipse_and_face_it() {
    let loops = place_loops(16, [165.0, 115.0], [-10.0, 5.0]);
    let spacing: Vec<f64> = (0..16)
        .map(|n| {
            let [a, b] = [loops[n].center_mm, loops[(n + 1) % 16].center_mm];
            (a[0] - b[0]).hypot(a[1] - b[1])
        })
        .collect();
    let (least, most) = spacing.iter().fold((f64::MAX, 0.0_f64), |(l, m), &d| (l.min(d), m.max(d)));
    // Chords of equal arcs: shorter where the ellipse bends more.
    assert!(least > 0.95 * most, "{least} to {most} mm");
    for coil in &loops {
        let [x, y, z] = coil.center_mm;
        let (u, v) = ((x + 10.0) / 165.0, (y - 5.0) / 115.0);
        assert!((u.hypot(v) - RING_RADIUS).abs() < 1e-9 && z == 0.0);
        // The tangent is at right angles to the gradient of the ellipse's equation.
        let across = coil.tangent[0] * u / 165.0 + coil.tangent[1] * v / 115.0;
        assert!(across.abs() < 1e-6 && (coil.tangent[0].hypot(coil.tangent[1]) - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_uniform_coil_is_one_everywhere() {
    let maps = CoilSensitivities::uniform([300.0, 200.0]).maps([9, 8]);
    assert!(maps.iter().all(|value| (value - Complex32::ONE).norm() < 1e-6));
}
