//! Which overrides are for whom, and what comes of them
//! (`AbstractConfigurator.configure`).

use std::collections::BTreeMap;

use crate::decide::Caller;
use crate::endpoint::Endpoint;
use crate::rules::{Compat, address_is_meant};

use super::{AddressMatch, Matches, Override};

/// The parameters that overrides set, by name.
pub(crate) type Overrides = BTreeMap<String, String>;

/// Whose parameters may change: an endpoint's as a caller sees it, or the
/// caller's own.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Who calls.
    pub(crate) caller: Caller<'a>,
    /// The endpoint; `None` for the caller itself.
    pub(crate) endpoint: Option<&'a Endpoint>,
    pub(crate) service: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    /// In Java conditions see nothing of a provider's own parameters.
    pub(crate) compat: Compat,
}

impl Target<'_> {
    fn host(&self) -> &str {
        self.endpoint.map_or(self.caller.address, |endpoint| &endpoint.host)
    }

    fn port(&self) -> u16 {
        self.endpoint.map_or(0, |endpoint| endpoint.port)
    }

    fn address(&self) -> &str {
        self.endpoint.map_or(self.caller.address, |endpoint| &endpoint.address)
    }

    /// `group/interface:version` (`BaseServiceMetadata.buildServiceKey`).
    fn service_key(&self) -> String {
        service_key(self.group, self.service, self.version)
    }

    /// What conditions see: what was set before, who calls what, and the
    /// endpoint's own parameters. Java shows them none of those
    /// (`RegistryDirectory.overrideWithConfigurators`).
    fn parameter<'s>(&'s self, key: &str, set: &'s Overrides) -> Option<&'s str> {
        if let Some(value) = set.get(key) {
            return Some(value);
        }
        let of_caller = |key: &str| self.caller.labels.get(key).map(String::as_str);
        let found = match (key, self.endpoint) {
            ("application", _) => Some(self.caller.application),
            ("side", _) => Some("consumer"),
            ("group", _) => Some(self.group),
            ("version", _) => Some(self.version),
            (_, Some(_)) if self.compat == Compat::Java => None,
            ("interface", _) => Some(self.service),
            (_, Some(endpoint)) => endpoint.parameters.get(key),
            (_, None) => of_caller(key),
        };
        found.filter(|found| !found.is_empty())
    }
}

/// `group/interface:version`, without what is empty.
pub(crate) fn service_key(group: &str, service: &str, version: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!("{group}/") };
    let version = if version.is_empty() { String::new() } else { format!(":{version}") };
    format!("{group}{service}{version}")
}

/// Applies overrides in Dubbo's order: by host, so that `0.0.0.0` comes before
/// most, and by priority within one host.
pub(crate) fn apply_all<'o>(
    overrides: impl Iterator<Item = &'o Override>,
    target: Target<'_>,
    set: &mut Overrides,
) {
    let mut ordered: Vec<&Override> = overrides.collect();
    ordered.sort_by(|a, b| a.host.cmp(&b.host).then(a.priority.cmp(&b.priority)));
    for change in ordered {
        if change.is_for(target, set) {
            for (key, value) in &change.parameters {
                if !change.absent || !set.contains_key(&**key) {
                    set.insert(key.to_string(), value.to_string());
                }
            }
        }
    }
}

impl Override {
    fn is_for(&self, target: Target<'_>, set: &Overrides) -> bool {
        let is_host = if !self.is_old {
            self.for_consumers && self.is_host(target.caller.address)
        } else if self.port != 0 {
            self.port == target.port() && self.is_host(target.host())
        } else {
            self.is_host(target.caller.address)
        };
        is_host
            && self.is_provider(target)
            && self.application.as_deref().is_none_or(|application| {
                application == "*" || application == target.caller.application
            })
            && (*self.service == *"*" || *self.service == *target.service_key())
            && self
                .conditions
                .iter()
                .all(|(key, value)| **value == *"*" || target.parameter(key, set) == Some(value))
            && self.matches.as_ref().is_none_or(|matches| {
                let host = if self.is_old && self.port != 0 {
                    target.host()
                } else {
                    target.caller.address
                };
                matches.is_match(host, target, set)
            })
    }

    fn is_host(&self, host: &str) -> bool {
        *self.host == *"0.0.0.0" || *self.host == *host
    }

    fn is_provider(&self, target: Target<'_>) -> bool {
        self.providers.is_empty()
            || self.providers.iter().any(|address| {
                **address == *target.address()
                    || **address == *target.host()
                    || matches!(&**address, "0.0.0.0" | "0.0.0.0:*")
                    || address
                        .strip_prefix("0.0.0.0:")
                        .is_some_and(|port| port == target.port().to_string())
            })
    }
}

impl Matches {
    fn is_match(&self, host: &str, target: Target<'_>, set: &Overrides) -> bool {
        self.address.as_ref().is_none_or(|address| address.is_match(host))
            && self.provider_address.as_ref().is_none_or(|address| address.is_provider(target))
            && self.service.as_ref().is_none_or(|oneof| {
                let key = target.service_key();
                oneof.iter().any(|one| one.is_match(Some(&key)))
            })
            && self.app.as_ref().is_none_or(|oneof| {
                oneof.iter().any(|one| one.is_match(target.parameter("application", set)))
            })
            && self.parameters.iter().all(|(key, value)| {
                value.as_ref().is_some_and(|value| value.is_match(target.parameter(key, set)))
            })
    }
}

impl AddressMatch {
    /// Java compares a network, too, with the provider's address and port, and
    /// never finds it there.
    fn is_provider(&self, target: Target<'_>) -> bool {
        self.is_match(target.address())
            || target.compat == Compat::Documented
                && self.cidr.as_ref().is_some_and(|cidr| address_is_meant(cidr, target.host(), 0))
    }

    fn is_match(&self, input: &str) -> bool {
        if let Some(cidr) = &self.cidr
            && (**cidr == *input || address_is_meant(cidr, input, 0))
        {
            return true;
        }
        if let Some(wildcard) = &self.wildcard {
            return match &**wildcard {
                "0.0.0.0" | "*" => true,
                pattern => match pattern.rsplit_once('*') {
                    None => pattern == input,
                    Some((before, after)) => {
                        !input.is_empty() && input.starts_with(before) && input.ends_with(after)
                    }
                },
            };
        }
        self.exact.as_deref().is_some_and(|exact| exact == input)
    }
}
