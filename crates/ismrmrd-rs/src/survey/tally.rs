//! Ranges, and values by key of which there may be only so many.

use std::collections::HashMap;
use std::hash::Hash;

/// Smallest and largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range<T>(Option<(T, T)>);

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy + PartialOrd> Range<T> {
    /// A number that cannot be compared is left out.
    pub fn add(&mut self, value: T) {
        match &mut self.0 {
            Some((smallest, largest)) => {
                if value < *smallest {
                    *smallest = value;
                } else if value > *largest {
                    *largest = value;
                }
            }
            None if value.partial_cmp(&value).is_some() => self.0 = Some((value, value)),
            None => {}
        }
    }

    /// Smallest and largest, [`None`] where there was no number.
    pub fn get(&self) -> Option<(T, T)> {
        self.0
    }

    /// Whether there were two different numbers.
    pub fn varies(&self) -> bool {
        self.0.is_some_and(|(smallest, largest)| smallest < largest)
    }
}

impl<T: Copy + PartialOrd + Default> Range<T> {
    pub fn largest(&self) -> T {
        self.0.map_or_else(T::default, |(_, largest)| largest)
    }
}

/// Keys that are kept apart; counters from outside could name four billion slices.
const MAX_KEYS: usize = 4096;

/// Values by key in the order in which the keys came. The last key is found at once, because
/// readouts of an image mostly come one after the other.
#[derive(Clone, Debug)]
pub(super) struct Tally<K, V> {
    values: Vec<(K, V)>,
    places: HashMap<K, usize>,
    last: usize,
    is_full: bool,
}

impl<K, V> Default for Tally<K, V> {
    fn default() -> Self {
        Self { values: Vec::new(), places: HashMap::new(), last: 0, is_full: false }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Tally<K, V> {
    /// The value of `key`, a fresh one at first, [`None`] where there are too many keys.
    pub fn get(&mut self, key: K) -> Option<&mut V> {
        if self.values.get(self.last).is_none_or(|(last, _)| *last != key) {
            self.last = match self.places.get(&key) {
                Some(place) => *place,
                None if self.values.len() == MAX_KEYS => {
                    self.is_full = true;
                    return None;
                }
                None => {
                    self.places.insert(key, self.values.len());
                    self.values.push((key, V::default()));
                    self.values.len() - 1
                }
            };
        }
        self.values.get_mut(self.last).map(|(_, value)| value)
    }

    /// Whether there were too many keys.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Keys and values in the order in which the keys came.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.values.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_extremes() {
        let mut range = Range::default();
        assert_eq!(range.get(), None);
        range.add(f32::NAN);
        for value in [3.0, f32::NAN, 1.0, 2.0] {
            range.add(value);
        }
        assert_eq!(range.get(), Some((1.0, 3.0)));
        assert!(range.varies());
    }

    #[test]
    fn a_tally_is_bounded() {
        let mut tally: Tally<u32, u32> = Tally::default();
        for key in 0..MAX_KEYS as u32 + 10 {
            if let Some(count) = tally.get(key) {
                *count += 1;
            }
        }
        *tally.get(3).unwrap() += 1;
        assert!(tally.is_full() && tally.iter().count() == MAX_KEYS);
        assert_eq!(*tally.get(3).unwrap(), 2);
    }
}
