//! What came back from a chain: a table, a file, a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ismrmrd::hdf5::FileWriter;
use ismrmrd::{Image, wire};

use crate::picture::ContactSheet;
use crate::series::SeriesTable;

/// Takes results as they come.
pub struct Outcome {
    started: Instant,
    file: Option<FileWriter>,
    series: SeriesTable,
    n_others: BTreeMap<String, usize>,
    /// The images as a picture.
    pub sheet: ContactSheet,
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
            series: SeriesTable::default(),
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
        self.series.take(image, self.started.elapsed());
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

    /// A row for each series: what it is, and when its first and last image came; then what else
    /// is to be said of them.
    pub fn table(&self) -> String {
        let mut text = self.series.text(true);
        for (kind, n) in &self.n_others {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{n} messages {kind}");
        }
        if text.is_empty() {
            text.push_str("nothing came back\n");
        }
        text
    }
}

/// Fails where errors were reported: what came back is not all.
///
/// # Errors
/// There were some.
pub fn fail_on_reported(n_errors: usize) -> Result<()> {
    match n_errors {
        0 => Ok(()),
        1 => bail!("1 error was reported, see the log above"),
        n => bail!("{n} errors were reported, see the log above"),
    }
}
