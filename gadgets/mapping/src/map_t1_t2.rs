//! T1 and T2 maps of one series: images after saturations, some of them with a T2 preparation.

use ndarray::Axis;
use numerics::relaxation::{FitOptions, PreparedImage, SearchRange, T1T2Plan};
use pipeline::appearance::{of_t1, of_t2};
use pipeline::times::{Preparation, TimesFrom, preparation_times};
use pipeline::{Gadget, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Error;
use crate::error::positive;
use crate::map_t1::SeriesAndMap;
use crate::results::{Finish, Planes};
use crate::source::{Reference, Signs, Source, is_mapped, sources};

/// Makes a T1 map and a T2 map of images after saturations and T2 preparations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where saturation times are taken from. T2 preparations come from the scan's header
    /// (`T2PrepDuration_0`, …) or the images' meta attributes.
    pub times_from: TimesFrom,
    /// Index of the image without saturation, -1 where there is none.
    pub anchor_image_index: i32,
    /// From the end of the T2 preparation to the centre of k-space, ms. Where it is not given, it is
    /// the header's user parameter `T2PrepDelay`, and 0 where that is not there either.
    pub delay_ms: Option<f64>,
    /// A pixel with a longer T1 is invalid (0 in its map), ms.
    pub max_t1_ms: f64,
    /// A pixel with a longer T2 is invalid (0 in its map), ms.
    pub max_t2_ms: f64,
    /// Standard deviation of the noise in a pixel, in the images' unit. Where it is not given, the
    /// residuals say it.
    pub noise_sd: Option<f64>,
    /// Whether the images are sent on, in the order of their saturation times.
    pub send_images: bool,
    /// Whether maps of standard deviations are sent.
    pub send_sd_map: bool,
    /// Whether maps of R² are sent.
    pub send_r_squared_map: bool,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
    /// Whether background is left out of the maps.
    pub mapping_with_masking: bool,
    /// A pixel is background where its signal is below this many standard deviations of the noise.
    pub mask_noise_sds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            times_from: TimesFrom::Auto,
            anchor_image_index: 0,
            delay_ms: None,
            max_t1_ms: 4000.0,
            max_t2_ms: 1000.0,
            noise_sd: None,
            send_images: true,
            send_sd_map: true,
            send_r_squared_map: false,
            skip_processing_meta_field: "Skip_processing_after_recon".to_owned(),
            mapping_with_masking: true,
            mask_noise_sds: 3.0,
        }
    }
}

/// Series of map, standard deviation and R², those of T1 as in `map_t1_saturation`.
const T1_SERIES: [u16; 3] = [11, 12, 13];
const T2_SERIES: [u16; 3] = [14, 15, 16];
/// Centre and width of the window of T2, ms.
const T2_WINDOW: [f64; 2] = [60.0, 120.0];
/// User parameter of the header: from the end of a T2 preparation to the centre of k-space, ms.
const DELAY_PARAMETER: &str = "T2PrepDelay";
/// Parameters of the fit: amplitude, T1, T2.
const N_PARAMETERS: usize = 3;

/// Makes a T1 map and a T2 map of images after saturations and T2 preparations.
pub struct MapT1T2 {
    config: Config,
    scan: Scan,
    t1: Finish,
    t2: Finish,
    told: bool,
}

impl Gadget for MapT1T2 {
    const NAME: &str = "map_t1_t2";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("max_t1_ms", config.max_t1_ms)?;
        positive("max_t2_ms", config.max_t2_ms)?;
        let finish = |quantity, longest_ms: f64| Finish {
            quantity,
            mask_noise_sds: config.mapping_with_masking.then_some(config.mask_noise_sds as f32),
            longest_ms: longest_ms as f32,
            noise_sd: config.noise_sd.map(|sd| sd as f32),
            largest_hole: 0,
            send_sd_map: config.send_sd_map,
            send_r_squared_map: config.send_r_squared_map,
            n_sent: 0,
        };
        let (t1, t2) = (finish("T1", config.max_t1_ms), finish("T2", config.max_t2_ms));
        Ok(Self { config, scan: scan.clone(), t1, t2, told: false })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        if !is_mapped(&series, &self.config.skip_processing_meta_field) {
            out.push(series);
            return Ok(());
        }
        if self.delay_ms().is_none() && !std::mem::replace(&mut self.told, true) {
            out.warn(
                "nothing tells how long before the centre of k-space the T2 preparation ends: taken \
                 for 0, and T2 is too long by what recovers until then",
                format!("set `delay_ms`, or the header's user parameter `{DELAY_PARAMETER}`"),
            );
        }
        // Before the images are put into the order of their saturation times.
        let t2_preparations_ms = self.t2_preparations_ms(&series)?;
        let anchor = usize::try_from(self.config.anchor_image_index).ok();
        let preparation = Preparation::Saturation { anchor };
        let (sources, notes) = sources(
            &mut series,
            &self.scan,
            preparation,
            self.config.times_from,
            Reference::Longest,
        )?;
        let mut maps = Vec::with_capacity(2 * sources.len());
        for (source, times_ms) in sources.into_iter().zip(&t2_preparations_ms) {
            maps.extend(self.map(source, times_ms)?);
        }
        notes.into_iter().for_each(|note| out.inform(note));
        if self.config.send_images {
            out.push(series);
        }
        maps.into_iter().for_each(|map| out.push(map));
        Ok(())
    }
}

