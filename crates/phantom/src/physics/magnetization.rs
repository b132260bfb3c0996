//! The magnetisation of a tissue on its way through a sequence.

use num_complex::Complex64;
use numerics::bloch::Isochromats;
use numerics::epg;

use super::block::{Block, SignalModel};
use super::closed_form::ClosedForm;
use super::ideal::Ideal;
use super::spins;
use crate::tissue::Tissue;

/// The echoes that the blocks record, in order: the first pulse meets thermal equilibrium.
///
/// * `blocks`: as [`super::check`] lets them pass.
///
/// Returns one complex number per recorded echo, in units of the magnetisation of blood in
/// equilibrium: the tissue's proton density is in it. The cost grows linearly with the number
/// of pulses.
pub fn echoes(model: SignalModel, blocks: &[Block], tissue: &Tissue) -> Vec<Complex64> {
    let mut echoes = Vec::with_capacity(blocks.iter().map(Block::n_echoes).sum());
    let mut magnetization = Magnetization::equilibrium(model, tissue);
    blocks.iter().for_each(|block| magnetization.play(block, &mut echoes));
    echoes
}

/// The magnetisation of a tissue between two blocks.
#[derive(Clone, Debug)]
pub struct Magnetization {
    description: Description,
    tissue: Tissue,
    angle_scale: f64,
}

#[derive(Clone, Debug)]
enum Description {
    Ideal(Ideal),
    ClosedForm(ClosedForm),
    Bloch(Isochromats),
    Epg(epg::States),
}

impl Magnetization {
    /// Thermal equilibrium.
    pub fn equilibrium(model: SignalModel, tissue: &Tissue) -> Self {
        let description = match model {
            SignalModel::Ideal => Description::Ideal(Ideal::equilibrium()),
            SignalModel::ClosedForm => Description::ClosedForm(ClosedForm::equilibrium()),
            SignalModel::Bloch => Description::Bloch(Isochromats::equilibrium(1)),
            SignalModel::Epg => Description::Epg(epg::States::equilibrium(1)),
        };
        Self { description, tissue: *tissue, angle_scale: 1.0 }
    }

    /// The same where all pulses have `angle_scale` times their angle.
    #[must_use]
    pub fn with_angle_scale(self, angle_scale: f64) -> Self {
        Self { angle_scale, ..self }
    }

    /// Plays one block and appends the echoes that it records to `echoes`, as [`echoes`] gives
    /// them.
    pub fn play(&mut self, block: &Block, echoes: &mut Vec<Complex64>) {
        let first = echoes.len();
        match &mut self.description {
            Description::Ideal(it) => it.play(block, &self.tissue, self.angle_scale, echoes),
            Description::ClosedForm(it) => it.play(block, &self.tissue, self.angle_scale, echoes),
            Description::Bloch(it) => {
                spins::play(it, block, &self.tissue, self.angle_scale, echoes)
            }
            Description::Epg(it) => spins::play(it, block, &self.tissue, self.angle_scale, echoes),
        }
        debug_assert_eq!(echoes.len() - first, block.n_echoes(), "{block:?}");
        echoes[first..].iter_mut().for_each(|echo| *echo *= self.tissue.proton_density);
    }

    /// Longitudinal magnetisation of the voxel, 1 in equilibrium.
    pub fn longitudinal(&self) -> f64 {
        match &self.description {
            Description::Ideal(it) => it.longitudinal(),
            Description::ClosedForm(it) => it.longitudinal(),
            Description::Bloch(it) => it.longitudinal(),
            Description::Epg(it) => it.longitudinal(),
        }
    }
}
