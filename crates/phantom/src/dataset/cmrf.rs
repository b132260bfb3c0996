//! Signals of fingerprinting.

use ndarray::ArrayView2;
use numerics::epg::{RealDecay, RealStates};
use numerics::fingerprint::{Basis, Course, Imperfections, PulseTable};

use super::Dataset;
use super::draw::Draw;
use super::error::{DatasetError, check, check_count, check_range};
use super::values::{ArrayDescription, Element, Values};
use crate::motion::Rhythm;
use crate::sequence::{Fingerprinting, Preparation};

/// Signals that are computed side by side.
const WIDTH: usize = 16;

/// Orders of the phase graph: more change a signal by less than 10⁻³ of it.
const N_ORDERS: usize = 40;

/// Beats of a rhythm: more than the sequence waits for.
const N_BEATS: usize = 64;

/// T1 is at least this times T2.
const MIN_RATIO: f64 = 1.2;

/// What is drawn for each signal.
#[derive(Clone, Debug, PartialEq)]
pub struct CmrfOptions {
    /// Of everything that is drawn.
    pub seed: u64,
    /// The sequence.
    pub sequence: Fingerprinting,
    /// Smallest and largest T1, ms; its logarithm is evenly drawn.
    pub t1_ms: [f64; 2],
    /// Smallest and largest T2, ms, at most T1/1.2; its logarithm is evenly drawn.
    pub t2_ms: [f64; 2],
    /// Smallest and largest mean interval of R waves, ms; its inverse, the heart rate, is evenly
    /// drawn.
    pub rr_interval_ms: [f64; 2],
    /// Largest standard deviation of an interval over the mean; evenly drawn from 0 on.
    pub max_variability: f64,
    /// Share of rhythms with one early beat and the pause after it.
    pub ectopic_share: f64,
    /// Share of rhythms with an R wave that the scanner misses.
    pub missed_share: f64,
    /// Smallest and largest inversion factor.
    pub inversion_factor: [f64; 2],
    /// Smallest and largest angle over the nominal one.
    pub b1: [f64; 2],
    /// Sixteens of cases in a row that share rhythm and inversion factor; 0: each case has its own.
    pub sixteens_per_rhythm: usize,
    /// Whether signals are what this number of modes of their rhythm holds of them, as images of a
    /// scan are; 0: they are whole. With nominal angles only.
    pub rhythm_modes: usize,
}

impl Default for CmrfOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            sequence: Fingerprinting::default(),
            t1_ms: [100.0, 3000.0],
            t2_ms: [5.0, 500.0],
            rr_interval_ms: [500.0, 1500.0],
            max_variability: 0.15,
            ectopic_share: 0.15,
            missed_share: 0.15,
            inversion_factor: [0.9, 1.0],
            b1: [0.8, 1.1],
            sixteens_per_rhythm: 0,
            rhythm_modes: 0,
        }
    }
}

/// A set of signal time courses, one voxel of one rhythm each, without noise.
///
/// Its arrays, each with the case as the slowest axis: `signals` \[echo\]; `rr_interval_ms` and
/// `beat_start_ms` \[beat\]; `t1_ms`, `t2_ms`, `inversion_factor`, `b1`. Sixteen cases in a row,
/// from a multiple of 16 on, share their `b1`.
///
/// # Method
/// Extended phase graphs with 40 orders (Weigel 2015), sixteen signals side by side.
pub struct CmrfDataset {
    options: CmrfOptions,
    /// Of each beat.
    flip_angles_rad: Vec<Vec<f64>>,
}

