//! `spanwire completions`.

use std::io::{self, Write};

use clap::Parser;
use clap_complete::Shell;

use super::{Command, definition};
use crate::exit::{Exit, Failure};

/// Prints a script that completes commands and options in a shell
#[derive(Debug, Parser)]
#[command(
    name = "completions",
    after_help = "Examples:
  spanwire completions bash > /etc/bash_completion.d/spanwire
  spanwire completions zsh > \"${fpath[1]}/_spanwire\"
  spanwire completions fish > ~/.config/fish/completions/spanwire.fish"
)]
pub(super) struct Completions {
    /// The shell to write the script for
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Command for Completions {
    fn run(self) -> Result<Exit, Failure> {
        // clap_complete panics on a closed pipe; a buffer cannot be closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definition(), "spanwire", &mut script);
        io::stdout().lock().write_all(&script)?;
        Ok(Exit::Done)
    }
}
