//! A noise covariance and its file format, Gadgetron's SFNDAM: an array with JSON beside it.

use std::io::Read;

use ismrmrd::MAX_CHANNELS;
use ndarray::{Array2, Axis};
use num_complex::{Complex32, Complex64};
use serde::{Deserialize, Serialize};

use crate::Remedy;

const MAGIC: &[u8; 6] = b"SFNDAM";
const VERSION: u32 = 1;
/// Data type of two 32-bit floats, which is written.
const COMPLEX_FLOAT: u32 = 7;
/// Data type of two 64-bit floats, which is read as well.
const COMPLEX_DOUBLE: u32 = 8;
/// Longest JSON text that is read.
const MAX_METADATA_BYTES: u64 = 1 << 20;

/// Noise of the channels of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseCovariance {
    /// Element \[i, j\] is the mean of conj(xᵢ)·xⱼ: `[channel, channel]`, Hermitian.
    pub covariance: Array2<Complex64>,
    /// Names of the channels' coil elements, as many as channels, or none.
    pub labels: Vec<String>,
    /// Samples that it is the mean of.
    pub n_samples: u64,
    /// Time from one of them to the next, µs, 0 where it is not known.
    pub sample_time_us: f32,
    /// The receiver's relative noise bandwidth.
    pub bandwidth_ratio: f32,
}

/// A file that holds no noise covariance.
#[derive(Debug, thiserror::Error)]
pub enum CovarianceError {
    /// It cannot be read, or ends early.
    #[error("the noise covariance cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is something else.
    #[error("this is no noise covariance: {0}")]
    Format(String),
    /// The text beside the array.
    #[error("the JSON text of the noise covariance is not understood: {0}")]
    Metadata(#[from] serde_json::Error),
}

impl Remedy for CovarianceError {
    fn remedy(&self) -> &str {
        "give a file in the SFNDAM format, as `--noise-covariance-out` or Gadgetron writes it"
    }
}

/// The JSON text beside the array.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    channels: u64,
    labels: Vec<String>,
    sample_count: u64,
    noise_dwell_time_us: f32,
    receiver_noise_bandwidth: f32,
}

impl NoiseCovariance {
    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.covariance.nrows()
    }

    /// Standard deviation of each channel's noise: √ of the diagonal.
    pub fn deviations(&self) -> impl Iterator<Item = f64> {
        self.covariance.diag().into_iter().map(|variance| variance.re.max(0.0).sqrt())
    }

    /// This noise for the channels of a scan, in their order.
    ///
    /// * `labels`: names of the scan's channels, none where they are not known.
    ///
    /// Names that are missing on either side leave the channels as they are. [`None`] where a
    /// channel of the scan is not among those of the noise, or a name stands for several.
    pub fn for_channels(&self, labels: &[String]) -> Option<Self> {
        if labels.is_empty() || self.labels.is_empty() || labels == self.labels {
            return Some(self.clone());
        }
        let place = |label: &String| {
            let mut places = self.labels.iter().enumerate().filter(|(_, known)| *known == label);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Some(place),
                _ => None,
            }
        };
        let places: Vec<usize> = labels.iter().map(place).collect::<Option<_>>()?;
        let mut used = vec![false; self.n_channels()];
        if places.iter().any(|&place| std::mem::replace(&mut used[place], true)) {
            return None;
        }
        let covariance = self.covariance.select(Axis(0), &places).select(Axis(1), &places);
        Some(Self { covariance, labels: labels.to_vec(), ..self.clone() })
    }

    /// Its file: the magic `SFNDAM` and version, data type, number of axes, their lengths, length
    /// of the metadata, the elements with the first index fastest, the metadata as JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let n_channels = self.n_channels() as u64;
        let metadata = Metadata {
            channels: n_channels,
            labels: self.labels.clone(),
            sample_count: self.n_samples,
            noise_dwell_time_us: self.sample_time_us,
            receiver_noise_bandwidth: self.bandwidth_ratio,
        };
        // Numbers and strings have a JSON form.
        let metadata = serde_json::to_string(&metadata).unwrap_or_default();
        let mut bytes = Vec::with_capacity(64 + self.covariance.len() * 8 + metadata.len());
        bytes.extend(MAGIC);
        for number in [VERSION, COMPLEX_FLOAT, 2] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [n_channels, n_channels, metadata.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        for value in self.covariance.t() {
            bytes.extend((value.re as f32).to_le_bytes());
            bytes.extend((value.im as f32).to_le_bytes());
        }
        bytes.extend(metadata.as_bytes());
        bytes
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// [`CovarianceError`]; sizes are checked before memory is asked for.
    pub fn read(mut source: impl Read) -> Result<Self, CovarianceError> {
        if &read_array::<6>(&mut source)? != MAGIC {
            return Err(CovarianceError::Format("it does not begin with SFNDAM".to_owned()));
        }
        let version = read_u32(&mut source)?;
        let data_type = read_u32(&mut source)?;
        let n_axes = read_u32(&mut source)?;
        if version != VERSION || n_axes != 2 {
            return Err(CovarianceError::Format(format!(
                "version {version} with {n_axes} axes, expected version {VERSION} with 2"
            )));
        }
        let is_double = match data_type {
            COMPLEX_FLOAT => false,
            COMPLEX_DOUBLE => true,
            _ => {
                let what = format!("data type {data_type}, expected {COMPLEX_FLOAT} (complex)");
                return Err(CovarianceError::Format(what));
            }
        };
        let (n_channels, other) = (read_u64(&mut source)?, read_u64(&mut source)?);
        if n_channels != other || n_channels == 0 || n_channels > MAX_CHANNELS as u64 {
            return Err(CovarianceError::Format(format!(
                "{n_channels} × {other} channels, expected a square of 1 to {MAX_CHANNELS}"
            )));
        }
        let n_metadata = read_u64(&mut source)?;
        if n_metadata > MAX_METADATA_BYTES {
            return Err(CovarianceError::Format(format!(
                "a text of {n_metadata} bytes, {MAX_METADATA_BYTES} are the limit"
            )));
        }
        let n = n_channels as usize;
        let mut covariance = Array2::zeros((n, n));
        for value in covariance.view_mut().reversed_axes() {
            *value = if is_double {
                let [re, im] = [read_array(&mut source)?, read_array(&mut source)?];
                Complex64::new(f64::from_le_bytes(re), f64::from_le_bytes(im))
            } else {
                let [re, im] = [read_array(&mut source)?, read_array(&mut source)?];
                let value = Complex32::new(f32::from_le_bytes(re), f32::from_le_bytes(im));
                Complex64::new(value.re.into(), value.im.into())
            };
        }
        if covariance.iter().any(|value: &Complex64| !value.is_finite()) {
            return Err(CovarianceError::Format("it has elements that are not finite".to_owned()));
        }
        let mut text = vec![0; n_metadata as usize];
        source.read_exact(&mut text)?;
        let metadata: Metadata = serde_json::from_slice(&text)?;
        let labels = if metadata.labels.len() == n { metadata.labels } else { Vec::new() };
        Ok(Self {
            covariance,
            labels,
            n_samples: metadata.sample_count,
            sample_time_us: metadata.noise_dwell_time_us,
            bandwidth_ratio: metadata.receiver_noise_bandwidth,
        })
    }
}

