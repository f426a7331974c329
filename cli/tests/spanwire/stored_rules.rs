//! `spanwire rule` with a store.

use std::fs;
use std::path::Path;

use registry::{Registration, Registry, Settings};
use tempfile::TempDir;

use super::running::Running;
use super::*;

const KEY: &str = "lab.EchoService::.condition-router";
const FROM: &str = "/dubbo/config/dubbo/lab.EchoService::.condition-router";
const TEXT: &str = "configVersion: v3.0\nforce: true\nconditions: ['=> region=hz']\n";

/// A running `spanwire control`, and a folder to work in.
pub(crate) struct Store {
    _control: Running,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

/// Providers that are registered.
pub(crate) struct Registered {
    _registration: Registration,
    _runtime: tokio::runtime::Runtime,
}

impl Store {
    pub(crate) fn start() -> Store {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("store");
        let data = data.to_str().expect("UTF-8");
        let mut control = Running::start(&["control", "--listen", "127.0.0.1:0", "--data", data]);
        let url = format!("http://{}", control.logged("embedded store serves", "address"));
        Store { _control: control, url, folder }
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = self.folder.path().join(name);
        fs::create_dir_all(file.parent().expect("it is in the folder")).expect("a folder");
        fs::write(file, text).expect("the folder is ours");
    }

    /// Registers providers, until what is returned is dropped.
    pub(crate) fn register(&self, urls: &[&str]) -> Registered {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let settings = Settings { store: vec![self.url.clone()], ..Settings::default() };
        let registration = runtime.block_on(async {
            let registry = Registry::start(settings).expect("good settings");
            let registration = registry.register(&urls).expect("good URLs");
            registration.registered().await;
            registration
        });
        Registered { _registration: registration, _runtime: runtime }
    }

    /// `spanwire rule` with these arguments.
    pub(crate) fn rule(&self, arguments: &[&str]) -> Ran {
        let mut command = command(&["rule"]);
        command.args(arguments).env("SPANWIRE_STORE", &self.url).current_dir(self.folder.path());
        ran(&mut command)
    }

