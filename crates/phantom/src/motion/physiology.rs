//! What the scanner's monitors record of a motion: electrocardiogram and respiration.

use ismrmrd::xml::{UserParameter, UserParameters, WaveformInformation, WaveformType};
use ismrmrd::{Waveform, WaveformHeader};
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

use super::Motion;
use super::ecg::{N_LEADS, leads_mv};
use crate::clock::ticks;
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"monitors");

/// Each waveform holds this much time.
const PACKET_MS: usize = 100;

/// From one sample of the electrocardiogram to the next: a tick of the clock.
const ECG_SAMPLE_US: usize = 2500;

/// From one sample of the respiration to the next.
const RESPIRATION_SAMPLE_US: usize = 20_000;

/// Value of no voltage and no breath: the middle of twelve bits.
const BASELINE: f64 = 2048.0;

/// Largest value of twelve bits.
const MAX_VALUE: f64 = 4095.0;

const COUNTS_PER_MV: f64 = 600.0;

const COUNTS_PER_MM: f64 = 60.0;

/// What the trigger channel shows at the sample of a trigger; 0 at all others.
const TRIGGER: u32 = 1 << 14;

/// How much the electrocardiogram's baseline moves with breathing, mV per mm.
const WANDER_MV_PER_MM: f64 = 0.008;

/// Standard deviation of the noise of both signals, counts.
const NOISE_SD: f64 = 6.0;

/// The waveforms of a scan, made when they are asked for, in the order of their first samples: time of that sample in ms from
/// the start of the scan, and the waveform. An electrocardiogram and a respiration follow each
/// other every 100 ms; the last ones may end after `duration_ms`.
///
/// * Electrocardiogram, id 0: four leads and the trigger channel, a sample each 2.5 ms. The
///   trigger is 16384 at the first sample at or after an R wave that the scanner saw, 0 else.
/// * Respiration, id 2: the position of the diaphragm and a trigger channel of zeros, a sample
///   each 20 ms.
///
/// Both are twelve-bit values around 2048, with noise from `seed`. `scan_counter` counts the
/// waveforms of each kind from 1.
///
/// # Source
/// Channels, rates and identifiers are those of Siemens scanners as the official converter
/// writes them.
pub fn physiology_waveforms(
    motion: &Motion,
    duration_ms: f64,
    measurement_uid: u32,
    seed: u64,
) -> impl Iterator<Item = (f64, Waveform)> {
    let n_packets = (duration_ms / PACKET_MS as f64).ceil().max(0.0) as usize;
    (0..n_packets).flat_map(move |packet| {
        let start_ms = (packet * PACKET_MS) as f64;
        let header = WaveformHeader {
            version: 1,
            measurement_uid,
            scan_counter: packet as u32 + 1,
            time_stamp: ticks(start_ms),
            ..WaveformHeader::default()
        };
        [
            (start_ms, electrocardiogram(motion, start_ms, seed, header)),
            (start_ms, respiration(motion, start_ms, seed, header)),
        ]
    })
}

/// The entries of the XML header that belong to [`physiology_waveforms`]. Each names the channel
/// that holds its triggers, as the official converter does.
pub fn waveform_information() -> Vec<WaveformInformation> {
    let entry = |name: &str, waveform_type, trigger_channel: usize| WaveformInformation {
        waveform_name: name.into(),
        waveform_type,
        user_parameters: Some(UserParameters {
            user_parameter_long: vec![UserParameter {
                name: "TriggerChannel".into(),
                value: trigger_channel as i64,
            }],
            ..UserParameters::default()
        }),
    };
    vec![entry("ECG", WaveformType::Ecg, N_LEADS), entry("RESP", WaveformType::Respiratory, 1)]
}

