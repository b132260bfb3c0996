//! Which measurements have noise that is kept.

use std::convert::Infallible;

use ismrmrd::Meta;
use pipeline::{Answer, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::collect_readouts::Readings;

/// Prefix of the names where the chain sets none.
const PREFIX: &str = "GadgetronNoiseCovarianceMatrix";
/// Name of the list where the chain sets none.
const ATTRIBUTE: &str = "NoiseDependencies";
/// What stands in the list where nothing is kept.
const NOTHING: &str = "Dummy";

/// Answers which measurements have noise that is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What stands before `_` and the measurement id in the list; empty for
    /// `GadgetronNoiseCovarianceMatrix`.
    pub noise_dependency_prefix: String,
    /// Name of the list in the answer; empty for `NoiseDependencies`.
    pub noise_dependency_attrib_name: String,
    /// Whether noise that is older than `time_limit_in_storage` is left out of the list. Nothing
    /// is deleted: the server has a time limit of its own.
    pub clean_storage_while_query: bool,
    /// The oldest noise in the list, hours; below 0 for 24.
    pub time_limit_in_storage: f32,
}

/// Answers, at the end of a scan without data, which measurements have noise that is kept.
pub struct ListDependencies {
    answer: Meta,
}

impl Gadget for ListDependencies {
    const NAME: &str = "list_dependencies";
    const ALIASES: &'static [&'static str] = &["DependencyQueryGadget"];
    type Config = Config;
    type Input = Readings;
    type Output = Answer;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        let or =
            |text: &'static str, set: String| if set.is_empty() { text.to_owned() } else { set };
        let prefix = or(PREFIX, config.noise_dependency_prefix);
        let attribute = or(ATTRIBUTE, config.noise_dependency_attrib_name);
        let max_age_h = match config.time_limit_in_storage {
            hours if hours < 0.0 => 24.0,
            hours => f64::from(hours),
        };
        let kept = scan.noise.as_ref().map(|store| store.list()).unwrap_or_default();
        let mut names: Vec<String> = kept
            .into_iter()
            .filter(|(_, age)| {
                !config.clean_storage_while_query || age.as_secs_f64() <= max_age_h * 3600.0
            })
            .map(|(id, _)| format!("{prefix}_{id}"))
            .collect();
        if names.is_empty() {
            names.push(NOTHING.to_owned());
        }
        let mut answer = Meta::new();
        answer.set_all(&attribute, names);
        Ok(Self { answer })
    }

    fn process(&mut self, _reading: Readings, _out: &mut Sink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Infallible> {
        out.push(Answer(std::mem::take(&mut self.answer)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use ndarray::Array2;
    use pipeline::noise::{NoiseCovariance, NoiseMemory};
    use pipeline::{Message, run_gadget};

    use super::*;

    fn ask(store: Arc<NoiseMemory>, config: Config) -> Meta {
        let scan = Scan { noise: Some(store), ..Scan::default() };
        let (mut outputs, _) = run_gadget::<ListDependencies>(config, &scan, [])
            .unwrap_or_else(|never| match never {});
        match outputs.pop() {
            Some(Message::Answer(answer)) => answer.0,
            other => panic!("{other:?} came out"),
        }
    }

    #[test]
    fn what_is_kept_is_listed_and_nothing_is_a_dummy() {
        let store = Arc::new(NoiseMemory::default());
        assert_eq!(ask(store.clone(), Config::default()).values(ATTRIBUTE), [NOTHING]);
        let noise = Arc::new(NoiseCovariance {
            covariance: Array2::zeros((1, 1)),
            labels: Vec::new(),
            n_samples: 2,
            sample_time_us: 1.0,
            bandwidth_ratio: 1.0,
        });
        let yesterday = SystemTime::now() - Duration::from_secs(30 * 3600);
        store.keep_since("old", noise.clone(), yesterday).expect("there is room");
        store.keep_since("new", noise, SystemTime::now()).expect("there is room");
        let all = ask(store.clone(), Config::default());
        assert_eq!(
            all.values(ATTRIBUTE),
            ["GadgetronNoiseCovarianceMatrix_new", "GadgetronNoiseCovarianceMatrix_old"]
        );
        let config = Config {
            noise_dependency_prefix: "N".to_owned(),
            noise_dependency_attrib_name: "L".to_owned(),
            clean_storage_while_query: true,
            time_limit_in_storage: -1.0,
        };
        assert_eq!(ask(store, config).values("L"), ["N_new"]);
    }
}
