//! etcd's KV and Lease services, and what clients ask of Cluster and
//! Maintenance of a store with one member.

use std::pin::Pin;
use std::time::Instant;

use etcd_client::proto::*;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::engine::Engine;
use super::error::Refusal;

/// etcd's default limit for a request (`--max-request-bytes`).
const REQUEST_BYTES: usize = 3 << 19;

/// The version told to clients that ask: the API level, for clients that decide
/// by it what they may use.
pub(crate) const VERSION: &str = "3.4.23";

type Answer<T> = Result<Response<T>, Status>;
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn one_member_only(what: &str) -> Status {
    Status::unimplemented(format!("{what}: the embedded store has one member, which stays"))
}

/// The KV service.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) engine: Engine,
}

fn bounded(message: &impl Message) -> Result<(), Refusal> {
    if message.encoded_len() > REQUEST_BYTES { Err(Refusal::TooLarge) } else { Ok(()) }
}

#[tonic::async_trait]
impl PbKvService for Kv {
    type RangeStreamStream = Boxed<PbRangeStreamResponse>;

    async fn range(&self, request: Request<PbRangeRequest>) -> Answer<PbRangeResponse> {
        Ok(Response::new(self.engine.range(request.get_ref())?))
    }

    async fn range_stream(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Answer<Self::RangeStreamStream> {
        let range_response = Some(self.engine.range(request.get_ref())?);
        let whole = tokio_stream::once(Ok(PbRangeStreamResponse { range_response }));
        Ok(Response::new(Box::pin(whole)))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Answer<PbPutResponse> {
        bounded(request.get_ref())?;
        Ok(Response::new(self.engine.put(request.into_inner()).await?))
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Answer<PbDeleteResponse> {
        Ok(Response::new(self.engine.delete(request.into_inner()).await?))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Answer<PbTxnResponse> {
        bounded(request.get_ref())?;
        Ok(Response::new(self.engine.txn(request.into_inner()).await?))
    }

    async fn compact(&self, request: Request<PbCompactionRequest>) -> Answer<PbCompactionResponse> {
        self.engine.compact(request.get_ref().revision).await?;
        let header = self.engine.header(self.engine.revision());
        Ok(Response::new(PbCompactionResponse { header }))
    }
}

/// The Lease service.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) engine: Engine,
    pub(crate) closing: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl PbLeaseService for Lease {
    type LeaseKeepAliveStream = Boxed<PbLeaseKeepAliveResponse>;

    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Answer<PbLeaseGrantResponse> {
        let request = request.into_inner();
        let (id, ttl) = self.engine.grant(request.id, request.ttl).await?;
        let header = self.engine.header(self.engine.revision());
        Ok(Response::new(PbLeaseGrantResponse { header, id, ttl, error: String::new() }))
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Answer<PbLeaseRevokeResponse> {
        self.engine.revoke(request.get_ref().id).await?;
        let header = self.engine.header(self.engine.revision());
        Ok(Response::new(PbLeaseRevokeResponse { header }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let (responses, receiver) = mpsc::channel(1);
        let (engine, mut closing) = (self.engine.clone(), self.closing.clone());
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            loop {
                let request = tokio::select! {
                    request = requests.next() => request,
                    () = super::closed(&mut closing) => {
                        let _ = responses.send(Err(Refusal::Stopped.into())).await;
                        return;
                    }
                };
                let Some(Ok(request)) = request else { return };
                // A TTL of zero says that there is no such lease.
                let ttl = engine.renew(request.id).unwrap_or(0);
                let header = engine.header(engine.revision());
                let response = PbLeaseKeepAliveResponse { header, id: request.id, ttl };
                if responses.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Answer<PbLeaseTimeToLiveResponse> {
        let request = request.into_inner();
        let mut response = PbLeaseTimeToLiveResponse {
            header: self.engine.header(self.engine.revision()),
            id: request.id,
            ttl: -1,
            granted_ttl: 0,
            keys: Vec::new(),
        };
        let state = self.engine.read();
        if let Some(lease) = state.leases.get(request.id) {
            response.ttl = lease.remaining(Instant::now());
            response.granted_ttl = lease.ttl;
            if request.keys {
                response.keys = lease.keys.iter().cloned().collect();
            }
        }
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        _: Request<PbLeaseLeasesRequest>,
    ) -> Answer<PbLeaseLeasesResponse> {
        let header = self.engine.header(self.engine.revision());
        let ids = self.engine.read().leases.ids();
        let leases = ids.into_iter().map(|id| PbLeaseStatus { id }).collect();
        Ok(Response::new(PbLeaseLeasesResponse { header, leases }))
    }
}

/// The Cluster service: one member, which stays.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    /// Where clients reach the store, if that can be said.
    pub(crate) url: Option<String>,
}

#[tonic::async_trait]
impl PbClusterService for Cluster {
    async fn member_list(&self, _: Request<PbMemberListRequest>) -> Answer<PbMemberListResponse> {
        let member = PbMember {
            id: self.engine.member,
            name: "spanwire".to_owned(),
            peer_ur_ls: Vec::new(),
            client_ur_ls: self.url.iter().cloned().collect(),
            is_learner: false,
        };
        let header = self.engine.header(self.engine.revision());
        Ok(Response::new(PbMemberListResponse { header, members: vec![member] }))
    }

    async fn member_add(&self, _: Request<PbMemberAddRequest>) -> Answer<PbMemberAddResponse> {
        Err(one_member_only("member add"))
    }

    async fn member_remove(
        &self,
        _: Request<PbMemberRemoveRequest>,
    ) -> Answer<PbMemberRemoveResponse> {
        Err(one_member_only("member remove"))
    }

    async fn member_update(
        &self,
        _: Request<PbMemberUpdateRequest>,
    ) -> Answer<PbMemberUpdateResponse> {
        Err(one_member_only("member update"))
    }

    async fn member_promote(
        &self,
        _: Request<PbMemberPromoteRequest>,
    ) -> Answer<PbMemberPromoteResponse> {
        Err(one_member_only("member promote"))
    }
}

/// The Maintenance service: how the store is. It cannot be taken apart while it
/// runs; a copy of its folder after a stop is a backup.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl PbMaintenanceService for Maintenance {
    type SnapshotStream = Boxed<PbSnapshotResponse>;

    async fn status(&self, _: Request<PbStatusRequest>) -> Answer<PbStatusResponse> {
        let revision = self.engine.revision();
        let index = revision.unsigned_abs();
        Ok(Response::new(PbStatusResponse {
            header: self.engine.header(revision),
            version: VERSION.to_owned(),
            db_size: self.engine.size(),
            db_size_in_use: self.engine.size(),
            leader: self.engine.member,
            raft_index: index,
            raft_applied_index: index,
            raft_term: 1,
            ..PbStatusResponse::default()
        }))
    }

    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Answer<PbAlarmResponse> {
        // 0 asks for alarms, of which there are none; others raise and end them.
        if request.get_ref().action != 0 {
            return Err(Status::unimplemented("the embedded store has no alarms"));
        }
        let header = self.engine.header(self.engine.revision());
        Ok(Response::new(PbAlarmResponse { header, alarms: Vec::new() }))
    }

    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Answer<PbDefragmentResponse> {
        Err(Status::unimplemented("the embedded store reuses its free space by itself"))
    }

    async fn hash(&self, _: Request<PbHashRequest>) -> Answer<PbHashResponse> {
        Err(one_member_only("hash"))
    }

    async fn hash_kv(&self, _: Request<PbHashKvRequest>) -> Answer<PbHashKvResponse> {
        Err(one_member_only("hash"))
    }

    async fn snapshot(&self, _: Request<PbSnapshotRequest>) -> Answer<Self::SnapshotStream> {
        Err(Status::unimplemented(
            "the embedded store is saved by a copy of its folder after a stop",
        ))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Answer<PbMoveLeaderResponse> {
        Err(one_member_only("move leader"))
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Answer<PbDowngradeResponse> {
        Err(one_member_only("downgrade"))
    }
}
