//! What came back from a chain: a table, a file, a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ismrmrd::hdf5::FileWriter;
use ismrmrd::{Image, wire};

use crate::picture::ContactSheet;

/// Takes results as they come.
pub struct Outcome {
    started: Instant,
    file: Option<FileWriter>,
    series: BTreeMap<u16, Series>,
    n_others: BTreeMap<String, usize>,
    /// The images as a picture.
    pub sheet: ContactSheet,
}

struct Series {
    n_images: usize,
    sizes: Vec<String>,
    lowest: f32,
    highest: f32,
    first: Duration,
    last: Duration,
}

impl Outcome {
    /// Results go to the new file `output`, if one is given, with the scan's header.
    ///
    /// # Errors
    /// The file is there already and `overwrite` is not set, or cannot be made.
    pub fn new(output: Option<&Path>, overwrite: bool, header_text: Option<&str>) -> Result<Self> {
        let file = match output {
            Some(path) => {
                if path.exists() && !overwrite {
                    bail!(
                        "{} is there already: choose another name or --overwrite",
                        path.display()
                    );
                }
                let mut file = FileWriter::create(path)
                    .with_context(|| format!("output {}", path.display()))?;
                if let Some(text) = header_text.filter(|text| !text.is_empty()) {
                    file.write_header_text(text)?;
                }
                Some(file)
            }
            None => None,
        };
        Ok(Self {
            started: Instant::now(),
            file,
            series: BTreeMap::new(),
            n_others: BTreeMap::new(),
            sheet: ContactSheet::default(),
        })
    }

    /// Takes one result.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take(&mut self, message: wire::Message) -> Result<()> {
        match message {
            wire::Message::Image(image) => self.take_image(&image),
            other => {
                if let Some(file) = &mut self.file {
                    // Arrays and buckets have no place in a file: they are counted only.
                    file.write(&other)?;
                }
                *self.n_others.entry(other.id().to_string()).or_default() += 1;
                Ok(())
            }
        }
    }

    fn take_image(&mut self, image: &Image) -> Result<()> {
        let now = self.started.elapsed();
        let header = image.header;
        let [x, y, z] = header.matrix_size;
        let size =
            format!("{x}x{y}x{z}, {} ch, {:?}", { header.channels }, image.pixels.data_type());
        let series = self.series.entry(header.image_series_index).or_insert_with(|| Series {
            n_images: 0,
            sizes: Vec::new(),
            lowest: f32::INFINITY,
            highest: f32::NEG_INFINITY,
            first: now,
            last: now,
        });
        series.n_images += 1;
        series.last = now;
        if !series.sizes.contains(&size) {
            series.sizes.push(size);
        }
        for &value in &image.pixels.to_magnitude() {
            series.lowest = series.lowest.min(value);
            series.highest = series.highest.max(value);
        }
        self.sheet.add(image);
        if let Some(file) = &mut self.file {
            file.write_image(image)?;
        }
        Ok(())
    }

    /// Writes what is held back to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        if let Some(file) = self.file.take() {
            file.finish()?;
        }
        Ok(())
    }

    /// A row for each series: what it is, and when its first and last image came.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if !self.series.is_empty() {
            // Writing to a String does not fail, here and below.
            let _ = writeln!(
                text,
                "{:>6} {:>6}  {:<28} {:>12} {:>12} {:>9} {:>9}",
                "series", "images", "size and type", "lowest", "highest", "first", "last"
            );
        }
        for (number, series) in &self.series {
            let _ = writeln!(
                text,
                "{number:>6} {:>6}  {:<28} {:>12} {:>12} {:>7.3} s {:>7.3} s",
                series.n_images,
                series.sizes.join("; "),
                significant(series.lowest),
                significant(series.highest),
                series.first.as_secs_f64(),
                series.last.as_secs_f64(),
            );
        }
        for (kind, n) in &self.n_others {
            let _ = writeln!(text, "{n} messages {kind}");
        }
        if text.is_empty() {
            text.push_str("nothing came back\n");
        }
        text
    }
}

/// Six significant digits.
fn significant(value: f32) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&size) {
        format!("{value:.5}")
    } else {
        format!("{value:.5e}")
    }
}
