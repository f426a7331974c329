//! The task that keeps ranges of the store mirrored: connects, runs a session,
//! and after its end pauses and goes on with the next endpoint. Never gives up.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::counters::Counters;
use crate::settings::Settings;
use crate::store::connect::Backoff;
use crate::store::range::{Range, Update, Wanted};
use crate::store::session::{self, End};

/// What outlives a session.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// The wanted ranges, each with the number of the wish, and the revision up
    /// to which everything was told; `None` if it has to be listed.
    ranges: BTreeMap<Range, (u64, Option<i64>)>,
    /// The cluster these revisions are of; 0 before the first answer.
    pub(crate) cluster: u64,
}

impl Followed {
    /// Takes in what is wanted now. Tells what is new and what is not any more.
    pub(crate) fn set(&mut self, wanted: &Wanted) -> (Vec<Range>, Vec<Range>) {
        let same = |range: &Range, wish: u64| {
            self.ranges.get(range).is_some_and(|(followed, _)| *followed == wish)
        };
        let new: Vec<Range> = wanted
            .iter()
            .filter(|(range, wish)| !same(range, **wish))
            .map(|(range, _)| range.clone())
            .collect();
        let old: Vec<Range> = self
            .ranges
            .iter()
            .filter(|(range, (wish, _))| wanted.get(range) != Some(wish))
            .map(|(range, _)| range.clone())
            .collect();
        self.ranges.retain(|range, (wish, _)| wanted.get(range) == Some(wish));
        for range in &new {
            let wish = wanted.get(range).copied().unwrap_or_default();
            self.ranges.insert(range.clone(), (wish, None));
        }
        (new, old)
    }

    /// Every wanted range, and from where it can be resumed.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&Range, Option<i64>)> {
        self.ranges.iter().map(|(range, (_, revision))| (range, *revision))
    }

    /// Up to where a range was told; `None` if it is not wanted.
    pub(crate) fn told(&self, range: &Range) -> Option<Option<i64>> {
        self.ranges.get(range).map(|(_, revision)| *revision)
    }

    /// Notes up to where a range was told; false if it is not wanted.
    pub(crate) fn tell(&mut self, range: &Range, told: Option<i64>) -> bool {
        let followed = self.ranges.get_mut(range);
        followed.map(|(_, revision)| *revision = told).is_some()
    }

    /// The highest revision something is resumed from.
    pub(crate) fn newest(&self) -> i64 {
        self.ranges.values().filter_map(|(_, revision)| *revision).max().unwrap_or(0)
    }

    /// Forgets how far each range was followed.
    pub(crate) fn start_over(&mut self) {
        for (_, revision) in self.ranges.values_mut() {
            *revision = None;
        }
    }
}

/// Runs until nobody wants or listens any more.
pub(crate) async fn run(
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    mut wanted: watch::Receiver<Wanted>,
    updates: mpsc::Sender<Update>,
) {
    let mut followed = Followed::default();
    let mut backoff = Backoff::new(&settings);
    for endpoint in settings.store.iter().cycle() {
        let session = session::Session {
            endpoint,
            settings: &settings,
            counters: &counters,
            updates: &updates,
            followed: &mut followed,
        };
        let error = match session.run(&mut wanted, &mut backoff).await {
            End::Unwanted => return,
            End::Lost(error) => error,
        };
        tracing::warn!(endpoint, error, "store lost; the last view stays");
        let lost = Update::Lost { endpoint: endpoint.clone(), error };
        if updates.send(lost).await.is_err() {
            return;
        }
        Counters::add(&counters.reconnects);
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = updates.closed() => return,
        }
    }
}
