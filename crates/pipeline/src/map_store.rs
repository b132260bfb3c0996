//! Maps of earlier series of a patient, kept for those that follow: a map before contrast agent for
//! the one after it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ismrmrd::ImageHeader;
use ndarray::Array3;

/// Where a map lies in the patient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MapPlace {
    /// Centre, LPS, mm.
    pub position_mm: [f32; 3],
    /// Directions of rows, columns and slices, unit vectors.
    pub directions: [[f32; 3]; 3],
    /// Extent \[x, y, z\], mm.
    pub field_of_view_mm: [f32; 3],
}

impl From<&ImageHeader> for MapPlace {
    fn from(header: &ImageHeader) -> Self {
        Self {
            position_mm: header.position,
            directions: [header.read_dir, header.phase_dir, header.slice_dir],
            field_of_view_mm: header.field_of_view,
        }
    }
}

impl MapPlace {
    /// Whether both show the same slice: centres within 3 mm, directions within 2 degrees, extents
    /// within a hundredth.
    pub fn is_same_slice(&self, other: &Self) -> bool {
        let is_near =
            self.position_mm.iter().zip(&other.position_mm).all(|(a, b)| (a - b).abs() <= 3.0);
        let is_parallel = self.directions.iter().zip(&other.directions).all(|(a, b)| {
            let squares: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            squares <= 0.035 * 0.035
        });
        let has_extent = self
            .field_of_view_mm
            .iter()
            .zip(&other.field_of_view_mm)
            .all(|(a, b)| (a - b).abs() <= 0.01 * a.abs().max(b.abs()));
        is_near && is_parallel && has_extent
    }
}

/// A T1 map that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptMap {
    /// Whether it was taken after contrast agent.
    pub is_after_contrast: bool,
    /// When it was made.
    pub since: SystemTime,
    /// Where it lies.
    pub place: MapPlace,
    /// Values in ms, `[z, y, x]`, 0 is invalid.
    pub values: Array3<f32>,
    /// Their standard deviations, of the same shape; all 0 where they are not known.
    pub sd: Array3<f32>,
    /// Why the map has to be looked at first, where its verdict says so.
    pub check: Option<String>,
}

/// Where maps are kept. Several scans share one store; it answers at once.
pub trait MapStore: fmt::Debug + Send + Sync {
    /// Maps under this key that are not too old.
    fn find(&self, key: &str) -> Vec<Arc<KeptMap>>;

    /// Keeps a map under a key, instead of one of the same slice and contrast.
    fn keep(&self, key: &str, map: KeptMap);
}

/// The store as a service of the program ([`crate::Services`]).
#[derive(Clone, Debug)]
pub struct MapService(pub Arc<dyn MapStore>);

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLimits {
    /// Older maps are forgotten.
    pub max_age: Duration,
    /// The oldest maps are forgotten so that all of them stay below this.
    pub max_bytes: usize,
}

impl Default for MapLimits {
    /// 24 h and 256 MiB, which is room for a thousand maps.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(24 * 3600), max_bytes: 256 << 20 }
    }
}

/// Maps in memory.
#[derive(Debug, Default)]
pub struct MapMemory {
    limits: MapLimits,
    kept: Mutex<BTreeMap<String, Arc<KeptMap>>>,
}

impl MapMemory {
    /// Nothing yet.
    pub fn new(limits: MapLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// The name of a map in the store: the key, the contrast, the place to a millimetre.
    pub fn name(key: &str, map: &KeptMap) -> String {
        let [x, y, z] = map.place.position_mm.map(|mm| mm.round() as i64);
        let contrast = if map.is_after_contrast { "post" } else { "native" };
        format!("{key}/{contrast}/{x},{y},{z}")
    }

    /// Keeps a map by its name, instead of older ones of the same slice and contrast, also where
    /// these have other names. Returns the names of those that were forgotten for it; its own
    /// where there is a newer one.
    pub fn keep_named(&self, name: String, map: Arc<KeptMap>) -> Vec<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let series = |name: &str| name.rsplit_once('/').map(|(series, _)| series.to_owned());
        let series_of_map = series(&name);
        let is_same = |other: &str, of: &KeptMap| {
            series(other) == series_of_map && of.place.is_same_slice(&map.place)
        };
        if kept.iter().any(|(other, of)| is_same(other, of) && of.since > map.since) {
            // One that bears the same name stays.
            return if kept.contains_key(&name) { Vec::new() } else { vec![name] };
        }
        let mut forgotten: Vec<String> = kept
            .iter()
            .filter(|(other, of)| **other != name && is_same(other, of))
            .map(|(other, _)| other.clone())
            .collect();
        for other in &forgotten {
            kept.remove(other);
        }
        kept.insert(name, map);
        forgotten.extend(self.forget_old(&mut kept));
        let mut total: usize = kept.values().map(|map| map.n_bytes()).sum();
        while total > self.limits.max_bytes {
            let oldest = kept.iter().min_by_key(|(_, map)| map.since).map(|(name, _)| name.clone());
            let Some((name, gone)) = oldest.and_then(|name| kept.remove_entry(&name)) else {
                break;
            };
            total -= gone.n_bytes();
            forgotten.push(name);
        }
        forgotten
    }
}

