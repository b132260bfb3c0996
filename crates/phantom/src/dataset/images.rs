//! What images of all sets have in common.

use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;

use super::draw::Draw;
use super::error::{DatasetError, check, check_count, check_range};
use super::values::{Element, Values};
use crate::anatomy::{RandomOptions, random_anatomy};
use crate::raster::PixelGrid;

/// Most pixels along an axis.
const MAX_PIXELS: usize = 1024;

/// Most receive channels.
const MAX_CHANNELS: usize = 64;

/// What all sets of images have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageOptions {
    /// Of everything that is drawn.
    pub seed: u64,
    /// Pixels and extent. The field of view must hold a whole chest: 340 × 250 mm or more.
    pub grid: PixelGrid,
    /// The bodies; its field of view is that of `grid`, whatever it says.
    pub anatomy: RandomOptions,
    /// What a pixel holds.
    pub content: ImageContent,
    /// Smallest and largest signal of the myocardium in the reference image, before the bias
    /// field, over the standard deviation of the noise in each of real and imaginary part; their
    /// logarithms are evenly drawn.
    pub signal_to_noise: [f64; 2],
    /// Largest phase of the object over the field of view, the same in all images of a case.
    pub max_phase_rad: f64,
    /// How pictures are made.
    pub route: Route,
}

/// What the pixels of images hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageContent {
    /// The real part after the smooth phase of the object has been taken away: signed, with
    /// normal noise.
    #[default]
    Real,
    /// The magnitude, with Rician noise.
    Magnitude,
    /// Real and imaginary part.
    Complex,
}

/// How pictures are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// From a grid twice as fine.
    #[default]
    ShortCut,
    /// Exact k-space of each image and its transform.
    KSpace {
        /// Receive channels, combined by their known sensitivities (Roemer 1990). One has a
        /// uniform sensitivity.
        n_channels: usize,
    },
}

impl ImageContent {
    /// What an array of such pixels holds.
    pub(super) fn element(self) -> Element {
        match self {
            Self::Real | Self::Magnitude => Element::F32,
            Self::Complex => Element::Complex32,
        }
    }

    /// For the set's description.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Real => "real part without the object's smooth phase: signed, normal noise",
            Self::Magnitude => "magnitude, Rician noise",
            Self::Complex => "complex, with a smooth phase of the object",
        }
    }

    /// An array to push images to.
    pub(super) fn empty(self, n_pixels: usize) -> Values {
        match self {
            Self::Real | Self::Magnitude => Values::F32(Vec::with_capacity(n_pixels)),
            Self::Complex => Values::Complex32(Vec::with_capacity(n_pixels)),
        }
    }

    /// Appends an image.
    pub(super) fn push(self, image: &Array2<Complex32>, values: &mut Values) {
        match (self, values) {
            (Self::Real, Values::F32(values)) => values.extend(image.iter().map(|v| v.re)),
            (Self::Magnitude, Values::F32(values)) => values.extend(image.iter().map(|v| v.norm())),
            (Self::Complex, Values::Complex32(values)) => values.extend(image.iter()),
            (content, _) => unreachable!("{content:?} images in an array of another kind"),
        }
    }

    /// Adds normal noise of standard deviation `sd` to both parts of the channels' images, as
    /// far as they matter.
    pub(super) fn add_noise(self, draw: &mut Draw, sd: f64, channels: &mut Array3<Complex32>) {
        let sd = sd as f32;
        if self == Self::Real && channels.len_of(Axis(0)) == 1 {
            channels.iter_mut().for_each(|pixel| pixel.re += sd * draw.normal_f32());
            return;
        }
        for pixel in channels.iter_mut() {
            *pixel += Complex32::new(sd * draw.normal_f32(), sd * draw.normal_f32());
        }
    }
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            grid: PixelGrid { matrix_size: [192, 160], field_of_view_mm: [360.0, 300.0] },
            anatomy: RandomOptions::default(),
            content: ImageContent::default(),
            signal_to_noise: [10.0, 60.0],
            max_phase_rad: 1.0,
            route: Route::default(),
        }
    }
}

impl ImageOptions {
    /// Whether pictures can be made.
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        let [nx, ny] = self.grid.matrix_size;
        check_count("pixels along x", nx, 16, MAX_PIXELS)?;
        check_count("pixels along y", ny, 16, MAX_PIXELS)?;
        check_range("the signal-to-noise ratio", self.signal_to_noise, 1e-3, 1e9)?;
        check("the largest phase in rad", self.max_phase_rad, 0.0, 20.0)?;
        if let Route::KSpace { n_channels } = self.route {
            check_count("channels", n_channels, 1, MAX_CHANNELS)?;
        }
        // Refuses its own options.
        random_anatomy(self.seed, 0, &self.bodies())?;
        Ok(())
    }

    /// The bodies that fit the field of view.
    pub(super) fn bodies(&self) -> RandomOptions {
        RandomOptions { field_of_view_mm: self.grid.field_of_view_mm, ..self.anatomy.clone() }
    }
}
