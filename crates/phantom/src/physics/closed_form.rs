//! Blocks as formulas.
//!
//! Every block turns Mz before it into `factor`·Mz + `offset` after it, and its echoes are of
//! that form too. The higher orders that a gradient-spoiled train leaves (see [`numerics::epg`])
//! are multiplied by `factor`, so that a second train finds them.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use num_complex::Complex64;
use numerics::bloch::Decay;
use numerics::epg::{RealDecay, RealStates};

use super::block::{BalancedTrain, Block, SpoiledTrain, Spoiling, Startup};
use super::spins::N_ORDERS;
use crate::tissue::Tissue;

/// Longitudinal magnetisation between blocks.
#[derive(Clone, Debug)]
pub(super) struct ClosedForm {
    states: RealStates<f64, 1>,
}

impl ClosedForm {
    pub(super) fn equilibrium() -> Self {
        Self { states: RealStates::equilibrium(1) }
    }

    pub(super) fn longitudinal(&self) -> f64 {
        self.states.longitudinal()[0]
    }

    /// Plays `block` and appends its echoes, without the proton density.
    pub(super) fn play(
        &mut self,
        block: &Block,
        tissue: &Tissue,
        angle_scale: f64,
        echoes: &mut Vec<Complex64>,
    ) {
        let decay_over = |duration_ms| Decay::over(duration_ms, tissue.t1_ms, tissue.t2_ms);
        match block {
            Block::Wait { duration_ms } => self.recover(decay_over(*duration_ms)),
            Block::Inversion { factor } => self.become_affine(-factor, 0.0),
            Block::Saturation { residual } => self.become_affine(*residual, 0.0),
            Block::T2Preparation { echo_time_ms, .. } if *echo_time_ms == 0.0 => {}
            Block::T2Preparation { echo_time_ms, efficiency, offset } => {
                let decay = decay_over(*echo_time_ms);
                self.become_affine(
                    efficiency * decay.transverse,
                    offset * (1.0 - decay.longitudinal),
                );
            }
            Block::BalancedTrain(train) => self.play_balanced(train, tissue, angle_scale, echoes),
            Block::SpoiledTrain(train) => match train.spoiling {
                Spoiling::Ideal => self.play_ideally_spoiled(train, tissue, angle_scale, echoes),
                Spoiling::Gradient => {
                    self.play_gradient_spoiled(train, tissue, angle_scale, echoes);
                }
            },
            Block::SpinEcho { echo_time_ms } => {
                let (excite, refocus) = (FRAC_PI_2 * angle_scale, PI * angle_scale);
                // Crushers leave only what the refocusing pulse turns over: sin²(β/2).
                let refocused =
                    (refocus / 2.0).sin().powi(2) * decay_over(*echo_time_ms).transverse;
                echoes.push((self.longitudinal() * excite.sin() * refocused).into());
                let half = decay_over(echo_time_ms / 2.0);
                self.become_affine(excite.cos(), 0.0);
                self.recover(half);
                self.become_affine(refocus.cos(), 0.0);
                self.recover(half);
            }
            Block::StimulatedEcho { echo_time_ms, mixing_time_ms } => {
                let (sin, cos) = (FRAC_PI_2 * angle_scale).sin_cos();
                let half = decay_over(echo_time_ms / 2.0);
                let mixing = decay_over(*mixing_time_ms);
                let stored = 0.5 * mixing.longitudinal * half.transverse * half.transverse;
                echoes.push((self.longitudinal() * sin.powi(3) * stored).into());
                for decay in [half, mixing, half] {
                    self.become_affine(cos, 0.0);
                    self.recover(decay);
                }
            }
        }
    }

    /// FLASH with perfect spoiling: S = Mz·sin α·exp(−TE/T2*), Mz ← Mz·cos α·E1 + 1 − E1.
    fn play_ideally_spoiled(
        &mut self,
        train: &SpoiledTrain,
        tissue: &Tissue,
        angle_scale: f64,
        echoes: &mut Vec<Complex64>,
    ) {
        let to_echoes = gradient_echoes(train, tissue, tissue.t2_star_ms);
        let decay = Decay::over(train.repetition_time_ms, tissue.t1_ms, tissue.t2_ms);
        let mut factor = 1.0;
        let mut longitudinal = self.longitudinal();
        for (pulse, flip_angle_deg) in train.flip_angles_deg.iter().enumerate() {
            let (sin, cos) = (flip_angle_deg.to_radians() * angle_scale).sin_cos();
            if pulse >= train.n_dummies {
                echoes.extend(to_echoes.iter().map(|to_echo| to_echo * (longitudinal * sin)));
            }
            longitudinal = longitudinal * cos * decay.longitudinal + 1.0 - decay.longitudinal;
            factor *= cos * decay.longitudinal;
        }
        self.become_value(factor, longitudinal);
    }

