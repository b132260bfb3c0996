//! What is said of a slice's images in their meta attributes, for the gadgets that make maps.

use inference::Provenance;
use ismrmrd::Meta;
use pipeline::image_notes::{FAULT_KEY, MOTION_PX_KEY, NOISE_SD_KEY, RECONSTRUCTION_KEY};

/// What made the images of a slice, and what is to be known of them.
#[derive(Default)]
pub(super) struct Notes {
    /// Method or network.
    pub(super) made_by: String,
    /// What the samples allow: of noise in either part of a pixel.
    pub(super) noise_sd: f32,
    /// Largest displacement that the model of the samples has.
    pub(super) motion_px: Option<f32>,
    /// What a network did, or why it did not.
    pub(super) provenance: Option<Provenance>,
    /// Why the images have to be looked at.
    pub(super) faults: Vec<String>,
}

impl Notes {
    pub(super) fn write(&self, meta: &mut Meta) {
        meta.set(RECONSTRUCTION_KEY, self.made_by.as_str());
        if self.noise_sd.is_finite() && self.noise_sd > 0.0 {
            meta.set(NOISE_SD_KEY, format!("{:e}", self.noise_sd));
        }
        if let Some(motion_px) = self.motion_px {
            meta.set(MOTION_PX_KEY, format!("{motion_px:.2}"));
        }
        if let Some(provenance) = &self.provenance {
            provenance.write(meta);
        }
        if !self.faults.is_empty() {
            meta.set(FAULT_KEY, self.faults.join("; "));
        }
    }
}
