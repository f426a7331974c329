//! Endpoints: who can answer calls for a service.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::parameters::Parameters;
use crate::url::{Url, UrlError};

/// Dubbo's weight where a provider names none (`Constants.DEFAULT_WEIGHT`).
pub const DEFAULT_WEIGHT: u32 = 100;
/// Dubbo's warm-up time where a provider names none, in milliseconds
/// (`Constants.DEFAULT_WARMUP`).
pub const DEFAULT_WARMUP_MS: u64 = 600_000;

/// The process-wide number of an address. It stays the same when a service's
/// endpoints are compiled again, so that load and health can be kept by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// Gives every address (`host:port`) its number, from 0 upwards.
///
/// Numbers are never given twice: a mesh in which a million addresses come and
/// go spends some 100 MiB on them.
#[derive(Debug, Default)]
pub struct EndpointIds {
    ids: HashMap<Box<str>, EndpointId, FixedState>,
}

impl EndpointIds {
    /// With no address yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of an address, a new one where it has none.
    pub fn intern(&mut self, address: &str) -> EndpointId {
        if let Some(&id) = self.ids.get(address) {
            return id;
        }
        let id = EndpointId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.ids.insert(address.into(), id);
        id
    }

    /// How many numbers were given; all are below this.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no address was seen yet.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Somebody who provides a service at an address.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The number of its address.
    pub id: EndpointId,
    /// What it speaks: `dubbo`, `tri`, `bolt`…
    pub protocol: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `host:port`.
    pub address: String,
    /// The service it provides.
    pub service: String,
    /// The URL's path, where it is not the service.
    pub path: Option<Box<str>>,
    /// Service group; empty for none.
    pub group: String,
    /// Service version; empty for none (Dubbo's `0.0.0` is none).
    pub version: String,
    /// Relative weight once it is warm; 0 takes no calls.
    pub weight: u32,
    /// When it started, in milliseconds since 1970; `None` where it does not say
    /// (it then counts as warm).
    pub started_ms: Option<u64>,
    /// How long its weight grows after its start, in milliseconds.
    pub warmup_ms: u64,
    /// It is registered, but shall take no calls.
    pub disabled: bool,
    /// All of its parameters, as a Dubbo provider URL carries them.
    pub parameters: Parameters,
}

impl Endpoint {
    /// Reads a Dubbo provider URL, as written or percent-encoded as a whole.
    ///
    /// The service is the `interface` parameter, or the path without it. A
    /// parameter that should be a number and is none counts as absent, as in
    /// Dubbo.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn from_url(url: &str, ids: &mut EndpointIds) -> Result<Endpoint, UrlError> {
        let parsed = Url::parse(url)?;
        if parsed.host.is_empty() {
            return Err(UrlError::NoHost { url: url.to_owned() });
        }
        let parameter = |key: &str| parsed.parameters.get(key).filter(|value| !value.is_empty());
        let service = parameter("interface").unwrap_or(&parsed.path).to_owned();
        let path = (parsed.path != service).then(|| parsed.path.as_str().into());
        Ok(Endpoint {
            id: ids.intern(&parsed.address()),
            address: parsed.address(),
            path,
            service,
            group: parameter("group").unwrap_or_default().to_owned(),
            version: none_if_zero(parameter("version").unwrap_or_default()).to_owned(),
            weight: parameter("weight").and_then(parse_weight).unwrap_or(DEFAULT_WEIGHT),
            started_ms: parameter("timestamp")
                .and_then(|text| text.parse().ok())
                .filter(|&started| started > 0),
            warmup_ms: parameter("warmup")
                .and_then(|text| text.parse().ok())
                .unwrap_or(DEFAULT_WARMUP_MS),
            disabled: is_true(parameter("disabled")) || is_false(parameter("enabled")),
            protocol: parsed.protocol,
            host: parsed.host,
            port: parsed.port,
            parameters: parsed.parameters,
        })
    }

    /// An endpoint that stands in a configuration. What the parameters say of
    /// group, version, weight and the rest counts, as in a provider URL.
    ///
    /// # Errors
    /// When `address` is not `host:port`.
    pub fn from_parts(
        protocol: &str,
        service: &str,
        address: &str,
        parameters: impl IntoIterator<Item = (String, String)>,
        ids: &mut EndpointIds,
    ) -> Result<Endpoint, UrlError> {
        let mut endpoint = Self::from_url(&format!("{protocol}://{address}/{service}"), ids)?;
        let parameters: Parameters = parameters.into_iter().collect();
        let parameter = |key: &str| parameters.get(key).filter(|value| !value.is_empty());
        endpoint.group = parameter("group").unwrap_or_default().to_owned();
        endpoint.version = none_if_zero(parameter("version").unwrap_or_default()).to_owned();
        endpoint.weight = parameter("weight").and_then(parse_weight).unwrap_or(DEFAULT_WEIGHT);
        endpoint.started_ms = parameter("timestamp")
            .and_then(|text| text.parse().ok())
            .filter(|&started| started > 0);
        if let Some(warmup) = parameter("warmup").and_then(|text| text.parse().ok()) {
            endpoint.warmup_ms = warmup;
        }
        endpoint.disabled = is_true(parameter("disabled")) || is_false(parameter("enabled"));
        endpoint.parameters = parameters;
        Ok(endpoint)
    }

    /// The application that provides it, where it says so.
    pub fn application(&self) -> Option<&str> {
        self.parameters.get("application").filter(|name| !name.is_empty())
    }

    /// The path of its URL, mostly the service.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.service)
    }
}

/// Dubbo treats version `0.0.0` as no version (`ServiceKey`, `Version`).
pub fn none_if_zero(version: &str) -> &str {
    if version == "0.0.0" { "" } else { version }
}

/// A negative weight is 0 in Dubbo.
fn parse_weight(text: &str) -> Option<u32> {
    text.parse::<i64>().ok().map(|weight| u32::try_from(weight.max(0)).unwrap_or(u32::MAX))
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn is_false(value: Option<&str>) -> bool {
    value.is_some_and(|value| !value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_provider_url_becomes_an_endpoint() {
        let mut ids = EndpointIds::new();
        let url = "dubbo://10.0.0.1:20880/any?interface=lab.Echo&group=g&version=0.0.0&weight=-5\
                   &disabled=true&timestamp=1000&application=shop";
        let endpoint = Endpoint::from_url(url, &mut ids).unwrap();
        assert_eq!(endpoint.service, "lab.Echo");
        assert_eq!((endpoint.group.as_str(), endpoint.version.as_str()), ("g", ""));
        assert_eq!((endpoint.weight, endpoint.disabled), (0, true));
        assert_eq!(endpoint.started_ms, Some(1000));
        assert_eq!(endpoint.application(), Some("shop"));
    }

    #[test]
    fn an_address_keeps_its_number() {
        let mut ids = EndpointIds::new();
        let first = ids.intern("10.0.0.1:1");
        assert_ne!(ids.intern("10.0.0.2:1"), first);
        assert_eq!(ids.intern("10.0.0.1:1"), first);
        assert_eq!(ids.len(), 2);
    }
}
