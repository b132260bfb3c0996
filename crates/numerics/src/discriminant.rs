//! Linear discriminant analysis with shrinkage: which of some classes a vector of features is of.
//!
//! Fisher 1936; Rao 1948 for more than two classes; shrinkage after Ledoit and Wolf 2004, without
//! which features that outnumber the examples would fit any labels.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use num_complex::Complex64;

use crate::cholesky;

/// A classifier: the class of the largest score is the most likely one, all classes being equally
/// frequent.
#[derive(Clone, Debug, PartialEq)]
pub struct Discriminant {
    /// `[class, feature]`.
    pub weights: Array2<f64>,
    /// `[class]`.
    pub offsets: Array1<f64>,
}

/// Why no classifier can be made of the examples.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DiscriminantError {
    /// Numbers of examples, labels and features do not fit.
    #[error("{examples} examples of {features} features have {labels} labels")]
    Shape {
        /// Rows of the features.
        examples: usize,
        /// Columns of the features.
        features: usize,
        /// Labels that came with them.
        labels: usize,
    },
    /// Fewer than two classes.
    #[error("{0} classes cannot be told apart: at least two are needed")]
    Classes(usize),
    /// A class of which there are too few examples.
    #[error("class {class} has {examples} examples: at least two are needed")]
    Examples {
        /// Counted from 0.
        class: usize,
        /// How many there are.
        examples: usize,
    },
    /// Features that are no numbers, or all the same in every class.
    #[error("the features are not finite, or do not differ within any class")]
    Degenerate,
}

impl Discriminant {
    /// A classifier of examples. All classes count the same, however many examples they have.
    ///
    /// * `features`: `[example, feature]`.
    /// * `classes`: of each example, counted from 0.
    /// * `n_classes`: how many there are.
    ///
    /// # Errors
    /// Shapes that do not fit, fewer than two classes or than two examples of one, and features
    /// that are no numbers or do not vary.
    pub fn train(
        features: ArrayView2<'_, f64>,
        classes: &[usize],
        n_classes: usize,
    ) -> Result<Self, DiscriminantError> {
        let (n_examples, n_features) = features.dim();
        let fits = n_features > 0
            && n_examples == classes.len()
            && classes.iter().all(|class| *class < n_classes);
        if !fits {
            let labels = classes.len();
            let (examples, features) = (n_examples, n_features);
            return Err(DiscriminantError::Shape { examples, features, labels });
        }
        if n_classes < 2 {
            return Err(DiscriminantError::Classes(n_classes));
        }
        let mut counts = vec![0_usize; n_classes];
        classes.iter().for_each(|class| counts[*class] += 1);
        if let Some(class) = counts.iter().position(|count| *count < 2) {
            return Err(DiscriminantError::Examples { class, examples: counts[class] });
        }
        let mut means = Array2::<f64>::zeros((n_classes, n_features));
        for (row, class) in features.outer_iter().zip(classes) {
            means.row_mut(*class).scaled_add(1.0 / counts[*class] as f64, &row);
        }
        let weights: Vec<f64> =
            classes.iter().map(|class| 1.0 / (n_classes * counts[*class]) as f64).collect();
        let mut residuals = features.to_owned();
        for (mut row, class) in residuals.outer_iter_mut().zip(classes) {
            row -= &means.row(*class);
        }
        let within = shrunk_covariance(&residuals, &weights);
        let scale = within.diag().sum() / n_features as f64;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(DiscriminantError::Degenerate);
        }
        let lower = cholesky::factor(within.mapv(Complex64::from).view())
            .map_err(|_| DiscriminantError::Degenerate)?;
        let mut columns = means.t().mapv(Complex64::from);
        cholesky::solve(lower.view(), columns.view_mut());
        let weights = columns.t().mapv(|value| value.re);
        let offsets: Array1<f64> = weights
            .outer_iter()
            .zip(means.outer_iter())
            .map(|(weights, mean)| -0.5 * weights.dot(&mean))
            .collect();
        Ok(Self { weights, offsets })
    }

    /// How many classes there are.
    pub fn n_classes(&self) -> usize {
        self.offsets.len()
    }

    /// Logarithms of the classes' likelihoods but for a common number: `[class]`.
    pub fn scores(&self, features: ArrayView1<'_, f64>) -> Array1<f64> {
        self.weights.dot(&features) + &self.offsets
    }

    /// The most likely class.
    pub fn class(&self, features: ArrayView1<'_, f64>) -> usize {
        let scores = self.scores(features);
        let best = scores.indexed_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0, |(class, _)| class)
    }

    /// Probabilities of the classes, which are equally frequent: `[class]`.
    pub fn probabilities(&self, features: ArrayView1<'_, f64>) -> Array1<f64> {
        let scores = self.scores(features);
        let largest = scores.fold(f64::NEG_INFINITY, |largest, score| largest.max(*score));
        let odds = scores.mapv(|score| (score - largest).exp());
        let sum = odds.sum();
        odds / sum
    }
}

