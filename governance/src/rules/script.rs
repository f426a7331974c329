//! Script rules: `<provider application>.script-router`. JavaScript chooses the
//! endpoints of each call (Dubbo's `AppScriptStateRouter`, `ScriptStateRouter`).

use std::sync::Arc;

use crate::document::{Node, Position, Report, Severity, parse_one};
use crate::rules::Compat;
use crate::rules::head::{Head, text};
use crate::script::{Program, ScriptLimits};

/// The names under which Nashorn, Java's engine, registers itself.
const JAVASCRIPT: [&str; 8] =
    ["javascript", "JavaScript", "js", "JS", "nashorn", "Nashorn", "ecmascript", "ECMAScript"];

/// What only a script for Java says.
const OF_JAVA: [&str; 5] = [".getUrl(", ".url.", "java.util.", ".size()", ".getMethodName("];
/// What Nashorn does not read: it knows the language as it was in 2009.
const NEW_WORDS: [&str; 5] = ["let ", "const ", "class ", "=>", "`"];

/// A script rule.
#[derive(Debug, Clone)]
pub(crate) struct ScriptRule {
    pub(crate) enabled: bool,
    pub(crate) force: bool,
    /// Where it starts.
    pub(crate) line: u32,
    pub(crate) program: Arc<Program>,
}

impl ScriptRule {
    /// Reads a rule. `None` when it must not take effect; why is reported.
    pub(crate) fn read(
        document: &str,
        limits: ScriptLimits,
        compat: Compat,
        report: &mut Report,
    ) -> Option<ScriptRule> {
        let root = parse_one(document, report)?;
        let mut map = root.mapping("a script rule", report)?;
        let head = Head::read(&mut map, compat, report);
        Head::check_scope(&map, false, report);
        let at = |key: &str| map.peek(key).map(|node| node.position).unwrap_or_default();
        if !matches!(head.version.as_str(), "" | "v3.0") {
            report.add(
                report.severity_of_loss(compat),
                at("configVersion"),
                "unknown-version",
                format!("a script rule's configVersion is v3.0, not {:?}", head.version),
                "write configVersion: v3.0",
            );
        }
        if !head.force && map.peek("force").is_some() {
            report.warning(
                at("force"),
                "script-force",
                "Java leaves nobody where a script answers with an empty list, whatever force says",
                "write force: true, or let the script return all of invokers in that case",
            );
        }
        let kind_at = at("type");
        if let Some(kind) = text(&mut map, "type", report)
            && !JAVASCRIPT.contains(&kind)
        {
            report.error(
                kind_at,
                "script-type",
                format!("scripts of type {kind:?} are not run: only javascript is"),
                "write type: javascript, or say the same in a condition, tag or mesh rule",
            );
        }
        let node = map.required("script", report);
        let source = text(&mut map, "script", report).unwrap_or_default();
        map.finish(report);
        let node = node?;
        note_limits_of_use(source, node, report);
        match Program::new(source, limits, compat) {
            Ok(program) => Some(ScriptRule {
                enabled: head.enabled,
                force: head.force,
                line: node.position.line,
                program: Arc::new(program),
            }),
            Err(refusal) => {
                let (at, inside) = place(document, node, refusal.at);
                report.error(
                    at,
                    "script-syntax",
                    format!("the script cannot be run: {}{inside}", refusal.message),
                    "",
                );
                None
            }
        }
    }
}

/// Says where the text is not for everybody who reads the rule.
fn note_limits_of_use(source: &str, node: &Node, report: &mut Report) {
    let says = |words: &[&'static str]| words.iter().copied().find(|word| source.contains(word));
    if let Some(word) = says(&NEW_WORDS) {
        report.warning(
            node.position,
            "script-not-portable",
            format!("Java's engine, Nashorn, reads ECMAScript 5 and perhaps not {:?}", word.trim()),
            "write it with var and function for consumers that route by themselves",
        );
    }
    if let Some(word) = says(&OF_JAVA) {
        report.add(
            Severity::Info,
            node.position,
            "script-not-portable",
            format!("{word} is Java's: consumers with dubbo-go cannot run this script"),
            "write a condition rule where Go consumers read it, too",
        );
    }
}

/// Where something in a script stands in the document. Where that cannot be told, since
/// the script is folded or in quotes, where the script starts, and where in it.
fn place(document: &str, node: &Node, inside: Position) -> (Position, String) {
    if inside.line == 0 {
        return (node.position, String::new());
    }
    let start = node.position;
    // A block (`script: |`) starts below its head, as far to the right as its first line.
    let before: Vec<&str> = document.lines().take(start.line.saturating_sub(1) as usize).collect();
    let head = before.iter().rposition(|line| !line.trim().is_empty());
    let is_block = head.and_then(|head| before.get(head)).is_some_and(|head| {
        let head = head.split(" #").next().unwrap_or_default().trim_end();
        head.trim_end_matches(['+', '-'])
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .ends_with('|')
    });
    match head {
        Some(head) if is_block => {
            let line = u32::try_from(head + 1).unwrap_or(0).saturating_add(inside.line);
            let column = inside.column.saturating_add(start.column.saturating_sub(1));
            (Position { line, column }, String::new())
        }
        _ => (start, format!(", in its line {}, column {}", inside.line, inside.column)),
    }
}
