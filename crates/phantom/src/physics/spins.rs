//! Blocks as pulses, relaxation and gradients, for any description of spins that has those.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use num_complex::Complex64;
use numerics::bloch::{Decay, Isochromats};
use numerics::epg;

use super::block::{BalancedTrain, Block, SpoiledTrain, Spoiling, Startup};
use crate::tissue::Tissue;

/// Turns of dephasing that are followed. In the cardiac fingerprinting sequence the error is
/// 1e-5 of the largest echo for T2 up to 300 ms, and 5e-5 for water at T2 2000 ms; 20 would be
/// wrong by 1e-3 for muscle and by 2e-2 for blood.
pub(super) const N_ORDERS: usize = 64;

/// Isochromats that tell the same turns apart, from −64 to 63.
const N_ISOCHROMATS: usize = 2 * N_ORDERS;

/// A description of the spins of a voxel.
pub(super) trait Spins {
    /// Makes room for the turns of dephasing.
    fn expect_gradients(&mut self);
    /// A pulse.
    fn rf(&mut self, flip_rad: f64, phase_rad: f64);
    /// Relaxation.
    fn relax(&mut self, decay: Decay);
    /// Off-resonance.
    fn precess(&mut self, angle_rad: f64);
    /// A gradient of one turn.
    fn dephase(&mut self);
    /// Nothing transverse remains.
    fn spoil(&mut self);
    /// Mz becomes `factor`·Mz + `offset`, and nothing transverse remains.
    fn prepare(&mut self, factor: f64, offset: f64);
    /// Mx + i·My of the voxel.
    fn signal(&self) -> Complex64;
}

impl Spins for Isochromats {
    fn expect_gradients(&mut self) {
        self.multiply(N_ISOCHROMATS);
    }
    fn rf(&mut self, flip_rad: f64, phase_rad: f64) {
        self.rf(flip_rad, phase_rad);
    }
    fn relax(&mut self, decay: Decay) {
        self.relax(decay);
    }
    fn precess(&mut self, angle_rad: f64) {
        self.precess(angle_rad);
    }
    fn dephase(&mut self) {
        self.dephase();
    }
    fn spoil(&mut self) {
        self.spoil();
    }
    fn prepare(&mut self, factor: f64, offset: f64) {
        self.prepare(factor, offset);
    }
    fn signal(&self) -> Complex64 {
        self.signal()
    }
}

impl Spins for epg::States {
    fn expect_gradients(&mut self) {
        self.extend(N_ORDERS);
    }
    fn rf(&mut self, flip_rad: f64, phase_rad: f64) {
        self.rf(flip_rad, phase_rad);
    }
    fn relax(&mut self, decay: Decay) {
        self.relax(decay);
    }
    fn precess(&mut self, angle_rad: f64) {
        self.precess(angle_rad);
    }
    fn dephase(&mut self) {
        self.shift();
    }
    fn spoil(&mut self) {
        self.spoil();
    }
    fn prepare(&mut self, factor: f64, offset: f64) {
        self.prepare(factor, offset);
    }
    fn signal(&self) -> Complex64 {
        self.signal()
    }
}

/// Plays `block` and appends its echoes, without the proton density.
pub(super) fn play(
    spins: &mut impl Spins,
    block: &Block,
    tissue: &Tissue,
    angle_scale: f64,
    echoes: &mut Vec<Complex64>,
) {
    match block {
        Block::Wait { duration_ms } => {
            spins.relax(Decay::over(*duration_ms, tissue.t1_ms, tissue.t2_ms));
        }
        Block::Inversion { factor } => spins.prepare(-factor, 0.0),
        Block::Saturation { residual } => spins.prepare(*residual, 0.0),
        Block::T2Preparation { echo_time_ms, .. } if *echo_time_ms == 0.0 => {}
        Block::T2Preparation { echo_time_ms, efficiency, offset } => {
            let decay = Decay::over(*echo_time_ms, tissue.t1_ms, tissue.t2_ms);
            spins.prepare(efficiency * decay.transverse, offset * (1.0 - decay.longitudinal));
        }
        Block::BalancedTrain(train) => {
            play_balanced(spins, train, tissue, angle_scale, echoes);
        }
        Block::SpoiledTrain(train) => play_spoiled(spins, train, tissue, angle_scale, echoes),
        Block::SpinEcho { echo_time_ms } => {
            let half = Interval::new(echo_time_ms / 2.0, tissue, tissue.t2_ms);
            spins.expect_gradients();
            spins.rf(FRAC_PI_2 * angle_scale, 0.0);
            half.pass(spins);
            spins.dephase();
            // A quarter turn from the first pulse (Meiboom and Gill 1958): the echo has the
            // phase of the excitation.
            spins.rf(PI * angle_scale, FRAC_PI_2);
            spins.dephase();
            half.pass(spins);
            echoes.push(spins.signal() * Complex64::I);
        }
        Block::StimulatedEcho { echo_time_ms, mixing_time_ms } => {
            let half = Interval::new(echo_time_ms / 2.0, tissue, tissue.t2_ms);
            spins.expect_gradients();
            spins.rf(FRAC_PI_2 * angle_scale, 0.0);
            half.pass(spins);
            spins.dephase();
            spins.rf(FRAC_PI_2 * angle_scale, 0.0);
            spins.spoil();
            spins.relax(Decay::over(*mixing_time_ms, tissue.t1_ms, tissue.t2_ms));
            spins.rf(FRAC_PI_2 * angle_scale, 0.0);
            spins.dephase();
            half.pass(spins);
            // Three pulses of one phase give an echo opposite to the excitation.
            echoes.push(spins.signal() * -Complex64::I);
        }
    }
    spins.spoil();
}

