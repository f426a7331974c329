//! What a host in a resource means: a service, or the application that provides
//! it.

/// How a host is about a service; the more specific, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// A wildcard, with so many characters behind the star.
    Wildcard(usize),
    /// The application that provides it.
    Application,
    /// Its name.
    Service,
}

/// The application that a host in one of its Kubernetes forms names:
/// `app.namespace`, `app.namespace.svc`, `app.namespace.svc.cluster.local`.
pub(crate) fn in_kubernetes(host: &str) -> Option<&str> {
    let (name, rest) = host.split_once('.')?;
    let namespace = rest
        .strip_suffix(".svc.cluster.local")
        .or_else(|| rest.strip_suffix(".svc"))
        .unwrap_or(rest);
    (is_label(name) && is_label(namespace)).then_some(name)
}

/// A name of one part, as Kubernetes gives them: no Dubbo interface is one.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a host names this application.
pub(crate) fn is_application(host: &str, application: &str) -> bool {
    host == application || in_kubernetes(host) == Some(application)
}

/// How a host is about a service that these applications provide.
pub(crate) fn fit(host: &str, service: &str, applications: &[&str]) -> Option<Fit> {
    if let Some(suffix) = host.strip_prefix('*') {
        return (service.len() > suffix.len() && service.ends_with(suffix))
            .then_some(Fit::Wildcard(suffix.len()));
    }
    if host == service {
        return Some(Fit::Service);
    }
    applications.iter().any(|name| is_application(host, name)).then_some(Fit::Application)
}

/// Whether a text can be a host: `*`, `*.suffix`, or a name without a star, a
/// slash or a space.
pub(crate) fn is_sound(host: &str) -> bool {
    let name = match host.strip_prefix('*') {
        Some("") => return true,
        Some(suffix) if suffix.starts_with('.') => &suffix[1..],
        Some(_) => return false,
        None => host,
    };
    !name.is_empty() && !name.contains(['*', '/', ' ', '\t', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_service_or_an_application_or_a_wildcard() {
        let of = |host| fit(host, "lab.EchoService", &["shop", "cart"]);
        assert_eq!(of("lab.EchoService"), Some(Fit::Service));
        for host in ["shop", "cart", "shop.prod", "shop.prod.svc", "shop.prod.svc.cluster.local"] {
            assert_eq!(of(host), Some(Fit::Application), "{host}");
        }
        assert_eq!(of("*"), Some(Fit::Wildcard(0)));
        assert_eq!(of("*.EchoService"), Some(Fit::Wildcard(12)));
        for host in ["other", "lab.Echo", "*.Other", "shop.a.b", "shop.prod.svc.example"] {
            assert_eq!(of(host), None, "{host}");
        }
        // An interface is no application in a namespace.
        assert_eq!(fit("lab.EchoService", "lab.Other", &["lab"]), None);
        assert!(Fit::Service > Fit::Application && Fit::Application > Fit::Wildcard(99));
        assert!(Fit::Wildcard(5) > Fit::Wildcard(0));
    }

    #[test]
    fn unsound_hosts_are_told_apart() {
        for host in ["*", "*.shop.example", "shop", "lab.EchoService", "127.0.0.1:80"] {
            assert!(is_sound(host), "{host}");
        }
        for host in ["", "a*", "*shop", "ns/shop", "*.", "a b"] {
            assert!(!is_sound(host), "{host}");
        }
    }
}
