//! A model's card in Markdown.

use std::fmt::Write;

use inference::Manifest;
use inference::manifest::{Input, Length, Output};

/// The card.
pub fn card(manifest: &Manifest) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write_card(&mut text, manifest);
    text
}

fn write_card(text: &mut String, manifest: &Manifest) -> std::fmt::Result {
    let Manifest { name, version, licence, intended_use, sha256, opset, card, .. } = manifest;
    writeln!(text, "# {name} {version}\n\n{intended_use}\n")?;
    writeln!(text, "* Licence: {licence}")?;
    writeln!(text, "* File: `{}`, opset {opset}, SHA-256 `{sha256}`", manifest.file_name())?;
    if !manifest.provenance.is_empty() {
        writeln!(text, "* Origin: {}", manifest.provenance)?;
    }
    if !card.trained_on.is_empty() {
        writeln!(text, "* Trained on: {}", card.trained_on)?;
    }
    if !card.training_command.is_empty() {
        writeln!(text, "* Trained by: `{}`", card.training_command)?;
    }
    let fallback = manifest.fallback.as_deref().unwrap_or("the image as it was");
    writeln!(text, "* Where it cannot run: {fallback}")?;
    let conditions = &manifest.conditions;
    if !conditions.field_strength_t.is_empty() {
        let fields: Vec<_> = conditions.field_strength_t.iter().map(f64::to_string).collect();
        writeln!(text, "* Made for: {} T", fields.join(", "))?;
    }
    if let Some(pattern) = &conditions.sequence_name {
        writeln!(text, "* Made for sequences whose name matches `{pattern}`")?;
    }
    let budget = &manifest.budget;
    writeln!(text, "* Time: {} ms at most; memory: {} MiB", budget.time_ms, budget.memory_mib)?;
    writeln!(
        text,
        "\n## Takes and gives\n\n| | name | what | shape | unit |\n| --- | --- | --- | --- | --- |"
    )?;
    for Input { name, role, shape, unit, .. } in &manifest.inputs {
        writeln!(text, "| in | `{name}` | {} | {} | {unit} |", word(role), lengths(shape))?;
    }
    for Output { name, kind, shape, unit, classes, .. } in &manifest.outputs {
        let classes =
            if classes.is_empty() { String::new() } else { format!(": {}", classes.join(", ")) };
        writeln!(
            text,
            "| out | `{name}` | {}{classes} | {} | {unit} |",
            word(kind),
            lengths(shape)
        )?;
    }
    if !card.measured.is_empty() {
        writeln!(text, "\n## Measured\n\n| what | group | value |\n| --- | --- | --- |")?;
        for measured in &card.measured {
            let group = measured.group.as_deref().unwrap_or("all");
            writeln!(text, "| {} | {group} | {} |", measured.what, measured.value)?;
        }
    }
    if !card.limits.is_empty() {
        writeln!(text, "\n## Limits\n")?;
        for limit in &card.limits {
            writeln!(text, "* {limit}")?;
        }
    }
    Ok(())
}

/// The word that the manifest has for it.
fn word(kind: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn lengths(shape: &[Length]) -> String {
    let lengths: Vec<_> = shape
        .iter()
        .map(|length| match length {
            Length::Fixed(length) => length.to_string(),
            Length::Free(name) => name.clone(),
        })
        .collect();
    lengths.join(" × ")
}
