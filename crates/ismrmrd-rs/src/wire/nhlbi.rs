//! Compression of samples as integers of a fixed number of bits, as Gadgetron's client offers it.
//!
//! A blob is a head of 13 bytes (`u64` number of values, `f32` scale, `u8` bits) and the values:
//! two's-complement integers of that many bits, packed from the lowest bit on. A value is its
//! integer over the scale.
//!
//! # Source
//! `gadgets/mri_core/CompressedFloatBuffer.cpp` of Gadgetron 4.7.

use bytemuck::Pod;

/// Why samples cannot be compressed or decompressed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NhlbiError {
    /// The blob is shorter than its head.
    #[error("{0} bytes, at least 13 are needed")]
    TooShort(usize),
    /// The bits per value are impossible.
    #[error("{0} bits per value, 1 to 31 are possible")]
    Bits(u8),
    /// The blob holds another number of values than the header of the readout says.
    #[error("{found} values, the readout's header says {expected}")]
    Count {
        /// By the header of the readout.
        expected: usize,
        /// By the head of the blob.
        found: u64,
    },
    /// The blob has another size than its head says.
    #[error("{found} bytes of values, {expected} expected")]
    Size {
        /// By the head of the blob.
        expected: usize,
        /// In the blob.
        found: usize,
    },
    /// A sample is infinite or not a number.
    #[error("sample {0} is not finite")]
    NotFinite(usize),
    /// Gadgetron computes the size in single precision and would cut the last values off.
    #[error("{0} bits in one readout are too many; use fewer bits per value")]
    TooLarge(u64),
}

const HEAD_BYTES: usize = 13;

/// Bytes of the values, and as Gadgetron rounds them in single precision.
fn packed_bytes(n_values: usize, bits: u8) -> (usize, usize) {
    let n_bits = n_values as u64 * u64::from(bits);
    (n_bits.div_ceil(8) as usize, (n_bits as f32 / 8.0).ceil() as usize)
}

/// The `n_values` numbers of a blob, as numbers (`f32`) or pairs of them (complex).
pub(super) fn decompress<T: Pod>(blob: &[u8], n_values: usize) -> Result<Vec<T>, NhlbiError> {
    let Some((head, packed)) = blob.split_at_checked(HEAD_BYTES) else {
        return Err(NhlbiError::TooShort(blob.len()));
    };
    let found: u64 = bytemuck::pod_read_unaligned(&head[..8]);
    let scale: f32 = bytemuck::pod_read_unaligned(&head[8..12]);
    let bits = head[12];
    if !(1..=31).contains(&bits) {
        return Err(NhlbiError::Bits(bits));
    }
    if found != n_values as u64 {
        return Err(NhlbiError::Count { expected: n_values, found });
    }
    let (expected, rounded) = packed_bytes(n_values, bits);
    if packed.len() != expected && packed.len() != rounded {
        return Err(NhlbiError::Size { expected, found: packed.len() });
    }
    let mut values = vec![T::zeroed(); n_values * size_of::<f32>() / size_of::<T>()];
    let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut values);
    let mut bytes = packed.iter();
    let (mut window, mut n_window_bits) = (0_u64, 0_u8);
    for number in numbers {
        while n_window_bits < bits {
            // Bytes that Gadgetron cut off read as 0.
            window |= u64::from(bytes.next().copied().unwrap_or(0)) << n_window_bits;
            n_window_bits += 8;
        }
        // Moved to the top and back, the highest of the bits becomes the sign.
        let integer = (window << (64 - bits)) as i64 >> (64 - bits);
        *number = integer as f32 / scale;
        window >>= bits;
        n_window_bits -= bits;
    }
    Ok(values)
}

