//! Headers and meta attributes of reconstructed series, as Gadgetron's generic reconstruction
//! writes them.

use ismrmrd::xml::{EncodingLimits, Limit};
use ismrmrd::{AcquisitionHeader, ImageHeader, ImageType, KSpaceBuffer, Meta, SamplingLimit};
use ndarray::{Array3, ArrayD, s};
use num_complex::Complex32;
use pipeline::{Counter, ImageRole, ImageSeries, Scan};

use crate::image_headers::{central_line, image_header};
use crate::lines::{BufferShape, headers_of, was_read};
use crate::sampled_images::{SKIP_FIELD, is_filtered};

/// What all images of a scan have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Describer {
    /// Images along repetition, set, cardiac phase, contrast and slice, of each encoding space.
    counts: Vec<[u64; 5]>,
    /// Attributes from the scan's header.
    scan_meta: Meta,
}

/// Headers and attributes of the images of one buffer.
pub(crate) struct Description {
    /// `[slice, s, n]`.
    headers: Array3<ImageHeader>,
    meta: Vec<Meta>,
}

impl Describer {
    pub(crate) fn new(scan: &Scan) -> Self {
        let Some(header) = &scan.header else { return Self::default() };
        let mut meta = Meta::new();
        let measurement = header.measurement_information.as_ref();
        let study = header.study_information.as_ref();
        let subject = header.subject_information.as_ref();
        let system = header.acquisition_system_information.as_ref();
        let id = measurement.and_then(|measurement| measurement.measurement_id.clone());
        // Siemens: device, patient, study and measurement, joined by `_`.
        let number = id.as_deref().and_then(|id| id.rsplit('_').next()).map(str::to_owned);
        for (key, value) in [
            ("measurementNumber", number),
            ("measurementID", id),
            ("protocolName", measurement.and_then(|m| m.protocol_name.clone())),
            ("patientID", subject.and_then(|subject| subject.patient_id.clone())),
            ("studyID", study.and_then(|study| study.study_id.clone())),
            ("deviceID", system.and_then(|system| system.device_id.clone())),
            (
                "patient_position",
                measurement.and_then(|m| m.patient_position).map(|p| p.as_str().to_owned()),
            ),
        ] {
            if let Some(value) = value {
                meta.set(key, value);
            }
        }
        let counts = header.encoding.iter().map(|encoding| counts(&encoding.encoding_limits));
        Self { counts: counts.collect(), scan_meta: meta }
    }

    /// Describes one image for each `[slice, s, n]` of the buffer, of `matrix_size` `[x, y, z]`.
    pub(crate) fn describe(
        &self,
        buffer: &KSpaceBuffer,
        shape: BufferShape,
        encoding_space: usize,
    ) -> Description {
        let [z, y, x] = shape.k_space.map(clamp);
        let common = self.common(buffer, encoding_space);
        let mut meta = Vec::with_capacity(shape.outer.iter().product());
        let headers = Array3::from_shape_fn(shape.outer, |place| {
            let image = place.into();
            let line = central_line(buffer, image);
            let mut header = ImageHeader {
                physiology_time_stamp: line.physiology_time_stamp,
                user_int: line.user_int,
                user_float: line.user_float,
                channels: 1,
                image_type: ImageType::Magnitude as u16,
                ..image_header(&line, &buffer.sampling, [x, y, z])
            };
            header.image_index = self.image_index(&header, encoding_space);
            let mut of_image = common.clone();
            describe_image(&mut of_image, buffer, image, &line, &header);
            meta.push(of_image);
            header
        });
        Description { headers, meta }
    }

    /// Attributes that all images of a buffer share.
    fn common(&self, buffer: &KSpaceBuffer, encoding_space: usize) -> Meta {
        let sampling = &buffer.sampling;
        let mut meta = self.scan_meta.clone();
        meta.set("encoding", encoding_space);
        meta.set_all("encoding_FOV", sampling.encoded_field_of_view_mm);
        meta.set_all("recon_FOV", sampling.recon_field_of_view_mm);
        meta.set_all("encoded_matrix", sampling.encoded_matrix_size);
        meta.set_all("recon_matrix", sampling.recon_matrix_size);
        for (key, limit) in ["sampling_limits_RO", "sampling_limits_E1", "sampling_limits_E2"]
            .into_iter()
            .zip(sampling.limits)
        {
            let SamplingLimit { min, center, max } = limit;
            meta.set_all(key, [min, center, max]);
        }
        meta
    }

