//! The `spanwire` binary: reads arguments, calls one of the other crates, prints.
//!
//! Layout, in reading order:
//!
//! * [`commands`]: the list of commands, one file each.
//! * [`exit`]: what a command's end means to the shell.
//! * [`mod@print`]: how results and errors look.
//! * [`logging`]: what is logged, where, and in which form.
//!
//! Not here: anything that decides or talks to the network; a command that needs
//! that calls the crate that does it.

mod commands;
mod exit;
mod lint_pages;
mod logging;
mod print;

use std::process::ExitCode;

use crate::exit::Exit;

/// Small, long-lived allocations from many threads: what the system's allocator
/// keeps most memory for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(std::env::args_os()).unwrap_or_else(|failure| failure.report()).into()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.status())
    }
}
