//! What about a scan will trip a reconstruction: one sentence each.

use serde::Serialize;

use super::report::{EncodingReport, Report, limits_in_order};
use super::{COUNTER_NAMES, EncodingSeen, Survey};
use crate::xml::{Encoding, Trajectory};
use crate::{AcquisitionFlags, Header};

/// Something that will trip a reconstruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind it is, for programs.
    pub kind: &'static str,
    /// One sentence, for people.
    pub message: String,
}

/// Gathers warnings.
struct Found(Vec<Warning>);

impl Found {
    fn add(&mut self, kind: &'static str, message: String) {
        self.0.push(Warning { kind, message });
    }
}

/// All warnings, the whole scan's first.
pub(super) fn find(survey: &Survey, header: Option<&Header>, report: &Report) -> Vec<Warning> {
    let mut found = Found(Vec::new());
    check_header(header, &mut found);
    check_samples(survey, &mut found);
    check_flags(survey, header, &mut found);
    check_noise(survey, header, &mut found);
    check_times(survey, report, &mut found);
    for encoding in &report.encodings {
        let Some(seen) = survey.encodings.get(&encoding.encoding) else { continue };
        let own = header.and_then(|header| header.encoding.get(usize::from(encoding.encoding)));
        let mut check = EncodingCheck { encoding, seen, header: own, found: &mut found };
        check.all(header);
    }
    check_images(survey, &mut found);
    found.0
}

fn check_header(header: Option<&Header>, found: &mut Found) {
    let Some(header) = header else {
        found.add("no_header", "there is no XML header, so matrix and limits are unknown".into());
        return;
    };
    let measurement = header.measurement_information.as_ref();
    if measurement.is_some_and(|measurement| measurement.patient_position.is_none()) {
        let message = "the header has no patientPosition; the C++ library refuses it";
        found.add("no_patient_position", message.into());
    }
}

fn check_samples(survey: &Survey, found: &mut Found) {
    if survey.n_readouts == 0 {
        return;
    }
    if survey.n_readouts > survey.n_noise && !survey.has_signal {
        found.add("all_zero", "every sample that was looked at is 0".into());
    }
    if let Some(scan_counter) = survey.first_not_finite {
        let message = format!(
            "readout {scan_counter} has samples that are infinite or no numbers; they spread \
             over the whole image"
        );
        found.add("not_finite", message);
    }
    if survey.n_without_directions > 0 {
        let message = format!(
            "{} readouts have directions of length 0, so their images have no orientation",
            survey.n_without_directions
        );
        found.add("no_directions", message);
    }
    if survey.n_not_told_apart > 0 {
        let message = format!("{} messages are of too many kinds", survey.n_not_told_apart);
        found.add("too_many_kinds", message);
    }
}

fn check_flags(survey: &Survey, header: Option<&Header>, found: &mut Found) {
    let ends = AcquisitionFlags::LAST_IN_SLICE.union(AcquisitionFlags::LAST_IN_REPETITION);
    if survey.encodings.values().any(|seen| seen.n_imaging > 0) && survey.flags.of(ends) == 0 {
        let message = "no readout is the last of its slice or repetition, so images come only \
                       when the scan is closed";
        found.add("no_last_flags", message.into());
    }
    let special = [
        (AcquisitionFlags::IS_NAVIGATION_DATA, "navigator"),
        (AcquisitionFlags::IS_DUMMYSCAN_DATA, "dummy"),
        (AcquisitionFlags::IS_HPFEEDBACK_DATA, "feedback"),
        (AcquisitionFlags::IS_RTFEEDBACK_DATA, "real-time feedback"),
        (AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA, "surface-coil correction"),
        (AcquisitionFlags::IS_PHASE_STABILIZATION_REFERENCE, "phase-stabilisation reference"),
        (AcquisitionFlags::IS_PHASE_STABILIZATION, "phase-stabilisation"),
    ];
    for (flag, name) in special {
        let count = survey.flags_of_others.of(flag);
        if count > 0 {
            let message = format!(
                "the scan has {count} {name} readouts, which are no part of the image and have to \
                 be left out"
            );
            found.add("not_imaging", message);
        }
    }
    let is_epi = header
        .is_some_and(|header| header.encoding.iter().any(|e| e.trajectory == Trajectory::Epi));
    if is_epi && survey.flags.of(AcquisitionFlags::IS_PHASECORR_DATA) == 0 {
        let message = "the header says epi, but there are no phase-correction readouts, so ghosts \
                       will stay";
        found.add("no_phase_correction", message.into());
    }
}

