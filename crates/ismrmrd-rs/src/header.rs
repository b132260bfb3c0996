//! The fixed-size headers in front of readouts, images and waveforms.
//!
//! Their memory is their wire form (little endian, the C++ library's layout), so that a
//! header is read and written by copying 340, 198 or 40 bytes.

use bytemuck::{Pod, Zeroable};

use crate::flags::{AcquisitionFlags, ImageFlags};

#[cfg(target_endian = "big")]
compile_error!("the MRD wire format is little endian and this crate copies headers as they are");

/// Channels that [`AcquisitionHeader::channel_mask`] can name.
pub const MAX_CHANNELS: usize = 1024;

/// Counters that say where a readout belongs. 34 bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[cfg_attr(feature = "hdf5", derive(::hdf5::H5Type))]
#[repr(C)]
pub struct EncodingCounters {
    /// Phase-encoding line.
    pub kspace_encode_step_1: u16,
    /// Partition of a 3D scan.
    pub kspace_encode_step_2: u16,
    /// Signal average.
    pub average: u16,
    /// Slice.
    pub slice: u16,
    /// Echo of a multi-echo scan.
    pub contrast: u16,
    /// Cardiac phase.
    pub phase: u16,
    /// Repetition of a dynamic scan.
    pub repetition: u16,
    /// Set, e.g. the flow encoding or the inversion time.
    pub set: u16,
    /// Segment of a segmented scan.
    pub segment: u16,
    /// Free for the sequence's own use.
    pub user: [u16; 8],
}

/// Header of one readout. 340 bytes on the wire.
///
/// Packed, as the C++ library has it: copy a field before you borrow it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, packed(2))]
pub struct AcquisitionHeader {
    /// Version of the format, 1.
    pub version: u16,
    /// Bit N-1 is flag N: see [`AcquisitionFlags`].
    pub flags: AcquisitionFlags,
    /// Identifies the measurement.
    pub measurement_uid: u32,
    /// Number of this readout in the measurement.
    pub scan_counter: u32,
    /// Clock at the readout, in ticks of 2.5 ms on Siemens scanners.
    pub acquisition_time_stamp: u32,
    /// Time since the last trigger of ECG, pulse and respiration, in the same ticks.
    pub physiology_time_stamp: [u32; 3],
    /// Samples per channel.
    pub number_of_samples: u16,
    /// Channels of the scanner.
    pub available_channels: u16,
    /// Channels in this readout.
    pub active_channels: u16,
    /// Channel c is bit c % 64 of word c / 64.
    pub channel_mask: [u64; 16],
    /// Samples to ignore at the beginning.
    pub discard_pre: u16,
    /// Samples to ignore at the end.
    pub discard_post: u16,
    /// Index of the sample at the centre of k-space.
    pub center_sample: u16,
    /// Index into the header's encodings.
    pub encoding_space_ref: u16,
    /// Numbers per sample in the trajectory, 0 for none.
    pub trajectory_dimensions: u16,
    /// Time between two samples, µs.
    pub sample_time_us: f32,
    /// Centre of the excited volume, LPS, mm.
    pub position: [f32; 3],
    /// Direction of the readout, unit vector.
    pub read_dir: [f32; 3],
    /// Direction of phase encoding, unit vector.
    pub phase_dir: [f32; 3],
    /// Direction of the slice normal, unit vector.
    pub slice_dir: [f32; 3],
    /// Table position, mm.
    pub patient_table_position: [f32; 3],
    /// Counters.
    pub idx: EncodingCounters,
    /// Free for the sequence's own use.
    pub user_int: [i32; 8],
    /// Free for the sequence's own use.
    pub user_float: [f32; 8],
}

/// Header of one image. 198 bytes on the wire.
///
/// Packed, as the C++ library has it: copy a field before you borrow it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, packed(2))]
pub struct ImageHeader {
    /// Version of the format, 1.
    pub version: u16,
    /// Code of the pixel type: see [`crate::DataType`].
    pub data_type: u16,
    /// Bit N-1 is flag N: see [`ImageFlags`].
    pub flags: ImageFlags,
    /// Identifies the measurement.
    pub measurement_uid: u32,
    /// Pixels along x, y, z.
    pub matrix_size: [u16; 3],
    /// Extent along x, y, z, mm.
    pub field_of_view: [f32; 3],
    /// Channels.
    pub channels: u16,
    /// Centre of the image, LPS, mm.
    pub position: [f32; 3],
    /// Direction of x, unit vector.
    pub read_dir: [f32; 3],
    /// Direction of y, unit vector.
    pub phase_dir: [f32; 3],
    /// Direction of z, unit vector.
    pub slice_dir: [f32; 3],
    /// Table position, mm.
    pub patient_table_position: [f32; 3],
    /// Signal average.
    pub average: u16,
    /// Slice.
    pub slice: u16,
    /// Echo of a multi-echo scan.
    pub contrast: u16,
    /// Cardiac phase.
    pub phase: u16,
    /// Repetition of a dynamic scan.
    pub repetition: u16,
    /// Set.
    pub set: u16,
    /// Clock at the readout that the image is stamped with, in ticks of 2.5 ms on Siemens scanners.
    pub acquisition_time_stamp: u32,
    /// Time since the last trigger of ECG, pulse and respiration, in the same ticks.
    pub physiology_time_stamp: [u32; 3],
    /// Code of the kind of image: see [`crate::ImageType`].
    pub image_type: u16,
    /// Number of the image in its series, from 1.
    pub image_index: u16,
    /// Number of the series.
    pub image_series_index: u16,
    /// Free for the sequence's own use.
    pub user_int: [i32; 8],
    /// Free for the sequence's own use.
    pub user_float: [f32; 8],
    /// Bytes of the meta attributes. Set by the encoder; readers trust the length on the wire.
    pub attribute_string_len: u32,
}

