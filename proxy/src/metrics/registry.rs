//! What the registry knows and counts, as metric families.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use registry::{Registry, Service, ServiceState};

use super::Text;

/// Writes the registry's families; for [`super::Metrics::add_source`].
pub(crate) fn registry_source(registry: &Registry) -> impl Fn(&mut Text) + Send + Sync + 'static {
    let view = registry.view();
    let counters = registry.counters().clone();
    move |text| {
        let view = view.borrow().clone();
        let kept = |service: &&Arc<Service>| matches!(service.state, ServiceState::LastGood { .. });
        let gauges = [
            (
                "spanwire_store_connected",
                "Whether the store answers.",
                u64::from(view.store.connected),
            ),
            (
                "spanwire_store_revision",
                "The newest revision of the store that was seen.",
                u64::try_from(view.store.revision).unwrap_or_default(),
            ),
            (
                "spanwire_services_subscribed",
                "Services whose instances are watched.",
                view.services.len() as u64,
            ),
            (
                "spanwire_services_last_good",
                "Services whose last good instances are kept, because newer ones cannot be had.",
                view.services.values().filter(kept).count() as u64,
            ),
        ];
        for (name, help, value) in gauges {
            text.gauge(name, help).sample(&[], value);
        }
        let totals: [(_, _, &AtomicU64); 8] = [
            ("spanwire_store_events_total", "Events of the store applied.", &counters.events),
            (
                "spanwire_store_reconnects_total",
                "Times the watch of the store was opened again.",
                &counters.reconnects,
            ),
            (
                "spanwire_store_relists_total",
                "Prefixes listed anew because their history was gone.",
                &counters.relists,
            ),
            (
                "spanwire_store_unknown_events_total",
                "Events of a type that is not known; skipped.",
                &counters.unknown_events,
            ),
            (
                "spanwire_store_bad_keys_total",
                "Keys or values that could not be read; skipped.",
                &counters.bad_keys,
            ),
            (
                "spanwire_empty_pushes_total",
                "Services whose sudden emptiness was held back.",
                &counters.empty_pushes,
            ),
            (
                "spanwire_store_lease_losses_total",
                "Leases granted again after a loss.",
                &counters.lease_losses,
            ),
            (
                "spanwire_snapshot_errors_total",
                "Failed attempts to write the last good view to disk.",
                &counters.snapshot_errors,
            ),
        ];
        for (name, help, value) in totals {
            text.counter(name, help).sample(&[], value.load(Ordering::Relaxed));
        }
    }
}