impl MapMemory {
    /// Forgets what is too old. Returns the names.
    pub fn purge(&self) -> Vec<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_old(&mut kept)
    }

    fn forget_old(&self, kept: &mut BTreeMap<String, Arc<KeptMap>>) -> Vec<String> {
        let now = SystemTime::now();
        let mut forgotten = Vec::new();
        kept.retain(|name, map| {
            let age = now.duration_since(map.since).unwrap_or_default();
            let is_old = age > self.limits.max_age;
            if is_old {
                forgotten.push(name.clone());
            }
            !is_old
        });
        forgotten
    }
}

impl MapStore for MapMemory {
    fn find(&self, key: &str) -> Vec<Arc<KeptMap>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let prefix = format!("{key}/");
        kept.range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter(|(_, map)| {
                now.duration_since(map.since).unwrap_or_default() <= self.limits.max_age
            })
            .map(|(_, map)| Arc::clone(map))
            .collect()
    }

    fn keep(&self, key: &str, map: KeptMap) {
        self.keep_named(Self::name(key, &map), Arc::new(map));
    }
}

const MAGIC: &[u8; 4] = b"BMP2";
/// Magic, contrast, age, three sizes, fifteen numbers of the place. Values, standard deviations and
/// the reason to look at them follow.
const HEAD_BYTES: usize = 4 + 1 + 8 + 12 + 60;

/// Bytes that are no kept map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kept map is damaged")]
pub struct KeptMapError;

impl KeptMap {
    fn n_bytes(&self) -> usize {
        let check = self.check.as_ref().map_or(0, String::len);
        HEAD_BYTES + 4 * (self.values.len() + self.sd.len()) + check
    }

