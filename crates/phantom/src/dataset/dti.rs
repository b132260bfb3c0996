//! Diffusion-weighted images with the tensor behind them.

use ndarray::{Array2, Axis};
use num_complex::{Complex32, Complex64};

use super::Dataset;
use super::draw::Draw;
use super::error::{DatasetError, check};
use super::images::{ImageContent, ImageOptions};
use super::picture::{Painter, shade, smooth_phase};
use super::series::myocardium;
use super::truth;
use super::values::{ArrayDescription, Element, Values, flat, number, numbers};
use crate::anatomy::{RandomAnatomy, random_anatomy};
use crate::diffusion::{
    DiffusionEncoding, DiffusionHeart, DiffusionTable, Shot, ShotOptions, gradient_directions,
    random_diffusion_options,
};
use crate::maps::TissueMaps;
use crate::motion::Pose;
use crate::physics::{Block, SignalModel, echoes};
use crate::raster::PixelGrid;
use crate::sequence::Weighting;

/// Pixels along each axis that stand for one of the image: no ellipse describes fibres, so edges
/// are stairs, which cost 1.3 % of the image.
const REFINEMENT: usize = 5;

/// Blood pool at end of systole over that at its largest.
const SYSTOLE_SCALES: [f64; 2] = [0.7, 0.85];

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct DtiOptions {
    /// Pictures and bodies.
    pub images: ImageOptions,
    /// How diffusion is weighted. The stimulated echo's b-values and signals follow an RR
    /// interval for each image, drawn around the assumed one.
    pub weighting: Weighting,
    /// Directions of an average, 6 to 256.
    pub n_directions: usize,
    /// Of the directions.
    pub b_value_s_per_mm2: f64,
    /// Images without weighting in each average.
    pub n_references: usize,
    /// Averages.
    pub n_averages: usize,
    /// From excitation to echo, ms.
    pub echo_time_ms: f64,
    /// Largest relative deviation of an RR interval from the assumed one.
    pub rr_variation: f64,
    /// Phase and loss of signal of single images; its seed is not used.
    pub shots: ShotOptions,
}

impl Default for DtiOptions {
    fn default() -> Self {
        Self {
            images: ImageOptions {
                grid: PixelGrid { matrix_size: [128, 128], field_of_view_mm: [360.0, 360.0] },
                content: ImageContent::Magnitude,
                signal_to_noise: [5.0, 30.0],
                ..ImageOptions::default()
            },
            weighting: Weighting::SpinEcho,
            n_directions: 6,
            b_value_s_per_mm2: 500.0,
            n_references: 1,
            n_averages: 1,
            echo_time_ms: 70.0,
            rr_variation: 0.15,
            shots: ShotOptions::default(),
        }
    }
}

/// A set of diffusion-weighted series of hearts at the end of systole.
///
/// Its arrays, each with the case as the slowest axis:
///
/// * `images` \[encoding, y, x\] with noise, a shot's phase and its loss of signal;
///   `clean_images` \[encoding, y, x\] without;
/// * `b_value_s_per_mm2` \[encoding\], `direction` \[encoding, 3\] in the axes of the image,
///   `signal_loss` \[encoding\];
/// * `tensor_um2_per_ms` \[element, y, x\] in the order xx, xy, xz, yy, yz, zz;
///   `mean_diffusivity_map_um2_per_ms`, `fractional_anisotropy_map`, `helix_angle_map_deg`,
///   `e2_angle_map_deg` \[y, x\];
/// * `diffusion_lesion_mask` \[y, x\]: where diffusion is changed; labels and masks \[y, x\];
/// * `noise_sd`, `field_strength_t`, `is_after_contrast`.
pub struct DtiDataset {
    options: DtiOptions,
    table: DiffusionTable,
    painter: Painter,
}

/// One image's weighting and signals of the regions.
struct Weighted {
    encoding: DiffusionEncoding,
    signals: Vec<Complex64>,
    shot: Shot,
}

impl DtiDataset {
    /// Plans a set.
    ///
    /// # Errors
    /// [`DatasetError`] for options of which no case can be made.
    pub fn new(options: DtiOptions) -> Result<Self, DatasetError> {
        options.images.check()?;
        options.shots.check()?;
        check("the echo time in ms", options.echo_time_ms, 1.0, 300.0)?;
        check("the variation of RR intervals", options.rr_variation, 0.0, 0.5)?;
        if let Weighting::StimulatedEcho(mixing) = &options.weighting {
            mixing.check()?;
        }
        let table = DiffusionTable::new(
            &gradient_directions(options.n_directions)?,
            options.b_value_s_per_mm2,
            options.n_references,
            0.0,
            options.n_averages,
        )?;
        let painter = Painter::new(&options.images);
        Ok(Self { options, table, painter })
    }

    fn grid(&self) -> PixelGrid {
        self.options.images.grid
    }

