//! The records of the files as HDF5 sees them, and whether a file has such records.

use ::hdf5::H5Type;
use ::hdf5::types::{TypeDescriptor, VarLenArray};

use crate::{
    AcquisitionFlags, AcquisitionHeader, EncodingCounters, ImageFlags, ImageHeader, WaveformHeader,
};

/// Declares a header with the alignment of C. The headers themselves are packed, and HDF5's
/// description of a type is derived for aligned ones only.
macro_rules! aligned {
    ($aligned:ident of $header:ident { $($field:ident: $type:ty,)* }) => {
        #[doc = concat!("[`", stringify!($header), "`] with the alignment of C.")]
        #[derive(Clone, Copy, H5Type)]
        #[repr(C)]
        pub(super) struct $aligned {
            $($field: $type,)*
        }

        impl From<$header> for $aligned {
            fn from(header: $header) -> Self {
                Self { $($field: header.$field,)* }
            }
        }

        impl From<$aligned> for $header {
            fn from(aligned: $aligned) -> Self {
                let mut header = Self::default();
                $(header.$field = aligned.$field;)*
                header
            }
        }
    };
}

aligned! {
    AcquisitionHead of AcquisitionHeader {
        version: u16,
        flags: AcquisitionFlags,
        measurement_uid: u32,
        scan_counter: u32,
        acquisition_time_stamp: u32,
        physiology_time_stamp: [u32; 3],
        number_of_samples: u16,
        available_channels: u16,
        active_channels: u16,
        channel_mask: [u64; 16],
        discard_pre: u16,
        discard_post: u16,
        center_sample: u16,
        encoding_space_ref: u16,
        trajectory_dimensions: u16,
        sample_time_us: f32,
        position: [f32; 3],
        read_dir: [f32; 3],
        phase_dir: [f32; 3],
        slice_dir: [f32; 3],
        patient_table_position: [f32; 3],
        idx: EncodingCounters,
        user_int: [i32; 8],
        user_float: [f32; 8],
    }
}

aligned! {
    ImageHead of ImageHeader {
        version: u16,
        data_type: u16,
        flags: ImageFlags,
        measurement_uid: u32,
        matrix_size: [u16; 3],
        field_of_view: [f32; 3],
        channels: u16,
        position: [f32; 3],
        read_dir: [f32; 3],
        phase_dir: [f32; 3],
        slice_dir: [f32; 3],
        patient_table_position: [f32; 3],
        average: u16,
        slice: u16,
        contrast: u16,
        phase: u16,
        repetition: u16,
        set: u16,
        acquisition_time_stamp: u32,
        physiology_time_stamp: [u32; 3],
        image_type: u16,
        image_index: u16,
        image_series_index: u16,
        user_int: [i32; 8],
        user_float: [f32; 8],
        attribute_string_len: u32,
    }
}

aligned! {
    WaveformHead of WaveformHeader {
        version: u16,
        flags: u64,
        measurement_uid: u32,
        scan_counter: u32,
        time_stamp: u32,
        number_of_samples: u16,
        channels: u16,
        sample_time_us: f32,
        waveform_id: u16,
    }
}

/// The member `head` of a record.
#[derive(Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct HeadOf<H: H5Type> {
    pub head: H,
}

/// The member `data` of a record.
#[derive(H5Type)]
#[repr(C)]
pub(super) struct DataOf<T: H5Type + Copy> {
    pub data: VarLenArray<T>,
}

/// The member `traj` of a record.
#[derive(H5Type)]
#[repr(C)]
pub(super) struct TrajectoryOf {
    pub traj: VarLenArray<f32>,
}

/// A readout. Its samples are real and imaginary parts in turn.
#[derive(H5Type)]
#[repr(C)]
pub(super) struct AcquisitionRow {
    pub head: AcquisitionHead,
    pub traj: VarLenArray<f32>,
    pub data: VarLenArray<f32>,
}

/// A waveform.
#[derive(H5Type)]
#[repr(C)]
pub(super) struct WaveformRow {
    pub head: WaveformHead,
    pub data: VarLenArray<u32>,
}