fn electrocardiogram(
    motion: &Motion,
    start_ms: f64,
    seed: u64,
    mut header: WaveformHeader,
) -> Waveform {
    let n_samples = 1000 * PACKET_MS / ECG_SAMPLE_US;
    let sample_ms = ECG_SAMPLE_US as f64 / 1000.0;
    let mut random = random_numbers(seed ^ STREAM, 2 * u64::from(header.scan_counter));
    let mut data = Array2::zeros((N_LEADS + 1, n_samples));
    for sample in 0..n_samples {
        let t_ms = start_ms + sample as f64 * sample_ms;
        let wander_mv = WANDER_MV_PER_MM * motion.breathing.position_mm(t_ms);
        for (lead, voltage_mv) in leads_mv(&motion.rhythm, t_ms).into_iter().enumerate() {
            let noise: f64 = StandardNormal.sample(&mut random);
            let counts = COUNTS_PER_MV * (voltage_mv + wander_mv) + NOISE_SD * noise;
            data[[lead, sample]] = twelve_bits(counts);
        }
        // A sample with which the time since the trigger starts anew is the first one after it.
        if motion.rhythm.since_trigger_ms(t_ms) < sample_ms {
            data[[N_LEADS, sample]] = TRIGGER;
        }
    }
    header.waveform_id = 0;
    finished(header, ECG_SAMPLE_US, data)
}

fn respiration(motion: &Motion, start_ms: f64, seed: u64, mut header: WaveformHeader) -> Waveform {
    let n_samples = 1000 * PACKET_MS / RESPIRATION_SAMPLE_US;
    let mut random = random_numbers(seed ^ STREAM, 2 * u64::from(header.scan_counter) + 1);
    let mut data = Array2::zeros((2, n_samples));
    for sample in 0..n_samples {
        let t_ms = start_ms + (sample * RESPIRATION_SAMPLE_US) as f64 / 1000.0;
        let noise: f64 = StandardNormal.sample(&mut random);
        let counts = COUNTS_PER_MM * motion.breathing.position_mm(t_ms) + NOISE_SD * noise;
        data[[0, sample]] = twelve_bits(counts);
    }
    header.waveform_id = 2;
    finished(header, RESPIRATION_SAMPLE_US, data)
}

fn twelve_bits(counts: f64) -> u32 {
    (BASELINE + counts).round().clamp(0.0, MAX_VALUE) as u32
}

