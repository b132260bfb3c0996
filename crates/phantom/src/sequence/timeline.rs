//! Blocks put on the axis of time.

use num_complex::Complex64;

use crate::physics::{self, Block, SignalModel, imperfect_echoes};
use crate::scan::{Body, Setup, SetupError};

/// Shorter pauses than this come from rounding.
const ROUNDING_MS: f64 = 1e-6;

/// The blocks of a measurement, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    blocks: Vec<Block>,
    now_ms: f64,
    n_echoes: usize,
}

impl Timeline {
    /// A timeline whose magnetisation is in equilibrium at `start_ms`.
    pub fn starting_at(start_ms: f64) -> Self {
        Self { now_ms: start_ms, ..Self::default() }
    }

    /// When the last block ends.
    pub fn now_ms(&self) -> f64 {
        self.now_ms
    }

    /// Waits until a moment.
    ///
    /// # Errors
    /// [`SetupError::DoesNotFit`] if it is over already.
    pub fn wait_until(&mut self, what: &'static str, at_ms: f64) -> Result<(), SetupError> {
        let duration_ms = at_ms - self.now_ms;
        if duration_ms < -ROUNDING_MS {
            return Err(SetupError::DoesNotFit { what, missing_ms: -duration_ms });
        }
        if duration_ms > 0.0 {
            self.blocks.push(Block::Wait { duration_ms });
            self.now_ms = at_ms;
        }
        Ok(())
    }

    /// Adds a block and gives the index of its first echo.
    pub fn play(&mut self, block: Block) -> usize {
        let first_echo = self.n_echoes;
        self.n_echoes += block.n_echoes();
        self.now_ms += block.duration_ms();
        self.blocks.push(block);
        first_echo
    }

    /// [`Timeline::echoes`] of a steady state, which is made by its pulses: the ideal model
    /// knows none.
    pub fn steady_echoes(
        &self,
        setup: &Setup,
        body: &Body,
    ) -> Result<Vec<Vec<Complex64>>, SetupError> {
        let model = match setup.signal_model {
            SignalModel::Ideal => SignalModel::ClosedForm,
            other => other,
        };
        self.echoes_by(model, setup, body)
    }

    /// All echoes of all regions: `[region][echo]`. A picture's are 1.
    ///
    /// # Errors
    /// [`SetupError::Timeline`] for impossible blocks.
    pub fn echoes(&self, setup: &Setup, body: &Body) -> Result<Vec<Vec<Complex64>>, SetupError> {
        self.echoes_by(setup.signal_model, setup, body)
    }

    fn echoes_by(
        &self,
        model: SignalModel,
        setup: &Setup,
        body: &Body,
    ) -> Result<Vec<Vec<Complex64>>, SetupError> {
        physics::check(&self.blocks)?;
        Ok(match body {
            Body::Picture(_) => vec![vec![Complex64::ONE; self.n_echoes]],
            Body::Anatomy(anatomy) => {
                // Regions often share their tissue.
                let mut known: Vec<(crate::Tissue, Vec<Complex64>)> = Vec::new();
                anatomy
                    .regions
                    .iter()
                    .map(|region| {
                        let same = known.iter().find(|(tissue, _)| *tissue == region.tissue);
                        if let Some((_, echoes)) = same {
                            return echoes.clone();
                        }
                        let (tissue, faults) = (&region.tissue, &setup.imperfections);
                        let echoes = imperfect_echoes(model, &self.blocks, tissue, faults);
                        known.push((region.tissue, echoes.clone()));
                        echoes
                    })
                    .collect()
            }
        })
    }
}
