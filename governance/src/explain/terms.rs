//! What configurators say beyond what every endpoint has.

use std::fmt;

use serde::Serialize;

use crate::cluster::ClusterPolicy;
use crate::settings::{Balance, Cluster, MethodSettings};

/// Terms that are seldom set; absent where they are not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MoreTerms {
    /// Points of each endpoint on the ring, for `consistenthash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_nodes: Option<u32>,
    /// The arguments that are hashed, for `consistenthash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_arguments: Option<String>,
    /// Whether calls stay with an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    /// Calls in flight at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actives: Option<u32>,
    /// Endpoints asked at once, for `forking`; 0 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forks: Option<u32>,
    /// The share of failures that ends a `broadcast`, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_percent: Option<u32>,
    /// What answers in a provider's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mock: Option<String>,
}

impl MoreTerms {
    pub(super) fn of(settings: &MethodSettings, policy: Option<&ClusterPolicy>) -> MoreTerms {
        let hashes = settings.balance == Some(Balance::ConsistentHash);
        let in_mode = |mode: Cluster| policy.filter(|policy| policy.cluster == mode);
        MoreTerms {
            hash_nodes: settings.hash_nodes.filter(|_| hashes),
            hash_arguments: settings.hash_arguments.filter(|_| hashes).map(|list| list.to_string()),
            sticky: settings.sticky,
            actives: settings.actives,
            forks: in_mode(Cluster::Forking).map(|policy| policy.forks),
            fail_percent: in_mode(Cluster::Broadcast).map(|policy| policy.fail_percent),
            mock: policy.and_then(|policy| Some(policy.mock.as_ref()?.text.to_string())),
        }
    }
}

/// For people: each with a comma before it.
impl fmt::Display for MoreTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(nodes) = self.hash_nodes {
            write!(f, ", {nodes} hash nodes")?;
        }
        if let Some(arguments) = &self.hash_arguments {
            write!(f, ", hashes arguments {arguments}")?;
        }
        if self.sticky == Some(true) {
            write!(f, ", sticky")?;
        }
        if let Some(limit) = self.actives {
            write!(f, ", {limit} actives")?;
        }
        if let Some(forks) = self.forks {
            write!(f, ", {forks} forks")?;
        }
        if let Some(percent) = self.fail_percent {
            write!(f, ", given up at {percent} % failures")?;
        }
        if let Some(mock) = &self.mock {
            write!(f, ", mock {mock}")?;
        }
        Ok(())
    }
}
