//! Application-level registration: one instance per process, not per interface.
//!
//! Where things stand in etcd (Java's `EtcdServiceDiscovery` 3.2.0 and dubbo-go's
//! `registry/etcdv3`, `metadata/report/etcd`; neither writes Curator's form,
//! which is read all the same):
//!
//! * `/services/<app>/<host>:<port>`: one instance as JSON;
//! * `<root>/mapping/<interface>`: the applications that offer an interface,
//!   comma separated;
//! * `<root>/metadata/<app>/<revision>` (Java) or `<root>/<app>/<revision>`
//!   (dubbo-go): what the instances of that revision offer, as JSON.
//!
//! The last is there only with a metadata report in the store. Without it
//! (`dubbo.metadata.storage-type` local, Java's default) only a call to the
//! instance's MetadataService could tell group, version and labels. Such an
//! instance is taken to offer the interface on all its endpoints, in no group
//! and version.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

/// An instance of an application, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppInstance {
    host: String,
    endpoints: Vec<Endpoint>,
    /// The revision of its metadata; empty if it says none.
    pub(crate) revision: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Endpoint {
    port: u16,
    protocol: String,
}

/// Gson's form of Java's `DefaultServiceInstance`, dubbo-go's (same names with
/// capitals) and Curator's `ServiceInstance` (a `payload` with the metadata).
#[derive(Debug, Deserialize)]
struct Written {
    #[serde(alias = "Host", alias = "address")]
    host: Option<String>,
    #[serde(alias = "Port")]
    port: Option<u16>,
    #[serde(alias = "Enable", alias = "Enabled", default = "yes")]
    enabled: bool,
    #[serde(alias = "Healthy", default = "yes")]
    healthy: bool,
    #[serde(alias = "Metadata", default)]
    metadata: Option<BTreeMap<String, String>>,
    payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

fn yes() -> bool {
    true
}

impl AppInstance {
    /// Reads the JSON of one instance. `None` if it is not to be called now.
    pub(crate) fn read(key_tail: &str, json: &str) -> Result<Option<AppInstance>, String> {
        // Gson writes the address both ways; keep one and let the key fill gaps.
        let mut value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        if let Some(object) = value.as_object_mut()
            && (object.contains_key("host") || object.contains_key("Host"))
        {
            object.remove("address");
        }
        let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if !written.enabled || !written.healthy {
            return Ok(None);
        }
        let (key_host, key_port) = key_tail.rsplit_once(':').unwrap_or((key_tail, ""));
        let host = written.host.filter(|host| !host.is_empty()).unwrap_or(key_host.to_owned());
        let port = written.port.or_else(|| key_port.parse().ok());
        let metadata = written
            .metadata
            .or_else(|| written.payload.and_then(|payload| payload.metadata))
            .unwrap_or_default();
        let endpoints = match (metadata.get("dubbo.endpoints"), port) {
            (Some(json), _) => {
                serde_json::from_str(json).map_err(|error| format!("dubbo.endpoints: {error}"))?
            }
            (None, Some(port)) => vec![Endpoint { port, protocol: "dubbo".to_owned() }],
            (None, None) => return Err("neither a port nor dubbo.endpoints".to_owned()),
        };
        let revision = metadata.get("dubbo.metadata.revision").cloned().unwrap_or_default();
        let labels = metadata
            .into_iter()
            .filter(|(key, _)| !key.starts_with("dubbo.") && key != "meta-v" && key != "timestamp")
            .collect();
        Ok(Some(AppInstance { host, endpoints, revision, labels }))
    }

    /// The provider URLs under which this instance of `app` offers `interface`.
    pub(crate) fn urls(
        &self,
        app: &str,
        interface: &str,
        metadata: Option<&Metadata>,
    ) -> Vec<Arc<str>> {
        let Some(metadata) = metadata else {
            return self
                .endpoints
                .iter()
                .map(|endpoint| {
                    self.url(
                        app,
                        interface,
                        interface,
                        &endpoint.protocol,
                        endpoint.port,
                        BTreeMap::new(),
                    )
                })
                .collect();
        };
        let mut urls = Vec::new();
        for service in metadata.services.values().filter(|service| service.name == interface) {
            let endpoint = self.endpoints.iter().find(|endpoint| {
                endpoint.protocol == service.protocol
                    && service.port.is_none_or(|port| port == endpoint.port)
            });
            let port =
                endpoint.map(|endpoint| endpoint.port).or(service.port.filter(|port| *port > 0));
            let Some(port) = port else { continue };
            let mut parameters = service.params.clone();
            for (name, value) in [("group", &service.group), ("version", &service.version)] {
                if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                    parameters.insert(name.to_owned(), value.clone());
                }
            }
            let path = service.path.as_deref().unwrap_or(interface).trim_start_matches('/');
            urls.push(self.url(app, interface, path, &service.protocol, port, parameters));
        }
        urls
    }

