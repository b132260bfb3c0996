//! What an MRD header says of patient, study, series and scanner, and the UIDs that follow from it.

use chrono::{DateTime, Local};
use ismrmrd::Header;

use crate::{text, uid};

/// The measurement that images belong to.
#[derive(Clone, Debug)]
pub struct Study {
    /// The header; an empty one where there is none.
    pub(crate) header: Header,
    /// When its objects are made.
    pub(crate) created: DateTime<Local>,
    pub(crate) study_uid: String,
    pub(crate) frame_of_reference_uid: String,
    /// Another one for each run of each measurement.
    run: String,
}

impl Study {
    /// The measurement of this header.
    ///
    /// * `run`: what tells this reconstruction of the measurement from another, e.g. the session's
    ///   number and when it began; empty where there is only one.
    ///
    /// The study's UID is the header's, or else follows from the study's number, or else from the
    /// measurement's identifier without its last part, both with the patient's number and the day, or
    /// else, where these name no study, from the whole header and `run`: so series of one study belong together, and a resend has the same UIDs.
    pub fn new(header: Option<&Header>, run: &str) -> Self {
        let header = header.cloned().unwrap_or_default();
        let study = header.study_information.clone().unwrap_or_default();
        let about = header.measurement_information.clone().unwrap_or_default();
        let subject = header.subject_information.clone().unwrap_or_default();
        let given = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (study_id, patient_id) = (given(&study.study_id), given(&subject.patient_id));
        let measurement = given(&about.measurement_id);
        let study_uid = study.study_instance_uid.as_deref().and_then(text::uid);
        let study_uid = study_uid.unwrap_or_else(|| {
            let day = given(&study.study_date).unwrap_or_default();
            let patient = patient_id.unwrap_or_default();
            // "1" alone is the study of everybody.
            let study_id = study_id.filter(|_| !(patient.is_empty() && day.is_empty()));
            // `meas_7` names no study either; scanners' have numbers in it.
            let of_study = measurement.as_deref().and_then(|id| id.rsplit_once('_'));
            let of_study = of_study.map(|(study, _)| study);
            let of_study = of_study.filter(|study| study.contains(|c: char| c.is_ascii_digit()));
            let about = [patient.as_bytes(), day.as_bytes()];
            match (study_id, of_study) {
                (Some(study), _) => uid::derived(&[b"study", study.as_bytes(), about[0], about[1]]),
                (None, Some(study)) => {
                    uid::derived(&[b"study of", study.as_bytes(), about[0], about[1]])
                }
                (None, None) => {
                    uid::derived(&[b"header", header.to_xml().as_bytes(), run.as_bytes()])
                }
            }
        });
        let frame = about.frame_of_reference_uid.as_deref().and_then(text::uid);
        let frame_of_reference_uid =
            frame.unwrap_or_else(|| uid::derived(&[b"frame of reference", study_uid.as_bytes()]));
        let measurement = measurement.unwrap_or_else(|| header.to_xml());
        let run = uid::derived(&[b"run", measurement.as_bytes(), run.as_bytes()]);
        Self { header, created: Local::now(), study_uid, frame_of_reference_uid, run }
    }

    /// UID of a series; `form` tells the objects that one image becomes apart.
    pub(crate) fn series_uid(&self, series: u16, form: &str) -> String {
        let parts = [&self.study_uid, &self.run].map(|part| part.as_bytes());
        uid::derived(&[b"series", parts[0], parts[1], &series.to_le_bytes(), form.as_bytes()])
    }

    /// Number of a series: a hundred for each measurement, as Gadgetron counts.
    pub(crate) fn series_number(&self, series: u16) -> i64 {
        let about = self.header.measurement_information.clone().unwrap_or_default();
        let of_id = || {
            let last = about.measurement_id.as_deref()?.rsplit_once('_')?.1;
            last.parse::<i64>().ok().filter(|number| (1..10_000_000).contains(number))
        };
        let first = about.initial_series_number.filter(|number| (1..10_000_000).contains(number));
        first.or_else(of_id).map_or(0, |number| 100 * number) + i64::from(series)
    }