fn check_noise(survey: &Survey, header: Option<&Header>, found: &mut Found) {
    let channels = survey.encodings.values().map(|seen| seen.lengths.channels.largest()).max();
    let channels = channels.unwrap_or(0);
    let Some(noise) = &survey.noise else {
        let measurement = header.and_then(|header| header.measurement_information.as_ref());
        let is_elsewhere = measurement.is_some_and(|measurement| {
            let mut dependencies = measurement.measurement_dependency.iter();
            dependencies.any(|d| d.dependency_type.eq_ignore_ascii_case("noise"))
        });
        if channels > 1 && is_elsewhere {
            let message = "the noise scan is another measurement, which has to be stored here";
            found.add("noise_elsewhere", message.into());
        } else if channels > 1 {
            let message = format!(
                "{channels} channels and no noise scan, so they are combined with unknown weights"
            );
            found.add("no_noise", message);
        }
        return;
    };
    if channels > 0 && noise.channels.largest() != channels {
        let message = format!(
            "the noise scan has {} channels, the image {channels}",
            noise.channels.largest()
        );
        found.add("noise_channels", message);
    }
}

fn check_times(survey: &Survey, report: &Report, found: &mut Found) {
    if survey.n_readouts > 1 && report.duration_s.is_none() {
        let message = "all readouts have the same time stamp, so nothing can be sorted by time";
        found.add("no_time_stamps", message.into());
    }
    let no_time = |range: &super::tally::Range<f32>| range.get().is_some_and(|(low, _)| low <= 0.0);
    if survey.encodings.values().any(|seen| no_time(&seen.lengths.sample_time_us)) {
        let message = "the time between samples is 0, so noise cannot be scaled to the scan";
        found.add("no_sample_time", message.into());
    }
}

fn check_images(survey: &Survey, found: &mut Found) {
    for (series, images) in survey.images.iter().filter(|(_, images)| images.varies) {
        let message = format!(
            "series {series} has {} images of different shape or type; files hold one per series",
            images.n_images
        );
        found.add("images_vary", message);
    }
}

/// What concerns one encoding space.
struct EncodingCheck<'a> {
    encoding: &'a EncodingReport,
    seen: &'a EncodingSeen,
    header: Option<&'a Encoding>,
    found: &'a mut Found,
}

