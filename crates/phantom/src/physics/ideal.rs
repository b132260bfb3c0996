//! Signals that fit models exactly: what the textbook says of each preparation, and readouts
//! that only look.

use num_complex::Complex64;
use std::f64::consts::TAU;

use super::block::{Block, SpoiledTrain};
use crate::tissue::Tissue;

/// Longitudinal magnetisation that preparations meet in equilibrium and readouts leave alone.
#[derive(Clone, Debug)]
pub(super) struct Ideal {
    longitudinal: f64,
    /// Whether it waits for a readout as a T2 preparation has left it: models of T2 know no T1.
    is_kept: bool,
    /// Whether a saturation was played since the last readout. Models of both relaxations know what
    /// a T2 preparation meets then, and what recovers after it.
    is_saturated: bool,
}

impl Ideal {
    pub(super) fn equilibrium() -> Self {
        Self { longitudinal: 1.0, is_kept: false, is_saturated: false }
    }

    pub(super) fn longitudinal(&self) -> f64 {
        self.longitudinal
    }

    /// Plays `block` and appends its echoes, without the proton density.
    pub(super) fn play(
        &mut self,
        block: &Block,
        tissue: &Tissue,
        angle_scale: f64,
        echoes: &mut Vec<Complex64>,
    ) {
        let sin = |flip_angle_deg: f64| (angle_scale * flip_angle_deg.to_radians()).sin();
        match block {
            Block::Wait { duration_ms } => self.recover(*duration_ms, tissue),
            Block::Inversion { factor } => self.longitudinal = -factor,
            Block::Saturation { residual } => {
                self.longitudinal = *residual;
                self.is_saturated = true;
            }
            Block::T2Preparation { echo_time_ms, efficiency, offset } if self.is_saturated => {
                self.longitudinal =
                    self.longitudinal * efficiency * (-echo_time_ms / tissue.t2_ms).exp()
                        + offset * (1.0 - (-echo_time_ms / tissue.t1_ms).exp());
            }
            Block::T2Preparation { echo_time_ms, efficiency, offset } => {
                self.longitudinal = if *echo_time_ms == 0.0 {
                    1.0
                } else {
                    efficiency * (-echo_time_ms / tissue.t2_ms).exp()
                        + offset * (1.0 - (-echo_time_ms / tissue.t1_ms).exp())
                };
                self.is_kept = true;
            }
            Block::BalancedTrain(train) => {
                let startup_ms =
                    block.duration_ms() - train.n_echoes as f64 * train.repetition_time_ms;
                self.recover(startup_ms, tissue);
                // Times of preparation are counted to the echo.
                for _ in 0..train.n_echoes {
                    self.recover(train.echo_time_ms, tissue);
                    echoes.push((self.longitudinal * sin(train.flip_angle_deg)).into());
                    self.recover(train.repetition_time_ms - train.echo_time_ms, tissue);
                }
                (self.is_kept, self.is_saturated) = (false, false);
            }
            Block::SpoiledTrain(train) => self.play_spoiled(train, tissue, sin, echoes),
            Block::SpinEcho { echo_time_ms } => {
                echoes.push((self.longitudinal * (-echo_time_ms / tissue.t2_ms).exp()).into());
                self.longitudinal = 1.0;
            }
            Block::StimulatedEcho { echo_time_ms, mixing_time_ms } => {
                let decay = (-echo_time_ms / tissue.t2_ms - mixing_time_ms / tissue.t1_ms).exp();
                echoes.push((0.5 * self.longitudinal * decay).into());
                self.longitudinal = 1.0;
            }
        }
    }

    fn play_spoiled(
        &mut self,
        train: &SpoiledTrain,
        tissue: &Tissue,
        sin: impl Fn(f64) -> f64,
        echoes: &mut Vec<Complex64>,
    ) {
        for (pulse, &flip_angle_deg) in train.flip_angles_deg.iter().enumerate() {
            if pulse >= train.n_dummies {
                echoes.extend(train.echo_times_ms.iter().map(|echo_time_ms| {
                    let turns = tissue.off_resonance_hz * 1e-3 * echo_time_ms;
                    let decay = (-echo_time_ms / tissue.t2_star_ms).exp();
                    Complex64::from_polar(
                        self.longitudinal * sin(flip_angle_deg) * decay,
                        TAU * turns,
                    )
                }));
            }
            self.recover(train.repetition_time_ms, tissue);
        }
        (self.is_kept, self.is_saturated) = (false, false);
    }

    fn recover(&mut self, duration_ms: f64, tissue: &Tissue) {
        if self.is_kept {
            return;
        }
        self.longitudinal = 1.0 - (1.0 - self.longitudinal) * (-duration_ms / tissue.t1_ms).exp();
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{BalancedTrain, SignalModel, Startup};
    use super::super::echoes;
    use super::*;

    const TISSUE: Tissue = Tissue {
        t1_ms: 1000.0,
        t2_ms: 50.0,
        t2_star_ms: 30.0,
        proton_density: 0.8,
        off_resonance_hz: 0.0,
        ecv_percent: None,
    };

    #[test]
    fn inversion_recovery_is_the_model_that_is_fitted() {
        let train = Block::BalancedTrain(BalancedTrain {
            flip_angle_deg: 35.0,
            repetition_time_ms: 2.8,
            echo_time_ms: 1.4,
            n_echoes: 60,
            startup: Startup::Ramp(5),
        });
        let wait = |duration_ms| Block::Wait { duration_ms };
        let blocks =
            [wait(3000.0), Block::Inversion { factor: 0.96 }, wait(100.0), train.clone(), train];
        let echoes = echoes(SignalModel::Ideal, &blocks, &TISSUE);
        for (echo, time_ms) in [(0, 115.4), (59, 115.4 + 59.0 * 2.8), (60, 115.4 + 65.0 * 2.8)] {
            let expected =
                0.8 * 35_f64.to_radians().sin() * (1.0 - 1.96 * f64::exp(-time_ms / 1000.0));
            assert!((echoes[echo].re - expected).abs() < 1e-12, "echo {echo}");
        }
    }
}
