//! The fuzz targets' bodies, run on seeded input. What a fuzzer finds goes into
//! `codec/fuzz` as a seed of its own.

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// The bytes in the vectors' `hex`.
fn samples(lines: &str) -> Vec<Vec<u8>> {
    let samples: Vec<Vec<u8>> = lines
        .lines()
        .filter_map(|line| line.split_once("\"hex\": \"")?.1.split_once('"').map(|(hex, _)| hex))
        .filter(|hex| hex.len() < 8000)
        .map(|hex| {
            let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
            (0..hex.len()).step_by(2).map(digit).collect()
        })
        .collect();
    assert!(samples.len() > 80);
    samples
}

/// Samples damaged a little, and bytes of no meaning at all.
fn inputs(samples: Vec<Vec<u8>>, count: usize, seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut random = seed;
    (0..count).map(move |round| {
        let mut below = |limit: usize| next(&mut random) as usize % limit.max(1);
        let mut bytes = samples[below(samples.len())].clone();
        for _ in 0..below(4) + 1 {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_slice(&samples[below(samples.len())]),
                2 if !bytes.is_empty() => bytes[at] = below(256) as u8,
                _ => bytes.insert(at, below(256) as u8),
            }
        }
        if round % 8 == 0 {
            bytes.iter_mut().skip(16).for_each(|byte| *byte = below(256) as u8);
        }
        bytes
    })
}

/// SplitMix64: the same numbers on every machine.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 1
}

/// How many inputs: `SPANWIRE_FUZZ_ROUNDS`, for longer runs.
fn rounds(default: usize) -> usize {
    match std::env::var("SPANWIRE_FUZZ_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("SPANWIRE_FUZZ_ROUNDS is a number"),
        Err(_) => default,
    }
}

const FRAMES: &str = include_str!("../testdata/dubbo_frames.jsonl");
const CALLS: &str = include_str!("../testdata/triple_calls.jsonl");
const VALUES: &str = include_str!("../testdata/hessian2.jsonl");

#[test]
fn dubbo_frames() {
    inputs(samples(FRAMES), rounds(20_000), 1).for_each(|bytes| bodies::dubbo_frame(&bytes));
}

#[test]
fn hessian2_values() {
    inputs(samples(VALUES), rounds(20_000), 2).for_each(|bytes| bodies::hessian2_values(&bytes));
}

#[test]
fn triple_messages() {
    let bodies = samples(&CALLS.replace("\"data\":\"", "\n\"hex\": \""));
    inputs(bodies, rounds(20_000), 4).for_each(|bytes| bodies::triple_message(&bytes));
}

#[test]
fn jsonb_documents() {
    let mut documents = Vec::new();
    for frame in samples(FRAMES) {
        let mut body = frame.get(16..).unwrap_or_default();
        // Serialization 23.
        while frame[2] & 0x1f == 23
            && let Some((length, rest)) = body.split_first_chunk::<4>()
        {
            let (document, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            documents.push(document.to_vec());
            body = rest;
        }
    }
    assert!(documents.len() > 500);
    inputs(documents, rounds(20_000), 3).for_each(|bytes| bodies::jsonb_document(&bytes));
}
