//! Options of pictures, motion and rhythm that kinds of sets share.

use clap::{Args, ValueEnum};
use phantom::{
    FieldStrength, ImageContent, ImageOptions, MotionOptions, PixelGrid, RandomOptions,
    RandomRhythm, Route,
};

use super::super::setup::{field_of_view, matrix};

/// What pictures are.
#[derive(Args)]
#[command(next_help_heading = "Pictures")]
pub struct PictureOptions {
    /// Pixels of the image: N or XxY [default: 192x160; 128 for dti]
    #[arg(long, value_name = "N|XxY", value_parser = matrix)]
    matrix: Option<[usize; 2]>,
    /// Field of view in mm: F or XxY; it holds a whole chest [default: 360x300; 360 for dti]
    #[arg(long, value_name = "F|XxY", value_parser = field_of_view)]
    field_of_view_mm: Option<[f64; 2]>,
    /// What a pixel holds [default: real; magnitude for segmentation and dti]
    #[arg(long, value_enum)]
    pixels: Option<Pixels>,
    /// Complex pixels: short for --pixels complex
    #[arg(long, conflicts_with = "pixels")]
    complex: bool,
    /// Signal of the myocardium in the reference image over the noise: R or LEAST,MOST
    /// [default: 10,60; 5,30 for dti]
    #[arg(long, value_name = "R|L,M", value_parser = range)]
    snr: Option<[f64; 2]>,
    /// Scanners: one of these for each case
    #[arg(long, value_delimiter = ',', default_value = "0.55,1.5,3", value_parser = field_strength, value_name = "T,...")]
    field_strengths: Vec<FieldStrength>,
    /// Share of cases after contrast agent
    #[arg(long, default_value_t = 0.25, value_name = "SHARE")]
    contrast_share: f64,
    /// Share of cases with left and right exchanged
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    mirrored_share: f64,
    /// Share of cases with a wall of 16 to 24 mm
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    thick_wall_share: f64,
    /// Make each image by way of its exact k-space
    #[arg(long)]
    through_k_space: bool,
    /// Receive channels, combined by their known sensitivities
    #[arg(long, default_value_t = 1, requires = "through_k_space", value_name = "C")]
    channels: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pixels {
    /// Signed, without the object's phase
    Real,
    Magnitude,
    Complex,
}

/// How hearts move from image to image.
#[derive(Args)]
#[command(next_help_heading = "Motion")]
pub struct SeriesMotionOptions {
    /// What all motion is multiplied by, 0 to 3
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    motion: f64,
    /// Share of series without motion
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    still_share: f64,
    /// Standard deviation of an image's shift along each axis in mm
    #[arg(long, default_value_t = 4.0, value_name = "MM")]
    shift_sd_mm: f64,
    /// Share of moving series with one drift or jump
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    drift_share: f64,
    /// Share of moving series that a smooth field deforms as well
    #[arg(long, default_value_t = 0.25, value_name = "SHARE")]
    elastic_share: f64,
    /// Largest displacement of this field's control points in mm
    #[arg(long, default_value_t = 4.0, value_name = "MM")]
    elastic_mm: f64,
    /// Mean interval of R waves in ms: MS or LEAST,MOST
    #[arg(long, default_value = "600,1200", value_name = "MS|L,M", value_parser = range)]
    rr_interval_ms: [f64; 2],
    /// Largest standard deviation of the intervals over their mean
    #[arg(long, default_value_t = 0.1, value_name = "PART")]
    rr_variability: f64,
}

impl PictureOptions {
    /// The library's options.
    ///
    /// * `default`: of the kind of set.
    pub fn images(&self, default: ImageOptions, seed: u64) -> ImageOptions {
        let content = match self.pixels {
            Some(Pixels::Real) => ImageContent::Real,
            Some(Pixels::Magnitude) => ImageContent::Magnitude,
            Some(Pixels::Complex) => ImageContent::Complex,
            None if self.complex => ImageContent::Complex,
            None => default.content,
        };
        let n_channels = self.channels;
        ImageOptions {
            seed,
            grid: PixelGrid {
                matrix_size: self.matrix.unwrap_or(default.grid.matrix_size),
                field_of_view_mm: self.field_of_view_mm.unwrap_or(default.grid.field_of_view_mm),
            },
            anatomy: RandomOptions {
                field_strengths: self.field_strengths.clone(),
                contrast_probability: self.contrast_share,
                mirror_probability: self.mirrored_share,
                thick_wall_probability: self.thick_wall_share,
                ..default.anatomy
            },
            content,
            signal_to_noise: self.snr.unwrap_or(default.signal_to_noise),
            route: if self.through_k_space {
                Route::KSpace { n_channels }
            } else {
                Route::ShortCut
            },
            ..default
        }
    }
}

impl SeriesMotionOptions {
    /// The library's options.
    pub fn motion(&self) -> MotionOptions {
        MotionOptions {
            strength: self.motion,
            still_share: self.still_share,
            shift_sd_mm: self.shift_sd_mm,
            drift_share: self.drift_share,
            elastic_share: self.elastic_share,
            elastic_mm: self.elastic_mm,
            ..MotionOptions::default()
        }
    }

    /// The library's options.
    pub fn rhythm(&self) -> RandomRhythm {
        RandomRhythm { rr_interval_ms: self.rr_interval_ms, max_variability: self.rr_variability }
    }
}

/// `A,B`, or `A` for both ends.
pub fn range(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| {
        let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
        if value.is_finite() { Ok(value) } else { Err(format!("{text:?} is no number")) }
    };
    match text.split_once(',') {
        Some((low, high)) => Ok([number(low)?, number(high)?]),
        None => Ok([number(text)?; 2]),
    }
}

fn field_strength(text: &str) -> Result<FieldStrength, String> {
    let tesla: Option<f64> = text.trim().parse().ok();
    FieldStrength::ALL
        .into_iter()
        .find(|strength| tesla == Some(strength.tesla()))
        .ok_or_else(|| format!("no tissues are known at {text:?} T: choose 0.55, 1.5 or 3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_one_number_or_two() {
        assert_eq!(range("0.9, 1"), Ok([0.9, 1.0]));
        assert_eq!(range("5"), Ok([5.0; 2]));
        assert!(range("5,").is_err() && range("nan").is_err() && range("1,2,3").is_err());
    }
}
