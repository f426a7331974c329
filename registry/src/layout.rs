//! Where Dubbo and Spanwire keep things in the store.

use crate::settings::Settings;
use crate::store::range::Range;

/// What a mirrored range holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Provider URLs of an interface, encoded in the keys.
    Providers,
    /// The applications that offer an interface.
    Mapping,
    /// The instances of an application.
    Instances,
    /// What the revisions of an application offer.
    Metadata,
    /// Rule documents at Dubbo's place.
    DubboRules,
    /// Rule documents at Spanwire's place.
    OwnRules,
}

/// Where the records of changed rules are, outside of what proxies watch.
const HISTORY: &str = "/spanwire/history/";

/// The places, as settings say.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: String,
    rule_prefix: String,
}

impl Layout {
    pub(crate) fn new(settings: &Settings) -> Layout {
        Layout { root: settings.root.clone(), rule_prefix: settings.rule_prefix.clone() }
    }

    /// `/$namespace/config/$group/` (`EtcdDynamicConfiguration`; the group of
    /// rules is always `dubbo`).
    pub(crate) fn dubbo_rules(&self) -> Range {
        Range::prefix(format!("{}/config/dubbo/", self.root))
    }

    pub(crate) fn own_rules(&self) -> Range {
        Range::prefix(self.rule_prefix.clone())
    }

    /// The records of what became of a rule.
    pub(crate) fn history(rule: &str) -> Range {
        Range::prefix(format!("{HISTORY}{}/", crate::key::encode(rule)))
    }

    pub(crate) fn providers(&self, interface: &str) -> Range {
        Range::prefix(format!("{}/{}/providers/", self.root, crate::key::encode(interface)))
    }

    pub(crate) fn mapping(&self, interface: &str) -> Range {
        Range::key(format!("{}/mapping/{interface}", self.root))
    }

    /// All that Dubbo keeps.
    pub(crate) fn all(&self) -> Range {
        Range::prefix(format!("{}/", self.root))
    }

    /// The interface that a key is about, where it is one of a provider or a
    /// mapping.
    pub(crate) fn interface(&self, key: &str) -> Option<String> {
        let mut parts = key.strip_prefix(&self.root)?.strip_prefix('/')?.split('/');
        match (parts.next()?, parts.next()?, parts.next()) {
            ("mapping", interface, None) => Some(interface.to_owned()),
            (interface, "providers", Some(_)) => crate::key::decode(interface).ok(),
            _ => None,
        }
    }

    /// Its place does not follow the root: `EtcdServiceDiscovery.root`.
    pub(crate) fn instances(app: &str) -> Range {
        Range::prefix(format!("/services/{app}/"))
    }

    /// Java's place, then dubbo-go's.
    pub(crate) fn metadata(&self, app: &str) -> [Range; 2] {
        [
            Range::prefix(format!("{}/metadata/{app}/", self.root)),
            Range::prefix(format!("{}/{app}/", self.root)),
        ]
    }
}
