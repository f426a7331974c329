//! `/rules`: every rule document and what became of it; `/rules/KEY`: the text
//! in force.

use std::collections::BTreeSet;

use governance::Affected;
use http::StatusCode;
use serde::Serialize;

use super::page::{Answer, Ask};
use super::{AdminState, JSON};
use crate::access_log::iso;
use crate::explain::Live;
use crate::rule_book::{RuleState, RuleStates, State, source_of};

/// One document, in JSON.
#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    from: String,
    state: &'static str,
    since: String,
    /// Where the document that counts comes from.
    in_force: Option<String>,
    /// The application that it is about, where it names no service.
    application: Option<&'a str>,
    /// The services whose calls it is about.
    services: BTreeSet<String>,
    findings: &'a [governance::Finding],
}

/// A folder of the store, in JSON.
#[derive(Serialize)]
struct Place<'a> {
    prefix: &'a str,
    applied_revision: i64,
    newest_revision: i64,
}

/// Everything, in JSON.
#[derive(Serialize)]
struct Page<'a> {
    documents: Vec<Row<'a>>,
    places: Vec<Place<'a>>,
    last_change: Option<String>,
}

/// All documents.
pub(super) fn all(state: &AdminState, ask: &Ask<'_>) -> Answer {
    let states = state.live.rules.load();
    if ask.json {
        let body = serde_json::to_string(&page(&states, &state.live)).unwrap_or_default() + "\n";
        return Answer { content_type: JSON, ..Answer::plain(StatusCode::OK, body) };
    }
    Answer::plain(StatusCode::OK, text(&states, &state.live))
}

/// The text in force under a key, byte for byte.
pub(super) fn one(state: &AdminState, ask: &Ask<'_>) -> Answer {
    let states = state.live.rules.load();
    match registry::key::decode(ask.rest).ok().and_then(|key| states.in_force(&key)) {
        Some(document) => Answer::plain(StatusCode::OK, document.text.clone()),
        None => Answer::plain(
            StatusCode::NOT_FOUND,
            "no rule is in force under this key; /rules lists what there is\n".to_owned(),
        ),
    }
}

fn page<'a>(states: &'a RuleStates, live: &Live) -> Page<'a> {
    Page {
        documents: (states.documents.iter())
            .map(|one| Row {
                key: &one.document.key,
                from: source_of(&one.document),
                state: one.state.label(),
                since: iso(one.since),
                in_force: one.in_force.as_deref().map(source_of),
                application: application(one),
                services: live.services(&one.about),
                findings: &one.findings,
            })
            .collect(),
        places: (states.places.iter())
            .map(|place| Place {
                prefix: &place.prefix,
                applied_revision: place.told,
                newest_revision: place.newest,
            })
            .collect(),
        last_change: states.changes.last.map(iso),
    }
}

fn application(one: &RuleState) -> Option<&str> {
    match &one.about {
        Affected::Application(name) => Some(name),
        _ => None,
    }
}

fn text(states: &RuleStates, live: &Live) -> String {
    let mut out = String::new();
    let counts: Vec<String> = State::ALL
        .into_iter()
        .filter(|state| *state == State::InForce || states.count(*state) > 0)
        .map(|state| format!("{} {}", states.count(state), state.label().replace('_', " ")))
        .collect();
    out.push_str(&format!("{}\n", counts.join(", ")));
    for place in &states.places {
        out.push_str(&format!("{} is applied up to revision {}\n", place.prefix, place.told));
    }
    for one in &states.documents {
        let state = match (one.state, &one.in_force) {
            (State::InForce, _) => "in force".to_owned(),
            (State::LastGood, Some(kept)) => {
                format!("refused; the last good one stays in force, from {}", source_of(kept))
            }
            (State::LastGood | State::Refused, _) => {
                "refused; nothing is in force under this key".to_owned()
            }
            (State::Hidden, _) => match states.in_force(&one.document.key) {
                Some(other) => format!("hidden by {}", source_of(other)),
                None => "hidden by the one above".to_owned(),
            },
        };
        out.push_str(&format!(
            "\n{}\n  from   {}\n  state  {state}\n  since  {}\n",
            one.document.key,
            source_of(&one.document),
            iso(one.since)
        ));
        out.push_str(&format!("  about  {}\n", about(one, live)));
        for finding in one.findings.iter() {
            let hint =
                if finding.hint.is_empty() { String::new() } else { format!("; {}", finding.hint) };
            out.push_str(&format!(
                "  {}  {}:{}: [{}] {}{hint}\n",
                finding.severity.label(),
                finding.line,
                finding.column,
                finding.code,
                finding.message
            ));
        }
    }
    out
}