/// The members of `wanted` that a file's type lacks.
///
/// # Errors
/// A sentence about a member that HDF5 cannot convert.
pub(super) fn missing_members(
    file: &TypeDescriptor,
    wanted: &TypeDescriptor,
) -> Result<Vec<String>, String> {
    let mut missing = Vec::new();
    compare(file, wanted, "", &mut missing)?;
    Ok(missing)
}

fn compare(
    file: &TypeDescriptor,
    wanted: &TypeDescriptor,
    member: &str,
    missing: &mut Vec<String>,
) -> Result<(), String> {
    use TypeDescriptor::{Compound, FixedArray, VarLenArray};
    match (file, wanted) {
        _ if is_number(file) && is_number(wanted) => Ok(()),
        (FixedArray(file, found), FixedArray(wanted, expected)) if found == expected => {
            compare(file, wanted, member, missing)
        }
        (VarLenArray(file), VarLenArray(wanted)) => compare(file, wanted, member, missing),
        (Compound(file), Compound(wanted)) => {
            for field in &wanted.fields {
                let member = match member {
                    "" => field.name.clone(),
                    member => format!("{member}.{}", field.name),
                };
                match file.fields.iter().find(|found| found.name == field.name) {
                    Some(found) => compare(&found.ty, &field.ty, &member, missing)?,
                    None => missing.push(member),
                }
            }
            Ok(())
        }
        _ => {
            let member = if member.is_empty() {
                "the record".to_owned()
            } else {
                format!("member `{member}`")
            };
            Err(format!("{member} is {}, expected {}", described(file), described(wanted)))
        }
    }
}

fn is_number(kind: &TypeDescriptor) -> bool {
    use TypeDescriptor::{Float, Integer, Unsigned};
    matches!(kind, Integer(_) | Unsigned(_) | Float(_))
}

/// A type in words.
pub(super) fn described(kind: &TypeDescriptor) -> String {
    use TypeDescriptor as T;
    match kind {
        T::Integer(size) => format!("a signed number of {} bytes", *size as usize),
        T::Unsigned(size) => format!("an unsigned number of {} bytes", *size as usize),
        T::Float(size) => format!("a float of {} bytes", *size as usize),
        T::Boolean | T::Enum(_) => "an enumeration".to_owned(),
        T::Compound(_) => "a record".to_owned(),
        T::FixedArray(kind, count) => format!("a list of {count}, each {}", described(kind)),
        T::VarLenArray(kind) => format!("a list of any length, each {}", described(kind)),
        T::FixedAscii(_) | T::FixedUnicode(_) | T::VarLenAscii | T::VarLenUnicode => {
            "a text".to_owned()
        }
        T::Reference(_) => "a reference".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(H5Type)]
    #[repr(C)]
    struct Odd {
        head: OddHead,
        data: VarLenArray<f64>,
    }

    #[derive(H5Type)]
    #[repr(C)]
    struct OddHead {
        version: f32,
        user_int: [i32; 4],
    }

    #[test]
    fn what_a_file_lacks_and_what_cannot_be_read_is_named() {
        let file = HeadOf::<OddHead>::type_descriptor();
        let wanted = HeadOf::<AcquisitionHead>::type_descriptor();
        assert_eq!(
            missing_members(&file, &wanted).unwrap_err(),
            "member `head.user_int` is a list of 4, each a signed number of 4 bytes, expected \
             a list of 8, each a signed number of 4 bytes"
        );
        let missing = missing_members(&Odd::type_descriptor(), &DataOf::<f32>::type_descriptor());
        assert_eq!(missing.unwrap(), Vec::<String>::new());
        let missing =
            missing_members(&Odd::type_descriptor(), &TrajectoryOf::type_descriptor()).unwrap();
        assert_eq!(missing, ["traj"]);
        assert_eq!(
            missing_members(&f32::type_descriptor(), &wanted).unwrap_err(),
            "the record is a float of 4 bytes, expected a record"
        );
    }
}
