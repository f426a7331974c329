//! Whether a route is about a call.
//!
//! Of a request over HTTP, HTTP's own terms count. Any other call has the path
//! `/service/method`, its method in the place of HTTP's, its service in the place
//! of the authority, attachments for headers, and neither scheme nor query.

use std::borrow::Cow;

use codec::HttpRequest;

use crate::directives::TextMatch;
use crate::rules::resource::route::{CallMatch, Condition, HeaderMatch, PathMatch};

use crate::route::CallView;

/// What a call is asked for.
pub(crate) struct Asked<'c> {
    call: &'c CallView<'c>,
    http: Option<HttpRequest<'c>>,
    path: PathText<'c>,
    query: &'c str,
}

/// A path, without its query.
enum PathText<'c> {
    Written(&'c str),
    Short([u8; SHORT], usize),
    Long(String),
}

/// How long a path may be to be put together without allocating.
const SHORT: usize = 192;

impl PathText<'_> {
    /// `/service/method`.
    fn of(service: &str, method: &str) -> Self {
        let length = service.len() + method.len() + 2;
        let mut bytes = [0; SHORT];
        let Some(room) = bytes.get_mut(..length) else {
            return PathText::Long(format!("/{service}/{method}"));
        };
        let parts = [b"/".as_slice(), service.as_bytes(), b"/", method.as_bytes()];
        for (place, byte) in room.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        PathText::Short(bytes, length)
    }

    fn as_str(&self) -> &str {
        match self {
            PathText::Written(text) => text,
            PathText::Short(bytes, length) => bytes
                .get(..*length)
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            PathText::Long(text) => text,
        }
    }
}

