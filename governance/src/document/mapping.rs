//! Reading typed values out of a mapping, collecting every mistake.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::node::{Node, Position, Value, shorten};
use super::report::Report;

/// A mapping that is being read. Each getter marks its key as known;
/// [`finish`](Mapping::finish) reports the keys nobody asked for. A key whose
/// value is null counts as absent.
#[derive(Debug)]
pub struct Mapping<'n> {
    entries: &'n [(Node, Node)],
    position: Position,
    known: Vec<&'static str>,
}

impl<'n> Mapping<'n> {
    pub(super) fn new(entries: &'n [(Node, Node)], position: Position) -> Self {
        Mapping { entries, position, known: Vec::new() }
    }

    /// Where the mapping starts.
    pub fn position(&self) -> Position {
        self.position
    }

    /// All keys and values, whether asked for or not.
    pub fn entries(&self) -> &'n [(Node, Node)] {
        self.entries
    }

    /// The value of a key, null included.
    pub fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.peek(key)
    }

    /// The value of a key, without marking it as known.
    pub fn peek(&self, key: &str) -> Option<&'n Node> {
        let is_key =
            |node: &Node| matches!(&node.value, Value::Scalar(scalar) if scalar.text == key);
        self.entries.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value)
    }

    /// The value of a key that is there and not null.
    pub fn value(&mut self, key: &'static str) -> Option<&'n Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// The value of a key that must be there; reports when it is not.
    pub fn required(&mut self, key: &'static str, report: &mut Report) -> Option<&'n Node> {
        let found = self.value(key);
        if found.is_none() {
            report.error(self.position, "missing-key", format!("{key} is missing"), "");
        }
        found
    }

    /// A text.
    pub fn text(&mut self, key: &'static str, report: &mut Report) -> Option<&'n str> {
        self.value(key)?.text(key, report)
    }

    /// A text that must be there.
    pub fn required_text(&mut self, key: &'static str, report: &mut Report) -> Option<&'n str> {
        self.required(key, report)?.text(key, report)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, report: &mut Report) -> Option<bool> {
        self.value(key)?.boolean(key, report)
    }

    /// A whole number within a range.
    pub fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<u64> {
        self.value(key)?.integer(key, range, report)
    }

    /// A list; empty when absent.
    pub fn list(&mut self, key: &'static str, report: &mut Report) -> &'n [Node] {
        self.value(key).and_then(|node| node.list(key, report)).unwrap_or(&[])
    }

    /// A list of texts, each with where it stands; empty when absent.
    pub fn texts(&mut self, key: &'static str, report: &mut Report) -> Vec<(&'n str, Position)> {
        self.list(key, report)
            .iter()
            .filter_map(|node| Some((node.text(key, report)?, node.position)))
            .collect()
    }

    /// A mapping inside this one.
    pub fn mapping(&mut self, key: &'static str, report: &mut Report) -> Option<Mapping<'n>> {
        self.value(key)?.mapping(key, report)
    }

    /// A mapping from texts to texts (any scalars); empty when absent.
    pub fn text_map(&mut self, key: &'static str, report: &mut Report) -> BTreeMap<String, String> {
        let Some(inside) = self.mapping(key, report) else { return BTreeMap::new() };
        inside
            .entries
            .iter()
            .filter_map(|(name, value)| {
                let name = name.text("a key", report)?;
                Some((name.to_owned(), value.text(name, report)?.to_owned()))
            })
            .collect()
    }

    /// Reports every key that no getter asked for.
    pub fn finish(self, report: &mut Report) {
        for (key, _) in self.entries {
            if report.is_full() {
                break;
            }
            let name = match &key.value {
                Value::Scalar(scalar) => scalar.text.as_str(),
                _ => {
                    key.wrong_type("a key", "a text", report);
                    continue;
                }
            };
            if self.known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, &self.known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            report.error(
                key.position,
                "unknown-key",
                format!("unknown key {:?}", shorten(name)),
                hint,
            );
        }
    }
}

/// The one of `names` that `name` is probably a slip of.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    if name.len() > 64 {
        return None;
    }
    names
        .iter()
        .map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = cost.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parse_one;
    use super::*;

    #[test]
    fn every_mistake_is_found_in_one_pass() {
        let text =
            "name: [a]\nport: 70000\nflag: maybe\nlabels: {a: 1, b: [c]}\nwieght: 5\nempty:\n";
        let mut report = Report::new("x.yaml");
        let root = parse_one(text, &mut report).unwrap();
        let mut top = root.mapping("the file", &mut report).unwrap();
        assert_eq!(top.required_text("name", &mut report), None);
        assert_eq!(top.integer("port", 1..=65535, &mut report), None);
        assert_eq!(top.boolean("flag", &mut report), None);
        assert_eq!(top.text_map("labels", &mut report).len(), 1);
        assert_eq!(top.integer("weight", 0..=100, &mut report), None);
        assert_eq!(top.required("empty", &mut report), None);
        top.finish(&mut report);
        let found: Vec<String> = report
            .into_findings()
            .iter()
            .map(|f| format!("{}:{} {} {}|{}", f.line, f.column, f.code, f.message, f.hint))
            .collect();
        assert_eq!(
            found,
            [
                "1:1 missing-key empty is missing|",
                "1:7 wrong-type name must be a text, but is a list|",
                "2:7 out-of-range port is 70000, but must be from 1 to 65535|",
                "3:7 wrong-type flag must be true or false, but is \"maybe\"|",
                "4:19 wrong-type b must be a text, but is a list|",
                "5:1 unknown-key unknown key \"wieght\"|did you mean weight?",
            ]
        );
    }

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known = ["conditions", "configVersion", "force"];
        assert_eq!(nearest("condtions", &known), Some("conditions"));
        assert_eq!(nearest("configversion", &known), Some("configVersion"));
        assert_eq!(nearest("weight", &known), None);
    }
}