impl EncodingCheck<'_> {
    fn all(&mut self, header: Option<&Header>) {
        match self.header {
            Some(own) => {
                self.check_fields_of_view(own);
                self.check_limits(own);
                self.check_samples(own);
                self.check_trajectory(own);
                self.check_acceleration(own);
            }
            None if header.is_some() => self.add(
                "unknown_encoding",
                "its readouts refer to an encoding that the header does not have".into(),
            ),
            None => {}
        }
        self.check_lengths(header);
        self.check_lines();
    }

    fn add(&mut self, kind: &'static str, message: String) {
        self.found.add(kind, format!("encoding {}: {message}", self.encoding.encoding));
    }

    fn check_fields_of_view(&mut self, own: &Encoding) {
        for (space, name) in [(own.encoded_space, "encoded"), (own.recon_space, "image's")] {
            let extent = space.field_of_view_mm;
            let matrix = space.matrix_size;
            let extents = [extent.x, extent.y, extent.z];
            let sizes = [matrix.x, matrix.y, matrix.z].map(f32::from);
            if extents.iter().any(|mm| !(mm.is_finite() && *mm > 0.0)) {
                let message = format!(
                    "the {name} field of view is {} × {} × {} mm",
                    extent.x, extent.y, extent.z
                );
                self.add("field_of_view", message);
            } else if extents == sizes {
                let message = format!(
                    "the {name} field of view in mm is the matrix size, which looks like a \
                     placeholder"
                );
                self.add("placeholder_field_of_view", message);
                return;
            } else if extent.x < 2.0 && extent.y < 2.0 {
                let message = format!(
                    "the {name} field of view is {} × {} mm, probably meant in m",
                    extent.x, extent.y
                );
                self.add("field_of_view_unit", message);
                return;
            }
        }
    }

    fn check_limits(&mut self, own: &Encoding) {
        let limits = limits_in_order(&own.encoding_limits);
        let seen = self.seen.counters;
        for ((name, seen), limit) in COUNTER_NAMES.into_iter().zip(seen).zip(limits) {
            let Some((smallest, largest)) = seen.get() else { continue };
            match limit {
                Some(limit) if largest > limit.maximum || smallest < limit.minimum => {
                    let message = format!(
                        "{name} runs from {smallest} to {largest}, the header's limits are {} to \
                         {}",
                        limit.minimum, limit.maximum
                    );
                    self.add("beyond_limit", message);
                }
                None if seen.varies() => {
                    let message = format!(
                        "{name} runs from {smallest} to {largest}, the header has no limit for it"
                    );
                    self.add("no_limit", message);
                }
                _ => {}
            }
        }
        let lines = own.encoding_limits.kspace_encoding_step_1;
        if let Some(limit) = lines.filter(|limit| limit.center > limit.maximum) {
            let message = format!(
                "the central line {} lies behind the last one, {}",
                limit.center, limit.maximum
            );
            self.add("center_beyond_limit", message);
        }
    }

    fn check_samples(&mut self, own: &Encoding) {
        let Some((_, samples)) = self.seen.lengths.samples.get() else { return };
        // Echo-planar readouts have samples on the ramps, more than the grid has points.
        if own.trajectory != Trajectory::Cartesian {
            return;
        }
        let encoded = own.encoded_space.matrix_size.x;
        let recon = own.recon_space.matrix_size.x;
        let used = self.seen.used_samples.largest();
        let ratio = self.encoding.oversampling.unwrap_or(1.0);
        if used > encoded {
            let message = format!("{used} samples are more than the encoded matrix {encoded}");
            self.add("too_many_samples", message);
        } else if ratio > 1.5 && used <= recon && f32::from(encoded) > 1.5 * f32::from(used) {
            let message = format!(
                "{used} samples of an encoded matrix {encoded}: oversampling is removed already, \
                 but the header says {ratio:.1}"
            );
            self.add("oversampling_removed", message);
        }
        if f32::from(recon) > f32::from(encoded) / ratio + 1.0 {
            let message = format!(
                "the image is {recon} wide and {:.0} are encoded, so it has to be interpolated",
                f32::from(encoded) / ratio
            );
            self.add("interpolated", message);
        }
        let Some((_, center)) = self.seen.center_sample.get() else { return };
        let expected = samples / 2;
        // Even vendors differ by a sample or two about where the middle is.
        if center.abs_diff(expected) > 2 {
            let fraction = 100.0 * self.encoding.echo_fraction.unwrap_or(1.0);
            let message = format!(
                "the centre of k-space is sample {center} of {samples}: an asymmetric echo of \
                 {fraction:.0} %"
            );
            self.add("asymmetric_echo", message);
        }
    }

    fn check_trajectory(&mut self, own: &Encoding) {
        if own.trajectory == Trajectory::Epi && self.seen.n_imaging > 0 {
            let message = "an echo-planar scan: its readouts have to be regridded and corrected for \
                           their phase, which plain Cartesian chains do not do";
            self.add("echo_planar", message.into());
        }
        let needs = matches!(
            own.trajectory,
            Trajectory::Spiral | Trajectory::Radial | Trajectory::GoldenAngle
        );
        if needs && self.encoding.trajectory_dimensions == 0 {
            let described = match &own.trajectory_description {
                Some(_) => "it has to be computed from the header's description",
                None => "and the header does not describe it",
            };
            let message = format!(
                "the header says {}, but the readouts carry no trajectory; {described}",
                own.trajectory
            );
            self.add("no_trajectory", message);
        }
    }

    fn check_acceleration(&mut self, own: &Encoding) {
        let Some([step_1, step_2]) = self.encoding.acceleration else { return };
        let is_external = own
            .parallel_imaging
            .as_ref()
            .and_then(|parallel| parallel.calibration_mode)
            .is_some_and(|mode| {
                use crate::xml::CalibrationMode::{External, Interleaved};
                matches!(mode, External | Interleaved)
            });
        if step_1.max(step_2) > 1 && self.seen.n_calibration == 0 && !is_external {
            let message =
                format!("undersampled {step_1} × {step_2} without readouts for calibration");
            self.add("no_calibration", message);
        }
    }

    fn check_lengths(&mut self, header: Option<&Header>) {
        let lengths = &self.seen.lengths;
        if let Some((low, high)) = lengths.samples.get().filter(|(low, high)| low != high) {
            let message = format!("readouts have {low} to {high} samples");
            self.add("samples_vary", message);
        }
        if let Some((low, high)) = lengths.channels.get().filter(|(low, high)| low != high) {
            let message = format!("readouts have {low} to {high} channels");
            self.add("channels_vary", message);
        }
        let system = header.and_then(|header| header.acquisition_system_information.as_ref());
        let promised = system.and_then(|system| system.receiver_channels);
        let channels = lengths.channels.largest();
        if let Some(promised) = promised.filter(|promised| *promised != channels) {
            let message = format!("{channels} channels, the header says {promised}");
            self.add("channels_differ", message);
        }
        if self.seen.trajectory_dimensions.varies() {
            let message = "some readouts carry a trajectory and some do not".to_owned();
            self.add("trajectory_varies", message);
        }
    }

    fn check_lines(&mut self) {
        let missing = &self.encoding.missing_lines;
        if let Some(first) = missing.first() {
            let total: usize = missing.iter().map(|missing| missing.count).sum();
            let message = format!(
                "{total} lines within the limits never came, in slice {} lines {}",
                first.slice, first.lines
            );
            self.add("missing_lines", message);
        }
        if self.seen.lines.is_full() || self.seen.per_image.is_full() {
            self.add("too_many_images", "too many slices and images to watch each".into());
        }
        let most = self.seen.per_image.iter().max_by_key(|(_, count)| *count);
        let least = self.seen.per_image.iter().min_by_key(|(_, count)| *count);
        if let (Some((_, most)), Some((image, least))) = (most, least)
            && least < most
        {
            let [slice, contrast, phase, repetition, set] = image;
            let message = format!(
                "images have {least} to {most} readouts; the fewest are in slice {slice}, contrast \
                 {contrast}, phase {phase}, repetition {repetition}, set {set}"
            );
            self.add("uneven_images", message);
        }
    }
}