impl CmrfDataset {
    /// Plans a set.
    ///
    /// # Errors
    /// [`DatasetError`] for the first option out of its range.
    pub fn new(options: CmrfOptions) -> Result<Self, DatasetError> {
        check_range("T1 in ms", options.t1_ms, 10.0, 10_000.0)?;
        check_range("T2 in ms", options.t2_ms, 1.0, 5000.0)?;
        check("the smallest T2 in ms", options.t2_ms[0], 1.0, options.t1_ms[0] / MIN_RATIO)?;
        check_range("the mean interval of R waves in ms", options.rr_interval_ms, 400.0, 2000.0)?;
        check("the variability of R waves", options.max_variability, 0.0, 0.2)?;
        check("the share of ectopic beats", options.ectopic_share, 0.0, 1.0)?;
        check("the share of missed R waves", options.missed_share, 0.0, 1.0)?;
        check_range("the inversion factor", options.inversion_factor, 0.0, 1.0)?;
        check_range("B1", options.b1, 0.1, 2.0)?;
        check_count("sixteens of cases in a rhythm", options.sixteens_per_rhythm, 0, 256)?;
        check("the number of modes", options.rhythm_modes as f64, 0.0, 64.0)?;
        if options.rhythm_modes > 0 {
            let what = "sixteens of cases in a rhythm, of whose modes signals are to be,";
            check_count(what, options.sixteens_per_rhythm, 1, 256)?;
            check("B1 of signals of modes", options.b1[0], 1.0, 1.0)?;
            check("B1 of signals of modes", options.b1[1], 1.0, 1.0)?;
        }
        let n_beats = options.sequence.preparations.len();
        let flip_angles_rad = (0..n_beats)
            .map(|beat| {
                let angles_deg = options.sequence.flip_angles_deg(beat);
                angles_deg.into_iter().map(f64::to_radians).collect()
            })
            .collect();
        Ok(Self { options, flip_angles_rad })
    }

    fn n_beats(&self) -> usize {
        self.flip_angles_rad.len()
    }

    fn n_echoes(&self) -> usize {
        self.flip_angles_rad.iter().map(Vec::len).sum()
    }

    /// What is particular to a case.
    fn voxel(&self, index: u64) -> Result<Voxel, DatasetError> {
        let options = &self.options;
        let mut draw = Draw::new(options.seed, b"voxel...", index);
        let t1_ms = draw.log_between(options.t1_ms);
        let longest_ms = options.t2_ms[1].min(t1_ms / MIN_RATIO);
        let t2_ms = draw.log_between([options.t2_ms[0], longest_ms]);
        let mut of_rhythm = match (WIDTH * options.sixteens_per_rhythm) as u64 {
            0 => draw,
            cases => Draw::new(options.seed, b"rhythm..", index / cases),
        };
        let inversion_factor = of_rhythm.between(options.inversion_factor);
        let rhythm = self.rhythm(&mut of_rhythm)?;
        let beats_ms = options.sequence.beats_ms(&rhythm, 0.0);
        Ok(Voxel { t1_ms, t2_ms, inversion_factor, rhythm, beats_ms })
    }

    fn rhythm(&self, draw: &mut Draw) -> Result<Rhythm, DatasetError> {
        let options = &self.options;
        let [fast, slow] = options.rr_interval_ms;
        let mean_ms = 1.0 / draw.between([1.0 / slow, 1.0 / fast]).clamp(1.0 / slow, 1.0 / fast);
        let variability = draw.between([0.0, options.max_variability]);
        let mut intervals_ms: Vec<f64> = (0..N_BEATS)
            .map(|_| mean_ms * (1.0 + variability * draw.normal().clamp(-3.0, 3.0)))
            .map(|interval_ms| interval_ms.max(250.0))
            .collect();
        let n_beats = self.n_beats();
        let early = draw.between([1.0, n_beats as f64]) as usize;
        if draw.happens(options.ectopic_share) {
            // The sinus node keeps its time: short and long add up to two intervals.
            let lost_ms = (0.4 * intervals_ms[early]).min(intervals_ms[early] - 250.0).max(0.0);
            intervals_ms[early] -= lost_ms;
            intervals_ms[early + 1] += lost_ms;
        }
        let missed = draw.between([1.0, n_beats as f64]) as usize;
        let missed = if draw.happens(options.missed_share) { vec![missed] } else { Vec::new() };
        Ok(Rhythm::from_intervals(&intervals_ms, &missed)?)
    }

