//! What came of a call, for people and for machines.

use std::io::{self, Write};
use std::time::Duration;

use codec::dubbo::Answer;
use codec::dubbo::answer::{Refusal, status_name};
use codec::value::Value;
use codec::value::json::{Classes, to_json};
use codec::{Outcome, Reason};
use serde_json::{Value as Json, json};

use super::exchange::NoAnswer;
use crate::exit::Exit;
use crate::print;

/// What came of a call.
#[derive(Debug)]
pub(super) struct Verdict {
    ending: Ending,
    attachments: Vec<(String, String)>,
    duration: Duration,
}

#[derive(Debug)]
enum Ending {
    Value(Json),
    /// An exception: its Java class and message.
    Exception {
        class: String,
        message: String,
    },
    /// The provider's RPC layer, or a proxy before it, refused.
    Refused {
        status: u8,
        message: String,
    },
    /// There is no answer of a provider: why, and what to do.
    Fault {
        reason: Reason,
        message: String,
        hint: String,
    },
}

impl Verdict {
    pub(super) fn of(
        answer: Result<Answer, NoAnswer>,
        address: &str,
        timeout: Duration,
        duration: Duration,
    ) -> Verdict {
        let (ending, attachments) = match answer {
            Ok(Answer { result, attachments }) => (Ending::of(result), attachments),
            Err(why) => (Ending::without(&why, address, timeout), Vec::new()),
        };
        Verdict { ending, attachments, duration }
    }

    /// Exit status: whether there is a result.
    pub(super) fn exit(&self) -> Exit {
        match self.ending {
            Ending::Value(_) => Exit::Done,
            _ => Exit::No,
        }
    }

    /// The result on `stdout`, anything else on standard error.
    pub(super) fn print(&self, stdout: &mut impl Write) -> io::Result<()> {
        match &self.ending {
            Ending::Value(value) => writeln!(stdout, "{value:#}")?,
            Ending::Exception { class, message } => {
                print::error(&format!("{class}: {message}"), "")
            }
            Ending::Refused { status, message } => {
                let first = message.lines().next().unwrap_or_default();
                let name = status_name(*status);
                print::error(
                    &format!("the call was refused with {name} ({status}): {first}"),
                    refusal_hint(message),
                );
            }
            Ending::Fault { message, hint, .. } => print::error(message, hint),
        }
        Ok(())
    }

    /// Everything about the call, on one line.
    pub(super) fn to_json(&self) -> Json {
        let (outcome, mut result, mut exception, mut error) =
            (self.ending.outcome(), Json::Null, Json::Null, Json::Null);
        match &self.ending {
            Ending::Value(value) => result = value.clone(),
            Ending::Exception { class, message } => {
                exception = json!({"class": class, "message": message});
            }
            Ending::Refused { status, message } => {
                error = json!({"status": status, "name": status_name(*status), "message": message});
            }
            Ending::Fault { message, .. } => error = json!({"message": message}),
        }
        let attachments: serde_json::Map<String, Json> =
            self.attachments.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "outcome": outcome.label(),
            "result": result,
            "exception": exception,
            "error": error,
            "attachments": attachments,
            "duration_us": u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX),
        })
    }
}

/// What to do about a refusal, by what Java says of it.
fn refusal_hint(message: &str) -> &'static str {
    let says = |text: &str| message.contains(text);
    if says("Not unique method") {
        "name the parameters' types with --types, e.g. --types int,java.lang.String"
    } else if says("No such method") {
        "the service has no method of this name with these types"
    } else if says("Not found exported service")
        || says("Fail to decode request due to: RpcInvocation")
    {
        "that is how Java answers when it has no such service, or not in this --group and --version"
    } else if message.trim_end().contains('\n') {
        "there is more of it: -o json shows the whole message"
    } else {
        ""
    }
}

impl Ending {
    fn of(result: Result<Value, Refusal>) -> Ending {
        let ending = match result {
            Ok(value) => return Ending::Value(to_json(&value, Classes::Shown)),
            Err(Refusal::Exception(exception)) => Ending::exception(&exception),
            Err(Refusal::Status { status, message }) => Ending::Refused { status, message },
        };
        ending.into_fault()
    }

    /// A proxy's own answer takes the form that suits Java best; its text tells.
    fn into_fault(self) -> Ending {
        let message = match &self {
            Ending::Exception { message, .. } | Ending::Refused { message, .. } => message,
            _ => return self,
        };
        let reason = message
            .strip_prefix("Spanwire [")
            .and_then(|text| Some(text.split_once("]: ")?.0))
            .and_then(|label| Reason::ALL.into_iter().find(|reason| reason.label() == label));
        match reason {
            Some(reason) => Ending::Fault { reason, message: message.clone(), hint: String::new() },
            None => self,
        }
    }

    /// A generic call's exception comes wrapped in a `GenericException`, which
    /// names the real one.
    fn exception(exception: &Value) -> Ending {
        let text = |name: &str| exception.get(name).and_then(Value::as_str).map(str::to_owned);
        let class = text("exceptionClass")
            .or_else(|| exception.class().map(str::to_owned))
            .unwrap_or_else(|| "an exception of no class".to_owned());
        let message =
            text("exceptionMessage").or_else(|| text("detailMessage")).unwrap_or_default();
        Ending::Exception { class, message }
    }

    fn without(why: &NoAnswer, address: &str, timeout: Duration) -> Ending {
        let (reason, message, hint) = match why {
            NoAnswer::Unreachable(error) => (
                Reason::Unreachable,
                format!("{address} cannot be reached: {error}"),
                "is it running, and does it listen there? `ss -ltn` on its machine shows what listens"
                    .to_owned(),
            ),
            NoAnswer::ConnectionLost(error) => (
                Reason::ConnectionLost,
                format!("{address} closed the connection without an answer: {error}"),
                "does it speak Dubbo? its log may say why it hung up".to_owned(),
            ),
            NoAnswer::Timeout => (
                Reason::Timeout,
                format!("{address} gave no answer within {timeout:?}"),
                "wait longer with --timeout, or look whether it speaks Dubbo at all".to_owned(),
            ),
            NoAnswer::Unreadable(error) => (
                Reason::Unreadable,
                format!("{address} gave an answer that cannot be read: {error}"),
                "does it speak Dubbo?".to_owned(),
            ),
        };
        Ending::Fault { reason, message, hint }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Ending::Value(_) => Outcome::Success,
            Ending::Exception { .. } => Outcome::BusinessException,
            Ending::Refused { .. } => Outcome::ProviderError,
            Ending::Fault { reason, .. } => Outcome::Fault(*reason),
        }
    }
}
