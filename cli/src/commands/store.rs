//! Which store a command talks to, and how.

use std::time::Duration;

use registry::{Settings, StoreError};
use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// Endpoints as a person writes them: comma separated.
pub(crate) fn endpoints(urls: &str) -> Vec<String> {
    urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// A command's patience with the store.
pub(crate) fn settings(endpoints: &[String]) -> Settings {
    let request_timeout = Duration::from_secs(5);
    Settings { store: endpoints.to_vec(), request_timeout, ..Settings::default() }
}

/// No answer, for people.
pub(crate) fn unanswered(error: StoreError) -> Failure {
    let hint = match error {
        StoreError::Store { .. } => "check the address, and that the store is up",
        StoreError::Settings(_) | StoreError::NoStore => "",
    };
    Failure::new(error.to_string(), hint)
}

/// A runtime for one question and its answer.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no runtime: {error}"), ""))
}
