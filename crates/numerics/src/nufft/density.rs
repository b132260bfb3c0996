//! How much of k-space each sample stands for.

use super::Nufft;

impl Nufft {
    /// Weights that make the adjoint transform an image: the area of k-space that each sample
    /// stands for, in cells of one cycle per field of view. Samples on the Cartesian grid have 1.
    ///
    /// * `n_iterations`: 10 to 20 are enough.
    ///
    /// The scale is right within 1 % for a kernel of 6 taps, and within 10 % for one of 4.
    /// Samples further than some two cycles from each other count as if nothing was missing
    /// between them.
    ///
    /// # Method
    /// w ← w / (C w), C the kernel of the grid convolved with itself.
    ///
    /// # Source
    /// Pipe and Menon 1999; the scale follows from the integral of the kernel.
    pub fn density_compensation(&self, n_iterations: usize) -> Vec<f32> {
        let mut weights = vec![1.0_f32; self.n_samples()];
        for _ in 0..n_iterations {
            let sums = self.neighbourhood(&weights);
            for (weight, sum) in weights.iter_mut().zip(sums) {
                *weight /= sum.max(f32::MIN_POSITIVE);
            }
        }
        let area = self.neighbourhood_area() as f32;
        weights.iter_mut().for_each(|weight| *weight *= area);
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn samples_of_the_cartesian_grid_weigh_1_and_half_as_many_twice_that() {
        for (spacing, expected) in [(1.0, 1.0), (0.5, 0.25)] {
            let n = (32.0 / spacing) as usize;
            let place = |n: usize| n as f32 * spacing - 16.0;
            let trajectory: Vec<[f32; 2]> =
                (0..n).flat_map(|y| (0..n).map(move |x| [place(x), place(y)])).collect();
            let plan = Nufft::new([32, 32], &trajectory, Options::accurate()).expect("a plan");
            // k-space goes around, so no sample lies at an edge.
            for weight in plan.density_compensation(15) {
                // Samples on cells of the grid are the worst case: they add up the kernel where
                // its transform is 3 % of the middle, squared and from four sides.
                assert!((weight / expected - 1.0).abs() < 0.02, "{spacing}: {weight}");
            }
        }
    }

    #[test]
    fn spokes_weigh_by_their_distance_from_the_centre() {
        let (n_spokes, n_samples) = (200, 128);
        let trajectory: Vec<[f32; 2]> = (0..n_spokes * n_samples)
            .map(|n| {
                let angle_rad = std::f32::consts::PI * (n / n_samples) as f32 / n_spokes as f32;
                let k = (n % n_samples) as f32 * 0.5 - 32.0;
                [k * angle_rad.cos(), k * angle_rad.sin()]
            })
            .collect();
        let plan = Nufft::new([64, 64], &trajectory, Options::fast()).expect("a plan");
        let weights = plan.density_compensation(20);
        for (n, weight) in weights.iter().enumerate().take(n_samples) {
            let k = (n as f32 * 0.5 - 32.0).abs();
            if !(4.0..28.0).contains(&k) {
                continue;
            }
            let ramp = 0.5 * std::f32::consts::PI * k / n_spokes as f32;
            assert!((weight / ramp - 1.0).abs() < 0.05, "{k}: {weight} and {ramp}");
        }
    }
}