    /// The same, where all that it prints is known.
    #[track_caller]
    fn check(&self, arguments: &[&str], status: i32, stdout: &str, stderr: &str) {
        let expected = Ran { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        let ran = self.rule(arguments);
        assert!(ran == expected, "rule {arguments:?}\nexpected {expected:#?}\ngot {ran:#?}");
    }
}

#[test]
fn what_was_applied_is_what_is_got() {
    let store = Store::start();
    // Line ends, a last line without one, and more than ASCII.
    let text = "# \u{1f600}\r\nconfigVersion: v3.0\r\nconditions: ['=> region=hz']";
    store.write(&format!("{KEY}.yaml"), text);
    store.check(
        &["apply", "-f", &format!("{KEY}.yaml"), "-m", "first"],
        0,
        &format!("applied     {KEY}  {FROM}@2\n"),
        "",
    );
    store.check(&["get", KEY], 0, text, "");
    let again = ["apply", "-f", &format!("{KEY}.yaml"), "-o", "json"];
    let document = format!(
        r#"{{"key":"{KEY}","result":"unchanged","from":"{FROM}","revision":2,"hidden_by":null}}"#
    );
    store.check(&again, 0, &format!("{{\"documents\":[{document}],\"findings\":[]}}\n"), "");
    store.check(&["diff", "-f", &format!("{KEY}.yaml")], 0, "", "");
    let json = store.rule(&["get", KEY, "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json, serde_json::json!({"key": KEY, "from": FROM, "revision": 2, "text": text}));
}

#[test]
fn one_error_keeps_everything_back_and_a_warning_nothing() {
    let store = Store::start();
    store.write(&format!("rules/{KEY}.yaml"), TEXT);
    store.write("rules/shop.tag-router.yaml", "tags: [{nme: gray}]\n");
    let ran = store.rule(&["apply", "-f", "rules"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    let wanted = "error: rules/shop.tag-router.yaml:1:9: unknown key \"nme\"";
    assert!(ran.stderr.contains(wanted), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("\nerror: nothing is applied\n"), "{}", ran.stderr);
    store.check(&["list"], 0, "", "");
    store.write("rules/shop.tag-router.yaml", b"\xff");
    let ran = store.rule(&["apply", "-f", "rules", "-o", "json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(json["documents"], serde_json::json!([]));
    assert_eq!(json["findings"][0]["code"], "not-utf8");

    store.write(
        "rules/shop.tag-router.yaml",
        "priority: 1\ntags: [{name: a, addresses: ['h:1']}]\n",
    );
    let ran = store.rule(&["apply", "-f", "rules"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("warning: rules/shop.tag-router.yaml:1:11: "), "{}", ran.stderr);
    let tags = "/dubbo/config/dubbo/shop.tag-router";
    let listed = format!(
        "good     {KEY}  {FROM}@2\ngood     shop.tag-router{:19}  {tags}@2  1 finding\n",
        ""
    );
    store.check(&["list"], 0, &listed, "");
}

#[test]
fn a_change_is_shown_logged_and_rolled_back() {
    let store = Store::start();
    let file = format!("{KEY}.yaml");
    store.write(&file, TEXT);
    let added = format!(
        "--- /dev/null\n+++ {file}\n@@ -0,0 +1,3 @@\n+configVersion: v3.0\n+force: true\n+conditions: ['=> region=hz']\n"
    );
    store.check(&["diff", "-f", &file], 1, &added, "");
    store.rule(&["apply", "-f", &file, "-m", "to hz"]);
    let changed = TEXT.replace("hz", "bj");
    store.write(&file, &changed);
    let diff = format!(
        "--- {FROM}@2\n+++ {file}\n@@ -1,3 +1,3 @@\n configVersion: v3.0\n force: true\n-conditions: ['=> region=hz']\n+conditions: ['=> region=bj']\n"
    );
    store.check(&["diff", "-f", &file], 1, &diff, "");
    store.rule(&["apply", "-f", &file, "-m", "to bj"]);
    store.check(&["get", KEY, "--revision", "2"], 0, TEXT, "");
    let back = format!("rolled back {KEY}  {FROM}@4\n");
    store.check(&["rollback", KEY], 0, &back, "");
    store.check(&["get", KEY], 0, TEXT, "");
    let gone = format!("deleted     {KEY}  {FROM}@5\n");
    store.check(&["delete", KEY, "-m", "over"], 0, &gone, "");
    let back = format!("rolled back {KEY}  {FROM}@6\n");
    store.check(&["rollback", KEY, "--to", "3", "-m", "again"], 0, &back, "");
    store.check(&["get", KEY], 0, &changed, "");
    let back = format!("unchanged   {KEY}  {FROM}@6\n");
    store.check(&["rollback", KEY, "--to", "3"], 0, &back, "");

    let log = store.rule(&["log", KEY, "-o", "json"]);
    let log: serde_json::Value = serde_json::from_str(&log.stdout).expect("JSON");
    let rows: Vec<String> = log
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| format!("{} {} {} {}", row["revision"], row["action"], row["by"], row["why"]))
        .collect();
    let wanted = [
        r#"6 "rolled_back" "tom" "again""#,
        r#"5 "deleted" "tom" "over""#,
        r#"4 "rolled_back" "tom" "back to revision 2""#,
        r#"3 "applied" "tom" "to bj""#,
        r#"2 "applied" "tom" "to hz""#,
    ];
    assert_eq!(rows, wanted);
    // Back to before there was one.
    store.write("new.tag-router.yaml", "tags: [{name: a, addresses: ['h:1']}]\n");
    store.rule(&["apply", "-f", "new.tag-router.yaml"]);
    let ran = store.rule(&["rollback", "new.tag-router"]);
    assert_eq!(ran.status, 1);
    let wanted = "error: nothing is remembered of new.tag-router before its last change\n";
    assert!(ran.stderr.starts_with(wanted), "{}", ran.stderr);
}

#[test]
fn what_is_not_there_is_told() {
    let store = Store::start();
    let absent = "error: there is no rule shop.tag-router in the store\n\nhint: `spanwire rule list` shows what there is\n";
    for command in ["get", "delete", "log", "rollback"] {
        store.check(&[command, "shop.tag-router"], 1, "", absent);
    }
    let ran = store.rule(&["get", "shop.tag-router", "--store", "http://127.0.0.1:1"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.starts_with("error: the store at http://127.0.0.1:1 does not answer: ")
            && ran.stderr.ends_with("\n\nhint: check the address, and that the store is up\n"),
        "{}",
        ran.stderr
    );
    let ran = run(&["rule", "get", "shop.tag-router"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--store <URL>"), "{}", ran.stderr);
    store.write("a/k.tag-router.yaml", "");
    store.write("a/k.tag-router.yml", "");
    store.check(
        &["apply", "-f", "a"],
        2,
        "",
        "error: a/k.tag-router.yaml and a/k.tag-router.yml are both k.tag-router\n\nhint: a rule's key is its file's name: name one of the two\n",
    );
}

#[test]
fn spanwires_own_place_comes_first() {
    let store = Store::start();
    let own = format!("/spanwire/rules/{KEY}");
    let file = format!("{KEY}.yaml");
    store.write(&file, TEXT);
    store.rule(&["apply", "-f", &file]);
    let applied = format!("applied     {KEY}  {own}@3\n");
    store.check(&["apply", "-f", &file, "--place", "spanwire"], 0, &applied, "");
    let listed = format!("good     {KEY}  {own}@3\nhidden   {KEY}  {FROM}@2\n");
    store.check(&["list"], 0, &listed, "");
    store.write(&file, TEXT.replace("hz", "bj"));
    let hidden = format!("applied     {KEY}  {FROM}@4  (does not count: {own} comes first)\n");
    store.check(&["apply", "-f", &file, "--place", "dubbo"], 0, &hidden, "");
    store.check(&["get", KEY], 0, TEXT, "");
    let deleted = format!("deleted     {KEY}  {own}@5\ncounts now  {FROM}@4\n");
    store.check(&["delete", KEY], 0, &deleted, "");
}

/// The manual's session is what happens.
#[test]
fn the_manual_shows_what_happens() {
    let store = Store::start();
    store.write("shop.tag-router.yaml", "tags:\n  - {name: gray, addresses: ['10.0.0.1:20880']}\n");
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rules.md");
    let text = fs::read_to_string(&manual).expect("docs/rules.md");
    let (before, rest) = text.split_once("```console\n").expect("a session");
    let (session, after) = rest.split_once("```\n").expect("its end");
    let binary = Path::new(env!("CARGO_BIN_EXE_spanwire")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut made = String::new();
    for line in session.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{line} 2>&1")]).current_dir(store.folder.path());
        shell.env("PATH", &path).env("SPANWIRE_STORE", &store.url).env("USER", "tom");
        let ran = ran(shell.env_remove("SPANWIRE_LOG"));
        made.push_str(&format!("$ {line}\n{}", with_one_time(&ran.stdout)));
    }
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}```console\n{made}```\n{after}");
        fs::write(&manual, text).expect("docs/rules.md can be written");
    }
    assert!(session == made, "UPDATE=1 cargo test -p cli writes docs/rules.md anew:\n{made}");
}

/// Every time in a text is another one.
fn with_one_time(text: &str) -> String {
    const TIME: &str = "2026-11-26T00:46:17.813Z";
    let is_time =
        |word: &str| word.len() == TIME.len() && word.ends_with('Z') && word.contains('T');
    let words: Vec<&str> =
        text.split(' ').map(|word| if is_time(word) { TIME } else { word }).collect();
    words.join(" ")
}
