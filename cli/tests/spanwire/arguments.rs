//! What every command shares: help, version, logging options, closed pipes.

use super::*;

#[test]
fn the_version_goes_to_stdout() {
    check(&["--version"], 0, &format!("spanwire {}\n", env!("CARGO_PKG_VERSION")), "");
}

#[test]
fn help_goes_to_stdout_when_it_is_asked_for() {
    let ran = run(&["help", "call"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("Examples:\n  spanwire call dubbo://"), "{}", ran.stdout);
}

#[test]
fn help_goes_to_stderr_when_arguments_are_missing() {
    let ran = run(&[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Usage: spanwire [OPTIONS] <COMMAND>"), "{}", ran.stderr);
}

#[test]
fn a_slip_in_a_command_is_corrected() {
    check(
        &["porxy"],
        2,
        "",
        "error: unrecognized subcommand 'porxy'

  tip: a similar subcommand exists: 'proxy'

Usage: spanwire [OPTIONS] <COMMAND>

For more information, try '--help'.
",
    );
}

#[test]
fn a_bad_log_level_is_refused() {
    for level in ["proxy=loud", "warning", "info,proxy"] {
        let ran = run(&["--log", level, "completions", "bash"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
        assert!(
            ran.stderr.starts_with(&format!("error: the log level '{level}' cannot be read: "))
                && ran.stderr.ends_with(
                    "\n\nhint: use off, error, warn, info or debug, or list modules: 'info,proxy=debug'\n"
                ),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn completions_are_a_script() {
    let ran = run(&["completions", "bash"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("complete -F _spanwire"), "{}", ran.stdout);
}

/// `spanwire … | head` is no failure.
#[test]
fn a_reader_that_has_seen_enough_is_success() {
    let mut child = command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
