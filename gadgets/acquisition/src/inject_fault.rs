//! Breaks a chain on purpose.

use pipeline::{Gadget, Message, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Breaks the chain on purpose, to see what a client makes of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Messages that pass before the fault.
    pub after: u64,
    /// What happens at the next message.
    pub how: Fault,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The gadget fails on the message, which is lost; later ones pass.
    #[default]
    Error,
    /// The gadget panics, as a bug would.
    Panic,
    /// The client is warned and the message passes.
    Warning,
}

/// Passes messages on until it breaks, once in a scan.
pub struct InjectFault {
    how: Fault,
    /// Messages until the fault, [`None`] once it has happened.
    left: Option<u64>,
}

impl Gadget for InjectFault {
    const NAME: &str = "inject_fault";
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Message;
    type Output = Message;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self { how: config.how, left: Some(config.after) })
    }

    fn process(&mut self, message: Message, out: &mut Sink<Self>) -> Result<(), Error> {
        match &mut self.left {
            Some(0) => {
                self.left = None;
                match self.how {
                    Fault::Error => return Err(Error),
                    Fault::Panic => panic!("{Error}"),
                    Fault::Warning => out.warn(Error.to_string(), Error.remedy()),
                }
            }
            Some(left) => *left -= 1,
            None => {}
        }
        out.push(message);
        Ok(())
    }
}

/// The fault that the chain asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain asked for a fault here")]
pub struct Error;

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "take `inject_fault` out of the chain"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Acquisition;

    fn messages(n: usize) -> Vec<Message> {
        (0..n).map(|_| Acquisition::new(Default::default(), Default::default()).into()).collect()
    }

    #[test]
    fn messages_pass_until_the_fault_and_after_it() {
        let config = Config { after: 2, how: Fault::Error };
        let mut gadget = InjectFault::new(config, &Scan::default()).expect("it can be made");
        let mut n_out = 0;
        let mut forward = |_| n_out += 1;
        let mut warn = |_, _, _| {};
        let mut sink = Sink::new(&mut forward, &mut warn);
        let results: Vec<_> =
            messages(4).into_iter().map(|message| gadget.process(message, &mut sink)).collect();
        assert_eq!(results, [Ok(()), Ok(()), Err(Error), Ok(())]);
        assert_eq!(n_out, 3);
    }

    #[test]
    fn a_warning_loses_nothing() {
        let config = Config { after: 0, how: Fault::Warning };
        let (outputs, warnings) =
            pipeline::run_gadget::<InjectFault>(config, &Scan::default(), messages(3))
                .expect("a warning is no error");
        assert_eq!((outputs.len(), warnings.len()), (3, 1));
    }

    #[test]
    #[should_panic(expected = "the chain asked for a fault here")]
    fn a_panic_is_one() {
        let config = Config { after: 1, how: Fault::Panic };
        let _ = pipeline::run_gadget::<InjectFault>(config, &Scan::default(), messages(2));
    }
}
