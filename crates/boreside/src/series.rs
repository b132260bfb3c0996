//! What the series of images are: name, unit, range, verdict, and what made them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ismrmrd::Image;
use pipeline::Verdict;
use pipeline::image_facts::{ImageFacts, ImageKind, rescale};
use pipeline::image_notes::RECONSTRUCTION_KEY;
use serde_json::{Value, json};

/// Rows of the table: images of further ones are counted only.
const MAX_ROWS: usize = 256;
/// Different makers of one row that are told.
const MAX_MAKERS: usize = 4;
/// Different sizes of one row that are told, and different verdicts.
const MAX_SIZES: usize = 4;
const MAX_VERDICTS: usize = 64;
/// Characters of a name, a unit, a maker and a reason: they come from a file or over the wire.
const MAX_CHARACTERS: usize = 400;

/// What the series of images are. A series whose images are of different kinds has a row for each.
#[derive(Debug, Default)]
pub struct SeriesTable {
    rows: BTreeMap<(u16, String), Row>,
    n_left_out: usize,
}

#[derive(Debug)]
struct Row {
    n_images: usize,
    sizes: Vec<String>,
    unit: String,
    /// Whether the verdicts are about these values, and not about those that they belong to.
    is_map: bool,
    /// Of the values, without those that stand for none.
    lowest: f64,
    highest: f64,
    n_more_sizes: usize,
    /// Each with the slices that it is about; what asks for most stays.
    verdicts: Vec<(Verdict, Vec<u16>)>,
    n_more_verdicts: usize,
    makers: Vec<String>,
    n_more_makers: usize,
    first: Duration,
    last: Duration,
}

