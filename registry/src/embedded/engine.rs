//! The embedded store's state, and the one thread that changes it.
//!
//! Writes queue up; the writer takes all that wait, applies them in memory,
//! commits them to disk together (one flush for many), and then answers them.
//! Reads look at the newest committed revision, so that nobody ever sees what a
//! power cut could still undo.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbRangeRequest,
    PbRangeResponse, PbResponseHeader, PbTxnRequest, PbTxnResponse,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::disk::{Changes, Disk, Loaded};
use super::error::Refusal;
use super::lease::Leases;
use super::mvcc::Mvcc;
use super::request;

/// Writes that may wait, and that one commit takes.
const QUEUE: usize = 1024;
/// When this many revisions of history are kept, the older half goes. etcd
/// leaves this to its operator; an embedded store has none.
const HISTORY: i64 = 10_000;

/// A write.
enum Write {
    Put(PbPutRequest, oneshot::Sender<Result<(PbPutResponse, i64), Refusal>>),
    Delete(PbDeleteRequest, oneshot::Sender<Result<(PbDeleteResponse, i64), Refusal>>),
    Txn(PbTxnRequest, oneshot::Sender<Result<(PbTxnResponse, i64), Refusal>>),
    /// Id and TTL.
    Grant(i64, i64, oneshot::Sender<Result<(i64, i64), Refusal>>),
    Revoke(i64, oneshot::Sender<Result<(), Refusal>>),
    /// Ends the leases whose time is up.
    Expire,
    Compact(i64, oneshot::Sender<Result<(), Refusal>>),
    Stop,
}

/// What readers see.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mvcc: Mvcc,
    pub(crate) leases: Leases,
}

/// A handle on the store.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    state: Arc<RwLock<State>>,
    committed: watch::Receiver<i64>,
    size: Arc<std::sync::atomic::AtomicI64>,
    writes: mpsc::Sender<Write>,
    cluster: u64,
    pub(crate) member: u64,
}

/// The writer thread, to be waited for.
pub(crate) type Writer = std::thread::JoinHandle<Result<(), redb::Error>>;

