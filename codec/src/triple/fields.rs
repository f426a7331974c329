//! Attachments as headers (`StreamUtils.putHeaders`, `toAttachments`).
//!
//! A header's name is lower case; how Java spelled it stands in
//! `tri-header-convert`. Bytes stand in a header `NAME-bin`, in base64. Java writes
//! the low eight bits of a character, and `?` for one that needs more.

use std::borrow::Cow;
use std::collections::HashMap;

use ::http::{HeaderMap, HeaderValue};

use super::{APPLICATION, EXCEPTION, GROUP, SPELLING, TIMEOUT, VERSION};
use crate::value::base64;

/// An attachment by its name, in whatever case; or what Dubbo has as an attachment
/// and Triple says elsewhere; or any other header.
pub fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let moved = match name {
        "group" => GROUP,
        "version" => VERSION,
        "application" | "remote.application" => APPLICATION,
        name => return headers.get(name).map(text),
    };
    headers.get(name).or_else(|| headers.get(moved)).map(text)
}

/// A header's text as Java reads it: each byte is a character.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(ascii) => Cow::Borrowed(ascii),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// What an attachment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment<'h> {
    /// A text; numbers, booleans and dates come as one.
    Text(Cow<'h, str>),
    /// Bytes.
    Binary(Vec<u8>),
}

/// The attachments among the headers of a request, or the trailers of an answer,
/// by the names that the program gave them.
pub fn attachments(headers: &HeaderMap) -> Vec<(String, Attachment<'_>)> {
    let spelling = spelling(headers);
    let mut attachments = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let name = name.as_str();
        if is_reserved(name) {
            continue;
        }
        let (name, attachment) = match name.strip_suffix("-bin").filter(|name| !name.is_empty()) {
            Some(name) => match value.to_str().ok().and_then(decoded) {
                Some(bytes) => (name, Attachment::Binary(bytes)),
                None => continue, // as Java does, which logs it
            },
            None => (name, Attachment::Text(text(value))),
        };
        let name = spelling.get(name).cloned().unwrap_or_else(|| name.to_owned());
        attachments.push((name, attachment));
    }
    attachments
}

/// What is no attachment: Triple's and gRPC's own words, and those that HTTP needs.
fn is_reserved(name: &str) -> bool {
    let own = [VERSION, GROUP, APPLICATION, TIMEOUT, SPELLING, EXCEPTION];
    own.iter().any(|known| known == name)
        || name.starts_with("grpc-")
        || ["content-type", "content-length", "te", "user-agent", "host"].contains(&name)
}

/// Spellings by the names in lower case.
fn spelling(headers: &HeaderMap) -> HashMap<String, String> {
    let json = headers.get(SPELLING).and_then(|json| percent_decoded(json.as_bytes()));
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// `QueryStringDecoder.decodeComponent`.
fn percent_decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Base64 with or without padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let missing = (4 - text.len() % 4) % 4;
    if missing == 0 {
        return base64::decode(text);
    }
    base64::decode(&format!("{text}{}", &"==="[..missing]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn fields_are_found_where_triple_has_them() {
        let headers = headers(&[
            ("tri-service-group", b"g"),
            ("tri-consumer-appname", b"shop"),
            ("mixed-case", b"kept"),
            ("latin", b"f\xfcr"),
        ]);
        for (name, value) in [
            ("group", Some("g")),
            ("remote.application", Some("shop")),
            ("Mixed-Case", Some("kept")),
            ("latin", Some("f\u{fc}r")),
            ("version", None),
            ("not a header", None),
        ] {
            assert_eq!(field(&headers, name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn spellings_that_cannot_be_read_leave_names_as_they_are() {
        for spelled in
            [&b"%"[..], b"%zz", b"%ff", b"{", b"[1]", b"{\"a\":1}", b"%7B%22b%22%3A%22B%22%7D"]
        {
            let headers = headers(&[("a", b"1"), ("tri-header-convert", spelled)]);
            let expected = [("a".to_owned(), Attachment::Text("1".into()))];
            assert_eq!(attachments(&headers), expected, "{spelled:?}");
        }
    }

    #[test]
    fn bytes_are_decoded_or_left_out() {
        let headers =
            headers(&[("a-bin", b"AP8BAg"), ("b-bin", b"AA=="), ("c-bin", b"A"), ("-bin", b"x")]);
        let expected = [
            ("a".to_owned(), Attachment::Binary(vec![0, 255, 1, 2])),
            ("b".to_owned(), Attachment::Binary(vec![0])),
            ("-bin".to_owned(), Attachment::Text("x".into())),
        ];
        let mut found = attachments(&headers);
        found.sort_by_key(|(name, _)| name.replace('-', "~"));
        assert_eq!(found, expected);
    }
}
