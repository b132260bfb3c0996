//! Which readout comes when, and its flags.

use ismrmrd::AcquisitionFlags;

use super::options::{Calibration, CartesianOptions};

/// What a readout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadoutKind {
    Noise,
    /// Calibration in a readout of its own.
    Calibration,
    Image,
}

/// Place and flags of one readout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Readout {
    pub kind: ReadoutKind,
    pub line: usize,
    pub slice: usize,
    pub repetition: usize,
    pub flags: AcquisitionFlags,
}

/// The order of all readouts, by arithmetic: nothing is stored per readout but for one pass
/// through k-space.
#[derive(Clone, Debug)]
pub(super) struct ReadoutOrder {
    n_noise: usize,
    n_slices: usize,
    n_repetitions: usize,
    /// Lines of each slice before its first image.
    calibration: Vec<usize>,
    /// Lines of an image and their calibration flags.
    image: Vec<(usize, AcquisitionFlags)>,
}

impl ReadoutOrder {
    pub(super) fn new(options: &CartesianOptions) -> Self {
        let n_lines = options.matrix_size[1];
        let center = n_lines / 2;
        let n_calibration = options.n_calibration_lines;
        // As many lines below the centre as above it, or one more below, as in all of k-space.
        let first = center - n_calibration / 2;
        let calibration = first..first + n_calibration;
        let embedded = options.calibration == Calibration::Embedded;
        let image = (0..n_lines)
            .filter_map(|line| {
                // The regular lines include that at the centre.
                let regular = line % options.acceleration == center % options.acceleration;
                let calibrates = embedded && calibration.contains(&line);
                let flags = match (regular, calibrates) {
                    (true, true) => AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING,
                    (true, false) => AcquisitionFlags::NONE,
                    (false, true) => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
                    (false, false) => return None,
                };
                Some((line, flags))
            })
            .collect();
        Self {
            n_noise: options.noise_scan.map_or(0, |noise_scan| noise_scan.n_readouts),
            n_slices: options.n_slices,
            n_repetitions: options.n_repetitions,
            calibration: if embedded { Vec::new() } else { calibration.collect() },
            image,
        }
    }

    pub(super) fn n_readouts(&self) -> usize {
        let per_slice = self.calibration.len() + self.n_repetitions * self.image.len();
        self.n_noise + self.n_slices * per_slice
    }

    pub(super) fn readout(&self, index: usize) -> Readout {
        let Some(index) = index.checked_sub(self.n_noise) else {
            let flags = AcquisitionFlags::IS_NOISE_MEASUREMENT;
            return Readout { kind: ReadoutKind::Noise, line: 0, slice: 0, repetition: 0, flags };
        };
        let per_first_slice = self.calibration.len() + self.image.len();
        let (repetition, slice, within) = match index.checked_sub(self.n_slices * per_first_slice) {
            None => (0, index / per_first_slice, index % per_first_slice),
            Some(later) => {
                let pass = later / self.image.len();
                let within = self.calibration.len() + later % self.image.len();
                (1 + pass / self.n_slices, pass % self.n_slices, within)
            }
        };
        let Some(within) = within.checked_sub(self.calibration.len()) else {
            let (kind, line) = (ReadoutKind::Calibration, self.calibration[within]);
            let flags = AcquisitionFlags::IS_PARALLEL_CALIBRATION;
            return Readout { kind, line, slice, repetition, flags };
        };
        let (line, calibration) = self.image[within];
        let flags = calibration | self.edges(within, slice, repetition);
        Readout { kind: ReadoutKind::Image, line, slice, repetition, flags }
    }

