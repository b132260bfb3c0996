//! `cargo bench -p numerics --bench fingerprint`

use divan::{Bencher, black_box};
use num_complex::Complex32;
use numerics::fingerprint::{
    Basis, Course, Dictionary, Grid, Imperfections, MatchOptions, PulseTable, signals,
};

fn main() {
    divan::main();
}

/// Fifteen beats with intervals between 800 and 1100 ms.
fn course() -> Course {
    let mut now_ms = 0.0;
    let first_pulses_ms: Vec<f64> = (0..15)
        .map(|beat| {
            now_ms += 800.0 + f64::from(beat * 37 % 300);
            now_ms
        })
        .collect();
    let table = PulseTable::fifteen_beats(5.1, 1.52);
    Course::new(table, &first_pulses_ms, Imperfections::default()).unwrap()
}

fn reduced() -> (Dictionary, ndarray::Array2<Complex32>) {
    let course = course();
    let basis = Basis::of_course(&course, 10);
    let tissues: Vec<[f64; 2]> =
        (0..192 * 192).map(|n| [300.0 + f64::from(n % 1500), 30.0 + f64::from(n % 97)]).collect();
    let pixels = basis.modes.dot(&signals(&course, &tissues).t());
    let grid = Grid::logarithmic([50.0, 4000.0], [5.0, 600.0], 4.0).unwrap();
    let dictionary = Dictionary::new(&course, grid, basis.modes.view());
    (dictionary, pixels.mapv(|value| Complex32::new(value, 0.5 * value)))
}

/// All 705 echoes of PTB's 22 988 entries for a new rhythm.
#[divan::bench]
fn dictionary_of_ptb(bencher: Bencher) {
    let course = course();
    let grid = Grid::ptb();
    let tissues: Vec<[f64; 2]> =
        grid.tissues_ms().into_iter().filter(|[t1, t2]| t2 <= t1).collect();
    assert_eq!(tissues.len(), 22_988);
    bencher.bench_local(|| signals(black_box(&course), &tissues));
}

/// Basis and dictionary as `map_fingerprint` makes them.
#[divan::bench]
fn basis_and_reduced_dictionary(bencher: Bencher) {
    let course = course();
    bencher.bench_local(|| {
        let basis = Basis::of_course(black_box(&course), 10);
        let grid = Grid::logarithmic([50.0, 4000.0], [5.0, 600.0], 4.0).unwrap();
        Dictionary::new(&course, grid, basis.modes.view())
    });
}

/// 192 x 192 pixels of 10 numbers.
#[divan::bench]
fn match_192(bencher: Bencher) {
    let (dictionary, pixels) = reduced();
    bencher.bench_local(|| {
        dictionary.match_pixels(black_box(pixels.view()), &MatchOptions::default())
    });
}
