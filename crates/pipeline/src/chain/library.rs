//! Finding chain files by name, in a folder and among those built in. Names never leave the
//! folder.

use std::path::PathBuf;
use std::{fs, io};

use crate::chain::{Chain, ChainError, ChainFile};
use crate::registry::{Registry, nearest};

/// Chain files larger than this are refused.
const MAX_CHAIN_BYTES: u64 = 1 << 20;

/// Ending of native and of Gadgetron's files, in the order in which a name without one is tried.
const ENDINGS: [&str; 2] = [".toml", ".xml"];

/// The chains that clients can name.
#[derive(Clone)]
pub struct ChainLibrary {
    directory: Option<PathBuf>,
    built_in: &'static [(&'static str, &'static str)],
    registry: Registry,
}

/// A chain that can be named.
#[derive(Clone, Debug)]
pub struct ChainEntry {
    /// File name.
    pub name: String,
    /// Whether it is built into the program, not in the folder.
    pub is_built_in: bool,
    /// The chain, or what is wrong with it.
    pub chain: Result<Chain, LibraryError>,
}

/// A name that gives no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The name could leave the folder or is no name at all.
    #[error(
        "{0:?} is not the name of a chain\n  a name has letters, digits, dot, dash and underscore, and no path"
    )]
    BadName(String),
    /// There is no such file.
    #[error("there is no chain {name:?}\n  {remedy}")]
    Unknown {
        /// The name.
        name: String,
        /// A similar name, or how to list them.
        remedy: String,
    },
    /// The file cannot be read.
    #[error(
        "chain {name} cannot be read: {reason}\n  check the file's permissions and size on the server"
    )]
    Unreadable {
        /// The name.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// The file is wrong.
    #[error(transparent)]
    Faulty(#[from] ChainError),
}

impl ChainLibrary {
    /// Chains in `directory`, which go before the built-in ones (file name, text).
    pub fn new(
        directory: Option<PathBuf>,
        built_in: &'static [(&'static str, &'static str)],
        registry: Registry,
    ) -> Self {
        Self { directory, built_in, registry }
    }

    /// The gadgets that the chains are made of.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Finds and parses the chain of this name, with or without ending.
    ///
    /// # Errors
    /// [`LibraryError`]: the name, the file or its form is wrong.
    pub fn find(&self, name: &str) -> Result<ChainFile, LibraryError> {
        let (name, text) = self.read(name)?;
        Ok(ChainFile::parse(&name, &text)?)
    }

    /// File name and text of the chain of this name, with or without ending.
    ///
    /// # Errors
    /// [`LibraryError`]: there is none, or it cannot be read.
    pub fn read(&self, name: &str) -> Result<(String, String), LibraryError> {
        if !is_safe(name) {
            return Err(LibraryError::BadName(name.chars().take(80).collect()));
        }
        let names = std::iter::once(name.to_owned())
            .chain(ENDINGS.iter().map(|ending| format!("{name}{ending}")));
        for name in names {
            if let Some(text) = self.text(&name)? {
                return Ok((name, text));
            }
        }
        let known = self.names();
        let remedy = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "`boreside chains list` names those that the server has".to_owned(),
        };
        Err(LibraryError::Unknown { name: name.to_owned(), remedy })
    }

    /// Finds, parses and checks the chain of this name.
    ///
    /// # Errors
    /// [`LibraryError`].
    pub fn load(&self, name: &str) -> Result<Chain, LibraryError> {
        Ok(self.check(&self.find(name)?)?)
    }

    /// Checks a chain against the library's gadgets.
    ///
    /// # Errors
    /// All faults at once.
    pub fn check(&self, file: &ChainFile) -> Result<Chain, ChainError> {
        Chain::check(file, &self.registry)
    }

    /// All chains that can be named, in order.
    pub fn list(&self) -> Vec<ChainEntry> {
        let entry = |name: String| ChainEntry {
            is_built_in: !self.in_directory(&name),
            chain: self.load(&name),
            name,
        };
        self.names().into_iter().map(entry).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.built_in.iter().map(|(name, _)| (*name).to_owned()).collect();
        // A folder that cannot be listed is reported by the chain that is asked for.
        let entries = self.directory.as_deref().and_then(|folder| fs::read_dir(folder).ok());
        for entry in entries.into_iter().flatten().flatten() {
            if let Ok(name) = entry.file_name().into_string()
                && is_safe(&name)
                && ENDINGS.iter().any(|ending| name.ends_with(ending))
            {
                names.push(name);
            }
        }
        names.sort();
        names.dedup();
        names
    }

    fn in_directory(&self, name: &str) -> bool {
        self.directory.as_deref().is_some_and(|folder| folder.join(name).is_file())
    }

    fn text(&self, name: &str) -> Result<Option<String>, LibraryError> {
        if let Some(folder) = &self.directory {
            let unreadable =
                |reason: String| LibraryError::Unreadable { name: name.to_owned(), reason };
            let path = folder.join(name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() > MAX_CHAIN_BYTES => {
                    return Err(unreadable(format!("it has more than {MAX_CHAIN_BYTES} bytes")));
                }
                Ok(metadata) if metadata.is_file() => {
                    return fs::read_to_string(&path)
                        .map(Some)
                        .map_err(|error| unreadable(error.to_string()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(error.to_string())),
            }
        }
        let built_in = self.built_in.iter().find(|(known, _)| *known == name);
        Ok(built_in.map(|(_, text)| (*text).to_owned()))
    }
}

/// Whether a name can only mean a file of the folder itself.
fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains("..")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: &[(&str, &str)] =
        &[("empty.xml", "<configuration><version>2</version><stream/></configuration>")];

    #[test]
    fn a_chain_is_found_with_and_without_its_ending() {
        let library = ChainLibrary::new(None, BUILT_IN, Registry::new());
        assert!(library.load("empty.xml").is_ok());
        assert!(library.load("empty").is_ok());
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let library = ChainLibrary::new(Some("/".into()), BUILT_IN, Registry::new());
        for name in
            ["../etc/passwd", "etc/passwd", "..", ".hidden", "a\\b", "a b", "", "a\0", "C:x"]
        {
            let refused = matches!(library.find(name), Err(LibraryError::BadName(_)));
            assert!(refused, "{name:?} is refused");
        }
    }

    #[test]
    fn an_unknown_name_brings_the_nearest_one() {
        let library = ChainLibrary::new(None, BUILT_IN, Registry::new());
        let error = library.find("emtpy.xml").expect_err("there is no such chain");
        assert_eq!(
            error.to_string(),
            "there is no chain \"emtpy.xml\"\n  did you mean \"empty.xml\"?"
        );
    }
}
