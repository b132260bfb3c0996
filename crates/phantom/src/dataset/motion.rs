//! How the heart lies in the images of a series.

use super::draw::Draw;
use super::elastic::Elastic;
use super::error::{DatasetError, check, check_range};
use crate::anatomy::Anatomy;
use crate::motion::Pose;
use crate::raster::PixelGrid;

/// Shifts beyond this are drawn in, mm.
const MAX_SHIFT_MM: f64 = 15.0;

/// How the heart moves from image to image. The image that others are registered to is in the
/// reference pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionOptions {
    /// What all distances, turns and changes of size are multiplied by, 0 to 3.
    pub strength: f64,
    /// Share of series without any motion.
    pub still_share: f64,
    /// Standard deviation of an image's shift along each axis, mm; shifts end at 15 mm.
    pub shift_sd_mm: f64,
    /// Share of moving series with one drift or one jump on top.
    pub drift_share: f64,
    /// Smallest and largest length of a drift or jump, mm.
    pub drift_mm: [f64; 2],
    /// Largest turn of an image to either side.
    pub max_rotation_rad: f64,
    /// Largest relative change of the blood pool's radius, either way: an image at another
    /// moment of the beat.
    pub max_radial_change: f64,
    /// Share of moving series whose images but the reference are deformed by a smooth field of
    /// their own as well.
    pub elastic_share: f64,
    /// Largest displacement of this field's control points along each axis, mm.
    pub elastic_mm: f64,
    /// Smallest and largest distance of its control points, mm.
    pub elastic_spacing_mm: [f64; 2],
}

impl Default for MotionOptions {
    fn default() -> Self {
        Self {
            strength: 1.0,
            still_share: 0.2,
            shift_sd_mm: 4.0,
            drift_share: 0.5,
            drift_mm: [2.0, 12.0],
            max_rotation_rad: 3.0_f64.to_radians(),
            max_radial_change: 0.1,
            elastic_share: 0.25,
            elastic_mm: 4.0,
            elastic_spacing_mm: [20.0, 40.0],
        }
    }
}

/// What is on top of the shifts of single images.
#[derive(Clone, Copy, Debug)]
enum Trend {
    None,
    /// So far from the first to the last image \[x, y\].
    Drift([f64; 2]),
    /// So far from this part of the series on.
    Jump([f64; 2], f64),
}

/// The motion of a series.
#[derive(Clone, Debug)]
pub(super) struct SeriesMotion {
    /// No image differs from another in the place of anything.
    pub is_still: bool,
    /// Of each image.
    pub poses: Vec<Pose>,
    /// Of each image: what deforms it after its pose.
    pub elastic: Vec<Option<Elastic>>,
}

impl MotionOptions {
    /// Whether series can be drawn.
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        check("the strength of motion", self.strength, 0.0, 3.0)?;
        check("the share of still series", self.still_share, 0.0, 1.0)?;
        check("the standard deviation of shifts in mm", self.shift_sd_mm, 0.0, MAX_SHIFT_MM)?;
        check("the share of drifting series", self.drift_share, 0.0, 1.0)?;
        check_range("the length of drifts in mm", self.drift_mm, 0.0, 2.0 * MAX_SHIFT_MM)?;
        check("the largest turn in rad", self.max_rotation_rad, 0.0, 0.5)?;
        check("the largest change of the radius", self.max_radial_change, 0.0, 0.3)?;
        check("the share of deformed series", self.elastic_share, 0.0, 1.0)?;
        check("the largest deformation in mm", self.elastic_mm, 0.0, MAX_SHIFT_MM)?;
        check_range("the spacing of deformations in mm", self.elastic_spacing_mm, 10.0, 200.0)
    }

    /// Draws the motion of a series.
    ///
    /// * `times_ms`: when each image is taken.
    /// * `reference`: the image that stays in the reference pose.
    ///
    /// Poses that the anatomy does not allow are drawn back towards the reference.
    pub(super) fn draw(
        &self,
        draw: &mut Draw,
        anatomy: &Anatomy,
        grid: PixelGrid,
        times_ms: &[f64],
        reference: usize,
    ) -> SeriesMotion {
        let n_frames = times_ms.len();
        let is_still = draw.happens(self.still_share) || self.strength == 0.0;
        if is_still {
            let poses = vec![Pose::default(); n_frames];
            return SeriesMotion { is_still, poses, elastic: vec![None; n_frames] };
        }
        let trend = self.trend(draw);
        let duration_ms = times_ms.last().map_or(0.0, |last| last - times_ms[0]);
        let part = |frame: usize| (times_ms[frame] - times_ms[0]) / duration_ms.max(1.0);
        let origin_mm = trend.shift_mm(part(reference));
        let is_elastic = draw.happens(self.elastic_share) && self.elastic_mm > 0.0;
        let spacing_mm = draw.between(self.elastic_spacing_mm);
        let mut motion = SeriesMotion { is_still, poses: Vec::new(), elastic: Vec::new() };
        for frame in 0..n_frames {
            let trend_mm = trend.shift_mm(part(frame));
            let shift_mm = [0, 1].map(|axis| {
                trend_mm[axis] - origin_mm[axis] + self.strength * self.shift_sd_mm * draw.normal()
            });
            let length_mm = shift_mm[0].hypot(shift_mm[1]);
            let kept = (MAX_SHIFT_MM / length_mm.max(MAX_SHIFT_MM)).min(1.0);
            let to_either_side = |largest: f64| [-largest * self.strength, largest * self.strength];
            let pose = Pose {
                shift_mm: shift_mm.map(|shift| kept * shift),
                rotation_rad: draw.between(to_either_side(self.max_rotation_rad)),
                endocardial_scale: 1.0 + draw.between(to_either_side(self.max_radial_change)),
            };
            let amplitude_mm = self.strength * self.elastic_mm * draw.between([0.25, 1.0]);
            if frame == reference {
                motion.poses.push(Pose::default());
                motion.elastic.push(None);
            } else {
                motion.poses.push(anatomy.nearest_allowed(&pose));
                motion
                    .elastic
                    .push(is_elastic.then(|| Elastic::draw(draw, grid, amplitude_mm, spacing_mm)));
            }
        }
        motion
    }

    fn trend(&self, draw: &mut Draw) -> Trend {
        let length_mm = self.strength * draw.between(self.drift_mm);
        let (sin, cos) = draw.between([0.0, std::f64::consts::TAU]).sin_cos();
        let shift_mm = [length_mm * cos, length_mm * sin];
        if !draw.happens(self.drift_share) {
            Trend::None
        } else if draw.happens(0.5) {
            Trend::Drift(shift_mm)
        } else {
            Trend::Jump(shift_mm, draw.between([0.1, 0.9]))
        }
    }
}

