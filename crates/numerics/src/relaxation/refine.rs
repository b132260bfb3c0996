//! From the best entry of the table to the best T.

use super::plan::Plan;

/// Steps at most; three are usual.
const MAX_STEPS: usize = 30;
/// A step of ln T after which there is no other.
const LAST_STEP: f64 = 1e-5;

/// Parameters of a fit: constant, exponential and T in ms.
pub(super) type Parameters = [f64; 3];

/// Maximises how much of the samples the exponential of T holds, between the neighbours of a
/// table's entry. [`None`] where the maximum is at the end of the table: it lies beyond.
pub(super) fn refine(plan: &Plan, samples: &[f64], entry: u32) -> Option<Parameters> {
    let table = &plan.table;
    let middle = table.first_log + f64::from(entry) * table.step_log;
    let end = table.first_log + (table.n - 1) as f64 * table.step_log;
    let mut low = (middle - table.step_log).max(table.first_log);
    let mut high = (middle + table.step_log).min(end);
    let mut log = middle;
    for _ in 0..MAX_STEPS {
        let (slope, curvature) = slope_of_log(plan, samples, log)?;
        if slope > 0.0 {
            low = log;
        } else {
            high = log;
        }
        let newton = log - slope / curvature;
        let next = if curvature < 0.0 && newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        let step = (next - log).abs();
        log = next;
        if step < LAST_STEP {
            break;
        }
    }
    let margin = 1e-3 * table.step_log;
    if log < table.first_log + margin || log > end - margin {
        return None;
    }
    linear(plan, samples, log.exp())
}

/// First and second derivative by ln T of the logarithm of what the samples have of the
/// exponential.
fn slope_of_log(plan: &Plan, samples: &[f64], log: f64) -> Option<(f64, f64)> {
    let rate = (-log).exp();
    let (is_free, sign) = (plan.model.has_free_constant(), plan.model.sign());
    let (constant, exponential) = plan.model.tied();
    let n = samples.len() as f64;
    // v: the vector; sums of v, v′, v″, of their products, and of their products with the samples.
    let mut sums = [0.0_f64; 3];
    let [mut vv, mut vd, mut dd, mut vc] = [0.0_f64; 4];
    let mut with_samples = [0.0_f64; 3];
    let mut sample_sum = 0.0;
    for (&time, &sample) in plan.times_ms.iter().zip(samples) {
        let x = time * rate;
        // Nothing is left of an infinite time.
        let decay = if x < 700.0 { (-x).exp() } else { 0.0 };
        let (first, second) =
            if x < 700.0 { (decay * x, decay * x * (x - 1.0)) } else { (0.0, 0.0) };
        let (v, d, c) = if is_free {
            (sign * decay, sign * first, sign * second)
        } else {
            (constant + exponential * decay, exponential * first, exponential * second)
        };
        for (sum, value) in sums.iter_mut().zip([v, d, c]) {
            *sum += value;
        }
        for (sum, value) in with_samples.iter_mut().zip([v, d, c]) {
            *sum += value * sample;
        }
        vv += v * v;
        vd += v * d;
        dd += d * d;
        vc += v * c;
        sample_sum += sample;
    }
    if is_free {
        vv -= sums[0] * sums[0] / n;
        vd -= sums[0] * sums[1] / n;
        dd -= sums[1] * sums[1] / n;
        vc -= sums[0] * sums[2] / n;
        for (with, sum) in with_samples.iter_mut().zip(sums) {
            *with -= sum * sample_sum / n;
        }
    }
    let [along, along_first, along_second] = with_samples;
    if !(along > 0.0 && vv > 0.0) {
        return None;
    }
    let (ratio, ratio_second) = (along_first / along, along_second / along);
    let (length_first, length_second) = (vd / vv, (dd + vc) / vv);
    let slope = ratio - length_first;
    let curvature =
        ratio_second - ratio * ratio - length_second + 2.0 * length_first * length_first;
    Some((slope, curvature))
}

/// Constant and exponential for a T.
fn linear(plan: &Plan, samples: &[f64], time_ms: f64) -> Option<Parameters> {
    let n = samples.len() as f64;
    let decay = |time: f64| (-time / time_ms).exp();
    if !plan.model.has_free_constant() {
        let (constant, exponential) = plan.model.tied();
        let (mut vv, mut with) = (0.0, 0.0);
        for (&time, &sample) in plan.times_ms.iter().zip(samples) {
            let v = constant + exponential * decay(time);
            vv += v * v;
            with += v * sample;
        }
        let factor = with / vv;
        return factor.is_finite().then_some([factor * constant, factor * exponential, time_ms]);
    }
    let mean = samples.iter().sum::<f64>() / n;
    let decay_mean = plan.times_ms.iter().map(|&time| decay(time)).sum::<f64>() / n;
    let (mut vv, mut with) = (0.0, 0.0);
    for (&time, &sample) in plan.times_ms.iter().zip(samples) {
        let v = decay(time) - decay_mean;
        vv += v * v;
        with += v * (sample - mean);
    }
    let exponential = with / vv;
    let constant = mean - exponential * decay_mean;
    (exponential.is_finite() && constant.is_finite()).then_some([constant, exponential, time_ms])
}