/// Covariance of residuals, shrunk towards a multiple of the identity by what its own scatter asks
/// for (Ledoit and Wolf 2004, with weights).
///
/// * `residuals`: `[example, feature]`; `weights`: of the examples, 1 in sum.
fn shrunk_covariance(residuals: &Array2<f64>, weights: &[f64]) -> Array2<f64> {
    let mut weighted = residuals.clone();
    for (mut row, weight) in weighted.outer_iter_mut().zip(weights) {
        row *= *weight;
    }
    let mut covariance = residuals.t().dot(&weighted);
    let n_features = covariance.nrows();
    let scale = covariance.diag().sum() / n_features as f64;
    let square = covariance.iter().map(|value| value * value).sum::<f64>();
    let distance = square - scale * scale * n_features as f64;
    // Of the covariances of single examples around their mean.
    let products = residuals.dot(&covariance);
    let scatter: f64 = residuals
        .outer_iter()
        .zip(products.axis_iter(Axis(0)))
        .zip(weights)
        .map(|((row, product), weight)| {
            let length = row.dot(&row);
            weight * weight * (length * length - 2.0 * row.dot(&product) + square)
        })
        .sum();
    let shrinkage = if distance > 0.0 { (scatter / distance).clamp(0.0, 1.0) } else { 1.0 };
    covariance *= 1.0 - shrinkage;
    // A trace of it keeps features that depend on each other from being a singular matrix.
    covariance.diag_mut().mapv_inplace(|value| value + (shrinkage + 1e-9) * scale);
    covariance
}