impl SeriesTable {
    /// Takes note of an image that came at this time.
    pub fn take(&mut self, image: &Image, at: Duration) {
        let facts = ImageFacts::of(image);
        let key = (image.header.image_series_index, printable(&name_of(image, &facts)));
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.n_left_out += 1;
            return;
        }
        let row = self.rows.entry(key).or_insert_with(|| Row {
            n_images: 0,
            sizes: Vec::new(),
            n_more_sizes: 0,
            unit: printable(&unit_of(image, &facts)),
            is_map: facts.kind == ImageKind::Map,
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
            verdicts: Vec::new(),
            n_more_verdicts: 0,
            makers: Vec::new(),
            n_more_makers: 0,
            first: at,
            last: at,
        });
        row.n_images += 1;
        row.last = at;
        let [x, y, z] = image.header.matrix_size;
        let channels = { image.header.channels };
        let size = format!("{x}x{y}x{z}, {channels} ch, {:?}", image.pixels.data_type());
        if !row.sizes.contains(&size) {
            match row.sizes.len() < MAX_SIZES {
                true => row.sizes.push(size),
                false => row.n_more_sizes += 1,
            }
        }
        let (slope, intercept) = rescale(image);
        for &stored in &image.pixels.to_magnitude() {
            if facts.zero_is_invalid && stored == 0.0 {
                continue;
            }
            let value = slope * f64::from(stored) + intercept;
            row.lowest = row.lowest.min(value);
            row.highest = row.highest.max(value);
        }
        if let Some(verdict) = &facts.verdict {
            row.take_verdict(verdict, image.header.slice);
        }
        for maker in makers(image, &facts) {
            let maker = printable(&maker);
            if row.makers.contains(&maker) {
                continue;
            }
            match row.makers.len() < MAX_MAKERS {
                true => row.makers.push(maker),
                false => row.n_more_makers += 1,
            }
        }
    }

    /// Whether there was no image.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row for each series, then who made them, then every verdict that asks for something: the
    /// last lines are those that nobody misses.
    pub fn text(&self, with_times: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut cells = vec![
            ["series", "images", "size and type", "shows", "lowest", "highest", "unit", "verdict"]
                .map(str::to_owned)
                .to_vec(),
        ];
        let mut times = vec![format!("{:>9} {:>9}", "first", "last")];
        for ((number, name), row) in &self.rows {
            cells.push(vec![
                number.to_string(),
                row.n_images.to_string(),
                row.sizes_in_words(),
                name.clone(),
                significant(row.lowest),
                significant(row.highest),
                if row.unit.is_empty() { "-".to_owned() } else { row.unit.clone() },
                row.worst().map_or("-", |verdict| word_of(verdict)).to_owned(),
            ]);
            let (first, last) = (row.first.as_secs_f64(), row.last.as_secs_f64());
            times.push(format!("{first:>7.3} s {last:>7.3} s"));
        }
        let width = |column: usize| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..8).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for (row, times) in cells.iter().zip(&times) {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Numbers end where their column ends. Writing to a String does not fail, here
                // and below.
                let _ = match column {
                    0 | 1 | 4 | 5 => write!(line, "{cell:>width$}  "),
                    _ => write!(line, "{cell:<width$}  "),
                };
            }
            if with_times {
                line += times;
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if self.n_left_out > 0 {
            let _ = writeln!(text, "{} images of further series", self.n_left_out);
        }
        self.write_makers(&mut text);
        self.write_verdicts(&mut text);
        text
    }

    /// Series that were made alike share a line.
    fn write_makers(&self, text: &mut String) {
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for ((number, _), row) in &self.rows {
            let mut made = row.makers.join("; ");
            if row.n_more_makers > 0 {
                let _ = write!(made, "; and {} more", row.n_more_makers);
            }
            let number = number.to_string();
            match lines.iter_mut().find(|(known, _)| *known == made) {
                _ if made.is_empty() => {}
                Some((_, numbers)) if numbers.contains(&number) => {}
                Some((_, numbers)) => numbers.push(number),
                None => lines.push((made, vec![number])),
            }
        }
        for (made, numbers) in lines {
            let _ = writeln!(text, "series {} made by: {made}", numbers.join(", "));
        }
    }

    fn write_verdicts(&self, text: &mut String) {
        for ((number, name), row) in self.rows.iter().filter(|(_, row)| row.is_map) {
            if row.n_more_verdicts > 0 {
                let more = row.n_more_verdicts;
                let _ = writeln!(text, "{more} further verdicts on {name} (series {number})");
            }
            for (verdict, slices) in &row.verdicts {
                let slices: Vec<String> = slices.iter().map(u16::to_string).collect();
                let plural = if slices.len() > 1 { "slices" } else { "slice" };
                let which = format!("{name} (series {number}, {plural} {})", slices.join(", "));
                let _ = match verdict {
                    Verdict::Accept => Ok(()),
                    Verdict::Check(reason) => {
                        writeln!(text, "CHECK {which} before it is used: {reason}")
                    }
                    Verdict::Repeat(reason) => {
                        writeln!(text, "REPEAT the scan for {which}: {reason}")
                    }
                };
            }
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let row = |((number, name), row): (&(u16, String), &Row)| {
            let verdict = |(verdict, slices): &(Verdict, Vec<u16>)| {
                let reason = match verdict {
                    Verdict::Accept => None,
                    Verdict::Check(reason) | Verdict::Repeat(reason) => Some(reason),
                };
                json!({
                    "verdict": word_of(verdict).to_lowercase(), "reason": reason, "slices": slices,
                })
            };
            let has_values = row.lowest <= row.highest;
            json!({
                "series": number,
                "shows": name,
                "n_images": row.n_images,
                "unit": row.unit,
                "lowest": has_values.then_some(row.lowest),
                "highest": has_values.then_some(row.highest),
                "verdicts": row.verdicts.iter().map(verdict).collect::<Vec<_>>(),
                "n_more_verdicts": row.n_more_verdicts,
                "made_by": row.makers,
                "n_more_makers": row.n_more_makers,
            })
        };
        self.rows.iter().map(row).collect()
    }
}

impl Row {
    /// The verdict that asks for most.
    fn worst(&self) -> Option<&Verdict> {
        self.verdicts.iter().map(|(verdict, _)| verdict).max_by_key(|verdict| badness(verdict))
    }

