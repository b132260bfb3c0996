//! Calibration lines, made ready for coil maps and kernels.

mod average;
mod region;

use std::collections::{BTreeMap, VecDeque};

use ismrmrd::KSpaceBuffer;
use ismrmrd::xml::{CalibrationMode, Encoding, Trajectory};
use pipeline::{Gadget, KSpace, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::lines::{BufferShape, BufferShapeError, first_read, was_read};
use average::{Choice, prepared};

/// K-space that waits for its calibration may take so much.
const MAX_HELD_BYTES: usize = 1 << 30;

/// Makes the calibration lines of parallel imaging ready.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether calibration lines are averaged along axis `n`.
    #[serde(alias = "average_all_ref_N")]
    pub average_all_ref_n: bool,
    /// Whether calibration lines are averaged along axis `s`.
    #[serde(alias = "average_all_ref_S")]
    pub average_all_ref_s: bool,
    /// Index along axis `n` that alone calibrates; negative or beyond the axis: see
    /// `average_all_ref_n`.
    #[serde(alias = "N_for_ref")]
    pub n_for_ref: i64,
    /// Index along axis `s` that alone calibrates; negative or beyond the axis: see
    /// `average_all_ref_s`.
    #[serde(alias = "S_for_ref")]
    pub s_for_ref: i64,
    /// Whether embedded calibration lines are copied into the data, which then miss fewer lines.
    pub ref_fill_into_data_embedded: bool,
    /// Whether calibration lines are made ready each time that they come. Otherwise those that
    /// come first serve all that follows of their slice.
    pub prepare_ref_always: bool,
    /// Without effect; in Gadgetron it fills the log.
    pub verbose: bool,
    /// Without effect; in Gadgetron it stores intermediate data.
    pub debug_folder: String,
    /// Without effect; in Gadgetron it fills the log.
    pub perform_timing: bool,
    /// Without effect; Gadgetron's clock tick, ms.
    pub time_tick: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            average_all_ref_n: true,
            average_all_ref_s: false,
            n_for_ref: -1,
            s_for_ref: -1,
            ref_fill_into_data_embedded: false,
            prepare_ref_always: true,
            verbose: false,
            debug_folder: String::new(),
            perform_timing: false,
            time_tick: 2.5,
        }
    }
}

/// Gives every k-space its calibration: averaged, cut to what was sampled without gaps, with
/// sampling limits that say where it lies.
pub struct PrepareReference {
    config: Config,
    encodings: Vec<Calibrated>,
    /// The last calibration of each slice.
    known: BTreeMap<Key, KSpaceBuffer>,
    /// The last lines of each slice that is interleaved over frames which come one by one.
    frames: BTreeMap<Key, KSpaceBuffer>,
    /// K-space whose calibration has not come yet.
    held: VecDeque<(Key, KSpace)>,
    held_bytes: usize,
}

/// Encoding space and slice.
type Key = (usize, u16);

/// What the header says of an encoding space.
#[derive(Clone, Copy, Debug)]
struct Calibrated {
    acceleration: usize,
    mode: Option<CalibrationMode>,
    is_cartesian: bool,
}

impl Calibrated {
    fn of(encoding: &Encoding) -> Self {
        let imaging = encoding.parallel_imaging.as_ref();
        let factor = imaging.map(|imaging| imaging.acceleration_factor);
        Self {
            acceleration: factor.map_or(1, |factor| {
                usize::from(factor.kspace_encoding_step_1.max(1))
                    * usize::from(factor.kspace_encoding_step_2.max(1))
            }),
            mode: imaging.and_then(|imaging| imaging.calibration_mode),
            is_cartesian: matches!(encoding.trajectory, Trajectory::Cartesian | Trajectory::Epi),
        }
    }

    /// Whether the data calibrate themselves where no line was read for calibration alone.
    fn calibrates_itself(self) -> bool {
        self.acceleration == 1 || self.mode == Some(CalibrationMode::Interleaved)
    }

    /// Whether calibration lines lie in the matrix of the data.
    fn lies_in_data(self) -> bool {
        !matches!(self.mode, Some(CalibrationMode::Separate | CalibrationMode::External))
    }
}

