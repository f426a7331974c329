//! YAML with positions, and findings about it.
//!
//! A text is parsed into [`Node`]s that know their line and column; a
//! [`Mapping`] reads typed values out of one and collects all mistakes in a
//! [`Report`] instead of stopping at the first. Rules and the proxy's
//! configuration are read this way.
//!
//! ```
//! use governance::document::{Report, parse_one};
//!
//! let mut report = Report::new("proxy.yaml");
//! let root = parse_one("workers: 0\nadmim: 127.0.0.1:15000\n", &mut report).expect("it is YAML");
//! if let Some(mut top) = root.mapping("the configuration", &mut report) {
//!     top.integer("workers", 1..=1024, &mut report);
//!     top.text("admin", &mut report);
//!     top.finish(&mut report);
//! }
//! let found: Vec<String> = report.findings().iter().map(|f| f.to_string()).collect();
//! assert!(found[0].starts_with("error: proxy.yaml:1:10: workers is 0, but must be from 1 to"));
//! assert!(found[1].starts_with("error: proxy.yaml:2:1: unknown key \"admim\""));
//! ```

mod finding;
mod mapping;
mod node;
mod parse;
mod report;

pub use finding::{Finding, Severity, unreadable, utf8};
pub use mapping::{Mapping, nearest};
pub use node::{Node, Position, Scalar, Value};
pub(crate) use node::{Resolved, shorten};
pub use parse::{MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_all, parse_one};
pub use report::{MAX_FINDINGS, Report};
