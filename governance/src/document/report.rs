//! The findings about one document, as they are collected.

use super::finding::{Finding, Severity};
use super::node::Position;

/// The most findings that are kept of one document, so that a hostile one costs
/// no more than a bad one.
pub const MAX_FINDINGS: usize = 200;
/// The longest message or hint, in bytes; they quote documents.
const MAX_TEXT: usize = 1000;
/// The most regular expressions in one document.
const MAX_REGEXES: usize = 100;
/// For so many counts one that is refused.
const REFUSED_REGEX: usize = 5;

/// Collects the findings about one document.
#[derive(Debug, Clone, Default)]
pub struct Report {
    file: String,
    findings: Vec<Finding>,
    regexes: usize,
}

impl Report {
    /// No finding yet about a file, or a rule's key.
    pub fn new(file: impl Into<String>) -> Self {
        Report { file: file.into(), ..Report::default() }
    }

    /// The document's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Adds a finding that keeps the document from taking effect.
    pub fn error(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, at, code, message, hint);
    }

    /// Adds a finding that the author should know of.
    pub fn warning(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, at, code, message, hint);
    }

    /// Adds a finding. After [`MAX_FINDINGS`] only the first error is added.
    pub fn add(
        &mut self,
        severity: Severity,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.is_full() && (severity < Severity::Error || self.has_errors()) {
            return;
        }
        self.findings.push(Finding {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            code,
            severity,
            message: bounded(message.into()),
            hint: bounded(hint.into()),
        });
    }

    /// Whether there are so many findings that no more are looked for.
    pub fn is_full(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    /// Whether nothing more that is found could change anything: the document does not take
    /// effect, and no finding is added. Java goes on with what it can read.
    pub(crate) fn is_hopeless(&self, compat: crate::rules::Compat) -> bool {
        compat == crate::rules::Compat::Documented && self.is_full() && self.has_errors()
    }

    /// Counts a regular expression, whose compiling takes time; false when there
    /// are too many in the document.
    pub(crate) fn may_compile_regex(&mut self) -> bool {
        self.regexes += 1;
        self.regexes <= MAX_REGEXES
    }

    /// A regular expression was refused, often for its size: that took the most time.
    pub(crate) fn refused_regex(&mut self) {
        self.regexes += REFUSED_REGEX - 1;
    }

    /// Whether a finding keeps the document from taking effect.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// What was found so far, in order of discovery.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How bad it is that a part of a rule is passed over: Java goes on without
    /// it, and a reader of documented rules refuses the whole.
    pub(crate) fn severity_of_loss(&self, compat: crate::rules::Compat) -> Severity {
        match compat {
            crate::rules::Compat::Java => Severity::Warning,
            crate::rules::Compat::Documented => Severity::Error,
        }
    }

    /// Turns errors with this code into warnings, for readers that are more
    /// lenient.
    pub fn soften(&mut self, code: &str) {
        for finding in &mut self.findings {
            if finding.code == code && finding.severity == Severity::Error {
                finding.severity = Severity::Warning;
            }
        }
    }

    /// What was found, by position.
    pub fn into_findings(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| (finding.line, finding.column));
        self.findings
    }
}

/// A text, cut off where it is too long.
fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.shrink_to_fit();
        text.push('…');
    }
    text
}
