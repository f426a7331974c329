//! etcd's Watch service.
//!
//! A watcher is no more than a position in the history: whenever a revision is
//! committed, each stream's task reads on from there. So live events, a start
//! in the past and a slow client are all one thing, and memory does not grow
//! with slow clients: one that falls behind the compaction is told so.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use etcd_client::proto::{
    PbEvent, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse, PbWatchService,
};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::engine::Engine;
use super::error::Refusal;
use super::mvcc::{Happened, Span};

/// Responses that wait for a slow client.
const WAITING: usize = 16;
/// A response is closed at the first whole revision beyond this many bytes;
/// with `fragment`, within a revision too. A client takes 4 MiB by default.
const RESPONSE_BYTES: usize = 1 << 20;
/// How often an idle watcher that asked for it is told how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

/// The service.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) engine: Engine,
    pub(crate) closing: watch::Receiver<bool>,
}

type Responses = Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PbWatchService for Watch {
    type WatchStream = Responses;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (responses, receiver) = mpsc::channel(WAITING);
        let stream = WatchStream {
            engine: self.engine.clone(),
            responses,
            watchers: BTreeMap::new(),
            next_id: 0,
        };
        tokio::spawn(stream.run(request.into_inner(), self.closing.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// A position in the history, and what to look for.
#[derive(Debug)]
struct Watcher {
    span: Span,
    /// The next revision to read.
    next: i64,
    no_put: bool,
    no_delete: bool,
    prev_kv: bool,
    fragment: bool,
    progress: bool,
    /// Whether it is under way: compaction then leaves it some time.
    started: bool,
    /// Whether something was sent since the last look at progress.
    busy: bool,
}

/// One client's stream.
struct WatchStream {
    engine: Engine,
    responses: mpsc::Sender<Result<PbWatchResponse, Status>>,
    watchers: BTreeMap<i64, Watcher>,
    next_id: i64,
}

/// The client went away.
struct Gone;

impl WatchStream {
    async fn run(
        mut self,
        mut requests: Streaming<PbWatchRequest>,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut committed = self.engine.committed();
        let mut progress = tokio::time::interval(PROGRESS);
        progress.reset();
        loop {
            let done = tokio::select! {
                request = requests.next() => match request {
                    Some(Ok(request)) => self.take(request).await,
                    Some(Err(_)) | None => Err(Gone),
                },
                changed = committed.changed() => match changed {
                    Ok(()) => self.read_on().await,
                    Err(_) => Err(Gone),
                },
                _ = progress.tick() => self.tell_progress().await,
                () = super::closed(&mut closing) => {
                    let _ = self.responses.send(Err(Refusal::Stopped.into())).await;
                    Err(Gone)
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, request: PbWatchRequest) -> Result<(), Gone> {
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(mut request)) => {
                if request.key.is_empty() {
                    request.key = vec![0];
                }
                let watcher = Watcher {
                    span: Span::new(&request.key, &request.range_end),
                    next: match request.start_revision {
                        start if start > 0 => start,
                        _ => self.engine.revision() + 1,
                    },
                    no_put: request.filters.contains(&0),
                    no_delete: request.filters.contains(&1),
                    prev_kv: request.prev_kv,
                    fragment: request.fragment,
                    progress: request.progress_notify,
                    started: false,
                    busy: false,
                };
                self.create(request.watch_id, watcher).await
            }
            Some(PbWatchRequestUnion::CancelRequest(request)) => {
                match self.watchers.remove(&request.watch_id) {
                    Some(_) => {
                        self.send(PbWatchResponse {
                            canceled: true,
                            ..self.response(request.watch_id)
                        })
                        .await
                    }
                    None => Ok(()),
                }
            }
            // Everything committed before the answer is sent before it.
            Some(PbWatchRequestUnion::ProgressRequest(_)) => {
                let revision = self.read_up_to().await?;
                let header = self.engine.header(revision);
                self.send(PbWatchResponse { header, ..self.response(-1) }).await
            }
            None => Ok(()),
        }
    }

    async fn create(&mut self, wanted: i64, watcher: Watcher) -> Result<(), Gone> {
        if wanted != 0 && self.watchers.contains_key(&wanted) {
            let refused = PbWatchResponse {
                created: true,
                canceled: true,
                cancel_reason: "mvcc: duplicate watch ID provided on the WatchStream".to_owned(),
                ..self.response(-1)
            };
            return self.send(refused).await;
        }
        let mut id = wanted;
        if id == 0 {
            while self.watchers.contains_key(&self.next_id) {
                self.next_id += 1;
            }
            id = self.next_id;
            self.next_id += 1;
        }
        self.watchers.insert(id, watcher);
        self.send(PbWatchResponse { created: true, ..self.response(id) }).await?;
        self.read_on().await
    }

    async fn read_on(&mut self) -> Result<(), Gone> {
        self.read_up_to().await.map(|_| ())
    }

    /// Sends every watcher what is committed. Returns up to where.
    async fn read_up_to(&mut self) -> Result<i64, Gone> {
        let newest = self.engine.revision();
        let ids: Vec<i64> = self.watchers.keys().copied().collect();
        for id in ids {
            while let Some(response) = self.read(id, newest) {
                self.send(response).await?;
            }
        }
        Ok(newest)
    }

    /// The next response for a watcher; `None` when it has seen everything.
    fn read(&mut self, id: i64, newest: i64) -> Option<PbWatchResponse> {
        let header = self.engine.header(newest);
        let state = self.engine.read();
        let watcher = self.watchers.get_mut(&id)?;
        let compacted = state.mvcc.compacted();
        let oldest = if watcher.started { state.mvcc.oldest() } else { compacted };
        if watcher.next < oldest {
            self.watchers.remove(&id);
            return Some(PbWatchResponse {
                header,
                watch_id: id,
                canceled: true,
                compact_revision: compacted,
                cancel_reason: Refusal::Compacted.to_string(),
                ..PbWatchResponse::default()
            });
        }
        let mut events: Vec<PbEvent> = Vec::new();
        let mut bytes = 0;
        let mut last = 0;
        let mut next = newest.max(watcher.next - 1) + 1;
        for Happened { record, before } in state.mvcc.history(watcher.next, newest) {
            if bytes > RESPONSE_BYTES && record.main != last {
                next = record.main;
                break;
            }
            last = record.main;
            let unwanted = if record.tombstone { watcher.no_delete } else { watcher.no_put };
            if unwanted || !watcher.span.contains(&record.kv.key) {
                continue;
            }
            // A key that is new has nothing before it, even if the same
            // transaction removed it first.
            let new = !record.tombstone && record.kv.create_revision == record.main;
            let before = before.as_ref().filter(|_| watcher.prev_kv && !new);
            let event = PbEvent {
                r#type: i32::from(record.tombstone),
                kv: Some(record.kv.clone()),
                prev_kv: before.map(|record| record.kv.clone()),
            };
            bytes += event.encoded_len();
            events.push(event);
        }
        watcher.next = next;
        watcher.started = true;
        if events.is_empty() {
            return None;
        }
        watcher.busy = true;
        Some(PbWatchResponse { header, watch_id: id, events, ..PbWatchResponse::default() })
    }

    async fn tell_progress(&mut self) -> Result<(), Gone> {
        let newest = self.read_up_to().await?;
        let mut idle = Vec::new();
        for (id, watcher) in &mut self.watchers {
            if watcher.progress && !std::mem::take(&mut watcher.busy) {
                idle.push(*id);
            }
        }
        for id in idle {
            let header = self.engine.header(newest);
            self.send(PbWatchResponse { header, ..self.response(id) }).await?;
        }
        Ok(())
    }

    fn response(&self, watch_id: i64) -> PbWatchResponse {
        let header = self.engine.header(self.engine.revision());
        PbWatchResponse { header, watch_id, ..PbWatchResponse::default() }
    }

    /// Sends a response, in pieces if its watcher takes pieces.
    async fn send(&self, response: PbWatchResponse) -> Result<(), Gone> {
        let fragment =
            self.watchers.get(&response.watch_id).is_some_and(|watcher| watcher.fragment);
        for piece in pieces(response, fragment) {
            self.responses.send(Ok(piece)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }
}

fn pieces(mut response: PbWatchResponse, fragment: bool) -> Vec<PbWatchResponse> {
    if !fragment || response.encoded_len() <= RESPONSE_BYTES {
        return vec![response];
    }
    let events = std::mem::take(&mut response.events);
    let mut pieces: Vec<PbWatchResponse> = Vec::new();
    let mut bytes = RESPONSE_BYTES;
    for event in events {
        let size = event.encoded_len();
        if bytes + size > RESPONSE_BYTES {
            bytes = 0;
            pieces.push(PbWatchResponse { fragment: true, ..response.clone() });
        }
        bytes += size;
        if let Some(piece) = pieces.last_mut() {
            piece.events.push(event);
        }
    }
    if let Some(piece) = pieces.last_mut() {
        piece.fragment = false;
    }
    pieces
}