/// The blob of `numbers` at `bits` per value. The error is at most half of the largest magnitude
/// over 2^(bits-1) - 1, and for 24 bits and more single precision's.
pub(super) fn compress(numbers: &[f32], bits: u8) -> Result<Vec<u8>, NhlbiError> {
    if !(2..=31).contains(&bits) {
        return Err(NhlbiError::Bits(bits));
    }
    if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(NhlbiError::NotFinite(place));
    }
    let (n_bytes, rounded) = packed_bytes(numbers.len(), bits);
    if rounded < n_bytes {
        return Err(NhlbiError::TooLarge(numbers.len() as u64 * u64::from(bits)));
    }
    let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = scale_for(largest, bits);
    let mut blob = Vec::with_capacity(HEAD_BYTES + rounded);
    blob.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
    blob.extend_from_slice(&scale.to_le_bytes());
    blob.push(bits);
    let mask = (1_u64 << bits) - 1;
    let (mut window, mut n_window_bits) = (0_u64, 0_u8);
    for number in numbers {
        let integer = (number * scale).round() as i64;
        window |= (integer as u64 & mask) << n_window_bits;
        n_window_bits += bits;
        while n_window_bits >= 8 {
            blob.push(window as u8);
            window >>= 8;
            n_window_bits -= 8;
        }
    }
    if n_window_bits > 0 {
        blob.push(window as u8);
    }
    blob.resize(HEAD_BYTES + rounded, 0);
    Ok(blob)
}

/// The largest scale at which no value exceeds the integers in spite of rounding.
fn scale_for(largest: f32, bits: u8) -> f32 {
    let most = (1_u64 << (bits - 1)) - 1;
    // Too small a magnitude would need an infinite scale.
    let largest = if largest < f32::MIN_POSITIVE { 1.0 } else { largest };
    (0..=most)
        .map(|less| ((most - less) as f32 / largest).min(f32::MAX))
        .find(|scale| (largest * scale).round() as u64 <= most)
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_half_a_step() {
        let numbers: Vec<f32> = (0..1000).map(|n| (n as f32 * 0.37).sin() * 3e-5).collect();
        for bits in 2..=31 {
            let blob = compress(&numbers, bits).unwrap();
            let back: Vec<f32> = decompress(&blob, numbers.len()).unwrap();
            let steps = ((1_u64 << (bits - 1)) - 1) as f32;
            // Half a step, and the rounding of single precision.
            let tolerance = 3e-5 * (0.51 / steps + 2e-7);
            for (number, back) in numbers.iter().zip(&back) {
                assert!((number - back).abs() <= tolerance, "{bits} bits: {number} and {back}");
            }
        }
    }

    /// Made by hand from the description: 3 values of 4 bits, scale 2.
    #[test]
    fn a_blob_made_by_hand_is_read() {
        let mut blob = 3_u64.to_le_bytes().to_vec();
        blob.extend_from_slice(&2.0_f32.to_le_bytes());
        blob.push(4);
        blob.extend_from_slice(&[0b1111_0011, 0b0000_1000]);
        assert_eq!(decompress::<f32>(&blob, 3).unwrap(), [1.5, -0.5, -4.0]);
    }

    #[test]
    fn silence_is_compressed_too() {
        for numbers in [vec![0.0; 10], vec![1e-45; 10], vec![f32::MAX, f32::MIN]] {
            let blob = compress(&numbers, 16).unwrap();
            let back: Vec<f32> = decompress(&blob, numbers.len()).unwrap();
            assert!(back.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn inconsistent_blobs_are_refused() {
        let blob = compress(&[1.0, 2.0], 16).unwrap();
        assert_eq!(decompress::<f32>(&blob[..12], 2), Err(NhlbiError::TooShort(12)));
        assert_eq!(decompress::<f32>(&blob, 4), Err(NhlbiError::Count { expected: 4, found: 2 }));
        assert_eq!(
            decompress::<f32>(&blob[..16], 2),
            Err(NhlbiError::Size { expected: 4, found: 3 })
        );
        let mut wrong = blob;
        wrong[12] = 32;
        assert_eq!(decompress::<f32>(&wrong, 2), Err(NhlbiError::Bits(32)));
        assert_eq!(compress(&[0.0, f32::NAN], 8), Err(NhlbiError::NotFinite(1)));
    }
}
