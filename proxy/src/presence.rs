//! Announces the applications behind inbound listeners under the listeners' own
//! addresses, while they answer.
//!
//! Not here: probing and leases, which are [`registry::presence`].

use std::sync::Arc;
use std::time::Duration;

use registry::Registry;
use registry::key::with_address;
use registry::presence::{self, Presence, PresenceHandle};
use tokio::sync::Notify;

use crate::config::{Direction, Listener, Registration};
use crate::error::RunError;

/// How often an application is asked for a sign of life.
const PROBE: Duration = Duration::from_secs(1);
/// How long the store may take to forget them before a drain goes on.
const FORGET: Duration = Duration::from_secs(2);

/// Starts to announce what the listeners' configuration says. `app_stops`, one for
/// each listener, are notified when the application behind it says that it stops.
pub(crate) fn announce(
    listeners: &[Listener],
    app_stops: &[Arc<Notify>],
    registry: &Registry,
) -> Result<Vec<PresenceHandle>, RunError> {
    let mut handles = Vec::new();
    for (listener, stops) in listeners.iter().zip(app_stops) {
        let Direction::Inbound { app, register: Some(Registration { advertise, urls }) } =
            &listener.direction
        else {
            continue;
        };
        let handle = urls
            .iter()
            .map(|url| with_address(url, advertise))
            .collect::<Result<_, _>>()
            .and_then(|urls| {
                let (app, stops) = (app.clone(), stops.clone());
                let presence = Presence { app, urls, interval: PROBE, stops };
                presence::start(registry, presence)
            })
            .map_err(|source| RunError::Register { name: listener.name.clone(), source })?;
        handles.push(handle);
    }
    Ok(handles)
}

/// Takes the announcements back, so that consumers look elsewhere before the
/// listeners close.
pub(crate) async fn withdraw(handles: Vec<PresenceHandle>) {
    let all = async {
        for handle in handles {
            handle.end().await;
        }
    };
    if tokio::time::timeout(FORGET, all).await.is_err() {
        tracing::warn!("the store did not take the registrations back; their leases will end them");
    }
}
