//! JSON Schema of native chain files, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Kinds;
use crate::registry::Registry;
use crate::runtime::{Branch, Merge};

/// JSON Schema (2020-12) of a chain file in TOML made of the registry's gadgets.
pub fn chain_schema(registry: &Registry) -> Value {
    let mut steps: Vec<Value> = registry
        .iter()
        .map(|entry| {
            // A gadget's schema is put inside another one, so it must not refer to its own root.
            let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
            let mut generator = settings.into_generator();
            let mut schema = entry.schema(&mut generator).to_value();
            let own = json!({
                "use": { "const": entry.name },
                "name": { "type": "string", "description": "Its name in this chain." },
            });
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("$schema");
                schema.insert("title".to_owned(), entry.name.into());
                let properties = schema.entry("properties").or_insert_with(|| Map::new().into());
                if let (Some(all), Some(own)) = (properties.as_object_mut(), own.as_object()) {
                    all.extend(own.clone());
                }
                let required = schema.entry("required").or_insert_with(|| json!([]));
                if let Some(required) = required.as_array_mut() {
                    required.push("use".into());
                }
            }
            schema
        })
        .collect();
    let names = |known: &[(&str, &str)]| -> Value { known.iter().map(|(ours, _)| *ours).collect() };
    steps.push(json!({
        "title": "parallel",
        "description": "Streams side by side.",
        "type": "object",
        "properties": {
            "use": { "const": "parallel" },
            "branch": { "enum": names(Branch::NAMES) },
            "merge": { "enum": names(Merge::NAMES) },
            "stream": { "type": "array", "items": {
                "type": "object",
                "properties": { "key": { "type": "string" }, "gadget": { "$ref": "#/$defs/steps" } },
                "required": ["key"],
                "additionalProperties": false,
            } },
        },
        "required": ["use", "branch", "stream"],
        "additionalProperties": false,
    }));
    steps.push(json!({
        "title": "parallel_process",
        "description": "Steps that several workers do for different messages at the same time.",
        "type": "object",
        "properties": {
            "use": { "const": "parallel_process" },
            "workers": { "type": "integer", "minimum": 0, "maximum": 256 },
            "gadget": { "$ref": "#/$defs/steps" },
        },
        "required": ["use", "gadget"],
        "additionalProperties": false,
    }));
    let kinds: Value = Kinds::names().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Boreside chain",
        "type": "object",
        "properties": {
            "description": { "type": "string", "description": "What the chain is for." },
            "input": { "type": "array", "items": { "enum": kinds }, "description": "Kinds of message that it is fed with." },
            "output": { "type": "array", "items": { "enum": kinds }, "description": "Kinds of message that go to the client." },
            "gadget": { "$ref": "#/$defs/steps" },
        },
        "required": ["gadget"],
        "additionalProperties": false,
        "$defs": { "steps": { "type": "array", "items": { "oneOf": steps } } },
    })
}
