//! How errors and findings look: one shape, readable without colour, colour only
//! on a terminal and never with `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use governance::{Finding, Severity};

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Whether standard error takes colour.
pub(crate) fn stderr_has_colour() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && io::stderr().is_terminal()
}

/// Prints `error: …`, and the hint after an empty line.
pub(crate) fn error(message: &str, hint: &str) {
    to_stderr(&paint(Severity::Error, message, hint));
}

/// Prints findings, and behind them that they are why something is not done.
pub(crate) fn refusal(found: &[Finding], message: &str) -> io::Result<()> {
    findings(found, Format::Text)?;
    to_stderr("\n");
    error(message, "");
    Ok(())
}

/// Prints every finding: for people on standard error, or as a JSON array of
/// `{file, line, column, code, severity, message, hint}` on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn findings(findings: &[Finding], format: Format) -> io::Result<()> {
    write_findings(findings, format, |_| String::new())
}

/// As [`findings`], each for people with its code, which has a page.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn rule_findings(findings: &[Finding], format: Format) -> io::Result<()> {
    write_findings(findings, format, |finding| format!(" [{}]", finding.code))
}

fn write_findings(
    findings: &[Finding],
    format: Format,
    suffix: impl Fn(&Finding) -> String,
) -> io::Result<()> {
    if format == Format::Json {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, findings)?;
        return writeln!(stdout);
    }
    for (i, finding) in findings.iter().enumerate() {
        let gap = if i == 0 { "" } else { "\n" };
        let place = if finding.line == 0 {
            finding.file.clone()
        } else {
            format!("{}:{}:{}", finding.file, finding.line, finding.column)
        };
        let message = format!("{place}: {}{}", finding.message, suffix(finding));
        to_stderr(&format!("{gap}{}", paint(finding.severity, &message, &finding.hint)));
    }
    Ok(())
}

fn paint(severity: Severity, message: &str, hint: &str) -> String {
    let label = severity.label();
    let colour = match severity {
        Severity::Error => 31,
        Severity::Warning => 33,
        Severity::Info => 36,
    };
    let (label, hint_label) = if stderr_has_colour() {
        (format!("\x1b[1;{colour}m{label}\x1b[0m"), "\x1b[1;32mhint\x1b[0m")
    } else {
        (label.to_owned(), "hint")
    };
    if hint.is_empty() {
        format!("{label}: {message}\n")
    } else {
        format!("{label}: {message}\n\n{hint_label}: {hint}\n")
    }
}

/// Standard error may be closed; there is nobody left to tell then.
fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// An error and what caused it, on one line. A cause that the error's own text
/// ends with is not repeated.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
