//! The T1 and T2 of a dictionary.

/// T1 and T2 whose every pair is an entry; those with T2 above T1 only serve to interpolate.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    t1_ms: Vec<f64>,
    t2_ms: Vec<f64>,
}

/// Least number of values of either: what interpolation needs.
const LEAST: usize = 4;
const MOST: usize = 4096;

/// A grid that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a dictionary needs 4 to 4096 growing {quantity}, above 0 and below 100 s")]
pub struct GridError {
    /// T1 or T2.
    pub quantity: &'static str,
}

impl Grid {
    /// Of these values.
    ///
    /// # Errors
    /// [`GridError`].
    pub fn new(t1_ms: Vec<f64>, t2_ms: Vec<f64>) -> Result<Self, GridError> {
        for (quantity, values) in [("T1", &t1_ms), ("T2", &t2_ms)] {
            let grows = values.windows(2).all(|pair| pair[0] < pair[1]);
            let are_times = values.iter().all(|ms| *ms > 0.0 && *ms < 1e5);
            if !(grows && are_times && (LEAST..=MOST).contains(&values.len())) {
                return Err(GridError { quantity });
            }
        }
        Ok(Self { t1_ms, t2_ms })
    }

    /// Values that grow by the same factor: between those of tissue a signal changes evenly, so that
    /// few are needed and none is missed.
    ///
    /// * `t1_ms`, `t2_ms`: first and last.
    /// * `step_percent`: at most this much from value to value.
    ///
    /// # Errors
    /// [`GridError`].
    pub fn logarithmic(
        t1_ms: [f64; 2],
        t2_ms: [f64; 2],
        step_percent: f64,
    ) -> Result<Self, GridError> {
        let values = |[first, last]: [f64; 2]| -> Vec<f64> {
            let step = (step_percent / 100.0).ln_1p();
            let n = ((last / first).ln() / step).ceil();
            // A range or step that is none gives no number here.
            if !(n >= 1.0 && n < MOST as f64) {
                return Vec::new();
            }
            (0..=n as usize).map(|i| first * (last / first).powf(i as f64 / n)).collect()
        };
        Self::new(values(t1_ms), values(t2_ms))
    }

    /// The grid of PTB's dictionary: 22 988 entries with T2 up to T1.
    pub fn ptb() -> Self {
        let steps = |ranges: &[[usize; 3]]| {
            let values = ranges.iter().flat_map(|[first, last, step]| {
                (*first..=*last).step_by(*step).map(|value| value as f64)
            });
            values.collect()
        };
        Self {
            t1_ms: steps(&[[50, 2000, 10], [2020, 3000, 20], [3050, 5000, 50]]),
            t2_ms: steps(&[[6, 100, 2], [105, 200, 5], [220, 500, 20]]),
        }
    }

    /// T1, growing.
    pub fn t1_ms(&self) -> &[f64] {
        &self.t1_ms
    }

    /// T2, growing.
    pub fn t2_ms(&self) -> &[f64] {
        &self.t2_ms
    }

    /// T1 and T2 of all pairs, `[t1, t2]`.
    pub fn tissues_ms(&self) -> Vec<[f64; 2]> {
        let pairs = self.t1_ms.iter().flat_map(|t1| self.t2_ms.iter().map(move |t2| [*t1, *t2]));
        pairs.collect()
    }

    /// Whether a pair is an entry: T2 is not above T1.
    pub(super) fn is_entry(&self, [t1, t2]: [usize; 2]) -> bool {
        self.t2_ms[t2] <= self.t1_ms[t1]
    }

    /// How many entries there are.
    pub fn n_entries(&self) -> usize {
        let tissues = self.tissues_ms();
        tissues.iter().filter(|[t1_ms, t2_ms]| t2_ms <= t1_ms).count()
    }
}
