//! By how much Java misses the weights of a split.

use crate::document::{Position, Report};

/// Java draws one ticket too many for the first destination, and takes weight 0 for
/// `instead_of_none`; says by how much that shifts the split, where it is one call
/// in a hundred or more.
pub(super) fn warn(weights: &[u32], instead_of_none: u32, at: Position, report: &mut Report) {
    let percent = |tickets: u64, total: u64| tickets.min(total) * 100 / total.max(1);
    let total = |weights: &mut dyn Iterator<Item = u32>| weights.map(u64::from).sum::<u64>();
    let in_java = |weight: u32| if weight == 0 { instead_of_none } else { weight };
    let [first, _, ..] = weights else { return };
    let meant = percent(u64::from(*first), total(&mut weights.iter().copied()));
    let done = percent(
        u64::from(in_java(*first)) + 1,
        total(&mut weights.iter().map(|&weight| in_java(weight))),
    );
    if meant != done {
        report.warning(
            at,
            "java-split",
            format!("Java gives the first destination {done} % of the calls instead of {meant} %"),
            "use large weights (multiply all by 1000) and none of 0 while Java consumers read this rule",
        );
    }
}
