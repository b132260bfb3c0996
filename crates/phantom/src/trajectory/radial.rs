//! Spokes through the centre of k-space.

use std::f64::consts::PI;

use super::GOLDEN_RATIO;
use super::error::{TrajectoryError, count, quantity};

/// Choices about spokes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RadialOptions {
    /// Pixels along each side of the image, 1 to 4096.
    pub matrix_size: usize,
    /// Extent of the image, mm.
    pub field_of_view_mm: f64,
    /// Samples of a spoke over pixels, 1 to 8.
    pub readout_oversampling: usize,
    /// Samples left out before the centre.
    pub n_left_out: usize,
    /// Directions.
    pub angles: SpokeAngles,
}

/// Directions of spokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpokeAngles {
    /// Each by the golden angle of a half turn, 111.25°, from the one before (Winkelmann 2007).
    Golden,
    /// So many spread evenly over a half turn, then over again.
    Uniform(usize),
}

/// Spokes.
#[derive(Clone, Debug)]
pub struct Radial {
    options: RadialOptions,
}

impl Default for RadialOptions {
    /// 128 pixels over 300 mm, golden angle.
    fn default() -> Self {
        Self {
            matrix_size: 128,
            field_of_view_mm: 300.0,
            readout_oversampling: 2,
            n_left_out: 0,
            angles: SpokeAngles::Golden,
        }
    }
}

impl Radial {
    /// Checks the options.
    ///
    /// # Errors
    /// [`TrajectoryError`] for options outside their range.
    pub fn new(options: RadialOptions) -> Result<Self, TrajectoryError> {
        count("the matrix size", options.matrix_size, 1, 4096)?;
        quantity("the field of view, mm,", options.field_of_view_mm, 1e-3, 1e6)?;
        count("the readout oversampling", options.readout_oversampling, 1, 8)?;
        let n_samples = options.matrix_size * options.readout_oversampling;
        count("the number of samples left out", options.n_left_out, 0, n_samples / 2)?;
        if let SpokeAngles::Uniform(n_spokes) = options.angles {
            count("the number of spokes", n_spokes, 1, 65536)?;
        }
        Ok(Self { options })
    }

    /// The options.
    pub fn options(&self) -> &RadialOptions {
        &self.options
    }

    /// Samples of a spoke.
    pub fn n_samples(&self) -> usize {
        self.options.matrix_size * self.options.readout_oversampling - self.options.n_left_out
    }

    /// Which of them is the centre of k-space.
    pub fn center_sample(&self) -> usize {
        self.options.matrix_size * self.options.readout_oversampling / 2 - self.options.n_left_out
    }

    /// Direction of a spoke from kx towards ky, in 0…2π.
    pub fn angle_rad(&self, spoke: usize) -> f64 {
        match self.options.angles {
            // The turns before the last one are left out where the product is still exact enough.
            SpokeAngles::Golden => PI * (spoke as f64 / GOLDEN_RATIO).rem_euclid(2.0),
            SpokeAngles::Uniform(n_spokes) => PI * (spoke % n_spokes) as f64 / n_spokes as f64,
        }
    }

    /// \[kx, ky\] of the samples of a spoke, cycles per mm.
    pub fn spoke(&self, spoke: usize) -> Vec<[f64; 2]> {
        let (sin, cos) = self.angle_rad(spoke).sin_cos();
        let oversampling = self.options.readout_oversampling as f64;
        let step = 1.0 / (self.options.field_of_view_mm * oversampling);
        (0..self.n_samples())
            .map(|sample| {
                let radius = (sample as f64 - self.center_sample() as f64) * step;
                [radius * cos, radius * sin]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spokes_run_through_the_centre_to_the_edge_of_k_space() {
        let radial = Radial::new(RadialOptions::default()).expect("spokes");
        for n in [0, 1, 7, 1000] {
            let spoke = radial.spoke(n);
            assert_eq!(spoke.len(), 256);
            assert_eq!(spoke[radial.center_sample()].map(f64::abs), [0.0, 0.0]);
            let edge = 0.5 * 128.0 / 300.0;
            assert!((spoke[0][0].hypot(spoke[0][1]) - edge).abs() < 1e-12);
            let direction = spoke[255][1].atan2(spoke[255][0]).rem_euclid(2.0 * PI);
            assert!((direction - radial.angle_rad(n)).abs() < 1e-9);
        }
    }

    #[test]
    fn golden_angle_is_111_degrees() {
        let radial = Radial::new(RadialOptions::default()).expect("spokes");
        assert!((radial.angle_rad(1).to_degrees() - 111.246_117_975).abs() < 1e-6);
        // Any number of spokes in a row leaves gaps of at most three sizes (Steinhaus).
        let mut angles: Vec<f64> = (0..34).map(|n| radial.angle_rad(n).rem_euclid(PI)).collect();
        angles.sort_by(f64::total_cmp);
        let mut gaps: Vec<f64> = angles.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        gaps.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        assert!(gaps.len() <= 3, "{gaps:?}");
    }

    #[test]
    fn uniform_spokes_repeat() {
        let angles = SpokeAngles::Uniform(8);
        let radial = Radial::new(RadialOptions { angles, ..RadialOptions::default() });
        let radial = radial.expect("spokes");
        assert!((radial.angle_rad(3) - 3.0 * PI / 8.0).abs() < 1e-12);
        assert_eq!(radial.spoke(11), radial.spoke(3));
    }

    #[test]
    fn an_asymmetric_spoke_lacks_its_beginning() {
        let options = RadialOptions { n_left_out: 100, ..RadialOptions::default() };
        let short = Radial::new(options).expect("spokes");
        let full = Radial::new(RadialOptions::default()).expect("spokes");
        assert_eq!((short.n_samples(), short.center_sample()), (156, 28));
        assert_eq!(short.spoke(5), full.spoke(5)[100..]);
    }

    #[test]
    fn impossible_values_are_refused() {
        for options in [
            RadialOptions { matrix_size: 0, ..RadialOptions::default() },
            RadialOptions { field_of_view_mm: f64::NAN, ..RadialOptions::default() },
            RadialOptions { readout_oversampling: usize::MAX, ..RadialOptions::default() },
            RadialOptions { n_left_out: 129, ..RadialOptions::default() },
            RadialOptions { angles: SpokeAngles::Uniform(0), ..RadialOptions::default() },
        ] {
            assert!(Radial::new(options).is_err(), "{options:?}");
        }
    }
}
