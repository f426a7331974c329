//! Connect's conformance suite, through proxies: what its runner finds in its own servers
//! reached directly, it must find in them behind one proxy and behind two. gRPC over HTTP/2;
//! gRPC-Web over HTTP/1.1 and HTTP/2, which the proxy makes gRPC; and Connect's own
//! protocol over both, which is plain HTTP to the mesh.
//!
//! The server that the runner tests is `conformance/server.rs`.

use std::collections::BTreeMap;
use std::process::Command;

use harness::go::program;

/// Everything that the reference server does without TLS.
const ALL: &str = "features:
  versions: [HTTP_VERSION_1, HTTP_VERSION_2]
  protocols: [PROTOCOL_CONNECT, PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  supportsTls: false
  supportsHalfDuplexBidiOverHttp1: true
";

/// The same of grpc-go, which says more with heads alone.
const GRPC_GO: &str = "features:
  versions: [HTTP_VERSION_1, HTTP_VERSION_2]
  protocols: [PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO]
  supportsTls: false
  supportsHalfDuplexBidiOverHttp1: true
";

/// What differs behind a proxy: the start and the end of such cases' names, what the runner
/// says of each, and why that is right.
const EXCEPTIONS: [(&str, &str, &str, &str); 2] = [
    (
        "Timeouts/",
        "",
        "actual error contain 1 details; expecting 0",
        "the mesh watches the caller's deadline, too, and says that it passed, with its reason among \
         the details; the runner's client sees that where its own clock is not faster",
    ),
    (
        "",
        "Unexpected Requests/unexpected-uri",
        "actual error contain 1 details; expecting 0",
        "the mesh knows no such service, and says so with its reason among the details",
    ),
];

/// Runs the cases of one configuration against a server; only these, where some are named.
/// Returns how many passed, and what the runner says of each that did not.
#[track_caller]
fn run(configuration: &str, server: &[&str], only: &[&String]) -> (u32, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let file = folder.path().join("configuration.yaml");
    std::fs::write(&file, configuration).expect("the folder is ours");
    let mut command = Command::new("timeout");
    command.arg("240").arg(program("connectconformance"));
    command.args(["--mode", "server", "--parallel", "4", "--conf"]).arg(&file);
    for name in only {
        command.args(["--run", name]);
    }
    let output = command.arg("--").args(server).output().expect("it was built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed = text.lines().rev().find_map(|line| line.split_once(" passed, ")?.0.parse().ok());
    let passed = passed.unwrap_or_else(|| panic!("the runner did not finish:\n{text}\n{errors}"));
    let mut failed = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("FAILED: ") else { continue };
        let mut why = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            why.push(line.trim());
        }
        failed.insert(name.trim_end_matches(':').to_owned(), why.join("; "));
    }
    assert!(passed > 0 || !failed.is_empty(), "nothing was run:\n{text}\n{errors}");
    (passed, failed)
}

fn is_named(case: &str, why: &str) -> bool {
    EXCEPTIONS.iter().any(|(start, end, says, _)| {
        let (suite, rest) = case.split_once('/').unwrap_or((case, ""));
        let last = rest.rsplit('/').next().unwrap_or_default();
        case.starts_with(start) && format!("{suite}/{last}").ends_with(end) && why == *says
    })
}

/// How many cases pass behind one proxy and behind two, where none fails that does not
/// fail directly and is not named.
#[track_caller]
fn passes_behind_proxies(configuration: &str, reference: &str, known: &[&str]) -> [u32; 3] {
    let reference = program(reference);
    let reference = reference.to_str().expect("the target folder's name is text");
    let (alone, failed) = run(configuration, &[reference], &[]);
    let unknown: Vec<_> =
        failed.keys().filter(|case| !known.iter().any(|end| case.ends_with(end))).collect();
    assert!(unknown.is_empty(), "directly: {failed:?}");
    let wrapped = env!("CARGO_BIN_EXE_conformance-server");
    let passed = ["1", "2"].map(|proxies| {
        let server = [wrapped, reference, proxies];
        let is_wrong =
            |case: &String, why: &String| !failed.contains_key(case) && !is_named(case, why);
        let (passed, mut seen) = run(configuration, &server, &[]);
        let all = passed + seen.len() as u32;
        seen.retain(|case, why| is_wrong(case, why));
        if !seen.is_empty() {
            // Many cases depend on a clock: on a machine that is slow at the moment they fail
            // directly, too. What is wrong fails again.
            let names: Vec<_> = seen.keys().cloned().collect();
            let (_, again) = run(configuration, &server, &names.iter().collect::<Vec<_>>());
            seen = again;
            seen.retain(|case, why| is_wrong(case, why));
        }
        assert!(seen.is_empty(), "behind {proxies}: {seen:#?}");
        assert_eq!(all, alone + failed.len() as u32, "behind {proxies}, as many cases were run");
        passed
    });
    [alone, passed[0], passed[1]]
}

#[test]
fn connect_grpc_and_grpc_web_conform_as_they_do_without_the_mesh() {
    let passed = passes_behind_proxies(ALL, "referenceserver", &[]);
    assert!(passed[0] >= 1900, "{passed:?}");
}

#[test]
fn grpc_go_conforms_to_grpc_and_grpc_web_as_it_does_without_the_mesh() {
    // Its own failures, which the suite's authors name as well: it answers INTERNAL to a
    // number of messages that it should call UNIMPLEMENTED.
    let known = ["/multiple-requests", "/no-request"];
    let passed = passes_behind_proxies(GRPC_GO, "grpcserver", &known);
    assert!(passed[0] >= 700, "{passed:?}");
}
