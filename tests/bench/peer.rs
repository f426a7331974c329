//! The proxies that are measured side by side, and how each is told to do the
//! same: take calls on one port and bring them to one provider.

mod over_http;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::frame::SERVICE;
use crate::process::{Process, free_port};
use crate::protocol::Protocol;

/// A way from the callers to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// No proxy: what the load side itself can do.
    Direct,
    /// `copy`: the floor of any proxy with a socket pair per caller.
    Floor,
    /// haproxy: in TCP mode, and for HTTP in HTTP mode.
    Haproxy,
    /// Envoy's `tcp_proxy`.
    EnvoyTcp,
    /// Envoy's `dubbo_proxy`, routing by interface and method; for HTTP its
    /// connection manager.
    Envoy,
    /// The same, routing by an attachment: it reads the whole call.
    EnvoyAttachment,
    /// Spanwire without a rule.
    Spanwire,
    /// Spanwire with a rule that reads an attachment.
    SpanwireRule,
}

/// The `user` of the measured calls; the rule sends it to the provider.
pub(crate) const USER: &str = "u7";
/// The `user` whom the rule sends to nowhere: a way to see that it is obeyed.
pub(crate) const NOBODY: &str = "nobody";

impl Peer {
    /// Whether it is somebody else's proxy.
    pub(crate) fn is_compared_with(self) -> bool {
        !matches!(self, Peer::Direct | Peer::Floor | Peer::Spanwire | Peer::SpanwireRule)
    }

    /// Those that are measured unless asked otherwise.
    pub(crate) const DEFAULT: [Peer; 6] = [
        Peer::Direct,
        Peer::Floor,
        Peer::Haproxy,
        Peer::Envoy,
        Peer::EnvoyAttachment,
        Peer::Spanwire,
    ];

    /// As it is named on the command line and in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Peer::Direct => "direct",
            Peer::Floor => "floor",
            Peer::Haproxy => "haproxy",
            Peer::EnvoyTcp => "envoy-tcp",
            Peer::Envoy => "envoy",
            Peer::EnvoyAttachment => "envoy-attach",
            Peer::Spanwire => "spanwire",
            Peer::SpanwireRule => "spanwire-rule",
        }
    }

    /// As a person reads it.
    pub(crate) fn title(self, protocol: Protocol) -> &'static str {
        match self {
            Peer::Direct => "no proxy",
            Peer::Floor => "floor: copies bytes (L4)",
            Peer::Haproxy if protocol == Protocol::Dubbo => "haproxy, TCP mode (L4)",
            Peer::Haproxy => "haproxy, HTTP mode",
            Peer::EnvoyTcp => "Envoy tcp_proxy (L4)",
            Peer::Envoy if protocol == Protocol::Dubbo => "Envoy dubbo_proxy",
            Peer::Envoy => "Envoy",
            Peer::EnvoyAttachment => "Envoy dubbo_proxy, attachment",
            Peer::Spanwire => "Spanwire",
            Peer::SpanwireRule => "Spanwire, rule on an attachment",
        }
    }

    /// The peer of that name.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub(crate) fn parse(key: &str) -> Result<Peer, String> {
        let all = [
            Peer::Direct,
            Peer::Floor,
            Peer::Haproxy,
            Peer::EnvoyTcp,
            Peer::Envoy,
            Peer::EnvoyAttachment,
            Peer::Spanwire,
        ];
        all.into_iter()
            .find(|p| p.key() == key)
            .ok_or_else(|| format!("no peer {key}; there are {}", all.map(Peer::key).join(", ")))
    }
}

/// What it takes to start any peer.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The core of the proxies.
    pub(crate) core: usize,
    /// The `spanwire` binary.
    pub(crate) spanwire: PathBuf,
    /// The `tools` folder of this repository.
    pub(crate) tools: PathBuf,
}

