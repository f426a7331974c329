//! What a DestinationRule says: subsets, and policies by subset and port.

use std::sync::Arc;

use crate::directives::{
    ConnectionPool, HashPolicy, OutlierDetection, RetryBudget, TrafficPolicy, Warmup,
};
use crate::settings::Balance;

/// A DestinationRule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DestinationRule {
    pub(crate) host: Box<str>,
    /// For calls to no subset.
    pub(crate) policies: Policies,
    pub(crate) subsets: Vec<Subset>,
}

/// Endpoints with these labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subset {
    pub(crate) name: Box<str>,
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
    pub(crate) policies: Policies,
}

/// Policies by port; the last one, without a port, is for all others.
pub(crate) type Policies = Vec<(Option<u16>, Arc<TrafficPolicy>)>;

/// A `trafficPolicy` as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct WrittenPolicy {
    pub(crate) general: Parts,
    pub(crate) ports: Vec<(u16, Parts)>,
}

/// What a policy, or one of its ports, says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Parts {
    pub(crate) balancer: Option<Balancer>,
    pub(crate) pool: Option<ConnectionPool>,
    pub(crate) outliers: Option<OutlierDetection>,
    pub(crate) budget: Option<RetryBudget>,
}

/// A `loadBalancer`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Balancer {
    pub(crate) balance: Option<Balance>,
    pub(crate) hash: Option<HashPolicy>,
    pub(crate) warmup: Option<Warmup>,
}

impl WrittenPolicy {
    /// What holds on a port: nothing of the general policy is inherited there
    /// but the retry budget, which ports cannot have.
    fn on(&self, port: Option<u16>) -> Parts {
        let own = port.and_then(|port| self.ports.iter().find(|(number, _)| *number == port));
        match own {
            Some((_, parts)) => Parts { budget: self.general.budget.clone(), ..parts.clone() },
            None => self.general.clone(),
        }
    }

    /// The policies under this one and what a subset says over it: part by part,
    /// the subset's counts.
    pub(crate) fn policies(&self, rule: &str, subset: Option<&WrittenPolicy>) -> Policies {
        let mut ports: Vec<u16> = self.ports.iter().map(|(port, _)| *port).collect();
        ports.extend(subset.iter().flat_map(|own| own.ports.iter().map(|(port, _)| *port)));
        ports.sort_unstable();
        ports.dedup();
        ports
            .into_iter()
            .map(Some)
            .chain([None])
            .map(|port| {
                let mut parts = self.on(port);
                if let Some(own) = subset {
                    parts = own.on(port).over(parts);
                }
                (port, Arc::new(parts.into_policy(rule)))
            })
            .collect()
    }
}

impl Parts {
    fn over(self, below: Parts) -> Parts {
        Parts {
            balancer: self.balancer.or(below.balancer),
            pool: self.pool.or(below.pool),
            outliers: self.outliers.or(below.outliers),
            budget: self.budget.or(below.budget),
        }
    }

    fn into_policy(self, rule: &str) -> TrafficPolicy {
        let Balancer { balance, hash, warmup } = self.balancer.unwrap_or_default();
        TrafficPolicy {
            rule: rule.into(),
            balance,
            hash,
            warmup,
            connection_pool: self.pool,
            outlier_detection: self.outliers,
            retry_budget: self.budget,
        }
    }
}
