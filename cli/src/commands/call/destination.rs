//! Where a call goes: `PROTOCOL://HOST:PORT/SERVICE/METHOD`.

use std::str::FromStr;

/// A call's destination, read from its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// `HOST:PORT`.
    pub(super) address: String,
    pub(super) service: String,
    pub(super) method: String,
}

/// Protocols of the mesh that this build does not speak.
const LATER: [&str; 7] = ["bolt", "grpc", "triple", "tri", "http", "http1", "http2"];

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        let form = "write dubbo://HOST:PORT/SERVICE/METHOD";
        let Some((protocol, rest)) = text.split_once("://") else {
            return Err(format!("there is no protocol in it; {form}"));
        };
        if protocol != "dubbo" {
            let known = if LATER.contains(&protocol) {
                "is not spoken by this build"
            } else {
                "is unknown"
            };
            return Err(format!("protocol {protocol:?} {known}; {form}"));
        }
        let mut parts = rest.splitn(2, '/');
        let (address, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0)
        });
        if !has_port {
            return Err(format!("{address:?} is not HOST:PORT; {form}"));
        }
        // A service's path may have slashes in it, a method's name has none.
        match path.rsplit_once('/') {
            Some((service, method)) if !service.is_empty() && !method.is_empty() => {
                Ok(Destination {
                    address: address.to_owned(),
                    service: service.to_owned(),
                    method: method.to_owned(),
                })
            }
            _ => Err(format!("{path:?} is not SERVICE/METHOD; {form}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        let read = |text: &str| text.parse::<Destination>();
        for (text, address, service, method) in [
            ("dubbo://127.0.0.1:20880/lab.Echo/echo", "127.0.0.1:20880", "lab.Echo", "echo"),
            ("dubbo://[::1]:1/a/b/c", "[::1]:1", "a/b", "c"),
        ] {
            let expected = Destination {
                address: address.to_owned(),
                service: service.to_owned(),
                method: method.to_owned(),
            };
            assert_eq!(read(text), Ok(expected));
        }
        let form = "write dubbo://HOST:PORT/SERVICE/METHOD";
        for (text, error) in [
            ("lab.Echo/echo", "there is no protocol in it"),
            ("bolt://a:1/s/m", "protocol \"bolt\" is not spoken by this build"),
            ("duboo://a:1/s/m", "protocol \"duboo\" is unknown"),
            ("dubbo://a/s/m", "\"a\" is not HOST:PORT"),
            ("dubbo://a:0/s/m", "\"a:0\" is not HOST:PORT"),
            ("dubbo://:1/s/m", "\":1\" is not HOST:PORT"),
            ("dubbo://a:1/s", "\"s\" is not SERVICE/METHOD"),
            ("dubbo://a:1/s/", "\"s/\" is not SERVICE/METHOD"),
        ] {
            assert_eq!(read(text), Err(format!("{error}; {form}")), "{text}");
        }
    }
}
