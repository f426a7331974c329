//! How Dubbo writes a URL into a key of the store, and back.
//!
//! `<root>/<interface>/<category>/<encoded url>`: the facts are all in the key,
//! the value does not matter (`EtcdRegistry.toUrlPath`). The encoding is Java's
//! `URLEncoder`, which is HTML form encoding.

/// Why a key or URL could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A percent sign without two hexadecimal digits.
    #[error("bad percent-encoding at byte {0}")]
    Encoding(usize),
    /// Bytes that are not UTF-8 once decoded.
    #[error("not UTF-8 once decoded")]
    Utf8,
    /// No `protocol://host:port` at the start.
    #[error("not a URL with protocol, host and port")]
    NotUrl,
    /// Dubbo's `empty://`: says that there is nothing.
    #[error("a URL of protocol \"empty\" is no instance")]
    Empty,
    /// Neither an `interface` parameter nor a path.
    #[error("names no interface")]
    NoInterface,
}

/// Encodes as `java.net.URLEncoder.encode(text, "UTF-8")` does: letters, digits
/// and `.-*_` stay, a space becomes `+`, every other byte `%XX`.
pub fn encode(text: &str) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out
}

/// Decodes as `java.net.URLDecoder.decode(text, "UTF-8")` does, but refuses what
/// is not UTF-8 instead of replacing it.
pub fn decode(text: &str) -> Result<String, KeyError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let digit = |offset: usize| {
                    bytes.get(at + offset).and_then(|digit| char::from(*digit).to_digit(16))
                };
                let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                    return Err(KeyError::Encoding(at));
                };
                // Two hexadecimal digits make at most 255.
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            b'+' => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| KeyError::Utf8)
}

/// The provider URL in the last segment of a key.
pub fn provider_url(segment: &str) -> Result<String, KeyError> {
    let url = decode(segment)?;
    address(&url)?;
    Ok(url)
}

/// `protocol://host:port` of a URL, without user information.
pub fn address(url: &str) -> Result<(&str, &str), KeyError> {
    let (protocol, rest) = url.split_once("://").ok_or(KeyError::NotUrl)?;
    if protocol == "empty" {
        return Err(KeyError::Empty);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    let good = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if protocol.is_empty() || !good { Err(KeyError::NotUrl) } else { Ok((protocol, authority)) }
}

/// A parameter of a URL, as it stands there.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })
}

/// The same URL at another address (`host:port`).
pub fn with_address(url: &str, other: &str) -> Result<String, KeyError> {
    let (protocol, authority) = address(url)?;
    let (_, rest) = url.split_once("://").ok_or(KeyError::NotUrl)?;
    // User information stays where it is, before the address.
    let at = rest.find(authority).ok_or(KeyError::NotUrl)?;
    let (before, after) = (&rest[..at], &rest[at + authority.len()..]);
    let moved = format!("{protocol}://{before}{other}{after}");
    address(&moved)?;
    Ok(moved)
}

/// The key under which Dubbo registers this URL:
/// `<root>/<interface>/<category>/<encoded url>`. The interface is the URL's
/// `interface` parameter or else its path, the category its `category` or else
/// `providers`.
pub fn registration_key(root: &str, url: &str) -> Result<String, KeyError> {
    address(url)?;
    let path = || {
        let (_, rest) = url.split_once("://")?;
        let (_, path) = rest.split('?').next()?.split_once('/')?;
        Some(path)
    };
    let interface = parameter(url, "interface")
        .or_else(path)
        .filter(|interface| !interface.is_empty())
        .ok_or(KeyError::NoInterface)?;
    let category = parameter(url, "category").unwrap_or("providers");
    Ok(format!("{root}/{}/{category}/{}", encode(interface), encode(url)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodes_as_java_does() {
        // jshell: URLEncoder.encode("…", UTF_8)
        assert_eq!(
            encode("dubbo://10.0.0.1:20880/lab.Echo?a=1&b=x y*_-~é"),
            "dubbo%3A%2F%2F10.0.0.1%3A20880%2Flab.Echo%3Fa%3D1%26b%3Dx+y*_-%7E%C3%A9"
        );
    }

    #[test]
    fn registers_where_java_does() {
        let url = "dubbo://h:1/p/lab.Echo?group=g&interface=lab.Echo";
        assert_eq!(
            registration_key("/dubbo", url).unwrap(),
            format!("/dubbo/lab.Echo/providers/{}", encode(url))
        );
        let url = "consumer://h:1/lab.Echo?category=consumers";
        assert_eq!(
            registration_key("/dubbo", url).unwrap(),
            format!("/dubbo/lab.Echo/consumers/{}", encode(url))
        );
        assert_eq!(registration_key("/dubbo", "dubbo://h:1"), Err(KeyError::NoInterface));
        assert_eq!(registration_key("/dubbo", "dubbo://h:1/?x=1"), Err(KeyError::NoInterface));
    }

    #[test]
    fn a_url_moves_to_another_address() {
        let moved = |url| with_address(url, "10.0.0.9:1");
        assert_eq!(moved("dubbo://h:20880/a?b=h:20880").unwrap(), "dubbo://10.0.0.9:1/a?b=h:20880");
        assert_eq!(moved("dubbo://u@h:2?x=1").unwrap(), "dubbo://u@10.0.0.9:1?x=1");
        assert_eq!(moved("dubbo:h:2"), Err(KeyError::NotUrl));
        assert_eq!(with_address("dubbo://h:1/a", "no port"), Err(KeyError::NotUrl));
    }

    #[test]
    fn reads_good_segments_and_names_what_is_wrong_with_bad_ones() {
        assert_eq!(provider_url("dubbo%3A%2F%2Fh%3A1%2Fx+y").unwrap(), "dubbo://h:1/x y");
        assert_eq!(provider_url("dubbo%3A%2F%2Fu%40h%3A1").unwrap(), "dubbo://u@h:1");
        for (bad, wanted) in [
            ("%", KeyError::Encoding(0)),
            ("a%4", KeyError::Encoding(1)),
            ("a%g0", KeyError::Encoding(1)),
            ("%ff", KeyError::Utf8),
            ("", KeyError::NotUrl),
            ("dubbo", KeyError::NotUrl),
            ("dubbo%3A%2F%2Fh", KeyError::NotUrl),
            ("dubbo%3A%2F%2Fh%3A70000", KeyError::NotUrl),
            ("dubbo%3A%2F%2F%3A1", KeyError::NotUrl),
            ("empty%3A%2F%2Fh%3A1", KeyError::Empty),
        ] {
            assert_eq!(provider_url(bad), Err(wanted), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(text in ".*") {
            prop_assert_eq!(decode(&encode(&text)).unwrap(), text);
        }

        #[test]
        fn any_segment_is_read_or_refused(text in ".*") {
            let _ = provider_url(&text);
            let _ = registration_key("/dubbo", &text);
        }
    }
}