/// What a call lacks for a match.
#[derive(Clone, Copy)]
pub(crate) enum Missed<'r> {
    Path,
    Method,
    Scheme,
    Authority,
    Header(&'r HeaderMatch),
    UnwantedHeader(&'r HeaderMatch),
    Query(&'r str),
    Label(&'r str),
    Service,
    Rpc,
    Condition,
}

impl<'c> Asked<'c> {
    pub(crate) fn new(call: &'c CallView<'c>) -> Self {
        let http = call.head.http();
        let (path, query) = match http {
            Some(HttpRequest { path, .. }) => {
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                (PathText::Written(path), query)
            }
            None => (PathText::of(call.service, &call.method), ""),
        };
        Asked { call, http, path, query }
    }

    /// In HTTP's own terms, for a request over HTTP.
    pub(crate) fn http(&self) -> Option<HttpRequest<'c>> {
        self.http
    }

    /// Whether one of the matches is met; none at all is for every call. The
    /// first thing that the first match lacks is returned.
    pub(crate) fn check_any<'r>(&self, matches: &'r [CallMatch]) -> Result<(), Missed<'r>> {
        let mut missed = None;
        for one in matches {
            match self.check(one) {
                Ok(()) => return Ok(()),
                Err(miss) => missed = missed.or(Some(miss)),
            }
        }
        missed.map_or(Ok(()), Err)
    }

    fn check<'r>(&self, one: &'r CallMatch) -> Result<(), Missed<'r>> {
        let is_met = |wanted: &Option<TextMatch>, text: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| text.is_some_and(|text| wanted.is_match(text)))
        };
        if one.path.as_ref().is_some_and(|wanted| !wanted.is_match(self.path.as_str())) {
            return Err(Missed::Path);
        }
        if !is_met(&one.method, Some(self.method())) {
            return Err(Missed::Method);
        }
        if !is_met(&one.scheme, self.http.map(|http| http.scheme)) {
            return Err(Missed::Scheme);
        }
        if !is_met(&one.authority, Some(self.authority())) {
            return Err(Missed::Authority);
        }
        if one.service.is_some() || one.rpc.is_some() {
            let names = self.names();
            if !is_met(&one.service, names.map(|(service, _)| service)) {
                return Err(Missed::Service);
            }
            if !is_met(&one.rpc, names.map(|(_, method)| method)) {
                return Err(Missed::Rpc);
            }
        }
        for header in &one.headers {
            if !self.header(&header.name).is_some_and(|value| header.wanted.is_match(&value)) {
                return Err(Missed::Header(header));
            }
        }
        for header in &one.without_headers {
            let value = self.header(&header.name);
            // A header that is not there counts as empty, as in Istio.
            let is_there = match header.wanted {
                TextMatch::Present => value.is_some(),
                _ => header.wanted.is_match(value.as_deref().unwrap_or_default()),
            };
            if is_there {
                return Err(Missed::UnwantedHeader(header));
            }
        }
        for (name, wanted) in &one.query {
            if !self.parameter(name).is_some_and(|value| wanted.is_match(value)) {
                return Err(Missed::Query(name));
            }
        }
        for (key, value) in &one.source_labels {
            if self.call.plain_parameter(key) != Some(&**value) {
                return Err(Missed::Label(key));
            }
        }
        match &one.condition {
            Some(condition) if !self.is_met(condition) => Err(Missed::Condition),
            _ => Ok(()),
        }
    }

    fn is_met(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Path(wanted) => wanted.is_match(self.path.as_str()),
            Condition::Method(wanted) => **wanted == *self.method(),
            Condition::All(all) => all.iter().all(|one| self.is_met(one)),
            Condition::Any(any) => any.iter().any(|one| self.is_met(one)),
            Condition::Not(one) => !self.is_met(one),
        }
    }

    fn method(&self) -> &str {
        self.http.map_or(&self.call.method, |http| http.method)
    }

    fn authority(&self) -> &str {
        self.http.map_or(self.call.service, |http| http.authority)
    }

    /// The called service and method as RPC names them; over HTTP both stand in
    /// the path.
    fn names(&self) -> Option<(&str, &str)> {
        match self.http {
            Some(_) => self.path.as_str().strip_prefix('/')?.rsplit_once('/'),
            None => Some((self.call.service, &self.call.method)),
        }
    }

    /// A header or attachment; one that cannot be read counts as absent.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.call.head.field(name).ok().flatten()
    }

    /// The first value of a query's parameter, as it is written.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'c str> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| *key == name && !key.is_empty()).map(|(_, value)| value).next()
    }

    /// A cookie's value.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.http?;
        let header = self.call.head.field("cookie").ok().flatten()?;
        let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"'))
            .next()
            .map(str::to_owned)
    }

    /// A note for explanations.
    pub(crate) fn note(&self, missed: Missed<'_>) -> String {
        let is = |what: &str, value: Option<&str>| match value {
            Some(value) => format!("does not apply: {what} is {value:?}"),
            None => format!("does not apply: the call has no {what}"),
        };
        match missed {
            Missed::Path => is("the path", Some(self.path.as_str())),
            Missed::Method => is("the method", Some(self.method())),
            Missed::Scheme => is("scheme", self.http.map(|http| http.scheme)),
            Missed::Authority => is("the authority", Some(self.authority())),
            Missed::Header(header) | Missed::UnwantedHeader(header) => {
                is(&format!("header {}", header.name), self.header(&header.name).as_deref())
            }
            Missed::Query(name) => is(&format!("query parameter {name}"), self.parameter(name)),
            Missed::Label(key) => {
                let value = self.call.plain_parameter(key);
                is(&format!("label {key} of the caller"), value)
            }
            Missed::Service => is("service", self.names().map(|(service, _)| service)),
            Missed::Rpc => is("method", self.names().map(|(_, method)| method)),
            Missed::Condition => format!(
                "does not apply: its condition is not met by {} {}",
                self.method(),
                self.path.as_str()
            ),
        }
    }
}

impl PathMatch {
    fn is_match(&self, path: &str) -> bool {
        match self {
            PathMatch::Text { wanted, ignore_case: true } => wanted.is_match_ignoring_case(path),
            PathMatch::Text { wanted, ignore_case: false } => wanted.is_match(path),
            PathMatch::Elements(elements) => path
                .strip_prefix(&**elements)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_together_whatever_its_length() {
        assert_eq!(PathText::of("lab.Echo", "say").as_str(), "/lab.Echo/say");
        let long = "x".repeat(SHORT);
        assert_eq!(PathText::of(&long, "say").as_str(), format!("/{long}/say"));
        let fits = "é".repeat((SHORT - 5) / 2);
        assert_eq!(PathText::of(&fits, "say").as_str(), format!("/{fits}/say"));
    }

    #[test]
    fn elements_are_whole() {
        let prefix = PathMatch::Elements("/a".into());
        assert!(prefix.is_match("/a") && prefix.is_match("/a/b"));
        assert!(!prefix.is_match("/ab") && !prefix.is_match("/"));
    }
}
