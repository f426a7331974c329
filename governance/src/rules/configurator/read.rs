//! Reading configurators and reporting what is wrong with them.

use crate::document::{Mapping, Node, Report, Value, parse_one};
use crate::rules::head::{flag, java_text, text};
use crate::rules::{Compat, Scope};
use crate::url::Url;

use super::apply::{Overrides, Target, apply_all, service_key};
use super::matches::read_matches;
use super::parameters::{FIXED_KEYS, Set, check_parameter, conditions_of, priority_of, settable};
use super::{Matches, Override};

/// The overrides of one document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Configurators {
    overrides: Vec<Override>,
}

impl Configurators {
    /// Applies them to a target, after what was set before.
    pub(crate) fn apply(&self, target: Target<'_>, set: &mut Overrides) {
        apply_all(self.overrides.iter(), target, set);
    }

    /// Reads a document about a service or an application (`about`). `None`
    /// when it must not take effect; why is reported.
    pub(crate) fn read(
        text: &str,
        about: &str,
        scope: Scope,
        compat: Compat,
        report: &mut Report,
    ) -> Option<Configurators> {
        let root = parse_one(text, report)?;
        if let Value::Sequence(urls) = &root.value {
            let overrides = urls.iter().filter_map(|url| read_url(url, compat, report)).collect();
            return Some(Configurators { overrides });
        }
        let mut map = root.mapping("configurators", report)?;
        let document = Document::read(&mut map, about, scope, compat, report);
        let mut overrides = Vec::new();
        let configs = map.list("configs", report);
        for node in configs {
            if report.is_hopeless(compat) {
                break;
            }
            let Some(mut item) = node.mapping("a configuration", report) else { continue };
            document.read_item(&mut item, &mut overrides, report);
            item.finish(report);
        }
        if compat == Compat::Documented && configs.is_empty() && !report.has_errors() {
            report.error(
                root.position,
                "no-configs",
                "configs is missing or empty",
                "remove the document, or write what shall change",
            );
        }
        map.finish(report);
        Some(Configurators { overrides })
    }
}

/// What holds for all configurations of a document.
struct Document {
    compat: Compat,
    enabled: bool,
    is_v30: bool,
    by_application: bool,
    /// The application, or the service's key.
    about: String,
}

impl Document {
    fn read(
        map: &mut Mapping<'_>,
        about: &str,
        scope: Scope,
        compat: Compat,
        report: &mut Report,
    ) -> Document {
        let version = text(map, "configVersion", report).unwrap_or_default().to_owned();
        if compat == Compat::Documented && !matches!(version.as_str(), "" | "v2.7" | "v3.0") {
            let at = map.peek("configVersion").map(|node| node.position).unwrap_or_default();
            let message = format!("configVersion {version} is not known");
            report.error(at, "unknown-version", message, "write v3.0");
        }
        let said = text(map, "scope", report) == Some("application");
        let key = text(map, "key", report);
        let enabled = flag(map, "enabled", true, compat, report);
        flag(map, "dynamic", false, compat, report);
        flag(map, "valid", true, compat, report);
        let own = match about.split_once(':') {
            Some((service, rest)) => {
                let (version, group) = rest.split_once(':').unwrap_or((rest, ""));
                service_key(group, service, version)
            }
            None => about.to_owned(),
        };
        // Java goes by what the text says, and we by the document's key.
        let (by_application, about) = match compat {
            Compat::Java => (said, key.unwrap_or_default().to_owned()),
            Compat::Documented => {
                if let Some(node) = map.peek("key").filter(|_| key.is_some_and(|key| key != own)) {
                    report.warning(
                        node.position,
                        "key-mismatch",
                        format!("key is {}, but the document is about {own}", key.unwrap_or("")),
                        format!("Java goes by the key in the text: write key: {own}"),
                    );
                }
                (scope == Scope::Application, own)
            }
        };
        if about.is_empty() {
            report.error(map.position(), "missing-key", "key is missing", "name the service");
        }
        Document { compat, enabled, is_v30: version.starts_with("v3.0"), by_application, about }
    }

