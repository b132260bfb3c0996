//! What the pixels of an image are.

use ismrmrd::Meta;

/// What the pixels of an image are, in the words of Gadgetron's data roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ImageRole {
    /// An image.
    #[default]
    Image,
    /// An image after retrospective gating.
    Retro,
    /// An image that is still to be seen as it was measured, while a motion-corrected one follows:
    /// `correct_motion` gives its originals this role. Gadgets that make maps pass such series on
    /// and make no map of them. Clients see an ordinary image, with a mark of its own.
    Uncorrected,
    /// An image after motion correction.
    MotionCorrected,
    /// A real image with the signs of an inversion recovery.
    Psir,
    /// Noise amplification of parallel imaging, 1 or more.
    GFactor,
    /// Signal in multiples of the noise's standard deviation.
    SnrMap,
    /// Standard deviation over the images of a series, or over replicas.
    NoiseSd,
}

/// Meta attribute of an image that a motion-corrected one follows.
const UNCORRECTED: &str = "BoresideUncorrected";

impl ImageRole {
    const ALL: [Self; 8] = [
        Self::Psir,
        Self::Image,
        Self::Retro,
        Self::Uncorrected,
        Self::MotionCorrected,
        Self::GFactor,
        Self::SnrMap,
        Self::NoiseSd,
    ];

    /// The value of `GADGETRON_DataRole`.
    pub fn gadgetron_name(self) -> &'static str {
        match self {
            Self::Image | Self::Uncorrected => "Image",
            Self::Retro => "ImageRetro",
            Self::MotionCorrected => "ImageMoCo",
            Self::Psir => "PSIR",
            Self::GFactor => "Gfactor",
            Self::SnrMap => "SNR_MAP",
            Self::NoiseSd => "STD_MAP",
        }
    }

    /// The value of FIRE's `DataRole`: a scanner normalises an `Image` again, a `Quantitative`
    /// one it leaves alone.
    pub fn fire_name(self) -> &'static str {
        match self {
            Self::Image | Self::Retro | Self::Uncorrected | Self::MotionCorrected | Self::Psir => {
                "Image"
            }
            Self::GFactor | Self::SnrMap | Self::NoiseSd => "Quantitative",
        }
    }

    /// Whether the pixels are images of the patient, which filters and partial Fourier apply to.
    pub fn is_image(self) -> bool {
        self.fire_name() == "Image"
    }

    /// The role that meta attributes name, if they do.
    pub fn of(meta: &Meta) -> Option<Self> {
        if meta.get(UNCORRECTED).is_some() {
            return Some(Self::Uncorrected);
        }
        let name = meta.get("GADGETRON_DataRole").or_else(|| meta.get("DataRole"))?;
        Self::ALL.into_iter().find(|role| role.gadgetron_name() == name)
    }

    /// Writes the role into meta attributes in both vocabularies.
    pub fn write(self, meta: &mut Meta) {
        meta.set("DataRole", self.fire_name());
        meta.set("GADGETRON_DataRole", self.gadgetron_name());
        if self == Self::Uncorrected {
            meta.set(UNCORRECTED, 1);
        } else {
            meta.remove(UNCORRECTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_was_written_is_read_back() {
        for role in ImageRole::ALL {
            let mut meta = Meta::default();
            role.write(&mut meta);
            assert_eq!(ImageRole::of(&meta), Some(role));
        }
        assert_eq!(ImageRole::of(&Meta::default()), None);
    }
}
