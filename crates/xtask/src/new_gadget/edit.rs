//! Adding to files that are there.

use anyhow::{Context, Result};

/// The text with `new` among the lines that `is_one` says are of its kind, before the first that
/// comes after it in the alphabet.
pub fn insert_sorted(text: &str, new: &str, is_one: impl Fn(&str) -> bool) -> Result<String> {
    let mut lines: Vec<_> = text.lines().collect();
    let place = lines
        .iter()
        .position(|line| is_one(line) && *line > new)
        .or_else(|| lines.iter().rposition(|line| is_one(line)).map(|last| last + 1))
        .with_context(|| format!("there is no line like `{}`", new.trim()))?;
    lines.insert(place, new);
    Ok(lines.join("\n") + "\n")
}

/// The README with one more row in its table of gadgets, if it has one, and one more section
/// after those of the other gadgets.
pub fn add_to_readme(text: &str, row: &str, section: &str) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    let last_gadget = lines.iter().rposition(|line| *line == "<!-- end -->").unwrap_or(0);
    let place = lines[last_gadget.min(lines.len())..]
        .iter()
        .position(|line| line.starts_with("## "))
        .map_or(lines.len(), |offset| last_gadget + offset);
    if place == lines.len() {
        lines.push("");
        lines.extend(section.lines());
    } else {
        lines.splice(place..place, section.lines().chain([""]));
    }
    if let Some(first) = lines.iter().position(|line| line.starts_with("| [")) {
        let n_rows = lines[first..].iter().take_while(|line| line.starts_with("| ")).count();
        lines.insert(first + n_rows, row);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_to_its_place_in_the_alphabet() {
        let text = "//! X.\n\npub mod b;\npub mod d;\n\npub use b::B;\n";
        let is_module = |line: &str| line.starts_with("pub mod ");
        let insert = |new| insert_sorted(text, new, is_module).expect("there are modules");
        assert_eq!(insert("pub mod a;"), text.replace("pub mod b", "pub mod a;\npub mod b"));
        assert_eq!(insert("pub mod c;"), text.replace("pub mod d", "pub mod c;\npub mod d"));
        assert_eq!(insert("pub mod e;"), text.replace("mod d;", "mod d;\npub mod e;"));
        assert!(insert_sorted("", "pub mod a;", is_module).is_err());
    }

    #[test]
    fn a_section_goes_behind_those_of_the_other_gadgets() {
        let before = "# image\n\n| gadget |\n| --- |\n| [a](#a) |\n\n## a\n\n<!-- end -->\n";
        let after =
            "# image\n\n| gadget |\n| --- |\n| [a](#a) |\n| [b](#b) |\n\n## a\n\n<!-- end -->\n";
        let row = "| [b](#b) |";
        assert_eq!(add_to_readme(before, row, "## b\n\nB.\n"), format!("{after}\n## b\n\nB.\n"));
        assert_eq!(
            add_to_readme(&format!("{before}\n## Checks\n\nC.\n"), row, "## b\n\nB.\n"),
            format!("{after}\n## b\n\nB.\n\n## Checks\n\nC.\n")
        );
    }
}
