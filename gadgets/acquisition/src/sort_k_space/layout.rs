//! Sizes of the buffers and the places of lines in them.

use ismrmrd::xml::{CalibrationMode, Encoding, Limit, Trajectory};
use ismrmrd::{EncodingCounters, SamplingDescription, SamplingLimit};
use pipeline::{Acquisition, Counter, Remedy};

use super::{Axes, Error};

/// Smallest and largest value of a counter in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    min: u16,
    max: u16,
}

impl Span {
    fn of(value: u16) -> Self {
        Self { min: value, max: value }
    }

    fn add(&mut self, value: u16) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn count(self) -> usize {
        usize::from(self.max - self.min) + 1
    }
}

/// Counters of one encoding space in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    lines: [Span; 2],
    slice: Span,
    s: Span,
    n: Span,
}

impl Seen {
    pub(super) fn add(seen: &mut Option<Self>, axes: Axes, idx: &EncodingCounters) {
        let of = |counter: Option<Counter>| counter.map_or(0, |counter| counter.of(idx));
        let lines = [idx.kspace_encode_step_1, idx.kspace_encode_step_2];
        let slice = if axes.has_slices() { idx.slice } else { 0 };
        let (s, n) = (of(axes.s), of(axes.n));
        match seen {
            Some(seen) => {
                seen.lines[0].add(lines[0]);
                seen.lines[1].add(lines[1]);
                seen.slice.add(slice);
                seen.s.add(s);
                seen.n.add(n);
            }
            None => {
                *seen = Some(Self {
                    lines: lines.map(Span::of),
                    slice: Span::of(slice),
                    s: Span::of(s),
                    n: Span::of(n),
                });
            }
        }
    }
}

/// Where the lines of one encoding space go: data or calibration of one bucket.
#[derive(Debug)]
pub(super) struct Layout {
    axes: Axes,
    first_slice: u16,
    first_s: u16,
    first_n: u16,
    /// Lengths of the axes `[slice, s, n]`.
    pub(super) outer: [usize; 3],
    /// Encoding steps 1 and 2.
    pub(super) lines: [LineAxis; 2],
    /// Whether the echo goes to the middle of the readout.
    pub(super) centres_echo: bool,
    /// Whether discarded samples keep their place in the buffer.
    pub(super) keeps_discarded: bool,
    /// The readout's limits are those of a Cartesian readout; the buffer sets them.
    pub(super) sampling: SamplingDescription,
}

/// One encoding step.
#[derive(Debug)]
pub(super) struct LineAxis {
    pub(super) name: &'static str,
    pub(super) len: usize,
    /// From the counter to the place.
    pub(super) offset: i32,
    /// Limits of the header.
    pub(super) limit: Option<Limit>,
}

/// Names of the encoding steps and of their limits in the header.
const LINES: [(&str, &str); 2] =
    [("encoding step 1", "kspace_encoding_step_1"), ("encoding step 2", "kspace_encoding_step_2")];

/// How counters become places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placement {
    /// The header's centre goes to the centre of the matrix.
    Centred,
    /// The first line that was seen goes to 0.
    FromFirst,
    /// Counters are places.
    AsNumbered,
    /// The first line that the header announces goes to 0: not Cartesian.
    FromMinimum,
}

impl Layout {
    pub(super) fn new(
        encoding: &Encoding,
        seen: &Seen,
        axes: Axes,
        is_reference: bool,
        notes: &mut Notes,
    ) -> Result<Self, Error> {
        let is_epi = encoding.trajectory == Trajectory::Epi;
        let is_cartesian = encoding.trajectory == Trajectory::Cartesian;
        let centres_echo = is_cartesian || is_epi;
        let placement = if !centres_echo {
            Placement::FromMinimum
        } else if is_reference {
            let imaging = encoding.parallel_imaging.as_ref();
            match imaging.and_then(|imaging| imaging.calibration_mode) {
                Some(CalibrationMode::Embedded) => Placement::Centred,
                Some(CalibrationMode::Separate | CalibrationMode::External) => Placement::FromFirst,
                Some(CalibrationMode::Interleaved | CalibrationMode::Other) => {
                    Placement::AsNumbered
                }
                None => {
                    notes.no_calibration_mode();
                    Placement::Centred
                }
            }
        } else {
            Placement::Centred
        };
        let mut sampling = sampling(encoding, is_cartesian);
        let matrix = encoding.encoded_space.matrix_size;
        let limits = &encoding.encoding_limits;
        let mut place = |axis: usize, matrix: u16, limit| {
            let line = Line {
                axis,
                matrix: usize::from(matrix),
                limit,
                seen: seen.lines[axis],
                accelerated: encoding.parallel_imaging.is_some(),
                moves_limits: !(is_epi && is_reference),
            };
            let (line, limit) = line.place(placement, notes)?;
            sampling.limits[axis + 1] = limit;
            Ok::<_, Error>(line)
        };
        let lines = [
            place(0, matrix.y, limits.kspace_encoding_step_1)?,
            place(1, matrix.z, limits.kspace_encoding_step_2)?,
        ];
        Ok(Self {
            axes,
            first_slice: seen.slice.min,
            first_s: seen.s.min,
            first_n: seen.n.min,
            outer: [seen.slice.count(), seen.s.count(), seen.n.count()],
            lines,
            centres_echo,
            keeps_discarded: centres_echo && encoding.parallel_imaging.is_some(),
            sampling,
        })
    }

