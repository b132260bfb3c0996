//! What is said of a series that is not reconstructed as it was asked for, or that has to be looked
//! at.

use inference::Provenance;
use numerics::joint::Structure;
use pipeline::Sink;

use super::frames::Frames;
use super::method::{Method, Noise};
use super::{Config, ReconstructSeries, Solution};
use crate::unaliasing::Job;

/// What is said once in a scan.
#[derive(Default)]
pub(super) struct Told {
    pub(super) single: bool,
    pub(super) nothing_common: bool,
    pub(super) network: bool,
    pub(super) motion: bool,
    pub(super) acceleration: bool,
    pub(super) structure: bool,
    pub(super) misfit: bool,
}

/// Samples are this many times farther from the images than noise would put them where something
/// is wrong: coil maps of another position, motion within an image.
const SUSPICIOUS_MISFIT: f64 = 10.0;

/// Images that leave so much of an object in the samples lack something: still scans leave 3 to 4
/// standard deviations of the noise. Where there is next to no noise, the model's own error stands
/// out of it: part of the signal.
const SUSPICIOUS_STRUCTURE: Structure = Structure { noise_sds: 8.0, of_signal: 0.03 };

/// The network has seen no lines that are farther apart.
const MOST_ACCELERATION: usize = 8;

/// Says of images that a network did not make them.
pub(super) fn not_used(network: &str, why: String) -> Provenance {
    Provenance { model: network.to_owned(), fallback: Some(why), ..Provenance::default() }
}

impl ReconstructSeries {
    /// The method that suits the images of a slice; where it is another one than was asked for,
    /// that is told once, and of a network also why.
    pub(super) fn method_for(
        &mut self,
        frames: &Frames,
        out: &mut Sink<Self>,
    ) -> (Method, Option<Provenance>) {
        let Config { method: wanted, ref network, .. } = self.config;
        let mut tell = |told: &mut bool, method, text: String, remedy: &str| {
            if !std::mem::replace(told, true) {
                out.warn(text.clone(), remedy);
            }
            let instead = (wanted == Method::Network).then(|| not_used(network, text));
            (method, instead)
        };
        if frames.places.len() == 1 && wanted.shares_courses() {
            let text = format!(
                "the slice has one image, `{}` needs a series: it is reconstructed by `sense`",
                wanted.name(),
            );
            let remedy = "let `sort_k_space` put the images of a series along `n` or `s`, and \
                          `collect_readouts` wait for all of them, with `trigger_dimension = \
                          \"slice\"`";
            return tell(&mut self.told.single, Method::Sense, text, remedy);
        }
        if wanted == Method::Network && !frames.have_lines_in_common() {
            let text = "the images have no lines in common, as all have that the network has \
                        seen: `subspace` is used instead";
            let remedy = "acquire calibration lines in every image";
            let told = &mut self.told.nothing_common;
            return tell(told, Method::Subspace, text.to_owned(), remedy);
        }
        (wanted, None)
    }

    /// Why images have to be looked at: told once, and for each slice in their meta attributes.
    pub(super) fn faults(
        &mut self,
        solution: &Solution,
        method: Method,
        job: &Job,
        noise: &Noise,
        out: &mut Sink<Self>,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |told: &mut bool, text: String, remedy: &str| {
            if !std::mem::replace(told, true) {
                out.warn(text.clone(), remedy);
            }
            faults.push(text);
        };
        let acceleration = job.acceleration[0] * job.acceleration[1];
        if method == Method::Network && acceleration > MOST_ACCELERATION {
            let text = format!(
                "acceleration {acceleration}: the network was trained with 2 to {MOST_ACCELERATION}"
            );
            fault(
                &mut self.told.acceleration,
                text,
                "acquire more lines, or look at small things twice",
            );
        }
        if let Some(structure) = solution.structure
            && structure.noise_sds > SUSPICIOUS_STRUCTURE.noise_sds
            && structure.of_signal > SUSPICIOUS_STRUCTURE.of_signal
        {
            let text = format!(
                "what the images leave of the samples stands {:.0} standard deviations out of the \
                 noise, {:.0} % of the signal: something is not in the images",
                structure.noise_sds,
                100.0 * structure.of_signal
            );
            let remedy = "look for motion (`correct_motion = true` puts it into the model), \
                          artefacts and devices; compare with `method = \"locally_low_rank\"`";
            fault(&mut self.told.structure, text, remedy);
        }
        let misfit = noise.misfit(solution.report.misfit);
        if misfit > SUSPICIOUS_MISFIT {
            let text = format!(
                "the images are {misfit:.0} times as far from the samples as noise explains"
            );
            let remedy = "look for artefacts: calibration lines of another position, motion \
                          within an image, or spikes";
            fault(&mut self.told.misfit, text, remedy);
        }
        faults
    }
}
