//! Scans with known answers for the tests of the gadgets.

use ismrmrd::xml::{Header, SequenceParameters};
use pipeline::Scan;

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
