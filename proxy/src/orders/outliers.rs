//! Endpoints that failed too often in a row and are left out for a while (Envoy's
//! outlier detection, as far as Istio sets it).
//!
//! Each worker judges by the calls that it made. An endpoint is left out at once, and
//! for the base time multiplied by how often it was lately: that number shrinks by one
//! with each interval in which it was not.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use governance::EndpointId;
use governance::directives::OutlierDetection;

use super::Ending;
use crate::health::Health;

/// No endpoint is left out for longer, unless the base time is
/// (`outlier_detection.max_ejection_time`).
const LONGEST: Duration = Duration::from_secs(300);

/// What is known of a destination's endpoints.
#[derive(Debug, Default)]
pub(super) struct Outliers {
    endpoints: HashMap<EndpointId, Failures, FixedState>,
}

/// Failures in a row of one endpoint.
#[derive(Debug, Default)]
struct Failures {
    server: u32,
    gateway: u32,
    local: u32,
    /// How often it was left out lately.
    ejections: u32,
    /// Until when it is left out, or was the last time.
    until: Option<Instant>,
}

impl Failures {
    /// Whether it failed too often, now that an attempt ended.
    fn count(&mut self, detection: &OutlierDetection, ending: Ending) -> bool {
        match ending {
            Ending::NotSent => return false,
            Ending::Answered { http, .. } => {
                self.server = if http >= 500 { self.server + 1 } else { 0 };
                self.gateway = if (502..=504).contains(&http) { self.gateway + 1 } else { 0 };
                self.local = 0;
            }
            _ if detection.split_local_origin => self.local += 1,
            _ => {
                self.server += 1;
                self.gateway += 1;
            }
        }
        let is_over = |count: u32, limit: u32| limit > 0 && count >= limit;
        is_over(self.server, detection.consecutive_5xx)
            || is_over(self.gateway, detection.consecutive_gateway_errors)
            || (detection.split_local_origin
                && is_over(self.local, detection.consecutive_local_origin_failures))
    }

    fn is_out(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }
}