    fn read_item(&self, map: &mut Mapping<'_>, overrides: &mut Vec<Override>, report: &mut Report) {
        let compat = self.compat;
        let kind = text(map, "type", report);
        let own = flag(map, "enabled", false, compat, report);
        let by_document = matches!(kind, None | Some("general"));
        let enabled = if by_document { self.enabled } else { own };
        match map.peek("enabled") {
            Some(node) if by_document => report.warning(
                node.position,
                "item-enabled-ignored",
                "enabled of one configuration does not count without a type",
                "take the configuration out, or write enabled beside configs for all of them",
            ),
            None if !by_document => report.warning(
                map.position(),
                "type-needs-enabled",
                format!("a configuration of type {} is off without enabled", kind.unwrap_or("")),
                "write enabled: true beside type, or leave type out",
            ),
            _ => {}
        }
        let side = text(map, "side", report);
        if side.is_none() {
            let severity = report.severity_of_loss(compat);
            report.add(
                severity,
                map.position(),
                "side-missing",
                "a configuration without side does nothing",
                "write side: consumer",
            );
        }
        let mut addresses = texts(map, "addresses", compat, report);
        if addresses.is_empty() {
            addresses.push("0.0.0.0".to_owned());
        }
        let mut providers = texts(map, "providerAddresses", compat, report);
        let applications = texts(map, "applications", compat, report);
        let mut services = texts(map, "services", compat, report);
        if providers.is_empty() && side == Some("provider") {
            providers.clone_from(&addresses);
        }
        let set = self.read_parameters(map, side == Some("provider"), report);
        let matches = map.value("match").and_then(|node| {
            if !self.is_v30 {
                let severity = report.severity_of_loss(compat);
                let hint = "write configVersion: v3.0";
                let message = "match counts under configVersion v3.0 only";
                report.add(severity, node.position, "match-needs-v3.0", message, hint);
                return None;
            }
            read_matches(node, compat, report)
        });
        let by_provider =
            !providers.is_empty() || matches.as_ref().is_some_and(Matches::is_by_provider);
        if by_provider && side == Some("consumer") && set.iter().any(|(key, _)| is_retries(key)) {
            report.warning(
                map.position(),
                "retries-per-provider",
                "in Java retries is the caller's, and does not change for single providers",
                "set retries without naming providers while Java consumers read this rule",
            );
        }
        let misplaced = if self.by_application { &applications } else { &services };
        if !misplaced.is_empty() {
            let severity = report.severity_of_loss(compat);
            let (wrong, right) = if self.by_application {
                ("applications", "services")
            } else {
                ("services", "applications")
            };
            report.add(
                severity,
                map.position(),
                "wrong-selector",
                format!("{wrong} does not count here"),
                format!("write {right}, or match"),
            );
        }
        if services.is_empty() {
            services.push("*".to_owned());
        }
        let applications: Vec<Option<Box<str>>> = if self.by_application {
            vec![Some(self.about.as_str().into())]
        } else if applications.is_empty() {
            // In Java a parameter of this name becomes the condition.
            let named = set.iter().find(|(key, _)| &**key == "application");
            vec![named.map(|(_, value)| value.clone())]
        } else {
            applications.iter().map(|name| Some(name.as_str().into())).collect()
        };
        let services: Vec<String> =
            if self.by_application { services } else { vec![self.about.clone()] };
        if !enabled {
            return;
        }
        for address in &addresses {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            for service in &services {
                for application in &applications {
                    let mut conditions = Vec::new();
                    if !self.is_v30 {
                        conditions = conditions_of(&set);
                        // Asked a second time, of the URL's parameters.
                        conditions.extend(
                            application.iter().map(|name| ("application".into(), name.clone())),
                        );
                    }
                    overrides.push(Override {
                        absent: false,
                        host: host.into(),
                        port: port.parse().unwrap_or(0),
                        service: service.as_str().into(),
                        application: application.clone(),
                        for_consumers: side == Some("consumer"),
                        providers: providers.iter().map(|text| text.as_str().into()).collect(),
                        conditions,
                        matches: matches.clone(),
                        is_old: false,
                        parameters: settable(&set, self.is_v30),
                        priority: priority_of(&set),
                    });
                }
            }
        }
    }

    fn read_parameters(
        &self,
        map: &mut Mapping<'_>,
        for_providers: bool,
        report: &mut Report,
    ) -> Set {
        let Some(node) = map.value("parameters") else {
            report.error(
                map.position(),
                "no-parameters",
                "a configuration must set something, or the whole document is refused",
                "write parameters: {timeout: 2000}",
            );
            return Vec::new();
        };
        let Some(inside) = node.mapping("parameters", report) else { return Vec::new() };
        if inside.entries().is_empty() {
            report.error(node.position, "no-parameters", "parameters is empty", "");
        }
        let mut set = Vec::new();
        for (key, value) in inside.entries() {
            let Some(key_text) = key.text("a parameter", report) else { continue };
            if value.is_null() {
                // Java falls over it.
                report.error(value.position, "wrong-type", format!("{key_text} is nothing"), "");
                continue;
            }
            let value_text = java_text(value);
            check_parameter(key_text, &value_text, key, for_providers, self.compat, report);
            set.push((key_text.into(), value_text.into()));
        }
        set
    }
}

fn is_retries(key: &str) -> bool {
    key == "retries" || key.ends_with(".retries")
}

/// The texts of a list; in Java what is no list counts as absent.
fn texts(
    map: &mut Mapping<'_>,
    key: &'static str,
    compat: Compat,
    report: &mut Report,
) -> Vec<String> {
    let Some(node) = map.value(key) else { return Vec::new() };
    match &node.value {
        Value::Sequence(items) => items.iter().map(java_text).collect(),
        _ => {
            if compat == Compat::Documented {
                node.wrong_type(key, "a list", report);
            }
            Vec::new()
        }
    }
}

