//! The pages by path: what is asked of one, and what it answers.

use http::{Method, StatusCode, Uri, header};

use super::{AdminState, PAGES, PLAIN};

/// A page and what the index says of it.
pub(super) struct Page {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Whether every longer path is this page's, too.
    pub(super) below: bool,
    pub(super) about: &'static str,
    pub(super) answer: fn(&AdminState, &Ask<'_>) -> Answer,
}

/// What is asked of a page.
pub(super) struct Ask<'a> {
    /// The path behind the page's own.
    pub(super) rest: &'a str,
    /// JSON is asked for: `?output=json`, or `Accept`.
    pub(super) json: bool,
    /// Text is asked for.
    pub(super) text: bool,
    pub(super) body: &'a [u8],
}

/// What a page answers.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    /// What may be done at this path instead.
    pub(super) allow: Option<&'static str>,
    /// Why the explained call has no endpoint.
    pub(super) fault: Option<&'static str>,
}

impl Answer {
    pub(super) fn plain(status: StatusCode, body: String) -> Answer {
        Answer { status, content_type: PLAIN, body, allow: None, fault: None }
    }
}

/// The page for a method and path, or what is answered without one.
pub(super) fn find<'a>(method: &Method, uri: &'a Uri) -> Result<(&'static Page, &'a str), Answer> {
    let path = uri.path();
    let found = PAGES.iter().find_map(|page| match path.strip_prefix(page.path)? {
        "" => Some((page, "")),
        rest => page.below.then_some((page, rest)),
    });
    let Some((page, rest)) = found else {
        let body = format!("there is nothing at this path; there is:\n{}", list());
        return Err(Answer::plain(StatusCode::NOT_FOUND, body));
    };
    if page.method == *method || page.method == Method::GET && *method == Method::HEAD {
        return Ok((page, rest));
    }
    let (allow, served) = match page.method {
        Method::POST => ("POST", "only POST"),
        _ => ("GET, HEAD", "only GET and HEAD"),
    };
    let body = format!("{method} is not served here, {served}\n");
    Err(Answer { allow: Some(allow), ..Answer::plain(StatusCode::METHOD_NOT_ALLOWED, body) })
}

/// Whether a form of answer is asked for, by the query or by `Accept`.
pub(super) fn wants<B>(request: &http::Request<B>, output: &str, media_type: &str) -> bool {
    let named = request.uri().query().unwrap_or_default().split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == "output").then_some(value)
    });
    match named {
        Some(named) => named == output,
        None => request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains(media_type)),
    }
}

/// Every page with what it is.
pub(super) fn list() -> String {
    let name = |page: &Page| match (&page.method, page.below) {
        (&Method::POST, _) => format!("POST {}", page.path),
        (_, true) => format!("{}KEY", page.path),
        (_, false) => page.path.to_owned(),
    };
    PAGES.iter().map(|page| format!("{:<14} {}\n", name(page), page.about)).collect()
}
