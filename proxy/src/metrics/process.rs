//! What the operating system says of this process, under the names that
//! Prometheus client libraries agreed on. Read from Linux's `/proc`; a value
//! that cannot be had is left out.

use std::fs;

use super::text::Text;

pub(super) fn render(text: &mut Text) {
    if let Some(bytes) = status_kib("VmRSS:").map(|kib| kib * 1024) {
        text.gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
            .sample(&[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory being read is itself open.
        text.gauge("process_open_fds", "Number of open file descriptors.")
            .sample(&[], open.count().saturating_sub(1));
    }
    if let Some(seconds) = cpu_seconds() {
        text.counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )
        .sample(&[], seconds);
    }
}

fn status_kib(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// User and system time from `/proc/self/schedstat`'s coarser sibling, `stat`:
/// fields 14 and 15, in ticks of 1/100 s on every Linux architecture.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold blanks.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_time() {
        let mut text = Text::default();
        render(&mut text);
        let text = text.finish();
        for name in
            ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"]
        {
            assert!(text.contains(&format!("\n{name} ")), "{name} is missing in:\n{text}");
        }
    }
}
