//! Choice of channels.

use ndarray::Axis;
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Leaves channels out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A number for each channel, separated by spaces: 0 leaves it out, and channels beyond the
    /// last number are left out as well. Empty for the first `coils_out`.
    pub coil_mask: String,
    /// Channels that stay where `coil_mask` is empty.
    #[schemars(range(min = 1))]
    pub coils_out: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { coil_mask: String::new(), coils_out: 128 }
    }
}

/// Leaves channels out: those that a mask names, or all beyond a number, e.g. the weakest ones
/// after `compress_channels`.
pub struct SelectChannels {
    choice: Choice,
    told: bool,
}

enum Choice {
    First(usize),
    Mask(Vec<bool>),
}

impl Gadget for SelectChannels {
    const NAME: &str = "select_channels";
    const ALIASES: &'static [&'static str] = &["CoilReductionGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        let choice = if config.coil_mask.trim().is_empty() {
            let count = usize::try_from(config.coils_out).unwrap_or(0);
            if count == 0 {
                return Err(Error::Count(config.coils_out));
            }
            Choice::First(count)
        } else {
            let numbers = config.coil_mask.split_whitespace();
            let mask: Vec<bool> = numbers
                .map(|text| match text.parse::<i64>() {
                    Ok(number) => Ok(number > 0),
                    Err(_) => Err(Error::Mask(text.to_owned())),
                })
                .collect::<Result<_, _>>()?;
            if !mask.contains(&true) {
                return Err(Error::Nothing);
            }
            Choice::Mask(mask)
        };
        Ok(Self { choice, told: false })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let n_channels = readout.n_channels();
        let kept: Vec<usize> = match &self.choice {
            Choice::First(count) => (0..n_channels.min(*count)).collect(),
            Choice::Mask(mask) => {
                (0..n_channels).filter(|&channel| mask.get(channel) == Some(&true)).collect()
            }
        };
        if kept.is_empty() && n_channels > 0 {
            if !std::mem::replace(&mut self.told, true) {
                out.warn(
                    format!("`coil_mask` leaves out all {n_channels} channels; they pass"),
                    "set a 1 in `coil_mask` for a channel that is there",
                );
            }
        } else if kept.len() < n_channels {
            readout.data = readout.data.select(Axis(0), &kept);
            readout.header.active_channels = u16::try_from(kept.len()).unwrap_or(u16::MAX);
        }
        out.push(readout);
        Ok(())
    }
}

/// A choice that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No channel would be left.
    #[error("`coils_out` is {0}")]
    Count(i64),
    /// Not a number.
    #[error("`coil_mask` has \"{0}\", which is no whole number")]
    Mask(String),
    /// The mask keeps nothing.
    #[error("`coil_mask` leaves out every channel")]
    Nothing,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Count(_) => "set `coils_out` to 1 or more",
            Self::Mask(_) => "write a 0 or a 1 for each channel, with spaces between them",
            Self::Nothing => "set a 1 for each channel that is to stay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::AcquisitionHeader;
    use ndarray::Array2;
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    fn channels(coil_mask: &str, coils_out: i64) -> Result<(Vec<f32>, Vec<String>), Error> {
        let config = Config { coil_mask: coil_mask.to_owned(), coils_out };
        let data = Array2::from_shape_fn((4, 3), |(channel, _)| Complex32::from(channel as f32));
        let readout = Acquisition::new(AcquisitionHeader::default(), data);
        let (mut outputs, told) =
            run_gadget::<SelectChannels>(config, &Scan::default(), [readout])?;
        let Some(Message::Acquisition(readout)) = outputs.pop() else { panic!("a readout") };
        assert_eq!(usize::from(readout.header.active_channels), readout.n_channels());
        Ok((readout.data.column(0).iter().map(|value| value.re).collect(), told))
    }

    #[test]
    fn the_first_ones_or_those_of_the_mask_stay() {
        let kept = |mask, count| channels(mask, count).expect("good").0;
        assert_eq!(kept("", 128), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(kept("", 2), [0.0, 1.0]);
        assert_eq!(kept(" 0  1 0 1 ", 1), [1.0, 3.0]);
        assert_eq!(kept("1", 128), [0.0]);
        assert_eq!(kept("0 0 0 1 1 1", 128), [3.0]);
    }

    #[test]
    fn a_mask_for_channels_that_are_not_there_is_told_and_keeps_all() {
        let (kept, told) = channels("0 0 0 0 1", 1).expect("good");
        assert_eq!((kept.len(), told.len()), (4, 1));
    }

    #[test]
    fn masks_and_numbers_that_leave_nothing_are_refused() {
        assert_eq!(channels("0 0", 1), Err(Error::Nothing));
        assert_eq!(channels("1 x", 1), Err(Error::Mask("x".to_owned())));
        assert_eq!(channels("", 0), Err(Error::Count(0)));
        assert_eq!(channels("", -3), Err(Error::Count(-3)));
    }
}
