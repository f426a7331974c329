//! Reading a whole range as it stands.

use std::time::Duration;

use etcd_client::{Client, GetOptions};

use crate::store::connect::reason;
use crate::store::range::{Entry, Range};

/// Keys per page.
const PAGE: i64 = 500;
/// The largest answer taken: a page of the largest values etcd stores is bigger,
/// but nobody keeps such.
pub(crate) const MESSAGE_LIMIT: usize = 128 << 20;

/// A range, and the revision at which it stood so.
pub(crate) struct Listed {
    pub(crate) entries: Vec<Entry>,
    pub(crate) revision: i64,
}

/// Reads a whole range as it stands now.
pub(crate) async fn list(
    client: &Client,
    range: &Range,
    timeout: Duration,
) -> Result<Listed, String> {
    list_at(client, range, 0, timeout).await
}

/// Reads a whole range as of one revision, page by page; 0 for the newest.
pub(crate) async fn list_at(
    client: &Client,
    range: &Range,
    revision: i64,
    timeout: Duration,
) -> Result<Listed, String> {
    read_pages(client, range, revision, GetOptions::new(), timeout).await
}

/// Reads a range as it stands now, without the values.
pub(crate) async fn list_keys(
    client: &Client,
    range: &Range,
    timeout: Duration,
) -> Result<Listed, String> {
    read_pages(client, range, 0, GetOptions::new().with_keys_only(), timeout).await
}

async fn read_pages(
    client: &Client,
    range: &Range,
    revision: i64,
    options: GetOptions,
    timeout: Duration,
) -> Result<Listed, String> {
    let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_LIMIT);
    let end = if range.prefix { prefix_end(range.key.as_bytes()) } else { Vec::new() };
    let mut key = range.key.as_bytes().to_vec();
    let mut listed = Listed { entries: Vec::new(), revision };
    loop {
        let mut options = options.clone().with_limit(PAGE).with_revision(listed.revision);
        if range.prefix {
            options = options.with_range(end.clone());
        }
        let answer = tokio::time::timeout(timeout, kv.get(key.clone(), Some(options)))
            .await
            .map_err(|_| format!("listing {}: no answer within {timeout:?}", range.key))?
            .map_err(|error| format!("listing {}: {}", range.key, reason(&error)))?;
        if listed.revision == 0 {
            listed.revision = answer.header().map_or(0, |header| header.revision());
        }
        listed.entries.extend(answer.kvs().iter().map(|kv| Entry {
            key: kv.key().to_vec(),
            value: kv.value().to_vec(),
            revision: kv.mod_revision(),
        }));
        match answer.kvs().last() {
            Some(last) if answer.more() => {
                key = last.key().to_vec();
                key.push(0);
            }
            _ => return Ok(listed),
        }
    }
}

/// The end of the range of all keys with this prefix.
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(prefix_end(b"/a/"), b"/a0");
        assert_eq!(prefix_end(b"a\xff"), b"b");
        assert_eq!(prefix_end(b"\xff\xff"), b"\0");
    }
}
