//! `spanwire rule plan`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use governance::explain::{Question, read_question, split_cases};
use governance::{Affected, Compat, Finding, Severity};
use proxy::explain::Stored;
use proxy::plan::{self, ChangedCall, Changes, Decided};
use registry::{Origin, RuleDocument, View};
use serde::Serialize;

use super::files::{RuleFile, RuleFiles};
use super::{StoreOption, absent};
use crate::commands::store;
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Shows which calls a change of rules would move
#[derive(Debug, Parser)]
#[command(
    long_about = "Shows which calls a change of rules would move.

Nothing is written. Calls are decided 200 times each, by the rules and providers that the store has \
now, and by them with these changes: how many go to which endpoint, and how many to none. Without \
--calls, they are one call of each method that a provider registers, without arguments and attachments, \
by nobody in particular and by each application that a rule's key names.

Exit status 1 where a rule does not check out, or where calls would lose all their endpoints.",
    after_help = "Examples:
  spanwire rule plan -f rules/ --store http://127.0.0.1:2379
  spanwire rule plan -f shop.tag-router.yaml --calls calls.yaml
  spanwire rule plan --delete shop.tag-router

Calls, separated by ---, each as for `spanwire explain --store`; `random` does not count:
  call: {service: lab.EchoService, method: sayHello, arguments: [tom], attachments: {dubbo.tag: gray}}"
)]
pub(super) struct Plan {
    /// Rule files, and folders of them, that would be applied
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,

    /// Rules that would be deleted
    #[arg(long, value_name = "KEY", required_unless_present = "files", num_args = 1..)]
    delete: Vec<String>,

    /// Calls to look at
    #[arg(long, value_name = "CASES")]
    calls: Option<PathBuf>,

    #[command(flatten)]
    store: StoreOption,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// The whole answer, in JSON.
#[derive(Default, Serialize)]
struct Report {
    documents: Vec<Row>,
    /// The services that the changes name or touch.
    services: BTreeSet<String>,
    calls: Vec<ChangedCall>,
    unchanged: usize,
    is_cut: bool,
    findings: Vec<Finding>,
}

/// A document, in JSON.
#[derive(Serialize)]
struct Row {
    key: String,
    /// `added`, `changed`, `unchanged` or `deleted`.
    change: &'static str,
}

impl Plan {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let read = match self.files.as_slice() {
            [] => RuleFiles::default(),
            files => RuleFiles::read_distinct(files)?,
        };
        if !read.are_good() {
            match self.output {
                Format::Json => {
                    print_json(&Report { findings: read.findings, ..Report::default() })?
                }
                Format::Text => print::refusal(&read.findings, "nothing can be planned")?,
            }
            return Ok(Exit::No);
        }
        let asked = match &self.calls {
            Some(file) => match read_calls(file)? {
                Ok(calls) => Some(calls),
                Err(findings) => {
                    print::rule_findings(&findings, Format::Text)?;
                    return Ok(Exit::CouldNotRun);
                }
            },
            None => None,
        };
        let runtime = store::runtime()?;
        let look = |services: &[&str]| {
            runtime
                .block_on(registry::look(self.store.settings(), services))
                .map_err(store::unanswered)
        };
        let rules = look(&[])?;
        if let Some(key) = self.delete.iter().find(|key| !rules.rules.contains_key(*key)) {
            return Ok(absent(key));
        }
        let changes = changes(&read.files, &self.delete);
        let about = plan::about(&rules, &changes);
        let names = match &asked {
            Some(calls) => calls.iter().map(|call| call.call.service.clone()).collect(),
            None => match named(&about) {
                Some(names) => names,
                None => runtime
                    .block_on(registry::look::interfaces(self.store.settings()))
                    .map_err(store::unanswered)?,
            },
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut report = compare(&*look(&names)?, &changes, &about, asked);
        report.findings = read.findings;
        match self.output {
            Format::Json => print_json(&report)?,
            Format::Text => {
                print::rule_findings(&report.findings, Format::Text)?;
                report.print(&mut io::stdout().lock())?;
            }
        }
        let loses = report.calls.iter().any(ChangedCall::loses);
        Ok(if loses { Exit::No } else { Exit::Done })
    }
}

fn changes(files: &[RuleFile], deleted: &[String]) -> Changes {
    let mut changes: Changes = deleted.iter().map(|key| (key.clone(), None)).collect();
    for RuleFile { path, key, text } in files {
        let origin = Origin::File(path.clone());
        let (key, text) = (key.clone(), text.clone());
        let document = RuleDocument { key: key.clone(), text, origin, unreadable: None };
        changes.insert(key, Some(Arc::new(document)));
    }
    changes
}

/// The services that changes are about, where they are about these alone.
fn named(about: &[Affected]) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    for about in about {
        match about {
            Affected::Services(services) => names.extend(services.iter().cloned()),
            Affected::Nothing => {}
            Affected::Application(_) | Affected::Hosts(_) | Affected::All => return None,
        }
    }
    Some(names.into_iter().collect())
}