    /// As bytes for a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.n_bytes());
        bytes.extend(MAGIC);
        bytes.push(self.is_after_contrast.into());
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        bytes.extend(u64::try_from(since.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
        let (z, y, x) = self.values.dim();
        for size in [z, y, x] {
            bytes.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        }
        let [rows, columns, slices] = self.place.directions;
        let place = [self.place.position_mm, rows, columns, slices, self.place.field_of_view_mm];
        let numbers = place.iter().flatten().chain(&self.values).chain(&self.sd);
        numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(self.check.as_deref().unwrap_or_default().as_bytes());
        bytes
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// [`KeptMapError`]: cut off, or something else.
    pub fn read(bytes: &[u8]) -> Result<Self, KeptMapError> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(KeptMapError)?;
        if &head[..4] != MAGIC {
            return Err(KeptMapError);
        }
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let since_ms = u64::from(number(5)) | u64::from(number(9)) << 32;
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(since_ms)).ok_or(KeptMapError)?;
        let [z, y, x] = [13, 17, 21].map(|at| number(at) as usize);
        let n = z.checked_mul(y).and_then(|n| n.checked_mul(x)).ok_or(KeptMapError)?;
        let n_bytes = n.checked_mul(8).ok_or(KeptMapError)?;
        let (rest, check) = rest.split_at_checked(n_bytes).ok_or(KeptMapError)?;
        let check = std::str::from_utf8(check).map_err(|_| KeptMapError)?;
        let place: [[f32; 3]; 5] = std::array::from_fn(|vector| {
            std::array::from_fn(|axis| f32::from_bits(number(25 + 4 * (3 * vector + axis))))
        });
        let [position_mm, rows, columns, slices, field_of_view_mm] = place;
        let array = |bytes: &[u8]| {
            let values = bytes.chunks_exact(4);
            let values =
                values.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            Array3::from_shape_vec((z, y, x), values.collect()).map_err(|_| KeptMapError)
        };
        Ok(Self {
            is_after_contrast: head[4] != 0,
            since,
            place: MapPlace { position_mm, directions: [rows, columns, slices], field_of_view_mm },
            values: array(&rest[..4 * n])?,
            sd: array(&rest[4 * n..])?,
            check: (!check.is_empty()).then(|| check.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(z_mm: f32, is_after_contrast: bool, age: Duration) -> KeptMap {
        KeptMap {
            is_after_contrast,
            since: SystemTime::now() - age,
            place: MapPlace {
                position_mm: [1.0, 2.0, z_mm],
                directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                field_of_view_mm: [360.0, 270.0, 8.0],
            },
            values: Array3::from_elem((1, 2, 3), 1000.0 + z_mm),
            sd: Array3::from_elem((1, 2, 3), 20.0),
            check: Some("image 3 of 8".to_owned()),
        }
    }

    #[test]
    fn a_map_is_found_by_its_key_until_it_is_too_old_or_replaced() {
        let store = MapMemory::default();
        store.keep("a", map(0.0, false, Duration::ZERO));
        store.keep("a", map(0.2, false, Duration::ZERO));
        store.keep("a", map(10.0, false, Duration::ZERO));
        store.keep("a", map(0.0, true, Duration::ZERO));
        store.keep("ab", map(0.0, false, Duration::ZERO));
        store.keep("a", map(20.0, false, Duration::from_secs(25 * 3600)));
        let mut places: Vec<_> = store
            .find("a")
            .iter()
            .map(|map| (map.is_after_contrast, map.place.position_mm[2]))
            .collect();
        places.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        assert_eq!(places, [(false, 0.2), (false, 10.0), (true, 0.0)]);
        assert!(store.find("b").is_empty());
    }

    #[test]
    fn a_newer_map_of_a_slice_replaces_the_older_wherever_its_middle_is_rounded_to() {
        let store = MapMemory::default();
        let minutes = |n: u64| Duration::from_secs(60 * n);
        store.keep("a", map(0.4, false, minutes(5)));
        store.keep("a", map(0.6, false, minutes(1)));
        store.keep("a", map(2.4, false, minutes(3)));
        let places: Vec<_> = store.find("a").iter().map(|map| map.place.position_mm[2]).collect();
        assert_eq!(places, [0.6]);
    }

    #[test]
    fn what_is_too_old_is_forgotten_without_a_new_map() {
        let limits = MapLimits { max_age: Duration::ZERO, ..MapLimits::default() };
        let store = MapMemory::new(limits);
        let made = map(0.0, false, Duration::ZERO);
        let name = MapMemory::name("a", &made);
        store.kept.lock().expect("nobody panicked").insert(name.clone(), Arc::new(made));
        // The clock has gone on since.
        while SystemTime::now() <= store.kept.lock().expect("nobody panicked")[&name].since {}
        assert_eq!(store.purge(), [name]);
        assert!(store.purge().is_empty());
    }

    #[test]
    fn the_oldest_makes_room() {
        let limits = MapLimits {
            max_bytes: 2 * map(0.0, false, Duration::ZERO).n_bytes(),
            ..MapLimits::default()
        };
        let store = MapMemory::new(limits);
        for (n, seconds) in [(0, 30), (1, 60), (2, 10)] {
            store.keep("a", map(10.0 * n as f32, false, Duration::from_secs(seconds)));
        }
        let places: Vec<_> = store.find("a").iter().map(|map| map.place.position_mm[2]).collect();
        assert_eq!(places, [0.0, 20.0]);
    }

    #[test]
    fn bytes_lead_back_to_the_map_and_damaged_ones_to_none() {
        let kept = map(7.5, true, Duration::ZERO);
        let bytes = kept.to_bytes();
        let read = KeptMap::read(&bytes).expect("whole");
        assert_eq!(
            (&read.values, read.place, read.is_after_contrast, &read.check),
            (&kept.values, kept.place, true, &kept.check)
        );
        for n in [0, 3, HEAD_BYTES, HEAD_BYTES + 47] {
            assert_eq!(KeptMap::read(&bytes[..n]), Err(KeptMapError));
        }
        let mut huge = bytes;
        huge[13..25].fill(0xff);
        assert_eq!(KeptMap::read(&huge), Err(KeptMapError));
    }

    #[test]
    fn a_slice_is_told_from_its_neighbour() {
        let here = map(0.0, false, Duration::ZERO).place;
        assert!(here.is_same_slice(&map(2.0, false, Duration::ZERO).place));
        assert!(!here.is_same_slice(&map(8.0, false, Duration::ZERO).place));
        let turned =
            MapPlace { directions: [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], ..here };
        assert!(!here.is_same_slice(&turned));
    }
}
