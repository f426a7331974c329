//! The built binary as a shell sees it: whole standard output, whole standard
//! error, exit status.

mod arguments;
mod call;
mod control;
mod governance;
mod live;
mod provider;
mod proxy;
mod running;
mod stored_rules;

use std::process::{Command, Stdio};

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

/// The binary with `arguments`, in surroundings that do not change what it says.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    command.args(arguments).env_remove("SPANWIRE_LOG").env_remove("SPANWIRE_STORE");
    command.env("USER", "tom").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Ran {
    ran(&mut command(arguments))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary runs");
    Ran {
        status: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[track_caller]
fn check(arguments: &[&str], status: i32, stdout: &str, stderr: &str) {
    let expected = Ran { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() };
    let ran = run(arguments);
    assert!(ran == expected, "spanwire {arguments:?}\nexpected {expected:#?}\ngot {ran:#?}");
}