fn read_array<const N: usize>(source: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_u32(source: &mut impl Read) -> std::io::Result<u32> {
    read_array(source).map(u32::from_le_bytes)
}

fn read_u64(source: &mut impl Read) -> std::io::Result<u64> {
    read_array(source).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn noise(labels: &[&str]) -> NoiseCovariance {
        let c = Complex64::new;
        NoiseCovariance {
            covariance: array![
                [c(4.0, 0.0), c(0.5, 1.0), c(0.0, 0.25)],
                [c(0.5, -1.0), c(9.0, 0.0), c(2.0, 0.0)],
                [c(0.0, -0.25), c(2.0, 0.0), c(16.0, 0.0)],
            ],
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            n_samples: 4096,
            sample_time_us: 5.0,
            bandwidth_ratio: 0.793,
        }
    }

    fn names(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn a_file_comes_back_as_it_was() {
        let before = noise(&["A", "B", "C"]);
        let bytes = before.to_bytes();
        assert_eq!(NoiseCovariance::read(&bytes[..]).expect("good"), before);
        // Element i + 3 j of the file is the mean of conj(xᵢ)·xⱼ: (1, 0) comes second.
        let second = &bytes[6 + 12 + 24 + 8..][..8];
        assert_eq!(second[..4], 0.5_f32.to_le_bytes());
        assert_eq!(second[4..], (-1.0_f32).to_le_bytes());
    }

    #[test]
    fn sizes_beyond_the_limits_short_files_and_other_files_are_refused() {
        let good = noise(&[]).to_bytes();
        let changed = |at: usize, bytes: &[u8]| {
            let mut file = good.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        for (file, expected) in [
            (changed(0, b"PK"), "does not begin"),
            (changed(6, &2_u32.to_le_bytes()), "version 2"),
            (changed(10, &5_u32.to_le_bytes()), "data type 5"),
            (changed(14, &3_u32.to_le_bytes()), "3 axes"),
            (changed(18, &u64::MAX.to_le_bytes()), "square"),
            (changed(34, &u64::MAX.to_le_bytes()), "limit"),
            (changed(42, &f32::NAN.to_le_bytes()), "not finite"),
            (changed(good.len() - 1, b"?"), "JSON"),
            (good[..good.len() - 9].to_vec(), "cannot be read"),
            (Vec::new(), "cannot be read"),
        ] {
            let error = NoiseCovariance::read(&file[..]).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn channels_are_found_by_their_names_in_any_order_and_number() {
        let stored = noise(&["A", "B", "C"]);
        let swapped = stored.for_channels(&names(&["C", "A"])).expect("all are there");
        assert_eq!(swapped.covariance.dim(), (2, 2));
        assert_eq!(swapped.covariance[[0, 0]].re, 16.0);
        assert_eq!(swapped.covariance[[0, 1]], stored.covariance[[2, 0]]);
        assert_eq!(swapped.labels, names(&["C", "A"]));
        assert_eq!(stored.for_channels(&[]), Some(stored.clone()));
        assert_eq!(noise(&[]).for_channels(&names(&["X"])), Some(noise(&[])));
        assert_eq!(stored.for_channels(&names(&["A", "X"])), None);
        assert_eq!(stored.for_channels(&names(&["A", "A"])), None);
        assert_eq!(noise(&["A", "A", "C"]).for_channels(&names(&["C", "A"])), None);
    }
}
