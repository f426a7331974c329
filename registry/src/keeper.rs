//! The one task that owns the catalog: takes messages in, publishes views.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::catalog::Catalog;
use crate::settings::Settings;
use crate::view::View;

/// What the keeper is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Watch this interface.
    Subscribe(String),
}

/// Runs until no handle is left.
pub(crate) async fn run(
    _settings: Settings,
    mut inbox: mpsc::UnboundedReceiver<Message>,
    publish: watch::Sender<Arc<View>>,
) {
    let mut catalog = Catalog::default();
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Subscribe(name) => {
                if catalog.subscribe(&name) {
                    publish.send_replace(Arc::new(catalog.view()));
                }
            }
        }
    }
}