    /// Place of a readout along `[slice, s, n]`. It was seen, so it is inside.
    pub(super) fn outer_place(&self, idx: &EncodingCounters) -> [usize; 3] {
        let place = |counter: Option<Counter>, first: u16| {
            counter.map_or(0, |counter| usize::from(counter.of(idx).saturating_sub(first)))
        };
        let slice = Some(Counter::Slice).filter(|_| self.axes.has_slices());
        [
            place(slice, self.first_slice),
            place(self.axes.s, self.first_s),
            place(self.axes.n, self.first_n),
        ]
    }
}

/// What the place of one encoding step depends on.
struct Line {
    /// 0 for encoding step 1, 1 for encoding step 2.
    axis: usize,
    matrix: usize,
    limit: Option<Limit>,
    seen: Span,
    accelerated: bool,
    /// Whether the sampling limits move with the lines.
    moves_limits: bool,
}

impl Line {
    fn place(
        &self,
        placement: Placement,
        notes: &mut Notes,
    ) -> Result<(LineAxis, SamplingLimit), Error> {
        let (name, element) = LINES[self.axis];
        let limit = self.limit;
        let axis = |len: usize, offset: i32| LineAxis { name, len: len.max(1), offset, limit };
        let raw = |limit: Limit| SamplingLimit {
            min: limit.minimum,
            center: limit.center,
            max: limit.maximum,
        };
        let span = self.seen.count();
        let seen_limit = Limit {
            minimum: self.seen.min,
            maximum: self.seen.max,
            center: self.seen.min + (self.seen.max - self.seen.min).div_ceil(2),
        };
        match placement {
            Placement::FromMinimum => {
                let limit = limit.unwrap_or(seen_limit);
                Ok((axis(limit.count(), -i32::from(limit.minimum)), raw(limit)))
            }
            Placement::FromFirst => {
                let len = match limit {
                    Some(limit) if self.axis == 1 => limit.count().max(span),
                    _ => span,
                };
                let limit = raw(limit.unwrap_or(seen_limit));
                Ok((axis(len, -i32::from(self.seen.min)), limit))
            }
            Placement::AsNumbered => Ok((axis(self.matrix, 0), raw(limit.unwrap_or(seen_limit)))),
            Placement::Centred => {
                let (axis, sampling) = self.centred(axis, element, notes)?;
                Ok((
                    axis,
                    if self.moves_limits { sampling } else { raw(limit.unwrap_or(seen_limit)) },
                ))
            }
        }
    }

    fn centred(
        &self,
        axis: impl Fn(usize, i32) -> LineAxis,
        element: &'static str,
        notes: &mut Notes,
    ) -> Result<(LineAxis, SamplingLimit), Error> {
        let middle = self.matrix / 2;
        let limit = self.limit.unwrap_or_else(|| {
            if self.matrix > 1 {
                notes.no_limits(self.axis, element, self.seen, middle);
            }
            Limit {
                minimum: self.seen.min,
                maximum: self.seen.max,
                center: u16::try_from(middle).unwrap_or(u16::MAX),
            }
        });
        let moves = self.axis == 0 || self.matrix > 1;
        let offset = if moves { middle as i32 - i32::from(limit.center) } else { 0 };
        let (first, last) = (i32::from(limit.minimum) + offset, i32::from(limit.maximum) + offset);
        let count = limit.count();
        let len = if self.accelerated || self.limit.is_none() {
            self.matrix
        } else if first >= 0 && last < count as i32 {
            count
        } else {
            // All the lines that the header announces, and the centre in the middle.
            count.max(self.matrix)
        };
        let axis = axis(len, offset);
        let end = axis.len as i32 - 1;
        let inside = |place: i32| u16::try_from(place.clamp(0, end)).unwrap_or(u16::MAX);
        let center = inside(middle as i32);
        let announced = SamplingLimit { min: inside(first), center, max: inside(last) };
        // Headers announce lines that partial Fourier leaves out: what was seen decides.
        let seen = [self.seen.min, self.seen.max].map(|line| inside(i32::from(line) + offset));
        let limits = SamplingLimit {
            min: announced.min.max(seen[0]).min(center),
            center,
            max: announced.max.min(seen[1]).max(center),
        };
        let holds_centre = announced.min <= center && center <= announced.max && last >= first;
        // Without limits of the header there is nothing to hold the data to.
        if self.limit.is_some() && !holds_centre {
            return Err(Error::CentreOutsideLimits {
                axis: axis.name,
                minimum: limit.minimum,
                maximum: limit.maximum,
                center: limit.center,
            });
        }
        Ok((axis, limits))
    }
}

