//! `POST /explain`: how a call would be decided now.

use std::time::{SystemTime, UNIX_EPOCH};

use governance::explain::read_question;
use http::StatusCode;

use super::page::{Answer, Ask};
use super::{AdminState, JSON};

/// Decides the call of the body. 200 with the explanation, whatever it says;
/// 400 with findings where the body asks for nothing that can be answered.
pub(super) fn explain(state: &AdminState, ask: &Ask<'_>) -> Answer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let question = String::from_utf8_lossy(ask.body);
    let explained =
        read_question("case", &question).and_then(|question| state.live.explain(&question, now_ms));
    match explained {
        Ok(explained) => {
            let fault = explained.fault;
            let (content_type, body) = if ask.text {
                (super::PLAIN, explained.to_string())
            } else {
                (JSON, serde_json::to_string(&explained).unwrap_or_default() + "\n")
            };
            Answer { content_type, fault, ..Answer::plain(StatusCode::OK, body) }
        }
        Err(findings) => {
            let error = serde_json::json!({ "error": findings });
            let bad = Answer::plain(StatusCode::BAD_REQUEST, format!("{error}\n"));
            Answer { content_type: JSON, ..bad }
        }
    }
}
