//! Archives that objects are sent to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Destination {
    /// One that takes C-STORE.
    Dimse {
        /// Its AE title.
        called: String,
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Our AE title.
        calling: String,
    },
    /// One that takes STOW-RS.
    Stow {
        /// Address of its DICOMweb service, e.g. `https://pacs/dicom-web`.
        url: String,
        /// File with the value of the `Authorization` header, e.g. `Bearer …`.
        token_file: Option<PathBuf>,
        /// Certificates (PEM) that its own is signed by, where these are not public.
        ca_file: Option<PathBuf>,
    },
}

/// Why a text names no archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Neither form.
    #[error(
        "{0:?} is no archive: write AET@HOST:PORT, or the http(s) address of its DICOMweb service"
    )]
    Form(String),
    /// An AE title that is none.
    #[error("{0:?} is no AE title: 1 to 16 characters, no backslash, not all blanks")]
    AeTitle(String),
}

impl Destination {
    /// An archive by its text: `AET@HOST:PORT` for C-STORE, a URL for STOW-RS.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn parse(text: &str, calling: &str) -> Result<Self, DestinationError> {
        let text = text.trim();
        let refused = || DestinationError::Form(text.to_owned());
        if text.starts_with("http://") || text.starts_with("https://") {
            let host = text.split_once("://").map_or("", |(_, rest)| rest);
            if host.is_empty() || text.contains(char::is_whitespace) {
                return Err(refused());
            }
            let url = text.trim_end_matches('/').to_owned();
            return Ok(Self::Stow { url, token_file: None, ca_file: None });
        }
        let (called, address) = text.rsplit_once('@').ok_or_else(refused)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(refused)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(refused());
        }
        let (called, calling) = (ae_title(called)?, ae_title(calling)?);
        Ok(Self::Dimse { called, host: host.to_owned(), port, calling })
    }

    /// As people read it.
    pub fn label(&self) -> String {
        match self {
            Self::Dimse { called, host, port, .. } => format!("{called}@{host}:{port}"),
            Self::Stow { url, .. } => url.clone(),
        }
    }

    /// Name of its folder: the same for the same archive.
    pub(crate) fn folder(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
        let label: String = self.label().chars().map(plain).take(60).collect();
        let id = crate::uid::derived(&[format!("{self:?}").as_bytes()]);
        format!("{}-{}", label.trim_start_matches('.'), &id[id.len() - 8..])
    }
}

fn ae_title(text: &str) -> Result<String, DestinationError> {
    let title = text.trim();
    let is_good = (1..=16).contains(&title.len())
        && title.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\');
    is_good.then(|| title.to_owned()).ok_or_else(|| DestinationError::AeTitle(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_text() {
        let pacs = Destination::parse("PACS@pacs.hospital:104", "BORESIDE").expect("good");
        assert_eq!(pacs.label(), "PACS@pacs.hospital:104");
        let Destination::Dimse { host, .. } =
            Destination::parse("ORTHANC@[::1]:4242", "BORESIDE").expect("good")
        else {
            panic!("DIMSE")
        };
        assert_eq!(host, "::1");
        let web = Destination::parse("https://pacs/dicom-web/", "").expect("good");
        assert_eq!(web.label(), "https://pacs/dicom-web");
        assert_ne!(pacs.folder(), web.folder());
        for bad in [
            "",
            "PACS",
            "PACS@host",
            "PACS@host:0",
            "PACS@:104",
            "@host:104",
            "http://",
            "A_TITLE_THAT_IS_TOO_LONG@host:104",
            "PACS@host:99999",
        ] {
            assert!(Destination::parse(bad, "BORESIDE").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_never_leads_elsewhere() {
        let evil = Destination::Stow {
            url: "http://../../etc/passwd".to_owned(),
            token_file: None,
            ca_file: None,
        };
        assert!(!evil.folder().contains('/'), "{}", evil.folder());
        let read: Destination =
            toml::from_str(&toml::to_string(&evil).expect("it has a form")).expect("it reads back");
        assert_eq!(read, evil);
    }
}
