//! Texts as DICOM's value representations allow them.
//!
//! What comes from a header or from a chain can hold anything; an object with one value too long is
//! refused by some archives as a whole.

/// A text of at most `max_chars` characters without control characters and backslashes, which
/// separate values: for LO (64), SH (16), PN and UC.
pub fn line(text: &str, max_chars: usize) -> String {
    let visible = |c: char| if c.is_control() || c == '\\' { ' ' } else { c };
    let cleaned: String = text.trim().chars().map(visible).take(max_chars).collect();
    cleaned.trim().to_owned()
}

/// A long string (LO).
pub fn lo(text: &str) -> String {
    line(text, 64)
}

/// A short string (SH).
pub fn sh(text: &str) -> String {
    line(text, 16)
}

/// A text of some lines: ST (1024), LT (10240).
pub fn paragraphs(text: &str, max_chars: usize) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let cleaned: String = text.trim().chars().map(visible).take(max_chars).collect();
    cleaned.trim_end().to_owned()
}

/// A name of a person (PN): at most three groups, each with at most five components and 64
/// characters.
pub fn person(text: &str) -> String {
    let group = |group: &str| {
        let components: Vec<_> = group.splitn(6, '^').take(5).collect();
        line(&components.join("^"), 64)
    };
    text.split('=')
        .take(3)
        .map(group)
        .collect::<Vec<_>>()
        .join("=")
        .trim_end_matches('=')
        .to_owned()
}

/// A code string (CS): 16 capital letters, digits, blanks and underscores.
pub fn code(text: &str) -> String {
    let allowed = |c: char| {
        let c = c.to_ascii_uppercase();
        match c {
            'A'..='Z' | '0'..='9' | ' ' | '_' => c,
            _ => '_',
        }
    };
    let cleaned: String = text.trim().chars().map(allowed).take(16).collect();
    cleaned.trim().to_owned()
}

/// A UID: the text, if it is one.
pub fn uid(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('\0');
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_uid = text.len() <= 64 && text.contains('.') && text.split('.').all(is_part);
    is_uid.then(|| text.to_owned())
}

/// A date (DA) of `YYYY-MM-DD` or `YYYYMMDD`.
pub fn date(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(char::is_ascii_digit).collect();
    let is_clean = text.trim().chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '/'));
    if digits.len() != 8 || !is_clean {
        return None;
    }
    chrono::NaiveDate::parse_from_str(&digits, "%Y%m%d").ok().map(|_| digits)
}

/// A time (TM) of `hh:mm:ss`, `hhmmss`, each with or without a fraction.
pub fn time(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('Z');
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_clean = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == ':');
    if !is_clean(clock) || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let digits: String = clock.chars().filter(char::is_ascii_digit).collect();
    let number = |at: usize| digits.get(at..at + 2)?.parse::<u32>().ok();
    let is_time = digits.len() == 6 && number(0)? < 24 && number(2)? < 60 && number(4)? < 61;
    let fraction: String = fraction.chars().take(6).collect();
    is_time.then(|| if fraction.is_empty() { digits } else { format!("{digits}.{fraction}") })
}

/// A decimal string (DS): as exact as 16 characters can be. [`None`] for what is no number.
pub fn decimal(value: f64) -> Option<String> {
    const MAX_CHARS: usize = 16;
    if !value.is_finite() {
        return None;
    }
    if value == 0.0 {
        return Some("0".to_owned());
    }
    let shortest = value.to_string();
    if shortest.len() <= MAX_CHARS {
        return Some(shortest);
    }
    let fixed = (0..=14).rev().map(|decimals| format!("{value:.decimals$}"));
    let exponential = (0..=12).rev().map(|digits| format!("{value:.digits$E}"));
    let error =
        |text: &String| text.parse::<f64>().map_or(f64::INFINITY, |read| (read - value).abs());
    fixed
        .chain(exponential)
        .filter(|text| text.len() <= MAX_CHARS)
        .min_by(|a, b| error(a).total_cmp(&error(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_what_separates_values_and_what_is_too_long() {
        assert_eq!(lo("  a\\b\nc\0 "), "a b c");
        assert_eq!(sh("A short string that is not"), "A short string t");
        assert_eq!(lo(&"ä".repeat(100)), "ä".repeat(64));
        assert_eq!(paragraphs("one\ntwo\x07", 1024), "one\ntwo");
        assert_eq!(code("t2* map/β"), "T2_ MAP__");
        assert_eq!(person("Müller^Änne^^Dr.^^too^many=X\\Y"), "Müller^Änne^^Dr.^=X Y");
        assert_eq!(person("One^^^"), "One^^^");
    }

    #[test]
    fn uids_dates_and_times_are_such_or_nothing() {
        assert_eq!(uid("1.2.840.10008.1 \0").as_deref(), None);
        assert_eq!(uid(" 1.2.840.0.1\0").as_deref(), Some("1.2.840.0.1"));
        for bad in ["", "1", "1..2", "1.02", "1.2.x", &"1.2".repeat(30)] {
            assert_eq!(uid(bad), None, "{bad}");
        }
        assert_eq!(date("1999-02-03").as_deref(), Some("19990203"));
        for bad in ["1999-02-30", "99-02-03", "yesterday", ""] {
            assert_eq!(date(bad), None, "{bad}");
        }
        assert_eq!(time("12:34:56").as_deref(), Some("123456"));
        assert_eq!(time("123456.1234567").as_deref(), Some("123456.123456"));
        for bad in ["25:00:00", "12:34", "noon", ""] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn decimal_strings_fit_and_are_exact_to_their_length() {
        for value in [
            0.1,
            -123.456_789_012_345_68,
            1.0 / 3.0,
            1e-9 / 3.0,
            -1e-9 / 3.0,
            1e20 / 3.0,
            123_456_789_012_345_680.0,
            5e-324,
            2.5e300,
            -0.0,
        ] {
            let text = decimal(value).expect("a number");
            assert!(text.len() <= 16, "{text}");
            let read: f64 = text.parse().expect("a number");
            assert!((read - value).abs() <= 1e-8 * value.abs().max(1e-300), "{value}: {text}");
        }
        assert_eq!(decimal(f64::NAN), None);
    }
}
