//! T1 map of a series after inversions: MOLLI, ShMOLLI, inversion recovery.

use ismrmrd::ImageType;
use ndarray::{Array3, ArrayView3, Axis};
use num_complex::Complex32;
use numerics::relaxation::{
    Conditional, ConditionalRule, FitOptions, Model, Plan, Polarity, RelaxationFit, SearchRange,
};
use pipeline::times::{Preparation, TimesFrom};
use pipeline::{Gadget, ImageRole, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::positive;
use crate::results::{Finish, Fitted, Planes};
use crate::source::{Reference, Signs, Source, is_mapped, sources};
use pipeline::appearance::of_t1;

/// What the images recover by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Several images after each inversion, which hold the recovery back: T1* is corrected to T1
    /// (MOLLI, ShMOLLI).
    #[default]
    LookLocker,
    /// One image after each inversion.
    Plain,
}

/// When images after later inversions count only where T1 is short against the heart's period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShMolli {
    /// Where the second inversion is followed by one image only.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never: all images count.
    Off,
}

/// Makes a T1 map of the images after inversions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the images recover by.
    pub recovery: Recovery,
    /// ShMOLLI's rule: later inversions only for short T1.
    pub shmolli: ShMolli,
    /// T1 is multiplied by this: 1 over the inversion factor, with which an inversion leaves
    /// -factor times the magnetisation before it. Gadgetron's and Siemens' is 1.0365.
    pub correction_factor: f64,
    /// How signs are found.
    pub signs: Signs,
    /// A pixel with a longer T1 is invalid (0 in the map), ms.
    pub max_t1_ms: f64,
    /// A pixel is background where its signal is below this many standard deviations of the noise.
    pub mask_noise_sds: f64,
    /// Standard deviation of the noise in a pixel, in the images' unit. Where it is not given, each
    /// pixel's own residuals say it.
    pub noise_sd: Option<f64>,
    /// Where the inversion times are taken from.
    pub times_from: TimesFrom,
    /// Whether the images are sent on, in the order of their times.
    pub send_images: bool,
    /// Whether the images are sent with their signs, as a series of real images.
    pub send_psir: bool,
    /// What is added to these, so that integers can hold them.
    pub psir_offset: f32,
    /// Whether the map of standard deviations is sent.
    pub send_sd_map: bool,
    /// Whether the map of R² is sent.
    pub send_r_squared_map: bool,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recovery: Recovery::LookLocker,
            shmolli: ShMolli::Auto,
            correction_factor: 1.0365,
            signs: Signs::Auto,
            max_t1_ms: 4000.0,
            mask_noise_sds: 3.0,
            noise_sd: None,
            times_from: TimesFrom::Auto,
            send_images: true,
            send_psir: true,
            psir_offset: 4096.0,
            send_sd_map: true,
            send_r_squared_map: false,
            skip_processing_meta_field: "Skip_processing_after_recon".to_owned(),
        }
    }
}

pipeline::message_set! {
    /// Images that pass, and their map.
    pub enum SeriesAndMap { ImageSeries, ParametricMap }
}

/// Series of PSIR images, map, standard deviation and R², as Gadgetron's MOLLI chain numbers them.
const PSIR_SERIES: u16 = 3;
const SERIES: [u16; 3] = [5, 4, 6];

/// Makes a T1 map of the images after inversions.
pub struct MapT1 {
    config: Config,
    scan: Scan,
    finish: Finish,
}

impl Gadget for MapT1 {
    const NAME: &str = "map_t1";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("correction_factor", config.correction_factor)?;
        positive("max_t1_ms", config.max_t1_ms)?;
        let finish = Finish {
            quantity: "T1",
            mask_noise_sds: Some(config.mask_noise_sds as f32),
            longest_ms: config.max_t1_ms as f32,
            noise_sd: config.noise_sd.map(|sd| sd as f32),
            largest_hole: 0,
            send_sd_map: config.send_sd_map,
            send_r_squared_map: config.send_r_squared_map,
            n_sent: 0,
        };
        Ok(Self { config, scan: scan.clone(), finish })
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let results = self.results(series, &mut |_, _, fitted| (fitted, None))?;
        results.notes.into_iter().for_each(|note| out.inform(note));
        results.outputs.into_iter().for_each(|output| out.push(output));
        Ok(())
    }
}

/// What becomes of a series.
pub(crate) struct Results {
    pub outputs: Vec<SeriesAndMap>,
    /// What people should know.
    pub notes: Vec<String>,
}

