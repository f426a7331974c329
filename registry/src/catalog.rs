//! From what stands in the store to a [`View`]. Pure: no sockets, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::view::{Service, ServiceState, View};

/// Everything known, in the form the view is made of.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    services: BTreeMap<String, Arc<Service>>,
}

impl Catalog {
    /// Adds a service; false when it was there.
    pub(crate) fn subscribe(&mut self, name: &str) -> bool {
        if self.services.contains_key(name) {
            return false;
        }
        let service =
            Service { name: name.to_owned(), instances: Arc::new([]), state: ServiceState::Live };
        self.services.insert(name.to_owned(), Arc::new(service));
        true
    }

    /// The picture now.
    pub(crate) fn view(&self) -> View {
        View { services: self.services.clone(), ..View::default() }
    }
}
