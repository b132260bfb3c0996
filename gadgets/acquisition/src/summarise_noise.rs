//! What noise an earlier measurement had.

use std::convert::Infallible;

use ismrmrd::Meta;
use pipeline::{Answer, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::collect_readouts::Readings;

/// Prefix that Gadgetron's client puts before the measurement id.
const PREFIX: &str = "GadgetronNoiseCovarianceMatrix_";

/// Answers what noise an earlier measurement had.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Id of the measurement, with or without `GadgetronNoiseCovarianceMatrix_` before it.
    pub noise_file: String,
}

/// Answers, at the end of a scan without data, what noise an earlier measurement had.
pub struct SummariseNoise {
    answer: Meta,
}

impl Gadget for SummariseNoise {
    const NAME: &str = "summarise_noise";
    const ALIASES: &'static [&'static str] = &["NoiseSummaryGadget"];
    type Config = Config;
    type Input = Readings;
    type Output = Answer;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        let id = config.noise_file.strip_prefix(PREFIX).unwrap_or(&config.noise_file);
        let noise = scan.noise.as_ref().and_then(|store| store.find(id));
        let answer = match noise {
            None => Meta::from_iter([("status", "failed")]),
            Some(noise) => {
                let deviations = || noise.deviations();
                let mean = deviations().sum::<f64>() / noise.n_channels() as f64;
                let mut answer = Meta::from_iter([("status", "success")]);
                answer.set("channels", noise.n_channels() as i64);
                answer.set("min_sigma", deviations().fold(f64::INFINITY, f64::min));
                answer.set("max_sigma", deviations().fold(0.0, f64::max));
                answer.set("mean_sigma", mean);
                answer.set("noise_dwell_time_us", f64::from(noise.sample_time_us));
                answer
            }
        };
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

    use ndarray::array;
    use num_complex::Complex64;
    use pipeline::noise::{NoiseCovariance, NoiseMemory, NoiseStore};
    use pipeline::{Message, run_gadget};

    use super::*;

    fn ask(store: Option<Arc<dyn NoiseStore>>, noise_file: &str) -> Meta {
        let scan = Scan { noise: store, ..Scan::default() };
        let config = Config { noise_file: noise_file.to_owned() };
        let (mut outputs, told) =
            run_gadget::<SummariseNoise>(config, &scan, []).unwrap_or_else(|never| match never {});
        assert!(told.is_empty());
        match outputs.pop() {
            Some(Message::Answer(answer)) => answer.0,
            other => panic!("{other:?} came out"),
        }
    }

    #[test]
    fn deviations_and_dwell_time_of_what_is_kept_are_answered() {
        let c = Complex64::new;
        let store = Arc::new(NoiseMemory::default());
        let noise = NoiseCovariance {
            covariance: array![[c(4.0, 0.0), c(1.0, 1.0)], [c(1.0, -1.0), c(16.0, 0.0)]],
            labels: Vec::new(),
            n_samples: 100,
            sample_time_us: 7.5,
            bandwidth_ratio: 1.0,
        };
        store.keep(Some("1_2_3_4"), Arc::new(noise)).expect("there is room");
        for name in ["1_2_3_4", "GadgetronNoiseCovarianceMatrix_1_2_3_4"] {
            let answer = ask(Some(store.clone()), name);
            assert_eq!(answer.get("status"), Some("success"));
            assert_eq!(answer.get_i64("channels"), Some(2));
            let numbers = ["min_sigma", "mean_sigma", "max_sigma", "noise_dwell_time_us"]
                .map(|key| answer.get_f64(key));
            assert_eq!(numbers, [Some(2.0), Some(3.0), Some(4.0), Some(7.5)]);
        }
        let answer = ask(Some(store), "other");
        assert_eq!((answer.get("status"), answer.len()), (Some("failed"), 1));
    }

    #[test]
    fn without_a_store_nothing_is_known() {
        assert_eq!(ask(None, "1").get("status"), Some("failed"));
    }
}
