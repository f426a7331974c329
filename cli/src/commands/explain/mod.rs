//! `spanwire explain`.

mod judge;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Parser;
use governance::explain::split_cases;

use self::judge::{Judge, Verdict};
use super::Command;
use crate::exit::{Exit, Failure};
use crate::print::Format;

/// Decides one call, offline or by what is live, and says why
#[derive(Debug, Parser)]
#[command(
    name = "explain",
    long_about = "Decides one call, offline or by what is live, and says why.

A case is a YAML file with rules as they stand in the store, the providers' URLs and one call. It is \
decided by the same code as in a proxy: which endpoints each rule leaves, by which line, and which one \
the balancer picks. The call itself is not made.

With --admin a running proxy decides by the tables that it routes by now, and with --store this command \
does by the rules and providers that the store has now. The case then has the call alone; `random`, \
`tried` and, with --store, `compat` may stand beside it. Steps name the document that each rule is: \
a file, or the store's key and revision.",
    after_help = "Examples:
  spanwire explain -f case.yaml
  spanwire explain -f case.yaml -o json
  spanwire explain -f call.yaml --admin 127.0.0.1:15000
  spanwire explain -f call.yaml --store http://127.0.0.1:2379
  cat cases.yaml | spanwire explain -f -     # many cases, separated by ---; one JSON line each;
                                             # {\"error\": [...]} for one that cannot be read

A case:
  compat: java                 # or documented, the default
  rules:
    - key: lab.EchoService::.condition-router
      text: |
        configVersion: v3.0
        conditions: ['method=say* => region=$region']
  endpoints:
    - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&region=hz
  call:
    protocol: dubbo            # or grpc, triple, http1, http2, tcp; may be absent
    service: lab.EchoService
    method: sayHello
    consumer: {address: 10.0.0.9, application: web, labels: {region: hz}}
  random: 0.25                 # where the dice fall, from 0 to below 1; 0 where absent
  tried: ['10.0.0.1:20880']    # endpoints that were tried before, taken last

Without a consumer, a proxy takes its own application and labels, and 127.0.0.1."
)]
pub(super) struct Explain {
    /// The case, or - for cases on standard input
    #[arg(short, long, value_name = "CASE")]
    file: PathBuf,

    /// Asks the running proxy whose admin pages are there
    #[arg(long, value_name = "URL", conflicts_with = "store")]
    admin: Option<String>,

    /// Decides by what the store has now: etcd endpoints, comma separated
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// How to print the result [default: text, json for standard input]
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Command for Explain {
    fn run(self) -> Result<Exit, Failure> {
        let from_stdin = self.file.as_os_str() == "-";
        let format = self.output.unwrap_or(if from_stdin { Format::Json } else { Format::Text });
        let name = self.file.display().to_string();
        let mut text = String::new();
        if from_stdin {
            io::stdin().lock().read_to_string(&mut text).map_err(|error| {
                Failure::new(format!("standard input cannot be read: {error}"), "")
            })?;
        } else {
            text = std::fs::read_to_string(&self.file)
                .map_err(|error| Failure::new(format!("{name} cannot be read: {error}"), ""))?;
        }
        let mut cases: Vec<&str> = split_cases(&text).collect();
        if !from_stdin || cases.is_empty() {
            cases = vec![&text];
        }
        let judge = Judge::new(self.admin, self.store)?;
        let mut exit = Exit::Done;
        let mut refused = false;
        let mut stdout = io::stdout().lock();
        for (index, case) in cases.iter().enumerate() {
            let file = if cases.len() > 1 { format!("case {}", index + 1) } else { name.clone() };
            match judge.decide(&file, case, format)? {
                Verdict::Decided { text, fault } => {
                    if fault {
                        exit = Exit::No;
                    }
                    stdout.write_all(text.as_bytes())?;
                }
                // Of many cases the others still get their lines.
                Verdict::Refused(refusal) if from_stdin && format == Format::Json => {
                    stdout.write_all(refusal.json().as_bytes())?;
                    refused = true;
                }
                Verdict::Refused(refusal) => {
                    refusal.print()?;
                    refused = true;
                }
            }
        }
        if refused { Err(Failure::Reported) } else { Ok(exit) }
    }
}
