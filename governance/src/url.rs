//! Dubbo URLs: `protocol://user:password@host:port/path?key=value&…`.
//!
//! Read as Dubbo's `URLStrParser` reads them, in both forms: as written, and
//! percent-encoded as a whole, as registries store them.

use std::borrow::Cow;

use thiserror::Error;

use crate::parameters::Parameters;

/// A Dubbo URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// What stands before `://`.
    pub protocol: String,
    /// The user, where one is named.
    pub username: Option<String>,
    /// The password, where there is one.
    pub password: Option<String>,
    /// Host name or address; may be empty.
    pub host: String,
    /// Port; 0 where none is named.
    pub port: u16,
    /// What stands between the first `/` and the `?`, mostly the interface.
    pub path: String,
    /// The parameters. `default.x` also gives `x` where that is absent, as old
    /// versions register it.
    pub parameters: Parameters,
}

/// Why a text is not a Dubbo URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Nothing stands before `://`, or there is no `://`.
    #[error("url {url:?} has no protocol")]
    NoProtocol {
        /// The text.
        url: String,
    },
    /// There is no host where one is needed.
    #[error("url {url:?} has no host")]
    NoHost {
        /// The text.
        url: String,
    },
    /// The port is not a number up to 65535.
    #[error("url {url:?} has the port {port:?}, which is not a number from 0 to 65535")]
    Port {
        /// The text.
        url: String,
        /// What stands where the port belongs.
        port: String,
    },
    /// A `%` is not followed by two hexadecimal digits, or the bytes so written
    /// are not UTF-8.
    #[error("url {url:?} has a broken percent-encoding at byte {offset}")]
    Encoding {
        /// The text.
        url: String,
        /// Where, counted from the start of the text.
        offset: usize,
    },
    /// The text is longer than any URL.
    #[error("url of {length} bytes is over the limit of {}", Url::MAX_LENGTH)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl Url {
    /// The longest text that is read, in bytes.
    pub const MAX_LENGTH: usize = 1 << 20;

    /// Reads a URL, as written or percent-encoded as a whole.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(UrlError::TooLong { length: text.len() });
        }
        if text.contains("://") {
            return Self::parse_decoded(text);
        }
        let decoded = percent_decode(text)
            .map_err(|offset| UrlError::Encoding { url: text.to_owned(), offset })?;
        Self::parse_decoded(&decoded)
    }

    fn parse_decoded(text: &str) -> Result<Url, UrlError> {
        let (body, query) = match text.split_once('?') {
            Some((body, query)) => (body, query),
            None => (text, ""),
        };
        let body = body.split('#').next().unwrap_or_default();
        let (protocol, rest) = match body.split_once("://") {
            Some((protocol, rest)) if !protocol.is_empty() => (protocol, rest),
            _ => return Err(UrlError::NoProtocol { url: text.to_owned() }),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host_and_port) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => (None, None),
            Some(Ok((name, password))) => (Some(name.to_owned()), Some(password.to_owned())),
            Some(Err(name)) => (Some(name.to_owned()), None),
        };
        let (host, port) = split_port(host_and_port);
        let port = match port {
            None => 0,
            Some(port) => port
                .parse()
                .map_err(|_| UrlError::Port { url: text.to_owned(), port: port.to_owned() })?,
        };
        Ok(Url {
            protocol: protocol.to_owned(),
            username,
            password,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            parameters: parse_query(query),
        })
    }

    /// `host:port`, or the host alone where there is no port.
    pub fn address(&self) -> String {
        if self.port == 0 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Splits `host:port`; an IPv6 address without a port keeps its colons only
/// when it has a scope (`fe80::1%eth0`) or brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty()
                && !port.is_empty()
                && !port.contains('%')
                && !port.contains(']') =>
        {
            (host, Some(port))
        }
        _ => (text, None),
    }
}

fn parse_query(query: &str) -> Parameters {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for item in query.split(['&', ';']) {
        let item = item.trim_start_matches('=');
        if item.is_empty() {
            continue;
        }
        pairs.push(item.split_once('=').unwrap_or((item, "")));
    }
    let defaults: Vec<(&str, &str)> = pairs
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("default.")?, *value)))
        .filter(|(key, _)| !pairs.iter().any(|(other, _)| other == key))
        .collect();
    pairs.extend(defaults);
    pairs.into_iter().collect()
}

/// Decodes `%XX` and `+` as Java's `URLDecoder` does.
///
/// # Errors
/// The byte offset of what could not be decoded.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, usize> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().enumerate();
    while let Some((offset, byte)) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || {
                    rest.next().and_then(|(_, byte)| char::from(byte).to_digit(16)).ok_or(offset)
                };
                let value = digit()? * 16 + digit()?;
                bytes.push(u8::try_from(value).map_err(|_| offset)?);
            }
            other => bytes.push(other),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(error) => Err(error.utf8_error().valid_up_to()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_provider_url_is_taken_apart() {
        let url = Url::parse(
            "dubbo://u:p@10.0.0.1:20880/lab.Echo?application=shop&weight=50&x&default.timeout=9",
        )
        .unwrap();
        assert_eq!(url.protocol, "dubbo");
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("u"), Some("p")));
        assert_eq!(url.address(), "10.0.0.1:20880");
        assert_eq!(url.path, "lab.Echo");
        assert_eq!(url.parameters.get("weight"), Some("50"));
        assert_eq!(url.parameters.get("x"), Some(""));
        assert_eq!(url.parameters.get("timeout"), Some("9"));
    }

    #[test]
    fn the_stored_form_is_decoded_once() {
        let url =
            Url::parse("dubbo%3A%2F%2F10.0.0.1%3A20880%2Flab.Echo%3Fa%3Db%2Bc%26methods%3Dx%252Cy")
                .unwrap();
        assert_eq!(url.host, "10.0.0.1");
        assert_eq!(url.parameters.get("a"), Some("b+c"));
        assert_eq!(url.parameters.get("methods"), Some("x%2Cy"));
    }

    #[test]
    fn broken_urls_are_refused() {
        assert!(matches!(Url::parse("nonsense"), Err(UrlError::NoProtocol { .. })));
        assert!(matches!(Url::parse("://h:1/x"), Err(UrlError::NoProtocol { .. })));
        assert!(matches!(Url::parse("dubbo://h:99999/x"), Err(UrlError::Port { .. })));
        assert!(matches!(Url::parse("dubbo%3"), Err(UrlError::Encoding { .. })));
        assert!(matches!(Url::parse("%ff%fe"), Err(UrlError::Encoding { .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,60}") {
            let _ = Url::parse(&text);
            let _ = Url::parse(&format!("dubbo://{text}"));
        }
    }
}
