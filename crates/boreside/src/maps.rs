//! Maps of earlier series of a patient, for chains that run in this process.

use std::path::Path;
use std::sync::Arc;

use pipeline::map_store::{MapLimits, MapMemory, MapService, MapStore};
use server::MapArchive;

/// Name of the archive in the data folder.
const ARCHIVE: &str = "maps.redb";

/// The archive of the data folder, where there is one that can be opened, or a store that lasts as
/// long as the program.
pub fn service(data: Option<&Path>) -> Arc<MapService> {
    let limits = MapLimits::default();
    let store: Arc<dyn MapStore> = match data {
        Some(folder) => match MapArchive::open(&folder.join(ARCHIVE), limits) {
            Ok(archive) => Arc::new(archive),
            Err(error) => {
                tracing::warn!("maps are kept as long as this program runs: {error}");
                Arc::new(MapMemory::new(limits))
            }
        },
        None => Arc::new(MapMemory::new(limits)),
    };
    Arc::new(MapService(store))
}