impl Gadget for PrepareReference {
    const NAME: &str = "prepare_reference";
    const ALIASES: &'static [&'static str] = &["GenericReconCartesianReferencePrepGadget"];
    type Config = Config;
    type Input = KSpace;
    type Output = KSpace;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let encodings = scan
            .header()
            .map(|header| header.encoding.iter().map(Calibrated::of).collect())
            .unwrap_or_default();
        Ok(Self {
            config,
            encodings,
            known: BTreeMap::new(),
            frames: BTreeMap::new(),
            held: VecDeque::new(),
            held_bytes: 0,
        })
    }

    fn process(&mut self, mut k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let calibrated = self.encodings.get(k_space.encoding_space).copied();
        let calibrated =
            calibrated.unwrap_or(Calibrated { acceleration: 1, mode: None, is_cartesian: true });
        if !calibrated.is_cartesian {
            out.push(k_space);
            return Ok(());
        }
        let reference = k_space.reference.take().filter(|reference| !reference.data.is_empty());
        let line = reference.as_ref().and_then(first_read).or_else(|| first_read(&k_space.data));
        let key = (k_space.encoding_space, line.map_or(0, |line| line.idx.slice));
        if let Some(reference) = &reference
            && self.config.ref_fill_into_data_embedded
            && calibrated.mode == Some(CalibrationMode::Embedded)
        {
            fill_in(&mut k_space.data, reference);
        }
        let known = self.known.get(&key).filter(|_| !self.config.prepare_ref_always);
        k_space.reference = match (known, reference) {
            (Some(known), _) => Some(known.clone()),
            (None, Some(mut reference)) => {
                if calibrated.lies_in_data() {
                    // Lines of the image within the calibrated region that were not marked as
                    // calibrating too.
                    fill_gaps(&mut reference, &k_space.data);
                }
                let reference = self.prepare(reference, calibrated)?;
                self.known.insert(key, reference.clone());
                Some(reference)
            }
            (None, None) if k_space.data.data.is_empty() => None,
            (None, None) if calibrated.calibrates_itself() => {
                let source = if calibrated.acceleration > 1 {
                    self.with_frames_before(key, &k_space.data)
                } else {
                    Some(k_space.data.clone())
                };
                let Some(source) = source else {
                    self.hold(key, k_space, out);
                    return Ok(());
                };
                let reference = self.prepare(source, calibrated)?;
                if !self.config.prepare_ref_always {
                    self.known.insert(key, reference.clone());
                }
                Some(reference)
            }
            (None, None) => match self.known.get(&key) {
                Some(known) => Some(known.clone()),
                None => {
                    self.hold(key, k_space, out);
                    return Ok(());
                }
            },
        };
        if let Some(reference) = &k_space.reference {
            self.release(key, reference, out);
        }
        out.push(k_space);
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        // Without calibration the next gadgets say what they miss.
        for (_, k_space) in self.held.drain(..) {
            out.push(k_space);
        }
        Ok(())
    }
}

impl PrepareReference {
    fn prepare(
        &self,
        reference: KSpaceBuffer,
        calibrated: Calibrated,
    ) -> Result<KSpaceBuffer, Error> {
        let Config { average_all_ref_n, average_all_ref_s, n_for_ref, s_for_ref, .. } = self.config;
        let shape = BufferShape::of(&reference)?;
        let [_, n_s, n_n] = shape.outer;
        // Interleaved lines are whole only together.
        let interleaved = calibrated.mode == Some(CalibrationMode::Interleaved);
        let along_s = Choice::new(s_for_ref, average_all_ref_s, n_s);
        let along_n = Choice::new(n_for_ref, average_all_ref_n || interleaved, n_n);
        let region =
            region::complete_region(&reference, shape, along_s, along_n).ok_or(Error::NoLines)?;
        let first_line = reference.headers.indexed_iter().find(|(_, line)| was_read(line)).map(
            |((.., e2, e1), line)| {
                let idx = line.idx;
                let first = |number: u16, place: usize| i64::from(number) - place as i64;
                [first(idx.kspace_encode_step_1, e1), first(idx.kspace_encode_step_2, e2)]
            },
        );
        let mut prepared = prepared(reference, shape, &region, along_s, along_n);
        let numbering = first_line.filter(|_| !calibrated.lies_in_data());
        region::place_limits(&mut prepared.sampling, &region, shape, numbering);
        Ok(prepared)
    }

