//! What one worker knows of each endpoint: is it worth trying, how fast does it
//! answer. Apart from the routing tables, so that a change of rules or
//! addresses does not forget it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use governance::EndpointId;

/// How fast an old latency loses its weight (peak EWMA, as in Finagle).
const DECAY: Duration = Duration::from_secs(10);
/// The first wait after a failed connection.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Endpoint states by id.
#[derive(Debug, Default)]
pub(crate) struct Health {
    endpoints: RefCell<Vec<EndpointHealth>>,
}

#[derive(Debug, Clone)]
struct EndpointHealth {
    in_flight: u32,
    /// Microseconds.
    latency: f64,
    observed: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
    /// A rule leaves it out until then, since it failed too often.
    ejected_until: Option<Instant>,
    going_away: bool,
}

impl EndpointHealth {
    const UNKNOWN: Self = EndpointHealth {
        in_flight: 0,
        latency: 0.0,
        observed: None,
        failures: 0,
        not_before: None,
        ejected_until: None,
        going_away: false,
    };
}

impl Health {
    fn with<R>(&self, id: EndpointId, change: impl FnOnce(&mut EndpointHealth) -> R) -> R {
        let mut endpoints = self.endpoints.borrow_mut();
        let index = id.0 as usize;
        if index >= endpoints.len() {
            endpoints.resize(index + 1, EndpointHealth::UNKNOWN);
        }
        change(&mut endpoints[index])
    }

    /// A call was sent.
    pub(crate) fn sent(&self, id: EndpointId) {
        self.with(id, |health| health.in_flight += 1);
    }

    /// A call ended; `latency` where the endpoint answered.
    pub(crate) fn ended(&self, id: EndpointId, latency: Option<Duration>, now: Instant) {
        self.with(id, |health| {
            health.in_flight = health.in_flight.saturating_sub(1);
            let Some(latency) = latency else { return };
            let latency = latency.as_secs_f64() * 1e6;
            health.latency = match health.observed {
                Some(before) if latency < health.latency => {
                    let age = now.saturating_duration_since(before).as_secs_f64();
                    let keep = (-age / DECAY.as_secs_f64()).exp();
                    health.latency * keep + latency * (1.0 - keep)
                }
                _ => latency,
            };
            health.observed = Some(now);
        });
    }

    /// A connection was made.
    pub(crate) fn connected(&self, id: EndpointId) {
        self.with(id, |health| {
            health.failures = 0;
            health.not_before = None;
            health.going_away = false;
        });
    }

    /// Whether the last attempt to connect failed.
    pub(crate) fn is_failing(&self, id: EndpointId) -> bool {
        self.with(id, |health| health.failures > 0)
    }

    /// A connection could not be made, or broke. Returns how long the endpoint
    /// is left alone: twice as long each time, half of it at random, so that
    /// proxies do not come back all at once.
    pub(crate) fn failed(&self, id: EndpointId, now: Instant) -> Duration {
        self.with(id, |health| {
            let longest = BACKOFF_MIN.saturating_mul(1 << health.failures.min(16)).min(BACKOFF_MAX);
            let wait = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
            health.failures = health.failures.saturating_add(1);
            health.not_before = Some(now + wait);
            health.going_away = false;
            wait
        })
    }

    /// The endpoint asked for no more calls.
    pub(crate) fn going_away(&self, id: EndpointId) {
        self.with(id, |health| health.going_away = true);
    }

    /// A rule leaves the endpoint out for a while.
    pub(crate) fn ejected(&self, id: EndpointId, until: Instant) {
        self.with(id, |health| health.ejected_until = Some(until));
    }

    /// And no longer does.
    pub(crate) fn readmitted(&self, id: EndpointId) {
        self.with(id, |health| health.ejected_until = None);
    }

    /// The health as [`governance::decide()`] asks for it, at one moment.
    pub(crate) fn at(&self, now: Instant) -> Loads<'_> {
        Loads { health: self, now }
    }
}

/// [`Health`] at one moment.
#[derive(Debug)]
pub(crate) struct Loads<'a> {
    health: &'a Health,
    now: Instant,
}

impl governance::Loads for Loads<'_> {
    fn is_available(&self, id: EndpointId) -> bool {
        self.health.endpoints.borrow().get(id.0 as usize).is_none_or(|health| {
            let is_over = |until: Option<Instant>| until.is_none_or(|time| time <= self.now);
            !health.going_away && is_over(health.not_before) && is_over(health.ejected_until)
        })
    }

    fn cost(&self, id: EndpointId) -> f64 {
        self.health
            .endpoints
            .borrow()
            .get(id.0 as usize)
            .map_or(0.0, |health| health.latency * f64::from(health.in_flight + 1))
    }

    fn active(&self, id: EndpointId) -> u32 {
        let endpoints = self.health.endpoints.borrow();
        endpoints.get(id.0 as usize).map_or(0, |health| health.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use governance::Loads as _;

    use super::*;

    const ONE: EndpointId = EndpointId(3);

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn an_endpoint_nobody_has_heard_of_is_available_and_costs_nothing() {
        let (health, now) = (Health::default(), Instant::now());
        assert!(health.at(now).is_available(ONE));
        assert_eq!(health.at(now).cost(ONE), 0.0);
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_bound() {
        let (health, now) = (Health::default(), Instant::now());
        let mut longest = BACKOFF_MIN;
        for failure in 0..40 {
            let wait = health.failed(ONE, now);
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?} after {failure} failures");
            assert!(!health.at(now + wait - millis(1)).is_available(ONE));
            assert!(health.at(now + wait).is_available(ONE));
            longest = (longest * 2).min(BACKOFF_MAX);
        }
        health.connected(ONE);
        assert!(health.at(now).is_available(ONE));
        assert!(health.failed(ONE, now) <= BACKOFF_MIN, "it starts afresh");
    }

    #[test]
    fn one_that_asked_for_no_more_calls_gets_none_until_it_is_back() {
        let (health, now) = (Health::default(), Instant::now());
        for comes_back in
            [(|health, _| health.connected(ONE)) as fn(&Health, Instant), |health, now| {
                let _ = health.failed(ONE, now);
            }]
        {
            health.going_away(ONE);
            assert!(!health.at(now + millis(60_000)).is_available(ONE));
            comes_back(&health, now);
            assert!(health.at(now + millis(60_000)).is_available(ONE));
        }
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let (health, now) = (Health::default(), Instant::now());
        let answered = |latency, after| {
            health.sent(ONE);
            health.ended(ONE, Some(millis(latency)), now + millis(after));
            health.at(now).cost(ONE) / 1000.0
        };
        assert_eq!(answered(10, 0), 10.0);
        assert_eq!(answered(500, 1), 500.0);
        let soon = answered(10, 101);
        assert!((490.0..500.0).contains(&soon), "{soon}");
        let later = answered(10, 60_000);
        assert!((10.0..15.0).contains(&later), "{later}");
    }

    #[test]
    fn calls_in_flight_make_the_next_one_dearer() {
        let (health, now) = (Health::default(), Instant::now());
        health.sent(ONE);
        health.ended(ONE, Some(millis(2)), now);
        let idle = health.at(now).cost(ONE);
        health.sent(ONE);
        health.sent(ONE);
        assert_eq!(health.at(now).cost(ONE), idle * 3.0);
        // Given up without an answer: no latency to learn from.
        health.ended(ONE, None, now);
        health.ended(ONE, None, now);
        assert_eq!(health.at(now).cost(ONE), idle);
    }
}
