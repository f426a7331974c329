//! What became of rule documents, as metric families.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;

use super::Text;
use crate::rule_book::{RuleStates, State};

/// Writes the rules' families; for [`super::Metrics::add_source`].
pub(crate) fn rules_source(
    states: Arc<ArcSwap<RuleStates>>,
) -> impl Fn(&mut Text) + Send + Sync + 'static {
    move |text| {
        let states = states.load();
        let mut documents =
            text.gauge("spanwire_rule_documents", "Rule documents, by what became of them.");
        for state in State::ALL {
            documents.sample(&[("state", state.label())], states.count(state));
        }
        let changes = states.changes;
        text.counter(
            "spanwire_rule_changes_total",
            "Changes of rule documents, by what became of them.",
        )
        .sample(&[("result", "applied")], changes.applied)
        .sample(&[("result", "refused")], changes.refused)
        .sample(&[("result", "removed")], changes.removed);
        let mut last = text.gauge(
            "spanwire_rule_last_change_timestamp_seconds",
            "When a rule document was last applied, refused or removed, in seconds since 1970.",
        );
        if let Some(at) = changes.last.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
            last.sample(&[], at.as_secs_f64());
        }
        let mut applied = text.gauge(
            "spanwire_rules_applied_revision",
            "Revision of the store up to which every change of a rule is applied or refused.",
        );
        for place in &states.places {
            applied.sample(&[("place", &place.prefix)], place.told);
        }
        let mut newest = text.gauge(
            "spanwire_rules_newest_revision",
            "Revision of the newest change of a rule that was seen.",
        );
        for place in &states.places {
            newest.sample(&[("place", &place.prefix)], place.newest);
        }
    }
}