impl Stage {
    /// Starts `peer` in front of `provider`; `None` for [`Peer::Direct`].
    pub(crate) fn start(
        &self,
        protocol: Protocol,
        peer: Peer,
        provider: SocketAddr,
    ) -> Result<Option<Process>> {
        let directory = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let listen = free_port()?;
        let at = directory.path();
        let command = match peer {
            Peer::Direct => return Ok(None),
            Peer::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["copy", &listen.to_string(), &provider.to_string()]);
                command
            }
            Peer::Haproxy => {
                let mut command = Command::new(self.tools.join("haproxy"));
                command.arg("-db").arg("-f").arg(write(
                    at,
                    "haproxy.cfg",
                    &match protocol {
                        Protocol::Dubbo => haproxy(listen, provider),
                        _ => over_http::haproxy(protocol, listen, provider),
                    },
                )?);
                command
            }
            Peer::EnvoyTcp => self.envoy(at, &envoy(TCP_PROXY, "", listen, provider))?,
            Peer::Envoy if protocol == Protocol::Dubbo => {
                self.envoy(at, &envoy(&dubbo_proxy(""), "", listen, provider))?
            }
            Peer::Envoy => {
                let filter = over_http::connection_manager(protocol);
                self.envoy(at, &envoy(&filter, over_http::cluster(protocol), listen, provider))?
            }
            Peer::EnvoyAttachment => {
                let user = format!(", headers: [{{name: user, string_match: {{exact: {USER}}}}}]");
                self.envoy(at, &envoy(&dubbo_proxy(&user), "", listen, provider))?
            }
            Peer::Spanwire | Peer::SpanwireRule => {
                if !self.spanwire.is_file() {
                    bail!(
                        "no {}: build it, or name another with --spanwire",
                        self.spanwire.display()
                    );
                }
                let rule = peer == Peer::SpanwireRule;
                if rule {
                    let name = format!("{SERVICE}::.condition-router.yaml");
                    write(&at.join("rules"), &name, &attachment_rule())?;
                }
                let mut command = Command::new(&self.spanwire);
                command.arg("proxy").arg("-c").arg(write(
                    at,
                    "spanwire.yaml",
                    &match protocol {
                        Protocol::Dubbo => spanwire(rule, listen, provider),
                        _ => over_http::spanwire(protocol, listen, provider),
                    },
                )?);
                command
            }
        };
        let mut command = command;
        command.current_dir(at);
        Process::start(command, listen, self.core, directory)
            .with_context(|| format!("starting {}", peer.title(protocol)))
            .map(Some)
    }

    fn envoy(&self, at: &Path, config: &str) -> Result<Command> {
        let config = write(at, "envoy.yaml", config)?;
        let mut command = Command::new(self.tools.join("envoy"));
        command.arg("--config-path").arg(config);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        Ok(command)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn haproxy(listen: SocketAddr, provider: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn 8000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen dubbo
    bind {listen}
    server provider {provider}
"
    )
}

const TCP_PROXY: &str = "
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: provider";

/// `more` goes into the route's match.
fn dubbo_proxy(more: &str) -> String {
    format!(
        "
      - name: envoy.filters.network.dubbo_proxy
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy
          stat_prefix: bench
          protocol_type: Dubbo
          serialization_type: Hessian2
          route_config:
          - name: bench
            interface: {SERVICE}
            routes:
            - match: {{method: {{name: {{safe_regex: {{regex: '.*'}}}}}}{more}}}
              route: {{cluster: provider}}"
    )
}

/// The circuit breakers are raised out of the way: by default the filter's many
/// upstream connections run into them.
fn envoy(filter: &str, cluster: &str, listen: SocketAddr, provider: SocketAddr) -> String {
    format!(
        "static_resources:
  listeners:
  - name: bench
    address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}
    filter_chains:
    - filters:{filter}
  clusters:
  - name: provider
    type: STATIC
    connect_timeout: 5s{cluster}
    circuit_breakers:
      thresholds:
      - {{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}
",
        listen.port(),
        provider.port()
    )
}

fn spanwire(rule: bool, listen: SocketAddr, provider: SocketAddr) -> String {
    let rules = if rule { "rules: [rules]\n" } else { "" };
    format!(
        "workers: 1
application: bench
{rules}services:
  - name: {SERVICE}
    protocol: dubbo
    endpoints:
      - {{address: \"{provider}\"}}
listeners:
  - {{name: out, bind: \"{listen}\", direction: outbound, protocols: [dubbo]}}
"
    )
}

fn attachment_rule() -> String {
    format!(
        "configVersion: v3.0
scope: service
force: true
enabled: true
key: {SERVICE}
conditions:
  - attachments[user]={USER} => host=127.0.0.1
  - attachments[user]={NOBODY} => host=192.0.2.1
"
    )
}
