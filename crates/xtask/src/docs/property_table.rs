//! From the JSON Schema of a gadget's properties to a table in Markdown.

use std::borrow::Cow;
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::cell;

/// Values of an enumeration are explained one by one in the table up to this number of them.
const MAX_EXPLAINED: usize = 4;

/// One property.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    kind: String,
    default: String,
    allowed: String,
    description: String,
}

/// What a property's schema comes to once its references are followed.
struct Shape<'a> {
    schema: Cow<'a, Map<String, Value>>,
    may_be_none: bool,
}

/// The table of one gadget, or of several whose properties differ in their defaults only.
///
/// * `schemas`: name and schema of each.
pub fn property_table(schemas: &[(&str, &Value)]) -> Result<String> {
    let mut tables = Vec::new();
    for (name, schema) in schemas {
        tables.push((*name, rows(schema).with_context(|| (*name).to_owned())?));
    }
    let Some((_, first)) = tables.first() else { bail!("no gadget is named") };
    for (name, rows) in &tables {
        let same = |(a, b): (&Row, &Row)| {
            (&a.name, &a.kind, &a.allowed, &a.description)
                == (&b.name, &b.kind, &b.allowed, &b.description)
        };
        if rows.len() != first.len() || !rows.iter().zip(first).all(same) {
            bail!("the properties of {name} are not those of the others: give it its own table");
        }
    }
    if first.is_empty() {
        return Ok("No properties.".to_owned());
    }
    let groups = groups_of_equal_defaults(&tables);
    let heads: Vec<_> = match groups.as_slice() {
        [_] => vec!["default".to_owned()],
        _ => groups.iter().map(|(names, _)| format!("default of {}", names.join(", "))).collect(),
    };
    let mut text = format!("| property | type | {} | allowed | meaning |\n", heads.join(" | "));
    text += &format!("|{}\n", " --- |".repeat(4 + heads.len()));
    for (index, row) in first.iter().enumerate() {
        let defaults: Vec<_> = groups.iter().map(|(_, rows)| &*rows[index].default).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            row.name,
            row.kind,
            defaults.join(" | "),
            row.allowed,
            row.description
        );
    }
    Ok(text)
}

/// Tables that are equal, with the names of all their gadgets.
fn groups_of_equal_defaults<'a>(
    tables: &'a [(&'a str, Vec<Row>)],
) -> Vec<(Vec<&'a str>, &'a [Row])> {
    let mut groups: Vec<(Vec<&str>, &[Row])> = Vec::new();
    for (name, rows) in tables {
        match groups.iter_mut().find(|(_, known)| *known == rows.as_slice()) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], rows)),
        }
    }
    groups
}

fn rows(schema: &Value) -> Result<Vec<Row>> {
    let Some(properties) = schema["properties"].as_object() else { return Ok(Vec::new()) };
    properties
        .iter()
        .map(|(name, property)| row(schema, name, property).with_context(|| name.clone()))
        .collect()
}

fn row(root: &Value, name: &str, property: &Value) -> Result<Row> {
    let shape = Shape::of(root, property)?;
    let mut description = property["description"].as_str().unwrap_or_default().to_owned();
    let values = shape.values();
    if values.len() <= MAX_EXPLAINED {
        for (value, meaning) in &values {
            if let Some(meaning) = meaning {
                description += &format!(" `{value}`: {meaning}");
            }
        }
    }
    let default = match property.get("default") {
        Some(default) => shape.default(default),
        None if is_required(root, name) => "required".to_owned(),
        None if shape.may_be_none => "none".to_owned(),
        None => bail!(
            "the schema does not say its default: derive `Serialize` for the type of the property"
        ),
    };
    Ok(Row {
        name: name.to_owned(),
        kind: shape.kind(root)?,
        default,
        allowed: shape.allowed(root)?,
        description: cell(&description),
    })
}