    /// The body at the end of systole.
    fn body(&self, index: u64) -> Result<RandomAnatomy, DatasetError> {
        let images = &self.options.images;
        let mut body = random_anatomy(images.seed, index, &images.bodies())?;
        let mut draw = Draw::new(images.seed, b"moment..", index);
        let endocardial_scale = draw.between(SYSTOLE_SCALES);
        let pose = Pose { endocardial_scale, ..Pose::default() };
        body.anatomy = body.anatomy.posed(&body.anatomy.nearest_allowed(&pose));
        Ok(body)
    }

    /// All images of a case, without their pictures.
    fn weighted(&self, index: u64, body: &RandomAnatomy) -> Vec<Weighted> {
        let options = &self.options;
        let seed = options.images.seed;
        let mut draw = Draw::new(seed, b"interval", index);
        let shots = ShotOptions { seed: seed ^ index.rotate_left(32), ..options.shots };
        let images = self.table.encodings.iter().enumerate();
        images
            .map(|(number, planned)| {
                let echo_time_ms = options.echo_time_ms;
                let (encoding, block) = match &options.weighting {
                    Weighting::SpinEcho => (*planned, Block::SpinEcho { echo_time_ms }),
                    Weighting::StimulatedEcho(mixing) => {
                        let variation = [-options.rr_variation, options.rr_variation];
                        let mixing_time_ms =
                            mixing.assumed_rr_interval_ms * (1.0 + draw.between(variation));
                        let block = Block::StimulatedEcho { echo_time_ms, mixing_time_ms };
                        (mixing.actual(planned, mixing_time_ms), block)
                    }
                };
                let signal = |tissue| {
                    echoes(SignalModel::ClosedForm, std::slice::from_ref(&block), tissue)[0]
                };
                let regions = body.anatomy.regions.iter();
                Weighted {
                    encoding,
                    signals: regions.map(|region| signal(&region.tissue)).collect(),
                    shot: shots.shot(number as u64, &encoding),
                }
            })
            .collect()
    }

    /// Images with noise and without.
    fn images(
        &self,
        index: u64,
        body: &RandomAnatomy,
        [fine, heart]: [&DiffusionHeart; 2],
        weighted: &[Weighted],
        noise_sd: f64,
    ) -> [Values; 2] {
        let options = &self.options.images;
        let grid = self.grid();
        let n_pixels = weighted.len() * grid.matrix_size.iter().product::<usize>();
        let mut shading = body.bias_field.on_grid(grid).mapv(Complex32::from);
        if options.content == ImageContent::Complex {
            let mut draw = Draw::new(options.seed, b"phase...", index);
            shading *= &smooth_phase(&mut draw, grid, options.max_phase_rad);
        }
        let [mut noisy, mut clean] = [(); 2].map(|()| options.content.empty(n_pixels));
        let mut base: Option<(&Vec<Complex64>, Array2<Complex32>)> = None;
        for (number, image) in weighted.iter().enumerate() {
            // Spin echoes of one case all have the same signal.
            if base.as_ref().is_none_or(|(signals, _)| **signals != image.signals) {
                base = Some((&image.signals, fine.base_image(&image.signals)));
            }
            let Some((_, base)) = &base else { unreachable!("just made") };
            let object = fine.signal(&image.encoding, base.view());
            let mut channels = self.painter.channels_of_pixels(object, REFINEMENT);
            shade(&mut channels, shading.view());
            options.content.push(&self.painter.combine(channels.clone()), &mut clean);
            // Smooth over many pixels: the image's own grid is fine enough.
            for channel in channels.axis_iter_mut(Axis(0)) {
                image.shot.apply(heart, channel);
            }
            let mut draw = Draw::new(options.seed, b"noise...", (index << 16) | number as u64);
            options.content.add_noise(&mut draw, noise_sd, &mut channels);
            options.content.push(&self.painter.combine(channels), &mut noisy);
        }
        [noisy, clean]
    }
}

