//! Parameters that a scanner's interface sends as JSON after the header.
//!
//! `{"version": "1.1.0", "parameters": {"config": "molli", "customconfig": "", "max_t1_ms": "4000"}}`
//! Values often are text: they are read as the type of the property that they set.

use pipeline::Registry;
use pipeline::chain::ChainFile;
use serde_json::{Map, Value};

/// Keys that choose the chain.
const CHAIN_KEYS: [&str; 2] = ["customconfig", "config"];

/// The parameters in a JSON text; [`None`] if it is no JSON object.
pub fn of_json(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(of_object(object)),
        _ => None,
    }
}

/// The parameters in the whole JSON object; those of a flat object are the object itself.
fn of_object(mut object: Map<String, Value>) -> Map<String, Value> {
    match object.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        _ => object,
    }
}

/// The chain that the parameters name.
pub fn chain_name(parameters: &Map<String, Value>) -> Option<&str> {
    CHAIN_KEYS
        .iter()
        .filter_map(|key| parameters.get(*key).and_then(Value::as_str).map(str::trim))
        .find(|name| !name.is_empty())
}

/// Sets the properties that the parameters name, as `property` wherever a gadget has it, or as
/// `gadget.property`. Gives the names that fit nothing, each with the one that may be meant.
pub fn apply(
    parameters: &Map<String, Value>,
    file: &mut ChainFile,
    registry: &Registry,
) -> Vec<String> {
    let mut unused = Vec::new();
    for (name, value) in parameters {
        let is_other = !CHAIN_KEYS.contains(&name.as_str()) && name != "version";
        if is_other && !file.set_property(name, value, registry) {
            unused.push(match file.nearest_property(name, registry) {
                Some(near) => format!("{name} (did you mean {near}?)"),
                None => name.clone(),
            });
        }
    }
    unused
}
