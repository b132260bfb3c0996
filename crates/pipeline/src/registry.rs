//! The gadgets that chains can name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ismrmrd::DataType;
use schemars::{Schema, SchemaGenerator};

use crate::limits::out_of_range;
use crate::properties::{Property, PropertyError, canonical_name, read_config};
use crate::runtime::{ErasedGadget, Fault, TypedGadget};
use crate::{Accept, Gadget, Give, Kinds, Remedy, Scan};

/// All gadgets by name. One function of the program lists them, a line each:
/// `Registry::new().with::<mapping::MapT2Star>()`.
#[derive(Clone, Default)]
pub struct Registry {
    gadgets: BTreeMap<&'static str, GadgetEntry>,
    aliases: BTreeMap<&'static str, &'static str>,
    chains: BTreeMap<&'static str, &'static [&'static str]>,
}

/// A gadget's properties, read and ready to make gadgets for scans.
pub(crate) trait Configured: Send + Sync {
    /// A gadget for one scan.
    fn build(&self, scan: &Scan) -> Result<Box<dyn ErasedGadget>, Fault>;
}

/// What the registry knows of a gadget.
#[derive(Clone)]
pub struct GadgetEntry {
    /// Its name in chain files.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub input: Kinds,
    /// What it gives.
    pub output: Kinds,
    /// Whether it starts a stage of its own.
    pub heavy: bool,
    /// Whether its results are of the kind of what they were made of.
    pub keeps_kind: bool,
    /// Pixel type of the images that it makes.
    pub pixels: Option<DataType>,
    schema: fn(&mut SchemaGenerator) -> Schema,
    read: ReadProperties,
    canonical: fn(&Property) -> Option<String>,
}

type ReadProperties = fn(&[Property]) -> Result<Arc<dyn Configured>, PropertyError>;

impl GadgetEntry {
    /// JSON Schema of its properties.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// JSON Schema of its properties, whole.
    pub fn schema_value(&self) -> serde_json::Value {
        self.schema(&mut SchemaGenerator::default()).to_value()
    }

    /// Reads its properties.
    pub(crate) fn read(
        &self,
        properties: &[Property],
    ) -> Result<Arc<dyn Configured>, PropertyError> {
        (self.read)(properties)
    }

    /// Properties whose values the schema does not allow: their places in the list, and what is
    /// wrong with each.
    pub(crate) fn out_of_range(&self, properties: &[Property]) -> Vec<(usize, String)> {
        if properties.is_empty() {
            return Vec::new();
        }
        let schema = self.schema_value();
        let wrong = |(index, property): (usize, &Property)| {
            let name = (self.canonical)(property)?;
            Some((index, out_of_range(&schema, &name, property)?))
        };
        properties.iter().enumerate().filter_map(wrong).collect()
    }
}

struct Configuration<G: Gadget>(G::Config);

impl<G: Gadget> Configured for Configuration<G> {
    fn build(&self, scan: &Scan) -> Result<Box<dyn ErasedGadget>, Fault> {
        match G::new(self.0.clone(), scan) {
            Ok(gadget) => Ok(Box::new(TypedGadget(gadget))),
            Err(error) => Err(Fault::error(G::NAME, error.to_string(), error.remedy())),
        }
    }
}

impl Registry {
    /// No gadgets.
    pub fn new() -> Self {
        Self::default()
    }

    /// This registry and one more gadget.
    ///
    /// # Panics
    /// If the name or an alias is taken: a bug of the program that makes the list.
    #[must_use]
    pub fn with<G: Gadget>(mut self) -> Self {
        let entry = GadgetEntry {
            name: G::NAME,
            aliases: G::ALIASES,
            input: G::Input::KINDS,
            output: G::Output::KINDS,
            heavy: G::HEAVY,
            keeps_kind: G::KEEPS_KIND,
            pixels: G::PIXELS,
            schema: |generator| generator.root_schema_for::<G::Config>(),
            canonical: canonical_name::<G::Config>,
            read: |properties| {
                let config = read_config::<G::Config>(properties)?;
                Ok(Arc::new(Configuration::<G>(config)))
            },
        };
        for alias in G::ALIASES {
            assert!(self.get(alias).is_none(), "two gadgets are called {alias}");
            self.aliases.insert(alias, G::NAME);
        }
        assert!(!self.aliases.contains_key(G::NAME), "two gadgets are called {}", G::NAME);
        let before = self.gadgets.insert(G::NAME, entry);
        assert!(before.is_none(), "two gadgets are called {}", G::NAME);
        self
    }

    /// This registry and a name that stands for several gadgets, one behind the other: a class of
    /// Gadgetron that does what several of ours do. Each property goes to those that have it.
    ///
    /// # Panics
    /// If the name is taken or one of the gadgets is not there: a bug of the program that makes the
    /// list.
    #[must_use]
    pub fn with_chain(mut self, name: &'static str, gadgets: &'static [&'static str]) -> Self {
        assert!(self.get(name).is_none(), "two gadgets are called {name}");
        for gadget in gadgets {
            assert!(
                self.gadgets.contains_key(gadget),
                "{name} stands for {gadget}, which is not there"
            );
        }
        let before = self.chains.insert(name, gadgets);
        assert!(before.is_none(), "two gadgets are called {name}");
        self
    }

    /// The gadgets that a name of [`Registry::with_chain`] stands for.
    pub fn chain(&self, name: &str) -> Option<&'static [&'static str]> {
        self.chains.get(name).copied()
    }

    /// Names that stand for several gadgets, with these.
    pub fn chains(&self) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        self.chains.iter().map(|(name, gadgets)| (*name, *gadgets))
    }

    /// The gadget of this name or alias.
    pub fn get(&self, name: &str) -> Option<&GadgetEntry> {
        let name = self.aliases.get(name).copied().unwrap_or(name);
        self.gadgets.get(name)
    }

    /// The name of a gadget's property, found by its name or an alias; [`None`] where the gadget
    /// has no such property.
    pub(crate) fn canonical_property(&self, gadget: &str, property: &Property) -> Option<String> {
        let one = [gadget];
        let gadgets = self.chain(gadget).unwrap_or(&one).iter();
        let mut entries = gadgets.filter_map(|gadget| self.get(gadget));
        entries.find_map(|entry| (entry.canonical)(property))
    }

    /// All gadgets in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &GadgetEntry> {
        self.gadgets.values()
    }

    /// The name or alias most like `name`, for error messages.
    pub(crate) fn nearest(&self, name: &str) -> Option<&'static str> {
        let names = self.gadgets.keys().chain(self.aliases.keys()).chain(self.chains.keys());
        nearest(name, names.copied())
    }
}

/// The candidate most like `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