    /// Leaves of signals, `[case, echo]`, what the modes of their rhythm hold.
    fn keep_modes(&self, signals: &mut [f32], voxel: &Voxel) -> Result<(), DatasetError> {
        let sequence = &self.options.sequence;
        let table = PulseTable::fifteen_beats(sequence.repetition_time_ms, sequence.echo_time_ms);
        let first_ms = voxel.beats_ms[0][1];
        let pulses_ms: Vec<f64> =
            voxel.beats_ms.iter().map(|[_, start_ms]| start_ms - first_ms).collect();
        let inversion_factor = voxel.inversion_factor;
        let imperfections = Imperfections { inversion_factor, ..Imperfections::default() };
        let course = Course::new(table, &pulses_ms, imperfections)?;
        let modes = Basis::of_course(&course, self.options.rhythm_modes).modes;
        let n_echoes = self.n_echoes();
        let shape = (signals.len() / n_echoes, n_echoes);
        let whole = ArrayView2::from_shape(shape, signals).expect("all echoes of every case");
        let kept = whole.dot(&modes.t()).dot(&modes);
        signals.iter_mut().zip(&kept).for_each(|(signal, kept)| *signal = *kept);
        Ok(())
    }

    /// Signals of sixteen voxels: `[echo]` of all voxels.
    fn signals(&self, voxels: &[Voxel; WIDTH], b1: f64) -> Vec<[f32; WIDTH]> {
        let sequence = &self.options.sequence;
        let t1_ms = std::array::from_fn(|n| voxels[n].t1_ms);
        let t2_ms = std::array::from_fn(|n| voxels[n].t2_ms);
        let over = |duration_ms: f64| RealDecay::<f32, WIDTH>::over(duration_ms, &t1_ms, &t2_ms);
        let to_echo = over(sequence.echo_time_ms);
        let whole = over(sequence.repetition_time_ms);
        let train_ms = sequence.n_echoes_per_beat as f64 * sequence.repetition_time_ms;
        let ones = [1.0; WIDTH];
        let zeros = [0.0; WIDTH];
        let mut states = RealStates::<f32, WIDTH>::equilibrium(N_ORDERS);
        let mut signals = Vec::with_capacity(self.n_echoes());
        for (beat, &preparation) in sequence.preparations.iter().enumerate() {
            let before_ms = match preparation {
                Preparation::None => 0.0,
                Preparation::Inversion => sequence.inversion_time_ms,
                Preparation::T2(echo_time_ms) => echo_time_ms,
            };
            // Recovery since the last echoes; before the first there is equilibrium.
            states.prepare(&ones, &zeros);
            if beat > 0 {
                states.relax(&RealDecay {
                    longitudinal: std::array::from_fn(|n| {
                        let [[_, last_ms], [_, start_ms]] =
                            [voxels[n].beats_ms[beat - 1], voxels[n].beats_ms[beat]];
                        let wait_ms = start_ms - last_ms - train_ms - before_ms;
                        (-wait_ms / t1_ms[n]).exp() as f32
                    }),
                    transverse: zeros,
                });
            }
            match preparation {
                Preparation::None => {}
                Preparation::Inversion => {
                    let factors = std::array::from_fn(|n| -voxels[n].inversion_factor as f32);
                    states.prepare(&factors, &zeros);
                    states.relax(&over(sequence.inversion_time_ms));
                }
                Preparation::T2(echo_time_ms) => {
                    let factors = t2_ms.map(|t2_ms| (-echo_time_ms / t2_ms).exp() as f32);
                    states.prepare(&factors, &zeros);
                }
            }
            for angle_rad in &self.flip_angles_rad[beat] {
                signals.push(states.repeat(b1 * angle_rad, &to_echo, &whole));
            }
        }
        signals
    }
}

