//! Which directions a diffusion scan measures, and how often.

use super::encoding::DiffusionEncoding;
use super::error::{DiffusionError, check_range};

/// Steps of the repulsion: 64 directions are at rest to 1e-6 after some hundred.
const N_STEPS: usize = 600;

/// The shots of a diffusion scan in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusionTable {
    /// Weighting of each shot.
    pub encodings: Vec<DiffusionEncoding>,
    /// Shots of one average, which come again in the same order.
    pub n_encodings: usize,
}

impl DiffusionTable {
    /// All averages one after the other; each has its references first, then all directions.
    ///
    /// * `directions`: unit vectors.
    /// * `b_value_s_per_mm2`: of the directions.
    /// * `n_references`: shots without diffusion weighting in each average, 0 to 1000.
    /// * `reference_b_value_s_per_mm2`: what spoilers leave of weighting in these, 0 where there
    ///   are none; along the first direction.
    /// * `n_averages`: 1 to 1000.
    ///
    /// # Errors
    /// [`DiffusionError`] for a weighting or a number outside its range, or no directions.
    pub fn new(
        directions: &[[f64; 3]],
        b_value_s_per_mm2: f64,
        n_references: usize,
        reference_b_value_s_per_mm2: f64,
        n_averages: usize,
    ) -> Result<Self, DiffusionError> {
        check_range("number of directions", directions.len() as f64, 1.0, 1000.0)?;
        check_range("number of references", n_references as f64, 0.0, 1000.0)?;
        check_range("number of averages", n_averages as f64, 1.0, 1000.0)?;
        let reference = DiffusionEncoding {
            b_value_s_per_mm2: reference_b_value_s_per_mm2,
            direction: directions[0],
        };
        let weighted =
            directions.iter().map(|&direction| DiffusionEncoding { b_value_s_per_mm2, direction });
        let average: Vec<DiffusionEncoding> =
            std::iter::repeat_n(reference, n_references).chain(weighted).collect();
        reference.check()?;
        average.iter().try_for_each(DiffusionEncoding::check)?;
        let n_encodings = average.len();
        Ok(Self { encodings: average.repeat(n_averages), n_encodings })
    }
}

/// `n_directions` unit vectors spread evenly, where a vector and its opposite count as the same.
///
/// Six are the axes of an icosahedron. Others are charges on a sphere, each with its opposite,
/// that have repelled each other from a spiral until they rest; the same at each call.
///
/// # Errors
/// [`DiffusionError::OutOfRange`] for fewer than 6, which determine no tensor, or more than 256.
///
/// # Source
/// Jones, Horsfield and Simmons 1999.
pub fn gradient_directions(n_directions: usize) -> Result<Vec<[f64; 3]>, DiffusionError> {
    check_range("number of directions", n_directions as f64, 6.0, 256.0)?;
    if n_directions == 6 {
        let golden = 0.5 * (1.0 + 5.0_f64.sqrt());
        let long = golden / golden.hypot(1.0);
        let short = 1.0 / golden.hypot(1.0);
        return Ok(vec![
            [short, long, 0.0],
            [-short, long, 0.0],
            [0.0, short, long],
            [0.0, -short, long],
            [long, 0.0, short],
            [-long, 0.0, short],
        ]);
    }
    let mut directions: Vec<[f64; 3]> =
        (0..n_directions).map(|n| on_spiral(n, n_directions)).collect();
    let (mut energy, mut forces) = repulsion(&directions);
    // Neighbours are about this far apart squared.
    let mut step = 0.1 / (n_directions * n_directions) as f64;
    for _ in 0..N_STEPS {
        let moved: Vec<[f64; 3]> = directions
            .iter()
            .zip(&forces)
            .map(|(direction, force)| unit(std::array::from_fn(|i| direction[i] + step * force[i])))
            .collect();
        let (moved_energy, moved_forces) = repulsion(&moved);
        if moved_energy < energy {
            (directions, energy, forces) = (moved, moved_energy, moved_forces);
            step *= 1.2;
        } else {
            step *= 0.5;
        }
    }
    Ok(directions)
}

/// Point `n` of a golden spiral over the upper half of the sphere.
fn on_spiral(n: usize, n_points: usize) -> [f64; 3] {
    let z = 1.0 - (n as f64 + 0.5) / n_points as f64;
    let angle = n as f64 * std::f64::consts::PI * (3.0 - 5.0_f64.sqrt());
    let radius = (1.0 - z * z).sqrt();
    [radius * angle.cos(), radius * angle.sin(), z]
}

