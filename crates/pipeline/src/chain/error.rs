//! What is wrong with a chain file: all of it at once.

use std::fmt;

/// Everything that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// Name of the chain file.
    pub chain: String,
    /// The faults in the order of the file; at least one.
    pub faults: Vec<ChainFault>,
}

/// One fault of a chain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// Line, from 1; [`None`] where it concerns the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl ChainFault {
    pub(crate) fn new(
        line: impl Into<Option<usize>>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            line: line.into().filter(|line| *line > 0),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl ChainError {
    pub(crate) fn one(chain: &str, fault: ChainFault) -> Self {
        Self { chain: chain.to_owned(), faults: vec![fault] }
    }
}

impl std::error::Error for ChainError {}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "chain {}", self.chain)?;
            if let Some(line) = fault.line {
                write!(f, ", line {line}")?;
            }
            write!(f, ": {}\n  {}", fault.what, fault.remedy)?;
        }
        Ok(())
    }
}
