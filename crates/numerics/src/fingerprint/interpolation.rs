//! Cubic interpolation between values that are not evenly spaced.

/// The four neighbours of a place and the weights of their values and of their slope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stencil {
    /// The first of the four.
    pub first: usize,
    pub value: [f32; 4],
    pub slope: [f32; 4],
}

impl Stencil {
    /// Lagrange's polynomial through the four nodes around a place.
    ///
    /// * `nodes`: growing, at least four.
    pub fn at(nodes: &[f32], place: f32) -> Self {
        let above = nodes.partition_point(|node| *node <= place);
        let first = above.saturating_sub(2).min(nodes.len() - 4);
        let near: [f32; 4] = std::array::from_fn(|n| nodes[first + n]);
        let off = near.map(|node| place - node);
        let (mut value, mut slope) = ([0.0; 4], [0.0; 4]);
        for n in 0..4 {
            let [a, b, c] = match n {
                0 => [1, 2, 3],
                1 => [0, 2, 3],
                2 => [0, 1, 3],
                _ => [0, 1, 2],
            };
            let below = (near[n] - near[a]) * (near[n] - near[b]) * (near[n] - near[c]);
            value[n] = off[a] * off[b] * off[c] / below;
            slope[n] = (off[a] * off[b] + off[a] * off[c] + off[b] * off[c]) / below;
        }
        Self { first, value, slope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_and_its_slope_come_back_between_uneven_nodes() {
        let nodes = [0.0_f32, 0.5, 1.5, 2.0, 3.5, 4.0];
        let cubic = |x: f32| 1.0 + x * (2.0 + x * (-0.7 + 0.1 * x));
        for n in 0..=40 {
            let place = 0.1 * n as f32;
            let stencil = Stencil::at(&nodes, place);
            let sum = |weights: [f32; 4]| -> f32 {
                (0..4).map(|n| weights[n] * cubic(nodes[stencil.first + n])).sum()
            };
            assert!((sum(stencil.value) - cubic(place)).abs() < 1e-4);
            let slope = 2.0 + place * (-1.4 + 0.3 * place);
            assert!((sum(stencil.slope) - slope).abs() < 1e-4);
        }
    }
}