fn compare(
    view: &View,
    changes: &Changes,
    about: &[Affected],
    asked: Option<Vec<Question>>,
) -> Report {
    let changed = plan::changed(view, changes);
    let before = Stored::new(view, Compat::Documented);
    let after = Stored::new(&changed, Compat::Documented);
    let (calls, is_cut) = match asked {
        Some(calls) => (calls, false),
        None => plan::calls(view, &before, &after, about),
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let planned = plan::plan(&before, &after, &calls, now_ms);
    let document = |(key, document): (&String, &Option<Arc<RuleDocument>>)| {
        let change = match (view.rules.get(key), document) {
            (_, None) => "deleted",
            (None, Some(_)) => "added",
            (Some(before), Some(after)) if before.text == after.text => "unchanged",
            (Some(_), Some(_)) => "changed",
        };
        Row { key: key.clone(), change }
    };
    let mut services: BTreeSet<String> =
        calls.into_iter().map(|question| question.call.service).collect();
    for about in about {
        if let Affected::Services(names) = about {
            services.extend(names.iter().cloned());
        }
    }
    Report {
        documents: changes.iter().map(document).collect(),
        services,
        calls: planned.calls,
        unchanged: planned.unchanged,
        is_cut,
        findings: Vec::new(),
    }
}

fn read_calls(file: &Path) -> Result<Result<Vec<Question>, Vec<Finding>>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", file.display()), ""))?;
    let (mut calls, mut findings) = (Vec::new(), Vec::new());
    for (index, case) in split_cases(&text).enumerate() {
        let name = format!("{} case {}", file.display(), index + 1);
        match read_question(&name, case) {
            Ok(question) if question.compat == Some(Compat::Java) => findings.push(Finding {
                file: name,
                line: 0,
                column: 0,
                code: "not-live",
                severity: Severity::Error,
                message: "a plan reads rules as documented, not as Java does".to_owned(),
                hint: "leave compat out, or decide the case with `spanwire explain`".to_owned(),
            }),
            Ok(question) => calls.push(question),
            Err(found) => findings.extend(found),
        }
    }
    Ok(if findings.is_empty() { Ok(calls) } else { Err(findings) })
}

fn print_json(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, report)?;
    writeln!(stdout)
}

impl Report {
    fn print(&self, to: &mut impl Write) -> io::Result<()> {
        for Row { key, change } in &self.documents {
            writeln!(to, "{change:<9}  {key}")?;
        }
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let services = if services.is_empty() { "none".to_owned() } else { services.join(", ") };
        writeln!(to, "services   {services}")?;
        for call in &self.calls {
            print_call(call, to)?;
        }
        let all = self.calls.len() + self.unchanged;
        write!(to, "\n{} of {all} calls change", self.calls.len())?;
        let loses = self.calls.iter().filter(|call| call.loses()).count();
        if loses > 0 {
            write!(to, ", {loses} would find nobody")?;
        }
        writeln!(to, "{}", if self.is_cut { "; there are more than were looked at" } else { "" })
    }
}

fn print_call(changed: &ChangedCall, to: &mut impl Write) -> io::Result<()> {
    let ChangedCall { service, version, group, method, application, before, after } = changed;
    write!(to, "\n{service}")?;
    if !version.is_empty() || !group.is_empty() {
        write!(to, ":{version}:{group}")?;
    }
    write!(to, "/{method}")?;
    match application.as_str() {
        "" => writeln!(to)?,
        application => writeln!(to, ", called by {application}")?,
    }
    let shares = |decided: &Decided| -> Vec<(String, f64)> {
        let faults = decided.faults.iter().map(|(reason, share)| ((*reason).to_owned(), *share));
        decided.endpoints.iter().map(|(name, share)| (name.clone(), *share)).chain(faults).collect()
    };
    let (was, will) = (shares(before), shares(after));
    let names: BTreeSet<&String> = was.iter().chain(&will).map(|(name, _)| name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for name in names {
        let share = |shares: &[(String, f64)]| {
            shares.iter().find(|(other, _)| other == name).map_or(0.0, |(_, share)| share * 100.0)
        };
        writeln!(to, "  {name:<width$}  {:>5.1} % -> {:>5.1} %", share(&was), share(&will))?;
    }
    if before.endpoints.is_empty() || after.endpoints.is_empty() {
        return Ok(());
    }
    if before.timeout_ms != after.timeout_ms {
        writeln!(to, "  timeout  {} ms -> {} ms", before.timeout_ms, after.timeout_ms)?;
    }
    if before.retries != after.retries {
        writeln!(to, "  retries  {} -> {}", before.retries, after.retries)?;
    }
    Ok(())
}
