//! What rules want for a call beyond one attempt, decided without a protocol: which
//! attempts have failed, whether another one follows and when, and what the caller gets
//! where none does.
//!
//! A route's retries count before those of a configurator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::{Outcome, Substitute};
use governance::directives::{Directives, RetryPolicy};
use governance::settings::Cluster;
use governance::{ClusterPolicy, Dice as _};

use crate::orders::{Ending, Orders, Repeat, backoff, is_repeated};
use crate::worker::Worker;

/// What rules want for one call.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What a configurator says; `None` where it says nothing.
    policy: Option<Arc<ClusterPolicy>>,
    /// What the call's first route orders: retries, and within which limits.
    pub(crate) orders: Orders,
}

/// One more attempt that may be.
pub(crate) struct Resend {
    pub(crate) wait: Duration,
    /// Its place among the retries that a destination rule allows.
    pub(crate) repeat: Option<Repeat>,
}

impl Wanted {
    pub(crate) fn new(policy: Option<Arc<ClusterPolicy>>, orders: Orders) -> Self {
        Wanted { policy, orders }
    }

    /// What becomes of the call where it fails.
    pub(crate) fn cluster(&self) -> Cluster {
        self.policy.as_ref().map_or_else(Cluster::default, |policy| policy.cluster)
    }

    /// How often a configurator has it sent again.
    pub(crate) fn resends(&self) -> u32 {
        self.policy.as_ref().map_or(0, |policy| policy.resends)
    }

    /// Whether so many endpoints are as many as are asked at once.
    pub(crate) fn has_forks(&self, count: usize) -> bool {
        let forks = self.policy.as_ref().map_or(1, |policy| policy.forks as usize);
        forks > 0 && count >= forks
    }

    /// Whether so many failures of so many attempts end a broadcast.
    pub(crate) fn gives_up(&self, failed: usize, total: usize) -> bool {
        let percent = self.policy.as_ref().map_or(100, |policy| policy.fail_percent as usize);
        failed * 100 >= total * percent
    }

    /// Whether the request has to be kept, because it may be sent more than once.
    pub(crate) fn keeps_request(&self) -> bool {
        let is_sent_to_many = matches!(self.cluster(), Cluster::Broadcast | Cluster::Forking);
        is_sent_to_many || self.resends() > 0 || self.orders.want_attempts()
    }

    /// What the caller gets in place of a failure.
    pub(crate) fn instead(&self) -> Option<&Substitute> {
        const EMPTY: &Substitute = &Substitute::EMPTY;
        match self.cluster() {
            Cluster::Failsafe | Cluster::Failback => Some(EMPTY),
            _ => Some(&self.policy.as_ref()?.mock.as_ref()?.answer),
        }
    }

    fn retry(&self) -> Option<(&Directives, &RetryPolicy)> {
        let directives = self.orders.directives.as_deref()?;
        Some((directives, directives.retry.as_ref()?))
    }

    /// Until when an attempt of a call with this deadline may take that begins now.
    pub(crate) fn attempt_deadline(
        &self,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Option<Instant> {
        let own = self.retry().and_then(|(_, retry)| retry.per_try_timeout).map(|own| now + own);
        match (deadline, own) {
            (Some(deadline), Some(own)) => Some(deadline.min(own)),
            (deadline, own) => deadline.or(own),
        }
    }

    /// Whether an answer is a failure: the provider's RPC layer says so, or a route wants
    /// such answers repeated. An exception of its code is an answer, but not to a broadcast.
    pub(crate) fn is_failure(&self, outcome: Outcome, ending: Ending) -> bool {
        match outcome {
            Outcome::ProviderError => true,
            Outcome::BusinessException if self.cluster() == Cluster::Broadcast => true,
            _ => self
                .retry()
                .is_some_and(|(directives, retry)| is_repeated(directives, retry, ending)),
        }
    }

    /// Whether another attempt may follow one that failed so, after so many others: never
    /// after the call's deadline.
    pub(crate) fn may_resend(
        &self,
        worker: &Worker,
        ending: Ending,
        resent: u32,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Option<Resend> {
        let is_late = |wait| deadline.is_some_and(|deadline| now + wait >= deadline);
        if self.cluster() != Cluster::Failover || is_late(Duration::ZERO) {
            return None;
        }
        let Some((directives, retry)) = self.retry() else {
            let resend = Resend { wait: Duration::ZERO, repeat: None };
            return (resent < self.resends()).then_some(resend);
        };
        if resent >= retry.attempts || !is_repeated(directives, retry, ending) {
            return None;
        }
        let wait = backoff(retry, resent, worker.dice.borrow_mut().roll());
        if is_late(wait) {
            return None;
        }
        let repeat = match &self.orders.policy {
            Some(policy) => Some(worker.destination(policy, now).may_repeat(policy, now)?),
            None => None,
        };
        Some(Resend { wait, repeat })
    }
}

#[cfg(test)]
mod tests {
    use governance::directives::RetryCondition;

    use super::*;

    const FAILED: Ending = Ending::Answered { http: 500, grpc: 13 };

    fn of(policy: ClusterPolicy) -> Wanted {
        Wanted::new(Some(Arc::new(policy)), Orders::default())
    }

    #[test]
    fn without_a_rule_a_call_is_sent_once_and_gets_what_comes() {
        let wanted = Wanted::new(None, Orders::default());
        assert!(!wanted.keeps_request() && wanted.instead().is_none());
        assert!(wanted.is_failure(Outcome::ProviderError, FAILED));
        assert!(!wanted.is_failure(Outcome::BusinessException, FAILED));
    }

    #[test]
    fn an_exception_ends_a_broadcast_and_nothing_else() {
        for cluster in [Cluster::Failover, Cluster::Broadcast, Cluster::Forking] {
            let wanted = of(ClusterPolicy { cluster, ..ClusterPolicy::default() });
            let ending = Ending::of(Outcome::BusinessException);
            let is_failure = wanted.is_failure(Outcome::BusinessException, ending);
            assert_eq!(is_failure, cluster == Cluster::Broadcast);
            assert_eq!(wanted.keeps_request(), cluster != Cluster::Failover);
        }
    }

    #[test]
    fn a_share_of_failures_ends_a_broadcast() {
        let wanted = of(ClusterPolicy { fail_percent: 50, ..ClusterPolicy::default() });
        assert!(!wanted.gives_up(1, 3) && wanted.gives_up(2, 3));
        assert!(of(ClusterPolicy::default()).gives_up(3, 3));
    }

    #[test]
    fn what_a_route_repeats_has_failed() {
        let directives = Directives {
            rule: "VirtualService/shop".into(),
            line: 1,
            timeout: None,
            retry: Some(RetryPolicy {
                attempts: 1,
                per_try_timeout: None,
                on: [RetryCondition::Retriable4xx].into(),
                avoid_tried: true,
                backoff: Duration::ZERO,
            }),
            request_headers: Box::default(),
            response_headers: Box::default(),
            rewrite: None,
            cors: None,
            response_classes: Box::default(),
        };
        let orders = Orders { directives: Some(Arc::new(directives)), ..Orders::default() };
        let wanted = Wanted::new(None, orders);
        let conflict = Ending::Answered { http: 409, grpc: 0 };
        assert!(wanted.is_failure(Outcome::BusinessException, conflict));
        assert!(!wanted.is_failure(Outcome::Success, Ending::of(Outcome::Success)));
    }
}
