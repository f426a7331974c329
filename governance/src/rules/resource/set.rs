//! The resources in force, and what each change of them touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::host::{Fit, fit, in_kubernetes};
use super::route::Destination;
use super::{Content, Identity, Resource, ResourceKind, read};
use crate::document::Report;
use crate::rules::Affected;

/// The resources in force.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// By the document that they stand in.
    documents: BTreeMap<String, Vec<Arc<Resource>>>,
    /// The document of each.
    owners: HashMap<Identity, String, FixedState>,
    /// By their hosts, and by the applications that those may mean.
    by_host: BTreeMap<Box<str>, Vec<Arc<Resource>>>,
    /// Those with a wildcard among their hosts.
    wildcards: Vec<Arc<Resource>>,
    /// Documents that wait for another to give a resource up, by key: their
    /// names in findings, and their texts.
    waiting: BTreeMap<String, (String, String)>,
}

impl Resources {
    /// Takes a document that was added or changed, or was removed (`None`).
    pub(crate) fn apply(&mut self, key: &str, text: Option<&str>, report: &mut Report) -> Affected {
        self.waiting.remove(key);
        let resources = match text {
            Some(text) => read(key, text, report),
            None => Vec::new(),
        };
        if report.has_errors() {
            return Affected::Nothing;
        }
        let mut names = BTreeSet::new();
        for resource in &resources {
            if !names.insert(&resource.identity) {
                twice(resource, "this document", report);
            } else if let Some(owner) =
                self.owners.get(&resource.identity).filter(|owner| *owner != key)
            {
                twice(resource, owner, report);
                if let Some(text) = text {
                    self.waiting
                        .insert(key.to_owned(), (report.file().to_owned(), text.to_owned()));
                }
            }
        }
        self.check_delegates(key, &resources, report);
        if report.has_errors() {
            return Affected::Nothing;
        }
        self.check_subsets(key, &resources, report);
        self.check_hosts(key, &resources, report);
        self.replace(key, resources)
    }

    /// The documents that wait for another: key, name in findings, text.
    pub(crate) fn waiting(&self) -> Vec<(String, String, String)> {
        let each = self.waiting.iter();
        each.map(|(key, (file, text))| (key.clone(), file.clone(), text.clone())).collect()
    }

    fn replace(&mut self, key: &str, resources: Vec<Resource>) -> Affected {
        let old = self.documents.remove(key).unwrap_or_default();
        // What did not change keeps its identity and touches nobody.
        let new: Vec<Arc<Resource>> = resources
            .into_iter()
            .map(|resource| match old.iter().find(|old| ***old == resource) {
                Some(same) => same.clone(),
                None => Arc::new(resource),
            })
            .collect();
        let is_in = |all: &[Arc<Resource>], one: &Arc<Resource>| {
            all.iter().any(|other| Arc::ptr_eq(other, one))
        };
        let mut hosts = BTreeSet::new();
        for gone in old.iter().filter(|one| !is_in(&new, one)) {
            self.collect_hosts(gone, &mut hosts);
            self.unlist(gone);
        }
        for fresh in new.iter().filter(|one| !is_in(&old, one)) {
            self.list(fresh, key);
        }
        for fresh in new.iter().filter(|one| !is_in(&old, one)) {
            self.collect_hosts(fresh, &mut hosts);
        }
        if !new.is_empty() {
            self.documents.insert(key.to_owned(), new);
        }
        if hosts.is_empty() {
            Affected::Nothing
        } else {
            Affected::Hosts(hosts.into_iter().collect())
        }
    }

    fn list(&mut self, resource: &Arc<Resource>, key: &str) {
        self.owners.insert(resource.identity.clone(), key.to_owned());
        for name in keys_of(resource) {
            self.by_host.entry(name).or_default().push(resource.clone());
        }
        if has_wildcard(resource) {
            self.wildcards.push(resource.clone());
        }
    }

    fn unlist(&mut self, resource: &Arc<Resource>) {
        self.owners.remove(&resource.identity);
        for name in keys_of(resource) {
            if let Some(listed) = self.by_host.get_mut(&name) {
                listed.retain(|one| !Arc::ptr_eq(one, resource));
                if listed.is_empty() {
                    self.by_host.remove(&name);
                }
            }
        }
        self.wildcards.retain(|one| !Arc::ptr_eq(one, resource));
    }