fn finished(mut header: WaveformHeader, sample_time_us: usize, data: Array2<u32>) -> Waveform {
    header.channels = data.nrows() as u16;
    header.number_of_samples = data.ncols() as u16;
    header.sample_time_us = sample_time_us as f32;
    Waveform { header, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{START_TICKS, TICK_MS};
    use crate::motion::{
        Breathing, BreathingOptions, BreathingPattern, FreeBreathing, Rhythm, RhythmOptions,
    };

    fn motion() -> Motion {
        let rhythm = Rhythm::new(&RhythmOptions {
            rr_interval_ms: 812.3,
            variability: 0.1,
            ectopic_probability: 0.1,
            missed_trigger_probability: 0.2,
            first_r_wave_ms: 37.1,
            seed: 3,
            ..RhythmOptions::default()
        })
        .expect("options");
        let breathing = Breathing::new(&BreathingOptions {
            pattern: BreathingPattern::Free(FreeBreathing::default()),
            ..BreathingOptions::default()
        })
        .expect("options");
        Motion { rhythm, breathing, ..Motion::still(Rhythm::default()) }
    }

    fn all_waveforms(
        motion: &Motion,
        duration_ms: f64,
        measurement_uid: u32,
        seed: u64,
    ) -> Vec<(f64, Waveform)> {
        physiology_waveforms(motion, duration_ms, measurement_uid, seed).collect()
    }

    #[test]
    fn packets_follow_each_other_without_gap() {
        let waveforms = all_waveforms(&motion(), 1010.0, 7, 0);
        assert_eq!(waveforms.len(), 22);
        for (id, shape) in [(0, [5, 40]), (2, [2, 5])] {
            let mut end_ms = 0.0;
            for (start_ms, waveform) in
                waveforms.iter().filter(|(_, waveform)| waveform.header.waveform_id == id)
            {
                let header = waveform.header;
                assert_eq!(*start_ms, end_ms);
                assert_eq!(waveform.data.shape(), shape);
                assert_eq!(header.number_of_samples as usize, shape[1]);
                assert_eq!(header.channels as usize, shape[0]);
                assert_eq!(header.measurement_uid, 7);
                let stamp_ms = f64::from(header.time_stamp - START_TICKS) * TICK_MS;
                assert_eq!(stamp_ms, *start_ms);
                end_ms += f64::from(header.sample_time_us) * shape[1] as f64 / 1000.0;
            }
            assert_eq!(end_ms, 1100.0);
        }
    }

    #[test]
    fn the_trigger_channel_shows_each_seen_r_wave_once_and_within_a_sample() {
        let motion = motion();
        let mut marks_ms = Vec::new();
        for (start_ms, waveform) in all_waveforms(&motion, 60_000.0, 1, 0) {
            if waveform.header.waveform_id == 0 {
                for (sample, &value) in waveform.data.row(4).iter().enumerate() {
                    assert!(value == 0 || value == TRIGGER);
                    if value == TRIGGER {
                        marks_ms.push(start_ms + 2.5 * sample as f64);
                    }
                }
            }
        }
        let triggers_ms: Vec<f64> =
            motion.rhythm.triggers_ms().take_while(|&trigger| trigger <= 59_997.5).collect();
        assert_eq!(marks_ms.len(), triggers_ms.len());
        for (mark, trigger) in marks_ms.iter().zip(&triggers_ms) {
            assert!((0.0..2.5).contains(&(mark - trigger)), "{mark} {trigger}");
        }
        assert!(triggers_ms.len() < motion.rhythm.r_waves_ms().take_while(|&r| r < 6e4).count());
    }

    #[test]
    fn the_respiration_is_the_position_of_the_diaphragm() {
        let motion = motion();
        let mut squares = 0.0;
        let mut n = 0.0;
        for (start_ms, waveform) in all_waveforms(&motion, 20_000.0, 1, 0) {
            if waveform.header.waveform_id == 2 {
                for (sample, &value) in waveform.data.row(0).iter().enumerate() {
                    let t_ms = start_ms + 20.0 * sample as f64;
                    let expected = BASELINE + 60.0 * motion.breathing.position_mm(t_ms);
                    squares += (f64::from(value) - expected).powi(2);
                    n += 1.0;
                }
            }
        }
        // 1000 samples of noise with deviation 6: standard error 0.13.
        let sd: f64 = squares / n;
        assert!((sd.sqrt() - NOISE_SD).abs() < 0.5, "{}", sd.sqrt());
    }

    #[test]
    fn values_keep_to_twelve_bits_and_noise_to_its_seed() {
        let wild = Breathing::new(&BreathingOptions {
            pattern: BreathingPattern::Free(FreeBreathing {
                amplitude_mm: 60.0,
                ..FreeBreathing::default()
            }),
            ..BreathingOptions::default()
        })
        .expect("options");
        let motion = Motion { breathing: wild, ..motion() };
        let waveforms = all_waveforms(&motion, 5000.0, 1, 5);
        for (_, waveform) in &waveforms {
            assert!(waveform.data.iter().all(|&value| value <= 4095 || value == TRIGGER));
        }
        assert_eq!(waveforms, all_waveforms(&motion, 5000.0, 1, 5));
        assert_ne!(waveforms, all_waveforms(&motion, 5000.0, 1, 6));
    }

    #[test]
    fn the_header_names_the_trigger_channels() {
        let entries = waveform_information();
        let channel = |entry: &WaveformInformation| {
            entry.user_parameters.as_ref().expect("parameters").long("TriggerChannel")
        };
        assert_eq!(channel(&entries[0]), Some(4));
        assert_eq!(channel(&entries[1]), Some(1));
        assert_eq!(entries[0].waveform_type, WaveformType::Ecg);
        assert_eq!(entries[1].waveform_type, WaveformType::Respiratory);
    }
}
