//! The Prometheus text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Written out here, some fifty lines, because the counters live in per-worker
//! cells that are summed at the scrape, which client libraries' own registries
//! have no place for.

use std::fmt::{Display, Write};

/// The `Content-Type` of [`Text::finish`]'s result.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label's name and value.
pub type Label<'a> = (&'a str, &'a str);

/// Metric families being written out, one after the other.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
}

impl Text {
    /// Starts a counter; `name` ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Starts a gauge.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Starts a histogram.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        push(&mut self.out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { out: &mut self.out, name }
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.out
    }
}

/// One metric family: its samples must be written before the next one starts,
/// which the borrow sees to.
#[derive(Debug)]
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Writes a sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// Writes one histogram. `bounds` are in microseconds, `buckets` hold one
    /// count each and one more for what is over the last bound, and `micros` is
    /// the sum; all are shown in seconds.
    pub fn buckets(&mut self, labels: &[Label<'_>], bounds: &[u64], buckets: &[u64], micros: u64) {
        let mut count = 0;
        for (i, in_bucket) in buckets.iter().enumerate() {
            count += in_bucket;
            let bound = bounds.get(i).map_or_else(|| "+Inf".to_owned(), |micros| seconds(*micros));
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_sum", labels, None, seconds(micros));
        self.line("_count", labels, None, count);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        bound: Option<&str>,
        value: impl Display,
    ) {
        push(self.out, format_args!("{}{suffix}", self.name));
        let mut opening = '{';
        for (name, text) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            push(self.out, format_args!("{opening}{name}=\"{}\"", escape(text)));
            opening = ',';
        }
        let closing = if opening == ',' { "}" } else { "" };
        push(self.out, format_args!("{closing} {value}\n"));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

/// A label value as the format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as a decimal number of seconds, exactly.
fn seconds(micros: u64) -> String {
    let whole = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    whole.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (micros, text) in [
            (0, "0"),
            (50, "0.00005"),
            (2_500, "0.0025"),
            (1_000_000, "1"),
            (30_000_001, "30.000001"),
        ] {
            assert_eq!(seconds(micros), text);
        }
    }

    #[test]
    fn samples_and_escapes_are_written_as_the_format_says() {
        let mut text = Text::default();
        text.counter("a_total", "counts \\ a\nthing")
            .sample(&[], 1)
            .sample(&[("x", "say \"hi\"\n\\")], 2);
        text.histogram("b_seconds", "lasts").buckets(
            &[("m", "go")],
            &[100, 1_000],
            &[1, 0, 2],
            3_100_050,
        );
        assert_eq!(
            text.finish(),
            r#"# HELP a_total counts \\ a\nthing
# TYPE a_total counter
a_total 1
a_total{x="say \"hi\"\n\\"} 2
# HELP b_seconds lasts
# TYPE b_seconds histogram
b_seconds_bucket{m="go",le="0.0001"} 1
b_seconds_bucket{m="go",le="0.001"} 1
b_seconds_bucket{m="go",le="+Inf"} 3
b_seconds_sum{m="go"} 3.10005
b_seconds_count{m="go"} 3
"#
        );
    }
}
