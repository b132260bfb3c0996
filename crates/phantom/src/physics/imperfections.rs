//! What a transmitter does not do as it was told.

use num_complex::Complex64;

use super::block::{Block, SignalModel};
use super::check::{OutOfRange, within};
use super::magnetization::Magnetization;
use crate::tissue::Tissue;

/// How the angles of pulses differ from what the blocks say. Preparations are adiabatic: their
/// faults are in their blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Imperfections {
    /// Angle of every pulse over its nominal one: the transmit field.
    pub b1_scale: f64,
    /// The slice as parts of different angle, whose signals are averaged by weight. One part
    /// of scale 1 is a perfect slice.
    pub slice_profile: Vec<SliceSample>,
}

/// A part of the thickness of a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceSample {
    /// How much of the slice it is; only the ratios matter.
    pub weight: f64,
    /// Its angle over that of the pulse.
    pub angle_scale: f64,
}

impl Default for Imperfections {
    /// None.
    fn default() -> Self {
        Self { b1_scale: 1.0, slice_profile: vec![SliceSample { weight: 1.0, angle_scale: 1.0 }] }
    }
}

impl Imperfections {
    /// Whether a scanner could be like that.
    ///
    /// # Errors
    /// [`OutOfRange`] for an angle of no sense, or weights that are negative or add up to 0.
    pub fn check(&self) -> Result<(), OutOfRange> {
        within("b1_scale", self.b1_scale, 0.0, 10.0)?;
        for part in &self.slice_profile {
            within("weight", part.weight, 0.0, f64::MAX)?;
            within("angle_scale", part.angle_scale, -10.0, 10.0)?;
        }
        within("sum of the weights", self.weight(), f64::MIN_POSITIVE, f64::MAX)
    }

    fn weight(&self) -> f64 {
        self.slice_profile.iter().map(|part| part.weight).sum()
    }
}

/// [`super::echoes`] of a scanner with imperfections.
///
/// * `blocks`: as [`super::check`] lets them pass.
/// * `imperfections`: as [`Imperfections::check`] lets them pass.
///
/// # Panics
/// If the weights of the slice add up to nothing.
pub fn imperfect_echoes(
    model: SignalModel,
    blocks: &[Block],
    tissue: &Tissue,
    imperfections: &Imperfections,
) -> Vec<Complex64> {
    let whole = imperfections.weight();
    assert!(whole > 0.0, "a slice whose parts weigh {whole}");
    let mut sum = vec![Complex64::ZERO; blocks.iter().map(Block::n_echoes).sum()];
    let mut echoes = Vec::with_capacity(sum.len());
    for part in &imperfections.slice_profile {
        echoes.clear();
        let mut magnetization = Magnetization::equilibrium(model, tissue)
            .with_angle_scale(imperfections.b1_scale * part.angle_scale);
        blocks.iter().for_each(|block| magnetization.play(block, &mut echoes));
        let share = part.weight / whole;
        sum.iter_mut().zip(&echoes).for_each(|(sum, echo)| *sum += echo * share);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::{SpoiledTrain, Spoiling, echoes};

    const MODELS: [SignalModel; 3] =
        [SignalModel::ClosedForm, SignalModel::Bloch, SignalModel::Epg];

    fn train(flip_angle_deg: f64) -> Block {
        Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: vec![flip_angle_deg; 20],
            repetition_time_ms: 5.0,
            echo_times_ms: vec![2.0],
            spoiling: Spoiling::Gradient,
            n_dummies: 0,
        })
    }

    fn blood() -> Tissue {
        Tissue {
            t1_ms: 1600.0,
            t2_ms: 240.0,
            t2_star_ms: 120.0,
            proton_density: 0.9,
            off_resonance_hz: 12.0,
            ecv_percent: None,
        }
    }

    #[test]
    fn without_imperfections_echoes_are_what_they_were() {
        for model in MODELS {
            let blocks = [Block::Inversion { factor: 1.0 }, train(20.0)];
            let perfect = imperfect_echoes(model, &blocks, &blood(), &Imperfections::default());
            assert_eq!(perfect, echoes(model, &blocks, &blood()));
        }
    }

    #[test]
    fn a_stronger_field_is_a_larger_angle() {
        let imperfections = Imperfections { b1_scale: 1.25, ..Imperfections::default() };
        for model in MODELS {
            let stronger = imperfect_echoes(model, &[train(20.0)], &blood(), &imperfections);
            for (a, b) in stronger.iter().zip(echoes(model, &[train(25.0)], &blood())) {
                assert!((a - b).norm() < 1e-14);
            }
        }
    }

    #[test]
    fn impossible_scanners_are_refused() {
        let part = |weight, angle_scale| SliceSample { weight, angle_scale };
        let of = |b1_scale, slice_profile| Imperfections { b1_scale, slice_profile };
        assert_eq!(of(0.9, vec![part(1.0, 1.0), part(0.0, 0.2)]).check(), Ok(()));
        for impossible in [
            of(f64::NAN, vec![part(1.0, 1.0)]),
            of(1.0, vec![]),
            of(1.0, vec![part(0.0, 1.0)]),
            of(1.0, vec![part(2.0, 1.0), part(-1.0, 1.0)]),
            of(1.0, vec![part(1.0, f64::INFINITY)]),
        ] {
            assert!(impossible.check().is_err(), "{impossible:?}");
        }
    }

    #[test]
    fn a_slice_is_the_weighted_mean_of_its_parts() {
        let part = |weight, angle_scale| SliceSample { weight, angle_scale };
        let slice_profile = vec![part(3.0, 1.0), part(1.0, 0.5)];
        let imperfections = Imperfections { b1_scale: 1.0, slice_profile };
        for model in MODELS {
            let slice = imperfect_echoes(model, &[train(20.0)], &blood(), &imperfections);
            let [whole, half] = [20.0, 10.0].map(|deg| echoes(model, &[train(deg)], &blood()));
            for ((slice, whole), half) in slice.iter().zip(whole).zip(half) {
                assert!((slice - (whole * 0.75 + half * 0.25)).norm() < 1e-14);
            }
        }
    }
}
