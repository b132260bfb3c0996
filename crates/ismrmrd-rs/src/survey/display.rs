//! A report on one screen.

use std::fmt::{self, Display, Formatter};

use super::report::{EncodingReport, Report};

/// Slices of which missing lines are listed.
const MOST_SLICES: usize = 3;

/// Warnings that are shown; all are in the report.
const MOST_WARNINGS: usize = 16;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = [&self.protocol_name, &self.sequence_name, &self.system];
        let mut title: Vec<String> = names.into_iter().flatten().cloned().collect();
        title.extend(self.field_strength_t.map(|field| format!("{field:.2} T")));
        match title.is_empty() {
            true => writeln!(f, "scan without a name")?,
            false => writeln!(f, "{}", title.join(", "))?,
        }
        write!(f, "{} readouts", self.n_readouts)?;
        match self.duration_s {
            Some(duration_s) => writeln!(f, " in {duration_s:.2} s by their time stamps")?,
            None => writeln!(f)?,
        }
        for encoding in &self.encodings {
            write!(f, "{encoding}")?;
        }
        if let Some(noise) = &self.noise {
            writeln!(
                f,
                "noise scan: {} readouts, {} samples, {} channels, {} µs",
                noise.n_readouts,
                Span(noise.samples),
                Span(noise.channels),
                Span(noise.sample_time_us),
            )?;
        }
        if !self.flags.is_empty() {
            let flags: Vec<String> =
                self.flags.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "flags: {}", flags.join(", "))?;
        }
        for waveform in &self.waveforms {
            writeln!(
                f,
                "waveform {} ({}): {} messages, {} channels, {:.2} s",
                waveform.waveform_id,
                waveform.kind,
                waveform.n_messages,
                Span(waveform.channels),
                waveform.duration_s,
            )?;
        }
        for images in &self.images {
            let [channels, z, y, x] = images.shape;
            writeln!(
                f,
                "images, series {}: {} of {x} × {y} × {z}, {channels} channels, {} {}",
                images.series, images.n_images, images.data_type, images.image_type,
            )?;
        }
        for warning in self.warnings.iter().take(MOST_WARNINGS) {
            writeln!(f, "WARNING  {}", warning.message)?;
        }
        match self.warnings.len().checked_sub(MOST_WARNINGS) {
            Some(more) if more > 0 => writeln!(f, "and {more} more warnings"),
            _ => Ok(()),
        }
    }
}

impl Display for EncodingReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trajectory = self.trajectory.as_deref().unwrap_or("not in the header");
        writeln!(
            f,
            "encoding {}: {trajectory}, {} imaging and {} calibration readouts",
            self.encoding, self.n_imaging, self.n_calibration,
        )?;
        if let Some(matrix) = self.encoded_matrix_size {
            let extent = Triple(self.encoded_field_of_view_mm.unwrap_or_default());
            let recon = Triple(self.recon_matrix_size.unwrap_or_default());
            let recon_extent = Triple(self.recon_field_of_view_mm.unwrap_or_default());
            write!(
                f,
                "  matrix {} of {extent} mm, image {recon} of {recon_extent} mm",
                Triple(matrix)
            )?;
            match self.oversampling {
                Some(ratio) => writeln!(f, ", oversampling {ratio:.2}")?,
                None => writeln!(f)?,
            }
        }
        if self.samples.is_some() {
            writeln!(
                f,
                "  {} samples, centre {}, {} µs apart, {} channels, trajectory of {} dimensions",
                Span(self.samples),
                Span(self.center_sample),
                Span(self.sample_time_us),
                Span(self.channels),
                self.trajectory_dimensions,
            )?;
        }
        let mut line = Vec::new();
        if let Some([step_1, step_2]) = self.acceleration.filter(|factors| *factors != [1, 1]) {
            let mode = self.calibration_mode.as_deref().unwrap_or("unknown");
            line.push(format!("parallel imaging {step_1} × {step_2}, calibration {mode}"));
        }
        if let Some(fraction) = self.partial_fourier.filter(|fraction| *fraction < 1.0) {
            line.push(format!("partial Fourier {fraction:.2}"));
        }
        if let Some(fraction) = self.echo_fraction.filter(|fraction| *fraction < 1.0) {
            line.push(format!("partial echo {fraction:.2}"));
        }
        if !line.is_empty() {
            writeln!(f, "  {}", line.join(", "))?;
        }
        for counter in &self.counters {
            write!(f, "  {} {}", counter.name, Span(counter.seen))?;
            match counter.limit {
                Some((minimum, maximum, center)) => {
                    writeln!(f, ", header {minimum}–{maximum}, centre {center}")?;
                }
                None => writeln!(f, ", no limit in the header")?,
            }
        }
        for missing in self.missing_lines.iter().take(MOST_SLICES) {
            writeln!(
                f,
                "  missing in slice {}, partition {}: lines {}",
                missing.slice, missing.encoding_step_2, missing.lines,
            )?;
        }
        match self.missing_lines.len().checked_sub(MOST_SLICES) {
            Some(more) if more > 0 => writeln!(f, "  missing lines in {more} more"),
            _ => Ok(()),
        }
    }
}

/// A range as one number or two.
struct Span<T>(Option<(T, T)>);

impl<T: Display + PartialEq> Display for Span<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((smallest, largest)) if smallest == largest => write!(f, "{smallest}"),
            Some((smallest, largest)) => write!(f, "{smallest}–{largest}"),
            None => f.write_str("no"),
        }
    }
}

struct Triple<T>([T; 3]);

impl<T: Display> Display for Triple<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [x, y, z] = &self.0;
        write!(f, "{x} × {y} × {z}")
    }
}
