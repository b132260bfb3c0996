//! Scans with known answers for the tests of the gadgets.

use ismrmrd::xml::{Header, SequenceParameters};
use ismrmrd::{ImageHeader, Meta};
use ndarray::{Array2, Array3, ArrayD};
use num_complex::Complex32;
use numerics::fingerprint::{Course, Imperfections, PulseTable, signals};
use pipeline::{ImageRole, ImageSeries, Scan};

use crate::played::{Played, Reduction};

/// A scan whose header has these preparations and angles, TR 5, TE 1.5, inversion time 21.
pub(crate) fn scan(preparations: &[f64], angles_deg: &[f32]) -> Scan {
    let parameters = SequenceParameters {
        tr: vec![5.0],
        te: vec![1.5],
        flip_angle_deg: angles_deg.to_vec(),
        ..SequenceParameters::default()
    };
    let mut header = Header { sequence_parameters: Some(parameters), ..Header::default() };
    for (beat, value) in preparations.iter().enumerate() {
        header.set_user_double(&format!("Preparation_{beat}"), *value);
    }
    header.set_user_double("InversionTime_ms", 21.0);
    header.set_user_double("InversionFactor", 0.96);
    Scan::with_header(header)
}

/// A series of `reconstruct_fingerprint` of two tissues side by side, 12 rows of 16 columns: T1 and T2 of
/// the left half and of the right, beats of so many ms, phases that turn from pixel to pixel, and noise
/// of this part of the signal.
pub(crate) fn series_of_halves(tissues_ms: [[f64; 2]; 2], beat_ms: f64, noise: f32) -> ImageSeries {
    let table = PulseTable::fifteen_beats(5.1, 1.52);
    let times: Vec<f64> = (0..table.beats.len()).map(|beat| beat_ms * beat as f64).collect();
    let imperfections = Imperfections::default();
    let course = Course::new(table.clone(), &times, imperfections.clone()).expect("a good course");
    let mut played = Played::new(&table, &imperfections, times, Reduction::Modes(N_MODES));
    played.noise_covariance = Array2::<f64>::eye(N_MODES).iter().copied().collect();
    let reduction = played.reduction(&course);
    let numbers = signals(&course, &tissues_ms).dot(&reduction.t());
    let mut state = 3_u32;
    let mut even = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let size = numbers.row(0).dot(&numbers.row(0)).sqrt();
    let shape = [1, 1, N_MODES, 1, 1, ROWS, COLUMNS];
    let data = ArrayD::from_shape_fn(&shape[..], |at| {
        let (n, y, x) = (at[2], at[5], at[6]);
        let phase = Complex32::from_polar(1.0, 0.3 * y as f32 + 0.2 * x as f32);
        let noise = Complex32::new(even(), even()) * (noise * size);
        phase * numbers[[2 * x / COLUMNS, n]] + noise
    });
    let mut meta = Meta::new();
    played.write(&mut meta);
    ImageSeries {
        role: ImageRole::default(),
        s: None,
        n: None,
        data,
        headers: Array3::from_elem((1, 1, N_MODES), ImageHeader::default()),
        meta: vec![meta; N_MODES],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

const N_MODES: usize = 8;
pub(crate) const ROWS: usize = 12;
pub(crate) const COLUMNS: usize = 16;