/// Whose calls a document is about, for people.
fn about(one: &RuleState, live: &Live) -> String {
    let services: Vec<String> = live.services(&one.about).into_iter().collect();
    let services = if services.is_empty() { "no service".to_owned() } else { services.join(", ") };
    match application(one) {
        Some(application) => format!("application {application}: {services}"),
        None => services,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use governance::{Compat, Endpoint, EndpointIds, Options, Service};
    use registry::{Origin, RuleDocument, RulePlace, View};

    use super::*;
    use crate::rule_book::RuleBook;
    use crate::snapshot::{Entry, Published, Snapshot};

    const CONDITION: &str = "lab.EchoService::.condition-router";
    const GOOD: &str = "configVersion: v3.0\nforce: true\nconditions: ['=> region=hz']\n";
    const BAD: &str = "configVersion: v3.0\nforce: true\nconditions: ['a!!b']\n";
    const TAG: &str = "tags: [{name: gray, addresses: ['10.0.0.1:20880']}]\n";

    fn view(revision: i64, condition: &str) -> View {
        let prefix = "/dubbo/config/dubbo/";
        let stored = Origin::Store { key: format!("{prefix}{CONDITION}"), revision };
        let file = Origin::File(PathBuf::from("rules/shop.tag-router.yaml"));
        let documents = [(CONDITION, condition, stored), ("shop.tag-router", TAG, file)].map(
            |(key, text, origin)| {
                let (key, text) = (key.to_owned(), text.to_owned());
                let rule = RuleDocument { key: key.clone(), text, origin, unreadable: None };
                (key, Arc::new(rule))
            },
        );
        let place = RulePlace { prefix: prefix.to_owned(), told: revision, newest: revision };
        View { rules: BTreeMap::from(documents), rule_places: vec![place], ..View::default() }
    }

    /// Two services of one application.
    fn live(book: &RuleBook) -> Live {
        let mut ids = EndpointIds::new();
        let service = |name: &str| {
            let url = format!("dubbo://10.0.0.1:20880/{name}?application=shop");
            let endpoint = Endpoint::from_url(&url, &mut ids).expect("a provider URL");
            let options = Options { callers: Some(vec!["web".to_owned()]) };
            let table = Service::compile(name, vec![endpoint], book.rules(), &options);
            (name.to_owned(), Entry::Ready(Arc::new(table)))
        };
        let services: HashMap<_, _> =
            ["lab.EchoService", "lab.SumService"].map(service).into_iter().collect();
        Live {
            published: Arc::new(Published::new(Snapshot { services, ..Snapshot::default() })),
            rules: book.published(),
            timeouts: crate::config::Timeouts::default(),
        }
    }

    /// `docs/rules.md` shows the page as it is.
    #[test]
    fn the_manual_shows_the_page() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let mut book = RuleBook::new(Compat::Documented);
        book.update(&view(41, GOOD), at(1_795_647_402_101));
        let view = view(57, BAD);
        book.update(&view, at(1_795_653_977_813));
        book.publish(&view);
        let live = live(&book);
        let states = book.published().load_full();
        let text = text(&states, &live);
        let manual = include_str!("../../../docs/rules.md");
        assert!(manual.contains(&format!("```text\n{text}```\n")), "not in docs/rules.md:\n{text}");
        let page = serde_json::to_value(page(&states, &live)).expect("JSON");
        let rows: Vec<String> = page["documents"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| format!("{} {} {}", row["state"], row["application"], row["services"]))
            .collect();
        let both = r#""in_force" "shop" ["lab.EchoService","lab.SumService"]"#;
        assert_eq!(rows, [r#""last_good" null ["lab.EchoService"]"#, both]);
    }
}
