//! A chain file as it was written, before anything in it is looked up.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::chain::{ChainError, gadgetron_xml, native_toml};
use crate::properties::Property;
use crate::{Kinds, Registry, nearest};

/// A chain file, parsed but not checked.
#[derive(Clone, Debug)]
pub struct ChainFile {
    /// Its file name, for messages.
    pub name: String,
    /// What the chain is for.
    pub description: Option<String>,
    /// Kinds that it is fed with, [`None`] where the file does not say.
    pub input: Option<Kinds>,
    /// Kinds that are sent to the client, [`None`] where the file does not say.
    pub output: Option<Kinds>,
    /// Its steps in order.
    pub steps: Vec<Step>,
}

/// One step of a chain file.
#[derive(Clone, Debug)]
pub enum Step {
    /// A gadget.
    Gadget(GadgetStep),
    /// Streams side by side.
    Parallel(ParallelStep),
    /// Steps that several workers do for different messages at the same time.
    ParallelProcess(ParallelProcessStep),
}

/// A gadget and its properties.
#[derive(Clone, Debug)]
pub struct GadgetStep {
    /// Line of the file, from 1.
    pub line: usize,
    /// Name or alias of the gadget.
    pub gadget: String,
    /// Its own name in this chain, for references and reports.
    pub name: Option<String>,
    /// Its properties in order.
    pub properties: Vec<Property>,
}

/// Streams side by side.
#[derive(Clone, Debug)]
pub struct ParallelStep {
    /// Line of the file, from 1.
    pub line: usize,
    /// Decides which streams a message goes to.
    pub branch: String,
    /// Joins what the streams give.
    pub merge: String,
    /// The streams by their keys. An empty one passes everything.
    pub streams: Vec<(String, Vec<Step>)>,
}

/// Steps that several workers do for different messages at the same time.
#[derive(Clone, Debug)]
pub struct ParallelProcessStep {
    /// Line of the file, from 1.
    pub line: usize,
    /// Number of workers, 0 for as many as the machine has processors.
    pub workers: usize,
    /// What each of them does.
    pub steps: Vec<Step>,
}

impl ChainFile {
    /// Parses a chain file: XML if it starts with `<`, TOML otherwise.
    ///
    /// # Errors
    /// Everything that is wrong with its form, with lines.
    pub fn parse(name: &str, text: &str) -> Result<Self, ChainError> {
        if text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('<') {
            gadgetron_xml::parse(name, text)
        } else {
            native_toml::parse(name, text)
        }
    }

    /// Sets a property wherever a gadget of the chain has it: `property`, or `gadget.property` for
    /// one gadget (its name in the chain, its name or an alias). Text is read as the property's
    /// type. For parameters from a scanner's interface. Whether any gadget has it.
    pub fn set_property(&mut self, parameter: &str, value: &Value, registry: &Registry) -> bool {
        let (target, property) = match parameter.rsplit_once('.') {
            Some((gadget, property)) => (Some(gadget), property),
            None => (None, parameter),
        };
        let new = Property {
            name: property.to_owned(),
            value: value.clone(),
            text_is_untyped: true,
            line: 0,
        };
        let name_of = |gadget: &str| registry.get(gadget).map(|entry| entry.name);
        let mut found = false;
        for_each_gadget(&mut self.steps, &mut |step| {
            let is_target = target.is_none_or(|target| {
                step.name.as_deref() == Some(target)
                    || (name_of(target).is_some() && name_of(target) == name_of(&step.gadget))
            });
            let gadget = step.gadget.clone();
            let canonical = |property: &Property| registry.canonical_property(&gadget, property);
            let name = canonical(&new).filter(|_| is_target);
            if name.is_none() {
                return;
            }
            found = true;
            step.properties.retain(|known| canonical(known) != name);
            step.properties.push(new.clone());
        });
        found
    }

    /// The values of a property, by its name, in all gadgets that set it.
    pub fn values_of(&self, property: &str) -> Vec<Value> {
        let mut values = Vec::new();
        for_each_gadget(&mut self.steps.clone(), &mut |step| {
            let set = step.properties.iter().filter(|known| known.name == property);
            values.extend(set.map(|known| known.value.clone()));
        });
        values
    }

    /// The property of some gadget of the chain whose name is most like this one, if one is near
    /// enough to be meant.
    pub fn nearest_property(&mut self, parameter: &str, registry: &Registry) -> Option<String> {
        let property = parameter.rsplit_once('.').map_or(parameter, |(_, property)| property);
        let mut names = BTreeSet::new();
        for_each_gadget(&mut self.steps, &mut |step| {
            let schema = registry.get(&step.gadget).map(|entry| entry.schema_value());
            let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
            let properties = properties.and_then(Value::as_object).into_iter().flatten();
            names.extend(properties.map(|(name, _)| name.clone()));
        });
        nearest(property, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// Visits all gadgets, nested ones too, in the order of the file.
pub(crate) fn for_each_gadget(steps: &mut [Step], visit: &mut dyn FnMut(&mut GadgetStep)) {
    for step in steps {
        match step {
            Step::Gadget(gadget) => visit(gadget),
            Step::Parallel(parallel) => {
                for (_, steps) in &mut parallel.streams {
                    for_each_gadget(steps, visit);
                }
            }
            Step::ParallelProcess(process) => for_each_gadget(&mut process.steps, visit),
        }
    }
}
