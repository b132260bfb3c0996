//! Kernels and coil maps of the images of a reference, kept while it stays the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use ismrmrd::SamplingLimit;
use ndarray::{Array3, Array4, ArrayView4, Axis};
use num_complex::{Complex32, Complex64};
use numerics::coil_compression::{Compression, Keep, covariance};
use numerics::grappa::{
    CalibrationError, CalibrationOptions, HybridKernel, Kernel, g_factor, unmixing,
};

use crate::coil_combination::CoilMapOptions;

/// Channels whose covariance is that small against their energies count as independent. The
/// modes of one frame are those of the next but for noise: a few hundredths between weak ones.
const INDEPENDENT: f64 = 0.1;
/// So much more energy than the channel before has one that counts as in order.
const IN_ORDER: f64 = 1.1;

/// How images of a scan are calibrated.
#[derive(Clone, Debug)]
pub(super) struct Method {
    pub(super) kernel: CalibrationOptions,
    pub(super) coil_maps: CoilMapOptions,
    /// Downstream coil compression, [`None`] for none.
    pub(super) downstream: Option<Keep>,
    pub(super) with_g_factor: bool,
}

/// All that it takes to reconstruct the images of one reference.
pub(super) struct Calibration {
    /// Channels of the data on their way to the kernel, [`None`] where they go as they are.
    pub(super) rotation: Option<Compression>,
    /// [`None`] without acceleration.
    pub(super) kernel: Option<HybridKernel>,
    /// `[target, z, y, x]`, Σ|s|² = 1.
    pub(super) maps: Array4<Complex32>,
    /// `[z, y, x]`, where one was asked for.
    pub(super) g_factor: Option<Array3<f32>>,
}

impl Method {
    /// Calibrates with `samples`, `[channel, encoding_step_2, encoding_step_1, readout]`, that
    /// lie at `limits`, for images of `matrix` `[z, y, x]`.
    pub(super) fn calibrate(
        &self,
        samples: ArrayView4<'_, Complex32>,
        limits: [SamplingLimit; 3],
        acceleration: [usize; 2],
        matrix: [usize; 3],
    ) -> Result<Calibration, CalibrationError> {
        if acceleration == [1, 1] {
            let maps = self.coil_maps.maps(samples, limits, matrix);
            return Ok(Calibration { rotation: None, kernel: None, maps, g_factor: None });
        }
        let (rotation, n_targets) = self.targets(samples)?;
        let rotated = rotation.as_ref().map(|rotation| rotation.apply(samples, Axis(0)));
        let samples = rotated.as_ref().map_or(samples, |rotated| rotated.view());
        let options = CalibrationOptions { n_targets: Some(n_targets), ..self.kernel };
        let targets = samples.slice(ndarray::s![..n_targets, .., .., ..]);
        // Neither needs the other.
        let (kernel, maps) = rayon::join(
            || Kernel::calibrate(samples, acceleration, &options),
            || self.coil_maps.maps(targets, limits, matrix),
        );
        let kernel = kernel?;
        let g_factor = self
            .with_g_factor
            .then(|| g_factor(unmixing(&kernel, maps.view()).view(), acceleration));
        let kernel = Some(kernel.in_hybrid_space(matrix[2]));
        Ok(Calibration { rotation, kernel, maps, g_factor })
    }

    /// The channels that the missing lines are made for: the first so many, of the channels
    /// turned so that they are independent, where they are not already.
    fn targets(
        &self,
        samples: ArrayView4<'_, Complex32>,
    ) -> Result<(Option<Compression>, usize), CalibrationError> {
        let n_channels = samples.len_of(Axis(0));
        let Some(keep) = self.downstream else { return Ok((None, n_channels)) };
        let covariance = covariance(samples, Axis(0));
        // Covariances that are not finite are the kernel's to complain about.
        let Ok(kept) = Compression::from_covariance(covariance.view(), keep) else {
            return Ok((None, n_channels));
        };
        let n_targets = kept.n_modes();
        let energy = |channel: usize| covariance[[channel, channel]].re;
        let is_independent =
            covariance.indexed_iter().all(|((row, column), value): (_, &Complex64)| {
                row == column || value.norm() <= INDEPENDENT * (energy(row) * energy(column)).sqrt()
            });
        let descends =
            (1..n_channels).all(|channel| energy(channel) <= IN_ORDER * energy(channel - 1));
        if n_targets == n_channels || is_independent && descends {
            return Ok((None, n_targets));
        }
        let rotation = Compression::from_covariance(covariance.view(), Keep::All).ok();
        Ok((rotation, n_targets))
    }
}

/// Encoding space, slice and place in the reference.
type Key = (usize, u16, [usize; 3]);

/// What a calibration was made of and for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) fingerprint: u64,
    pub(super) acceleration: [usize; 2],
    pub(super) matrix: [usize; 3],
}

/// The last calibration of each image of the references.
#[derive(Default)]
pub(super) struct Calibrations {
    known: BTreeMap<Key, (Source, Arc<Calibration>)>,
}

impl Calibrations {
    /// The calibration from this source, made where it is not known.
    pub(super) fn get<E>(
        &mut self,
        key: Key,
        source: Source,
        make: impl FnOnce() -> Result<Calibration, E>,
    ) -> Result<Arc<Calibration>, E> {
        if let Some((known, calibration)) = self.known.get(&key)
            && *known == source
        {
            return Ok(Arc::clone(calibration));
        }
        // The memory of the old one is free for the new one.
        self.known.remove(&key);
        let calibration = Arc::new(make()?);
        self.known.insert(key, (source, Arc::clone(&calibration)));
        Ok(calibration)
    }
}
