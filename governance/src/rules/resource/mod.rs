//! Istio's, Gateway API's and Linkerd's resources: known by kind, namespace and
//! name, several to a document.
//!
//! Each kind is read in its own module ([`istio`],
//! [`gateway`], [`linkerd`]) into one of two
//! forms: a [`RouteRule`] or a [`DestinationRule`]. [`Resources`] holds those
//! that are in force; how they run: [`crate::route`].

pub(crate) mod destination;
pub(crate) mod honoured;
pub(crate) mod host;
pub(crate) mod route;
mod set;
pub(crate) mod value;

use crate::document::{Mapping, Node, Position, Report, parse_all};

pub(crate) use destination::DestinationRule;
pub(crate) use route::RouteRule;
pub(crate) use set::Resources;

use super::{gateway, istio, linkerd};

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ResourceKind {
    VirtualService,
    DestinationRule,
    ServiceProfile,
    GrpcRoute,
    HttpRoute,
}

impl ResourceKind {
    const ALL: [ResourceKind; 5] = [
        ResourceKind::VirtualService,
        ResourceKind::DestinationRule,
        ResourceKind::ServiceProfile,
        ResourceKind::GrpcRoute,
        ResourceKind::HttpRoute,
    ];

    /// As `kind` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ResourceKind::VirtualService => "VirtualService",
            ResourceKind::DestinationRule => "DestinationRule",
            ResourceKind::ServiceProfile => "ServiceProfile",
            ResourceKind::GrpcRoute => "GRPCRoute",
            ResourceKind::HttpRoute => "HTTPRoute",
        }
    }

    /// What `apiVersion` starts with.
    fn group(self) -> &'static str {
        match self {
            ResourceKind::VirtualService | ResourceKind::DestinationRule => "networking.istio.io/",
            ResourceKind::ServiceProfile => "linkerd.io/",
            ResourceKind::GrpcRoute | ResourceKind::HttpRoute => "gateway.networking.k8s.io/",
        }
    }
}

/// What a resource is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) kind: ResourceKind,
    /// Empty where it names none.
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

impl Identity {
    /// `VirtualService/name`, or `VirtualService/namespace/name`.
    pub(crate) fn label(&self) -> String {
        let Identity { kind, namespace, name } = self;
        match &**namespace {
            "" => format!("{}/{name}", kind.name()),
            namespace => format!("{}/{namespace}/{name}", kind.name()),
        }
    }
}

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) identity: Identity,
    /// As rules are named in explanations.
    pub(crate) label: Box<str>,
    pub(crate) position: Position,
    pub(crate) content: Content,
}

/// What a resource says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Routes(RouteRule),
    Destination(DestinationRule),
}

impl Resource {
    /// Whose services it is about.
    pub(crate) fn hosts(&self) -> &[Box<str>] {
        match &self.content {
            Content::Routes(rule) => &rule.hosts,
            Content::Destination(rule) => std::slice::from_ref(&rule.host),
        }
    }

    /// Its routes, where it has any.
    pub(crate) fn routes(&self) -> Option<&RouteRule> {
        match &self.content {
            Content::Routes(rule) => Some(rule),
            Content::Destination(_) => None,
        }
    }
}

/// How many resources a document may hold.
const MAX_RESOURCES: usize = 1000;
/// How many destinations and mirrors the routes of one resource may have.
const MAX_DESTINATIONS: usize = 4000;

/// Reads all resources of a document; what is wrong is reported.
fn read(key: &str, text: &str, report: &mut Report) -> Vec<Resource> {
    let mut resources = Vec::new();
    let Some(nodes) = parse_all(text, report) else { return resources };
    if nodes.is_empty() {
        report.error(Position::default(), "yaml-empty", "the document is empty", "");
    }
    for node in &nodes {
        // `kubectl get -o yaml` of several wraps them up.
        let items = node.mapping("a resource", &mut Report::default()).and_then(|map| {
            let is_list = map.peek("kind")?.scalar().is_some_and(|kind| kind.text == "List");
            map.peek("items").filter(|_| is_list)
        });
        match items {
            Some(items) => {
                for item in items.list("items", report).unwrap_or_default() {
                    resources.extend(read_one(key, item, report));
                    if report.is_full() {
                        break;
                    }
                }
            }
            None => resources.extend(read_one(key, node, report)),
        }
        if report.is_full() {
            break;
        }
    }
    if let Some(first) = resources.get(MAX_RESOURCES) {
        let at = first.position;
        value::too_many(at, "resources", resources.len(), MAX_RESOURCES, report);
    }
    resources
}

