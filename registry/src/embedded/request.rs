//! What each request of etcd's KV service does to the versions
//! (`server/etcdserver/apply.go` of etcd).

use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbDeleteResponse, PbKeyValue, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbRangeResponse, PbResponseOp, PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse,
    PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};

use super::error::Refusal;
use super::lease::Leases;
use super::mvcc::{Mvcc, Record, Span};

/// etcd's default limit of operations in a transaction (`--max-txn-ops`).
const MAX_TXN_OPS: usize = 128;
/// How deep transactions may stand in each other.
const MAX_TXN_DEPTH: usize = 16;

/// Reads. `newest` is the revision that a read of "now" looks at.
pub(crate) fn range(
    mvcc: &Mvcc,
    request: &PbRangeRequest,
    newest: i64,
) -> Result<PbRangeResponse, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    let revision = reading(mvcc, request, newest)?;
    let span = Span::new(&request.key, &request.range_end);
    let mut answer = PbRangeResponse::default();
    let mut found: Vec<&Arc<Record>> = Vec::new();
    let wanted = |kv: &PbKeyValue| {
        let within = |value: i64, min: i64, max: i64| {
            (min == 0 || value >= min) && (max == 0 || value <= max)
        };
        within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
            && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
    };
    let limit = usize::try_from(request.limit).unwrap_or(0);
    // Without an order, etcd stops reading one key after the limit, and sorts
    // what it has then.
    let filtered = request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0;
    let read =
        if limit == 0 || request.sort_order != 0 || filtered { usize::MAX } else { limit + 1 };
    for record in mvcc.range(&span, revision) {
        answer.count += 1;
        if !request.count_only && found.len() < read && wanted(&record.kv) {
            found.push(record);
        }
    }
    sort(&mut found, request.sort_order, request.sort_target)?;
    if limit > 0 && found.len() > limit {
        found.truncate(limit);
        answer.more = true;
    }
    answer.kvs = found
        .into_iter()
        .map(|record| match request.keys_only {
            true => PbKeyValue { value: Vec::new(), ..record.kv.clone() },
            false => record.kv.clone(),
        })
        .collect();
    Ok(answer)
}

/// The revision a read looks at.
fn reading(mvcc: &Mvcc, request: &PbRangeRequest, newest: i64) -> Result<i64, Refusal> {
    let revision = if request.revision > 0 { request.revision } else { newest };
    if revision > newest {
        return Err(Refusal::Future);
    }
    if revision < mvcc.compacted() {
        return Err(Refusal::Compacted);
    }
    Ok(revision)
}

/// Orders (0 none, 1 ascending, 2 descending) by a target (0 key, 1 version, 2
/// create revision, 3 mod revision, 4 value). Without an order, other targets
/// than the key ascend.
fn sort(found: &mut [&Arc<Record>], order: i32, target: i32) -> Result<(), Refusal> {
    let by: fn(&PbKeyValue, &PbKeyValue) -> Ordering = match target {
        0 => |one, other| one.key.cmp(&other.key),
        1 => |one, other| one.version.cmp(&other.version),
        2 => |one, other| one.create_revision.cmp(&other.create_revision),
        3 => |one, other| one.mod_revision.cmp(&other.mod_revision),
        4 => |one, other| one.value.cmp(&other.value),
        _ => return Err(Refusal::InvalidSort),
    };
    // Equals stay in the order of their keys, both ways.
    match order {
        0 | 1 => found.sort_by(|one, other| by(&one.kv, &other.kv)),
        2 => found.sort_by(|one, other| by(&other.kv, &one.kv)),
        _ => return Err(Refusal::InvalidSort),
    }
    Ok(())
}

/// Writes one key.
pub(crate) fn put(
    mvcc: &mut Mvcc,
    leases: &Leases,
    request: PbPutRequest,
) -> Result<PbPutResponse, Refusal> {
    check_put(&request)?;
    let kept = kept(mvcc, leases, &request)?;
    let (mut value, mut lease) = (request.value, request.lease);
    if let Some(before) = kept {
        if request.ignore_value {
            value = before.kv.value.clone();
        }
        if request.ignore_lease {
            lease = before.kv.lease;
        }
    }
    let before = mvcc.put(&request.key, value, lease);
    let prev_kv = before.filter(|_| request.prev_kv).map(|record| record.kv.clone());
    Ok(PbPutResponse { header: None, prev_kv })
}

