//! What the MRD header says of a measurement and of the patient.

use ismrmrd::Header;

use crate::proto;

/// The measurement.
pub(crate) fn protocol(header: &Header) -> proto::Protocol {
    let about = header.measurement_information.clone().unwrap_or_default();
    let system = header.acquisition_system_information.clone().unwrap_or_default();
    let encoding = header.encoding.first();
    let space = encoding.map(|encoding| &encoding.recon_space);
    proto::Protocol {
        name: about.protocol_name.unwrap_or_default(),
        measurement_id: about.measurement_id.unwrap_or_default(),
        series_description: about.series_description.unwrap_or_default(),
        patient_position: about
            .patient_position
            .map(|position| position.as_str().to_owned())
            .unwrap_or_default(),
        system_vendor: system.system_vendor.unwrap_or_default(),
        system_model: system.system_model.unwrap_or_default(),
        field_strength_t: system.system_field_strength_t.map_or(0.0, f64::from),
        institution: system.institution_name.unwrap_or_default(),
        trajectory: encoding
            .map(|encoding| encoding.trajectory.as_str().to_owned())
            .unwrap_or_default(),
        matrix_size: space.map_or_else(Vec::new, |space| {
            let size = space.matrix_size;
            [size.x, size.y, size.z].map(u32::from).to_vec()
        }),
        field_of_view_mm: space.map_or_else(Vec::new, |space| {
            let size = space.field_of_view_mm;
            vec![size.x, size.y, size.z]
        }),
    }
}

/// The patient; [`None`] where the header says nothing.
pub(crate) fn patient(header: &Header) -> Option<proto::Patient> {
    let subject = header.subject_information.clone()?;
    Some(proto::Patient {
        name: subject.patient_name.unwrap_or_default(),
        id: subject.patient_id.unwrap_or_default(),
        birthdate: subject.patient_birthdate.unwrap_or_default(),
        sex: subject.patient_gender.unwrap_or_default(),
        weight_kg: subject.patient_weight_kg.map_or(0.0, f64::from),
    })
}

/// Readouts of a whole scan by the header's counters, an estimate where lines are left out; 0
/// where the header gives no counters.
pub(crate) fn n_readouts_expected(header: &Header) -> u64 {
    let of_encoding = |encoding: &ismrmrd::xml::Encoding| {
        let limits = &encoding.encoding_limits;
        let Some(lines) = limits.kspace_encoding_step_1 else { return 0 };
        let factors = encoding.parallel_imaging.as_ref().map_or([1, 1], |parallel| {
            let factor = &parallel.acceleration_factor;
            [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2]
                .map(|factor| u64::from(factor.max(1)))
        });
        let counted = [
            limits.average,
            limits.slice,
            limits.contrast,
            limits.phase,
            limits.repetition,
            limits.set,
        ];
        let images = counted
            .into_iter()
            .flatten()
            .fold(1_u64, |product, limit| product.saturating_mul(limit.count() as u64));
        let partitions = limits.kspace_encoding_step_2.map_or(1, |limit| limit.count() as u64);
        (lines.count() as u64)
            .div_ceil(factors[0])
            .saturating_mul(partitions.div_ceil(factors[1]))
            .saturating_mul(images)
    };
    header.encoding.iter().map(of_encoding).fold(0, u64::saturating_add)
}

/// The header without who the patient is; [`None`] where it is no MRD header.
pub(crate) fn without_patient(header_text: &str) -> Option<String> {
    let mut header = Header::from_xml(header_text).ok()?;
    header.subject_information = None;
    header.study_information = None;
    if let Some(about) = &mut header.measurement_information {
        // Some scanners make it of the patient's number.
        about.measurement_id = None;
    }
    Some(header.to_xml())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{Encoding, EncodingLimits, Limit, SubjectInformation};

    #[test]
    fn readouts_are_counted_by_lines_and_images() {
        let limits = EncodingLimits {
            kspace_encoding_step_1: Some(Limit::up_to(63, 32)),
            slice: Some(Limit::up_to(2, 0)),
            contrast: Some(Limit::up_to(7, 0)),
            ..EncodingLimits::default()
        };
        let encoding = Encoding { encoding_limits: limits, ..Encoding::default() };
        let header = Header { encoding: vec![encoding], ..Header::default() };
        assert_eq!(n_readouts_expected(&header), 64 * 3 * 8);
        assert_eq!(n_readouts_expected(&Header::default()), 0);
    }

    #[test]
    fn a_header_without_the_patient_says_nothing_of_who_it_is() {
        let subject = SubjectInformation {
            patient_name: Some("Somebody".to_owned()),
            ..SubjectInformation::default()
        };
        let header = Header {
            subject_information: Some(subject),
            encoding: vec![Encoding::default()],
            ..Header::default()
        };
        assert_eq!(patient(&header).map(|patient| patient.name).as_deref(), Some("Somebody"));
        let text = without_patient(&header.to_xml()).expect("it is a header");
        assert!(!text.contains("Somebody"), "{text}");
        assert!(without_patient("no header").is_none());
    }
}
