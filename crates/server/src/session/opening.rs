//! The opening of a connection: config, header and, in the Python dialect, parameters as JSON.

use ismrmrd::wire::{self, MessageId};
use ismrmrd::{Header, HeaderError};
use pipeline::chain::{ChainFile, LibraryError};
use pipeline::{Chain, ChainLibrary, Remedy};
use serde_json::{Map, Value};

use crate::choice::{ChainChoice, OPENRECON};
use crate::parameters;

/// Stands in the chain that Gadgetron's client asks for stored noise with.
const NOISE_QUERY: &str = "NoiseSummaryGadget";

/// Chains that are longer than this are refused.
const MAX_CHAIN_BYTES: usize = 1 << 20;

/// What a client has sent before its data.
#[derive(Default)]
pub(crate) struct Opening {
    config: Option<ChainChoice>,
    header_text: Option<String>,
    parameters: Option<Map<String, Value>>,
}

/// What is to be done after a message.
pub(crate) enum Request {
    /// Wait for the next one.
    More,
    /// See whether the chain can be run at all.
    Check,
    /// Write it to the log.
    Log(String),
    /// Start the chain, and feed it with this.
    Start(Option<wire::Message>),
}

/// A message that does not belong here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("message {0} came before the name of a chain")]
    BeforeConfig(MessageId),
    #[error("message {0} came before the MRD header")]
    BeforeHeader(MessageId),
    #[error("message {0} came a second time")]
    Second(MessageId),
    #[error("the chain's text has {0} bytes, {MAX_CHAIN_BYTES} are the limit")]
    TooLong(usize),
    #[error("message {0} does not belong before the data")]
    Unexpected(MessageId),
}

impl Remedy for Wrong {
    fn remedy(&self) -> &str {
        match self {
            Self::TooLong(_) => "send a chain, or its name",
            _ => "send the config (id 1 or 2), the header (3), the data, then CLOSE (4)",
        }
    }
}

impl Opening {
    /// Takes one message.
    pub fn take(&mut self, message: wire::Message) -> Result<Request, Wrong> {
        let name = message.id();
        match message {
            wire::Message::ConfigFile(_) | wire::Message::ConfigText(_) if self.has_config() => {
                Err(Wrong::Second(name))
            }
            wire::Message::ConfigFile(name) => {
                let is_file = name.contains('.');
                self.config = Some(ChainChoice::Name(name));
                Ok(if is_file { Request::Check } else { Request::More })
            }
            wire::Message::ConfigText(text) if text.len() > MAX_CHAIN_BYTES => {
                Err(Wrong::TooLong(text.len()))
            }
            wire::Message::ConfigText(text) => {
                // The Python server looks up a text as a name as well.
                let is_name = !text.contains(['<', '=', '\n', '[']);
                let config = if is_name {
                    ChainChoice::Name(text.trim().to_owned())
                } else {
                    ChainChoice::Text(text)
                };
                self.config = Some(config);
                Ok(Request::Check)
            }
            wire::Message::Text(text) => Ok(self.take_text(text)),
            wire::Message::Header(_) if !self.has_config() => Err(Wrong::BeforeConfig(name)),
            wire::Message::Header(_) if self.header_text.is_some() => Err(Wrong::Second(name)),
            wire::Message::Header(text) => {
                self.header_text = Some(text);
                // Only now it is known which dialect the client speaks.
                Ok(Request::Check)
            }
            wire::Message::Acquisition(_)
            | wire::Message::Waveform(_)
            | wire::Message::Image(_)
            | wire::Message::Bucket(_)
            | wire::Message::ReconData(_)
            | wire::Message::ImageArray(_) => match (&self.config, &self.header_text) {
                (None, _) => Err(Wrong::BeforeConfig(name)),
                (_, None) => Err(Wrong::BeforeHeader(name)),
                _ => Ok(Request::Start(Some(message))),
            },
            _ => Err(Wrong::Unexpected(name)),
        }
    }

    /// The first text after the header may be the parameters.
    fn take_text(&mut self, text: String) -> Request {
        if self.header_text.is_none() || self.parameters.is_some() {
            return Request::Log(text);
        }
        match parameters::of_json(&text) {
            Some(parameters) => {
                self.parameters = Some(parameters);
                Request::Start(None)
            }
            None => Request::Log(text),
        }
    }

