//! The newest images, within a limit of memory.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ismrmrd::Image;

use crate::live::values;
use crate::proto;

/// An image as the scanner got it, and what is said of it.
#[derive(Debug)]
pub(crate) struct StoredImage {
    pub facts: proto::Image,
    pub image: Image,
    values: OnceLock<proto::Pixels>,
    /// Memory that it takes, its values counted.
    n_bytes: usize,
}

impl StoredImage {
    pub fn new(facts: proto::Image, image: Image) -> Self {
        let stored = image.pixels.shape().into_iter().product::<usize>()
            * image.pixels.data_type().size_bytes();
        // A thousand for headers and attributes.
        let n_bytes = stored + values::n_bytes(&image.pixels) + 1000;
        Self { facts, image, values: OnceLock::new(), n_bytes }
    }

    /// The true values, made when somebody asks first. A clone shares the bytes.
    pub fn values(&self) -> proto::Pixels {
        self.values.get_or_init(|| values::of(&self.image)).clone()
    }
}

/// Images by number.
#[derive(Debug)]
pub(crate) struct ImageStore {
    images: BTreeMap<u64, Arc<StoredImage>>,
    n_bytes: usize,
    limits: StoreLimits,
    last_id: u64,
}

/// How many images are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Memory, pixels and values.
    pub max_bytes: usize,
    /// Number of images.
    pub max_images: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { max_bytes: 512 << 20, max_images: 4096 }
    }
}

impl ImageStore {
    pub fn new(limits: StoreLimits) -> Self {
        Self { images: BTreeMap::new(), n_bytes: 0, limits, last_id: 0 }
    }

    /// A number for a new image.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Keeps an image under the number that its facts have; gives the numbers of those that made
    /// room for it. One that is larger than everything together is not kept, and is among them.
    pub fn keep(&mut self, image: Arc<StoredImage>) -> Vec<u64> {
        let id = image.facts.id;
        self.last_id = self.last_id.max(id);
        self.n_bytes += image.n_bytes;
        self.images.insert(id, image);
        let mut removed = Vec::new();
        while self.n_bytes > self.limits.max_bytes || self.images.len() > self.limits.max_images {
            let Some((id, image)) = self.images.pop_first() else { break };
            self.n_bytes -= image.n_bytes;
            removed.push(id);
        }
        removed
    }

    pub fn get(&self, id: u64) -> Option<&Arc<StoredImage>> {
        self.images.get(&id)
    }

    /// The oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<StoredImage>> {
        self.images.values()
    }

    pub fn len(&self) -> usize {
        self.images.len()
    }

    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub fn limits(&self) -> StoreLimits {
        self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;

    fn image(id: u64, n: usize) -> Arc<StoredImage> {
        let pixels = Array4::<f32>::zeros((1, 1, 1, n));
        let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
        Arc::new(StoredImage::new(proto::Image { id, ..proto::Image::default() }, image))
    }

    #[test]
    fn the_oldest_make_room_by_number_and_by_memory() {
        // 1000 floats take 4000 bytes, once as stored and once as values, and 1000 beside them.
        let mut store = ImageStore::new(StoreLimits { max_bytes: 27_000, max_images: 10 });
        for expected in 1..=3 {
            let id = store.next_id();
            assert_eq!(id, expected);
            assert!(store.keep(image(id, 1000)).is_empty());
        }
        assert_eq!(store.n_bytes(), 27_000);
        assert_eq!(store.keep(image(4, 1000)), [1]);
        assert_eq!(store.keep(image(5, 100_000)), [2, 3, 4, 5]);
        assert_eq!((store.len(), store.n_bytes(), store.next_id()), (0, 0, 6));
        let mut store = ImageStore::new(StoreLimits { max_bytes: 1 << 30, max_images: 2 });
        let removed: Vec<_> = (1..=4).flat_map(|id| store.keep(image(id, 1))).collect();
        assert_eq!(removed, [1, 2]);
    }
}
