//! Calls in JSON: plain HTTP of either version, as `curl` makes them and providers of
//! 3.3 answer them. The path names the service and the method, as Triple's does; the
//! body is the arguments, or the only one; the answer's status tells how it went.

use std::time::Duration;

use ::http::HeaderMap;

use super::TIMEOUT;

/// The service and the method that a path may name.
pub fn called(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_name = |name: &str| !name.is_empty() && !name.contains('/');
    (is_name(service) && is_name(method)).then_some((service, method))
}

/// How long the caller waits, where it says so.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(TIMEOUT)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_service_and_a_method_or_nothing() {
        for (path, expected) in [
            ("/lab.Echo/say", Some(("lab.Echo", "say"))),
            ("/lab.Echo", None),
            ("/lab.Echo/", None),
            ("//say", None),
            ("/lab.Echo/say/more", None),
            ("/lab.Echo/say/", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(called(path), expected, "{path}");
        }
    }
}
