//! Where rules come from, how they are read, and what a change of them touches.

use std::fmt;
use std::path::PathBuf;

use crate::document::{Finding, Severity};

/// Whose reading of a rule counts where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compat {
    /// As documented: traps of the implementations are mended.
    #[default]
    Documented,
    /// Exactly as Dubbo Java 3.3.6 does it, bugs included.
    Java,
}

/// Where a document comes from: the name that findings give it. There is one
/// document per key; who brings files and the store together says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the proxy's own.
    File(PathBuf),
    /// The store, at a revision.
    Store {
        /// The store's revision of the document.
        revision: i64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Store { revision } => write!(f, "the store at revision {revision}"),
        }
    }
}

/// Which services must be compiled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affected {
    /// None: nothing changed.
    Nothing,
    /// The services of these names.
    Services(Vec<String>),
    /// Those that this application provides, or any service where the
    /// application is a caller; see [`Service::is_affected`](crate::Service::is_affected).
    Application(String),
    /// Those that one of these hosts is about: a service's name, an application
    /// that provides it (in its Kubernetes forms, too), `*` or `*.suffix`.
    Hosts(Vec<String>),
    /// Every service.
    All,
}

impl Affected {
    /// This and that.
    pub(crate) fn and(self, other: Affected) -> Affected {
        match (self, other) {
            (Affected::Nothing, one) | (one, Affected::Nothing) => one,
            (Affected::Hosts(mut hosts), Affected::Hosts(more)) => {
                hosts.extend(more);
                hosts.sort();
                hosts.dedup();
                Affected::Hosts(hosts)
            }
            _ => Affected::All,
        }
    }
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// All that was found; one error is enough for the document not to count.
    pub findings: Vec<Finding>,
    /// Which services must be compiled again.
    pub affected: Affected,
    /// Other documents that took effect, because this one gave up a resource that
    /// stands in them, too; by key, with what was found in them.
    pub accepted: Vec<(String, Vec<Finding>)>,
}

impl Applied {
    /// Whether the document (or its removal) is in force.
    pub fn is_in_force(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}
