//! Mesh rules, compiled and run: Dubbo's `MeshRuleRouter`.

use std::collections::BTreeMap;

use codec::Argument;

use crate::balance::ticket;
use crate::decide::Dice;
use crate::rules::Compat;
use crate::rules::StringMatch;
use crate::rules::mesh::{ArgumentMatch, Detail, MatchRequest, MeshRule, Route, ValueMatch};
use crate::set::EndpointSet;

use super::call::CallView;
use super::{Narrowing, Site, Verdict};

/// The mesh rules of all applications that provide a service. What each lets
/// through is united.
#[derive(Debug)]
pub(crate) struct Mesh {
    applications: Vec<Application>,
}

#[derive(Debug)]
struct Application {
    /// The routes about the service; of each VirtualService the first that is.
    route: Option<Route>,
    is_java: bool,
    subsets: BTreeMap<Box<str>, EndpointSet>,
}

/// Java throws while it compares a call with a rule.
struct Thrown;

impl Mesh {
    /// `None` where no application has mesh rules.
    pub(super) fn compile<'r>(
        rules: impl Iterator<Item = (&'r str, &'r MeshRule)>,
        site: &Site<'_>,
        compat: Compat,
    ) -> Option<Mesh> {
        let applications: Vec<Application> =
            rules.map(|(name, rule)| Application::compile(name, rule, site, compat)).collect();
        (!applications.is_empty()).then_some(Mesh { applications })
    }

    /// Nobody is ever left out for want of a match: where no application's rules
    /// let anybody through, everybody stays ("empty protection").
    pub(super) fn run(
        &self,
        call: &CallView<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
    ) -> Verdict<'_> {
        sets.next.copy_from(&sets.candidates);
        sets.next.clear();
        let mut chosen = None;
        for application in &self.applications {
            let detail = match application.find(call) {
                Ok(Some(detail)) => detail,
                Ok(None) => continue,
                Err(Thrown) => {
                    sets.candidates.clear();
                    return Verdict::Plain("makes Java throw: an argument is not as it expects");
                }
            };
            if let Some((name, subset)) = application.draw(detail, &sets.candidates, dice) {
                sets.next.unite(subset);
                chosen = Some((detail.position.line, name));
            }
        }
        sets.next.intersect(&sets.candidates);
        match chosen {
            Some((line, subset)) if !sets.next.is_empty() => {
                std::mem::swap(&mut sets.candidates, &mut sets.next);
                Verdict::Subset { line, subset }
            }
            _ => Verdict::Plain("no route leads to an endpoint: all are kept"),
        }
    }
}

impl Application {
    fn compile(name: &str, rule: &MeshRule, site: &Site<'_>, compat: Compat) -> Application {
        let length = site.endpoints.len();
        let mut subsets: BTreeMap<Box<str>, EndpointSet> = BTreeMap::new();
        for subset in &rule.subsets {
            let found = EndpointSet::of(length, |index| {
                site.endpoints.get(index).is_some_and(|endpoint| {
                    endpoint.application() == Some(name)
                        && subset
                            .labels
                            .iter()
                            .all(|(key, value)| endpoint.parameters.get(key) == Some(&**value))
                })
            });
            subsets
                .entry(subset.name.clone())
                .or_insert_with(|| EndpointSet::empty(length))
                .unite(&found);
        }
        // The first VirtualService with a route about the service decides.
        let route = rule.services.iter().find_map(|routes| {
            routes.iter().find(|route| {
                route.services.is_empty()
                    || route.services.iter().any(|one| one.is_match(Some(site.service)))
            })
        });
        Application { route: route.cloned(), is_java: compat == Compat::Java, subsets }
    }

    fn find(&self, call: &CallView<'_>) -> Result<Option<&Detail>, Thrown> {
        let Some(route) = &self.route else { return Ok(None) };
        'details: for detail in &route.details {
            for one in &detail.matches {
                if !one.is_match(call)? {
                    continue 'details;
                }
            }
            return Ok(Some(detail));
        }
        Ok(None)
    }

    /// The subset that a weighted choice falls on and that has endpoints; where
    /// it has none, those it falls back to, then those of the other
    /// destinations. In Java the first destination has one ticket too many.
    fn draw<'s>(
        &'s self,
        detail: &'s Detail,
        candidates: &EndpointSet,
        dice: &mut dyn Dice,
    ) -> Option<(&'s str, &'s EndpointSet)> {
        let weight = |weight: u32| i64::from(weight.max(1));
        let total: i64 = detail.to.iter().map(|one| weight(one.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut rest =
            i64::try_from(ticket(dice.roll(), u64::try_from(total).unwrap_or(0))).unwrap_or(0);
        let filled = |subsets: &'s [Box<str>]| {
            subsets.iter().find_map(|name| {
                let set = self.subsets.get(name)?;
                set.meets(candidates).then_some((&**name, set))
            })
        };
        let edge = i64::from(self.is_java);
        for one in &detail.to {
            rest -= weight(one.weight);
            if rest < edge
                && let Some(found) = filled(&one.subsets)
            {
                return Some(found);
            }
        }
        detail.to.iter().find_map(|one| filled(&one.subsets))
    }
}

