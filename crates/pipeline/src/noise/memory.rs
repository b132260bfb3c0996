//! Noise that is kept as long as the program runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{KeepError, MAX_MEASUREMENT_ID_BYTES, NoiseCovariance, NoiseStore};

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseLimits {
    /// Older noise is forgotten.
    pub max_age: Duration,
    /// The oldest noise is forgotten so that all of it stays below this.
    pub max_bytes: usize,
}

impl Default for NoiseLimits {
    /// 48 h and 256 MiB, which is room for 16 000 measurements of 32 channels.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(48 * 3600), max_bytes: 256 << 20 }
    }
}

/// Noise by measurement id, in memory.
#[derive(Debug, Default)]
pub struct NoiseMemory {
    limits: NoiseLimits,
    kept: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    noise: Arc<NoiseCovariance>,
    since: SystemTime,
}

impl Kept {
    fn age(&self, now: SystemTime) -> Duration {
        // A clock that was set back makes it as new.
        now.duration_since(self.since).unwrap_or_default()
    }

    fn n_bytes(&self) -> usize {
        n_bytes(&self.noise)
    }
}

/// Memory of one entry: the elements and some hundred bytes.
fn n_bytes(noise: &NoiseCovariance) -> usize {
    512 + noise.covariance.len() * 16 + noise.labels.iter().map(String::len).sum::<usize>()
}

impl NoiseMemory {
    /// Nothing yet.
    pub fn new(limits: NoiseLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// Keeps noise that was measured at `since`. Returns the ids that were forgotten for it.
    ///
    /// # Errors
    /// As [`NoiseStore::keep`].
    pub fn keep_since(
        &self,
        measurement_id: &str,
        noise: Arc<NoiseCovariance>,
        since: SystemTime,
    ) -> Result<Vec<String>, KeepError> {
        if measurement_id.is_empty() {
            return Err(KeepError::NoMeasurementId);
        }
        if measurement_id.len() > MAX_MEASUREMENT_ID_BYTES {
            return Err(KeepError::LongMeasurementId(measurement_id.len()));
        }
        if n_bytes(&noise) > self.limits.max_bytes {
            return Err(KeepError::TooLarge { n_channels: noise.n_channels() });
        }
        let mut kept = self.lock();
        kept.insert(measurement_id.to_owned(), Kept { noise, since });
        Ok(self.forget(&mut kept, SystemTime::now()))
    }

    fn find_at(&self, measurement_id: &str, now: SystemTime) -> Option<Arc<NoiseCovariance>> {
        let kept = self.lock();
        let found = kept.get(measurement_id)?;
        (found.age(now) <= self.limits.max_age).then(|| Arc::clone(&found.noise))
    }

    /// Forgets what is too old and, oldest first, what is too much.
    fn forget(&self, kept: &mut BTreeMap<String, Kept>, now: SystemTime) -> Vec<String> {
        let is_old = |kept: &Kept| kept.age(now) > self.limits.max_age;
        let mut forgotten: Vec<String> =
            kept.iter().filter(|(_, kept)| is_old(kept)).map(|(id, _)| id.clone()).collect();
        kept.retain(|_, kept| !is_old(kept));
        let mut total: usize = kept.values().map(Kept::n_bytes).sum();
        while total > self.limits.max_bytes {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.since).map(|(id, _)| id.clone());
            let Some((id, gone)) = oldest.and_then(|id| kept.remove_entry(&id)) else { break };
            total -= gone.n_bytes();
            forgotten.push(id);
        }
        forgotten
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        // Nothing is half done under the lock that a panic could leave behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NoiseStore for NoiseMemory {
    fn find(&self, measurement_id: &str) -> Option<Arc<NoiseCovariance>> {
        self.find_at(measurement_id, SystemTime::now())
    }

    fn keep(
        &self,
        measurement_id: Option<&str>,
        noise: Arc<NoiseCovariance>,
    ) -> Result<(), KeepError> {
        self.keep_since(measurement_id.unwrap_or_default(), noise, SystemTime::now()).map(drop)
    }

    fn list(&self) -> Vec<(String, Duration)> {
        let now = SystemTime::now();
        let kept = self.lock();
        let ages = kept.iter().map(|(id, kept)| (id.clone(), kept.age(now)));
        ages.filter(|(_, age)| *age <= self.limits.max_age).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn noise(n_channels: usize) -> Arc<NoiseCovariance> {
        Arc::new(NoiseCovariance {
            covariance: Array2::zeros((n_channels, n_channels)),
            labels: Vec::new(),
            n_samples: 1,
            sample_time_us: 5.0,
            bandwidth_ratio: 1.0,
        })
    }

    #[test]
    fn what_is_kept_is_found_replaced_and_listed() {
        let store = NoiseMemory::default();
        assert_eq!(store.find("a"), None);
        store.keep(Some("a"), noise(1)).expect("there is room");
        store.keep(Some("a"), noise(2)).expect("there is room");
        store.keep(Some("b"), noise(3)).expect("there is room");
        assert_eq!(store.find("a").map(|noise| noise.n_channels()), Some(2));
        let ids: Vec<_> = store.list().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let store = NoiseMemory::default();
        store.keep(Some("a"), noise(1)).expect("there is room");
        let later = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600);
        assert!(store.find_at("a", later(47)).is_some());
        assert!(store.find_at("a", later(49)).is_none());
        let long_ago = SystemTime::now() - Duration::from_secs(50 * 3600);
        assert_eq!(store.keep_since("b", noise(1), long_ago), Ok(vec!["b".to_owned()]));
        assert_eq!(store.list().len(), 1);
    }

    #[test]
    fn the_oldest_makes_room() {
        let limits = NoiseLimits { max_bytes: 2 * n_bytes(&noise(8)), ..NoiseLimits::default() };
        let store = NoiseMemory::new(limits);
        let now = SystemTime::now();
        for (n, id) in ["c", "a", "b"].into_iter().enumerate() {
            let since = now + Duration::from_secs(n as u64);
            let forgotten = store.keep_since(id, noise(8), since).expect("there is room");
            assert_eq!(forgotten, if id == "b" { vec!["c"] } else { vec![] });
        }
        assert_eq!(store.keep(Some("d"), noise(100)), Err(KeepError::TooLarge { n_channels: 100 }));
    }

    #[test]
    fn an_id_is_needed_and_must_not_be_endless() {
        let store = NoiseMemory::default();
        assert_eq!(store.keep(None, noise(1)), Err(KeepError::NoMeasurementId));
        assert_eq!(store.keep(Some(""), noise(1)), Err(KeepError::NoMeasurementId));
        let id = "x".repeat(257);
        assert_eq!(store.keep(Some(&id), noise(1)), Err(KeepError::LongMeasurementId(257)));
    }
}