    /// Gadgetron's number of an image: average > repetition > set > cardiac phase > contrast >
    /// slice, from 1. It has 16 bits and wraps, as Gadgetron's does.
    fn image_index(&self, header: &ImageHeader, encoding_space: usize) -> u16 {
        let counts = self.counts.get(encoding_space).copied().unwrap_or([1; 5]);
        let counters = [header.repetition, header.set, header.phase, header.contrast, header.slice];
        let index = counters
            .into_iter()
            .zip(counts)
            .fold(u64::from(header.average), |index, (counter, count)| {
                index.wrapping_mul(count).wrapping_add(u64::from(counter))
            });
        index.wrapping_add(1) as u16
    }
}

impl Description {
    /// Of the first images along each axis: for maps that several images share.
    pub(crate) fn first_of(&self, outer: [usize; 3]) -> Self {
        let mut meta = self.meta.iter();
        let mut kept = Vec::new();
        for (place, _) in self.headers.indexed_iter() {
            let of_image = meta.next();
            if place.0 < outer[0] && place.1 < outer[1] && place.2 < outer[2] {
                kept.extend(of_image.cloned());
            }
        }
        let headers = self.headers.slice(s![..outer[0], ..outer[1], ..outer[2]]).to_owned();
        Self { headers, meta: kept }
    }

    /// The series of these images: `data` is `[slice, s, n, 1, z, y, x]`.
    pub(crate) fn series(
        &self,
        role: ImageRole,
        image_series: i64,
        data: ArrayD<Complex32>,
        [s, n]: [Option<Counter>; 2],
    ) -> ImageSeries {
        let mut headers = self.headers.clone();
        // Gadgetron's fields have 16 bits too.
        headers.iter_mut().for_each(|header| header.image_series_index = image_series as u16);
        let mut meta = self.meta.clone();
        for (meta, header) in meta.iter_mut().zip(&headers) {
            role.write(meta);
            meta.set("GADGETRON_ImageNumber", header.image_index);
            if !role.is_image() {
                meta.append("GADGETRON_ImageComment", role.gadgetron_name());
                meta.append("GADGETRON_SeqDescription", role.gadgetron_name());
            }
            if !is_filtered(role) {
                meta.set(SKIP_FIELD, 1);
            }
        }
        ImageSeries {
            role,
            s,
            n,
            data,
            headers,
            meta,
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: None,
        }
    }
}

fn describe_image(
    meta: &mut Meta,
    buffer: &KSpaceBuffer,
    image: [usize; 3],
    line: &AcquisitionHeader,
    header: &ImageHeader,
) {
    for (key, vector) in [
        ("PatientPosition", header.position),
        ("read_dir", header.read_dir),
        ("phase_dir", header.phase_dir),
        ("slice_dir", header.slice_dir),
        ("patient_table_position", header.patient_table_position),
    ] {
        meta.set_all(key, vector);
    }
    meta.set("acquisition_time_stamp", line.acquisition_time_stamp);
    meta.set_all("physiology_time_stamp", line.physiology_time_stamp);
    let lines = headers_of(buffer, image);
    let range = |of: fn(&AcquisitionHeader) -> u32| {
        lines.iter().filter(|line| was_read(line)).map(of).fold(None, |range, value| {
            let (first, last) = range.unwrap_or((value, value));
            Some((value.min(first), value.max(last)))
        })
    };
    for (key, range) in [
        ("acquisition_time_range", range(|line| line.acquisition_time_stamp)),
        ("physiology_time_range", range(|line| line.physiology_time_stamp[0])),
    ] {
        if let Some((first, last)) = range {
            meta.set_all(key, [first, last]);
        }
    }
    for (number, value) in { header.user_int }.into_iter().enumerate() {
        meta.set(&format!("user_int_{number}"), value);
    }
    for (number, value) in { header.user_float }.into_iter().enumerate() {
        meta.set(&format!("user_float_{number}"), value);
    }
}

fn counts(limits: &EncodingLimits) -> [u64; 5] {
    let count = |limit: Option<Limit>| u64::from(limit.map_or(0, |limit| limit.maximum)) + 1;
    [
        count(limits.repetition),
        count(limits.set),
        count(limits.phase),
        count(limits.contrast),
        count(limits.slice),
    ]
}

fn clamp(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_images_nest_the_counters_and_begin_at_1() {
        let describer = Describer { counts: vec![[5, 3, 4, 2, 6]], scan_meta: Meta::new() };
        let header = ImageHeader {
            repetition: 2,
            set: 1,
            phase: 3,
            contrast: 1,
            slice: 4,
            ..ImageHeader::default()
        };
        let expected = ((((2 * 3) + 1) * 4 + 3) * 2 + 1) * 6 + 4 + 1;
        assert_eq!(describer.image_index(&header, 0), expected);
        let next_average = ImageHeader { average: 1, ..header };
        assert_eq!(describer.image_index(&next_average, 0), expected + 5 * 3 * 4 * 2 * 6);
        // An encoding space that the header does not know.
        assert_eq!(describer.image_index(&ImageHeader::default(), 7), 1);
    }
}
