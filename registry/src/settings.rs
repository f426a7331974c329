//! What a registry is told at its start.

use std::path::PathBuf;
use std::time::Duration;

/// Where a [`Registry`](crate::Registry) looks, and how patient it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// etcd endpoints (`http://host:port`); empty for none. They are tried in
    /// turn, one at a time.
    pub store: Vec<String>,
    /// The folder that keeps the last good view across restarts; `None` to keep
    /// it in memory only. It is made when missing.
    pub state: Option<PathBuf>,
    /// Rule files, and folders whose `*.yaml` and `*.yml` are rule files; watched.
    pub rules: Vec<PathBuf>,
    /// Dubbo's root in the store, `/dubbo` unless the registry URL of the Java
    /// side has a `group`.
    pub root: String,
    /// Spanwire's own folder of rules in the store. A rule that stands here wins
    /// over one of the same key under `<root>/config/dubbo/`.
    pub rule_prefix: String,
    /// How long a service that suddenly has no instances keeps its last ones
    /// (empty-push protection); zero switches the protection off.
    pub empty_hold: Duration,
    /// The longest silence of the store that is still taken for life. The store
    /// is asked for a sign of life after half of it.
    pub silence: Duration,
    /// The longest time one request to the store may take.
    pub request_timeout: Duration,
    /// The first pause before the store is tried again; doubles, with jitter, up
    /// to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
    /// Time to live of the leases that hold what is registered. Java's Dubbo
    /// uses 30 s.
    pub lease_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            store: Vec::new(),
            state: None,
            rules: Vec::new(),
            root: "/dubbo".to_owned(),
            rule_prefix: "/spanwire/rules/".to_owned(),
            empty_hold: Duration::from_secs(300),
            silence: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            lease_ttl: Duration::from_secs(30),
        }
    }
}

/// Why a registry could not start. For whoever wrote the configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An endpoint with a scheme other than `http`.
    #[error(
        "store endpoint \"{0}\" needs TLS, which this build does not have: use an http:// endpoint"
    )]
    TlsUnsupported(String),
    /// An endpoint that is no URL of a host and port.
    #[error("store endpoint \"{0}\" is not a URL: write it as http://host:port")]
    BadEndpoint(String),
    /// A root or prefix that is no absolute path.
    #[error("{name} \"{value}\" has to start with a slash")]
    BadPrefix {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The folder for the last good view cannot be made or written.
    #[error("state folder \"{}\" cannot be used: {source}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A rule path that does not exist.
    #[error("rules \"{}\" cannot be read: {source}", path.display())]
    Rules {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Started outside of a tokio runtime.
    #[error("a registry has to be started on a tokio runtime")]
    NoRuntime,
}

impl Settings {
    /// Checks the settings and brings them to one form: no trailing slash after
    /// `root`, one after `rule_prefix`, a scheme before each endpoint.
    pub(crate) fn checked(mut self) -> Result<Settings, StartError> {
        for endpoint in &mut self.store {
            *endpoint = checked_endpoint(endpoint)?;
        }
        for (name, value) in [("root", &self.root), ("rule_prefix", &self.rule_prefix)] {
            if !value.starts_with('/') {
                return Err(StartError::BadPrefix { name, value: value.clone() });
            }
        }
        self.root = self.root.trim_end_matches('/').to_owned();
        self.rule_prefix = format!("{}/", self.rule_prefix.trim_end_matches('/'));
        Ok(self)
    }
}

fn checked_endpoint(endpoint: &str) -> Result<String, StartError> {
    let text = endpoint.trim().trim_end_matches('/');
    let authority = match text.split_once("://") {
        None => text,
        Some(("http", authority)) => authority,
        Some(("https", _)) => return Err(StartError::TlsUnsupported(endpoint.to_owned())),
        Some(_) => return Err(StartError::BadEndpoint(endpoint.to_owned())),
    };
    let good = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        && !authority.contains(['/', '@', ' ', '?', '#']);
    if good {
        Ok(format!("http://{authority}"))
    } else {
        Err(StartError::BadEndpoint(endpoint.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn endpoints_are_brought_to_one_form_or_refused() {
        for (given, wanted) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            (" 127.0.0.1:2379/", "http://127.0.0.1:2379"),
            ("http://[::1]:2379", "http://[::1]:2379"),
        ] {
            assert_eq!(checked_endpoint(given).unwrap(), wanted);
        }
        assert!(matches!(checked_endpoint("https://a:1"), Err(StartError::TlsUnsupported(_))));
        for bad in
            ["", "a", "http://a", "http://:1", "http://a:1/x", "etcd://a:1", "http://a:70000"]
        {
            assert!(matches!(checked_endpoint(bad), Err(StartError::BadEndpoint(_))), "{bad}");
        }
    }

    #[test]
    fn prefixes_get_their_slashes() {
        let settings =
            Settings { root: "/dubbo/".into(), rule_prefix: "/r".into(), ..Settings::default() };
        let settings = settings.checked().unwrap();
        assert_eq!((settings.root.as_str(), settings.rule_prefix.as_str()), ("/dubbo", "/r/"));
        let bad = Settings { root: "dubbo".into(), ..Settings::default() };
        assert!(matches!(bad.checked(), Err(StartError::BadPrefix { name: "root", .. })));
    }
}
