//! Kernel and solver of linear SPIRiT, with automatic values.

use ismrmrd::KSpaceBuffer;
use numerics::spirit::{CalibrationOptions, Kernel, SolverOptions};

use crate::coil_combination::samples_of;
use crate::unaliasing::{Error, slice_of};

/// Choices of linear SPIRiT; 0 stands for automatic values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearMethod {
    /// Along readout, encoding step 1 and 2.
    pub(crate) kernel: [usize; 3],
    pub(crate) regularisation: f64,
    pub(crate) overdetermination: f64,
    pub(crate) max_iterations: usize,
    pub(crate) threshold: f32,
}

impl LinearMethod {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let names = ["spirit_kSize_RO", "spirit_kSize_E1", "spirit_kSize_E2"];
        for (property, size) in names.into_iter().zip(self.kernel) {
            if size % 2 == 0 || size > 31 {
                let (value, allowed) = (size as f64, "odd, 1 to 31");
                return Err(Error::Property { property, value, allowed });
            }
        }
        for (property, value) in [
            ("spirit_reg_lamda", self.regularisation),
            ("spirit_calib_over_determine_ratio", self.overdetermination),
            ("spirit_iter_thres", f64::from(self.threshold)),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Property { property, value, allowed: "0 or more" });
            }
        }
        Ok(())
    }

    /// The kernel of one image of the reference.
    pub(crate) fn calibrate(
        &self,
        reference: &KSpaceBuffer,
        serving: [usize; 3],
        acceleration: [usize; 2],
    ) -> Result<Kernel, Error> {
        let automatic = if acceleration[1] > 1 { 0.01 } else { 0.005 };
        let [kernel_readout, kernel_e1, kernel_e2] = self.kernel;
        let options = CalibrationOptions {
            kernel_readout,
            kernel_e1,
            kernel_e2,
            regularisation: if self.regularisation > 0.0 { self.regularisation } else { automatic },
            overdetermination: self.overdetermination,
        };
        Kernel::calibrate(samples_of(reference, serving), &options)
            .map_err(|cause| Error::Calibration { slice: slice_of(reference, serving[0]), cause })
    }

    pub(crate) fn solver(&self, acceleration: [usize; 2]) -> SolverOptions {
        let mut options = SolverOptions::automatic(acceleration);
        if self.max_iterations > 0 {
            options.max_iterations = self.max_iterations;
        }
        if self.threshold > 0.0 {
            options.threshold = self.threshold;
        }
        options
    }
}