    fn take_verdict(&mut self, verdict: &Verdict, slice: u16) {
        let verdict = match verdict {
            Verdict::Accept => Verdict::Accept,
            Verdict::Check(reason) => Verdict::Check(printable(reason)),
            Verdict::Repeat(reason) => Verdict::Repeat(printable(reason)),
        };
        if let Some((_, slices)) = self.verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            if !slices.contains(&slice) {
                slices.push(slice);
            }
            return;
        }
        if self.verdicts.len() < MAX_VERDICTS {
            self.verdicts.push((verdict, vec![slice]));
            return;
        }
        self.n_more_verdicts += 1;
        // A scan to repeat is not to be missed among what is to be checked.
        let least = self.verdicts.iter_mut().min_by_key(|(known, _)| badness(known));
        if let Some(least) = least.filter(|(known, _)| badness(known) < badness(&verdict)) {
            *least = (verdict, vec![slice]);
        }
    }

    fn sizes_in_words(&self) -> String {
        let more = match self.n_more_sizes {
            0 => String::new(),
            n => format!("; {n} images of further sizes"),
        };
        self.sizes.join("; ") + &more
    }
}

/// How much a verdict asks for.
fn badness(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Accept => 0,
        Verdict::Check(_) => 1,
        Verdict::Repeat(_) => 2,
    }
}

/// Without what would move a terminal's cursor, and not longer than anybody reads.
fn printable(text: &str) -> String {
    let characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = characters.take(MAX_CHARACTERS).collect();
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

/// In capitals where something is to be done.
fn word_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Check(_) => "CHECK",
        Verdict::Repeat(_) => "REPEAT",
    }
}

/// The truth of a simulated scan has roles of its own.
fn name_of(image: &Image, facts: &ImageFacts) -> String {
    let is_own_role = !["Image", "Quantitative"].contains(&facts.role.as_str());
    if facts.kind == ImageKind::Picture && facts.role_of.is_none() && is_own_role {
        return facts.role.clone();
    }
    // A map of unknown kind still has its description.
    match image.meta.get("SequenceDescriptionAdditional") {
        Some(described) if facts.title == "Quantitative" => described.to_owned(),
        _ => facts.title.clone(),
    }
}

fn unit_of(image: &Image, facts: &ImageFacts) -> String {
    let unit = Some(facts.unit.as_str()).filter(|unit| !unit.is_empty());
    unit.or(image.meta.get("Unit")).unwrap_or_default().to_owned()
}

/// Method, reconstruction and networks of an image, in words.
fn makers(image: &Image, facts: &ImageFacts) -> Vec<String> {
    let mut makers = image.meta.values(RECONSTRUCTION_KEY).to_vec();
    makers.push(facts.method.clone());
    makers.extend(facts.models.iter().map(|model| match model.fallback.as_str() {
        "" => format!("network {} on {}", model.model.trim(), model.provider),
        fallback => format!("network {} NOT USED: {fallback}", model.model.trim()),
    }));
    makers.retain(|maker| !maker.is_empty());
    makers
}

