//! What the end of a command means to the shell.

use std::io;

use crate::print;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and nothing was found to complain of.
    Done,
    /// The answer is no: findings, denied, the call failed.
    No,
    /// It could not run: bad arguments, a bad configuration, no store.
    CouldNotRun,
}

impl Exit {
    /// The exit status, the same for every command.
    pub(crate) fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::CouldNotRun => 2,
        }
    }
}

/// Why a command could not run, and what a person can do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Standard output is closed: the reader has seen enough, which is success.
    BrokenPipe,
    /// Anything else, already explained on standard error.
    Reported,
    /// Anything else.
    Explained {
        /// What happened and why, lowercase.
        message: String,
        /// What to do; may be empty.
        hint: String,
    },
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::Explained { message: message.into(), hint: hint.into() }
    }

    /// Tells the person, and how to exit.
    pub(crate) fn report(self) -> Exit {
        match self {
            Failure::BrokenPipe => Exit::Done,
            Failure::Reported => Exit::CouldNotRun,
            Failure::Explained { message, hint } => {
                print::error(&message, &hint);
                Exit::CouldNotRun
            }
        }
    }
}

/// A failure to write a result.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::BrokenPipe;
        }
        Failure::new(format!("standard output cannot be written: {error}"), "")
    }
}
