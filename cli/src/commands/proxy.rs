//! `spanwire proxy`.

use std::path::PathBuf;

use clap::Parser;

use super::Command;
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Runs the listeners of a configuration: a sidecar, a gateway, or both
#[derive(Debug, Parser)]
#[command(
    name = "proxy",
    long_about = "Runs the listeners of a configuration: a sidecar, a gateway, or both.

SIGTERM drains: callers are asked to go elsewhere, calls in flight are answered, then it ends. \
SIGINT (Ctrl-C) ends at once. The configuration is watched while it runs; a change with mistakes \
is logged and changes nothing.",
    after_help = "Examples:
  spanwire proxy -c sidecar.yaml
  spanwire proxy -c sidecar.yaml --check           every mistake as file:line:column, starts nothing
  spanwire proxy -c sidecar.yaml --check -o json   the same for machines
  spanwire proxy -c sidecar.yaml --log debug --log-format json

The smallest configuration:
  listeners: [{name: out, bind: \"0.0.0.0:20880\", direction: outbound}]
  store: http://127.0.0.1:2379

Every key is described in docs/configuration.md."
)]
pub(super) struct Proxy {
    /// The configuration (YAML)
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// Only check the configuration
    #[arg(long)]
    check: bool,

    /// How to print what the check found
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "text",
        requires = "check"
    )]
    output: Format,
}

impl Command for Proxy {
    fn run(self) -> Result<Exit, Failure> {
        let config = match proxy::config::load(&self.config) {
            Ok(config) => config,
            Err(findings) => {
                print::findings(&findings, self.output)?;
                return Ok(Exit::CouldNotRun);
            }
        };
        if self.check {
            print::findings(&[], self.output)?;
            return Ok(Exit::Done);
        }
        proxy::server::run(config, Some(self.config))
            .map_err(|error| Failure::new(print::chain(&error), ""))?;
        Ok(Exit::Done)
    }
}