impl Engine {
    /// Starts the writer on what was loaded.
    pub(crate) fn start(disk: Disk, loaded: Loaded) -> (Engine, Writer) {
        let Loaded { mvcc, leases, cluster, member } = loaded;
        let (publish, committed) = watch::channel(mvcc.revision());
        let (writes, queue) = mpsc::channel(QUEUE);
        let state = Arc::new(RwLock::new(State { mvcc, leases }));
        let size = Arc::new(std::sync::atomic::AtomicI64::new(disk.size()));
        let engine = Engine {
            state: Arc::clone(&state),
            committed,
            size: Arc::clone(&size),
            writes,
            cluster,
            member,
        };
        let loop_ = WriteLoop { disk, state, publish, queue, size };
        let writer =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(|| loop_.run());
        (engine, writer.expect("the system can start a thread"))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest committed revision, and every one after it.
    pub(crate) fn committed(&self) -> watch::Receiver<i64> {
        self.committed.clone()
    }

    pub(crate) fn revision(&self) -> i64 {
        *self.committed.borrow()
    }

    /// Bytes on disk.
    pub(crate) fn size(&self) -> i64 {
        self.size.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn header(&self, revision: i64) -> Option<PbResponseHeader> {
        let (cluster_id, member_id) = (self.cluster, self.member);
        Some(PbResponseHeader { cluster_id, member_id, revision, raft_term: 1 })
    }

    pub(crate) fn range(&self, request: &PbRangeRequest) -> Result<PbRangeResponse, Refusal> {
        let state = self.read();
        let revision = self.revision();
        let mut answer = request::range(&state.mvcc, request, revision)?;
        answer.header = self.header(revision);
        Ok(answer)
    }

    pub(crate) async fn put(&self, request: PbPutRequest) -> Result<PbPutResponse, Refusal> {
        let (mut answer, revision) = self.ask(|reply| Write::Put(request, reply)).await?;
        answer.header = self.header(revision);
        Ok(answer)
    }

    pub(crate) async fn delete(
        &self,
        request: PbDeleteRequest,
    ) -> Result<PbDeleteResponse, Refusal> {
        let (mut answer, revision) = self.ask(|reply| Write::Delete(request, reply)).await?;
        answer.header = self.header(revision);
        Ok(answer)
    }

    pub(crate) async fn txn(&self, request: PbTxnRequest) -> Result<PbTxnResponse, Refusal> {
        request::check_txn(&request)?;
        let (mut answer, revision) = self.ask(|reply| Write::Txn(request, reply)).await?;
        answer.header = self.header(revision);
        Ok(answer)
    }

    pub(crate) async fn grant(&self, id: i64, ttl: i64) -> Result<(i64, i64), Refusal> {
        self.ask(|reply| Write::Grant(id, ttl, reply)).await
    }

    pub(crate) async fn revoke(&self, id: i64) -> Result<(), Refusal> {
        self.ask(|reply| Write::Revoke(id, reply)).await
    }

    /// Starts a lease's time over, in memory: after a restart all start over.
    pub(crate) fn renew(&self, id: i64) -> Option<i64> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.leases.renew(id, Instant::now())
    }

    pub(crate) async fn compact(&self, revision: i64) -> Result<(), Refusal> {
        self.ask(|reply| Write::Compact(revision, reply)).await
    }

    /// Ends leases in time, until the store stops.
    pub(crate) async fn expire_leases(&self) {
        /// A lease may end this much late.
        const LATE: Duration = Duration::from_millis(200);
        loop {
            tokio::time::sleep(LATE).await;
            let due = self.read().leases.next_deadline();
            if due.is_some_and(|due| due <= Instant::now())
                && self.writes.send(Write::Expire).await.is_err()
            {
                return;
            }
        }
    }

    /// Stops the writer; what waits before is still done.
    pub(crate) async fn stop(&self) {
        // An error says that it has stopped already.
        let _ = self.writes.send(Write::Stop).await;
    }

    async fn ask<T>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Write,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(write(reply)).await.map_err(|_| Refusal::Stopped)?;
        answer.await.map_err(|_| Refusal::Stopped)?
    }
}

/// What the writer thread has.
struct WriteLoop {
    disk: Disk,
    state: Arc<RwLock<State>>,
    publish: watch::Sender<i64>,
    queue: mpsc::Receiver<Write>,
    size: Arc<std::sync::atomic::AtomicI64>,
}

/// An answer to be given once everything is on disk.
type Answer = Box<dyn FnOnce()>;

fn answer<T: 'static>(
    reply: oneshot::Sender<Result<T, Refusal>>,
    result: Result<T, Refusal>,
) -> Answer {
    // Nobody waits any more when the caller went away.
    Box::new(move || drop(reply.send(result)))
}

