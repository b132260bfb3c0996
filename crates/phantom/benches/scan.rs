//! Whole scans: `cargo bench -p phantom --bench scan`.

use phantom::{
    Breathing, BreathingOptions, BreathingPattern, CardiacCycle, Fingerprinting, FreeBreathing,
    GradientEcho, LineOptions, LineOrder, Molli, Motion, Noise, Sequence, Setup, ShortAxisOptions,
    SimulatedScan, Subject,
};

fn main() {
    divan::main();
}

fn heart() -> Setup {
    Setup {
        matrix_size: [192, 160],
        field_of_view_mm: [360.0, 300.0],
        n_channels: 16,
        noise: Noise::SignalToNoise(30.0),
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        sample_time_us: 2.5,
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    }
}

fn play(sequence: &dyn Sequence, setup: Setup) -> usize {
    let scan = SimulatedScan::new(sequence, setup).expect("a good setup");
    scan.acquisitions().map(|acquisition| acquisition.data.len()).sum()
}

/// 11 images of 192 × 160 with 16 channels, nothing moves.
#[divan::bench(sample_count = 5)]
fn molli_still() -> usize {
    let sequence = Molli { scheme: "3(3)3(3)5".parse().expect("a scheme"), ..Molli::default() };
    play(&sequence, heart())
}

/// The same in free breathing: each image has ellipses of its own.
#[divan::bench(sample_count = 5)]
fn molli_breathing() -> usize {
    let sequence = Molli { scheme: "3(3)3(3)5".parse().expect("a scheme"), ..Molli::default() };
    let pattern = BreathingPattern::Free(FreeBreathing::default());
    let breathing = Breathing::new(&BreathingOptions { pattern, ..BreathingOptions::default() });
    let motion = Motion {
        breathing: breathing.expect("good options"),
        cycle: CardiacCycle::default(),
        ..Motion::default()
    };
    play(&sequence, Setup { motion, ..heart() })
}

/// 705 arms of a spiral, 192 × 192, 16 channels.
#[divan::bench(sample_count = 5)]
fn fingerprinting() -> usize {
    let setup = Setup { matrix_size: [192, 192], field_of_view_mm: [360.0, 360.0], ..heart() };
    play(&Fingerprinting::default(), setup)
}

/// 256 × 256, 16 channels, 40 repetitions of one image with noise of their own.
#[divan::bench(sample_count = 5)]
fn gradient_echo_repetitions() -> usize {
    let setup = Setup { n_channels: 16, noise: Noise::Sd(0.01), ..Setup::new(Subject::SheppLogan) };
    play(&GradientEcho { n_repetitions: 40, ..GradientEcho::default() }, setup)
}