/// What a write keeps of the version before, if it is to keep something.
fn kept<'a>(
    mvcc: &'a Mvcc,
    leases: &Leases,
    request: &PbPutRequest,
) -> Result<Option<&'a Arc<Record>>, Refusal> {
    let mut before = None;
    if request.ignore_value || request.ignore_lease {
        let span = Span::new(&request.key, &[]);
        before = Some(mvcc.range(&span, i64::MAX).next().ok_or(Refusal::KeyNotFound)?);
    }
    if request.lease != 0 && leases.get(request.lease).is_none() {
        return Err(Refusal::LeaseNotFound);
    }
    Ok(before)
}

/// Removes keys.
pub(crate) fn delete(
    mvcc: &mut Mvcc,
    request: &PbDeleteRequest,
) -> Result<PbDeleteResponse, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    let before = mvcc.delete(&Span::new(&request.key, &request.range_end));
    let deleted = before.len() as i64;
    let prev_kvs = match request.prev_kv {
        true => before.iter().map(|record| record.kv.clone()).collect(),
        false => Vec::new(),
    };
    Ok(PbDeleteResponse { header: None, deleted, prev_kvs })
}

/// Compares, then does one list or the other. On an error the caller abandons
/// what was written so far.
///
/// Comparisons of nested transactions, too, look at what was there before the
/// first write (`compareToPath` of etcd), and so do the checks, those of writes
/// first.
pub(crate) fn txn(
    mvcc: &mut Mvcc,
    leases: &Leases,
    request: PbTxnRequest,
) -> Result<PbTxnResponse, Refusal> {
    let mut path = VecDeque::new();
    let mut taken = Vec::new();
    choose(mvcc, &request, &mut path, &mut taken);
    for operation in &taken {
        if let PbTxnOpRequest::RequestPut(put) = operation {
            kept(mvcc, leases, put)?;
        }
    }
    for operation in &taken {
        if let PbTxnOpRequest::RequestRange(range) = operation {
            reading(mvcc, range, mvcc.revision())?;
        }
    }
    follow(mvcc, leases, request, &mut path)
}

/// Notes which list each transaction takes, in the order they are come by, and
/// what stands in those lists.
fn choose<'a>(
    mvcc: &Mvcc,
    request: &'a PbTxnRequest,
    path: &mut VecDeque<bool>,
    taken: &mut Vec<&'a PbTxnOpRequest>,
) {
    let succeeded = request.compare.iter().all(|compare| holds(mvcc, compare));
    path.push_back(succeeded);
    let operations = if succeeded { &request.success } else { &request.failure };
    for operation in operations.iter().filter_map(|operation| operation.request.as_ref()) {
        match operation {
            PbTxnOpRequest::RequestTxn(nested) => choose(mvcc, nested, path, taken),
            operation => taken.push(operation),
        }
    }
}

fn follow(
    mvcc: &mut Mvcc,
    leases: &Leases,
    request: PbTxnRequest,
    path: &mut VecDeque<bool>,
) -> Result<PbTxnResponse, Refusal> {
    let succeeded = path.pop_front().unwrap_or(false);
    let operations = if succeeded { request.success } else { request.failure };
    let mut responses = Vec::with_capacity(operations.len());
    for operation in operations {
        let response = match operation.request {
            Some(PbTxnOpRequest::RequestRange(request)) => {
                let newest = mvcc.reading();
                Some(PbTxnOpResponse::ResponseRange(range(mvcc, &request, newest)?))
            }
            Some(PbTxnOpRequest::RequestPut(request)) => {
                Some(PbTxnOpResponse::ResponsePut(put(mvcc, leases, request)?))
            }
            Some(PbTxnOpRequest::RequestDeleteRange(request)) => {
                Some(PbTxnOpResponse::ResponseDeleteRange(delete(mvcc, &request)?))
            }
            Some(PbTxnOpRequest::RequestTxn(request)) => {
                Some(PbTxnOpResponse::ResponseTxn(follow(mvcc, leases, request, path)?))
            }
            None => None,
        };
        responses.push(PbResponseOp { response });
    }
    Ok(PbTxnResponse { header: None, succeeded, responses })
}

