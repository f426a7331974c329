//! Who decides a case: this command, by what the case says or by what the store
//! has, or a running proxy.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use governance::Finding;
use governance::explain::{Explanation, Question, explain_case, read_question};
use proxy::admin::client::{self, Explained};
use proxy::explain::Stored;
use tokio::runtime::Runtime;

use crate::commands::store;
use crate::exit::Failure;
use crate::print::{self, Format};

/// Who decides.
pub(super) enum Judge {
    /// This command, by the case alone.
    Offline,
    /// This command, by what these endpoints of the store say.
    Store(Runtime, Vec<String>),
    /// The proxy with these admin pages.
    Proxy(Runtime, String),
}

/// What came of a case.
pub(super) enum Verdict {
    /// It was decided.
    Decided {
        /// To be printed, line end included.
        text: String,
        /// Whether the call has no endpoint.
        fault: bool,
    },
    /// It cannot be.
    Refused(Refusal),
}

/// Why a case cannot be decided.
pub(super) enum Refusal {
    /// Found here.
    Here(Vec<Finding>),
    /// Told by a proxy, as `{"error": [...]}`.
    ByProxy(String),
}

impl Judge {
    pub(super) fn new(admin: Option<String>, store: Option<String>) -> Result<Judge, Failure> {
        Ok(match (admin, store) {
            (Some(admin), _) => Judge::Proxy(store::runtime()?, admin),
            (None, Some(urls)) => Judge::Store(store::runtime()?, store::endpoints(&urls)),
            (None, None) => Judge::Offline,
        })
    }

    /// Decides one case of `file`.
    pub(super) fn decide(
        &self,
        file: &str,
        case: &str,
        format: Format,
    ) -> Result<Verdict, Failure> {
        let refused = |findings| Ok(Verdict::Refused(Refusal::Here(findings)));
        match self {
            Judge::Offline => match explain_case(file, case) {
                Ok(explanation) => decided(&explanation, format),
                Err(findings) => refused(findings),
            },
            Judge::Store(runtime, endpoints) => match read_question(file, case) {
                Ok(question) => {
                    let explanation = runtime.block_on(by_the_store(endpoints, &question))?;
                    decided(&explanation, format)
                }
                Err(findings) => refused(findings),
            },
            // A proxy would find the same mistakes, but knows no file.
            Judge::Proxy(runtime, admin) => match read_question(file, case) {
                Ok(_) => runtime.block_on(by_a_proxy(admin, case, format)),
                Err(findings) => refused(findings),
            },
        }
    }
}

async fn by_the_store(endpoints: &[String], question: &Question) -> Result<Explanation, Failure> {
    let services = [question.call.service.as_str()];
    let view =
        registry::look(store::settings(endpoints), &services).await.map_err(store::unanswered)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(Stored::new(&view, question.compat.unwrap_or_default()).explain(question, now_ms))
}

async fn by_a_proxy(admin: &str, case: &str, format: Format) -> Result<Verdict, Failure> {
    let asked = client::explain(admin, case, format == Format::Json).await;
    let explained = asked.map_err(|error| {
        Failure::new(error.to_string(), "name the proxy's `admin` address with --admin")
    })?;
    Ok(match explained {
        Explained::Decided { text, fault } => Verdict::Decided { text, fault: fault.is_some() },
        Explained::Refused(json) => Verdict::Refused(Refusal::ByProxy(json)),
    })
}

fn decided(explanation: &Explanation, format: Format) -> Result<Verdict, Failure> {
    let text = match format {
        Format::Json => serde_json::to_string(explanation).map_err(io::Error::from)? + "\n",
        Format::Text => explanation.to_string(),
    };
    Ok(Verdict::Decided { text, fault: explanation.fault.is_some() })
}

impl Refusal {
    /// One JSON object on a line.
    pub(super) fn json(&self) -> String {
        match self {
            Refusal::Here(findings) => serde_json::json!({ "error": findings }).to_string() + "\n",
            Refusal::ByProxy(json) => json.clone(),
        }
    }

    /// For people, on standard error.
    pub(super) fn print(&self) -> io::Result<()> {
        match self {
            Refusal::Here(findings) => print::rule_findings(findings, Format::Text),
            Refusal::ByProxy(json) => {
                let told: serde_json::Value = serde_json::from_str(json)?;
                for finding in told["error"].as_array().into_iter().flatten() {
                    let text = |key: &str| finding[key].as_str().unwrap_or_default();
                    print::error(text("message"), text("hint"));
                }
                Ok(())
            }
        }
    }
}
