//! `spanwire rule`: checking rules, and governing those in a store. One file for
//! each command; [`files`] reads rule files, [`changes`] writes to the store.

mod apply;
mod changes;
mod delete;
mod diff;
mod files;
mod get;
mod lint;
mod list;
mod log;
mod plan;
mod rollback;

use clap::{Parser, Subcommand};
use registry::RuleStore;
use registry::rule_store::Standing;
use tokio::runtime::Runtime;

use super::{Command, store};
use crate::exit::{Exit, Failure};
use crate::print;

/// Checks governance rules, and governs those in a store
#[derive(Debug, Parser)]
#[command(name = "rule")]
pub(super) struct Rule {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Lint(lint::Lint),
    Apply(apply::Apply),
    Get(get::Get),
    List(list::List),
    Diff(diff::Diff),
    Plan(plan::Plan),
    Delete(delete::Delete),
    Log(log::Log),
    Rollback(rollback::Rollback),
}

impl Command for Rule {
    fn run(self) -> Result<Exit, Failure> {
        match self.action {
            Action::Lint(lint) => lint.run(),
            Action::Apply(apply) => apply.run(),
            Action::Get(get) => get.run(),
            Action::List(list) => list.run(),
            Action::Diff(diff) => diff.run(),
            Action::Plan(plan) => plan.run(),
            Action::Delete(delete) => delete.run(),
            Action::Log(log) => log.run(),
            Action::Rollback(rollback) => rollback.run(),
        }
    }
}

/// Which store to talk to.
#[derive(Debug, clap::Args)]
struct StoreOption {
    /// The store: etcd endpoints, or that of `spanwire control`, comma separated
    #[arg(long = "store", value_name = "URL", env = "SPANWIRE_STORE", hide_env_values = true)]
    urls: String,
}

impl StoreOption {
    fn settings(&self) -> registry::Settings {
        store::settings(&store::endpoints(&self.urls))
    }

    fn open(&self) -> Result<OpenStore, Failure> {
        let runtime = store::runtime()?;
        let rules =
            runtime.block_on(RuleStore::open(self.settings())).map_err(store::unanswered)?;
        Ok(OpenStore { runtime, rules })
    }
}

/// A store, and the runtime to talk to it on.
struct OpenStore {
    runtime: Runtime,
    rules: RuleStore,
}

impl OpenStore {
    fn read(&self, key: &str) -> Result<Standing, Failure> {
        self.runtime.block_on(self.rules.read(key)).map_err(store::unanswered)
    }
}

/// Says that there is no such rule.
fn absent(key: &str) -> Exit {
    let hint = "`spanwire rule list` shows what there is";
    print::error(&format!("there is no rule {key} in the store"), hint);
    Exit::No
}
