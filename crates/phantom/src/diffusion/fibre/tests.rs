use super::*;

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|i| a[i] * b[i]).sum()
}

/// Angles of eigenvectors of any sign, measured with the steps of INDI's analysis and not as
/// [`Fibre`] makes them: helix, transverse, sheetlet, degrees.
fn measured(frame: &WallFrame, e1: [f64; 3], e2: [f64; 3]) -> [f64; 3] {
    let (circ, long, radi) = (frame.circumferential, frame.longitudinal, frame.radial);
    let onto = |vector: [f64; 3], u: [f64; 3], v: [f64; 3]| {
        let (along_u, along_v) = (dot(vector, u), dot(vector, v));
        std::array::from_fn::<f64, 3, _>(|i| along_u * u[i] + along_v * v[i])
    };
    let signed_from_circ = |projection: [f64; 3], towards: [f64; 3]| {
        let sign = if dot(projection, circ) < 0.0 { -1.0 } else { 1.0 };
        let cosine = (sign * dot(projection, circ) / dot(projection, projection).sqrt()).min(1.0);
        cosine.acos().to_degrees() * (sign * dot(projection, towards)).signum()
    };
    let in_wall = onto(e1, circ, long);
    let helix = signed_from_circ(in_wall, long);
    let transverse = signed_from_circ(onto(e1, circ, radi), radi);
    let mut c = unit(cross(radi, in_wall));
    if c[2] < 0.0 {
        c = c.map(|value| -value);
    }
    let in_plane = onto(e2, radi, c);
    let mut from_radius = dot(in_plane, c).atan2(dot(in_plane, radi)).to_degrees();
    if from_radius > 90.0 {
        from_radius -= 180.0;
    } else if from_radius < -90.0 {
        from_radius += 180.0;
    }
    let sheetlet = from_radius.signum() * (90.0 - from_radius.abs());
    [helix, transverse, sheetlet]
}

fn fibre(degrees: [f64; 3]) -> Fibre {
    let [helix_angle_rad, transverse_angle_rad, e2_angle_rad] = degrees.map(f64::to_radians);
    let eigenvalues = Eigenvalues::SPIN_ECHO;
    Fibre { helix_angle_rad, transverse_angle_rad, e2_angle_rad, eigenvalues }
}

#[test]
fn the_wall_has_a_right_handed_frame_that_points_inwards() {
    for angle in [0.0_f64, 1.0, 2.5, 4.0] {
        let frame = WallFrame::at(30.0 * angle.cos(), 30.0 * angle.sin());
        let outward = [angle.cos(), angle.sin(), 0.0];
        let circ = cross(frame.longitudinal, outward);
        let radi = cross(frame.circumferential, frame.longitudinal).map(|value| -value);
        for i in 0..3 {
            assert!((frame.circumferential[i] - circ[i]).abs() < 1e-12);
            assert!((frame.radial[i] - radi[i]).abs() < 1e-12);
            assert!((frame.radial[i] + outward[i]).abs() < 1e-12);
        }
    }
}

#[test]
fn angles_measured_on_the_eigenvectors_are_those_that_they_were_made_from() {
    for place in [[1.0, 0.0], [-0.3, 2.0], [-5.0, -4.0], [0.1, -1.0]] {
        let frame = WallFrame::at(place[0], place[1]);
        for helix in [-80.0, -45.0, -10.0, 0.5, 33.0, 60.0, 89.0] {
            for transverse in [-30.0, -5.0, 0.01, 12.0, 60.0] {
                for sheetlet in [-89.0, -50.0, -3.0, 10.0, 65.0] {
                    let expected = [helix, transverse, sheetlet];
                    let [e1, e2, e3] = fibre(expected).eigenvectors(&frame);
                    for (a, b) in [(e1, e2), (e1, e3), (e2, e3)] {
                        assert!(dot(a, b).abs() < 1e-12);
                    }
                    assert!((dot(cross(e1, e2), e3) - 1.0).abs() < 1e-12);
                    for sign in [1.0, -1.0] {
                        let flipped = |vector: [f64; 3]| vector.map(|value| sign * value);
                        for angles in
                            [measured(&frame, flipped(e1), e2), measured(&frame, e1, flipped(e2))]
                        {
                            for i in 0..3 {
                                // The arc cosine near 0 keeps half of the digits.
                                assert!(
                                    (angles[i] - expected[i]).abs() < 1e-5,
                                    "{expected:?}: {angles:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_fibre_with_a_positive_helix_angle_is_a_right_handed_screw() {
    // A right-handed helix about z in right-handed axes is (cos s, sin s, +pitch·s).
    for s in [0.0_f64, 1.3, 4.0] {
        let tangent = unit([-s.sin(), s.cos(), 0.7]);
        let frame = WallFrame::at(s.cos(), s.sin());
        let made = fibre([0.7_f64.atan().to_degrees(), 0.0, 20.0]).eigenvectors(&frame)[0];
        assert!((dot(tangent, made) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_mirror_flips_helix_and_transverse_angle() {
    let mirrored = |vector: [f64; 3]| [-vector[0], vector[1], vector[2]];
    let angles = [50.0, 8.0, 30.0];
    let [e1, e2, _] = fibre(angles).eigenvectors(&WallFrame::at(2.0, 1.0));
    let seen = measured(&WallFrame::at(-2.0, 1.0), mirrored(e1), mirrored(e2));
    assert!((seen[0] + 50.0).abs() < 1e-5 && (seen[1] + 8.0).abs() < 1e-5, "{seen:?}");
    assert!((seen[2] - 30.0).abs() < 1e-5, "{seen:?}");
}

#[test]
fn the_tensor_has_its_eigenvectors_and_eigenvalues() {
    let frame = WallFrame::at(1.0, -2.0);
    let fibre = fibre([-40.0, 10.0, 55.0]);
    let [xx, xy, xz, yy, yz, zz] = fibre.tensor_um2_per_ms(&frame);
    let tensor = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
    for (vector, value) in std::iter::zip(fibre.eigenvectors(&frame), fibre.eigenvalues.0) {
        for i in 0..3 {
            assert!((dot(tensor[i], vector) - value * vector[i]).abs() < 1e-12);
        }
    }
}

#[test]
fn lines_have_angles_within_half_a_turn() {
    for (angle, expected) in [(100.0, -80.0), (-100.0, 80.0), (45.0, 45.0), (265.0, 85.0)] {
        assert!((wrapped(f64::to_radians(angle)).to_degrees() - expected).abs() < 1e-9);
    }
}
