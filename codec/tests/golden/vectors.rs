//! Reads the lines of `testdata`.

use serde_json::Value as Json;

/// One line: its parsed JSON and the bytes in its `hex`.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) json: Json,
}

pub(crate) fn dubbo_frames() -> Vec<Vector> {
    let vectors = vectors(include_str!("../../testdata/dubbo_frames.jsonl"));
    assert_eq!(vectors.len(), 672);
    vectors
}

pub(crate) fn hessian2() -> Vec<Vector> {
    // A lone surrogate is no JSON text; codec makes U+FFFD of it.
    let lines = include_str!("../../testdata/hessian2.jsonl");
    let vectors = vectors(&lines.replace(r#""\ud83dx""#, r#""\ufffdx""#));
    assert_eq!(vectors.len(), 270);
    vectors
}

fn vectors(lines: &str) -> Vec<Vector> {
    read(lines)
        .into_iter()
        .map(|json| {
            let name = json["name"].as_str().expect("each vector has a name").to_owned();
            let bytes = hex(json["hex"].as_str().expect("each vector has its bytes"));
            Vector { name, bytes, json }
        })
        .collect()
}

/// Each line's JSON.
pub(crate) fn read(lines: &str) -> Vec<Json> {
    let json = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    lines.lines().map(json).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).expect("vectors are hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
