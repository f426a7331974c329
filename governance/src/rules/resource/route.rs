//! The one form that every kind of route takes: which calls, where to, and what
//! else is ordered. Nothing here depends on a service's endpoints, so that all
//! services share it.

use std::sync::Arc;
use std::time::Duration;

use crate::directives::{Directives, HeaderEdit, TextMatch, TrafficPolicy};
use crate::document::Position;

/// A VirtualService, HTTPRoute, GRPCRoute or ServiceProfile.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RouteRule {
    /// Whose calls it routes; empty for a VirtualService that others delegate
    /// to.
    pub(crate) hosts: Vec<Box<str>>,
    /// Where this is not empty, hosts that must be the service's, too.
    pub(crate) narrowed_to: Vec<Box<str>>,
    /// When it was made, as Kubernetes writes it.
    pub(crate) created: Box<str>,
    pub(crate) routes: Vec<Route>,
    /// What holds for the destination itself (a ServiceProfile's budget).
    pub(crate) policy: Option<Arc<TrafficPolicy>>,
}

/// Calls of one kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    /// Its name, where it has one.
    pub(crate) name: Box<str>,
    pub(crate) position: Position,
    /// Any of these; empty for every call.
    pub(crate) matches: Vec<CallMatch>,
    /// Among the routes of a Gateway API service, higher ones come first.
    pub(crate) rank: Rank,
    pub(crate) action: Action,
    pub(crate) delay: Option<(Duration, Percentage)>,
    pub(crate) abort: Option<(Abort, Percentage)>,
    pub(crate) mirrors: Vec<(Destination, Percentage)>,
    /// Changes of the headers of an answer that the route gives itself.
    pub(crate) answer_headers: Vec<HeaderEdit>,
}

/// The Gateway API's order of matches: a higher one decides.
pub(crate) type Rank = [u32; 5];

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// It goes to one of these by weight. With none, or all weights 0, nowhere.
    Forward(Vec<Weighted>),
    /// An HTTP client is sent elsewhere.
    Redirect(Redirect),
    /// An HTTP client gets this.
    Respond {
        /// The status.
        status: u16,
        /// The body.
        body: Option<Box<[u8]>>,
    },
    /// The routes of the VirtualService of this namespace and name decide.
    Delegate(Box<str>, Box<str>),
}

/// A destination and its share.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) to: Destination,
    pub(crate) weight: u32,
    pub(crate) directives: Arc<Directives>,
}

/// Endpoints of the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Destination {
    /// The service, or an application; `None` for all endpoints.
    pub(crate) host: Option<Box<str>>,
    pub(crate) subset: Option<Box<str>>,
    pub(crate) port: Option<u16>,
}

/// How likely something is, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percentage(pub(crate) u32);

impl Percentage {
    /// Always.
    pub(crate) const ALL: Percentage = Percentage(1_000_000);

    /// Whether it happens; the dice are thrown only where that is open.
    pub(crate) fn happens(self, dice: &mut dyn crate::decide::Dice) -> bool {
        self.0 >= Self::ALL.0 || self.0 > 0 && dice.roll() * 1e6 < f64::from(self.0)
    }
}

/// A failure that is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    Http(u16),
    Grpc(u16),
}

/// Where a client is sent. What is absent stays as in the request.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: RedirectPort,
    pub(crate) path: Option<crate::directives::PathRewrite>,
}

/// The port that a client is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RedirectPort {
    /// That of the request, unless the host or scheme changes.
    #[default]
    Derived,
    /// That of the request.
    Request,
    /// The scheme's.
    Scheme,
    /// This one.
    Fixed(u16),
}

/// What a call must be like: all of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CallMatch {
    pub(crate) path: Option<PathMatch>,
    pub(crate) method: Option<TextMatch>,
    pub(crate) scheme: Option<TextMatch>,
    pub(crate) authority: Option<TextMatch>,
    pub(crate) headers: Vec<HeaderMatch>,
    pub(crate) without_headers: Vec<HeaderMatch>,
    pub(crate) query: Vec<(Box<str>, TextMatch)>,
    pub(crate) source_labels: Vec<(Box<str>, Box<str>)>,
    /// The called service and method, as RPC names them.
    pub(crate) service: Option<TextMatch>,
    pub(crate) rpc: Option<TextMatch>,
    pub(crate) condition: Option<Condition>,
}

/// What a path, without its query, must be like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PathMatch {
    Text {
        wanted: TextMatch,
        ignore_case: bool,
    },
    /// It starts with these elements: `/a` matches `/a` and `/a/b`, not `/ab`.
    Elements(Box<str>),
}

/// What a header or attachment must be like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeaderMatch {
    /// Attachments' names have a case; of HTTP's, it does not count.
    pub(crate) name: Box<str>,
    pub(crate) wanted: TextMatch,
}

impl HeaderMatch {
    pub(crate) fn new(name: &str, wanted: TextMatch) -> Self {
        HeaderMatch { name: name.into(), wanted }
    }
}

/// A Linkerd condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Path(TextMatch),
    Method(Box<str>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

impl Route {
    /// Where it leads, mirrors last.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        let forward = match &self.action {
            Action::Forward(all) => all.as_slice(),
            _ => &[],
        };
        forward.iter().map(|one| &one.to).chain(self.mirrors.iter().map(|(to, _)| to))
    }
}

impl RouteRule {
    /// The namespaces and names of the VirtualServices that it delegates to.
    pub(crate) fn delegates(&self) -> impl Iterator<Item = (&str, &str, Position)> {
        self.routes.iter().filter_map(|route| match &route.action {
            Action::Delegate(namespace, name) => Some((&**namespace, &**name, route.position)),
            _ => None,
        })
    }
}
