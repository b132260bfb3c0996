//! What a program has for its gadgets beside the scan, by type.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Things that outlive a scan and that gadgets share, by type: e.g. the site's networks. The
/// program makes them; nothing is global.
#[derive(Clone, Default)]
pub struct Services(Vec<Arc<dyn Any + Send + Sync>>);

impl Services {
    /// With one more.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.0.push(service);
        self
    }

    /// The one of this type, [`None`] where the program has none.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.iter().find_map(|service| Arc::clone(service).downcast().ok())
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Services({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_type() {
        let services = Services::default().with(Arc::new(7_u32)).with(Arc::new("text"));
        assert_eq!(services.get::<u32>().as_deref(), Some(&7));
        assert_eq!(services.get::<&str>().as_deref(), Some(&"text"));
        assert!(services.get::<f64>().is_none());
    }
}