    fn play_gradient_spoiled(
        &mut self,
        train: &SpoiledTrain,
        tissue: &Tissue,
        angle_scale: f64,
        echoes: &mut Vec<Complex64>,
    ) {
        // A gradient of whole turns makes off-resonance a mere phase: only what is rephased,
        // off-resonance included, is seen at the next pulse.
        let to_echoes = gradient_echoes(train, tissue, tissue.t2_ms);
        let (t1_ms, t2_ms) = ([tissue.t1_ms], [tissue.t2_ms]);
        let to_pulse = RealDecay::over(0.0, &t1_ms, &t2_ms);
        let whole = RealDecay::over(train.repetition_time_ms, &t1_ms, &t2_ms);
        self.states.extend(N_ORDERS);
        for (pulse, flip_angle_deg) in train.flip_angles_deg.iter().enumerate() {
            let flip_rad = flip_angle_deg.to_radians() * angle_scale;
            let [transverse] = self.states.repeat(flip_rad, &to_pulse, &whole);
            if pulse >= train.n_dummies {
                echoes.extend(to_echoes.iter().map(|to_echo| to_echo * transverse));
            }
        }
        self.states.spoil();
    }

    /// The transient of a balanced train (Scheffler 2003): the magnetisation lies half an angle
    /// from z, on alternating sides, and its length goes to that of the steady state by
    /// λ = E1·cos²(α/2) + E2·sin²(α/2) per repetition.
    ///
    /// A ramp is taken the same way: after its pulse k of n the magnetisation lies k/n of half
    /// an angle from z. What relaxes between the half angle of [`Startup::HalfAngle`] and the
    /// first pulse is left out, and so is what relaxes after the last echo: Mz there is
    /// S/tan(α/2). The error is of the order of TR/T2 of the signal: with TR 2.7 ms and T2 from
    /// 40 ms up to 0.013 of the equilibrium in the echoes and 0.016 in Mz after 66 of them.
    fn play_balanced(
        &mut self,
        train: &BalancedTrain,
        tissue: &Tissue,
        angle_scale: f64,
        echoes: &mut Vec<Complex64>,
    ) {
        let flip_rad = train.flip_angle_deg.to_radians() * angle_scale;
        let decay = Decay::over(train.repetition_time_ms, tissue.t1_ms, tissue.t2_ms);
        let mut length = self.longitudinal();
        let mut factor = 1.0;
        if let Startup::Ramp(n_pulses) = train.startup {
            for pulse in 1..=n_pulses {
                let cone = Cone::new(flip_rad * pulse as f64 / n_pulses as f64, decay);
                length = cone.after_repetition(length);
                factor *= cone.lambda;
            }
        }
        let cone = Cone::new(flip_rad, decay);
        // Between two pulses of opposite phase off-resonance is refocused.
        let time_ms = train.echo_time_ms - train.repetition_time_ms / 2.0;
        let (sin, cos) = (flip_rad / 2.0).sin_cos();
        let to_echo = off_resonance(tissue, time_ms) * (-train.echo_time_ms / tissue.t2_ms).exp();
        for echo in 0..train.n_echoes {
            if echo > 0 {
                length = cone.after_repetition(length);
                factor *= cone.lambda;
            }
            echoes.push(to_echo * (sin * length));
        }
        self.become_value(factor * cos, length * cos);
    }

    /// Mz becomes `factor`·Mz + `offset`.
    fn become_affine(&mut self, factor: f64, offset: f64) {
        self.states.prepare(&[factor], &[offset]);
    }

    /// Mz becomes `longitudinal`, of which `factor` of what it was is a part.
    fn become_value(&mut self, factor: f64, longitudinal: f64) {
        self.become_affine(factor, longitudinal - factor * self.longitudinal());
    }

    fn recover(&mut self, decay: Decay) {
        self.become_affine(decay.longitudinal, 1.0 - decay.longitudinal);
    }
}

/// Magnetisation half of a pulse's angle from z.
struct Cone {
    /// Its length in the steady state.
    steady_length: f64,
    /// What remains per repetition of the difference from it.
    lambda: f64,
}

impl Cone {
    fn new(flip_rad: f64, decay: Decay) -> Self {
        let Decay { longitudinal: e1, transverse: e2 } = decay;
        let (sin, cos) = (flip_rad / 2.0).sin_cos();
        // S_ss = sin α·(1 − E1)/(1 − (E1 − E2)·cos α − E1·E2) over sin(α/2): finite at α = 0.
        let divisor = 1.0 - (e1 - e2) * flip_rad.cos() - e1 * e2;
        Self {
            steady_length: 2.0 * cos * (1.0 - e1) / divisor,
            lambda: e1 * cos * cos + e2 * sin * sin,
        }
    }

    fn after_repetition(&self, length: f64) -> f64 {
        self.steady_length + (length - self.steady_length) * self.lambda
    }
}

/// What is left at each echo of the transverse magnetisation right after a pulse.
fn gradient_echoes(train: &SpoiledTrain, tissue: &Tissue, transverse_ms: f64) -> Vec<Complex64> {
    let at = |echo_time_ms: &f64| {
        off_resonance(tissue, *echo_time_ms) * (-echo_time_ms / transverse_ms).exp()
    };
    train.echo_times_ms.iter().map(at).collect()
}

/// What a tissue's resonance makes of transverse magnetisation in some time.
fn off_resonance(tissue: &Tissue, time_ms: f64) -> Complex64 {
    Complex64::cis(TAU * tissue.off_resonance_hz * time_ms / 1000.0)
}