/// Five significant digits.
fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.4e}");
    }
    let digits = (4.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{DataType, ImageHeader, Meta};
    use ndarray::{Array3, Array4};
    use pipeline::{ParametricMap, Presentation, Unit};

    fn map(quantity: &str, unit: Unit, slice: u16, verdict: Verdict, pixels: DataType) -> Image {
        let map = ParametricMap {
            quantity: quantity.to_owned(),
            unit,
            header: ImageHeader { slice, image_series_index: 5, ..ImageHeader::default() },
            meta: Meta::from_iter([
                ("BoresideMethod", "three parameters"),
                (RECONSTRUCTION_KEY, "subspace"),
                ("BoresideModel", "moconet 1.2.0"),
                ("BoresideModelProvider", "none"),
                ("BoresideModelFallback", "it was late"),
            ]),
            values: Array3::from_shape_fn((1, 1, 3), |(.., x)| [0.0, 21.5, 45.3][x]),
            sd: None,
            r_squared: None,
            verdict: Some(verdict),
            presentation: Presentation::default(),
        };
        map.into_images_as(pixels, 4095).remove(0)
    }

    #[test]
    fn a_map_says_its_name_unit_true_range_verdict_and_makers() {
        let mut table = SeriesTable::default();
        let check = || Verdict::Check("motion of 4 px".to_owned());
        table.take(&map("ECV", Unit::Percent, 0, check(), DataType::U16), Duration::ZERO);
        table.take(&map("ECV", Unit::Percent, 2, check(), DataType::U16), Duration::ZERO);
        table.take(&map("ECV", Unit::Percent, 1, Verdict::Accept, DataType::U16), Duration::ZERO);
        let text = table.text(false);
        assert_eq!(
            text,
            "series  images  size and type     shows  lowest  highest  unit  verdict
     5       3  3x1x1, 1 ch, U16  ECV    21.500   45.300  %     CHECK
series 5 made by: subspace; three parameters; network moconet 1.2.0 NOT USED: it was late
CHECK ECV (series 5, slices 0, 2) before it is used: motion of 4 px
"
        );
        assert!(table.text(true).contains("first"), "{}", table.text(true));
        let json = table.json();
        assert_eq!(json[0]["verdicts"][0]["slices"], serde_json::json!([0, 2]));
        assert_eq!(json[0]["unit"], "%");
    }

    #[test]
    fn a_scan_to_repeat_is_the_worst_of_a_series_and_good_maps_have_no_line() {
        let mut table = SeriesTable::default();
        let image = |verdict| map("T1", Unit::Ms, 0, verdict, DataType::F32);
        table.take(&image(Verdict::Accept), Duration::ZERO);
        assert!(table.text(false).contains("ms    accept"), "{}", table.text(false));
        assert!(!table.text(false).contains("before it is used"));
        table.take(&image(Verdict::Check("look".to_owned())), Duration::ZERO);
        table.take(&image(Verdict::Repeat("no signal".to_owned())), Duration::ZERO);
        let text = table.text(false);
        assert!(text.contains("ms    REPEAT"), "{text}");
        assert!(
            text.ends_with("REPEAT the scan for T1 (series 5, slice 0): no signal\n"),
            "{text}"
        );
    }

    #[test]
    fn what_a_file_says_moves_no_cursor_and_fills_no_memory() {
        let mut table = SeriesTable::default();
        for slice in 0..300 {
            let reason = format!("slice {slice}\n\u{1b}[2J{}", "x".repeat(2000));
            let verdict = match slice {
                299 => Verdict::Repeat(reason),
                _ => Verdict::Check(reason),
            };
            table.take(&map("T1", Unit::Ms, slice, verdict, DataType::F32), Duration::ZERO);
        }
        let text = table.text(false);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("236 further verdicts on T1 (series 5)"), "{text}");
        // The one that asks for most is among those that are told.
        assert!(text.contains("REPEAT the scan for T1 (series 5, slice 299): slice 299"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 600), "{text}");
        let json = table.json();
        assert_eq!(json[0]["verdicts"].as_array().map(Vec::len), Some(64));
        assert_eq!(json[0]["n_more_verdicts"], 236);
    }

    #[test]
    fn pictures_have_no_unit_and_the_truth_has_its_own_name() {
        let mut table = SeriesTable::default();
        let image =
            |meta| Image::new(ImageHeader::default(), meta, Array4::<f32>::ones((1, 1, 1, 1)));
        table.take(&image(Meta::new()), Duration::ZERO);
        let truth = Meta::from_iter([("DataRole", "t1_map_ms"), ("Unit", "ms")]);
        table.take(&image(truth), Duration::ZERO);
        let text = table.text(false);
        assert!(text.contains("images     1.0000   1.0000  -     -"), "{text}");
        assert!(text.contains("t1_map_ms  1.0000   1.0000  ms    -"), "{text}");
    }

    #[test]
    fn numbers_have_five_digits() {
        for (value, expected) in [
            (2910.14307, "2910.1"),
            (0.00252, "0.0025200"),
            (-45.76982, "-45.770"),
            (0.0, "0"),
            (1.5e7, "1.5000e7"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(significant(value), expected);
        }
    }
}