    /// Whether the client has named or sent a chain.
    pub fn has_config(&self) -> bool {
        self.config.is_some()
    }

    /// Whether this is the question of Gadgetron's client, on a connection of its own, what noise
    /// an earlier measurement had. The client understands no text there.
    pub fn is_noise_query(&self) -> bool {
        self.header_text.is_none()
            && matches!(&self.config, Some(ChainChoice::Text(text)) if text.contains(NOISE_QUERY))
    }

    /// What has not come yet, for messages.
    pub fn awaits(&self) -> &'static str {
        match (&self.config, &self.header_text) {
            (None, _) => "the name of a chain",
            (_, None) => "the MRD header",
            _ => "any data",
        }
    }

    /// The header's text and what it says; [`None`] where none was sent.
    pub fn header(&self) -> Option<(String, Result<Header, HeaderError>)> {
        let text = self.header_text.as_ref()?;
        Some((text.clone(), Header::from_xml(text)))
    }

    /// Whether the chain can be run, as far as that can be told before the parameters: those that a
    /// client of the Python dialect sends may still replace a name that is no file's.
    pub fn check_early(&self, chains: &ChainLibrary, is_python: bool) -> Result<(), LibraryError> {
        match &self.config {
            Some(ChainChoice::Name(name)) if name == OPENRECON => Ok(()),
            Some(ChainChoice::Name(name)) if is_python && !name.contains('.') => Ok(()),
            Some(ChainChoice::Name(name)) => chains.load(name).map(drop),
            Some(ChainChoice::Text(text)) => {
                Ok(chains.check(&ChainFile::parse("from the client", text)?).map(drop)?)
            }
            None => Ok(()),
        }
    }

    /// The chain that the client wants, with its parameters set, and the names of those that no
    /// gadget has.
    pub fn chain(&self, chains: &ChainLibrary) -> Result<(Chain, Vec<String>), String> {
        match &self.config {
            Some(choice) => choice.resolve(self.parameters.as_ref(), chains),
            None => Err("no chain was named\n  send a config message first".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::Registry;

    const BUILT_IN: &[(&str, &str)] =
        &[("plain.xml", "<configuration><version>2</version><stream/></configuration>")];

    fn library() -> ChainLibrary {
        ChainLibrary::new(None, BUILT_IN, Registry::new())
    }

    fn opened(config: &str, text: Option<&str>) -> Opening {
        let mut opening = Opening::default();
        let messages = [
            Some(wire::Message::ConfigFile(config.to_owned())),
            Some(wire::Message::Header("no xml".to_owned())),
            text.map(|text| wire::Message::Text(text.to_owned())),
        ];
        for message in messages.into_iter().flatten() {
            assert!(opening.take(message).is_ok());
        }
        opening
    }

    #[test]
    fn openrecon_is_resolved_from_the_parameters() {
        let json = r#"{"version": "1.1.0", "parameters": {"config": "plain", "customconfig": "", "x": "1"}}"#;
        let (chain, unused) = opened("openrecon", Some(json)).chain(&library()).expect("found");
        assert_eq!((chain.name.as_str(), unused), ("plain.xml", vec!["x".to_owned()]));
        let error = opened("openrecon", None).chain(&library()).expect_err("nothing names a chain");
        assert!(error.contains("none came"), "{error}");
    }

    #[test]
    fn a_custom_config_goes_before_the_config() {
        let json = r#"{"parameters": {"config": "nothing", "customconfig": "plain.xml"}}"#;
        assert!(opened("openrecon", Some(json)).chain(&library()).is_ok());
    }

    #[test]
    fn text_that_is_no_json_object_is_only_logged() {
        let mut opening = opened("plain.xml", None);
        for text in ["hello", "[1]", "{broken"] {
            let request = opening.take(wire::Message::Text(text.to_owned()));
            assert!(matches!(request, Ok(Request::Log(_))), "{text}");
        }
    }

    #[test]
    fn the_wrong_order_is_refused() {
        let mut opening = Opening::default();
        let error = opening.take(wire::Message::Header(String::new())).err().expect("too early");
        assert_eq!(error.to_string(), "message 3 (header) came before the name of a chain");
        let mut opening = opened("plain.xml", None);
        assert!(opening.take(wire::Message::ConfigFile("x".to_owned())).is_err());
    }
}
