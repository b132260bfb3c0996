//! What a network did to an image, for the image.

use ismrmrd::Meta;

use crate::Provider;

/// What a network did to an image, or why it did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// What it ran on; [`None`] where it did not run.
    pub provider: Option<Provider>,
    /// Name and version of the runtime.
    pub runtime: String,
    /// Time in the network, in ms.
    pub time_ms: f64,
    /// Time until it was the request's turn, in ms.
    pub waited_ms: f64,
    /// What the guards found, in words, one each.
    pub guards: Vec<String>,
    /// Why the network's result is not used, and what was done instead.
    pub fallback: Option<String>,
}

impl Provenance {
    /// That of several answers of a model, as one: the last one's, with the times of all.
    pub fn followed_by(&self, last: Self) -> Self {
        Self {
            time_ms: self.time_ms + last.time_ms,
            waited_ms: self.waited_ms + last.waited_ms,
            ..last
        }
    }

    /// What a person should read, in one line.
    pub fn summary(&self) -> String {
        let Self { model, version, .. } = self;
        match (&self.fallback, self.provider) {
            (Some(reason), _) => format!("model {model} {version} not used: {reason}"),
            (None, Some(provider)) => {
                format!("model {model} {version} on {provider}, {:.1} ms", self.time_ms)
            }
            (None, None) => format!("model {model} {version}"),
        }
    }

    /// Writes it into the meta attributes, in the vocabularies of Gadgetron and of FIRE, and in
    /// full under keys of our own: `BoresideModel` (name, version), `BoresideModelSha256`,
    /// `BoresideModelProvider`, `BoresideModelRuntime`, `BoresideModelTimeMs`,
    /// `BoresideModelGuards` and `BoresideModelFallback`. Each key has a value for every network
    /// that touched the image, in order.
    ///
    /// DICOM's Derivation Description (0008,2111) is the `BoresideModelDerivation` that comes of
    /// it: at most 1024 characters.
    pub fn write(&self, meta: &mut Meta) {
        let none = || "none".to_owned();
        meta.append("BoresideModel", format!("{} {}", self.model, self.version));
        meta.append("BoresideModelSha256", self.sha256.as_str());
        meta.append(
            "BoresideModelProvider",
            self.provider.map_or_else(none, |provider| provider.name().to_owned()),
        );
        meta.append("BoresideModelRuntime", self.runtime.as_str());
        meta.append("BoresideModelTimeMs", format!("{:.3}", self.time_ms));
        meta.append("BoresideModelWaitedMs", format!("{:.3}", self.waited_ms));
        let guards = if self.guards.is_empty() { none() } else { self.guards.join("; ") };
        meta.append("BoresideModelGuards", guards);
        meta.append("BoresideModelFallback", self.fallback.clone().unwrap_or_else(none));
        let short: String = self.sha256.chars().take(12).collect();
        let derivation: String = format!("{}; sha256 {short}; {}", self.summary(), self.runtime)
            .chars()
            .take(1024)
            .collect();
        meta.append("BoresideModelDerivation", derivation);
        for key in ["ImageComments", "GADGETRON_ImageComment"] {
            meta.append(key, self.summary());
        }
        if self.fallback.is_none() {
            let step = format!("MODEL {} {}", self.model, self.version);
            for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
                meta.append(key, step.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_vocabularies_say_what_ran_and_what_did_not() {
        let ran = Provenance {
            model: "lv".to_owned(),
            version: "1.0".to_owned(),
            sha256: "ab".repeat(32),
            provider: Some(Provider::Cpu),
            time_ms: 12.34,
            ..Provenance::default()
        };
        let mut meta = Meta::new();
        ran.write(&mut meta);
        assert_eq!(meta.get("ImageComments"), Some("model lv 1.0 on cpu, 12.3 ms"));
        assert_eq!(meta.get("GADGETRON_ImageComment"), meta.get("ImageComments"));
        assert_eq!(meta.get("ImageProcessingHistory"), Some("MODEL lv 1.0"));
        assert_eq!(meta.get("BoresideModelFallback"), Some("none"));
        let not = Provenance { fallback: Some("late".to_owned()), provider: None, ..ran };
        let mut meta = Meta::new();
        not.write(&mut meta);
        assert_eq!(meta.get("ImageComments"), Some("model lv 1.0 not used: late"));
        assert_eq!(meta.get("BoresideModelProvider"), Some("none"));
        assert_eq!(meta.get("ImageProcessingHistory"), None);
    }
}
