//! Values that resources of several kinds have: durations, percentages, texts to
//! compare with, hosts.

use std::time::Duration;

use regex::Regex;

use super::host;
use super::route::Percentage;
use crate::directives::TextMatch;
use crate::document::{Mapping, Node, Position, Report};
use crate::rules::string_match::{full_match, part_match};

/// A duration as Go writes it (`1h30m`, `1.5s`, `100ms`).
pub(crate) fn duration(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<Duration> {
    let node = map.value(key)?;
    let text = node.text(key, report)?;
    let read = parse_duration(text);
    if read.is_none() {
        report.error(
            node.position,
            "bad-duration",
            format!("{key} is {text:?}, which is no duration"),
            "write it as 1h30m, 1.5s or 100ms",
        );
    }
    read
}

/// A duration that must not be nothing.
pub(crate) fn positive_duration(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<Duration> {
    let read = duration(map, key, report)?;
    if read.is_zero() {
        let at = map.peek(key).map(|node| node.position).unwrap_or_default();
        report.error(
            at,
            "bad-duration",
            format!("{key} must be more than nothing"),
            "write 1ms or more, or leave it out",
        );
        return None;
    }
    Some(read)
}

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match rest.get(..unit)? {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        rest = rest.get(unit..)?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A number, with or without a fraction, from `range`.
pub(crate) fn number(
    map: &mut Mapping<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<f64>,
    report: &mut Report,
) -> Option<f64> {
    let node = map.value(key)?;
    let read = node.scalar().filter(|scalar| scalar.is_plain).and_then(|s| s.text.parse().ok());
    let Some(number) = read.filter(|number: &f64| number.is_finite()) else {
        node.wrong_type(key, "a number", report);
        return None;
    };
    if !range.contains(&number) {
        report.error(
            node.position,
            "out-of-range",
            format!("{key} is {number}, but must be from {} to {}", range.start(), range.end()),
            "",
        );
        return None;
    }
    Some(number)
}

/// A whole number below 2³².
pub(crate) fn count(map: &mut Mapping<'_>, key: &'static str, report: &mut Report) -> Option<u32> {
    let number = map.integer(key, 0..=u64::from(u32::MAX), report)?;
    u32::try_from(number).ok()
}

/// A port.
pub(crate) fn port(map: &mut Mapping<'_>, key: &'static str, report: &mut Report) -> Option<u16> {
    let number = map.integer(key, 1..=u64::from(u16::MAX), report)?;
    u16::try_from(number).ok()
}

/// Istio's `{value: 12.5}`, in percent.
pub(crate) fn percentage(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<Percentage> {
    let mut inside = map.mapping(key, report)?;
    let percent = number(&mut inside, "value", 0.0..=100.0, report).unwrap_or(0.0);
    inside.finish(report);
    Some(Percentage((percent * 1e4).round() as u32))
}

/// A regular expression that matches whole texts.
pub(crate) fn whole_regex(pattern: &str, at: Position, report: &mut Report) -> Option<Regex> {
    compile(pattern, full_match, at, report)
}

/// A regular expression that matches anywhere in a text.
pub(crate) fn part_regex(pattern: &str, at: Position, report: &mut Report) -> Option<Regex> {
    compile(pattern, part_match, at, report)
}

fn compile(
    pattern: &str,
    build: fn(&str) -> Result<Regex, String>,
    at: Position,
    report: &mut Report,
) -> Option<Regex> {
    let compiled = if report.may_compile_regex() {
        build(pattern)
    } else {
        Err("there are too many of them in this document".to_owned())
    };
    match compiled {
        Ok(regex) => Some(regex),
        Err(problem) => {
            report.error(
                at,
                "bad-regex",
                format!("this regular expression cannot be used: {problem}"),
                "look-around and back references are not known here: they can take forever",
            );
            None
        }
    }
}

/// Istio's `StringMatch`: one of `exact`, `prefix` and `regex`. Where
/// `may_be_empty`, nothing of them means that the text is there.
pub(crate) fn string_match(
    node: &Node,
    may_be_empty: bool,
    report: &mut Report,
) -> Option<TextMatch> {
    let mut map = node.mapping("a text match", report)?;
    let exact = text_or_empty(&mut map, "exact", report);
    let prefix = text_or_empty(&mut map, "prefix", report);
    let regex = text_or_empty(&mut map, "regex", report);
    let found = match (exact, prefix, regex) {
        (Some(exact), None, None) => Some(TextMatch::Exact(exact.into())),
        (None, Some(prefix), None) => Some(TextMatch::Prefix(prefix.into())),
        (None, None, Some(pattern)) => {
            let at = map.peek("regex").map(|node| node.position).unwrap_or_default();
            whole_regex(pattern, at, report).map(TextMatch::Regex)
        }
        (None, None, None) if may_be_empty => Some(TextMatch::Present),
        _ => {
            report.error(
                node.position,
                "one-way-to-match",
                "a text match must say one thing",
                "write one of exact, prefix, regex",
            );
            None
        }
    };
    map.finish(report);
    found
}

/// A text that may be empty, but not null.
pub(crate) fn text_or_empty<'n>(
    map: &mut Mapping<'n>,
    key: &'static str,
    report: &mut Report,
) -> Option<&'n str> {
    let node = map.value(key)?;
    match node.scalar() {
        Some(scalar) => Some(&scalar.text),
        None => {
            node.wrong_type(key, "a text", report);
            None
        }
    }
}

/// Refuses more of something than is possible.
pub(crate) fn too_many(at: Position, what: &str, found: usize, limit: usize, report: &mut Report) {
    report.error(
        at,
        "too-many",
        format!("there are {found} {what}, but {limit} is the limit"),
        "split them up",
    );
}

/// A host; one that cannot be any is reported.
pub(crate) fn sound_host<'n>(text: &'n str, at: Position, report: &mut Report) -> Option<&'n str> {
    if host::is_sound(text) {
        return Some(text);
    }
    report.error(
        at,
        "bad-host",
        format!("{text:?} is no host"),
        "write a service's or an application's name, * or *.suffix",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1500)),
            ("100ms", Some(100)),
            ("2s100ms", Some(2100)),
            ("1500us", Some(1)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(ms(text), expected, "{text:?}");
        }
    }
}