/// How far apart two groups of numbers are: the square of the difference of their means over the sum
/// of their variances (Fisher 1936). Infinite where neither scatters, 0 where a group is empty.
pub fn fisher_coefficient(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let moments = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, squares / values.len() as f64)
    };
    let ((mean_a, variance_a), (mean_b, variance_b)) = (moments(a), moments(b));
    let apart = (mean_a - mean_b).powi(2);
    if apart > 0.0 { apart / (variance_a + variance_b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Numbers that look normal enough: sums of a sequence that is spread evenly.
    fn scatter(n: usize, n_features: usize) -> Array2<f64> {
        let mut state = 1_u64;
        let mut even = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        Array2::from_shape_simple_fn((n, n_features), || (0..12).map(|_| even()).sum::<f64>() - 6.0)
    }

    #[test]
    fn two_normal_classes_are_told_apart_as_well_as_theory_allows() {
        // Unit covariance, means 2 apart: weights are their difference, errors Φ(-1) = 15.9 %.
        let mut features = scatter(20_000, 3);
        let classes: Vec<usize> = (0..20_000).map(|example| example % 2).collect();
        features.outer_iter_mut().zip(&classes).for_each(|(mut row, class)| {
            row[1] += 2.0 * *class as f64;
        });
        let found = Discriminant::train(features.view(), &classes, 2).expect("good examples");
        let difference = &found.weights.row(1) - &found.weights.row(0);
        for (weight, expected) in difference.iter().zip([0.0, 2.0, 0.0]) {
            assert!((weight - expected).abs() < 0.06, "{difference}");
        }
        let wrong = features.outer_iter().zip(&classes);
        let wrong = wrong.filter(|(row, class)| found.class(row.view()) != **class).count();
        let share = wrong as f64 / 20_000.0;
        assert!((share - 0.1587).abs() < 0.006, "{share}");
        let halfway = found.probabilities(array![0.3, 1.0, -0.2].view());
        assert!((halfway[0] - 0.5).abs() < 0.05 && (halfway.sum() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_features_than_examples_do_not_fit_any_labels() {
        // One feature of 60 tells the class; of labels that mean nothing, new examples know nothing.
        let mut features = scatter(440, 60);
        let classes: Vec<usize> = (0..440).map(|example| example % 2).collect();
        features.outer_iter_mut().zip(&classes).for_each(|(mut row, class)| {
            row[7] += 4.0 * *class as f64;
        });
        let few = features.slice(ndarray::s![..40, ..]);
        let found = Discriminant::train(few, &classes[..40], 2).expect("good examples");
        let rest = features.slice(ndarray::s![40.., ..]);
        let right = rest.outer_iter().zip(&classes[40..]);
        let right = right.filter(|(row, class)| found.class(row.view()) == **class).count();
        assert!(right > 340, "{right} of 400");
    }

    #[test]
    fn a_class_of_many_examples_counts_no_more_than_a_rare_one() {
        let mut features = scatter(10_100, 1);
        let classes: Vec<usize> =
            (0..10_100).map(|example| usize::from(example >= 10_000)).collect();
        features.outer_iter_mut().zip(&classes).for_each(|(mut row, class)| {
            row[0] += 3.0 * *class as f64;
        });
        let found = Discriminant::train(features.view(), &classes, 2).expect("good examples");
        let halfway = found.probabilities(array![1.5].view());
        assert!((halfway[0] - 0.5).abs() < 0.1, "{halfway}");
    }

    #[test]
    fn examples_that_make_no_classifier_are_refused() {
        let features = array![[1.0, 2.0], [2.0, 1.0], [0.0, 1.0], [1.0, 1.0]];
        let train = |classes: &[usize], n| Discriminant::train(features.view(), classes, n);
        assert!(train(&[0, 0, 1, 1], 2).is_ok());
        assert!(matches!(train(&[0, 0, 1], 2), Err(DiscriminantError::Shape { labels: 3, .. })));
        assert!(matches!(train(&[0, 0, 1, 2], 2), Err(DiscriminantError::Shape { .. })));
        assert_eq!(train(&[0; 4], 1), Err(DiscriminantError::Classes(1)));
        let lonely = DiscriminantError::Examples { class: 1, examples: 1 };
        assert_eq!(train(&[0, 0, 0, 1], 2), Err(lonely));
        let same = array![[1.0], [1.0], [2.0], [2.0]];
        let found = Discriminant::train(same.view(), &[0, 0, 1, 1], 2);
        assert_eq!(found, Err(DiscriminantError::Degenerate));
        let broken = array![[f64::NAN], [1.0], [2.0], [2.5]];
        let found = Discriminant::train(broken.view(), &[0, 0, 1, 1], 2);
        assert_eq!(found, Err(DiscriminantError::Degenerate));
    }

    #[test]
    fn fishers_coefficient_is_that_of_its_formula() {
        assert!((fisher_coefficient(&[0.0, 2.0], &[4.0, 8.0]) - 25.0 / 5.0).abs() < 1e-12);
        assert_eq!(fisher_coefficient(&[1.0], &[1.0]), 0.0);
        assert_eq!(fisher_coefficient(&[1.0], &[2.0]), f64::INFINITY);
        assert_eq!(fisher_coefficient(&[], &[2.0]), 0.0);
    }
}
