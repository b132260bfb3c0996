//! What a transmitter does not do as it was told.

use num_complex::Complex64;

use super::block::{Block, SignalModel};
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

/// [`super::echoes`] of a scanner with imperfections.
///
/// # Panics
/// If the weights of the slice add up to nothing, or as [`super::echoes`] does.
pub fn imperfect_echoes(
    model: SignalModel,
    blocks: &[Block],
    tissue: &Tissue,
    imperfections: &Imperfections,
) -> Vec<Complex64> {
    let whole: f64 = imperfections.slice_profile.iter().map(|part| part.weight).sum();
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