impl MapT1T2 {
    /// Of each stack, for each image.
    fn t2_preparations_ms(&self, series: &ImageSeries) -> Result<Vec<Vec<f64>>, Error> {
        let stacks = series.stacks()?;
        let times = |stack| {
            let (preparation, from) = (Preparation::T2Preparation, TimesFrom::Auto);
            preparation_times(series, stack, &self.scan, preparation, from)
        };
        stacks.iter().map(|stack| Ok(times(stack)?.times_ms)).collect()
    }

    /// [`None`] where nothing tells it.
    fn delay_ms(&self) -> Option<f64> {
        let header = self.scan.header.as_ref();
        let parameters = header.and_then(|header| header.user_parameters.as_ref());
        let told_ms = parameters.and_then(|parameters| parameters.double(DELAY_PARAMETER));
        self.config.delay_ms.or(told_ms)
    }

    /// The map of T1 and that of T2.
    ///
    /// * `t2_preparations_ms`: of every image of the stack, also those that are left out.
    fn map(
        &mut self,
        source: Source,
        t2_preparations_ms: &[f64],
    ) -> Result<[ParametricMap; 2], Error> {
        let pairs = source.times_ms.iter().zip(&source.frames);
        let images: Vec<PreparedImage> = pairs
            .map(|(&saturation_time_ms, &frame)| {
                // One that no time is known of is refused by the plan.
                let t2_preparation_ms = t2_preparations_ms.get(frame).copied().unwrap_or(f64::NAN);
                PreparedImage { saturation_time_ms, t2_preparation_ms }
            })
            .collect();
        let longest_ms = [self.config.max_t1_ms, self.config.max_t2_ms];
        let [mut of_t1_ms, mut of_t2_ms] = T1T2Plan::usual_ranges();
        for (range, longest_ms) in [&mut of_t1_ms, &mut of_t2_ms].into_iter().zip(longest_ms) {
            *range = SearchRange { longest_ms: range.longest_ms.max(1.5 * longest_ms), ..*range };
        }
        let delay_ms = self.delay_ms().unwrap_or(0.0);
        let plan = T1T2Plan::new(&images, delay_ms, [of_t1_ms, of_t2_ms])?;
        let freedom = images.len().saturating_sub(N_PARAMETERS);
        let [mut t1, mut t2] = [Planes::default(), Planes::default()];
        for z in 0..source.shape().0 {
            // The phase of the brightest image keeps noise of dark ones from being made positive.
            let (samples, _) = source.recovering(z, Signs::Auto);
            let brightest = samples.index_axis(Axis(0), images.len() - 1);
            let fit = |options: FitOptions<'_>| plan.fit(samples.view(), options.noise);
            let noise_sd = source.noise_sd;
            self.t1.plane(|options| fit(options).t1, brightest, freedom, noise_sd, &mut t1);
            self.t2.plane(|options| fit(options).t2, brightest, freedom, noise_sd, &mut t2);
        }
        let n_prepared = images.iter().filter(|image| image.t2_preparation_ms > 0.0).count();
        let method = format!(
            "T1 and T2: saturation recovery, {} images, {n_prepared} of them T2-prepared, {delay_ms:.1} ms before the centre of k-space",
            images.len()
        );
        let mut of_t2_source = source.clone();
        of_t2_source.times_ms = images.iter().map(|image| image.t2_preparation_ms).collect();
        let mut t1_map = self.t1.map(source, t1, &method);
        t1_map.presentation = of_t1(&self.scan, &t1_map.values, "SR", T1_SERIES);
        let mut t2_map = self.t2.map(of_t2_source, t2, &method);
        t2_map.presentation = of_t2(&self.scan, T2_WINDOW, T2_SERIES);
        Ok([t1_map, t2_map])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{scan, series, sorted};
    use ismrmrd::xml::{UserParameter, UserParameters};
    use num_complex::Complex32;
    use pipeline::run_gadget;

    const SATURATIONS: [f64; 7] = [10_000.0, 200.0, 400.0, 600.0, 600.0, 600.0, 600.0];
    const PREPARATIONS: [f64; 7] = [0.0, 0.0, 0.0, 0.0, 30.0, 55.0, 80.0];
    const DELAY_MS: f64 = 20.0;

    fn joint_series() -> ImageSeries {
        series(7, |image, _, x| {
            let (t1_ms, t2_ms) = (1100.0, 45.0);
            let echo_time_ms = PREPARATIONS[image];
            let saturation_ms = if image == 0 { f64::INFINITY } else { SATURATIONS[image] };
            let signal = if echo_time_ms == 0.0 {
                1.0 - (-saturation_ms / t1_ms).exp()
            } else {
                let recovered = 1.0 - (-(saturation_ms - echo_time_ms - DELAY_MS) / t1_ms).exp();
                let prepared = recovered * (-echo_time_ms / t2_ms).exp();
                1.0 - (1.0 - prepared) * (-DELAY_MS / t1_ms).exp()
            };
            Complex32::from_polar(80.0 * signal as f32, 0.1 * x as f32)
        })
    }

    fn scan_of(preparations: &[f64], delay_ms: Option<f64>) -> Scan {
        let mut scan = scan(&SATURATIONS, &[], &[]);
        let durations = preparations.iter().enumerate();
        let mut doubles: Vec<_> =
            durations.map(|(n, time_ms)| (format!("T2PrepDuration_{n}"), *time_ms)).collect();
        doubles.extend(delay_ms.map(|delay_ms| (DELAY_PARAMETER.to_owned(), delay_ms)));
        if let Some(header) = scan.header.as_mut() {
            let user_parameter_double =
                doubles.into_iter().map(|(name, value)| UserParameter { name, value }).collect();
            header.user_parameters =
                Some(UserParameters { user_parameter_double, ..UserParameters::default() });
        }
        scan
    }

    fn maps(config: Config, scan: &Scan) -> Vec<ParametricMap> {
        let (outputs, _) = run_gadget::<MapT1T2>(config, scan, [joint_series()]).expect("maps");
        sorted(outputs).1
    }

    #[test]
    fn one_series_gives_t1_and_t2_with_all_that_belongs_to_them() {
        let config = Config { send_r_squared_map: true, ..Config::default() };
        let maps = maps(config, &scan_of(&PREPARATIONS, Some(DELAY_MS)));
        let [t1, t2] = &maps[..] else { panic!("{} maps", maps.len()) };
        for (map, quantity, truth) in [(t1, "T1", 1100.0), (t2, "T2", 45.0)] {
            assert_eq!(map.quantity, quantity);
            // Single precision of the samples.
            assert!(map.values.iter().all(|value| (value / truth - 1.0).abs() < 1e-3));
            assert!(map.sd.is_some() && map.r_squared.is_some());
            assert_eq!(map.verdict, Some(pipeline::Verdict::Accept));
        }
    }

    #[test]
    fn the_delay_can_be_given_and_without_it_t2_is_wrong() {
        let scan = scan_of(&PREPARATIONS, None);
        let given = maps(Config { delay_ms: Some(DELAY_MS), ..Config::default() }, &scan);
        assert!((given[1].values[[0, 5, 5]] / 45.0 - 1.0).abs() < 1e-3);
        let without = maps(Config::default(), &scan);
        let t2_ms = without[1].values[[0, 5, 5]];
        assert!(t2_ms / 45.0 > 1.02, "{t2_ms}");
        let run = run_gadget::<MapT1T2>(Config::default(), &scan, [joint_series(), joint_series()]);
        let (_, told) = run.expect("maps");
        let told: Vec<_> = told.iter().filter(|text| text.contains("taken for 0")).collect();
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn a_series_without_t2_preparations_is_refused_with_what_is_missing() {
        let refused = |scan: &Scan| {
            let result = run_gadget::<MapT1T2>(Config::default(), scan, [joint_series()]);
            result.expect_err("no maps").to_string()
        };
        let none = refused(&scan_of(&[], None));
        assert!(none.contains("no T2 preparation times for 7 images"), "{none}");
        let same = refused(&scan_of(&[0.0; 7], None));
        assert!(same.contains("all T2 preparations last 0 ms"), "{same}");
    }
}
