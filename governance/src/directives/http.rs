//! What a route orders in HTTP's own terms.

use std::borrow::Cow;
use std::time::Duration;

use regex::Regex;
use serde::{Serialize, Serializer};

use super::{TextMatch, millis};

/// One change of headers, or of a call's attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderEdit {
    /// Takes all of this name out.
    Remove(Box<str>),
    /// Makes this the only one of its name.
    Set(Box<str>, Box<str>),
    /// Adds one behind those of its name; an attachment has one value, to which
    /// this one is joined by a comma.
    Add(Box<str>, Box<str>),
}

/// Another path or authority for a request.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Rewrite {
    /// The authority (`host` header) to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Box<str>>,
    /// How the path changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
}

/// How a path changes; its query stays.
#[derive(Debug, Clone)]
pub enum PathRewrite {
    /// It becomes this.
    Full(Box<str>),
    /// Its start becomes another.
    Prefix {
        /// What the route matched, and the path starts with.
        matched: Box<str>,
        /// What stands there instead.
        replacement: Box<str>,
    },
    /// Every match of an expression becomes another text, in which `$1` and so
    /// on are what its groups matched.
    Regex {
        /// The expression.
        pattern: Regex,
        /// The text.
        substitution: Box<str>,
    },
}

impl PathRewrite {
    /// What a path, with or without a query, becomes.
    pub fn apply<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let (plain, query) = match path.find('?') {
            Some(at) => path.split_at(at),
            None => (path, ""),
        };
        let rewritten = match self {
            PathRewrite::Full(full) => full.to_string(),
            PathRewrite::Prefix { matched, replacement } => {
                let Some(rest) = plain.get(matched.len()..) else { return Cow::Borrowed(path) };
                match format!("{replacement}{rest}") {
                    // No request has an empty path.
                    nothing if nothing.is_empty() => "/".to_owned(),
                    changed => changed,
                }
            }
            PathRewrite::Regex { pattern, substitution } => {
                match pattern.replace_all(plain, &**substitution) {
                    Cow::Borrowed(_) => return Cow::Borrowed(path),
                    Cow::Owned(changed) => changed,
                }
            }
        };
        Cow::Owned(rewritten + query)
    }
}

impl PartialEq for PathRewrite {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (PathRewrite::Full(a), PathRewrite::Full(b)) => a == b,
            (
                PathRewrite::Prefix { matched: a, replacement: b },
                PathRewrite::Prefix { matched: c, replacement: d },
            ) => (a, b) == (c, d),
            (
                PathRewrite::Regex { pattern: a, substitution: b },
                PathRewrite::Regex { pattern: c, substitution: d },
            ) => (a.as_str(), b) == (c.as_str(), d),
            _ => false,
        }
    }
}

/// `text`, `prefix* -> text*` or `~expression -> text`.
impl Serialize for PathRewrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PathRewrite::Full(full) => serializer.serialize_str(full),
            PathRewrite::Prefix { matched, replacement } => {
                serializer.collect_str(&format_args!("{matched}* -> {replacement}*"))
            }
            PathRewrite::Regex { pattern, substitution } => {
                serializer.collect_str(&format_args!("~{pattern} -> {substitution}"))
            }
        }
    }
}

/// Which other origins may call, and what their pages may do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CorsPolicy {
    /// The origins: any of these.
    pub allow_origins: Box<[TextMatch]>,
    /// `access-control-allow-methods`.
    pub allow_methods: Box<[Box<str>]>,
    /// `access-control-allow-headers`.
    pub allow_headers: Box<[Box<str>]>,
    /// `access-control-expose-headers`.
    pub expose_headers: Box<[Box<str>]>,
    /// `access-control-max-age`.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// `access-control-allow-credentials`.
    pub allow_credentials: bool,
    /// Whether a preflight request from an origin that is not allowed goes on to
    /// the application (`FORWARD`), or is answered here without any
    /// `access-control` header.
    pub forward_unmatched: bool,
}

impl CorsPolicy {
    /// Whether this origin may call.
    pub fn allows(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|allowed| allowed.is_match(origin))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_is_rewritten_and_its_query_stays() {
        let prefix = |matched: &str, replacement: &str| PathRewrite::Prefix {
            matched: matched.into(),
            replacement: replacement.into(),
        };
        for (rewrite, path, expected) in [
            (PathRewrite::Full("/new".into()), "/a/b?q=1", "/new?q=1"),
            (prefix("/a", "/v2"), "/a/b?q=/a", "/v2/b?q=/a"),
            (prefix("/a", ""), "/a/b", "/b"),
            (prefix("/a", ""), "/a?q", "/?q"),
            (prefix("/a/b/c", ""), "/a", "/a"),
        ] {
            assert_eq!(rewrite.apply(path), expected, "{rewrite:?} of {path}");
        }
        let regex = PathRewrite::Regex {
            pattern: Regex::new("^/(.+)/(.+)$").unwrap(),
            substitution: "/${2}/${1}".into(),
        };
        assert_eq!(regex.apply("/a/b?q=1"), "/b/a?q=1");
        assert_eq!(regex.apply("/a"), "/a");
    }
}
