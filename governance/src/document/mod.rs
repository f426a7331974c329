//! YAML with positions, and findings about it.

mod finding;

pub use finding::{Finding, Severity};
