//! What tissues answer to a pulse table.

use std::f64::consts::{FRAC_PI_2, PI};

use ndarray::Array2;
use rayon::prelude::*;

use super::pulse_table::{Course, Preparation, Transverse};
use crate::epg::{RealDecay, RealStates};

/// Tissues side by side.
pub(super) const LANES: usize = 16;

/// Turns of dephasing that are followed. With 47 pulses a beat no transverse magnetisation comes
/// back from beyond; 20, as is usual, would be wrong by 1e-3 for muscle and 2e-2 for blood.
const N_ORDERS: usize = 64;

/// Echoes of tissues, in units of the equilibrium magnetisation; the same bit for bit on any
/// number of threads.
///
/// * `tissues_ms`: T1 and T2 of each.
///
/// Returns `[tissue, echo]`: transverse magnetisation along the axis on which an excitation puts
/// it.
///
/// # Method
/// Extended phase graphs in their real form, sixteen tissues side by side, 64 orders.
///
/// # Source
/// Weigel 2015; Hamilton et al. 2017.
pub fn signals(course: &Course, tissues_ms: &[[f64; 2]]) -> Array2<f32> {
    let n_echoes = course.table.n_echoes();
    let mut all = Array2::zeros((tissues_ms.len(), n_echoes));
    let blocks: Vec<_> =
        all.axis_chunks_iter_mut(ndarray::Axis(0), LANES).zip(tissues_ms.chunks(LANES)).collect();
    blocks.into_par_iter().for_each(|(mut rows, tissues)| {
        let echoes = Block::new(course, tissues).echoes();
        for (lane, mut row) in rows.outer_iter_mut().enumerate() {
            row.iter_mut().zip(&echoes).for_each(|(value, echo)| *value = echo[lane]);
        }
    });
    all
}

/// Up to sixteen tissues.
pub(super) struct Block<'a> {
    course: &'a Course,
    t1_ms: [f64; LANES],
    t2_ms: [f64; LANES],
}

type Decay = RealDecay<f32, LANES>;
type States = RealStates<f32, LANES>;

impl<'a> Block<'a> {
    /// Lanes without a tissue repeat the last one.
    pub fn new(course: &'a Course, tissues_ms: &[[f64; 2]]) -> Self {
        let at = |lane: usize| tissues_ms[lane.min(tissues_ms.len() - 1)];
        let t1_ms = std::array::from_fn(|lane| at(lane)[0]);
        let t2_ms = std::array::from_fn(|lane| at(lane)[1]);
        Self { course, t1_ms, t2_ms }
    }

    /// `[echo][tissue]`.
    pub fn echoes(&self) -> Vec<[f32; LANES]> {
        let profile = &self.course.imperfections.slice_profile;
        let mut states = States::equilibrium(N_ORDERS);
        let mut sum = vec![[0.0; LANES]; self.course.table.n_echoes()];
        let weight = 1.0 / profile.len() as f32;
        for share in profile {
            states.reset();
            let scale = (share * self.course.imperfections.b1).to_radians();
            play(self, &mut states, scale, weight, &mut sum);
        }
        sum
    }

    fn over(&self, duration_ms: f64) -> Decay {
        Decay::over(duration_ms, &self.t1_ms, &self.t2_ms)
    }

    fn prepare(&self, states: &mut States, preparation: Preparation) {
        let zeros = [0.0; LANES];
        match (preparation, self.course.table.transverse) {
            (Preparation::None, _) => {}
            (Preparation::Inversion { inversion_time_ms }, transverse) => {
                let factor = self.course.imperfections.inversion_factor;
                match transverse {
                    Transverse::Spoiled => states.prepare(&[-factor as f32; LANES], &zeros),
                    Transverse::Kept => {
                        states.rf(PI);
                        states.scale_longitudinal(factor as f32);
                    }
                }
                states.relax(&self.over(inversion_time_ms));
            }
            (Preparation::T2 { echo_time_ms }, Transverse::Spoiled) => {
                states.prepare(&self.over(echo_time_ms).transverse, &zeros);
            }
            (Preparation::T2 { echo_time_ms }, Transverse::Kept) => {
                let half = self.over(echo_time_ms / 2.0);
                states.rf(FRAC_PI_2);
                states.relax(&half);
                states.refocus();
                states.relax(&half);
                states.rf(-FRAC_PI_2);
                states.shift();
            }
        }
    }
}

/// Adds the echoes of one place in the slice.
///
/// * `rad_per_deg`: what nominal degrees are there.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "x86_64+avx"))]
fn play(
    block: &Block<'_>,
    states: &mut States,
    rad_per_deg: f64,
    weight: f32,
    sum: &mut [[f32; LANES]],
) {
    let table = &block.course.table;
    let to_echo = block.over(table.echo_time_ms);
    let whole = block.over(table.repetition_time_ms);
    let mut sum = sum.iter_mut();
    for (beat, wait_ms) in table.beats.iter().zip(&block.course.waits_ms) {
        if table.transverse == Transverse::Spoiled {
            states.spoil();
        }
        states.relax(&block.over(*wait_ms));
        block.prepare(states, beat.preparation);
        for (angle_deg, sum) in beat.flip_angles_deg.iter().zip(&mut sum) {
            let echo = states.repeat(angle_deg * rad_per_deg, &to_echo, &whole);
            sum.iter_mut().zip(echo).for_each(|(sum, echo)| *sum += weight * echo);
        }
    }
}
