//! Reading condition rules and reporting what is wrong with them.

use crate::document::{Mapping, Node, Position, Report, Resolved, parse_one};
use crate::rules::head::{Head, java_text};
use crate::rules::{Compat, Scope, split};

use super::expression::{Condition, Expression, Mistake, Side};
use super::traps;

/// A condition rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConditionRule {
    pub(crate) enabled: bool,
    pub(crate) force: bool,
    pub(crate) conditions: Conditions,
}

/// The conditions of a rule, each of which narrows what the one before left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Conditions {
    /// Up to v3.0.
    Plain(Vec<Condition>),
    /// From v3.1.
    Split(Vec<Split>),
}

/// `from` and `to` of v3.1: calls are split between destinations by weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    pub(crate) position: Position,
    pub(crate) when: Expression,
    /// None: nobody may answer.
    pub(crate) to: Vec<Destination>,
}

impl Split {
    /// Whether two choose among the same destinations for the same calls.
    fn draws_as(&self, other: &Split) -> bool {
        self.to.len() > 1 && self.when == other.when && self.to == other.to
    }
}

/// One destination of a split.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Destination {
    /// No clauses: every endpoint.
    pub(crate) then: Expression,
    pub(crate) weight: u32,
}

/// A destination's weight where it names none
/// (`Constants.DefaultRouteConditionSubSetWeight`).
const DEFAULT_SUBSET_WEIGHT: u32 = 100;

impl ConditionRule {
    /// Reads a rule. `None` when it must not take effect; why is reported.
    pub(crate) fn read(
        text: &str,
        scope: Scope,
        compat: Compat,
        report: &mut Report,
    ) -> Option<ConditionRule> {
        let root = parse_one(text, report)?;
        let mut map = root.mapping("a condition rule", report)?;
        let head = Head::read(&mut map, compat, report);
        Head::check_scope(&map, scope == Scope::Service, report);
        head.note_version(&map, report);
        let version = head.version.to_lowercase();
        let conditions = if version.starts_with("v3.1") {
            head.check_exact(&map, "v3.1", report);
            read_splits(&mut map, compat, report).map(Conditions::Split)
        } else if version.as_str() > "v3.1" {
            report.error(
                map.peek("configVersion").map(|node| node.position).unwrap_or_default(),
                "unknown-version",
                format!("configVersion {} is not known", head.version),
                "write v3.0 for conditions with =>, v3.1 for conditions with from and to",
            );
            map.get("conditions");
            None
        } else {
            if compat == Compat::Documented && !matches!(version.as_str(), "" | "v2.7" | "v3.0") {
                report.error(
                    map.peek("configVersion").map(|node| node.position).unwrap_or_default(),
                    "unknown-version",
                    format!("configVersion {} is not known", head.version),
                    "write v3.0",
                );
            }
            read_plain(&mut map, head.enabled, compat, report).map(Conditions::Plain)
        };
        map.finish(report);
        Some(ConditionRule { enabled: head.enabled, force: head.force, conditions: conditions? })
    }
}

fn read_plain(
    map: &mut Mapping<'_>,
    enabled: bool,
    compat: Compat,
    report: &mut Report,
) -> Option<Vec<Condition>> {
    let items = items_of(map, report)?;
    let mut conditions = Vec::with_capacity(items.len());
    for item in items {
        if report.is_hopeless(compat) {
            break;
        }
        let text = match (item.scalar(), compat) {
            (Some(scalar), Compat::Documented) if !scalar.is_null() => scalar.text.clone(),
            (_, Compat::Java) => java_text(item),
            _ => {
                let hint = "put the condition in quotes: \"method=hi => host=10.0.0.1\"";
                report.error(
                    item.position,
                    "wrong-type",
                    format!("a condition must be a text, but is {}", item.kind()),
                    hint,
                );
                continue;
            }
        };
        match Condition::parse(&text, item.position, compat) {
            Ok(condition) => {
                for trap in traps::of_text(&text) {
                    report.warning(item.position, trap.code, trap.message, trap.hint);
                }
                warn_of(&condition.when, Side::When, item.position, report);
                if let Some(then) = &condition.then {
                    warn_of(then, Side::Then, item.position, report);
                }
                conditions.push(condition);
            }
            // A rule that is off is not read by Java, either.
            Err(mistake) if enabled || compat == Compat::Documented => {
                report_mistake(mistake, item.position, report);
            }
            Err(_) => {}
        }
    }
    Some(conditions)
}

/// The items of `conditions`, of which there must be one.
fn items_of<'n>(map: &mut Mapping<'n>, report: &mut Report) -> Option<&'n [Node]> {
    let node = map.required("conditions", report)?;
    let items = node.list("conditions", report)?;
    if items.is_empty() {
        report.error(
            node.position,
            "no-conditions",
            "conditions is empty: Java would leave the rule before it in force",
            "remove the rule, or write enabled: false",
        );
        return None;
    }
    Some(items)
}