    /// The hosts that a resource is about; of one that others delegate to,
    /// theirs.
    fn collect_hosts(&self, resource: &Resource, hosts: &mut BTreeSet<String>) {
        hosts.extend(resource.hosts().iter().map(|host| host.to_string()));
        if !resource.hosts().is_empty() || resource.identity.kind != ResourceKind::VirtualService {
            return;
        }
        for root in self.documents.values().flatten().chain(self.by_host.values().flatten()) {
            let delegates = root.routes().is_some_and(|rule| {
                rule.delegates().any(|(namespace, name, _)| {
                    (namespace, name) == (&resource.identity.namespace, &resource.identity.name)
                })
            });
            if delegates {
                hosts.extend(root.hosts().iter().map(|host| host.to_string()));
            }
        }
    }

    /// The resources about a service that these applications provide, the most
    /// specific first; equals by kind, namespace and name.
    pub(crate) fn about<'a>(
        &'a self,
        service: &str,
        applications: &[&str],
    ) -> Vec<(Fit, &'a Arc<Resource>)> {
        let named = [service].into_iter().chain(applications.iter().copied());
        let listed = named.filter_map(|name| self.by_host.get(name)).flatten();
        let mut found: Vec<(Fit, &Arc<Resource>)> = listed
            .chain(&self.wildcards)
            .filter_map(|resource| {
                let best = resource
                    .hosts()
                    .iter()
                    .filter_map(|host| fit(host, service, applications))
                    .max()?;
                let narrowed = resource.routes().is_none_or(|rule| {
                    rule.narrowed_to.is_empty()
                        || rule
                            .narrowed_to
                            .iter()
                            .any(|host| fit(host, service, applications).is_some())
                });
                narrowed.then_some((best, resource))
            })
            .collect();
        found.sort_by(|(a, left), (b, right)| {
            b.cmp(a).then_with(|| left.identity.cmp(&right.identity))
        });
        found.dedup_by(|(_, a), (_, b)| Arc::ptr_eq(a, b));
        found
    }

    /// The VirtualService that routes delegate to: one without hosts.
    pub(crate) fn delegate(&self, namespace: &str, name: &str) -> Option<&Arc<Resource>> {
        let identity = Identity {
            kind: ResourceKind::VirtualService,
            namespace: namespace.into(),
            name: name.into(),
        };
        let owner = self.owners.get(&identity)?;
        self.documents
            .get(owner)?
            .iter()
            .find(|one| one.identity == identity)
            .filter(|one| one.hosts().is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// A delegate's routes must not delegate further, and nobody to itself.
    fn check_delegates(&self, key: &str, resources: &[Resource], report: &mut Report) {
        let others = self.documents.iter().filter(|(document, _)| *document != key);
        let others = others.flat_map(|(_, list)| list.iter().map(|one| &**one));
        let all: HashMap<(&str, &str), &Resource, FixedState> = others
            .chain(resources)
            .filter(|one| one.identity.kind == ResourceKind::VirtualService)
            .filter(|one| one.routes().is_some_and(|rule| rule.delegates().next().is_some()))
            .map(|one| ((&*one.identity.namespace, &*one.identity.name), one))
            .collect();
        let own = |one: &Resource| resources.iter().any(|mine| std::ptr::eq(mine, one));
        let to = |one: &Resource| -> Vec<(String, String)> {
            let rule = one.routes();
            let each = rule.iter().flat_map(|rule| rule.delegates());
            each.map(|(namespace, name, _)| (namespace.to_owned(), name.to_owned())).collect()
        };
        for (name, root) in &all {
            let delegates = root.routes().into_iter().flat_map(|rule| rule.delegates());
            for (namespace, delegate, position) in delegates {
                let Some(next) = all.get(&(namespace, delegate)) else { continue };
                // A change of either end is what makes the knot.
                let at = match (own(root), own(next)) {
                    (true, _) => position,
                    (false, true) => next.position,
                    (false, false) => continue,
                };
                let back = to(next).iter().any(|(a, b)| (a.as_str(), b.as_str()) == *name);
                if back || std::ptr::eq(*root, *next) {
                    report.error(
                        at,
                        "cyclic-delegate",
                        format!("{} and {} delegate to each other", root.label, next.label),
                        "let one of them say where calls go",
                    );
                } else {
                    report.error(
                        at,
                        "nested-delegate",
                        format!(
                            "{} delegates to {}, which delegates further",
                            root.label, next.label
                        ),
                        "delegate to the last one at once: only one level is possible, as in Istio",
                    );
                }
                if report.is_full() {
                    return;
                }
            }
        }
    }

    /// Warns of subsets that no destination rule of the host has, where there is
    /// one.
    fn check_subsets(&self, key: &str, resources: &[Resource], report: &mut Report) {
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let others = self.documents.iter().filter(|(document, _)| *document != key);
        let others = others.flat_map(|(_, list)| list.iter().map(|one| &**one));
        for one in others.chain(resources) {
            if let Content::Destination(rule) = &one.content {
                let names = known.entry(&rule.host).or_default();
                names.extend(rule.subsets.iter().map(|subset| &*subset.name));
            }
        }
        for resource in resources {
            let Some(rule) = resource.routes() else { continue };
            for route in &rule.routes {
                let missing = route.destinations().find(|to| is_missing(to, &known));
                if let Some(Destination { host: Some(host), subset: Some(subset), .. }) = missing {
                    report.warning(
                        route.position,
                        "unknown-subset",
                        format!("no DestinationRule for {host} has a subset {subset}"),
                        "correct the name, or add the subset: until then such calls find no endpoint",
                    );
                }
            }
        }
    }

    /// Warns where two resources that are not merged say the same of one host:
    /// only the first, by kind, namespace and name, counts.
    fn check_hosts(&self, key: &str, resources: &[Resource], report: &mut Report) {
        let plain = |host| in_kubernetes(host).unwrap_or(host);
        let mut first: HashMap<(bool, &str), &Resource, FixedState> = HashMap::default();
        let others = self.documents.iter().filter(|(document, _)| *document != key);
        let others = others.flat_map(|(_, list)| list.iter().map(|one| &**one));
        for one in others.chain(resources) {
            for host in one.hosts() {
                let known = first.entry((one.routes().is_some(), plain(host))).or_insert(one);
                if one.identity < known.identity {
                    *known = one;
                }
            }
        }
        // Gateway API routes of one service are merged.
        let is_merged = |one: &Resource| {
            matches!(one.identity.kind, ResourceKind::HttpRoute | ResourceKind::GrpcRoute)
        };
        for resource in resources {
            let has_routes = resource.routes().is_some();
            let before = resource.hosts().iter().find_map(|host| {
                let other = *first.get(&(has_routes, plain(host)))?;
                let counts = other.identity != resource.identity
                    && !(is_merged(other) && is_merged(resource));
                counts.then_some((host, other))
            });
            if let Some((host, other)) = before {
                report.warning(
                    resource.position,
                    "shadowed-host",
                    format!("{} is about {host}, too, and counts before this one", other.label),
                    "write what both say into one of them",
                );
            }
        }
    }
}

fn is_missing(to: &Destination, known: &BTreeMap<&str, BTreeSet<&str>>) -> bool {
    let (Some(host), Some(subset)) = (&to.host, &to.subset) else { return false };
    known.get(&**host).is_some_and(|names| !names.contains(&**subset))
}

fn twice(resource: &Resource, place: &str, report: &mut Report) {
    report.error(
        resource.position,
        "resource-twice",
        format!("{} stands in {place} already", resource.label),
        "keep one of them",
    );
}

fn has_wildcard(resource: &Resource) -> bool {
    resource.hosts().iter().any(|host| host.starts_with('*'))
}

/// What a resource is found by.
fn keys_of(resource: &Resource) -> BTreeSet<Box<str>> {
    let mut keys = BTreeSet::new();
    for host in resource.hosts().iter().filter(|host| !host.starts_with('*')) {
        keys.insert(host.clone());
        keys.extend(in_kubernetes(host).map(Box::from));
    }
    keys
}