impl MatchRequest {
    fn is_match(&self, call: &CallView<'_>) -> Result<bool, Thrown> {
        if self.name.as_ref().is_some_and(|name| !name.is_match(Some(&call.method))) {
            return Ok(false);
        }
        if let Some(wanted) = self.argument_count {
            let has = |index: usize| matches!(call.head.argument(index), Ok(Some(_)));
            if wanted > 0 && !has(wanted - 1) || has(wanted) {
                return Ok(false);
            }
        }
        if !self.types.is_empty() {
            let types = call.head.parameter_types().map(names_of).unwrap_or_default();
            let is_type = |(wanted, (full, simple)): (&_, &(String, String))| {
                let wanted: &StringMatch = wanted;
                wanted.is_match(Some(full)) || wanted.is_match(Some(simple))
            };
            if types.len() != self.types.len() || !self.types.iter().zip(&types).all(is_type) {
                return Ok(false);
            }
        }
        if !self.arguments.is_empty() && !matches!(call.head.argument(0), Ok(Some(_))) {
            return Ok(false);
        }
        for argument in &self.arguments {
            if !argument.is_match(call)? {
                return Ok(false);
            }
        }
        let is_label =
            |(key, value): &(Box<str>, Box<str>)| call.plain_parameter(key) == Some(&**value);
        if !self.source_labels.iter().all(is_label) {
            return Ok(false);
        }
        let is_attachment = |(name, value): &(Box<str>, StringMatch)| {
            call.head.field(name).is_ok_and(|found| value.is_match(found.as_deref()))
        };
        Ok(self.attachments.iter().all(is_attachment) && !self.never)
    }
}

impl ArgumentMatch {
    /// Java throws where there is no such argument, or it is no number; as
    /// documented it does not match.
    fn is_match(&self, call: &CallView<'_>) -> Result<bool, Thrown> {
        let thrown = || if call.compat == Compat::Java { Err(Thrown) } else { Ok(false) };
        let argument = match call.head.argument(self.index) {
            Ok(Some(argument)) => argument,
            Ok(None) => return thrown(),
            Err(_) => return Ok(false),
        };
        Ok(match (&self.value, argument) {
            (ValueMatch::Text(oneof), Argument::Text(text)) => {
                oneof.iter().any(|one| one.is_match(Some(&text)))
            }
            (ValueMatch::Bool(Some(wanted)), Argument::Bool(value)) => *wanted == value,
            (ValueMatch::Number(oneof), argument) => {
                let number = match argument {
                    Argument::Int(value) => value as f64,
                    Argument::Double(value) => value,
                    Argument::Text(text) => match text.trim().parse() {
                        Ok(number) => number,
                        Err(_) => return thrown(),
                    },
                    Argument::Null | Argument::Bool(_) | Argument::Other(_) => return thrown(),
                };
                oneof.iter().any(|one| one.is_match(number))
            }
            _ => false,
        })
    }
}

/// The types of a JVM descriptor, as `Class.getName` and `getSimpleName` write
/// them.
pub(crate) fn names_of(descriptor: &str) -> Vec<(String, String)> {
    let mut names = Vec::new();
    let mut rest = descriptor;
    while !rest.is_empty() {
        let element = rest.trim_start_matches('[');
        let dimensions = rest.len() - element.len();
        let (length, name) = match element.as_bytes().first() {
            Some(b'L') => match element.find(';') {
                Some(end) => (end + 1, element.get(1..end).unwrap_or_default().replace('/', ".")),
                None => return names,
            },
            Some(letter) => (1, primitive(*letter).to_owned()),
            None => return names,
        };
        let simple = name.rsplit(['.', '$']).next().unwrap_or_default().to_owned();
        let full = if dimensions > 0 {
            let end = dimensions + length;
            rest.get(..end).unwrap_or_default().replace('/', ".")
        } else {
            name
        };
        names.push((full, simple + &"[]".repeat(dimensions)));
        rest = element.get(length..).unwrap_or_default();
    }
    names
}

fn primitive(letter: u8) -> &'static str {
    match letter {
        b'Z' => "boolean",
        b'B' => "byte",
        b'C' => "char",
        b'S' => "short",
        b'I' => "int",
        b'J' => "long",
        b'F' => "float",
        b'D' => "double",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_named_as_java_names_classes() {
        let names = names_of("Ljava/lang/String;I[[Ljava/util/Map$Entry;[J");
        let expected = [
            ("java.lang.String", "String"),
            ("int", "int"),
            ("[[Ljava.util.Map$Entry;", "Entry[][]"),
            ("[J", "long[]"),
        ];
        let found: Vec<(&str, &str)> =
            names.iter().map(|(full, simple)| (full.as_str(), simple.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(names_of("Lx"), []);
    }
}