fn check_put(request: &PbPutRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// Checks what can be checked without looking at the data, in the list that is
/// not taken too: first each request by itself, then all together.
pub(crate) fn check_txn(request: &PbTxnRequest) -> Result<(), Refusal> {
    check_requests(request, 0)?;
    check_overlaps(&request.success)?;
    check_overlaps(&request.failure).map(|_| ())
}

fn check_requests(request: &PbTxnRequest, depth: usize) -> Result<(), Refusal> {
    let lists = [&request.success, &request.failure];
    let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    if depth > MAX_TXN_DEPTH || longest.max(request.compare.len()) > MAX_TXN_OPS {
        return Err(Refusal::TooManyOps);
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Refusal::EmptyKey);
    }
    for operation in lists.into_iter().flatten() {
        match &operation.request {
            Some(PbTxnOpRequest::RequestRange(range)) if range.key.is_empty() => {
                return Err(Refusal::EmptyKey);
            }
            Some(PbTxnOpRequest::RequestDeleteRange(delete)) if delete.key.is_empty() => {
                return Err(Refusal::EmptyKey);
            }
            Some(PbTxnOpRequest::RequestPut(put)) => check_put(put)?,
            Some(PbTxnOpRequest::RequestTxn(nested)) => check_requests(nested, depth + 1)?,
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// The keys written and the spans removed by one list.
type Written<'a> = (HashSet<&'a [u8]>, Vec<Span>);

/// No key may be written twice, nor written and removed, by one list; as far as
/// etcd looks (`checkIntervals`): what a nested transaction removes is held
/// against later ones and against this list's own writes, not against earlier
/// nested ones.
fn check_overlaps(operations: &[PbTxnRequestOp]) -> Result<Written<'_>, Refusal> {
    let operations = || operations.iter().filter_map(|operation| operation.request.as_ref());
    let mut removed: Vec<Span> = operations()
        .filter_map(|operation| match operation {
            // etcd takes the zero byte of a removal without an upper end for
            // its end, so that it overlaps with nothing.
            PbTxnOpRequest::RequestDeleteRange(delete) if delete.range_end != [0] => {
                Some(Span::new(&delete.key, &delete.range_end))
            }
            _ => None,
        })
        .collect();
    let gone = |removed: &[Span], key: &[u8]| removed.iter().any(|span| span.contains(key));
    let mut written: HashSet<&[u8]> = HashSet::new();
    for operation in operations() {
        let PbTxnOpRequest::RequestTxn(nested) = operation else { continue };
        // Only one of the two happens, so that they may write the same keys.
        let (yes, no) = (check_overlaps(&nested.success)?, check_overlaps(&nested.failure)?);
        for key in yes.0.union(&no.0) {
            if written.contains(key) || gone(&removed, key) {
                return Err(Refusal::DuplicateKey);
            }
        }
        written.extend(yes.0.union(&no.0));
        removed.extend(yes.1.into_iter().chain(no.1));
    }
    for operation in operations() {
        let PbTxnOpRequest::RequestPut(put) = operation else { continue };
        if gone(&removed, &put.key) || !written.insert(&put.key) {
            return Err(Refusal::DuplicateKey);
        }
    }
    Ok((written, removed))
}

fn holds(mvcc: &Mvcc, compare: &PbCompare) -> bool {
    let span = Span::new(&compare.key, &compare.range_end);
    let mut found = mvcc.range(&span, i64::MAX).peekable();
    if found.peek().is_none() {
        // A key that is not there has no value, but zero for every number.
        let value = matches!(compare.target_union, Some(PbTargetUnion::Value(_)));
        return !value && kv_holds(&PbKeyValue::default(), compare);
    }
    found.all(|record| kv_holds(&record.kv, compare))
}

/// Results: 0 equal, 1 greater, 2 less, 3 not equal.
fn kv_holds(kv: &PbKeyValue, compare: &PbCompare) -> bool {
    let order = match &compare.target_union {
        Some(PbTargetUnion::Version(version)) => kv.version.cmp(version),
        Some(PbTargetUnion::CreateRevision(revision)) => kv.create_revision.cmp(revision),
        Some(PbTargetUnion::ModRevision(revision)) => kv.mod_revision.cmp(revision),
        Some(PbTargetUnion::Value(value)) => kv.value.cmp(value),
        Some(PbTargetUnion::Lease(lease)) => kv.lease.cmp(lease),
        // A zero is not written on the wire: the target says what is meant.
        None => match compare.target {
            0 => kv.version.cmp(&0),
            1 => kv.create_revision.cmp(&0),
            2 => kv.mod_revision.cmp(&0),
            3 => kv.value.as_slice().cmp(&[]),
            4 => kv.lease.cmp(&0),
            _ => return false,
        },
    };
    match compare.result {
        0 => order.is_eq(),
        1 => order.is_gt(),
        2 => order.is_lt(),
        3 => order.is_ne(),
        _ => false,
    }
}
