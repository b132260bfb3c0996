//! Motion correction of series whose motion is known.
//!
//! Cases are those of `boreside simulate dataset molli --complex --field-strengths 1.5,3` with the
//! three schemes in turn. Fields are found in the noisy series. What they do to a T1 map is
//! measured on the same series without noise, because noise that is sampled elsewhere is other
//! noise; R² is that of the noisy series.

mod cases;
mod lesion;
mod measures;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use inference::Model;
use moco::motion::Series;
use ndarray::{Array3, Array4, Axis};
use num_complex::Complex32;
use numerics::registration::{TwinModel, least_jacobian};
use rayon::prelude::*;

use self::cases::{Case, Cases};
use self::lesion::kept_contrast;
use self::measures::{Sums, dice, errors_px, t1_and_r_squared};
use super::{CaseOptions, Methods};
use crate::models::{Place, service};

/// The network that is evaluated.
const MODEL: &str = "motion_of_series";
/// No displacement becomes longer.
const MAX_DISPLACEMENT_PX: f32 = 16.0;
/// R² counts at this ratio of signal to noise and above: noise alone caps it below.
const R_SQUARED_SNR: f64 = 12.0;
/// One still series at SNR 20 for so many cases.
const CASES_PER_STILL: u64 = 5;
/// A lesion is followed in one of so many cases.
const CASES_PER_LESION: u64 = 4;

#[derive(Args, Clone, Debug)]
pub struct MocoOptions {
    #[command(flatten)]
    pub cases: CaseOptions,
    /// What all motion is multiplied by, 0.01 to 3; 0.3 is like that in a breath-hold
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    motion: f64,
    #[command(flatten)]
    at: Place,
}

/// How fields are found.
enum Method {
    Uncorrected,
    /// By the true fields: what sampling images anew costs by itself.
    Known,
    Classical,
    Network(std::sync::Arc<Model>),
}

impl Method {
    fn name(&self) -> &'static str {
        match self {
            Self::Uncorrected => "uncorrected",
            Self::Known => "true_fields",
            Self::Classical => "classical",
            Self::Network(_) => "network",
        }
    }

    /// The fields `[frame, 2, y, x]` of a series, and the time in ms.
    fn fields(&self, images: &Array3<Complex32>, case: &Case) -> Result<(Array4<f32>, f64)> {
        let (n_frames, n_y, n_x) = images.dim();
        let series = Series {
            images: images.view(),
            times_ms: &case.times_ms,
            reference: case.reference,
            is_inverted: true,
            model: TwinModel::LowRank,
            max_displacement_px: MAX_DISPLACEMENT_PX,
        };
        let start = Instant::now();
        let fields = match self {
            Self::Uncorrected => Array4::zeros((n_frames, 2, n_y, n_x)),
            Self::Known => case.truth.clone(),
            Self::Classical => series.register().fields,
            Self::Network(model) => series.by_network(model, 0)?.motion.fields,
        };
        Ok((fields, 1e3 * start.elapsed().as_secs_f64()))
    }
}

/// The metrics of each method.
pub fn evaluate(n_cases: u64, options: &MocoOptions) -> Result<Methods> {
    let mut methods = vec![Method::Uncorrected, Method::Known, Method::Classical];
    let models = service(&options.at.networks, &options.at.data);
    let network = models.open(MODEL).and_then(|model| {
        model.wait_until_ready()?;
        Ok(model)
    });
    match network {
        Ok(model) => methods.push(Method::Network(model)),
        Err(error) => tracing::warn!("{error}: the network is left out"),
    }
    let cases = Cases::new(options.cases.seed, options.motion)?;
    let mut sums: Vec<Sums> = methods.iter().map(|_| Sums::default()).collect();
    let mut free = Sums::default();
    for index in 0..n_cases {
        let case = cases.case(index)?;
        if case.is_still {
            continue;
        }
        let truth = t1_and_r_squared(&case.clean_still, &case, None)?;
        let noisy_truth = t1_and_r_squared(&case.noisy_still, &case, None)?;
        if case.signal_to_noise >= R_SQUARED_SNR {
            free.r_squared.extend(noisy_truth.r_squared);
        }
        for (method, sums) in methods.iter().zip(&mut sums) {
            let (fields, time_ms) = method.fields(&case.noisy, &case)?;
            if matches!(method, Method::Classical | Method::Network(_)) {
                sums.times_ms.push(time_ms);
            }
            sums.errors_px.extend(errors_px(&fields, &case));
            let zero = Array4::zeros(fields.dim());
            sums.dice_before.push(dice(&zero, &case));
            sums.dice_after.push(dice(&fields, &case));
            sums.add_folds(&fields);
            let corrected = t1_and_r_squared(&case.clean, &case, Some(&fields))?;
            sums.add_t1(&corrected.t1_ms, &truth.t1_ms);
            if case.signal_to_noise >= R_SQUARED_SNR {
                let noisy = t1_and_r_squared(&case.noisy, &case, Some(&fields))?;
                sums.r_squared.extend(noisy.r_squared);
            }
            if index % CASES_PER_LESION == 0 && !matches!(method, Method::Uncorrected) {
                let find =
                    |images: &Array3<Complex32>| method.fields(images, &case).map(|found| found.0);
                sums.lesions.extend(kept_contrast(&case, find)?);
            }
        }
    }
    for index in 0..n_cases.div_ceil(CASES_PER_STILL) {
        let case = cases.still(index)?;
        for (method, sums) in methods.iter().zip(&mut sums) {
            let (fields, _) = method.fields(&case.noisy, &case)?;
            sums.add_still(&fields, &case.heart);
            sums.add_folds(&fields);
        }
    }
    let mut metrics: Methods = BTreeMap::new();
    for (method, sums) in methods.iter().zip(sums) {
        metrics.insert(method.name(), sums.metrics());
    }
    metrics.insert("motion_free", vec![("fit_r2_mean", free.r_squared_mean())]);
    Ok(metrics)
}

/// The images, each looked up where its field says.
fn warped(images: &Array3<Complex32>, fields: &Array4<f32>) -> Array3<Complex32> {
    let frames: Vec<_> = images.axis_iter(Axis(0)).zip(fields.axis_iter(Axis(0))).collect();
    let planes: Vec<_> = frames
        .into_par_iter()
        .map(|(image, field)| numerics::registration::BSplineImage::new(image).warped(field))
        .collect();
    let mut out = Array3::zeros(images.dim());
    for (mut target, plane) in out.axis_iter_mut(Axis(0)).zip(planes) {
        target.assign(&plane);
    }
    out
}

impl Sums {
    fn add_folds(&mut self, fields: &Array4<f32>) {
        for field in fields.axis_iter(Axis(0)) {
            self.n_fields += 1;
            self.n_folded += usize::from(least_jacobian(field) <= 0.0);
        }
    }
}
