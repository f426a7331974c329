//! What becomes of documents that change, turn bad, hide each other and go.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

const KEY: &str = "lab.Echo::.condition-router";
const GOOD: &str = "conditions: ['=> region=hz']";
const BAD: &str = "conditions: ['a!!b']";

fn stored(revision: i64, text: &str) -> Arc<RuleDocument> {
    let origin = Origin::Store { key: format!("/dubbo/config/dubbo/{KEY}"), revision };
    let (key, text) = (KEY.to_owned(), text.to_owned());
    Arc::new(RuleDocument { key, text, origin, unreadable: None })
}

fn view(rules: &[Arc<RuleDocument>]) -> View {
    let rules = rules.iter().map(|rule| (rule.key.clone(), rule.clone())).collect();
    View { rules, ..View::default() }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What `/rules` would show of the first document: its state, since when, what
/// counts, and the first finding.
fn shown(book: &mut RuleBook, view: &View) -> (State, SystemTime, Option<String>, &'static str) {
    book.publish(view);
    let states = book.published().load_full();
    let first = states.documents.first().expect("a document");
    let in_force = states.in_force(KEY).map(|document| source_of(document));
    let finding = first.findings.first().map_or("", |finding| finding.code);
    (first.state, first.since, in_force, finding)
}

#[test]
fn the_last_good_one_stays_until_the_key_is_gone() {
    let mut book = RuleBook::new(Compat::Documented);
    let good = view(&[stored(5, GOOD)]);
    assert_eq!(book.update(&good, at(1)), [Affected::Services(vec!["lab.Echo".to_owned()])]);
    let five = Some(format!("/dubbo/config/dubbo/{KEY}@5"));
    assert_eq!(shown(&mut book, &good), (State::InForce, at(1), five.clone(), ""));
    let published = book.published().load_full();
    assert!(book.update(&good, at(2)).is_empty());
    book.publish(&good);
    assert!(Arc::ptr_eq(&published, &book.published().load_full()), "nothing to tell");
    assert_eq!(shown(&mut book, &good).1, at(1), "nothing happened at 2");

    for (revision, seconds) in [(6, 3), (7, 4)] {
        let bad = view(&[stored(revision, BAD)]);
        assert_eq!(book.update(&bad, at(seconds)), [Affected::Nothing]);
        let wanted = (State::LastGood, at(seconds), five.clone(), "bad-condition");
        assert_eq!(shown(&mut book, &bad), wanted);
    }
    let garbled = RuleDocument {
        unreadable: Some(Unreadable::NotUtf8),
        ..RuleDocument::clone(&stored(8, ""))
    };
    let garbled = view(&[garbled.into()]);
    book.update(&garbled, at(5));
    assert_eq!(shown(&mut book, &garbled), (State::LastGood, at(5), five, "not-utf8"));

    book.update(&view(&[]), at(6));
    book.publish(&view(&[]));
    let states = book.published().load_full();
    assert!(states.documents.is_empty());
    let Changes { applied, refused, removed, last } = states.changes;
    assert_eq!((applied, refused, removed, last), (1, 3, 1, Some(at(6))));
    // It was forgotten, too.
    let bad = view(&[stored(9, BAD)]);
    book.update(&bad, at(7));
    assert_eq!(shown(&mut book, &bad), (State::Refused, at(7), None, "bad-condition"));
}

#[test]
fn hidden_documents_stand_behind_the_one_that_hides_them() {
    let mut book = RuleBook::new(Compat::Documented);
    let file = Arc::new(RuleDocument {
        origin: Origin::File(PathBuf::from("rules/x.yaml")),
        ..RuleDocument::clone(&stored(0, GOOD))
    });
    let mut hiding = view(&[file]);
    hiding.hidden = vec![stored(5, BAD)];
    book.update(&hiding, at(1));
    book.update(&hiding, at(2));
    book.publish(&hiding);
    let states = book.published().load_full();
    let found: Vec<(State, SystemTime, String)> = states
        .documents
        .iter()
        .map(|one| (one.state, one.since, source_of(&one.document)))
        .collect();
    let hidden = format!("/dubbo/config/dubbo/{KEY}@5");
    assert_eq!(
        found,
        [(State::InForce, at(1), "rules/x.yaml".to_owned()), (State::Hidden, at(1), hidden)]
    );
    assert_eq!((states.count(State::Hidden), states.count(State::InForce)), (1, 1));
}
