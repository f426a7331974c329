//! How many retries there may be beside other calls.

use std::time::{Duration, Instant};

use governance::directives::RetryBudget;

/// Envoy's `retry_budget.min_retry_concurrency`, where nobody says.
const MIN_CONCURRENCY: u32 = 3;

/// Calls lately, for budgets that look back, and retries for those that count them over a
/// time (Linkerd's).
#[derive(Debug)]
pub(super) struct Window {
    since: Instant,
    /// Of the time that passes now, and of the one before.
    calls: [u32; 2],
    retries: [u32; 2],
}

impl Window {
    pub(super) fn new(now: Instant) -> Window {
        Window { since: now, calls: [0; 2], retries: [0; 2] }
    }

    /// Forgets what is older than one interval, in halves of it.
    fn turn(&mut self, interval: Duration, now: Instant) {
        let half = interval / 2;
        let age = now.saturating_duration_since(self.since);
        if age < half {
            return;
        }
        let is_next = age < interval;
        for counts in [&mut self.calls, &mut self.retries] {
            *counts = [0, if is_next { counts[0] } else { 0 }];
        }
        self.since = now;
    }

    /// A call went out that is no retry.
    pub(super) fn called(&mut self, budget: &RetryBudget, now: Instant) {
        if let Some(interval) = budget.interval {
            self.turn(interval, now);
            self.calls[0] = self.calls[0].saturating_add(1);
        }
    }

    /// Whether one more retry is within the budget; it then counts. `in_flight` calls
    /// and `retrying` of them are going on.
    pub(super) fn allows(
        &mut self,
        budget: &RetryBudget,
        in_flight: u32,
        retrying: u32,
        now: Instant,
    ) -> bool {
        let share = |count: u32| f64::from(count) * budget.percent / 100.0;
        if let Some(interval) = budget.interval {
            self.turn(interval, now);
        }
        let lately = |counts: [u32; 2]| counts[0].saturating_add(counts[1]);
        let (Some(interval), Some(per_second)) = (budget.interval, budget.min_per_second) else {
            // Those that last longer than the interval count as well.
            let calls = in_flight.max(lately(self.calls));
            let always = budget.min_concurrency.unwrap_or(MIN_CONCURRENCY);
            // Whole retries only, as in Envoy.
            return f64::from(retrying) < share(calls).floor().max(f64::from(always));
        };
        let always = f64::from(per_second) * interval.as_secs_f64();
        let is_within = f64::from(lately(self.retries)) + 1.0 <= share(lately(self.calls)) + always;
        if is_within {
            self.retries[0] = self.retries[0].saturating_add(1);
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn budget(percent: f64) -> RetryBudget {
        RetryBudget { percent, min_concurrency: None, min_per_second: None, interval: None }
    }

    #[test]
    fn a_share_of_what_is_in_flight_may_be_retries_and_a_few_always() {
        let now = Instant::now();
        let mut window = Window::new(now);
        let mut allows =
            |in_flight, retrying| window.allows(&budget(20.0), in_flight, retrying, now);
        assert!(allows(0, 0) && allows(0, 2) && !allows(0, 3));
        assert!(allows(100, 19) && !allows(100, 20));
        let few = RetryBudget { min_concurrency: Some(0), ..budget(0.0) };
        assert!(!window.allows(&few, 100, 0, now));
        let some = RetryBudget { min_concurrency: Some(0), ..budget(10.0) };
        assert!(!window.allows(&some, 9, 0, now) && window.allows(&some, 10, 0, now));
    }

    #[test]
    fn a_share_of_the_calls_lately_may_be_retries_at_once() {
        let now = Instant::now();
        let interval = Some(Duration::from_secs(10));
        let budget = RetryBudget { interval, min_concurrency: Some(2), ..budget(20.0) };
        let mut window = Window::new(now);
        assert!(window.allows(&budget, 0, 1, now) && !window.allows(&budget, 0, 2, now));
        for _ in 0..20 {
            window.called(&budget, now);
        }
        assert!(window.allows(&budget, 1, 3, now) && !window.allows(&budget, 1, 4, now));
        assert!(window.allows(&budget, 30, 5, now), "calls in flight count, however old");
        let later = now + Duration::from_secs(20);
        assert!(!window.allows(&budget, 1, 2, later), "they are forgotten");
    }

    #[test]
    fn a_share_of_the_calls_lately_may_be_repeated() {
        let now = Instant::now();
        let interval = Duration::from_secs(10);
        let budget =
            RetryBudget { min_per_second: Some(1), interval: Some(interval), ..budget(20.0) };
        let mut window = Window::new(now);
        for _ in 0..50 {
            window.called(&budget, now);
        }
        let allowed = |window: &mut Window, now| {
            (0..100).filter(|_| window.allows(&budget, 0, 0, now)).count()
        };
        assert_eq!(allowed(&mut window, now), 20, "10 for the calls, 10 always");
        assert_eq!(allowed(&mut window, now + interval / 4), 0);
        assert_eq!(allowed(&mut window, now + interval * 3 / 4), 0, "they still count");
        assert_eq!(allowed(&mut window, now + interval * 2), 10);
    }
}