/// Puts other values in the place of those of a fitted plane, given its images with signs,
/// `[image, y, x]`, and says how they were made; or leaves the plane as it is.
pub(crate) type Replace<'a> =
    &'a mut dyn FnMut(&Source, ArrayView3<'_, f32>, Fitted) -> (Fitted, Option<String>);

impl MapT1 {
    /// The series in the order of its times, its images with signs, and the maps.
    pub(crate) fn results(
        &mut self,
        mut series: ImageSeries,
        replace: Replace<'_>,
    ) -> Result<Results, Error> {
        if !is_mapped(&series, &self.config.skip_processing_meta_field) {
            return Ok(Results { outputs: vec![series.into()], notes: Vec::new() });
        }
        let from = self.config.times_from;
        let (sources, notes) =
            sources(&mut series, &self.scan, Preparation::Inversion, from, Reference::Longest)?;
        let mut maps = Vec::with_capacity(sources.len());
        let mut signed = Vec::with_capacity(sources.len());
        for source in sources {
            let (map, images) = self.map(source, replace)?;
            maps.push(map);
            signed.push(images);
        }
        let psir = self.config.send_psir.then(|| self.psir(&series, &signed)).flatten();
        let mut outputs = Vec::with_capacity(2 + maps.len());
        if self.config.send_images {
            outputs.push(series.into());
        }
        outputs.extend(psir.map(SeriesAndMap::from));
        outputs.extend(maps.into_iter().map(SeriesAndMap::from));
        Ok(Results { outputs, notes })
    }