    /// When the readout of this time stamp was made, as scanners of Siemens count: ticks of 2.5 ms
    /// since midnight.
    pub(crate) fn acquisition_time(&self, time_stamp: u32) -> Option<String> {
        let system = self.header.acquisition_system_information.as_ref()?;
        let is_siemens = system.system_vendor.as_deref()?.to_ascii_lowercase().contains("siemens");
        let ms = u64::from(time_stamp) * 5 / 2;
        if !is_siemens || time_stamp == 0 || ms >= 86_400_000 {
            return None;
        }
        let (s, ms) = (ms / 1000, ms % 1000);
        Some(format!("{:02}{:02}{:02}.{ms:03}000", s / 3600, s / 60 % 60, s % 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{
        AcquisitionSystemInformation, MeasurementInformation, StudyInformation, SubjectInformation,
    };

    fn header(measurement: &str) -> Header {
        let about = MeasurementInformation {
            measurement_id: Some(measurement.to_owned()),
            ..MeasurementInformation::default()
        };
        Header { measurement_information: Some(about), ..Header::default() }
    }

    #[test]
    fn measurements_of_a_study_share_its_uid_and_no_series() {
        let first = Study::new(Some(&header("45387_100_200_7")), "");
        let second = Study::new(Some(&header("45387_100_200_8")), "");
        let other = Study::new(Some(&header("45387_100_201_7")), "");
        assert_eq!(first.study_uid, second.study_uid);
        assert_eq!(first.frame_of_reference_uid, second.frame_of_reference_uid);
        assert_ne!(first.study_uid, other.study_uid);
        assert_ne!(first.series_uid(1, "MR"), second.series_uid(1, "MR"));
        assert_ne!(first.series_uid(1, "MR"), first.series_uid(2, "MR"));
        assert_ne!(first.series_uid(1, "MR"), first.series_uid(1, "color"));
        let again = Study::new(Some(&header("45387_100_200_7")), "");
        assert_eq!(first.series_uid(1, "MR"), again.series_uid(1, "MR"), "a resend");
        let replayed = Study::new(Some(&header("45387_100_200_7")), "session 8");
        assert_ne!(first.series_uid(1, "MR"), replayed.series_uid(1, "MR"), "another run");
        assert_eq!((first.series_number(2), second.series_number(2)), (702, 802));
    }

    #[test]
    fn uids_of_the_header_are_used_and_bad_ones_are_not() {
        let mut header = header("1");
        for (given, is_used) in [("1.2.3", true), ("no uid", false)] {
            header.study_information = Some(StudyInformation {
                study_instance_uid: Some(given.to_owned()),
                ..StudyInformation::default()
            });
            assert_eq!(Study::new(Some(&header), "").study_uid == given, is_used);
        }
        // Identifiers that everybody has make no study of different patients.
        let of = |measurement: &str, patient: &str| {
            let mut header = self::header(measurement);
            header.subject_information = Some(SubjectInformation {
                patient_id: Some(patient.to_owned()),
                ..SubjectInformation::default()
            });
            Study::new(Some(&header), "").study_uid
        };
        assert_ne!(of("meas_12", "a"), of("meas_12", "b"));
        assert_ne!(of("45387_100_200_7", "a"), of("45387_100_200_7", "b"));
        let mut header = self::header("meas_12");
        header.study_information = Some(StudyInformation {
            study_id: Some("1".to_owned()),
            ..StudyInformation::default()
        });
        let anonymous = |run: &str| Study::new(Some(&header), run).study_uid;
        assert_ne!(anonymous("session 1"), anonymous("session 2"));
        let nothing = Study::new(None, "a");
        assert_ne!(nothing.study_uid, Study::new(None, "b").study_uid, "not one study for all");
    }

    #[test]
    fn time_stamps_are_times_of_day_where_they_are_known_to_be() {
        let mut study = Study::new(Some(&header("1")), "");
        assert_eq!(study.acquisition_time(4000), None);
        study.header.acquisition_system_information = Some(AcquisitionSystemInformation {
            system_vendor: Some("SIEMENS".to_owned()),
            ..AcquisitionSystemInformation::default()
        });
        assert_eq!(study.acquisition_time(17_000_001).as_deref(), Some("114820.002000"));
        assert_eq!(study.acquisition_time(u32::MAX), None);
    }
}
