//! What callers are told when no endpoint is left for them.

use codec::{Fault, Reason};

use crate::route::{CallView, Emptied, Verdict};
use crate::service::Service;

pub(super) fn no_provider(service: &Service, group: &str, version: &str) -> Fault {
    let filled = || service.variants.iter().filter(|variant| !variant.members.is_empty());
    let mut known: Vec<String> = filled()
        .take(8)
        .map(|variant| {
            let count = variant.members.count();
            format!("{} ({count})", describe(&variant.group, &variant.version))
        })
        .collect();
    let more = filled().count() - known.len();
    if more > 0 {
        known.push(format!("and {more} more"));
    }
    if known.is_empty() {
        known.push("none: all are disabled".to_owned());
    }
    if service.endpoints().is_empty() {
        return Fault::new(
            Reason::NoEndpoint,
            format!("{} has no endpoints now", service.name()),
            "start a provider, or see whether it is registered",
        );
    }
    Fault::new(
        Reason::NoEndpoint,
        format!(
            "no endpoint provides {} in {}; it is provided in {}",
            service.name(),
            describe(group, version),
            known.join(", ")
        ),
        "ask for a group and version that is provided, or start a provider for this one",
    )
}

fn describe(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "no group".to_owned() } else { format!("group {group}") };
    let version =
        if version.is_empty() { "no version".to_owned() } else { format!("version {version}") };
    format!("{group}, {version}")
}

pub(super) fn unreadable(service: &Service, what: &str, error: &codec::DecodeError) -> Fault {
    Fault::new(
        Reason::Unreadable,
        format!("the {what} of a call for {} cannot be read: {error}", service.name()),
        "provide the service in one version and group only, or call it in a serialization that \
         can be read",
    )
}

/// Rules left nobody: says which one was the last to take endpoints away.
pub(super) fn emptied(service: &Service, call: &CallView<'_>, emptied: &Emptied<'_>) -> Fault {
    let reason = match emptied.verdict {
        Verdict::Denied(_) => Reason::Denied,
        _ => Reason::NoEndpoint,
    };
    let at = (&*emptied.step.rule, emptied.step.line);
    none_left(service, call, at, reason, &emptied.verdict.note(call))
}

/// A rule, at a line of it, left nobody, because it did what `note` says.
pub(crate) fn none_left(
    service: &Service,
    call: &CallView<'_>,
    (rule, line): (&str, u32),
    reason: Reason,
    note: &str,
) -> Fault {
    let caller = match call.caller.application {
        "" => "an unnamed application",
        name => name,
    };
    Fault::new(
        reason,
        format!(
            "rule {rule} line {line} leaves no endpoint of {} for {} called from {caller} at {}: \
             it {note}",
            service.name(),
            call.method,
            call.caller.address,
        ),
        "change the rule, or start an endpoint that it allows",
    )
}

pub(super) fn weightless(service: &Service) -> Fault {
    Fault::new(
        Reason::NoEndpoint,
        format!("every endpoint left for {} has weight 0", service.name()),
        "give one of them a weight of at least 1",
    )
}
