//! What the schema of a gadget allows of a property, where its type does not say it.

use serde_json::Value;

use crate::properties::Property;

/// Says that the value of a property is out of the range that a schema gives it; [`None`] where
/// it is within, or the schema gives none. Whether an enumeration knows a word is for its type to
/// say, which also knows other names of it.
///
/// * `schema`: of the gadget's properties.
/// * `name`: the property's name in the schema.
pub(crate) fn out_of_range(schema: &Value, name: &str, property: &Property) -> Option<String> {
    let about = schema.get("properties")?.get(name)?;
    let limit = |key| about.get(key).and_then(Value::as_f64);
    let (least, most) = (limit("minimum"), limit("maximum"));
    let value = match &property.value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if property.text_is_untyped => text.trim().parse().ok()?,
        _ => return None,
    };
    let allowed = match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most} are allowed"),
        (Some(least), None) => format!("at least {least} is allowed"),
        (None, Some(most)) => format!("at most {most} is allowed"),
        (None, None) => return None,
    };
    // What is no number is within nothing.
    let is_within = least.is_none_or(|least| value >= least) && most.is_none_or(|m| value <= m);
    (!is_within).then(|| format!("{value} is out of range: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(value: Value, text_is_untyped: bool) -> Option<String> {
        let schema = json!({ "properties": {
            "share": { "type": "number", "minimum": 0.0, "maximum": 100.0 },
        } });
        let property = Property { name: "share".to_owned(), value, text_is_untyped, line: 3 };
        out_of_range(&schema, "share", &property)
    }

    #[test]
    fn numbers_and_text_that_stands_for_them_are_held_against_the_schema() {
        let expected = Some("500 is out of range: 0 to 100 are allowed".to_owned());
        assert_eq!(said(json!(500), false), expected);
        assert_eq!(said(json!(" 500 "), true), expected);
        assert_eq!(said(json!("500"), false), None, "its type refuses text");
        assert!(said(json!("nan"), true).is_some_and(|what| what.starts_with("NaN is out")));
        for within in [json!(0), json!(100.0), json!(null)] {
            assert_eq!(said(within, false), None);
        }
    }

    #[test]
    fn one_limit_alone_is_told_alone_and_no_limit_allows_all() {
        let schema = json!({ "properties": {
            "floor": { "minimum": 1 }, "roof": { "maximum": 64 }, "free": { "type": "number" },
        } });
        let property = |value: i64| Property {
            name: String::new(),
            value: value.into(),
            text_is_untyped: false,
            line: 0,
        };
        let said = |name, value| out_of_range(&schema, name, &property(value));
        assert_eq!(said("floor", 0).as_deref(), Some("0 is out of range: at least 1 is allowed"));
        assert_eq!(said("roof", 65).as_deref(), Some("65 is out of range: at most 64 is allowed"));
        assert_eq!((said("free", 65), said("nothing", 65)), (None, None));
    }
}
