//! The simulated series.

use anyhow::{Context, Result, bail};
use ndarray::{Array2, Array3, Array4};
use num_complex::Complex32;
use phantom::{
    Dataset, FieldStrength, ImageContent, ImageOptions, MolliScheme, MolliSeries, MotionOptions,
    Protocol, RandomOptions, SeriesDataset, SeriesOptions, Values,
};

/// One after the other. The last is ShMOLLI, whose later inversions count for short T1 only.
const SCHEMES: [&str; 3] = ["3(3)3(3)5", "5(3)3", "5(1)1(1)1"];
/// Images of ShMOLLI that are fitted.
const SHMOLLI_FITTED: usize = 5;
/// For images without noise.
const NO_NOISE: [f64; 2] = [1e8, 1e8];
/// Of still series.
const STILL_SNR: [f64; 2] = [20.0, 20.0];
/// Added to the seed for the still series.
const STILL_SEED: u64 = 0x5711;

/// A series and what is known of it.
pub struct Case {
    pub noisy: Array3<Complex32>,
    pub clean: Array3<Complex32>,
    pub noisy_still: Array3<Complex32>,
    pub clean_still: Array3<Complex32>,
    pub times_ms: Vec<f64>,
    /// Images that a T1 map is made of, from the first on.
    pub n_fitted: usize,
    pub reference: usize,
    pub is_still: bool,
    /// `[frame, 2, y, x]`.
    pub truth: Array4<f32>,
    pub myocardium: Array2<bool>,
    /// Wall and both blood pools.
    pub heart: Array2<bool>,
    /// Of the wall in the reference.
    pub signal_to_noise: f64,
}

/// Makes them.
pub struct Cases {
    sets: Vec<[SeriesDataset; 4]>,
    still: Vec<SeriesDataset>,
}

impl Cases {
    pub fn new(seed: u64, motion: f64) -> Result<Self> {
        if !(0.01..=3.0).contains(&motion) {
            bail!("--motion is {motion}: it must lie between 0.01 and 3");
        }
        let usual = ImageOptions::default().signal_to_noise;
        let mut sets = Vec::new();
        let mut still = Vec::new();
        for scheme in SCHEMES {
            sets.push([
                set(scheme, seed, motion, usual)?,
                set(scheme, seed, motion, NO_NOISE)?,
                set(scheme, seed, 0.0, usual)?,
                set(scheme, seed, 0.0, NO_NOISE)?,
            ]);
            still.push(set(scheme, seed ^ STILL_SEED, 0.0, STILL_SNR)?);
        }
        Ok(Self { sets, still })
    }

    pub fn case(&self, index: u64) -> Result<Case> {
        let place = (index % SCHEMES.len() as u64) as usize;
        let [noisy, clean, noisy_still, clean_still] = &self.sets[place];
        let mut case = read(noisy, index, place)?;
        case.clean = read(clean, index, place)?.noisy;
        case.noisy_still = read(noisy_still, index, place)?.noisy;
        case.clean_still = read(clean_still, index, place)?.noisy;
        case.signal_to_noise *= case.wall_signal();
        Ok(case)
    }

    /// A series that does not move, at SNR 20.
    pub fn still(&self, index: u64) -> Result<Case> {
        let place = (index % SCHEMES.len() as u64) as usize;
        read(&self.still[place], index, place)
    }
}

impl Case {
    fn wall_signal(&self) -> f64 {
        let mut signals: Vec<f32> = self
            .myocardium
            .indexed_iter()
            .filter(|(_, is_wall)| **is_wall)
            .map(|((y, x), _)| self.clean_still[[self.reference, y, x]].norm())
            .collect();
        signals.sort_by(f32::total_cmp);
        signals.get(signals.len() / 2).copied().map_or(0.0, f64::from)
    }
}

fn set(scheme: &str, seed: u64, motion: f64, snr: [f64; 2]) -> Result<SeriesDataset> {
    let scheme: MolliScheme =
        scheme.parse().map_err(|error| anyhow::anyhow!("scheme {scheme}: {error}"))?;
    let protocol = Protocol::Molli(MolliSeries { scheme, ..MolliSeries::default() });
    let options = SeriesOptions {
        images: ImageOptions {
            seed,
            content: ImageContent::Complex,
            signal_to_noise: snr,
            anatomy: RandomOptions {
                field_strengths: vec![FieldStrength::Medium, FieldStrength::High],
                ..RandomOptions::default()
            },
            ..ImageOptions::default()
        },
        motion: MotionOptions { strength: motion, ..MotionOptions::default() },
        ..SeriesOptions::default()
    };
    Ok(SeriesDataset::new(protocol, options)?)
}

fn read(set: &SeriesDataset, index: u64, place: usize) -> Result<Case> {
    let arrays = set.arrays();
    let values = set.group(index)?;
    let find = |name: &str| {
        let at = arrays.iter().position(|array| array.name == name);
        let at = at.with_context(|| format!("the set has no {name}"))?;
        Ok::<_, anyhow::Error>((&arrays[at].shape, &values[at]))
    };
    let floats = |name: &str| match find(name)? {
        (_, Values::F32(values)) => Ok(values.clone()),
        _ => bail!("{name} is not in single precision"),
    };
    let mask = |name: &str| match find(name)? {
        (shape, Values::Bool(values)) => {
            Ok(Array2::from_shape_vec((shape[0], shape[1]), values.clone())?)
        }
        _ => bail!("{name} is no mask"),
    };
    let (shape, Values::Complex32(pixels)) = find("images")? else {
        bail!("images are not complex")
    };
    let (n_frames, n_y, n_x) = (shape[0], shape[1], shape[2]);
    let noisy = Array3::from_shape_vec((n_frames, n_y, n_x), pixels.clone())?;
    let field = floats("displacement_field_px")?;
    let times_ms: Vec<f64> = floats("inversion_time_ms")?.into_iter().map(f64::from).collect();
    let (_, Values::U16(reference)) = find("reference_frame")? else {
        bail!("the reference is no index")
    };
    let (_, Values::Bool(is_still)) = find("is_still")? else { bail!("is_still is no flag") };
    let noise_sd = floats("noise_sd")?;
    let myocardium = mask("myocardium_mask")?;
    let heart = &(&myocardium | &mask("left_blood_mask")?) | &mask("right_blood_mask")?;
    let empty = || Array3::zeros((0, 0, 0));
    Ok(Case {
        noisy,
        clean: empty(),
        noisy_still: empty(),
        clean_still: empty(),
        n_fitted: if place == 2 { SHMOLLI_FITTED } else { n_frames },
        times_ms,
        reference: reference.first().copied().map_or(0, usize::from),
        is_still: is_still.first().copied().unwrap_or(false),
        truth: Array4::from_shape_vec((n_frames, 2, n_y, n_x), field)?,
        myocardium,
        heart,
        signal_to_noise: noise_sd.first().map_or(0.0, |sd| 1.0 / f64::from(*sd)),
    })
}
