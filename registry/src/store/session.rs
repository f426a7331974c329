//! One connection's life: list each range at a revision, watch it from the next
//! one, all over one stream, and notice when the store falls silent.
//!
//! Rules it keeps:
//! * a range that was followed before is resumed, not listed again;
//! * compacted history, another cluster, or a revision that went backwards (a
//!   restored or emptied store) means listing again;
//! * at most [`AT_ONCE`] requests of a kind are under way, so that neither side
//!   waits for the other to read;
//! * revisions of answers to progress requests are not trusted as resume points:
//!   etcd before 3.4.25 and 3.5.8 may run ahead of its own events there
//!   (etcd issue 15220).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{
    Client, GetOptions, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::counters::Counters;
use crate::settings::Settings;
use crate::store::connect::{Backoff, connect, reason, within};
use crate::store::list::{Listed, MESSAGE_LIMIT, list};
use crate::store::mirror::Followed;
use crate::store::range::{Change, Entry, Range, Update, Wanted};

/// Lists, and watch creations, under way at one time.
const AT_ONCE: usize = 32;

/// Why a session ended.
pub(crate) enum End {
    /// Nobody wants or listens any more.
    Unwanted,
    /// The store is gone.
    Lost(String),
}

impl From<String> for End {
    fn from(error: String) -> End {
        End::Lost(error)
    }
}

/// What a session works with.
pub(crate) struct Session<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) counters: &'a Counters,
    pub(crate) updates: &'a mpsc::Sender<Update>,
    pub(crate) followed: &'a mut Followed,
}

/// A watch whose creation is under way.
struct Creating {
    range: Range,
    resumed: bool,
}

/// The parts that only a running session has.
struct Stream {
    client: Client,
    requests: WatchRequestSender,
    to_list: VecDeque<Range>,
    /// With whether the range was followed before.
    to_watch: VecDeque<Creating>,
    lists: JoinSet<(Range, Result<Listed, String>)>,
    /// In the order of their requests, in which the server answers them.
    creating: VecDeque<Creating>,
    watching: HashMap<i64, Range>,
}

