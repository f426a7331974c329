//! Consistent hashing: calls that are alike go to the same endpoint, and most of
//! them still do when endpoints come or go.
//!
//! A [`Ring`] is made once for a service's endpoints and read by every call; which
//! of them may take the call is asked while walking, so that rules and health
//! narrow the choice without another ring. That is the same choice as on a ring of
//! the remaining endpoints alone, which is what Dubbo builds
//! (`ConsistentHashLoadBalance`).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use codec::{Argument, RequestHead};
use md5::{Digest, Md5};

use crate::endpoint::Endpoint;
use crate::java::{double_text, long_text};
use crate::set::EndpointSet;

/// Dubbo's number of points for each endpoint (`hash.nodes`).
pub(crate) const DEFAULT_NODES: u32 = 160;
/// More points than this make no difference but in memory.
pub(crate) const MOST_NODES: u32 = 4096;
/// Arguments that a hash may be made of.
const ARGUMENTS: usize = 8;

/// Which arguments calls are told apart by (`hash.arguments`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashArguments {
    indexes: [i16; ARGUMENTS],
    count: u8,
}

impl HashArguments {
    /// Dubbo's default: the first.
    pub(crate) const FIRST: HashArguments = HashArguments { indexes: [0; ARGUMENTS], count: 1 };

    /// Reads a list such as `0,2`; `None` where it is none, or too long.
    pub(crate) fn read(text: &str) -> Option<HashArguments> {
        let mut read = HashArguments { indexes: [0; ARGUMENTS], count: 0 };
        for part in text.split(',') {
            let index: i32 = part.trim().parse().ok()?;
            // Beyond any method's parameters it is all the same.
            let index = i16::try_from(index).unwrap_or(i16::MAX);
            *read.indexes.get_mut(usize::from(read.count))? = index;
            read.count += 1;
        }
        Some(read)
    }

    fn indexes(&self) -> impl Iterator<Item = usize> + '_ {
        let used = self.indexes.iter().take(usize::from(self.count));
        used.filter_map(|&index| usize::try_from(index).ok())
    }

    /// The point of a call: what Java's `StringBuilder.append` makes of these
    /// arguments, hashed. Of what is no scalar its bytes count, since its Java text
    /// cannot be known. `None` where the call cannot be read.
    pub(crate) fn point(&self, head: &dyn RequestHead) -> Option<u32> {
        let mut digest = Md5::new();
        for index in self.indexes() {
            match head.argument(index).ok()? {
                None => {}
                Some(Argument::Null) => digest.update("null"),
                Some(Argument::Bool(true)) => digest.update("true"),
                Some(Argument::Bool(false)) => digest.update("false"),
                Some(Argument::Int(value)) => digest.update(long_text(value).as_str()),
                Some(Argument::Double(value)) => digest.update(double_text(value).as_str()),
                Some(Argument::Text(text)) => digest.update(&*text),
                Some(Argument::Other(class)) => {
                    let bytes = head.argument_bytes(index).ok()?;
                    digest.update(bytes.unwrap_or(class.as_bytes()));
                }
            }
        }
        Some(point_of(&digest.finalize().into(), 0))
    }
}

impl fmt::Display for HashArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, index) in self.indexes.iter().take(usize::from(self.count)).enumerate() {
            write!(f, "{}{index}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for HashArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashArguments({self})")
    }
}

/// The `part`th quarter of a digest, its lowest byte first.
fn point_of(digest: &[u8; 16], part: usize) -> u32 {
    let bytes = digest.chunks_exact(4).nth(part).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

/// Endpoints' points on a circle of 2^32, in order.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Box<[(u32, u32)]>,
}

impl Ring {
    /// Dubbo's: of each endpoint `nodes / 4` digests of its address and a number,
    /// four points each.
    pub(crate) fn dubbo(endpoints: &[Endpoint], nodes: u32) -> Ring {
        use std::io::Write as _;
        let mut points = Vec::with_capacity(endpoints.len() * nodes as usize);
        let mut text = Vec::new();
        for (index, endpoint) in (0_u32..).zip(endpoints) {
            for replica in 0..nodes / 4 {
                text.clear();
                // Writing to memory does not fail.
                let _ = write!(text, "{}{replica}", endpoint.address);
                let digest = Md5::digest(&text).into();
                points.extend((0..4).map(|part| (point_of(&digest, part), index)));
            }
        }
        // Of two endpoints at one point Java keeps the later one.
        points.sort_unstable_by_key(|&(point, index)| (point, std::cmp::Reverse(index)));
        Ring { points: points.into() }
    }

    /// The endpoint at a point or behind it, of those that are usable.
    pub(crate) fn next(&self, point: u32, usable: &EndpointSet) -> Option<usize> {
        let start = self.points.partition_point(|&(at, _)| at < point);
        let (before, behind) = self.points.split_at(start);
        let indexes = behind.iter().chain(before).map(|&(_, index)| index as usize);
        indexes.into_iter().find(|&index| usable.contains(index))
    }
}

/// The rings of a service's endpoints, by their number of nodes. Shared by what is
/// compiled of the same endpoints, and asked only when terms are made.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    made: Mutex<Vec<(u32, Arc<Ring>)>>,
}

impl Rings {
    /// The ring with this many nodes.
    pub(crate) fn with(&self, endpoints: &[Endpoint], nodes: u32) -> Arc<Ring> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ring)) = made.iter().find(|(of, _)| *of == nodes) {
            return ring.clone();
        }
        let ring = Arc::new(Ring::dubbo(endpoints, nodes));
        made.push((nodes, ring.clone()));
        ring
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::endpoint::EndpointIds;

    fn endpoints(count: usize) -> Vec<Endpoint> {
        let mut ids = EndpointIds::new();
        (0..count)
            .map(|n| Endpoint::from_url(&format!("dubbo://10.0.0.{n}:20880/s"), &mut ids).unwrap())
            .collect()
    }

    #[test]
    fn a_ring_of_some_is_the_ring_of_all_with_the_others_passed_over() {
        let all = endpoints(12);
        let ring = Ring::dubbo(&all, 160);
        let some = EndpointSet::of(12, |index| index % 3 == 0);
        let rest: Vec<Endpoint> = all.iter().step_by(3).cloned().collect();
        let small = Ring::dubbo(&rest, 160);
        let everybody = EndpointSet::of(rest.len(), |_| true);
        for point in (0..u32::MAX).step_by(9_999_991) {
            assert_eq!(ring.next(point, &some), small.next(point, &everybody).map(|n| n * 3));
        }
    }

    #[test]
    fn lists_of_arguments_are_read_as_written() {
        assert_eq!(HashArguments::read("0").unwrap(), HashArguments::FIRST);
        let several = HashArguments::read("2, 0,-1,99999").unwrap();
        assert_eq!(several.indexes().collect::<Vec<_>>(), [2, 0, 32767]);
        assert_eq!(several.to_string(), "2,0,-1,32767");
        assert_eq!(HashArguments::read("0,x"), None);
        assert_eq!(HashArguments::read("0,1,2,3,4,5,6,7,8"), None);
    }
}