    /// The map of a slice, and its images with signs, plane by plane.
    fn map(
        &mut self,
        source: Source,
        replace: Replace<'_>,
    ) -> Result<(ParametricMap, Vec<Array3<f32>>), Error> {
        let model = match self.config.recovery {
            Recovery::LookLocker => {
                Model::LookLocker { inversion_factor: 1.0 / self.config.correction_factor }
            }
            Recovery::Plain => Model::Recovery,
        };
        let fitting = self.fitting(model, &source)?;
        let usual = match (&fitting, self.config.recovery) {
            (Fitting::Conditional(_), _) => "ShMOLLI, conditional, 3 parameters",
            (_, Recovery::LookLocker) => "MOLLI, Look-Locker corrected, 3 parameters",
            (_, Recovery::Plain) => "inversion recovery, 3 parameters",
        };
        let mut planes = Planes::default();
        let mut signed = Vec::new();
        let mut methods = Vec::new();
        for z in 0..source.shape().0 {
            let (images, polarity) = source.recovering(z, self.config.signs);
            let brightest =
                source.magnitudes(z).index_axis_move(Axis(0), source.times_ms.len() - 1);
            let fit = |mut options: FitOptions<'_>| {
                options.polarity = polarity;
                let mut fit = match &fitting {
                    Fitting::All(plan) => plan.fit(images.view(), &options),
                    Fitting::Conditional(plan) => plan.fit(images.view(), &options),
                };
                self.correct(&mut fit);
                fit
            };
            // What the pixels have in common: for ShMOLLI the images after the first inversion.
            let freedom = fitting.n_images().saturating_sub(model.n_parameters());
            let fitted = self.finish.fit(fit, brightest.view(), freedom, source.noise_sd);
            let images = match polarity {
                Polarity::Signed => images,
                Polarity::Magnitude => with_signs(images, &fitted.fit, &source.times_ms),
            };
            let (fitted, method) = replace(&source, images.view(), fitted);
            self.finish.add(fitted, &mut planes);
            signed.push(images);
            methods.push(method.unwrap_or_else(|| usual.to_owned()));
        }
        methods.dedup();
        let method = format!(
            "T1: {}, {} images, correction factor {}",
            methods.join("; "),
            source.times_ms.len(),
            self.config.correction_factor
        );
        let mut map = self.finish.map(source, planes, &method);
        map.presentation = of_t1(&self.scan, &map.values, "IR", SERIES);
        Ok((map, signed))
    }

    /// A plain recovery has no factor of its own to divide by.
    fn correct(&self, fit: &mut RelaxationFit) {
        if self.config.recovery == Recovery::Plain && self.config.correction_factor != 1.0 {
            let factor = self.config.correction_factor as f32;
            fit.value_ms.mapv_inplace(|value| factor * value);
            fit.sd_ms.mapv_inplace(|sd| factor * sd);
        }
    }

    fn fitting(&self, model: Model, source: &Source) -> Result<Fitting, Error> {
        let usual = model.usual_range();
        // T1* is shorter than T1; what lies beyond the longest is told from what does not fit.
        let longest_ms = usual.longest_ms.max(1.5 * self.config.max_t1_ms);
        let range = SearchRange { longest_ms, ..usual };
        let times = &source.times_ms;
        if self.is_conditional(source) {
            let rr_interval_ms = period_ms(source);
            let rule = ConditionalRule::default();
            let inversions = &source.inversions;
            return Ok(Fitting::Conditional(Conditional::new(
                model,
                times,
                inversions,
                rr_interval_ms,
                range,
                rule,
            )?));
        }
        Ok(Fitting::All(Plan::new(model, times, range)?))
    }

    fn is_conditional(&self, source: &Source) -> bool {
        let count = |wanted: i32| source.inversions.iter().filter(|n| **n == wanted).count();
        match self.config.shmolli {
            ShMolli::On => true,
            ShMolli::Off => false,
            // 5(1)1(1)1.
            ShMolli::Auto => {
                self.config.recovery == Recovery::LookLocker && count(0) >= 4 && count(1) == 1
            }
        }
    }

    /// The images with signs as a series of real ones.
    fn psir(&self, series: &ImageSeries, signed: &[Vec<Array3<f32>>]) -> Option<ImageSeries> {
        let mut psir = ImageSeries { role: ImageRole::Psir, ..series.clone() };
        let stacks = psir.stacks().ok()?;
        for (stack, planes) in stacks.iter().zip(signed) {
            // Images that were left out of the fit have no place in it.
            let n_kept = planes.first().map_or(0, |plane| plane.len_of(Axis(0)));
            if n_kept != stack.n_frames {
                return None;
            }
            for frame in 0..n_kept {
                let [slice, s, n] = stack.place(frame);
                for (z, plane) in planes.iter().enumerate() {
                    let mut target = psir
                        .data
                        .slice_mut(ndarray::s![slice, s, n, 0, z, .., ..])
                        .into_dimensionality::<ndarray::Ix2>()
                        .ok()?;
                    let values = plane.index_axis(Axis(0), frame);
                    target.zip_mut_with(&values, |target, value| {
                        *target = Complex32::from(value + self.config.psir_offset);
                    });
                }
            }
        }
        let has_offset = self.config.psir_offset != 0.0;
        let image_type = if has_offset { ImageType::Magnitude } else { ImageType::Real };
        for header in &mut psir.headers {
            header.image_type = image_type as u16;
            header.image_series_index = PSIR_SERIES;
        }
        for meta in &mut psir.meta {
            ImageRole::Psir.write(meta);
            for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
                meta.set(key, "PSIR");
            }
            meta.set("GADGETRON_ScaleOffset", self.config.psir_offset);
            for key in ["ImageComments", "GADGETRON_ImageComment"] {
                meta.append(key, "PSIR");
                if has_offset {
                    meta.append(key, format!("+{}", self.config.psir_offset));
                }
            }
        }
        Some(psir)
    }
}

enum Fitting {
    All(Plan),
    Conditional(Conditional),
}

impl Fitting {
    /// Images that every pixel's fit has.
    fn n_images(&self) -> usize {
        match self {
            Self::All(plan) => plan.times_ms().len(),
            Self::Conditional(plan) => plan.n_first_images(),
        }
    }
}

/// Magnitudes with the signs that the fit has at their times; as they are where there is no fit.
fn with_signs(mut images: Array3<f32>, fit: &RelaxationFit, times_ms: &[f64]) -> Array3<f32> {
    images.zip_mut_with(&fit.predict(times_ms), |value, predicted| {
        if *predicted < 0.0 {
            *value = -value.abs();
        }
    });
    images
}