impl WriteLoop {
    /// Ends when told to, when no handle is left, or when the disk fails: then
    /// memory is ahead of the disk, and going on would lose what was answered.
    fn run(mut self) -> Result<(), redb::Error> {
        let mut batch = Vec::new();
        while self.queue.blocking_recv_many(&mut batch, QUEUE) > 0 {
            let mut changes = Changes::default();
            let mut answers: Vec<Answer> = Vec::new();
            let mut stop = false;
            for write in batch.drain(..) {
                match write {
                    // Readers look at what is committed, which a compaction
                    // must not overtake.
                    Write::Compact(revision, reply) => {
                        self.commit(&mut changes, &mut answers)?;
                        let compacted = self.compact(revision, &mut changes);
                        answers.push(answer(reply, compacted));
                    }
                    Write::Stop => {
                        stop = true;
                        break;
                    }
                    write => {
                        let mut state = self.state_mut();
                        answers.extend(apply(&mut state, write, &mut changes));
                    }
                }
            }
            self.commit(&mut changes, &mut answers)?;
            if stop {
                break;
            }
            self.keep_history_short()?;
        }
        Ok(())
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, changes: &mut Changes, answers: &mut Vec<Answer>) -> Result<(), redb::Error> {
        let (revision, compacted) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.mvcc.revision(), state.mvcc.compacted())
        };
        if !changes.is_empty() {
            self.disk.commit(changes, (revision, compacted)).inspect_err(|error| {
                tracing::error!(%error, "the store cannot write to its disk; it stops");
            })?;
            self.size.store(self.disk.size(), std::sync::atomic::Ordering::Relaxed);
            *changes = Changes::default();
        }
        if *self.publish.borrow() != revision {
            self.publish.send_replace(revision);
        }
        for answer in answers.drain(..) {
            answer();
        }
        Ok(())
    }

    fn compact(&self, revision: i64, changes: &mut Changes) -> Result<(), Refusal> {
        let mut state = self.state_mut();
        if revision <= state.mvcc.compacted() {
            return Err(Refusal::Compacted);
        }
        if revision > state.mvcc.revision() {
            return Err(Refusal::Future);
        }
        changes.removed.extend(state.mvcc.compact(revision));
        Ok(())
    }

    fn keep_history_short(&self) -> Result<(), redb::Error> {
        let (revision, compacted) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.mvcc.revision(), state.mvcc.compacted())
        };
        if revision - compacted <= HISTORY {
            return Ok(());
        }
        let mut changes = Changes::default();
        // The revision lies between the two, so that it cannot be refused.
        let _ = self.compact(revision - HISTORY / 2, &mut changes);
        self.commit(&mut changes, &mut Vec::new())
    }
}

/// Applies one write in memory.
fn apply(state: &mut State, write: Write, changes: &mut Changes) -> Option<Answer> {
    Some(match write {
        Write::Put(request, reply) => {
            let done =
                transaction(state, changes, |mvcc, leases| request::put(mvcc, leases, request));
            answer(reply, done)
        }
        Write::Delete(request, reply) => {
            let done = transaction(state, changes, |mvcc, _| request::delete(mvcc, &request));
            answer(reply, done)
        }
        Write::Txn(request, reply) => {
            let done =
                transaction(state, changes, |mvcc, leases| request::txn(mvcc, leases, request));
            answer(reply, done)
        }
        Write::Grant(id, ttl, reply) => {
            let granted = state.leases.grant(id, ttl, Instant::now());
            changes.granted.extend(granted);
            answer(reply, granted)
        }
        Write::Revoke(id, reply) => {
            let done = end_lease(state, changes, id).ok_or(Refusal::LeaseNotFound);
            answer(reply, done)
        }
        Write::Expire => {
            for id in state.leases.expired(Instant::now()) {
                tracing::debug!(lease = id, "lease ended");
                end_lease(state, changes, id);
            }
            return None;
        }
        Write::Compact(..) | Write::Stop => return None,
    })
}

/// Does one request as a whole or not at all. Tells the revision after it.
fn transaction<T>(
    state: &mut State,
    changes: &mut Changes,
    request: impl FnOnce(&mut Mvcc, &Leases) -> Result<T, Refusal>,
) -> Result<(T, i64), Refusal> {
    let done = request(&mut state.mvcc, &state.leases);
    if done.is_err() {
        state.mvcc.abandon();
    }
    for record in state.mvcc.finish() {
        state.leases.follow(&record);
        changes.written.push(record);
    }
    Ok((done?, state.mvcc.revision()))
}

/// Ends a lease and removes its keys, in one revision.
fn end_lease(state: &mut State, changes: &mut Changes, id: i64) -> Option<()> {
    let keys = state.leases.remove(id)?;
    for key in keys {
        state.mvcc.delete(&super::mvcc::Span::new(&key, &[]));
    }
    changes.written.extend(state.mvcc.finish());
    // A grant of the same batch must not come back.
    changes.granted.retain(|(granted, _)| *granted != id);
    changes.ended.push(id);
    Some(())
}