/// Energy of all charges and the force on each along the sphere.
fn repulsion(directions: &[[f64; 3]]) -> (f64, Vec<[f64; 3]>) {
    let mut energy = 0.0;
    let forces = directions
        .iter()
        .enumerate()
        .map(|(index, direction)| {
            let mut force = [0.0; 3];
            for (_, other) in directions.iter().enumerate().filter(|(other, _)| *other != index) {
                for sign in [1.0, -1.0] {
                    let away: [f64; 3] = std::array::from_fn(|i| direction[i] - sign * other[i]);
                    let squared: f64 = away.iter().map(|value| value * value).sum();
                    let inverse = 1.0 / squared.sqrt();
                    energy += 0.5 * inverse;
                    let strength = inverse / squared;
                    (0..3).for_each(|i| force[i] += strength * away[i]);
                }
            }
            let outward: f64 = (0..3).map(|i| force[i] * direction[i]).sum();
            std::array::from_fn(|i| force[i] - outward * direction[i])
        })
        .collect();
    (energy, forces)
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.map(|value| value / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Smallest angle between two lines, degrees.
    fn smallest_angle_deg(directions: &[[f64; 3]]) -> f64 {
        let mut largest_cosine = 0.0_f64;
        for (n, a) in directions.iter().enumerate() {
            for b in &directions[..n] {
                largest_cosine = largest_cosine.max((0..3).map(|i| a[i] * b[i]).sum::<f64>().abs());
            }
        }
        largest_cosine.acos().to_degrees()
    }

    #[test]
    fn six_directions_are_the_axes_of_an_icosahedron() {
        let directions = gradient_directions(6).expect("six");
        assert!((smallest_angle_deg(&directions) - 63.435).abs() < 1e-3);
    }

    #[test]
    fn directions_are_spread_evenly() {
        // Best packings of lines: 41.4° for 12, 26.0° for 32, 18.6° for 64 (Sloane's tables);
        // charges at rest come within a sixth of them.
        for (n_directions, best_deg) in [(12, 41.4), (32, 26.0), (64, 18.6)] {
            let directions = gradient_directions(n_directions).expect("directions");
            let angle_deg = smallest_angle_deg(&directions);
            assert!(angle_deg > 0.83 * best_deg, "{n_directions}: {angle_deg}");
            assert!(angle_deg < 1.01 * best_deg, "{n_directions}: {angle_deg}");
            // No direction is preferred: the mean of g·gᵀ is a third of the unit matrix.
            for i in 0..3 {
                for j in 0..3 {
                    let mean =
                        directions.iter().map(|g| g[i] * g[j]).sum::<f64>() / n_directions as f64;
                    let ideal = if i == j { 1.0 / 3.0 } else { 0.0 };
                    assert!((mean - ideal).abs() < 0.01, "{n_directions}: {i}{j} {mean}");
                }
            }
        }
    }

    #[test]
    fn a_table_has_references_then_directions_in_each_average() {
        let directions = gradient_directions(6).expect("six");
        let table = DiffusionTable::new(&directions, 500.0, 2, 10.0, 3).expect("table");
        let b: Vec<f64> = table.encodings.iter().map(|one| one.b_value_s_per_mm2).collect();
        assert_eq!((b.len(), table.n_encodings), (24, 8));
        assert_eq!(b[..8], [10.0, 10.0, 500.0, 500.0, 500.0, 500.0, 500.0, 500.0]);
        assert_eq!(table.encodings[..8], table.encodings[16..]);
    }

    #[test]
    fn impossible_tables_are_refused() {
        assert!(gradient_directions(5).is_err() && gradient_directions(1000).is_err());
        let direction = [[0.0, 0.0, 1.0]];
        assert!(DiffusionTable::new(&[], 500.0, 1, 0.0, 1).is_err());
        assert!(DiffusionTable::new(&direction, -500.0, 1, 0.0, 1).is_err());
        assert!(DiffusionTable::new(&direction, 500.0, 1, 0.0, 0).is_err());
        assert!(DiffusionTable::new(&direction, 500.0, 1, f64::NAN, 1).is_err());
        assert!(DiffusionTable::new(&[[0.0; 3]], 500.0, 1, 0.0, 1).is_err());
    }
}
