//! Heart beats in a series of images, from what their headers say about time.

/// Times of the images of one slice, and the beats among them.
#[derive(Clone, Debug)]
pub struct Beats {
    /// Time of each image, ms, strictly increasing.
    pub times_ms: Vec<f64>,
    /// Complete beats in order.
    pub complete: Vec<Beat>,
    /// R waves that were seen in between.
    pub n_triggers: usize,
}

/// From one R wave to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beat {
    /// Number, from 1 for the first complete one.
    pub number: usize,
    /// When its R wave was, in the time of the images.
    pub trigger_ms: f64,
    /// To the next R wave.
    pub rr_interval_ms: f64,
}

impl Beats {
    /// Finds the beats.
    ///
    /// * `since_trigger_ms`: time since the last R wave, of each image in order of time.
    /// * `clock_ms`: the scanner's clock at each image. Where it does not run on, the time from
    ///   image to image is taken from within the beats.
    /// * `first_is_complete`: whether the first image begins a beat; otherwise what comes before
    ///   the first R wave that was seen is no complete one.
    pub fn find(since_trigger_ms: &[f64], clock_ms: &[f64], first_is_complete: bool) -> Self {
        let n = since_trigger_ms.len();
        // The first image of each beat but the first.
        let starts: Vec<_> =
            (1..n).filter(|&i| since_trigger_ms[i] < since_trigger_ms[i - 1]).collect();
        let runs_on = clock_ms.windows(2).all(|pair| pair[1] > pair[0]);
        let times_ms = if runs_on { clock_ms.to_vec() } else { times_from_beats(since_trigger_ms) };
        // Of several images of a beat, whose clocks are rounded, the earliest estimate.
        let bounds: Vec<_> = std::iter::once(0).chain(starts.iter().copied()).collect();
        let triggers: Vec<_> = bounds
            .iter()
            .zip(bounds.iter().skip(1).chain([&n]))
            .map(|(&from, &to)| {
                (from..to).map(|i| times_ms[i] - since_trigger_ms[i]).fold(f64::INFINITY, f64::min)
            })
            .collect();
        let first = usize::from(!first_is_complete);
        let complete = triggers
            .windows(2)
            .skip(first)
            .filter(|pair| pair[1] > pair[0])
            .enumerate()
            .map(|(index, pair)| Beat {
                number: index + 1,
                trigger_ms: pair[0],
                rr_interval_ms: pair[1] - pair[0],
            })
            .collect();
        Self { times_ms, complete, n_triggers: starts.len() }
    }

    /// The interval that half of the complete beats do not reach.
    pub fn median_rr_interval_ms(&self) -> Option<f64> {
        median(self.complete.iter().map(|beat| beat.rr_interval_ms).collect())
    }

    /// Complete beats whose interval is within `max_deviation` (over the median) of the median,
    /// and those whose is not. There is always one of the former where there is a beat.
    pub fn regular(&self, max_deviation: f64) -> (Vec<Beat>, Vec<Beat>) {
        let median_ms = self.median_rr_interval_ms().unwrap_or(0.0);
        let is_regular =
            |beat: &Beat| (beat.rr_interval_ms - median_ms).abs() <= max_deviation * median_ms;
        self.complete.iter().copied().partition(is_regular)
    }
}

/// Times of images whose clock stands still: from R wave to R wave the images go on at their
/// usual distance.
fn times_from_beats(since_trigger_ms: &[f64]) -> Vec<f64> {
    let steps = since_trigger_ms.windows(2).map(|pair| pair[1] - pair[0]);
    let usual_ms = median(steps.clone().filter(|step| *step > 0.0).collect()).unwrap_or(1.0);
    let mut time_ms = since_trigger_ms.first().copied().unwrap_or(0.0);
    let mut times_ms = vec![time_ms; since_trigger_ms.len().min(1)];
    for step in steps {
        time_ms += if step > 0.0 { step } else { usual_ms };
        times_ms.push(time_ms);
    }
    times_ms
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images every 40 ms from 300 ms on, with R waves at these times.
    fn images(r_waves_ms: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
        let clock: Vec<_> = (0..n).map(|i| 300.0 + 40.0 * i as f64).collect();
        let since = |time: &f64| {
            let last = r_waves_ms.iter().rev().find(|r_wave| *r_wave <= time);
            time - last.expect("the first is early enough")
        };
        (clock.iter().map(since).collect(), clock)
    }

    #[test]
    fn complete_beats_are_those_between_two_r_waves_that_were_seen() {
        let (since, clock) = images(&[0.0, 950.0, 1800.0, 2900.0], 80);
        let beats = Beats::find(&since, &clock, false);
        let intervals: Vec<_> = beats.complete.iter().map(|beat| beat.rr_interval_ms).collect();
        assert_eq!(intervals, [850.0, 1100.0]);
        assert_eq!(beats.complete[0].trigger_ms, 950.0);
        assert_eq!(beats.n_triggers, 3);
        let beats = Beats::find(&since, &clock, true);
        assert_eq!(beats.complete[0], Beat { number: 1, trigger_ms: 0.0, rr_interval_ms: 950.0 });
        assert_eq!(beats.complete.len(), 3);
    }

    #[test]
    fn without_a_clock_intervals_are_right_within_a_frame() {
        let (since, _) = images(&[0.0, 950.0, 1800.0, 2900.0], 80);
        let beats = Beats::find(&since, &vec![0.0; since.len()], false);
        assert_eq!(beats.complete.len(), 2);
        for (beat, rr_interval_ms) in beats.complete.iter().zip([850.0, 1100.0]) {
            assert!((beat.rr_interval_ms - rr_interval_ms).abs() <= 40.0, "{beat:?}");
        }
        assert!(beats.times_ms.windows(2).all(|pair| pair[1] > pair[0]));
    }

    #[test]
    fn beats_far_from_the_median_are_told_apart() {
        // The fourth comes early, and the pause after it compensates.
        let r_waves = [0.0, 950.0, 1900.0, 2850.0, 3400.0, 4750.0, 5700.0, 6650.0];
        let (since, clock) = images(&r_waves, 170);
        let (regular, irregular) = Beats::find(&since, &clock, false).regular(0.25);
        assert_eq!(regular.iter().map(|beat| beat.number).collect::<Vec<_>>(), [1, 2, 5, 6]);
        assert_eq!(irregular.iter().map(|beat| beat.number).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn too_few_images_have_no_beats() {
        for n in [0, 1, 5] {
            let (since, clock) = images(&[0.0], n);
            let beats = Beats::find(&since, &clock, false);
            assert!(beats.complete.is_empty() && beats.times_ms.len() == n);
            assert_eq!(beats.median_rr_interval_ms(), None);
        }
    }
}
