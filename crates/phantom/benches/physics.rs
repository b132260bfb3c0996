//! `cargo bench -p phantom --bench physics`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use numerics::epg::{RealDecay, RealStates};
use phantom::{BalancedTrain, Block, SignalModel, SpoiledTrain, Spoiling, Startup, Tissue, echoes};
use rayon::prelude::*;

fn main() {
    divan::main();
}

const MODELS: [SignalModel; 3] = [SignalModel::ClosedForm, SignalModel::Bloch, SignalModel::Epg];

fn myocardium() -> Tissue {
    Tissue {
        t1_ms: 1000.0,
        t2_ms: 50.0,
        t2_star_ms: 35.0,
        proton_density: 0.8,
        off_resonance_hz: 0.0,
        ecv_percent: None,
    }
}

/// MOLLI 5(3)3: 8 balanced trains of 66 echoes after two inversions.
fn molli() -> Vec<Block> {
    let train = Block::BalancedTrain(BalancedTrain {
        flip_angle_deg: 35.0,
        repetition_time_ms: 2.7,
        echo_time_ms: 1.35,
        n_echoes: 66,
        startup: Startup::Ramp(5),
    });
    let mut blocks = Vec::new();
    for n_images in [5, 3] {
        blocks.push(Block::Inversion { factor: 0.96 });
        for _ in 0..n_images {
            blocks.push(Block::Wait { duration_ms: 500.0 });
            blocks.push(train.clone());
        }
        blocks.push(Block::Wait { duration_ms: 3000.0 });
    }
    blocks
}

/// Angles of one beat of the cardiac fingerprinting sequence (Hamilton 2017).
fn fingerprinting_angles_deg(max_deg: f64) -> Vec<f64> {
    let ramp = (0..16).map(|n| 4.0 + (max_deg - 4.0) * f64::from(n) / 15.0);
    ramp.chain(std::iter::repeat_n(max_deg, 31)).collect()
}

const MAX_DEG: [f64; 5] = [12.5, 18.75, 25.0, 25.0, 25.0];

/// 15 beats of 47 gradient-spoiled pulses.
fn fingerprinting() -> Vec<Block> {
    let mut blocks = Vec::new();
    for beat in 0..15 {
        match beat % 5 {
            0 => blocks.push(Block::Inversion { factor: 1.0 }),
            1 => {}
            n => blocks.push(Block::T2Preparation {
                echo_time_ms: [30.0, 50.0, 100.0][n - 2],
                efficiency: 1.0,
                offset: 0.0,
            }),
        }
        blocks.push(Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: fingerprinting_angles_deg(MAX_DEG[beat % 5]),
            repetition_time_ms: 5.0,
            echo_times_ms: vec![1.5],
            spoiling: Spoiling::Gradient,
            n_dummies: 0,
        }));
        blocks.push(Block::Wait { duration_ms: 700.0 });
    }
    blocks
}

/// One tissue on one thread, items are echoes.
#[divan::bench(args = MODELS)]
fn molli_of_a_tissue(bencher: Bencher, model: SignalModel) {
    let (blocks, tissue) = (molli(), myocardium());
    let n_echoes: usize = blocks.iter().map(Block::n_echoes).sum();
    bencher
        .counter(ItemsCount::new(n_echoes))
        .bench(|| echoes(model, black_box(&blocks), black_box(&tissue)));
}

/// One tissue on one thread, items are echoes.
#[divan::bench(args = MODELS)]
fn fingerprint_of_a_tissue(bencher: Bencher, model: SignalModel) {
    let (blocks, tissue) = (fingerprinting(), myocardium());
    let n_echoes: usize = blocks.iter().map(Block::n_echoes).sum();
    bencher
        .counter(ItemsCount::new(n_echoes))
        .bench(|| echoes(model, black_box(&blocks), black_box(&tissue)));
}

/// 705 shots of `W` tissues.
fn fingerprints<T: ndarray::NdFloat, const W: usize>(
    states: &mut RealStates<T, W>,
    angles_rad: &[Vec<f64>; 5],
    tissues: &[(f64, f64)],
    sum: &mut [T; W],
) {
    let t1_ms = std::array::from_fn(|n| tissues[n].0);
    let t2_ms = std::array::from_fn(|n| tissues[n].1);
    let over = |duration_ms| RealDecay::<T, W>::over(duration_ms, &t1_ms, &t2_ms);
    let (to_echo, whole, pause) = (over(1.5), over(5.0), over(700.0));
    let preparations = [30.0, 50.0, 100.0].map(over);
    states.reset();
    for beat in 0..15 {
        match beat % 5 {
            0 => states.prepare(&[-T::one(); W], &[T::zero(); W]),
            1 => states.spoil(),
            n => states.prepare(&preparations[n - 2].transverse, &[T::zero(); W]),
        }
        for flip_rad in &angles_rad[beat % 5] {
            let echo = states.repeat(*flip_rad, &to_echo, &whole);
            for n in 0..W {
                sum[n] += echo[n];
            }
        }
        states.relax(&pause);
    }
}

fn bench_dictionary<T: ndarray::NdFloat, const W: usize>(bencher: Bencher, n_orders: usize) {
    const N_TISSUES: usize = 4096;
    let tissues: Vec<(f64, f64)> =
        (0..N_TISSUES).map(|n| (100.0 + 0.5 * n as f64, 10.0 + 0.06 * n as f64)).collect();
    let angles_rad = MAX_DEG
        .map(|deg| fingerprinting_angles_deg(deg).into_iter().map(f64::to_radians).collect());
    bencher.counter(ItemsCount::new(N_TISSUES)).bench(|| {
        black_box(&tissues)
            .par_chunks_exact(W)
            .map_init(
                || RealStates::<T, W>::equilibrium(n_orders),
                |states, tissues| {
                    let mut sum = [T::zero(); W];
                    fingerprints(states, &angles_rad, tissues, &mut sum);
                    sum
                },
            )
            .collect::<Vec<_>>()
    });
}

/// A dictionary on all threads, items are fingerprints of 705 shots; by orders.
#[divan::bench(args = [20, 64], sample_count = 5)]
fn dictionary_f32(bencher: Bencher, n_orders: usize) {
    bench_dictionary::<f32, 32>(bencher, n_orders);
}

/// The same with double precision.
#[divan::bench(args = [20, 64], sample_count = 5)]
fn dictionary_f64(bencher: Bencher, n_orders: usize) {
    bench_dictionary::<f64, 8>(bencher, n_orders);
}
