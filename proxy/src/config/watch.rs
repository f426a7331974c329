//! Follows the configuration file of a running proxy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use governance::Finding;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::{MissedTickBehavior, interval};

use super::{Config, parse};
use crate::metrics::Metrics;

/// How often the file is read. Reading a few kilobytes costs less than to learn
/// of every way in which a file can change under its name (renamed over, a link
/// moved, a mount without notifications).
const PERIOD: Duration = Duration::from_millis(250);

/// Follows `file`, which held `current` at the start: the receiver gets each
/// further configuration that is good. A bad one is logged with all its findings,
/// counted, and changes nothing. Runs on the current tokio runtime, until every
/// receiver is gone.
pub fn watch(file: PathBuf, current: Config, metrics: Arc<Metrics>) -> Receiver<Arc<Config>> {
    let (sender, receiver) = channel(Arc::new(current));
    tokio::spawn(follow(file, sender, metrics));
    receiver
}

/// The keys whose change only a restart brings into effect.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // Taken apart whole: a new key has to be given its place here.
    let Config {
        workers,
        admin,
        store,
        state,
        application: _,
        labels: _,
        services: _,
        rules,
        scripts,
        listeners,
        limits,
        timeouts,
        access_log,
    } = old;
    [
        ("workers", *workers != new.workers),
        ("admin", *admin != new.admin),
        ("store", *store != new.store),
        ("state", *state != new.state),
        ("rules", *rules != new.rules),
        ("scripts", *scripts != new.scripts),
        ("listeners", *listeners != new.listeners),
        ("limits", *limits != new.limits),
        ("timeouts", *timeouts != new.timeouts),
        ("access_log", *access_log != new.access_log),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

async fn follow(file: PathBuf, sender: Sender<Arc<Config>>, metrics: Arc<Metrics>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sightings = Sightings::default();
    loop {
        tokio::select! {
            () = sender.closed() => return,
            _ = ticks.tick() => {}
        }
        let text = tokio::fs::read_to_string(&file).await.map_err(|error| error.to_string());
        if let Some(text) = sightings.news(text) {
            judge(&file, text, &sender, &metrics);
        }
    }
}

/// What the file held, or why it could not be read.
type Text = Result<String, String>;

/// Tells news from what is known and from what is still being written.
#[derive(Debug, Default)]
struct Sightings {
    judged: Option<Text>,
    seen: Option<Text>,
}

impl Sightings {
    /// Takes what was seen now, and returns it if it is to be judged: seen twice in
    /// a row, because it may be half of what is being written, and new.
    fn news(&mut self, text: Text) -> Option<&Text> {
        let is_steady = self.seen.as_ref() == Some(&text);
        if is_steady && self.judged.as_ref() != Some(&text) {
            self.judged = Some(text);
            return self.judged.as_ref();
        }
        self.seen = Some(text);
        None
    }
}

fn judge(file: &Path, text: &Text, sender: &Sender<Arc<Config>>, metrics: &Metrics) {
    let parsed = match text {
        Ok(text) => parse(file, text),
        Err(error) => {
            metrics.config_refused();
            tracing::error!(file = %file.display(), %error, "the configuration cannot be read; the last good one stays");
            return;
        }
    };
    match parsed {
        // The text that the process started with, or one that says the same.
        Ok(config) if *sender.borrow().as_ref() == config => {}
        Ok(config) => {
            metrics.config_applied();
            sender.send_replace(Arc::new(config));
        }
        Err(findings) => {
            metrics.config_refused();
            report(&findings);
        }
    }
}

fn report(findings: &[Finding]) {
    tracing::error!(
        findings = findings.len(),
        "the changed configuration has mistakes; the last good one stays"
    );
    for finding in findings {
        tracing::error!(
            file = finding.file,
            line = finding.line,
            column = finding.column,
            code = finding.code,
            hint = finding.hint,
            "{}",
            finding.message
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const GOOD: &str =
        "application: one\nlisteners: [{name: a, bind: '127.0.0.1:0', direction: gateway}]\n";

    async fn wait_for_refusals(metrics: &Metrics, count: u64) {
        let line = format!("spanwire_config_reloads_total{{result=\"refused\"}} {count}\n");
        timeout(Duration::from_secs(20), async {
            while !metrics.render().contains(&line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the bad configuration is noticed");
    }

    #[tokio::test]
    async fn a_good_change_arrives_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.yaml");
        fs::write(&file, GOOD).unwrap();
        let metrics = Metrics::new();
        let first = parse(&file, GOOD).unwrap();
        let mut configs = watch(file.clone(), first, metrics.clone());

        fs::write(&file, GOOD.replace("listeners", "listener")).unwrap();
        wait_for_refusals(&metrics, 1).await;
        fs::remove_file(&file).unwrap();
        wait_for_refusals(&metrics, 2).await;
        assert!(!configs.has_changed().unwrap());

        fs::write(&file, GOOD.replace("one", "two")).unwrap();
        timeout(Duration::from_secs(20), configs.changed()).await.unwrap().unwrap();
        assert_eq!(configs.borrow_and_update().application, "two");
        wait_for_refusals(&metrics, 2).await;
    }

    #[test]
    fn half_a_file_is_no_news() {
        let mut sightings = Sightings::default();
        let mut news = |text: &str| sightings.news(Ok(text.to_owned())).is_some();
        let seen = ["a", "a", "a", "b", "bc", "bc", "bc", "b", "bc", "a", "a"];
        let found: Vec<bool> = seen.into_iter().map(&mut news).collect();
        let judged = found.iter().enumerate().filter_map(|(i, news)| news.then_some(i));
        assert_eq!(judged.collect::<Vec<_>>(), [1, 5, 10]);
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let file = Path::new("proxy.yaml");
        let old = parse(file, GOOD).unwrap();
        assert_eq!(needs_restart(&old, &old), [""; 0]);
        let other = parse(file, &format!("{GOOD}labels: {{a: b}}\n")).unwrap();
        assert_eq!(needs_restart(&old, &other), [""; 0]);
        let text = GOOD.replace("'127.0.0.1:0'", "'127.0.0.1:1'");
        let other = parse(file, &format!("{text}timeouts: {{drain: 1s}}\n")).unwrap();
        assert_eq!(needs_restart(&old, &other), ["listeners", "timeouts"]);
    }
}
