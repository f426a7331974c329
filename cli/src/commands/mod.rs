//! The commands, one file each. A new one is a file and a line in [`COMMANDS`].

mod call;
mod completions;
mod control;
mod explain;
mod proxy;
mod rule;
mod store;

use std::ffi::OsString;

use clap::{ArgMatches, Args, FromArgMatches, Parser};

use crate::exit::{Exit, Failure};
use crate::logging::{self, LogOptions};

/// What `spanwire` can do, in the order in which the help shows it.
const COMMANDS: &[Entry] = &[
    Entry::of::<proxy::Proxy>(),
    Entry::of::<control::Control>(),
    Entry::of::<call::Call>(),
    Entry::of::<rule::Rule>(),
    Entry::of::<explain::Explain>(),
    Entry::of::<completions::Completions>(),
];

/// One command: its arguments, whose doc comments are its help, and what it does.
trait Command: Parser {
    /// Does it. Results go to standard output, everything else to standard error.
    fn run(self) -> Result<Exit, Failure>;
}

/// A command in the list, with its type erased.
struct Entry {
    command: fn() -> clap::Command,
    run: fn(&ArgMatches) -> Result<Exit, Failure>,
}

impl Entry {
    const fn of<C: Command>() -> Entry {
        Entry {
            command: C::command,
            run: |matches| {
                // The matches come from C's own definition, so they fit.
                C::from_arg_matches(matches).map_err(usage)?.run()
            },
        }
    }
}

/// The whole command line, as clap knows it.
pub(crate) fn definition() -> clap::Command {
    // The options first: their own doc comment would become the command's.
    let top = LogOptions::augment_args(clap::Command::new("spanwire"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("An RPC mesh for Java Dubbo services: sidecar, gateway and governance in one binary")
        .long_about(None::<&str>)
        .after_help(
            "Every command exits with 0 when it is done and found nothing, 1 when the answer is no \
             (findings, a failed call), and 2 when it could not run (bad arguments, bad \
             configuration). Results go to standard output, everything else to standard error.\n\n\
             `spanwire help COMMAND` shows examples.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100);
    COMMANDS.iter().fold(top, |top, entry| top.subcommand((entry.command)()))
}

/// Runs the command that `arguments` name.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<Exit, Failure> {
    let matches = match definition().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(usage(error)),
        // Help or the version was asked for.
        Err(error) => {
            error.print()?;
            return Ok(Exit::Done);
        }
    };
    let options = LogOptions::from_arg_matches(&matches).map_err(usage)?;
    logging::start(&options)?;
    let (name, matches) = matches.subcommand().expect("clap insists on a command");
    let entry = COMMANDS
        .iter()
        .find(|entry| (entry.command)().get_name() == name)
        .expect("clap knows only the commands of the list");
    (entry.run)(matches)
}

/// Bad arguments, explained by clap itself.
fn usage(error: clap::Error) -> Failure {
    let _ = error.print();
    Failure::Reported
}

#[cfg(test)]
mod tests;