fn is_required(root: &Value, name: &str) -> bool {
    root["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
}

impl<'a> Shape<'a> {
    fn of(root: &'a Value, property: &'a Value) -> Result<Self> {
        let map = property.as_object().context("its schema is no object")?;
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').context("its schema lies elsewhere")?;
            let target = root.pointer(pointer).context("its schema refers to nothing")?;
            return Self::of(root, target);
        }
        if let Some(choices) = map.get("anyOf").and_then(Value::as_array) {
            let (none, some): (Vec<_>, Vec<_>) =
                choices.iter().partition(|choice| choice["type"] == "null");
            let [only] = some.as_slice() else { bail!("its schema has several types") };
            let shape = Self::of(root, only)?;
            return Ok(Self { may_be_none: shape.may_be_none || !none.is_empty(), ..shape });
        }
        if let Some(types) = map.get("type").and_then(Value::as_array) {
            let some: Vec<_> = types.iter().filter(|kind| *kind != "null").collect();
            let [only] = some.as_slice() else { bail!("its schema has several types") };
            let mut schema = map.clone();
            schema.insert("type".to_owned(), (*only).clone());
            let may_be_none = some.len() < types.len();
            return Ok(Self { schema: Cow::Owned(schema), may_be_none });
        }
        Ok(Self { schema: Cow::Borrowed(map), may_be_none: false })
    }

    /// The values of an enumeration with their meanings; nothing for other types.
    fn values(&self) -> Vec<(&str, Option<&str>)> {
        let list = |key| self.schema.get(key).and_then(Value::as_array).into_iter().flatten();
        let plain = list("enum").filter_map(|value| Some((value.as_str()?, None)));
        let explained = list("oneOf").flat_map(|choice| {
            let meaning = choice["description"].as_str();
            let many = choice["enum"].as_array().into_iter().flatten();
            let names = choice.get("const").into_iter().chain(many);
            names.filter_map(move |name| Some((name.as_str()?, meaning)))
        });
        plain.chain(explained).collect()
    }

    /// What a list holds.
    fn items<'b>(&'b self, root: &'b Value) -> Result<Option<Shape<'b>>> {
        self.schema.get("items").map(|items| Shape::of(root, items)).transpose()
    }

    fn kind(&self, root: &Value) -> Result<String> {
        if !self.values().is_empty() {
            return Ok("string".to_owned());
        }
        let kind = self.schema.get("type").and_then(Value::as_str).context("it has no type")?;
        if kind != "array" {
            return Ok(kind.to_owned());
        }
        let items = self.items(root)?.context("the schema does not say what is in the list")?;
        let size = |key| self.schema.get(key).and_then(Value::as_u64);
        match (size("minItems"), size("maxItems")) {
            (Some(least), Some(most)) if least == most => {
                Ok(format!("list of {most} {}s", items.kind(root)?))
            }
            _ => Ok(format!("list of {}s", items.kind(root)?)),
        }
    }

    fn allowed(&self, root: &Value) -> Result<String> {
        let values = self.values();
        if !values.is_empty() {
            let quoted: Vec<_> = values.iter().map(|(value, _)| format!("`{value}`")).collect();
            return Ok(quoted.join(", "));
        }
        if let Some(items) = self.items(root)? {
            return items.allowed(root);
        }
        let bound = |key| self.schema.get(key).map(|bound| self.number(bound));
        let least = bound("minimum").map(|bound| (bound, false));
        let least = least.or(bound("exclusiveMinimum").map(|bound| (bound, true)));
        let most = bound("maximum").map(|bound| (bound, false));
        let most = most.or(bound("exclusiveMaximum").map(|bound| (bound, true)));
        Ok(match (least, most) {
            (None, None) => String::new(),
            (Some((least, false)), Some((most, false))) => format!("{least} to {most}"),
            (least, most) => {
                let least = least.map(|(bound, is_open)| {
                    if is_open { format!("more than {bound}") } else { format!("{bound} or more") }
                });
                let most = most.map(|(bound, is_open)| {
                    if is_open { format!("less than {bound}") } else { format!("{bound} or less") }
                });
                least.into_iter().chain(most).collect::<Vec<_>>().join(", ")
            }
        })
    }

    fn default(&self, value: &Value) -> String {
        match value {
            Value::Null => "none".to_owned(),
            Value::Number(_) => self.number(value),
            Value::Bool(value) => value.to_string(),
            other => format!("`{other}`"),
        }
    }

    /// A number in as many digits as its type has.
    fn number(&self, value: &Value) -> String {
        match value.as_f64() {
            Some(number) if self.schema.get("format").is_some_and(|format| format == "float") => {
                (number as f32).to_string()
            }
            Some(number) if value.is_f64() => number.to_string(),
            _ => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(max: i64) -> Value {
        json!({
            "$defs": { "How": { "oneOf": [
                { "const": "fast", "description": "At once.", "type": "string" },
                { "const": "slow", "description": "Later.", "type": "string" },
            ] } },
            "properties": {
                "axis": { "anyOf": [{ "$ref": "#/$defs/How" }, { "type": "null" }], "default": null },
                "bins": { "default": max, "minimum": 1, "maximum": 65536, "type": "integer",
                    "description": "Bins of\nthe histogram, a|b." },
                "factor": { "default": 0.1_f32, "format": "float", "type": "number", "minimum": 0.0 },
                "how": { "$ref": "#/$defs/How", "default": "fast", "description": "When." },
                "names": { "default": [], "items": { "type": "string" }, "type": "array" },
                "width": { "default": null, "type": ["number", "null"] },
            },
        })
    }

    #[test]
    fn each_property_has_type_default_range_and_meaning() {
        let table = property_table(&[("scale", &schema(100))]).expect("the schema is good");
        assert_eq!(
            table,
            "\
| property | type | default | allowed | meaning |
| --- | --- | --- | --- | --- |
| `axis` | string | none | `fast`, `slow` | `fast`: At once. `slow`: Later. |
| `bins` | integer | 100 | 1 to 65536 | Bins of the histogram, a\\|b. |
| `factor` | number | 0.1 | 0 or more |  |
| `how` | string | `\"fast\"` | `fast`, `slow` | When. `fast`: At once. `slow`: Later. |
| `names` | list of strings | `[]` |  |  |
| `width` | number | none |  |  |
"
        );
    }

    #[test]
    fn gadgets_that_share_a_table_differ_in_their_defaults_only() {
        let (one, two) = (schema(100), schema(200));
        let schemas = [("one", &one), ("two", &two), ("three", &one)];
        let table = property_table(&schemas).expect("they fit");
        assert!(table.contains("| default of one, three | default of two |"), "{table}");
        assert!(table.contains("| `bins` | integer | 100 | 200 |"), "{table}");
        let other = json!({});
        assert!(property_table(&[("one", &one), ("other", &other)]).is_err());
        assert_eq!(property_table(&[("other", &other)]).expect("empty"), "No properties.");
    }

    #[test]
    fn a_default_that_the_schema_lacks_is_an_error() {
        let schema = json!({ "properties": { "how": { "type": "string" } } });
        let error = property_table(&[("scale", &schema)]).expect_err("no default");
        assert!(format!("{error:#}").contains("derive `Serialize`"), "{error:#}");
    }
}