impl Outliers {
    /// An attempt at one of `hosts` endpoints ended; says whether that one is left out
    /// from now on.
    pub(super) fn ended(
        &mut self,
        detection: &OutlierDetection,
        endpoint: EndpointId,
        ending: Ending,
        hosts: usize,
        health: &Health,
        now: Instant,
    ) -> bool {
        let failures = self.endpoints.entry(endpoint).or_default();
        if !failures.count(detection, ending) || failures.is_out(now) {
            return false;
        }
        let out = self.endpoints.values().filter(|one| one.is_out(now)).count();
        let hosts = hosts.max(1);
        // One more, as long as fewer than the share are out: of few endpoints, one.
        if out * 100 >= hosts * detection.max_ejection_percent as usize {
            return false;
        }
        let left = hosts.saturating_sub(out + 1);
        if left * 100 < hosts * detection.min_health_percent as usize {
            // Too few are well: all are called again.
            for (id, one) in &mut self.endpoints {
                if one.until.take_if(|until| *until > now).is_some() {
                    health.readmitted(*id);
                }
            }
            return false;
        }
        let Some(failures) = self.endpoints.get_mut(&endpoint) else { return false };
        if let Some(until) = failures.until {
            let well = now.saturating_duration_since(until).as_nanos();
            let intervals = well / detection.interval.as_nanos().max(1);
            let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
            failures.ejections = failures.ejections.saturating_sub(intervals);
        }
        let ejections = failures.ejections.saturating_add(1);
        let base = detection.base_ejection_time;
        let until = now + base.saturating_mul(ejections).min(LONGEST.max(base));
        *failures = Failures { ejections, until: Some(until), ..Failures::default() };
        health.ejected(endpoint, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use governance::Loads as _;

    use super::*;

    const DETECTION: OutlierDetection = OutlierDetection {
        consecutive_5xx: 3,
        consecutive_gateway_errors: 0,
        consecutive_local_origin_failures: 0,
        split_local_origin: false,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_percent: 50,
        min_health_percent: 0,
    };
    const REFUSED: Ending = Ending::Answered { http: 500, grpc: 13 };
    const FINE: Ending = Ending::Answered { http: 200, grpc: 0 };

    struct Stage {
        health: Health,
        outliers: Outliers,
        detection: OutlierDetection,
    }

    impl Stage {
        fn new(detection: OutlierDetection) -> Stage {
            Stage { health: Health::default(), outliers: Outliers::default(), detection }
        }

        /// How many of these endings it takes until one of four endpoints is left out.
        fn ended(&mut self, id: u32, endings: &[Ending], now: Instant) -> Option<usize> {
            let mut ends = endings.iter();
            let Stage { health, outliers, detection } = self;
            let is_out =
                |one: &Ending| outliers.ended(detection, EndpointId(id), *one, 4, health, now);
            ends.position(is_out).map(|at| at + 1)
        }

        fn is_available(&self, id: u32, now: Instant) -> bool {
            self.health.at(now).is_available(EndpointId(id))
        }
    }

    #[test]
    fn failures_in_a_row_leave_an_endpoint_out_longer_each_time() {
        let (mut stage, now) = (Stage::new(DETECTION), Instant::now());
        let mixed = [REFUSED, REFUSED, FINE, REFUSED, Ending::Reset, Ending::NotSent, REFUSED];
        assert_eq!(stage.ended(1, &mixed, now), Some(7));
        let base = Duration::from_secs(30);
        assert!(!stage.is_available(1, now + base - Duration::from_millis(1)));
        assert!(stage.is_available(1, now + base));
        let again = now + base;
        assert_eq!(stage.ended(1, &[REFUSED; 3], again), Some(3));
        assert!(!stage.is_available(1, again + base) && stage.is_available(1, again + base * 2));
        // Well for as many intervals as it was left out.
        let later = again + base * 2 + Duration::from_secs(20);
        assert_eq!(stage.ended(1, &[REFUSED; 3], later), Some(3));
        assert!(stage.is_available(1, later + base));
    }

    #[test]
    fn no_more_than_a_share_is_left_out() {
        let (mut stage, now) = (Stage::new(DETECTION), Instant::now());
        assert_eq!(stage.ended(1, &[REFUSED; 9], now), Some(3));
        assert_eq!(stage.ended(2, &[REFUSED; 9], now), Some(3));
        assert_eq!(stage.ended(3, &[REFUSED; 9], now), None);
        let mut none = Stage::new(OutlierDetection { max_ejection_percent: 0, ..DETECTION });
        assert_eq!(none.ended(1, &[REFUSED; 9], now), None);
    }

    #[test]
    fn where_too_few_are_well_all_are_called() {
        let detection =
            OutlierDetection { max_ejection_percent: 100, min_health_percent: 60, ..DETECTION };
        let (mut stage, now) = (Stage::new(detection), Instant::now());
        assert_eq!(stage.ended(1, &[REFUSED; 3], now), Some(3));
        assert!(!stage.is_available(1, now));
        assert_eq!(stage.ended(2, &[REFUSED; 3], now), None);
        assert!(stage.is_available(1, now) && stage.is_available(2, now));
    }

    #[test]
    fn connections_that_fail_can_be_counted_apart() {
        let detection = OutlierDetection {
            split_local_origin: true,
            consecutive_local_origin_failures: 2,
            ..DETECTION
        };
        let (mut stage, now) = (Stage::new(detection), Instant::now());
        let endings = [REFUSED, Ending::NotConnected, REFUSED, Ending::TimedOut, Ending::Reset];
        assert_eq!(stage.ended(1, &endings, now), Some(5));
        let gateways =
            OutlierDetection { consecutive_5xx: 0, consecutive_gateway_errors: 2, ..DETECTION };
        let mut stage = Stage::new(gateways);
        assert_eq!(stage.ended(1, &[REFUSED, REFUSED, REFUSED], now), None);
        assert_eq!(stage.ended(1, &[Ending::Reset, Ending::NotConnected], now), Some(2));
    }
}