impl Session<'_> {
    /// Runs until the store is lost.
    pub(crate) async fn run(
        mut self,
        wanted: &mut watch::Receiver<Wanted>,
        backoff: &mut Backoff,
    ) -> End {
        match self.follow(wanted, backoff).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow(
        &mut self,
        wanted: &mut watch::Receiver<Wanted>,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, End> {
        let client = connect(self.endpoint, self.settings).await?;
        self.greet(&client).await?;
        backoff.reset();
        let _ = self.followed.set(&wanted.borrow_and_update());
        let (mut stream, mut responses) = self.open(client).await?;

        let mut heard = Instant::now();
        let probe_after = self.settings.silence / 2;
        let mut probe = tokio::time::interval(probe_after.max(Duration::from_millis(1)));
        probe.reset();
        loop {
            stream.go_on(self).await?;
            tokio::select! {
                response = responses.message() => {
                    let response = response
                        .map_err(|error| End::Lost(format!("watching: {}", reason(&error))))?
                        .ok_or_else(|| End::Lost("watching: the store ended the stream".to_owned()))?;
                    heard = Instant::now();
                    self.take(&mut stream, response).await?;
                }
                Some(done) = stream.lists.join_next() => {
                    let (range, listed) = done.map_err(|error| End::Lost(error.to_string()))?;
                    heard = Instant::now();
                    self.listed(&mut stream, range, listed?).await?;
                }
                changed = wanted.changed() => {
                    changed.map_err(|_| End::Unwanted)?;
                    let (new, old) = self.followed.set(&wanted.borrow_and_update());
                    for range in old {
                        stream.forget(&range, self.settings).await?;
                    }
                    stream.to_list.extend(new);
                }
                _ = probe.tick() => {
                    let silence = heard.elapsed();
                    if silence >= self.settings.silence {
                        return Err(End::Lost(format!("the store is silent for {silence:.1?}")));
                    }
                    if silence >= probe_after / 2 {
                        let request = stream.requests.request_progress();
                        within(self.settings, "probing", request).await?;
                    }
                }
            }
        }
    }

    /// Asks for the revision, and decides whether what was followed before can
    /// be resumed.
    async fn greet(&mut self, client: &Client) -> Result<(), End> {
        let mut kv = client.kv_client();
        let nothing = GetOptions::new().with_count_only();
        let request = kv.get(self.settings.rule_prefix.as_str(), Some(nothing));
        let answer = within(self.settings, "greeting", request).await?;
        let header = answer.header().ok_or_else(|| "the answer has no header".to_owned())?;
        let (cluster, revision) = (header.cluster_id(), header.revision());
        let newest = self.followed.newest();
        if self.followed.cluster != 0 && (cluster != self.followed.cluster || revision < newest) {
            tracing::warn!(
                endpoint = self.endpoint,
                revision,
                newest,
                "the store is another one than before; listing everything again"
            );
            Counters::add(&self.counters.relists);
            self.followed.start_over();
        }
        self.followed.cluster = cluster;
        self.counters.revision.store(revision, Ordering::Relaxed);
        tracing::info!(endpoint = self.endpoint, revision, "store connected");
        self.tell(Update::Connected { endpoint: self.endpoint.to_owned(), revision }).await
    }

    /// Opens the watch stream. Its first watch is on a key that holds nothing,
    /// but that has to be readable anyway: so every real range takes the same
    /// way, and an idle stream is never without a watch.
    async fn open(&self, client: Client) -> Result<(Stream, WatchResponseStream), End> {
        let mut watches = client.watch_client().max_decoding_message_size(MESSAGE_LIMIT);
        let nothing = Range::key(self.settings.rule_prefix.clone());
        let request = watches.watch(nothing.key.as_str(), None);
        let (requests, responses) =
            within(self.settings, "opening the watch", request).await?.split();
        let (mut to_list, mut to_watch) = (VecDeque::new(), VecDeque::new());
        for (range, revision) in self.followed.ranges() {
            match revision {
                Some(_) => to_watch.push_back(Creating { range: range.clone(), resumed: true }),
                None => to_list.push_back(range.clone()),
            }
        }
        let stream = Stream {
            client,
            requests,
            to_list,
            to_watch,
            lists: JoinSet::new(),
            creating: VecDeque::from([Creating { range: nothing, resumed: false }]),
            watching: HashMap::new(),
        };
        Ok((stream, responses))
    }

    async fn listed(
        &mut self,
        stream: &mut Stream,
        range: Range,
        listed: Listed,
    ) -> Result<(), End> {
        if !self.followed.tell(&range, Some(listed.revision)) {
            return Ok(());
        }
        stream.to_watch.push_back(Creating { range: range.clone(), resumed: false });
        let Listed { entries, revision } = listed;
        self.tell(Update::Listed { range, entries, revision }).await
    }

    async fn take(&mut self, stream: &mut Stream, response: WatchResponse) -> Result<(), End> {
        let id = response.watch_id();
        if response.created() {
            let Some(Creating { range, resumed }) = stream.creating.pop_front() else {
                return Err(End::Lost(
                    "watching: a watch was made that nobody asked for".to_owned(),
                ));
            };
            if response.canceled() {
                return Err(End::Lost(format!(
                    "watching {}: {}",
                    range.key,
                    response.cancel_reason()
                )));
            }
            if self.followed.told(&range).is_some() {
                stream.watching.insert(id, range.clone());
                if resumed {
                    self.tell(Update::Resumed { range }).await?;
                }
            } else if range.key != self.settings.rule_prefix {
                within(self.settings, "ending a watch", stream.requests.cancel(id)).await?;
            }
            return Ok(());
        }
        if response.canceled() {
            return self.canceled(stream, &response);
        }
        let Some(range) = stream.watching.get(&id) else { return Ok(()) };
        if response.events().is_empty() {
            return Ok(());
        }
        let range = range.clone();
        let (changes, newest) = read_changes(&response, self.counters);
        // Events of one revision may come in pieces: only the last completes it.
        if !response.0.fragment
            && let Some(told) = self.followed.told(&range)
        {
            self.followed.tell(&range, Some(newest.max(told.unwrap_or(0))));
        }
        self.counters.revision.fetch_max(newest, Ordering::Relaxed);
        self.tell(Update::Changed { range, changes, revision: newest }).await
    }

    /// A watch was ended: because its history is compacted away (list again),
    /// because this side asked, or because the store cannot go on.
    fn canceled(&mut self, stream: &mut Stream, response: &WatchResponse) -> Result<(), End> {
        let Some(range) = stream.watching.remove(&response.watch_id()) else { return Ok(()) };
        if self.followed.told(&range).is_none() {
            return Ok(());
        }
        let compacted = response.compact_revision();
        if compacted == 0 {
            return Err(End::Lost(format!("watching {}: {}", range.key, response.cancel_reason())));
        }
        tracing::info!(range = range.key, compacted, "history is compacted; listing again");
        Counters::add(&self.counters.relists);
        self.followed.tell(&range, None);
        stream.to_list.push_back(range);
        Ok(())
    }

    async fn tell(&self, update: Update) -> Result<(), End> {
        self.updates.send(update).await.map_err(|_| End::Unwanted)
    }
}

impl Stream {
    /// Starts what waits and may be started.
    async fn go_on(&mut self, session: &Session<'_>) -> Result<(), End> {
        while self.lists.len() < AT_ONCE
            && let Some(range) = self.to_list.pop_front()
        {
            let (client, timeout) = (self.client.clone(), session.settings.request_timeout);
            self.lists.spawn(async move {
                let listed = list(&client, &range, timeout).await;
                (range, listed)
            });
        }
        while self.creating.len() < AT_ONCE
            && let Some(creating) = self.to_watch.pop_front()
        {
            let range = &creating.range;
            let Some(Some(revision)) = session.followed.told(range) else { continue };
            let mut options = WatchOptions::new()
                .with_start_revision(revision + 1)
                .with_fragment()
                .with_progress_notify();
            if range.prefix {
                options = options.with_prefix();
            }
            let request = self.requests.watch(range.key.as_bytes(), Some(options));
            within(session.settings, "watching", request).await?;
            self.creating.push_back(creating);
        }
        Ok(())
    }

    /// Ends following a range.
    async fn forget(&mut self, range: &Range, settings: &Settings) -> Result<(), End> {
        self.to_list.retain(|waiting| waiting != range);
        let of_range = |(id, other): (&i64, &Range)| (other == range).then_some(*id);
        let ids: Vec<i64> = self.watching.iter().filter_map(of_range).collect();
        for id in ids {
            self.watching.remove(&id);
            within(settings, "ending a watch", self.requests.cancel(id)).await?;
        }
        Ok(())
    }
}

/// What a response says, and the newest revision in it.
fn read_changes(response: &WatchResponse, counters: &Counters) -> (Vec<Change>, i64) {
    let mut newest = 0;
    let mut changes = Vec::with_capacity(response.events().len());
    for event in response.events() {
        let Some(kv) = event.kv() else { continue };
        newest = newest.max(kv.mod_revision());
        // The client library's own accessor panics on a type it does not know.
        match event.0.r#type {
            0 => changes.push(Change::Put(Entry {
                key: kv.key().to_vec(),
                value: kv.value().to_vec(),
                revision: kv.mod_revision(),
            })),
            1 => changes.push(Change::Delete(kv.key().to_vec())),
            unknown => {
                tracing::warn!(unknown, "event of an unknown type skipped");
                Counters::add(&counters.unknown_events);
                continue;
            }
        }
        Counters::add(&counters.events);
    }
    (changes, newest)
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbEvent, PbKeyValue, PbWatchResponse};

    use super::*;

    #[test]
    fn an_unknown_event_is_skipped_and_counted() {
        let event = |r#type, revision| {
            let kv =
                PbKeyValue { key: b"k".to_vec(), mod_revision: revision, ..PbKeyValue::default() };
            PbEvent { r#type, kv: Some(kv), prev_kv: None }
        };
        let nothing = PbEvent { r#type: 0, kv: None, prev_kv: None };
        let events = vec![event(0, 5), event(9, 6), nothing, event(-1, 7), event(1, 8)];
        let response = WatchResponse(PbWatchResponse { events, ..PbWatchResponse::default() });
        let counters = Counters::default();
        let (changes, newest) = read_changes(&response, &counters);
        let put = Entry { key: b"k".to_vec(), value: Vec::new(), revision: 5 };
        assert_eq!(changes, [Change::Put(put), Change::Delete(b"k".to_vec())]);
        assert_eq!(newest, 8);
        assert_eq!(counters.unknown_events.load(Ordering::Relaxed), 2);
        assert_eq!(counters.events.load(Ordering::Relaxed), 2);
    }
}
