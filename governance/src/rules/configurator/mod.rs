//! Configurators: `<interface>:<version>:<group>.configurators` and
//! `<app>.configurators`. They change parameters of endpoints, as if the
//! providers' URLs said so.
//!
//! Semantics: Dubbo 3.3.6, `ConfigParser`, `ConfigItem`, `AbstractConfigurator`
//! and `ConditionMatch`. A configuration with `side: provider` is the
//! provider's own affair: it registers itself with what comes of it.

mod apply;
mod matches;
mod parameters;
mod read;

pub(crate) use apply::{Overrides, Target};
pub(crate) use read::Configurators;

use crate::rules::string_match::StringMatch;

/// One way in which parameters change, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    /// Only where the parameter was not set by an override before
    /// (`absent://`).
    pub(crate) absent: bool,
    /// Whom it is for: a consumer's address, or `0.0.0.0` for anybody.
    pub(crate) host: Box<str>,
    /// The port behind it; 0 for none.
    pub(crate) port: u16,
    /// `group/interface:version`, or `*`.
    pub(crate) service: Box<str>,
    /// The calling application; `None` or `*` for any.
    pub(crate) application: Option<Box<str>>,
    /// Whether it is for consumers.
    pub(crate) for_consumers: bool,
    /// Provider addresses it is limited to; empty for none.
    pub(crate) providers: Vec<Box<str>>,
    /// Conditions of rules before v3.0, `~key=value`.
    pub(crate) conditions: Vec<(Box<str>, Box<str>)>,
    /// Conditions of v3.0.
    pub(crate) matches: Option<Matches>,
    /// From before 2.7: whether `port` must be the endpoint's.
    pub(crate) is_old: bool,
    /// What it sets.
    pub(crate) parameters: Vec<(Box<str>, Box<str>)>,
    /// Of two for the same host the higher one counts.
    pub(crate) priority: i64,
}

/// `match` of v3.0; all that is there must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Matches {
    address: Option<AddressMatch>,
    provider_address: Option<AddressMatch>,
    service: Option<Vec<StringMatch>>,
    app: Option<Vec<StringMatch>>,
    parameters: Vec<(Box<str>, Option<StringMatch>)>,
}

impl Matches {
    /// Whether it is about single providers.
    fn is_by_provider(&self) -> bool {
        self.provider_address.is_some()
    }
}

/// `{wildcard: …}`, `{cird: …}` (sic) or `{exact: …}`; none of them matches
/// nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AddressMatch {
    cidr: Option<Box<str>>,
    wildcard: Option<Box<str>>,
    exact: Option<Box<str>>,
}