    /// Flags of the first and the last readouts of the image's loops.
    fn edges(&self, within: usize, slice: usize, repetition: usize) -> AcquisitionFlags {
        let mut flags = AcquisitionFlags::NONE;
        if within == 0 {
            flags |= AcquisitionFlags::FIRST_IN_ENCODE_STEP1 | AcquisitionFlags::FIRST_IN_SLICE;
            if slice == 0 {
                flags |= AcquisitionFlags::FIRST_IN_REPETITION;
            }
        }
        if within + 1 == self.image.len() {
            flags |= AcquisitionFlags::LAST_IN_ENCODE_STEP1 | AcquisitionFlags::LAST_IN_SLICE;
            if slice + 1 == self.n_slices {
                flags |= AcquisitionFlags::LAST_IN_REPETITION;
                if repetition + 1 == self.n_repetitions {
                    flags |= AcquisitionFlags::LAST_IN_MEASUREMENT;
                }
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(change: impl FnOnce(&mut CartesianOptions)) -> Vec<Readout> {
        let mut options = CartesianOptions { matrix_size: [16, 16], ..CartesianOptions::default() };
        change(&mut options);
        let order = ReadoutOrder::new(&options);
        (0..order.n_readouts()).map(|index| order.readout(index)).collect()
    }

    fn lines(readouts: &[Readout], flags: AcquisitionFlags) -> Vec<usize> {
        readouts.iter().filter(|r| r.flags.intersects(flags)).map(|r| r.line).collect()
    }

    const CALIBRATION: AcquisitionFlags = AcquisitionFlags::IS_PARALLEL_CALIBRATION;
    const BOTH: AcquisitionFlags = AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING;

    #[test]
    fn embedded_calibration_fills_the_gaps_around_the_centre() {
        let readouts = order(|options| {
            (options.acceleration, options.n_calibration_lines) = (4, 6);
        });
        let all: Vec<usize> = readouts.iter().map(|readout| readout.line).collect();
        assert_eq!(all, [0, 4, 5, 6, 7, 8, 9, 10, 12]);
        assert_eq!(lines(&readouts, BOTH), [8]);
        assert_eq!(lines(&readouts, CALIBRATION), [5, 6, 7, 9, 10]);

        let readouts = order(|options| {
            (options.acceleration, options.n_calibration_lines) = (2, 4);
        });
        let all: Vec<usize> = readouts.iter().map(|readout| readout.line).collect();
        assert_eq!(all, [0, 2, 4, 6, 7, 8, 9, 10, 12, 14]);
        assert_eq!(lines(&readouts, BOTH), [6, 8]);
        assert_eq!(lines(&readouts, CALIBRATION), [7, 9]);
    }

    #[test]
    fn regular_lines_include_the_centre() {
        for (n_lines, acceleration) in [(16, 3), (15, 2), (18, 4), (17, 5)] {
            let readouts = order(|options| {
                options.matrix_size[1] = n_lines;
                (options.acceleration, options.n_calibration_lines) = (acceleration, 1);
            });
            assert_eq!(lines(&readouts, BOTH), [n_lines / 2]);
            assert!(readouts.windows(2).all(|pair| pair[1].line - pair[0].line == acceleration));
        }
    }

    #[test]
    fn separate_calibration_comes_once_before_its_slice() {
        let readouts = order(|options| {
            (options.acceleration, options.n_calibration_lines) = (4, 2);
            options.calibration = Calibration::Separate;
            (options.n_slices, options.n_repetitions) = (2, 2);
        });
        let places: Vec<_> = readouts.iter().map(|r| (r.repetition, r.slice, r.line)).collect();
        let pass = |repetition, slice| [0, 4, 8, 12].map(|line| (repetition, slice, line));
        let mut expected = vec![(0, 0, 7), (0, 0, 8)];
        expected.extend(pass(0, 0));
        expected.extend([(0, 1, 7), (0, 1, 8)]);
        expected.extend(pass(0, 1));
        expected.extend(pass(1, 0));
        expected.extend(pass(1, 1));
        assert_eq!(places, expected);
        assert_eq!(lines(&readouts, CALIBRATION), [7, 8, 7, 8]);
        assert!(readouts.iter().all(|readout| !readout.flags.intersects(BOTH)));
        let first = readouts.iter().position(|r| r.kind == ReadoutKind::Image).expect("an image");
        assert!(readouts[first].flags.contains(AcquisitionFlags::FIRST_IN_SLICE));
    }

    #[test]
    fn first_and_last_flags_come_once_per_loop() {
        let readouts = order(|options| {
            (options.n_slices, options.n_repetitions) = (3, 2);
            options.noise_scan =
                Some(super::super::NoiseScan { n_readouts: 5, sample_time_us: 5.0 });
        });
        let count = |flags| readouts.iter().filter(|r| r.flags.contains(flags)).count();
        assert_eq!(count(AcquisitionFlags::IS_NOISE_MEASUREMENT), 5);
        assert!(readouts[..5].iter().all(|readout| readout.kind == ReadoutKind::Noise));
        assert_eq!(count(AcquisitionFlags::FIRST_IN_SLICE), 6);
        assert_eq!(count(AcquisitionFlags::LAST_IN_SLICE), 6);
        assert_eq!(count(AcquisitionFlags::FIRST_IN_ENCODE_STEP1), 6);
        assert_eq!(count(AcquisitionFlags::LAST_IN_ENCODE_STEP1), 6);
        assert_eq!(count(AcquisitionFlags::FIRST_IN_REPETITION), 2);
        assert_eq!(count(AcquisitionFlags::LAST_IN_REPETITION), 2);
        assert_eq!(count(AcquisitionFlags::LAST_IN_MEASUREMENT), 1);
        let last = readouts.last().expect("readouts");
        assert!(last.flags.contains(AcquisitionFlags::LAST_IN_MEASUREMENT));
    }
}
