//! Sets of lines, and ranges of numbers in words.

/// Lines that are told apart; a readout from outside could name 65 535.
const MAX_LINES: u16 = 16_384;

/// Which lines were read.
#[derive(Clone, Debug, Default)]
pub(super) struct LineSet(Vec<u64>);

impl LineSet {
    pub fn insert(&mut self, line: u16) {
        if line >= MAX_LINES {
            return;
        }
        let word = usize::from(line) / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (line % 64);
    }

    pub fn contains(&self, line: u16) -> bool {
        self.0.get(usize::from(line) / 64).is_some_and(|word| word >> (line % 64) & 1 == 1)
    }

    /// The smallest line, [`None`] in an empty set.
    pub fn first(&self) -> Option<u16> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some((64 * word) as u16 + self.0[word].trailing_zeros() as u16)
    }
}

/// Numbers in rising order as ranges: `0–3, 7, 9–12`, and how many more where there are many.
pub(super) fn ranges(numbers: &[u16]) -> String {
    const MOST: usize = 6;
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    let mut text = String::new();
    for (place, (start, end)) in ranges.iter().take(MOST).enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        text.push_str(&start.to_string());
        if start != end {
            text.push('–');
            text.push_str(&end.to_string());
        }
    }
    if ranges.len() > MOST {
        text.push_str(&format!(" and {} more ranges", ranges.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut lines = LineSet::default();
        assert_eq!(lines.first(), None);
        for line in [70, 16_383, 65_535, 64] {
            lines.insert(line);
        }
        assert!(lines.contains(70) && lines.contains(16_383) && !lines.contains(69));
        assert!(!lines.contains(65_535), "beyond the limit");
        assert_eq!(lines.first(), Some(64));
    }

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0–2, 5, 7–8");
        let odd: Vec<u16> = (0..20).map(|n| 2 * n).collect();
        assert_eq!(ranges(&odd), "0, 2, 4, 6, 8, 10 and 14 more ranges");
    }
}