impl ImageHeader {
    /// Header of an image that is stamped with this line: measurement, geometry, counters and
    /// time. Pixel type, matrix, field of view, channels, kind and series are the caller's.
    pub fn of_line(line: &AcquisitionHeader) -> Self {
        Self {
            measurement_uid: line.measurement_uid,
            position: line.position,
            read_dir: line.read_dir,
            phase_dir: line.phase_dir,
            slice_dir: line.slice_dir,
            patient_table_position: line.patient_table_position,
            average: line.idx.average,
            slice: line.idx.slice,
            contrast: line.idx.contrast,
            phase: line.idx.phase,
            repetition: line.idx.repetition,
            set: line.idx.set,
            acquisition_time_stamp: line.acquisition_time_stamp,
            ..Self::default()
        }
    }
}

/// Header of a stretch of physiological waveform. 40 bytes on the wire, padding included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct WaveformHeader {
    /// Version of the format, 1.
    pub version: u16,
    /// Padding.
    #[doc(hidden)]
    pub _padding_1: [u16; 3],
    /// Flags; none are defined.
    pub flags: u64,
    /// Identifies the measurement.
    pub measurement_uid: u32,
    /// Number of this waveform in the measurement.
    pub scan_counter: u32,
    /// Clock at the first sample, in ticks of 2.5 ms on Siemens scanners.
    pub time_stamp: u32,
    /// Samples per channel.
    pub number_of_samples: u16,
    /// Channels.
    pub channels: u16,
    /// Time between two samples, µs.
    pub sample_time_us: f32,
    /// 0 ECG, 1 pulse, 2 respiration, 3 and 4 external, from 1024 on the vendor's.
    pub waveform_id: u16,
    /// Padding.
    #[doc(hidden)]
    pub _padding_2: u16,
}

const _: () = {
    assert!(size_of::<EncodingCounters>() == 34);
    assert!(size_of::<AcquisitionHeader>() == 340);
    assert!(std::mem::offset_of!(AcquisitionHeader, flags) == 2);
    assert!(std::mem::offset_of!(AcquisitionHeader, channel_mask) == 40);
    assert!(std::mem::offset_of!(AcquisitionHeader, sample_time_us) == 178);
    assert!(std::mem::offset_of!(AcquisitionHeader, idx) == 242);
    assert!(std::mem::offset_of!(AcquisitionHeader, user_int) == 276);
    assert!(size_of::<ImageHeader>() == 198);
    assert!(std::mem::offset_of!(ImageHeader, matrix_size) == 16);
    assert!(std::mem::offset_of!(ImageHeader, position) == 36);
    assert!(std::mem::offset_of!(ImageHeader, acquisition_time_stamp) == 108);
    assert!(std::mem::offset_of!(ImageHeader, user_int) == 130);
    assert!(std::mem::offset_of!(ImageHeader, attribute_string_len) == 194);
    assert!(size_of::<WaveformHeader>() == 40);
    assert!(std::mem::offset_of!(WaveformHeader, time_stamp) == 24);
    assert!(std::mem::offset_of!(WaveformHeader, sample_time_us) == 32);
};

impl Default for AcquisitionHeader {
    /// All zero but the version and one channel, as a fresh header of the C++ library.
    fn default() -> Self {
        Self { version: 1, available_channels: 1, active_channels: 1, ..Self::zeroed() }
    }
}

impl AcquisitionHeader {
    /// Whether any flag of `flags` is set.
    pub fn has_any(&self, flags: AcquisitionFlags) -> bool {
        let own = self.flags;
        own.intersects(flags)
    }

    /// Sets all flags of `flags`.
    pub fn set_flags(&mut self, flags: AcquisitionFlags) {
        self.flags = self.flags.union(flags);
    }

    /// Clears all flags of `flags`.
    pub fn clear_flags(&mut self, flags: AcquisitionFlags) {
        self.flags = self.flags.without(flags);
    }

    /// Marks channels 0 to `n_channels` - 1 as active and no other.
    pub fn set_first_channels(&mut self, n_channels: u16) {
        let mut mask = [0_u64; 16];
        for channel in 0..usize::from(n_channels).min(MAX_CHANNELS) {
            mask[channel / 64] |= 1 << (channel % 64);
        }
        self.channel_mask = mask;
        self.active_channels = n_channels;
    }
}

impl Default for ImageHeader {
    /// All zero but the version, one channel and a matrix of 0 × 1 × 1, as a fresh header of
    /// the C++ library.
    fn default() -> Self {
        Self { version: 1, matrix_size: [0, 1, 1], channels: 1, ..Self::zeroed() }
    }
}