fn read_splits(map: &mut Mapping<'_>, compat: Compat, report: &mut Report) -> Option<Vec<Split>> {
    let items = items_of(map, report)?;
    let mut splits = Vec::with_capacity(items.len());
    for item in items {
        if report.is_hopeless(compat) {
            break;
        }
        let Some(mut entry) = item.mapping("a condition of v3.1", report) else { continue };
        let mut when = Expression::default();
        if let Some(mut from) = entry.mapping("from", report) {
            if let Some((text, position)) = match_of(&mut from, report)
                && text != "true"
            {
                when = expression(&text, Side::When, position, compat, report);
            }
            from.finish(report);
        }
        let mut to = Vec::new();
        let mut weights = Vec::new();
        for target in entry.list("to", report) {
            let Some(mut target) = target.mapping("a destination", report) else { continue };
            let mut then = Expression::default();
            let found = match_of(&mut target, report);
            let blank =
                |node: &&Node| node.scalar().is_some_and(|scalar| scalar.text.trim().is_empty());
            if let Some(node) = target.value("match").filter(blank) {
                report.warning(
                    node.position,
                    "empty-means-all",
                    "an empty match means every endpoint here, not none",
                    "leave match out for every endpoint; to deny, leave out the key to",
                );
            }
            if let Some((text, position)) = found {
                if text == "false" {
                    report.warning(
                        position,
                        "false-means-all",
                        "match: \"false\" means every endpoint here, not none",
                        "leave the destination out",
                    );
                } else {
                    then = expression(&text, Side::Then, position, compat, report);
                }
            }
            let weight = weight_of(&mut target, compat, report);
            weights.push(weight);
            to.push(Destination { then, weight });
            target.finish(report);
        }
        split::warn(&weights, DEFAULT_SUBSET_WEIGHT, item.position, report);
        let split = Split { position: item.position, when, to };
        if let Some(known) = splits.iter().find(|known: &&Split| known.draws_as(&split)) {
            report.warning(
                item.position,
                "split-twice",
                format!(
                    "the split of line {} stands here again, and each of the two draws",
                    known.position.line
                ),
                "keep one of them; dubbo-go does",
            );
        }
        splits.push(split);
        entry.finish(report);
    }
    Some(splits)
}

/// The text of `match`; `None` where it is absent or blank.
fn match_of(map: &mut Mapping<'_>, report: &mut Report) -> Option<(String, Position)> {
    let node = map.value("match")?;
    if node.scalar().is_none() {
        node.wrong_type("match", "a text", report);
        return None;
    }
    let text = java_text(node);
    (!text.trim().is_empty()).then_some((text, node.position))
}

fn weight_of(map: &mut Mapping<'_>, compat: Compat, report: &mut Report) -> u32 {
    let Some(node) = map.value("weight") else { return DEFAULT_SUBSET_WEIGHT };
    let number = match node.scalar().map(|scalar| scalar.resolve()) {
        Some(Resolved::Int(number)) => i32::try_from(number).ok(),
        Some(Resolved::Text(text)) => text.parse::<i32>().ok(),
        _ => None,
    };
    let Some(number) = number else {
        node.wrong_type("weight", "a whole number", report);
        return DEFAULT_SUBSET_WEIGHT;
    };
    if number <= 0 && compat == Compat::Documented {
        let (code, message) = if number < 0 {
            ("negative-weight", format!("weight is {number}"))
        } else {
            ("weight-zero", "Java reads weight 0 as 100, so that this gets calls there".to_owned())
        };
        let hint = "leave the destination out while Java consumers read this rule";
        if number < 0 {
            report.error(node.position, code, message, hint);
        } else {
            report.warning(node.position, code, message, hint);
        }
    }
    match (u32::try_from(number), compat) {
        (Ok(0) | Err(_), Compat::Java) => DEFAULT_SUBSET_WEIGHT,
        (Ok(number), _) => number,
        (Err(_), Compat::Documented) => 0,
    }
}

fn expression(
    text: &str,
    side: Side,
    position: Position,
    compat: Compat,
    report: &mut Report,
) -> Expression {
    match Expression::parse(text, side, compat) {
        Ok(expression) => {
            warn_of(&expression, side, position, report);
            expression
        }
        Err(mistake) => {
            report_mistake(mistake, position, report);
            Expression::default()
        }
    }
}

fn warn_of(expression: &Expression, side: Side, position: Position, report: &mut Report) {
    for trap in traps::of_expression(expression, side) {
        report.warning(position, trap.code, trap.message, trap.hint);
    }
}

fn report_mistake(mistake: Mistake, position: Position, report: &mut Report) {
    report.error(position, "bad-condition", mistake.message, mistake.hint);
}