impl Trend {
    fn shift_mm(self, part: f64) -> [f64; 2] {
        match self {
            Self::None => [0.0; 2],
            Self::Drift(shift_mm) => shift_mm.map(|shift| part * shift),
            Self::Jump(shift_mm, at) if part >= at => shift_mm,
            Self::Jump(..) => [0.0; 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::{RandomOptions, random_anatomy};

    const GRID: PixelGrid = PixelGrid { matrix_size: [96, 80], field_of_view_mm: [360.0, 300.0] };

    fn motions(options: &MotionOptions, n: u64) -> Vec<SeriesMotion> {
        let anatomy = random_anatomy(1, 0, &RandomOptions::default()).expect("options").anatomy;
        let times_ms: Vec<f64> = (0..11).map(|frame| 1000.0 * f64::from(frame)).collect();
        (0..n)
            .map(|index| {
                let mut draw = Draw::new(2, b"motion..", index);
                options.draw(&mut draw, &anatomy, GRID, &times_ms, 10)
            })
            .collect()
    }

    #[test]
    fn as_many_series_are_still_deformed_and_shifted_as_asked_for() {
        let drawn = motions(&MotionOptions::default(), 400);
        let share = |holds: fn(&SeriesMotion) -> bool| {
            drawn.iter().filter(|one| holds(one)).count() as f64 / drawn.len() as f64
        };
        // Standard errors of 400 draws: 0.02.
        let still = share(|one| one.is_still);
        assert!((still - 0.2).abs() < 0.07, "{still}");
        let elastic = share(|one| one.elastic[0].is_some());
        assert!((elastic - 0.2).abs() < 0.07, "{elastic}");
        for one in &drawn {
            assert_eq!(one.poses[10], Pose::default());
            assert!(one.elastic[10].is_none());
            assert_eq!(one.is_still, one.poses.iter().all(|pose| *pose == Pose::default()));
        }
        let without_trend = MotionOptions { drift_share: 0.0, ..MotionOptions::default() };
        let shifts: Vec<f64> = motions(&without_trend, 100)
            .iter()
            .filter(|one| !one.is_still)
            .flat_map(|one| one.poses[..10].iter().flat_map(|pose| pose.shift_mm))
            .collect();
        let square = shifts.iter().map(|shift| shift * shift).sum::<f64>() / shifts.len() as f64;
        // 1600 shifts: 1.8 %; some of them are drawn in.
        assert!((square.sqrt() - 4.0).abs() < 0.3, "{}", square.sqrt());
        assert!(drawn.iter().flat_map(|one| &one.poses).all(|pose| {
            pose.shift_mm[0].hypot(pose.shift_mm[1]) < MAX_SHIFT_MM + 1e-9
                && pose.rotation_rad.abs() < 0.053
                && (pose.endocardial_scale - 1.0).abs() < 0.1001
        }));
    }

    #[test]
    fn drifts_are_even_and_jumps_are_steps() {
        let options = MotionOptions {
            shift_sd_mm: 0.0,
            drift_share: 1.0,
            still_share: 0.0,
            max_radial_change: 0.0,
            max_rotation_rad: 0.0,
            ..MotionOptions::default()
        };
        let (mut n_drifts, mut n_jumps) = (0, 0);
        for one in motions(&options, 60) {
            let steps: Vec<f64> = one
                .poses
                .windows(2)
                .map(|pair| {
                    let [a, b] = [0, 1].map(|n| pair[n].shift_mm);
                    (b[0] - a[0]).hypot(b[1] - a[1])
                })
                .collect();
            let moving = steps.iter().filter(|step| **step > 1e-9).count();
            match moving {
                10 => n_drifts += 1,
                1 => n_jumps += 1,
                _ => panic!("{steps:?}"),
            }
        }
        assert!(n_drifts > 15 && n_jumps > 15, "{n_drifts} {n_jumps}");
    }
}
