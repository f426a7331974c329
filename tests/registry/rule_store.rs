//! Rules written by commands: what is there, what is remembered, and who was first.

use std::time::{Duration, UNIX_EPOCH};

use registry::rule_store::{Action, Author, Change, Place, RuleStore, Standing, WriteError};

use crate::stage::{Store, against_each, client, settings};

const KEY: &str = "lab.EchoService::.condition-router";
const DUBBO: &str = "/dubbo/config/dubbo/lab.EchoService::.condition-router";

against_each!(
    a_rule_is_written_taken_back_and_remembered,
    what_others_wrote_is_remembered_before_it_is_written_over,
    who_comes_second_writes_nothing,
    many_rules_are_written_together,
    what_does_not_fit_is_told,
    the_own_place_comes_first,
    old_records_go,
);

fn author() -> Author {
    let at = UNIX_EPOCH + Duration::from_millis(1_795_653_977_813);
    Author { by: "tom".to_owned(), why: "canary".to_owned(), at }
}

fn change<'a>(standing: &'a Standing, text: Option<&'a str>) -> Change<'a> {
    let action = if text.is_some() { Action::Applied } else { Action::Deleted };
    Change { standing, place: None, text, action }
}

/// Writes a rule, on top of what is there.
async fn write(rules: &RuleStore, key: &str, text: Option<&str>) -> i64 {
    let standing = rules.read(key).await.unwrap();
    let mut written = Vec::new();
    rules.write(&[change(&standing, text)], &author(), &mut written).await.unwrap();
    written[0]
}

/// Revision, action and text of each record.
async fn history(rules: &RuleStore) -> Vec<(i64, &'static str, Option<String>)> {
    let records = rules.history(KEY).await.unwrap();
    records.into_iter().map(|one| (one.revision, one.action.label(), one.text)).collect()
}

async fn a_rule_is_written_taken_back_and_remembered(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    let nothing = rules.read(KEY).await.unwrap();
    assert_eq!((nothing.counts(), nothing.newest.as_ref()), (None, None));
    assert!(!nothing.is_foreign());
    let text = "a: 1\r\n# \u{1f600}\n";
    let first = write(&rules, KEY, Some(text)).await;
    let standing = rules.read(KEY).await.unwrap();
    let stored = standing.counts().unwrap();
    assert_eq!((stored.from.as_str(), stored.revision), (DUBBO, first));
    assert_eq!(stored.bytes, text.as_bytes());
    assert!(!standing.is_foreign());
    let newest = standing.newest.as_ref().unwrap();
    assert_eq!((newest.by.as_str(), newest.why.as_str()), ("tom", "canary"));
    assert_eq!((newest.at, newest.from.as_str()), (Some(author().at), DUBBO));
    let second = write(&rules, KEY, None).await;
    let gone = rules.read(KEY).await.unwrap();
    assert_eq!((gone.counts(), gone.is_foreign()), (None, false));
    // A key that starts with another one's is another one's.
    write(&rules, &format!("{KEY}/x"), Some("b: 1")).await;
    assert_eq!(
        history(&rules).await,
        [(second, "deleted", None), (first, "applied", Some(text.to_owned()))]
    );
}

async fn what_others_wrote_is_remembered_before_it_is_written_over(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    let mut other = client(&store.url()).await;
    let first = write(&rules, KEY, Some("ours")).await;
    let put = other.put(DUBBO, "theirs", None).await.unwrap();
    let foreign = put.header().unwrap().revision();
    assert!(rules.read(KEY).await.unwrap().is_foreign());
    let second = write(&rules, KEY, Some("ours again")).await;
    let text = |text: &str| Some(text.to_owned());
    let mut all = vec![
        (second, "applied", text("ours again")),
        (foreign, "found", text("theirs")),
        (first, "applied", text("ours")),
    ];
    assert_eq!(history(&rules).await, all);
    other.put(DUBBO, b"\xff".to_vec(), None).await.unwrap();
    let bytes = rules.read(KEY).await.unwrap();
    assert_eq!(bytes.counts().unwrap().bytes, b"\xff");
    let foreign = bytes.counts().unwrap().revision;
    let third = write(&rules, KEY, Some("mended")).await;
    all.splice(0..0, [(third, "applied", text("mended")), (foreign, "found", None)]);
    assert_eq!(history(&rules).await, all);
    other.delete(DUBBO, None).await.unwrap();
    assert!(rules.read(KEY).await.unwrap().is_foreign());
}