impl Dataset for DtiDataset {
    fn kind(&self) -> &'static str {
        "dti"
    }

    fn arrays(&self) -> Vec<ArrayDescription> {
        let grid = self.grid();
        let (n_rows, n_columns) = grid.shape();
        let (y, x) = (("y", n_rows), ("x", n_columns));
        let encodings = ("encoding", self.table.encodings.len());
        let content = self.options.images.content;
        let f32 = Element::F32;
        let signal = "equilibrium magnetisation of blood";
        let map = |name, unit, meaning| truth::image(name, f32, grid, unit, meaning);
        let mut arrays = vec![
            ArrayDescription::array(
                "images",
                content.element(),
                [encodings, y, x],
                signal,
                format!("{}; with the phase and loss of signal of each shot", content.meaning()),
            ),
            ArrayDescription::array(
                "clean_images",
                content.element(),
                [encodings, y, x],
                signal,
                "the same without noise, phase and loss of shots",
            ),
            ArrayDescription::array(
                "b_value_s_per_mm2",
                f32,
                [encodings],
                "s/mm²",
                "b-value; of stimulated echoes that of the image's own RR interval",
            ),
            ArrayDescription::array(
                "direction",
                f32,
                [encodings, ("axis", 3)],
                "",
                "unit vector (x, y, z) in the axes of the image, z away from the viewer",
            ),
            ArrayDescription::array(
                "signal_loss",
                f32,
                [encodings],
                "",
                "part of the heart's signal that the shot has lost",
            ),
            ArrayDescription::scalar(
                "noise_sd",
                f32,
                signal,
                "standard deviation of the noise in each of real and imaginary part",
            ),
            ArrayDescription::array(
                "tensor_um2_per_ms",
                f32,
                [("element", 6), y, x],
                "µm²/ms",
                "xx, xy, xz, yy, yz, zz; isotropic outside the wall, 0 in air",
            ),
            map("mean_diffusivity_map_um2_per_ms", "µm²/ms", "in the wall, else 0"),
            map("fractional_anisotropy_map", "", "in the wall, else 0"),
            map("helix_angle_map_deg", "deg", "in the wall, else 0; above 0 is right-handed"),
            map("e2_angle_map_deg", "deg", "of the sheetlets from the wall's plane, else 0"),
            truth::image(
                "diffusion_lesion_mask",
                Element::Bool,
                grid,
                "",
                "wall in a lesion or patch that changes diffusion",
            ),
        ];
        arrays.extend(truth::descriptions(&[], grid));
        arrays
    }

    fn group(&self, index: u64) -> Result<Vec<Values>, DatasetError> {
        let options = &self.options.images;
        let grid = self.grid();
        let body = self.body(index)?;
        let tensor = random_diffusion_options(options.seed, index);
        let heart = |refinement: usize| {
            let matrix_size = grid.refined(refinement).matrix_size;
            DiffusionHeart::new(&body.anatomy, &tensor, matrix_size, grid.field_of_view_mm)
        };
        let (fine, heart) = (heart(REFINEMENT)?, heart(1)?);
        let weighted = self.weighted(index, &body);
        // Of the first image, which has the weakest weighting.
        let signal = myocardium(&body.anatomy).map_or(1.0, |n| weighted[0].signals[n].norm());
        let ratio =
            Draw::new(options.seed, b"snr.....", index).log_between(options.signal_to_noise);
        let noise_sd = signal / ratio;
        let [noisy, clean] = self.images(index, &body, [&fine, &heart], &weighted, noise_sd);
        let map = |values: ndarray::ArrayView2<'_, f32>| Values::F32(flat(values.to_owned()));
        let mut values = vec![
            noisy,
            clean,
            numbers(weighted.iter().map(|image| image.encoding.b_value_s_per_mm2)),
            numbers(weighted.iter().flat_map(|image| image.encoding.direction)),
            numbers(weighted.iter().map(|image| image.shot.loss)),
            number(noise_sd),
            Values::F32(flat(heart.tensor_um2_per_ms().to_owned())),
            map(heart.mean_diffusivity_map_um2_per_ms()),
            map(heart.fractional_anisotropy_map()),
            map(heart.helix_angle_map_deg()),
            map(heart.e2_angle_map_deg()),
            Values::Bool(flat(heart.lesion_mask().to_owned())),
        ];
        values.extend(truth::values(&[], &body, &TissueMaps::new(&body.anatomy, grid)));
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Route;
    use crate::dataset::picture::{Known, Scene};

    #[test]
    fn images_without_weighting_are_close_to_those_of_the_exact_ellipses() {
        let images = ImageOptions {
            content: ImageContent::Magnitude,
            route: Route::KSpace { n_channels: 1 },
            ..DtiOptions::default().images
        };
        let set = DtiDataset::new(DtiOptions { images, ..DtiOptions::default() });
        let set = set.expect("options");
        for index in 0..3 {
            let body = set.body(index).expect("a body");
            let weighted = &set.weighted(index, &body)[..1];
            let components = body.anatomy.components(&weighted[0].signals);
            let scene = Scene { components: &components, elastic: None };
            let ellipses = set.painter.combine(set.painter.channels(&scene, &mut Known::default()));
            let bias = body.bias_field.on_grid(set.grid());
            let group = set.group(index).expect("a case");
            let Values::F32(clean) = &group[1] else { panic!("magnitudes") };
            let (mut difference, mut whole) = (0.0, 0.0);
            for ((pixel, bias), clean) in ellipses.iter().zip(&bias).zip(clean) {
                difference += (pixel.norm() * bias - clean).powi(2);
                whole += (pixel.norm() * bias).powi(2);
            }
            let nrmse = (difference / whole).sqrt();
            // Edges are stairs of a fifth of a pixel: 1.1 to 1.4 % of these bodies.
            assert!(nrmse < 0.02, "{index}: {nrmse}");
        }
    }
}
