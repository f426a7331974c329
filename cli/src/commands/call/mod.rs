//! `spanwire call`: one call, as a client of our own.
//!
//! [`destination`] reads where it goes, [`exchange`] sends it and waits, and
//! [`verdict`] says what came of it.

mod destination;
mod exchange;
mod verdict;

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use codec::dubbo::Call as DubboCall;
use codec::value::Value;
use codec::value::json::{from_json, typed_from_json};
use serde_json::Value as Json;

use self::destination::Destination;
use self::verdict::Verdict;
use super::Command;
use crate::exit::{Exit, Failure};

/// Makes one call and prints the result as JSON
#[derive(Debug, Parser)]
#[command(
    name = "call",
    long_about = "Makes one call and prints the result as JSON.

The arguments are a JSON array with one element for each parameter. The provider finds the method by \
its name; where it is overloaded, --types tells which one is meant. Objects become POJOs of the \
parameter's type, and POJOs in the result show their class as `class`; dates are milliseconds or \
\"2024-02-29T12:00:00.000Z\" (with --types), binaries base64 (with --types).

An exception of the provider's code, an error of its RPC layer, and no answer are told on standard \
error, with exit status 1.",
    after_help = "Examples:
  spanwire call dubbo://127.0.0.1:20880/com.example.EchoService/echo '[\"hello\"]'
  spanwire call dubbo://127.0.0.1:20880/com.example.UserService/save '[{\"name\": \"tom\", \"age\": 42}]' \\
      --group blue --version 1.0.0 -A dubbo.tag=gray --timeout 3s
  spanwire call dubbo://127.0.0.1:20880/com.example.SumService/sum '[1, 2]' --types int,long
  spanwire call dubbo://127.0.0.1:20880/com.example.EchoService/echo - -o json < arguments.json"
)]
pub(super) struct Call {
    /// What to call: PROTOCOL://HOST:PORT/SERVICE/METHOD; dubbo is the protocol that this build speaks
    #[arg(value_name = "URL")]
    destination: Destination,

    /// A JSON array with the arguments, `-` to read it from standard input
    #[arg(value_name = "ARGUMENTS", default_value = "[]")]
    arguments: String,

    /// An attachment to send along; may be given several times
    #[arg(short = 'A', long = "attachment", value_name = "NAME=VALUE", value_parser = attachment)]
    attachments: Vec<(String, String)>,

    /// The parameters' Java types, as in source code: int,java.lang.String,com.example.User[]; '' for none
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    types: Option<Vec<String>>,

    /// The service's group
    #[arg(long, default_value = "", hide_default_value = true)]
    group: String,

    /// The service's version
    #[arg(long, default_value = "", hide_default_value = true)]
    version: String,

    /// How long to wait for the answer; the provider is told
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,

    /// How to print: the result alone, or an object that says everything about the call
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "result")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Result,
    Json,
}

impl Command for Call {
    fn run(self) -> Result<Exit, Failure> {
        let destination = self.destination.clone();
        let (timeout, output) = (self.timeout, self.output);
        let call = self.into_dubbo()?;
        let started = Instant::now();
        let answer = exchange::dubbo(&destination.address, &call, started + timeout);
        let verdict = Verdict::of(answer, &destination.address, timeout, started.elapsed());
        let mut stdout = io::stdout().lock();
        match output {
            Format::Json => writeln!(stdout, "{}", verdict.to_json())?,
            Format::Result => verdict.print(&mut stdout)?,
        }
        Ok(verdict.exit())
    }
}

impl Call {
    /// The call by way of `$invoke`, for which the provider needs no classes of
    /// ours.
    fn into_dubbo(self) -> Result<DubboCall, Failure> {
        let types = self.types();
        let arguments = self.arguments(types.as_deref())?;
        let mut attachments = self.attachments;
        if !attachments.iter().any(|(name, _)| name == "timeout") {
            attachments.push(("timeout".to_owned(), self.timeout.as_millis().to_string()));
        }
        let mut call = DubboCall {
            service: self.destination.service,
            version: self.version,
            group: self.group,
            method: self.destination.method,
            parameter_types: String::new(),
            arguments,
            attachments,
        }
        .into_generic(types.as_deref().unwrap_or_default());
        if types.is_none() {
            // Java's GenericFilter looks the method up by its name alone when the
            // types are null (ReflectUtils.findMethodByMethodSignature).
            if let Some(types) = call.arguments.get_mut(1) {
                *types = Value::Null;
            }
        }
        Ok(call)
    }

    /// The Java types, where some were given. An empty text is none.
    fn types(&self) -> Option<Vec<String>> {
        let types = self.types.as_ref()?;
        let is_none = |types: &[String]| matches!(types, [only] if only.is_empty());
        Some(if is_none(types) { Vec::new() } else { types.clone() })
    }

    fn arguments(&self, types: Option<&[String]>) -> Result<Vec<Value>, Failure> {
        let text = if self.arguments == "-" {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map_err(|error| {
                Failure::new(
                    format!("the arguments cannot be read from standard input: {error}"),
                    "",
                )
            })?;
            text
        } else {
            self.arguments.clone()
        };
        let hint = "write a JSON array with one element for each parameter, e.g. '[\"tom\", 42]'";
        let items = match serde_json::from_str(&text) {
            Ok(Json::Array(items)) => items,
            Ok(_) => return Err(Failure::new("the arguments are not a JSON array", hint)),
            Err(error) => {
                return Err(Failure::new(format!("the arguments are not JSON: {error}"), hint));
            }
        };
        let Some(types) = types else { return Ok(items.iter().map(from_json).collect()) };
        if types.len() != items.len() {
            return Err(Failure::new(
                format!("--types names {}, but the arguments are {}", types.len(), items.len()),
                "name one type for each argument",
            ));
        }
        if let Err(error) = codec::dubbo::call::descriptor(types.iter().map(String::as_str)) {
            return Err(Failure::new(error.to_string(), ""));
        }
        let typed = items.iter().zip(types).enumerate().map(|(index, (item, java_type))| {
            typed_from_json(item, java_type).map_err(|error| {
                Failure::new(format!("argument {} ({java_type}): {error}", index + 1), "")
            })
        });
        typed.collect()
    }
}

fn attachment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    proxy::config::duration(text)
        .filter(|duration| *duration >= Duration::from_millis(1))
        .ok_or_else(|| "write a number and a unit, e.g. 500ms or 3s".to_owned())
}
