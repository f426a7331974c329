//! The same peers where calls go over HTTP: each reads a request's head, routes it,
//! and brings it to the provider in the version in which it came.

use std::net::SocketAddr;

use crate::http::{HOST, SERVICE};
use crate::protocol::Protocol;

/// In HTTP mode. A connection to the provider serves whichever caller comes next.
pub(super) fn haproxy(protocol: Protocol, listen: SocketAddr, provider: SocketAddr) -> String {
    let proto = if protocol == Protocol::Grpc { " proto h2" } else { "" };
    format!(
        "global
    nbthread 1
    maxconn 8000
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen http
    bind {listen}{proto}
    server provider {provider}{proto}
"
    )
}

/// Envoy's filter.
pub(super) fn connection_manager(protocol: Protocol) -> String {
    let codec = if protocol == Protocol::Grpc { "HTTP2" } else { "HTTP1" };
    format!(
        "
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: {codec}
          route_config:
            virtual_hosts:
            - name: bench
              domains: ['{HOST}']
              routes:
              - match: {{prefix: /}}
                route: {{cluster: provider}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
    )
}

/// What Envoy's cluster says of its protocol.
pub(super) fn cluster(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => {
            "
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}"
        }
        Protocol::Http1 | Protocol::Dubbo => "",
    }
}

/// Spanwire's service and listener.
pub(super) fn spanwire(protocol: Protocol, listen: SocketAddr, provider: SocketAddr) -> String {
    let service = if protocol == Protocol::Grpc { SERVICE } else { HOST };
    let protocol = protocol.key();
    format!(
        "workers: 1
application: bench
services:
  - name: {service}
    protocol: {protocol}
    endpoints:
      - {{address: \"{provider}\"}}
listeners:
  - {{name: out, bind: \"{listen}\", direction: outbound, protocols: [{protocol}]}}
"
    )
}
