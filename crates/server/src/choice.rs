//! Which chain a client wants: by its name or as text, and what its parameters make of it.

use pipeline::chain::ChainFile;
use pipeline::{Chain, ChainLibrary};
use serde_json::{Map, Value};

use crate::parameters;

/// OpenRecon always sends this name; the chain's own stands in the parameters.
pub(crate) const OPENRECON: &str = "openrecon";

/// A chain as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainChoice {
    /// One that the server has.
    Name(String),
    /// One of the client's own.
    Text(String),
}

impl ChainChoice {
    /// Finds, parses and checks the chain, with the properties that the parameters set. A chain
    /// that the parameters name goes before this one. Also gives the names of the parameters
    /// that no gadget has.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn resolve(
        &self,
        parameters: Option<&Map<String, Value>>,
        chains: &ChainLibrary,
    ) -> Result<(Chain, Vec<String>), String> {
        self.resolve_called("from the client", parameters, chains)
    }

    /// The same, with what a chain of one's own is called in messages.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub fn resolve_called(
        &self,
        own_name: &str,
        parameters: Option<&Map<String, Value>>,
        chains: &ChainLibrary,
    ) -> Result<(Chain, Vec<String>), String> {
        let mut file = match (parameters.and_then(parameters::chain_name), self) {
            (Some(name), _) => chains
                .find(name)
                .map_err(|error| format!("chain named by the parameters: {error}"))?,
            (None, Self::Name(name)) if name == OPENRECON => chains.find(name).map_err(|_| {
                "the name `openrecon` stands for the chain that the parameters name, and none came\n  \
                 send them as JSON text after the header: {\"parameters\": {\"config\": \"…\"}}"
                    .to_owned()
            })?,
            (None, Self::Name(name)) => chains.find(name).map_err(|error| error.to_string())?,
            (None, Self::Text(text)) => {
                ChainFile::parse(own_name, text).map_err(|error| error.to_string())?
            }
        };
        let unused = match parameters {
            Some(parameters) => parameters::apply(parameters, &mut file, chains.registry()),
            None => Vec::new(),
        };
        let chain = chains.check(&file).map_err(|error| error.to_string())?;
        Ok((chain, unused))
    }
}
