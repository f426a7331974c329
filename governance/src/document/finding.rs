//! What is wrong with a document, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the document takes effect as written.
    Info,
    /// The document takes effect, but probably not as its author thinks.
    Warning,
    /// The document does not take effect.
    Error,
}

impl Severity {
    /// The word for it in lower case.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One finding about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The document: a file's path, or a rule's key.
    pub file: String,
    /// Line, from 1; 0 for the document as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 for the document as a whole.
    pub column: u32,
    /// What it is about; stable across versions.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the value at fault; lower case, no trailing period.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// `error: rules/canary.yaml:14:9: weight 120 is over 100 [out-of-range]`, and a
/// line with the hint after an empty one.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.label(), self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {} [{}]", self.message, self.code)?;
        if !self.hint.is_empty() {
            write!(f, "\n\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// The text of a document; the finding where its bytes are no UTF-8.
///
/// # Errors
/// `not-utf8`.
pub fn utf8(bytes: Vec<u8>, file: &str) -> Result<String, Finding> {
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(sound).filter(|&&byte| byte == b'\n').count() + 1;
        Finding {
            file: file.to_owned(),
            line: 0,
            column: 0,
            code: "not-utf8",
            severity: Severity::Error,
            message: format!("line {line} is not UTF-8: {}", error.utf8_error()),
            hint: "save the file as UTF-8".to_owned(),
        }
    })
}

/// The finding about a document that cannot be got at; `why` says what happened.
pub fn unreadable(file: &str, why: &str) -> Finding {
    Finding {
        file: file.to_owned(),
        line: 0,
        column: 0,
        code: "unreadable",
        severity: Severity::Error,
        message: why.to_owned(),
        hint: "let the proxy read the file, or take it away".to_owned(),
    }
}
