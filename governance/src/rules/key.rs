//! The keys of rules, Dubbo's data ids.

use super::Affected;

/// The kinds of rules, as their keys' suffixes tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Condition routes.
    Condition,
    /// Tag routes, of the application that provides.
    Tag,
    /// Changed parameters of endpoints, for callers of a service or for an
    /// application's calls.
    Configurators,
    /// Dubbo's own VirtualServices and DestinationRules, of the application that
    /// provides.
    Mesh,
    /// Preference for endpoints that have something in common with the caller.
    Affinity,
    /// JavaScript that chooses, of the application that provides.
    Script,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] =
        [Kind::Condition, Kind::Tag, Kind::Configurators, Kind::Mesh, Kind::Affinity, Kind::Script];

    /// What a key of this kind ends in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Kind::Condition => ".condition-router",
            Kind::Tag => ".tag-router",
            Kind::Configurators => ".configurators",
            Kind::Mesh => ".MESHAPPRULE",
            Kind::Affinity => ".affinity-router",
            Kind::Script => ".script-router",
        }
    }
}

/// Whether a rule is about a service or an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One service, in one version and group.
    Service,
    /// What an application provides, and what it calls.
    Application,
}

/// A rule's key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleKey {
    /// The kind of rule.
    pub kind: Kind,
    /// `<interface>:<version>:<group>` or `<application>`.
    pub about: String,
}

impl RuleKey {
    /// Takes a key apart; `None` when it is none.
    pub fn parse(key: &str) -> Option<RuleKey> {
        Kind::ALL.into_iter().find_map(|kind| {
            let about = key.strip_suffix(kind.suffix()).filter(|about| !about.is_empty())?;
            Some(RuleKey { kind, about: about.to_owned() })
        })
    }

    /// Whether it is about a service or an application: a service's key has
    /// colons (`URL.getColonSeparatedKey`).
    pub fn scope(&self) -> Scope {
        if self.about.contains(':') { Scope::Service } else { Scope::Application }
    }

    /// Which services a change of this rule touches.
    pub fn affected(&self) -> Affected {
        match self.about.split_once(':') {
            Some((service, _)) => Affected::Services(vec![service.to_owned()]),
            None => Affected::Application(self.about.clone()),
        }
    }
}
