//! What healthy hearts have.

use serde_json::{Value, json};

/// Lowest and highest value of healthy hearts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    range: [f64; 2],
    source: &'static str,
}

/// Quantity, field strength in tesla, mean, standard deviation, source. A range is two standard
/// deviations to each side. Methods and scanners differ: a site's own range goes before these.
const PUBLISHED: [(&str, f64, f64, f64, &str); 7] = [
    ("T1", 1.5, 996.0, 31.0, "Granitz 2019, MOLLI 5(3)3"),
    ("T1", 3.0, 1122.0, 57.0, "Roy 2017, MOLLI 3(3)3(3)5"),
    ("T2", 1.5, 55.8, 2.8, "Granitz 2019"),
    ("T2", 3.0, 51.6, 3.0, "Granitz 2019"),
    ("T2STAR", 3.0, 24.0, 5.0, "Roy 2017"),
    ("ECV", 1.5, 25.0, 4.0, "Dabir 2014"),
    ("ECV", 3.0, 26.0, 4.0, "Dabir 2014"),
];

impl Reference {
    /// A site's own range.
    pub fn of_site(range: [f64; 2]) -> Self {
        Self { range, source: "the site's own" }
    }

    /// A published range, [`None`] where there is none for the quantity and the field strength.
    pub fn published(quantity: &str, field_strength_t: Option<f64>) -> Option<Self> {
        let field = field_strength_t?;
        let (.., mean, sd, source) = PUBLISHED
            .iter()
            .find(|(known, tesla, ..)| *known == quantity && (tesla / field - 1.0).abs() < 0.1)?;
        Some(Self { range: [mean - 2.0 * sd, mean + 2.0 * sd], source })
    }

    /// Where a value lies, in words.
    pub fn verdict(&self, value: f64, unit: &str) -> String {
        let [low, high] = self.range;
        let place = match value {
            _ if value < low => "below",
            _ if value > high => "above",
            _ => "within",
        };
        format!("{place} {low:.0} to {high:.0} {unit} ({})", self.source)
    }

    pub fn to_json(&self, value: f64) -> Value {
        let [low, high] = self.range;
        json!({
            "low": low, "high": high, "source": self.source,
            "within": (low..=high).contains(&value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_that_of_the_field_strength() {
        let found = Reference::published("T1", Some(1.494)).expect("1.5 T is known");
        assert_eq!(found.range, [934.0, 1058.0]);
        assert!(found.verdict(1100.0, "ms").starts_with("above 934 to 1058 ms"));
        assert_eq!(Reference::published("T1", Some(7.0)), None);
        assert_eq!(Reference::published("T1", None), None);
    }
}