fn read_one(key: &str, node: &Node, report: &mut Report) -> Option<Resource> {
    let mut map = node.mapping("a resource", report)?;
    let position = map.position();
    let kind = read_kind(key, &mut map, report)?;
    let (namespace, name, created) = read_metadata(&mut map, report)?;
    let identity = Identity { kind, namespace, name };
    let label: Box<str> = identity.label().into();
    // Kubernetes keeps its own notes there.
    map.get("status");
    let mut spec = map.required("spec", report)?.mapping("spec", report)?;
    let site = ReadSite { identity: &identity, label: &label, position, created: &created };
    let content = match kind {
        ResourceKind::VirtualService => {
            Content::Routes(istio::read_virtual_service(&mut spec, &site, report))
        }
        ResourceKind::DestinationRule => {
            Content::Destination(istio::read_destination_rule(&mut spec, &site, report)?)
        }
        ResourceKind::ServiceProfile => {
            Content::Routes(linkerd::read_profile(&mut spec, &site, report))
        }
        ResourceKind::GrpcRoute | ResourceKind::HttpRoute => {
            Content::Routes(gateway::read_route(&mut spec, &site, report))
        }
    };
    spec.finish(report);
    map.finish(report);
    if let Content::Routes(rule) = &content {
        let destinations = rule.routes.iter().flat_map(|route| route.destinations()).count();
        if destinations > MAX_DESTINATIONS {
            value::too_many(position, "destinations", destinations, MAX_DESTINATIONS, report);
        }
    }
    Some(Resource { identity, label, position, content })
}

/// What readers know of the resource around a `spec`.
pub(crate) struct ReadSite<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) label: &'a str,
    pub(crate) position: Position,
    pub(crate) created: &'a str,
}

fn read_kind(key: &str, map: &mut Mapping<'_>, report: &mut Report) -> Option<ResourceKind> {
    let Some(node) = map.value("kind") else {
        report.error(
            map.position(),
            "unknown-kind",
            format!("{key:?} is not the key of a rule, and no kind makes this a resource"),
            format!(
                "name a rule <interface>:<version>:<group> or <application>, and one of {}; a \
                 resource has a kind and a metadata.name",
                super::Kind::ALL.map(super::Kind::suffix).join(", ")
            ),
        );
        return None;
    };
    let name = node.text("kind", report)?;
    let Some(kind) = ResourceKind::ALL.into_iter().find(|kind| kind.name() == name) else {
        report.error(
            node.position,
            "unknown-kind",
            format!("kind {name} is not known here"),
            format!("known here: {}", ResourceKind::ALL.map(ResourceKind::name).join(", ")),
        );
        return None;
    };
    if let Some(version) = map.value("apiVersion") {
        let text = version.text("apiVersion", report)?;
        if !text.starts_with(kind.group()) {
            report.error(
                version.position,
                "unknown-kind",
                format!("a {name} of apiVersion {text} is not known here"),
                match text.starts_with("service.dubbo.apache.org/") {
                    true => "Dubbo's own are read under <application>.MESHAPPRULE".to_owned(),
                    false => format!("write apiVersion: {}…", kind.group()),
                },
            );
            return None;
        }
    }
    Some(kind)
}

/// Namespace, name and time of creation. What else Kubernetes keeps there says
/// nothing about calls.
fn read_metadata(
    map: &mut Mapping<'_>,
    report: &mut Report,
) -> Option<(Box<str>, Box<str>, Box<str>)> {
    let mut metadata = map.required("metadata", report)?.mapping("metadata", report)?;
    let mut text = |key, report: &mut Report| Box::from(metadata.text(key, report).unwrap_or(""));
    let namespace = text("namespace", report);
    // YAML may take it for a date.
    let created =
        metadata.value("creationTimestamp").and_then(Node::scalar).map_or("", |time| &time.text);
    let name = metadata.required_text("name", report)?;
    if name.contains(['/', ' ', '\n']) {
        let at = metadata.peek("name").map(|node| node.position).unwrap_or_default();
        report.error(
            at,
            "bad-name",
            format!("metadata.name is {name:?}"),
            "write a name without slashes and spaces, and the namespace as metadata.namespace",
        );
    }
    for key in [
        "labels",
        "annotations",
        "uid",
        "resourceVersion",
        "generation",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "selfLink",
        "generateName",
    ] {
        metadata.get(key);
    }
    metadata.finish(report);
    Some((namespace, name.into(), created.into()))
}