    /// Interleaved data of a single frame with the lines that it misses from the frames before
    /// it; [`None`] while there are still gaps. Several frames are whole by themselves.
    fn with_frames_before(&mut self, key: Key, data: &KSpaceBuffer) -> Option<KSpaceBuffer> {
        if data.headers.dim().1 != 1 || data.headers.dim().2 != 1 {
            return Some(data.clone());
        }
        let mut merged = data.clone();
        if let Some(before) = self.frames.get(&key) {
            fill_in(&mut merged, before);
        }
        let is_whole = !has_gaps(&merged);
        self.frames.insert(key, merged.clone());
        is_whole.then_some(merged)
    }

    /// Keeps k-space until its calibration comes.
    fn hold(&mut self, key: Key, k_space: KSpace, out: &mut Sink<Self>) {
        self.held_bytes += bytes_of(&k_space);
        self.held.push_back((key, k_space));
        while self.held_bytes > MAX_HELD_BYTES
            && let Some((_, k_space)) = self.held.pop_front()
        {
            self.held_bytes -= bytes_of(&k_space);
            out.push(k_space);
        }
    }

    /// Sends what waited for this calibration.
    fn release(&mut self, key: Key, reference: &KSpaceBuffer, out: &mut Sink<Self>) {
        if self.held.is_empty() {
            return;
        }
        for (held_key, mut k_space) in std::mem::take(&mut self.held) {
            if held_key == key {
                self.held_bytes -= bytes_of(&k_space);
                k_space.reference = Some(reference.clone());
                out.push(k_space);
            } else {
                self.held.push_back((held_key, k_space));
            }
        }
    }
}

fn bytes_of(k_space: &KSpace) -> usize {
    size_of_val(k_space.data.data.as_slice().unwrap_or_default())
        + k_space.data.headers.len() * size_of::<ismrmrd::AcquisitionHeader>()
}

/// Copies lines of `from` that `to` misses, where both have the same axes.
fn fill_in(to: &mut KSpaceBuffer, from: &KSpaceBuffer) {
    copy_missing(to, from, |_, _, _| true);
}

/// Copies lines of the data into the gaps between the first and the last calibration line of the
/// same image.
fn fill_gaps(reference: &mut KSpaceBuffer, data: &KSpaceBuffer) {
    let (n_slices, n_s, n_n, _, _) = reference.headers.dim();
    // Rows and columns of each image between which it has calibration lines.
    let mut spans = ndarray::Array3::from_elem((n_slices, n_s, n_n), [(usize::MAX, 0); 2]);
    for ((slice, s, n, e2, e1), line) in reference.headers.indexed_iter() {
        if was_read(line) {
            for (span, place) in spans[[slice, s, n]].iter_mut().zip([e2, e1]) {
                *span = (span.0.min(place), span.1.max(place));
            }
        }
    }
    copy_missing(reference, data, |[slice, s, n], e2, e1| {
        let [e2_span, e1_span] = spans[[slice, s, n]];
        (e2_span.0..=e2_span.1).contains(&e2) && (e1_span.0..=e1_span.1).contains(&e1)
    });
}

/// Whether lines are missing between the first and the last one along encoding step 1.
fn has_gaps(buffer: &KSpaceBuffer) -> bool {
    buffer.headers.rows().into_iter().any(|lines| {
        let first = lines.iter().position(was_read);
        let last = lines.iter().rposition(was_read);
        match (first, last) {
            (Some(first), Some(last)) => {
                lines.iter().take(last).skip(first).any(|line| !was_read(line))
            }
            _ => false,
        }
    })
}

fn copy_missing(
    to: &mut KSpaceBuffer,
    from: &KSpaceBuffer,
    is_wanted: impl Fn([usize; 3], usize, usize) -> bool,
) {
    if to.data.shape() != from.data.shape() || to.headers.dim() != from.headers.dim() {
        return;
    }
    for (place, line) in to.headers.indexed_iter_mut() {
        let (slice, s, n, e2, e1) = place;
        let source = &from.headers[place];
        if was_read(line) || !was_read(source) || !is_wanted([slice, s, n], e2, e1) {
            continue;
        }
        *line = *source;
        let line = ndarray::s![slice, s, n, .., e2, e1, ..];
        to.data.slice_mut(line).assign(&from.data.slice(line));
    }
}

/// Calibration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Axes are missing.
    #[error(transparent)]
    Shape(#[from] BufferShapeError),
    /// No line has a header.
    #[error("the calibration has a place for lines, but none was read")]
    NoLines,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Shape(_) => BufferShapeError::REMEDY,
            Self::NoLines => "correct the gadget or the client that made the k-space",
        }
    }
}

#[cfg(test)]
mod tests;