async fn who_comes_second_writes_nothing(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    let (one, other) = (rules.read(KEY).await.unwrap(), rules.read("b").await.unwrap());
    write(&rules, KEY, Some("first")).await;
    let changes = [change(&other, Some("second")), change(&one, Some("second"))];
    let mut written = Vec::new();
    let raced = rules.write(&changes, &author(), &mut written).await;
    let Err(WriteError::Raced(keys)) = raced else { panic!("{raced:?}") };
    assert_eq!((keys, written), (vec![KEY.to_owned()], Vec::new()));
    assert_eq!(rules.read(KEY).await.unwrap().counts().unwrap().bytes, b"first");
    assert_eq!(rules.read("b").await.unwrap().counts(), None);
}

async fn many_rules_are_written_together(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    let mut standings = Vec::new();
    for number in 0..40 {
        standings.push(rules.read(&format!("app{number}.tag-router")).await.unwrap());
    }
    let changes: Vec<Change<'_>> = standings.iter().map(|one| change(one, Some("x"))).collect();
    let mut written = Vec::new();
    rules.write(&changes, &author(), &mut written).await.unwrap();
    assert_eq!(written.len(), 40);
    written.dedup();
    assert_eq!(written.len(), 2, "as few transactions as they fit into");
}

async fn what_does_not_fit_is_told(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    // Just what fits, with its record, and a little more.
    for (bytes, fits) in [(700_000, true), (800_000, false)] {
        let (standing, text) = (rules.read(KEY).await.unwrap(), "x".repeat(bytes));
        let mut written = Vec::new();
        let result = rules.write(&[change(&standing, Some(&text))], &author(), &mut written).await;
        assert_eq!((result.is_ok(), written.len()), (fits, usize::from(fits)), "{result:?}");
        if !fits {
            assert!(matches!(result, Err(WriteError::TooLarge { .. })), "{result:?}");
        }
        write(&rules, KEY, None).await;
    }
}

async fn the_own_place_comes_first(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    let first = write(&rules, KEY, Some("dubbo's")).await;
    let standing = rules.read(KEY).await.unwrap();
    let own = Change { place: Some(Place::Own), ..change(&standing, Some("own")) };
    rules.write(&[own], &author(), &mut Vec::new()).await.unwrap();
    let both = rules.read(KEY).await.unwrap();
    assert_eq!(both.counts().unwrap().from, format!("/spanwire/rules/{KEY}"));
    assert_eq!(both.hidden().unwrap().revision, first);
    // Where nothing is said, what counts is changed.
    write(&rules, KEY, Some("own again")).await;
    assert_eq!(rules.read(KEY).await.unwrap().counts().unwrap().bytes, b"own again");
    write(&rules, KEY, None).await;
    let left = rules.read(KEY).await.unwrap();
    assert_eq!((left.counts().unwrap().revision, left.hidden()), (first, None));
    assert!(!left.is_foreign());
}

async fn old_records_go(store: Store) {
    let rules = RuleStore::open(settings(&store.url())).await.unwrap();
    for number in 1..=53 {
        write(&rules, KEY, Some(&number.to_string())).await;
    }
    let records = rules.history(KEY).await.unwrap();
    let texts: Vec<&str> = records.iter().filter_map(|one| one.text.as_deref()).collect();
    assert_eq!((texts.len(), texts.first(), texts.last()), (50, Some(&"53"), Some(&"4")));
}