/// `override://…` as a whole, from before 2.7.
fn read_url(node: &Node, compat: Compat, report: &mut Report) -> Option<Override> {
    let text = node.text("an override URL", report)?;
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            report.error(node.position, "bad-url", error.to_string(), "");
            return None;
        }
    };
    let absent = url.protocol == "absent";
    if !absent && url.protocol != "override" {
        report.error(
            node.position,
            "bad-url",
            format!("{} is not override or absent", url.protocol),
            "write override://0.0.0.0/<interface>?…",
        );
        return None;
    }
    if absent {
        report.warning(
            node.position,
            "absent-replaces",
            "absent:// also replaces what the provider's own URL says",
            "leave the parameter to the provider, or write override://",
        );
    }
    let set: Set = url.parameters.iter().map(|(key, value)| (key.into(), value.into())).collect();
    let get = |key: &str| url.parameters.get(key).filter(|value| !value.is_empty());
    for (key, value) in &set {
        // A URL says in its parameters when it applies, too.
        if &**key != "providerAddresses" && !FIXED_KEYS.contains(&&**key) {
            let for_providers = get("side") == Some("provider");
            check_parameter(key, value, node, for_providers, compat, report);
        }
    }
    if get("enabled").is_some_and(|value| !value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let is_v30 = get("configVersion").is_some_and(|version| version.starts_with("v3.0"));
    let service = match url.path.as_str() {
        "*" => "*".to_owned(),
        path => service_key(
            get("group").unwrap_or_default(),
            get("interface").unwrap_or(path),
            get("version").unwrap_or_default(),
        ),
    };
    let mut conditions = if is_v30 { Vec::new() } else { conditions_of(&set) };
    for key in ["side", "application"] {
        if let Some(value) = get(key).filter(|_| !is_v30) {
            conditions.push((key.into(), value.into()));
        }
    }
    Some(Override {
        absent,
        host: url.host.as_str().into(),
        port: url.port,
        service: service.into(),
        application: get("application").map(Into::into),
        for_consumers: get("side") == Some("consumer"),
        providers: get("providerAddresses")
            .map(|list| list.split(',').map(Into::into).collect())
            .unwrap_or_default(),
        conditions,
        matches: None,
        is_old: get("configVersion").is_none(),
        parameters: settable(&set, is_v30),
        priority: priority_of(&set),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str, compat: Compat) -> (Option<Configurators>, Vec<&'static str>) {
        let mut report = Report::new("x");
        let read = Configurators::read(text, "lab.Echo::", Scope::Service, compat, &mut report);
        (read, report.findings().iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn a_good_document_has_no_findings() {
        let text = "configVersion: v3.0\nscope: service\nkey: lab.Echo\nenabled: true\nconfigs:\n  \
                    - side: consumer\n    match: {address: {wildcard: '10.*'}, app: {oneof: [{exact: web}]}}\n    \
                    parameters: {timeout: 2000, sayHello.retries: 0, loadbalance: leastactive}\n";
        let (read, codes) = read(text, Compat::Documented);
        assert_eq!(read.unwrap().overrides.len(), 1);
        assert!(codes.is_empty(), "{codes:?}");
    }

    #[test]
    fn what_is_not_honoured_is_refused() {
        for (parameter, codes) in [
            ("heartbeat: 1", &["parameter-not-honoured"][..]),
            ("echo.forks: 3", &["parameter-not-honoured"]),
            ("mock: 'true'", &["mock-class"]),
            ("mock: 'force:return {x'", &["bad-parameter"]),
            ("echo.mock: 'force:return empty'", &["mock-empty"]),
            ("mock: 'fail:throw lab.Refused', sticky: true, actives: 3", &[]),
            ("hash.nodes: 2", &["bad-parameter"]),
            ("loadbalance: consistenthash, echo.hash.arguments: '0,1'", &[]),
            ("cluster: zone-aware", &["cluster-not-honoured"]),
            ("cluster: broadcast, broadcast.fail.percent: 101", &["bad-parameter"]),
            ("executes: 3", &["acts-in-provider"]),
            ("async: true", &["acts-in-caller"]),
        ] {
            let text = format!("configs: [{{side: consumer, parameters: {{{parameter}}}}}]\n");
            assert_eq!(read(&text, Compat::Documented).1, codes, "{parameter}");
        }
        let text = "configs: [{side: provider, parameters: {executes: 3, accesslog: true}}]\n";
        assert_eq!(read(text, Compat::Documented).1, [""; 0]);
        let text = "configs: [{parameters: {timeout: 1}}]\n";
        assert_eq!(read(text, Compat::Documented).1, ["side-missing"]);
        let text = "configs: [{side: consumer}]\n";
        assert_eq!(read(text, Compat::Documented).1, ["no-parameters"]);
        let text = "configs: [{side: consumer, match: {application: x}, parameters: {timeout: 1}}]\n\
                    configVersion: v3.0\n";
        assert_eq!(read(text, Compat::Documented).1, ["match-application"]);
        assert_eq!(read("configs: []\n", Compat::Documented).1, ["no-configs"]);
    }

    #[test]
    fn what_is_switched_off_is_good() {
        let text = "enabled: false\nconfigs: [{side: consumer, parameters: {timeout: 1}}]\n";
        let (read, codes) = read(text, Compat::Documented);
        assert!(codes.is_empty(), "{codes:?}");
        assert!(read.unwrap().overrides.is_empty());
    }
}