fn play_balanced(
    spins: &mut impl Spins,
    train: &BalancedTrain,
    tissue: &Tissue,
    angle_scale: f64,
    echoes: &mut Vec<Complex64>,
) {
    let interval = |duration_ms| Interval::new(duration_ms, tissue, tissue.t2_ms);
    let flip_rad = train.flip_angle_deg.to_radians() * angle_scale;
    let repetition = interval(train.repetition_time_ms);
    let n_before = match train.startup {
        Startup::HalfAngle => {
            spins.rf(flip_rad / 2.0, 0.0);
            interval(train.repetition_time_ms / 2.0).pass(spins);
            1
        }
        Startup::Ramp(n_pulses) => {
            for pulse in 0..n_pulses {
                let share = (pulse as f64 + 0.5) / n_pulses as f64;
                spins.rf(flip_rad * share, alternating_rad(pulse));
                repetition.pass(spins);
            }
            n_pulses
        }
    };
    let to_echo = interval(train.echo_time_ms);
    let from_echo = interval(train.repetition_time_ms - train.echo_time_ms);
    for pulse in n_before..n_before + train.n_echoes {
        let phase_rad = alternating_rad(pulse);
        spins.rf(flip_rad, phase_rad);
        to_echo.pass(spins);
        echoes.push(spins.signal() * receiver(phase_rad));
        from_echo.pass(spins);
    }
}

fn play_spoiled(
    spins: &mut impl Spins,
    train: &SpoiledTrain,
    tissue: &Tissue,
    angle_scale: f64,
    echoes: &mut Vec<Complex64>,
) {
    let transverse_ms = match train.spoiling {
        // Nothing transverse lives on, so the dephasing within the voxel may be written as
        // relaxation.
        Spoiling::Ideal => tissue.t2_star_ms,
        Spoiling::Gradient => {
            spins.expect_gradients();
            tissue.t2_ms
        }
    };
    let mut before_ms = 0.0;
    let mut to_echoes = Vec::with_capacity(train.echo_times_ms.len());
    for echo_time_ms in &train.echo_times_ms {
        to_echoes.push(Interval::new(echo_time_ms - before_ms, tissue, transverse_ms));
        before_ms = *echo_time_ms;
    }
    let to_end = Interval::new(train.repetition_time_ms - before_ms, tissue, transverse_ms);
    for (pulse, flip_angle_deg) in train.flip_angles_deg.iter().enumerate() {
        spins.rf(flip_angle_deg.to_radians() * angle_scale, 0.0);
        for to_echo in &to_echoes {
            to_echo.pass(spins);
            if pulse >= train.n_dummies {
                echoes.push(spins.signal() * receiver(0.0));
            }
        }
        to_end.pass(spins);
        match train.spoiling {
            Spoiling::Ideal => spins.spoil(),
            Spoiling::Gradient => spins.dephase(),
        }
    }
}

/// Free precession for some time.
struct Interval {
    decay: Decay,
    angle_rad: f64,
}

impl Interval {
    fn new(duration_ms: f64, tissue: &Tissue, transverse_ms: f64) -> Self {
        Self {
            decay: Decay::over(duration_ms, tissue.t1_ms, transverse_ms),
            angle_rad: TAU * tissue.off_resonance_hz * duration_ms / 1000.0,
        }
    }

    fn pass(&self, spins: &mut impl Spins) {
        spins.relax(self.decay);
        if self.angle_rad != 0.0 {
            spins.precess(self.angle_rad);
        }
    }
}

/// Phase of pulse `pulse` of a balanced train.
fn alternating_rad(pulse: usize) -> f64 {
    if pulse.is_multiple_of(2) { 0.0 } else { PI }
}

/// What makes the echo after a pulse of `phase_rad` real and positive on resonance.
fn receiver(phase_rad: f64) -> Complex64 {
    Complex64::I * Complex64::cis(-phase_rad)
}