/// What is particular to a case.
struct Voxel {
    t1_ms: f64,
    t2_ms: f64,
    inversion_factor: f64,
    rhythm: Rhythm,
    /// \[R wave, first pulse\].
    beats_ms: Vec<[f64; 2]>,
}

impl Dataset for CmrfDataset {
    fn kind(&self) -> &'static str {
        "cmrf"
    }

    fn arrays(&self) -> Vec<ArrayDescription> {
        let f32 = Element::F32;
        let (echoes, beats) = (("echo", self.n_echoes()), ("beat", self.n_beats()));
        vec![
            ArrayDescription::array(
                "signals",
                f32,
                [echoes],
                "equilibrium magnetisation",
                "transverse magnetisation at the echoes of all beats, without noise",
            ),
            ArrayDescription::array(
                "rr_interval_ms",
                f32,
                [beats],
                "ms",
                "from the R wave that a beat waits for to the one that the next waits for; after \
                 the last to the next that the scanner sees",
            ),
            ArrayDescription::array(
                "beat_start_ms",
                f32,
                [beats],
                "ms",
                "first pulse of the beat, since that of the first beat",
            ),
            ArrayDescription::scalar("t1_ms", f32, "ms", "T1"),
            ArrayDescription::scalar("t2_ms", f32, "ms", "T2"),
            ArrayDescription::scalar(
                "inversion_factor",
                f32,
                "",
                "magnetisation after an inversion is minus this times that before",
            ),
            ArrayDescription::scalar(
                "b1",
                f32,
                "",
                "angles over the nominal ones; 16 cases in a row share it",
            ),
        ]
    }

    fn group_len(&self) -> usize {
        WIDTH * self.options.sixteens_per_rhythm.max(1)
    }

    fn group(&self, index: u64) -> Result<Vec<Values>, DatasetError> {
        let n_cases = self.group_len();
        let voxels: Vec<Voxel> = (0..n_cases as u64)
            .map(|n| self.voxel(index * n_cases as u64 + n))
            .collect::<Result<_, _>>()?;
        let mut signals = Vec::with_capacity(n_cases * self.n_echoes());
        let mut all_b1 = Vec::with_capacity(n_cases);
        for (number, side_by_side) in voxels.as_chunks::<WIDTH>().0.iter().enumerate() {
            let number = index * (n_cases / WIDTH) as u64 + number as u64;
            let b1 = Draw::new(self.options.seed, b"b1......", number).between(self.options.b1);
            let echoes = self.signals(side_by_side, b1);
            for n in 0..WIDTH {
                signals.extend(echoes.iter().map(|echo| echo[n]));
            }
            all_b1.extend([b1 as f32; WIDTH]);
        }
        if self.options.rhythm_modes > 0 {
            self.keep_modes(&mut signals, &voxels[0])?;
        }
        let per_beat = |of: &dyn Fn(&Voxel, usize) -> f64| {
            let beats = voxels
                .iter()
                .flat_map(|voxel| (0..self.n_beats()).map(move |beat| of(voxel, beat) as f32));
            Values::F32(beats.collect())
        };
        let of = |value: &dyn Fn(&Voxel) -> f64| {
            Values::F32(voxels.iter().map(|voxel| value(voxel) as f32).collect())
        };
        Ok(vec![
            Values::F32(signals),
            per_beat(&|voxel, beat| {
                let [r_wave_ms, _] = voxel.beats_ms[beat];
                // The next R wave is hundreds of milliseconds away.
                let next_ms = voxel.beats_ms.get(beat + 1).map_or_else(
                    || voxel.rhythm.next_trigger_ms(r_wave_ms + 1.0),
                    |[next_ms, _]| *next_ms,
                );
                next_ms - r_wave_ms
            }),
            per_beat(&|voxel, beat| voxel.beats_ms[beat][1] - voxel.beats_ms[0][1]),
            of(&|voxel| voxel.t1_ms),
            of(&|voxel| voxel.t2_ms),
            of(&|voxel| voxel.inversion_factor),
            Values::F32(all_b1),
        ])
    }
}
