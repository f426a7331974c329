//! `spanwire explain`.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Parser;
use governance::explain::{explain_case, split_cases};

use super::Command;
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Decides one call offline and says why
#[derive(Debug, Parser)]
#[command(
    name = "explain",
    long_about = "Decides one call offline and says why.

A case is a YAML file with rules as they stand in the store, the providers' URLs and one call. It is \
decided by the same code as in a proxy: which endpoints each rule leaves, by which line, and which one \
the balancer picks. Nothing is sent anywhere.",
    after_help = "Examples:
  spanwire explain -f case.yaml
  spanwire explain -f case.yaml -o json
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
    service: lab.EchoService
    method: sayHello
    consumer: {address: 10.0.0.9, application: web, labels: {region: hz}}"
)]
pub(super) struct Explain {
    /// The case, or - for cases on standard input
    #[arg(short, long, value_name = "CASE")]
    file: PathBuf,

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
        let mut exit = Exit::Done;
        let mut refused = false;
        let mut stdout = io::stdout().lock();
        for (index, case) in cases.iter().enumerate() {
            let file = if cases.len() > 1 { format!("case {}", index + 1) } else { name.clone() };
            match explain_case(&file, case) {
                Ok(explanation) => {
                    if explanation.fault.is_some() {
                        exit = Exit::No;
                    }
                    match format {
                        Format::Json => {
                            serde_json::to_writer(&mut stdout, &explanation)
                                .map_err(io::Error::from)?;
                            writeln!(stdout)?;
                        }
                        Format::Text => write!(stdout, "{explanation}")?,
                    }
                }
                // Of many cases the others still get their lines.
                Err(findings) if from_stdin && format == Format::Json => {
                    let line = serde_json::json!({ "error": findings });
                    writeln!(stdout, "{line}")?;
                    refused = true;
                }
                Err(findings) => {
                    print::rule_findings(&findings, Format::Text)?;
                    refused = true;
                }
            }
        }
        if refused { Err(Failure::Reported) } else { Ok(exit) }
    }
}
