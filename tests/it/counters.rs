//! A proxy's counters, read as a scrape shows them.

use std::time::{Duration, Instant};

use proxy::server::Proxy;

use crate::wire::SOON;

pub const IN_FLIGHT: &str = "spanwire_calls_in_flight";
pub const LATE_ANSWERS: &str = "spanwire_late_answers_total";
pub const RETRIES: &str = "spanwire_retries_total";
pub const CONNECT_FAILURES: &str = "spanwire_connect_failures_total";
pub const CALLERS: &str = r#"spanwire_connections{side="downstream"}"#;
pub const UPSTREAMS: &str = r#"spanwire_connections{side="upstream"}"#;

/// The series of the bytes taken from one side's peers.
pub fn received(side: &str) -> String {
    format!(r#"spanwire_received_bytes_total{{side="{side}"}}"#)
}

/// The series of the bytes given to one side's peers.
pub fn sent(side: &str) -> String {
    format!(r#"spanwire_sent_bytes_total{{side="{side}"}}"#)
}

/// The series of one reason's faults.
pub fn faults(reason: &str) -> String {
    format!(r#"spanwire_faults_total{{reason="{reason}"}}"#)
}

/// The series of one reason for which scripts failed.
pub fn script_failures(reason: &str) -> String {
    format!(r#"spanwire_script_failures_total{{reason="{reason}"}}"#)
}

/// The number of one series, which must exist.
#[track_caller]
pub fn value(proxy: &Proxy, series: &str) -> i64 {
    let text = proxy.metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no series {series} in\n{text}")).parse().expect("an integer")
}

/// Waits until a series has a value.
#[track_caller]
pub fn wait_for(proxy: &Proxy, series: &str, wanted: i64) {
    wait_until(&format!("{series} to be {wanted}"), || {
        let found = value(proxy, series);
        if found == wanted { Ok(()) } else { Err(format!("it is {found}")) }
    });
}

/// Waits until `look` finds what it looks for; it says what it found instead.
#[track_caller]
pub fn wait_until(what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + SOON;
    while let Err(found) = look() {
        assert!(Instant::now() < deadline, "waited in vain for {what}: {found}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
