//! Buckets of readouts that end where their flags say.

mod expression;

use ismrmrd::AcquisitionFlags;
use pipeline::{Bucket, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bucket_rule::{Place, SurfaceCoilNote};
use crate::collect_readouts::Readings;
use expression::Expression;

/// Collects readouts until their flags say so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Flags whose readout ends a bucket, e.g. `last_in_slice && !is_navigation_data`: names as in
    /// the standard in lower case, `user1` to `user8`, `!`, `&&`, `||` and brackets.
    pub trigger_flags: String,
}

/// Collects readouts into buckets and gives each after a readout whose flags make the
/// expression true, and the rest at the end of the scan.
pub struct CollectByFlags {
    expression: Expression,
    bucket: Bucket,
    surface_coil: SurfaceCoilNote,
}

impl Gadget for CollectByFlags {
    const NAME: &str = "collect_by_flags";
    const ALIASES: &'static [&'static str] = &["FlagTriggerGadget"];
    type Config = Config;
    type Input = Readings;
    type Output = Bucket;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self {
            expression: Expression::parse(&config.trigger_flags)?,
            bucket: Bucket::default(),
            surface_coil: SurfaceCoilNote::default(),
        })
    }

    fn process(&mut self, reading: Readings, out: &mut Sink<Self>) -> Result<(), Error> {
        let readout = match reading {
            Readings::Waveform(waveform) => {
                self.bucket.waveforms.push(waveform);
                return Ok(());
            }
            Readings::Acquisition(readout) => readout,
        };
        let flags: AcquisitionFlags = readout.header.flags;
        if let Some(note) = self.surface_coil.of(flags) {
            out.inform(note);
        }
        Place::of(flags).put(readout, &mut self.bucket);
        let has_readouts = !self.bucket.data.is_empty() || !self.bucket.reference.is_empty();
        if has_readouts && self.expression.holds_for(flags) {
            out.push(std::mem::take(&mut self.bucket));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        let bucket = std::mem::take(&mut self.bucket);
        let is_empty = bucket.data.is_empty() && bucket.reference.is_empty();
        if !is_empty || !bucket.waveforms.is_empty() {
            out.push(bucket);
        }
        Ok(())
    }
}

/// An expression that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("`trigger_flags` is empty")]
    Empty,
    /// No flag has this name.
    #[error("`trigger_flags` names \"{0}\", which is no flag of a readout")]
    UnknownFlag(String),
    /// It breaks off or goes on where it should not.
    #[error("`trigger_flags` is not understood at character {at}: {what}")]
    Syntax {
        /// Counted from 1.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Empty => "name the flag that ends a bucket, e.g. `last_in_slice`",
            Self::UnknownFlag(_) => {
                "write a flag's name as in the ISMRMRD standard, without ACQ_ and in lower case"
            }
            Self::Syntax { .. } => {
                "join flags by `&&` and `||`, negate with `!`, group with brackets"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::AcquisitionHeader;
    use pipeline::{Acquisition, Message, run_gadget};

    fn sizes(trigger_flags: &str, flags: &[AcquisitionFlags]) -> Result<Vec<usize>, Error> {
        let config = Config { trigger_flags: trigger_flags.to_owned() };
        let readouts = flags.iter().map(|&flags| {
            let header = AcquisitionHeader { flags, ..AcquisitionHeader::default() };
            Acquisition::new(header, Default::default()).into()
        });
        let (outputs, _) =
            run_gadget::<CollectByFlags>(config, &Scan::default(), readouts.collect::<Vec<_>>())?;
        Ok(outputs
            .into_iter()
            .map(|message| match message {
                Message::Bucket(bucket) => bucket.data.len(),
                other => panic!("{other:?} came out"),
            })
            .collect())
    }

    #[test]
    fn a_bucket_ends_with_the_readout_that_is_flagged_and_the_rest_comes_at_the_end() {
        use AcquisitionFlags as F;
        let flags = [F::NONE, F::LAST_IN_SLICE, F::NONE, F::NONE, F::LAST_IN_SLICE, F::NONE];
        assert_eq!(sizes("last_in_slice", &flags), Ok(vec![2, 3, 1]));
        assert_eq!(sizes("last_in_phase", &flags), Ok(vec![6]));
        assert_eq!(sizes("!last_in_slice", &flags), Ok(vec![1, 2, 1, 2]));
    }

    #[test]
    fn a_navigator_ends_a_bucket_without_being_part_of_it() {
        use AcquisitionFlags as F;
        let flags = [F::IS_NAVIGATION_DATA, F::NONE, F::NONE, F::IS_NAVIGATION_DATA, F::NONE];
        assert_eq!(sizes("is_navigation_data", &flags), Ok(vec![2, 1]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(sizes("  ", &[]), Err(Error::Empty));
        assert_eq!(sizes("last_in_slide", &[]), Err(Error::UnknownFlag("last_in_slide".into())));
    }
}