/// Time between two images after the first inversion.
fn period_ms(source: &Source) -> f64 {
    let mut first: Vec<f64> = source
        .times_ms
        .iter()
        .zip(&source.inversions)
        .filter(|(_, inversion)| **inversion == 0)
        .map(|(time_ms, _)| *time_ms)
        .collect();
    first.sort_by(f64::total_cmp);
    let mut steps: Vec<f64> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EDGE, noise, scan, series, sorted};
    use ismrmrd::Meta;
    use pipeline::image_notes::{FAULT_KEY, NOISE_SD_KEY};
    use pipeline::{Verdict, run_gadget};

    const TIMES: [f64; 8] = [100.0, 1100.0, 2100.0, 3100.0, 4100.0, 180.0, 1180.0, 2180.0];

    /// MOLLI of 1000 ms in the left half and 1600 ms in the right, with a phase.
    fn molli(amplitude: f32, noise_size: f32) -> ImageSeries {
        series(8, |image, y, x| {
            let t1_ms = if x < EDGE / 2 { 1000.0 } else { 1600.0 };
            let signal = amplitude * (1.0 - 1.9 * (-TIMES[image] / (t1_ms / 0.9)).exp() as f32);
            let number = (image * EDGE + y) * EDGE + x;
            Complex32::from_polar(1.0, 0.1 * x as f32) * signal
                + noise_size * Complex32::new(noise(2 * number), noise(2 * number + 1))
        })
    }

    fn config() -> Config {
        Config { correction_factor: 1.0, ..Config::default() }
    }

    #[test]
    fn images_come_in_the_order_of_their_times_then_signs_then_the_map() {
        let (outputs, _) =
            run_gadget::<MapT1>(config(), &scan(&TIMES, &[], &[]), [molli(100.0, 0.0)])
                .expect("a map");
        let (series, maps) = sorted(outputs);
        let [images, psir] = &series[..] else { panic!("images and their signs") };
        assert_eq!((images.role, psir.role), (ImageRole::Image, ImageRole::Psir));
        let times: Vec<_> = images.meta.iter().map(|meta| meta.get_f64("InversionTime")).collect();
        let mut ascending = TIMES.map(Some);
        ascending.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        assert_eq!(times, ascending);
        let signed = psir.data[[0, 0, 0, 0, 0, 3, 3]].re - 4096.0;
        assert!((signed - -73.65).abs() < 0.1, "{signed}");
        let map = &maps[0];
        for (x, t1_ms) in [(2, 1000.0), (20, 1600.0)] {
            assert!((map.values[[0, 5, x]] / t1_ms - 1.0).abs() < 1e-3);
        }
        assert_eq!(map.verdict, Some(Verdict::Accept));
        assert_eq!(map.presentation.values.series_index, Some(5));
        assert_eq!(map.presentation.values.window, Some([1300.0, 1300.0]));
    }

    #[test]
    fn magnitudes_and_the_correction_factor_lead_to_the_same_times_the_factor() {
        let mut series = molli(100.0, 0.0);
        series.data.mapv_inplace(|value| value.norm().into());
        let (outputs, _) =
            run_gadget::<MapT1>(Config::default(), &scan(&TIMES, &[], &[]), [series])
                .expect("a map");
        let map = &sorted(outputs).1[0];
        assert!((map.values[[0, 5, 2]] / 1036.5 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn magnitudes_of_shmolli_get_the_signs_of_the_fit_also_where_the_map_has_no_value() {
        // 2500 ms in the right half: only the first inversion counts; beyond the limit as well.
        let times = [100.0_f64, 1000.0, 1900.0, 2800.0, 3700.0, 180.0, 260.0];
        let of = |x: usize| if x < EDGE / 2 { 500.0_f64 } else { 2500.0 };
        let signal =
            |image: usize, x: usize| 100.0_f32 * (1.0 - 2.0 * (-times[image] / of(x)).exp() as f32);
        let mut series = series(7, |image, _, x| Complex32::from(signal(image, x).abs()));
        for (image, meta) in series.meta.iter_mut().enumerate() {
            meta.set("InversionTime", times[image]);
            meta.set("BoresideInversion", [0, 0, 0, 0, 0, 1, 2][image]);
        }
        let config = Config { max_t1_ms: 2000.0, psir_offset: 0.0, ..config() };
        let (outputs, _) = run_gadget::<MapT1>(config, &Scan::default(), [series]).expect("a map");
        let (series, maps) = sorted(outputs);
        assert_eq!(maps[0].values[[0, 5, 20]], 0.0, "beyond the limit");
        let mut order: Vec<usize> = (0..7).collect();
        order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
        for (frame, image) in order.into_iter().enumerate() {
            for x in [3, 20] {
                let found = series[1].data[[0, 0, frame, 0, 0, 5, x]].re;
                assert!((found - signal(image, x)).abs() < 0.1, "image {image}, {x}: {found}");
            }
        }
    }

    #[test]
    fn as_many_images_as_parameters_are_to_be_checked_and_have_no_standard_deviation() {
        let mut three = molli(100.0, 0.0);
        three.data.slice_axis_inplace(Axis(2), ndarray::Slice::from(..3));
        three.headers = Array3::default((1, 1, 3));
        three.meta.truncate(3);
        let config = Config { signs: Signs::Phase, ..config() };
        let run = |config: Config, times: &[f64]| {
            let inputs = [three.clone()];
            let (outputs, _) =
                run_gadget::<MapT1>(config, &scan(times, &[], &[]), inputs).expect("a map");
            sorted(outputs).1.remove(0)
        };
        let map = run(config.clone(), &TIMES[..3]);
        assert!(map.sd.is_none());
        let expected = "as many parameters as images: nothing tells whether the fit is right";
        assert_eq!(map.verdict, Some(Verdict::Check(expected.to_owned())));
        let known = Config { noise_sd: Some(1.0), ..config };
        assert!(run(known, &TIMES[..3]).sd.is_some());
    }

    #[test]
    fn each_slice_comes_in_the_order_of_its_own_times() {
        let one = molli(100.0, 0.0);
        let mut two = one.clone();
        let mut turned = one.data.clone();
        turned.invert_axis(Axis(2));
        two.data = ndarray::concatenate(Axis(0), &[one.data.view(), turned.view()])
            .expect("slices of one size");
        two.headers = Array3::default((2, 1, 8));
        let times = TIMES.into_iter().chain(TIMES.into_iter().rev());
        two.meta = times.map(|time| Meta::from_iter([("InversionTime", time)])).collect();
        let (outputs, _) = run_gadget::<MapT1>(config(), &Scan::default(), [two]).expect("maps");
        let (series, maps) = sorted(outputs);
        assert_eq!(maps.len(), 2);
        assert_eq!(series[0].data.index_axis(Axis(0), 0), series[0].data.index_axis(Axis(0), 1));
        let times: Vec<_> =
            series[0].meta.iter().map(|meta| meta.get_f64("InversionTime")).collect();
        assert_eq!(times[..8], times[8..]);
    }

    #[test]
    fn images_that_did_not_arrive_are_to_be_checked() {
        let mut series = molli(100.0, 0.0);
        for (meta, time) in series.meta.iter_mut().zip(TIMES) {
            meta.set("InversionTime", time);
        }
        let scan = scan(&[100.0; 9], &[], &[]);
        let (outputs, _) = run_gadget::<MapT1>(config(), &scan, [series]).expect("a map");
        let verdict = sorted(outputs).1.remove(0).verdict;
        assert_eq!(verdict, Some(Verdict::Check("8 of 9 images arrived".to_owned())));
    }

    #[test]
    fn wrong_times_are_no_lack_of_signal() {
        // A body in a background of little noise.
        let body = series(8, |image, y, x| {
            let is_body = (6..18).contains(&y) && (6..18).contains(&x);
            let signal = 1.0 - 1.9 * (-TIMES[image] / 1000.0_f64).exp() as f32;
            let number = 2 * ((image * EDGE + y) * EDGE + x);
            Complex32::from(if is_body { 100.0 * signal } else { 0.0 })
                + 0.5 * Complex32::new(noise(number), noise(number + 1))
        });
        let wrong = [4100.0, 100.0, 3100.0, 180.0, 2100.0, 1180.0, 1100.0, 2180.0];
        let (outputs, _) =
            run_gadget::<MapT1>(config(), &scan(&wrong, &[], &[]), [body]).expect("a map");
        let verdict = sorted(outputs).1.remove(0).verdict;
        let Some(Verdict::Repeat(reason)) = verdict else { panic!("{verdict:?}") };
        assert!(!reason.contains("no signal"), "{reason}");
    }

    #[test]
    fn corrected_series_get_a_map_and_their_originals_do_not() {
        let mut original = molli(100.0, 0.0);
        original.role = ImageRole::Uncorrected;
        let mut corrected = molli(100.0, 0.0);
        corrected.role = ImageRole::MotionCorrected;
        corrected.meta.iter_mut().for_each(|meta| meta.set("BoresideMotionPx", 9.6));
        let inputs = [original, corrected];
        let (outputs, _) =
            run_gadget::<MapT1>(config(), &scan(&TIMES, &[], &[]), inputs).expect("a map");
        let (series, maps) = sorted(outputs);
        let roles: Vec<_> = series.iter().map(|series| series.role).collect();
        assert_eq!(roles, [ImageRole::Uncorrected, ImageRole::MotionCorrected, ImageRole::Psir]);
        assert_eq!(maps.len(), 1);
        let expected =
            Verdict::Check("motion of 10 px was corrected: look at the edges".to_owned());
        assert_eq!(maps[0].verdict, Some(expected));
    }

    #[test]
    fn standard_deviations_are_not_less_than_what_the_samples_allow() {
        let map = |noise_size: f32, of_samples: Option<f32>, config: Config| {
            let mut series = molli(100.0, noise_size);
            for (meta, time) in series.meta.iter_mut().zip(TIMES) {
                meta.set("InversionTime", time);
                if let Some(sd) = of_samples {
                    meta.set(NOISE_SD_KEY, format!("{sd:e}"));
                }
            }
            let (outputs, _) =
                run_gadget::<MapT1>(config, &Scan::default(), [series]).expect("a map");
            sorted(outputs).1.remove(0)
        };
        let sd = |map: &ParametricMap| map.sd.as_ref().expect("it is sent")[[0, 5, 5]];
        let known = |sd: f64| Config { noise_sd: Some(sd), ..config() };
        let usual = map(2.0, None, config());
        // Images that were made together fit well: also where they fit exactly.
        for noise_size in [0.0, 2.0] {
            let raised = map(noise_size, Some(8.0), config());
            let expected = sd(&map(noise_size, None, known(8.0)));
            assert!((sd(&raised) / expected - 1.0).abs() < 1e-3, "{expected} {}", sd(&raised));
            assert_eq!(raised.meta.get(NOISE_SD_KEY), None, "T1 has another noise than images");
        }
        assert!(sd(&map(2.0, Some(8.0), config())) > 2.0 * sd(&usual));
        // It takes no values away, and a small one changes nothing.
        assert_eq!(map(2.0, Some(8.0), config()).values, usual.values);
        assert_eq!(sd(&map(2.0, Some(0.01), config())), sd(&usual));
        // What the user says comes first.
        assert_eq!(sd(&map(2.0, Some(8.0), known(2.0))), sd(&map(2.0, None, known(2.0))));
    }

    #[test]
    fn what_is_wrong_with_the_images_is_to_be_checked_in_the_map() {
        let mut series = molli(100.0, 0.0);
        series.meta = vec![Meta::new(); 8];
        for (meta, time) in series.meta.iter_mut().zip(TIMES) {
            meta.set("InversionTime", time);
            meta.append(FAULT_KEY, "something is not in the images");
        }
        series.meta[3].append(FAULT_KEY, "motion is not corrected");
        let (outputs, _) =
            run_gadget::<MapT1>(config(), &Scan::default(), [series]).expect("a map");
        let verdict = sorted(outputs).1.remove(0).verdict;
        let expected = "something is not in the images; motion is not corrected";
        assert_eq!(verdict, Some(Verdict::Check(expected.to_owned())));
    }

    #[test]
    fn noise_makes_background_and_a_bad_verdict() {
        let mut dim = molli(100.0, 4.0);
        for (place, value) in dim.data.indexed_iter_mut() {
            if place[5] < 8 {
                *value = Complex32::new(noise(place[2] * 99 + place[6]), 0.5) * 2.0;
            }
        }
        let run = |series| {
            let (outputs, _) =
                run_gadget::<MapT1>(config(), &scan(&TIMES, &[], &[]), [series]).expect("a map");
            sorted(outputs).1.remove(0)
        };
        let map = run(dim);
        assert!(map.values.slice(ndarray::s![0, ..8, ..]).iter().all(|value| *value == 0.0));
        assert!(map.values.slice(ndarray::s![0, 8.., ..]).iter().all(|value| *value > 0.0));
        let noisy = run(molli(5.0, 8.0));
        assert!(matches!(noisy.verdict, Some(Verdict::Repeat(_))), "{:?}", noisy.verdict);
        let nothing = molli(0.0, 0.0);
        let error = run_gadget::<MapT1>(config(), &scan(&TIMES, &[], &[]), [nothing]);
        assert_eq!(error.map(drop), Err(Error::Empty(8)));
    }

    #[test]
    fn properties_without_sense_and_channels_are_refused() {
        let new = |config| MapT1::new(config, &Scan::default()).map(drop);
        let config = Config { correction_factor: 0.0, ..Config::default() };
        assert!(matches!(new(config), Err(Error::Property { property: "correction_factor", .. })));
        let mut channels = molli(1.0, 0.0);
        channels.data = ndarray::ArrayD::zeros(ndarray::IxDyn(&[1, 1, 8, 2, 1, 4, 4]));
        let error = run_gadget::<MapT1>(Config::default(), &scan(&TIMES, &[], &[]), [channels]);
        assert_eq!(error.map(drop), Err(Error::Channels(2)));
    }
}