    /// Parameters of the service win over labels of the instance, as in Java's
    /// `InstanceAddressURL`.
    fn url(
        &self,
        app: &str,
        interface: &str,
        path: &str,
        protocol: &str,
        port: u16,
        parameters: BTreeMap<String, String>,
    ) -> Arc<str> {
        let mut all = self.labels.clone();
        all.extend(parameters);
        all.insert("application".to_owned(), app.to_owned());
        all.insert("interface".to_owned(), interface.to_owned());
        all.insert("side".to_owned(), "provider".to_owned());
        let query: Vec<String> = all
            .iter()
            .map(|(key, value)| format!("{key}={}", value.replace('%', "%25").replace('&', "%26")))
            .collect();
        let path = if path.is_empty() { interface } else { path };
        format!("{protocol}://{}:{port}/{path}?{}", self.host, query.join("&")).into()
    }
}

/// What the instances of one revision offer (`MetadataInfo`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default)]
    services: BTreeMap<String, ServiceInfo>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ServiceInfo {
    name: String,
    group: Option<String>,
    version: Option<String>,
    protocol: String,
    port: Option<u16>,
    path: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

impl Metadata {
    /// Reads the JSON of one revision.
    pub(crate) fn read(json: &str) -> Result<Metadata, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }
}

/// The applications of a mapping value.
pub(crate) fn mapped_apps(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|app| !app.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GSON: &str = r#"{"serviceName":"shop","host":"10.0.0.1","port":20880,"enabled":true,
        "healthy":true,"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":50051,\"protocol\":\"tri\"}]",
        "dubbo.metadata.revision":"r1","dubbo.metadata.storage-type":"remote","region":"hz"},
        "address":"10.0.0.1:20880"}"#;
    const CURATOR: &str = r#"{"name":"shop","id":"10.0.0.1:20880","address":"10.0.0.1","port":20880,
        "sslPort":null,"payload":{"@class":"x","id":"10.0.0.1:20880","name":"shop",
        "metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"}]"}},
        "registrationTimeUTC":1,"serviceType":"DYNAMIC","uriSpec":null}"#;
    const GO: &str = r#"{"ID":"10.0.0.1:20000","ServiceName":"shop","Host":"10.0.0.1","Port":20000,
        "Enable":true,"Healthy":true,"Metadata":{"dubbo.metadata.revision":"9"},"Address":"x"}"#;
    const METADATA: &str = r#"{"app":"shop","revision":"r1","services":{
        "g/lab.Echo:1.0:dubbo":{"name":"lab.Echo","group":"g","version":"1.0","protocol":"dubbo","path":"lab.Echo","params":{"weight":"50","region":"sh"}},
        "lab.Echo:tri":{"name":"lab.Echo","protocol":"tri"},
        "lab.Other:dubbo":{"name":"lab.Other","protocol":"dubbo"}}}"#;

    fn urls(instance: &str, metadata: Option<&str>) -> Vec<String> {
        let instance = AppInstance::read("10.0.0.1:20880", instance).unwrap().unwrap();
        let metadata = metadata.map(|json| Metadata::read(json).unwrap());
        let urls = instance.urls("shop", "lab.Echo", metadata.as_ref());
        urls.iter().map(|url| url.to_string()).collect()
    }

    #[test]
    fn with_metadata_group_version_and_labels_are_known() {
        assert_eq!(
            urls(GSON, Some(METADATA)),
            [
                "dubbo://10.0.0.1:20880/lab.Echo?application=shop&group=g&interface=lab.Echo&region=sh&side=provider&version=1.0&weight=50",
                "tri://10.0.0.1:50051/lab.Echo?application=shop&interface=lab.Echo&region=hz&side=provider",
            ]
        );
    }

    #[test]
    fn without_metadata_every_endpoint_is_taken() {
        assert_eq!(
            urls(GSON, None),
            [
                "dubbo://10.0.0.1:20880/lab.Echo?application=shop&interface=lab.Echo&region=hz&side=provider",
                "tri://10.0.0.1:50051/lab.Echo?application=shop&interface=lab.Echo&region=hz&side=provider",
            ]
        );
        assert_eq!(urls(CURATOR, None).len(), 1);
        assert_eq!(
            urls(GO, None),
            ["dubbo://10.0.0.1:20000/lab.Echo?application=shop&interface=lab.Echo&side=provider"]
        );
    }

    #[test]
    fn an_instance_that_is_down_is_none_and_garbage_is_an_error() {
        let down = GSON.replace(r#""healthy":true"#, r#""healthy":false"#);
        assert_eq!(AppInstance::read("a:1", &down), Ok(None));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"host":"a","port":99999}"#,
            r#"{"port":1,"metadata":{"dubbo.endpoints":"x"}}"#,
        ] {
            assert!(AppInstance::read("a", bad).is_err(), "{bad}");
        }
        assert_eq!(mapped_apps(" a,b ,,"), ["a", "b"]);
    }
}