/// Sizes of the encoding; the limits come later. A Cartesian readout is taken to have lost its
/// oversampling.
fn sampling(encoding: &Encoding, is_cartesian: bool) -> SamplingDescription {
    let size = |space: &ismrmrd::xml::EncodingSpace| {
        (
            [space.field_of_view_mm.x, space.field_of_view_mm.y, space.field_of_view_mm.z],
            [space.matrix_size.x, space.matrix_size.y, space.matrix_size.z],
        )
    };
    let (mut encoded_field_of_view_mm, mut encoded_matrix_size) = size(&encoding.encoded_space);
    let (recon_field_of_view_mm, recon_matrix_size) = size(&encoding.recon_space);
    let n_readout = encoded_matrix_size[0];
    let readout = SamplingLimit { min: 0, center: n_readout / 2, max: n_readout.saturating_sub(1) };
    if is_cartesian {
        encoded_field_of_view_mm[0] = recon_field_of_view_mm[0];
        encoded_matrix_size[0] = recon_matrix_size[0];
    }
    SamplingDescription {
        encoded_field_of_view_mm,
        recon_field_of_view_mm,
        encoded_matrix_size,
        recon_matrix_size,
        limits: [readout, SamplingLimit::default(), SamplingLimit::default()],
        ..SamplingDescription::default()
    }
}

/// Notes of one bucket at most.
const MAX_PENDING: usize = 20;

/// What is told once in a scan.
#[derive(Default)]
pub(super) struct Notes {
    told_limits: [bool; 2],
    told_mode: bool,
    told_skipped: bool,
    pending: Vec<(String, String)>,
}

impl Notes {
    /// What is to be told now.
    pub(super) fn take(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.pending)
    }

    /// A readout that has no place.
    pub(super) fn left_out(&mut self, error: &Error) {
        let what = format!("a readout is left out: {error}");
        let note = (what, error.remedy().to_owned());
        if self.pending.len() < MAX_PENDING && !self.pending.contains(&note) {
            self.pending.push(note);
        }
    }

    fn no_limits(&mut self, axis: usize, element: &str, seen: Span, middle: usize) {
        if !std::mem::replace(&mut self.told_limits[axis], true) {
            let (name, Span { min, max }) = (LINES[axis].0, seen);
            self.pending.push((
                format!(
                    "the header has no limits of {name}; took lines {min} to {max} as they came, \
                     with the centre of k-space at line {middle}"
                ),
                format!("write `encodingLimits/{element}` into the header"),
            ));
        }
    }

    fn no_calibration_mode(&mut self) {
        if !std::mem::replace(&mut self.told_mode, true) {
            self.pending.push((
                "calibration lines arrived, but the header has no calibration mode; took them as \
                 embedded"
                    .to_owned(),
                "write `parallelImaging` with `calibrationMode` into the header".to_owned(),
            ));
        }
    }

    pub(super) fn skipped(&mut self, axis: &LineAxis, readout: &Acquisition) {
        if !std::mem::replace(&mut self.told_skipped, true) {
            let header = &readout.header;
            let line = if axis.name == LINES[0].0 {
                header.idx.kspace_encode_step_1
            } else {
                header.idx.kspace_encode_step_2
            };
            let (name, n_lines, scan_counter) = (axis.name, axis.len, { header.scan_counter });
            self.pending.push((
                format!(
                    "readout {scan_counter}: line {line} of {name} lies within the header's \
                     limits, but with their centre in the middle it is outside the matrix of \
                     {n_lines} lines; it and its like are left out"
                ),
                "correct the centre in `encodingLimits`, or the encoded matrix size".to_owned(),
            ));
        }
    }
}
