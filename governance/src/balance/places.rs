//! Consistent hashing: a table in which each hash has its endpoint, and keeps it
//! when others come and go.

use crate::directives::HashTable;
use crate::endpoint::Endpoint;
use crate::set::EndpointSet;

/// Which endpoint a hash belongs to, and whom it goes to when that one cannot be
/// taken: the next in the table.
#[derive(Debug)]
pub(crate) enum Places {
    /// Hashes in order, and the endpoint that each belongs to.
    Ring(Vec<(u64, u32)>),
    /// The endpoints by a hash's remainder (Eisenbud and others, "Maglev", NSDI
    /// 2016, section 3.4).
    Maglev(Vec<u32>),
}

/// How many endpoints a table can hold: the share of one more would be less than
/// a place.
const MAX_PLACES: usize = 1 << 16;

impl Places {
    /// A table over a set of endpoints. Each has places in proportion to its
    /// weight, at least one.
    pub(crate) fn new(table: HashTable, set: &EndpointSet, endpoints: &[Endpoint]) -> Places {
        let all: Vec<(u32, &Endpoint)> = set
            .iter()
            .filter_map(|index| Some((u32::try_from(index).ok()?, endpoints.get(index)?)))
            .filter(|(_, endpoint)| endpoint.weight > 0)
            .take(MAX_PLACES)
            .collect();
        match table {
            HashTable::Ring(minimum) => ring(&all, u64::from(minimum)),
            HashTable::Maglev(size) => maglev(&all, u64::from(size)),
        }
    }

    /// The endpoint of a hash among those that can be taken.
    pub(crate) fn find(&self, hash: u64, usable: &EndpointSet) -> Option<usize> {
        let (start, length) = match self {
            Places::Ring(ring) => (ring.partition_point(|(place, _)| *place < hash), ring.len()),
            Places::Maglev(table) => {
                let length = table.len();
                ((hash % (length as u64).max(1)) as usize, length)
            }
        };
        (0..length).map(|step| (start + step) % length).find_map(|at| {
            let index = match self {
                Places::Ring(ring) => ring.get(at)?.1,
                Places::Maglev(table) => *table.get(at)?,
            };
            Some(index as usize).filter(|index| usable.contains(*index))
        })
    }
}

fn ring(all: &[(u32, &Endpoint)], minimum: u64) -> Places {
    let total: u64 = all.iter().map(|(_, endpoint)| u64::from(endpoint.weight)).sum();
    let size = minimum.max(all.len() as u64);
    let mut ring = Vec::with_capacity(size as usize + all.len());
    for (index, endpoint) in all {
        let places = (u64::from(endpoint.weight) * size).div_ceil(total.max(1)).max(1);
        for place in 0..places {
            ring.push((mixed(hash_of(endpoint.address.as_bytes()), place), *index));
        }
    }
    ring.sort_unstable();
    Places::Ring(ring)
}

/// Endpoints take turns, each as often as its weight says, and take the next
/// free place of their own order each time.
fn maglev(all: &[(u32, &Endpoint)], size: u64) -> Places {
    struct Order {
        index: u32,
        weight: u64,
        next: u64,
        skip: u64,
        due: u64,
    }
    let most = all.iter().map(|(_, endpoint)| u64::from(endpoint.weight)).max().unwrap_or(1);
    // So that filling the table takes a bounded number of turns.
    let least = (most / 1000).max(1);
    let mut orders: Vec<Order> = all
        .iter()
        .map(|(index, endpoint)| {
            let hash = hash_of(endpoint.address.as_bytes());
            Order {
                index: *index,
                weight: u64::from(endpoint.weight).max(least),
                next: mixed(hash, 1) % size,
                skip: mixed(hash, 2) % (size - 1).max(1) + 1,
                due: 0,
            }
        })
        .collect();
    let mut table: Vec<Option<u32>> = vec![None; size as usize];
    let mut free = if orders.is_empty() { 0 } else { size };
    while free > 0 {
        for order in &mut orders {
            order.due += order.weight;
            if order.due < most || free == 0 {
                continue;
            }
            order.due -= most;
            // The size is prime: every place comes up.
            while table.get(order.next as usize).is_some_and(Option::is_some) {
                order.next = (order.next + order.skip) % size;
            }
            if let Some(place) = table.get_mut(order.next as usize) {
                *place = Some(order.index);
            }
            free -= 1;
        }
    }
    Places::Maglev(table.into_iter().flatten().collect())
}

/// The same for every proxy and version, so that all send alike: FNV-1a, mixed.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mixed(hash, 0)
}

/// SplitMix64's finisher.
fn mixed(hash: u64, salt: u64) -> u64 {
    let mut z = hash.wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::endpoint::EndpointIds;

    fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
        let mut ids = EndpointIds::new();
        let url = |(n, weight)| format!("dubbo://10.0.0.{n}:20880/s?weight={weight}");
        let urls = weights.iter().enumerate().map(url);
        urls.map(|url| Endpoint::from_url(&url, &mut ids).unwrap()).collect()
    }

    /// Where 20,000 keys go.
    fn spread(places: &Places, usable: &EndpointSet, count: usize) -> Vec<usize> {
        let mut hits = vec![0; count];
        for key in 0..20_000_u32 {
            hits[places.find(hash_of(&key.to_le_bytes()), usable).unwrap()] += 1;
        }
        hits
    }

    #[test]
    fn places_are_by_weight_and_stay_when_another_endpoint_goes() {
        let endpoints = endpoints(&[100, 100, 200, 0]);
        let all = EndpointSet::of(4, |_| true);
        for table in [HashTable::Ring(1024), HashTable::Maglev(65537)] {
            let places = Places::new(table, &all, &endpoints);
            let hits = spread(&places, &all, 4);
            for (hit, share) in hits.iter().zip([5000, 5000, 10_000, 0]) {
                assert!(hit.abs_diff(share) <= 1200, "{table:?}: {hits:?}");
            }
            let without = EndpointSet::of(4, |index| index != 0);
            for key in 0..1000_u32 {
                let hash = hash_of(&key.to_le_bytes());
                let (before, after) = (places.find(hash, &all), places.find(hash, &without));
                assert!(before == Some(0) && after != Some(0) || before == after, "{key}");
            }
            assert_eq!(places.find(7, &EndpointSet::empty(4)), None);
        }
    }

    #[test]
    fn no_endpoint_is_no_trouble() {
        let none = EndpointSet::empty(0);
        for table in [HashTable::Ring(1024), HashTable::Ring(0), HashTable::Maglev(7)] {
            assert_eq!(Places::new(table, &none, &[]).find(1, &none), None);
        }
    }
}
