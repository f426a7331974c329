//! `matches` of a GRPCRoute.

use super::http_match::read_headers;
use crate::directives::TextMatch;
use crate::document::{Mapping, Node, Report};
use crate::rules::resource::route::{CallMatch, Rank};
use crate::rules::resource::value;

/// The rank of a rule without a match. GRPCRoutes go before HTTPRoutes of the
/// same service.
pub(super) const ANY: Rank = [10, 0, 0, 0, 0];

/// The longer service goes first, then the longer method, then the more headers.
pub(super) fn read(node: &Node, report: &mut Report) -> Option<(CallMatch, Rank)> {
    let mut map = node.mapping("a match", report)?;
    let (mut service, mut rpc) = (None, None);
    let mut rank = ANY;
    if let Some(mut method) = map.mapping("method", report) {
        let is_exact = match method.text("type", report).unwrap_or("Exact") {
            "Exact" => true,
            "RegularExpression" => false,
            other => {
                let hint = "write Exact or RegularExpression";
                report.error(method.position(), "unknown-word", format!("type is {other:?}"), hint);
                return None;
            }
        };
        let mut read = |key, place: usize, report: &mut Report| {
            let (found, length) = read_name(&mut method, key, is_exact, report)?;
            if let Some(rank) = rank.get_mut(place) {
                *rank = u32::try_from(length).unwrap_or(u32::MAX);
            }
            Some(found)
        };
        service = read("service", 1, report);
        rpc = read("method", 2, report);
        if service.is_none() && rpc.is_none() && !report.has_errors() {
            let hint = "write service, method, or both";
            report.error(method.position(), "missing-key", "a method match says nothing", hint);
        }
        method.finish(report);
    }
    let headers = read_headers(&mut map, report);
    map.finish(report);
    rank[3] = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    Some((CallMatch { service, rpc, headers, ..CallMatch::default() }, rank))
}

fn read_name(
    map: &mut Mapping<'_>,
    key: &'static str,
    is_exact: bool,
    report: &mut Report,
) -> Option<(TextMatch, usize)> {
    let node = map.value(key)?;
    let text = node.text(key, report)?;
    let wanted = if is_exact {
        TextMatch::Exact(text.into())
    } else {
        TextMatch::Regex(value::whole_regex(text, node.position, report)?)
    };
    Some((wanted, text.len()))
}
