//! Scripts, run for a call: Dubbo's `ScriptStateRouter`.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::rules::Compat;
use crate::rules::script::ScriptRule;
use crate::script::{Failure, Program, ScriptFailure};

use super::call::CallView;
use super::{Narrowing, Verdict};

/// A script and what it chooses from.
#[derive(Debug)]
pub(crate) struct Script {
    program: Arc<Program>,
    endpoints: Arc<[Endpoint]>,
    /// Nobody stays nobody.
    force: bool,
}

impl Script {
    pub(super) fn compile(rule: &ScriptRule, endpoints: &Arc<[Endpoint]>, compat: Compat) -> Self {
        Script {
            program: rule.program.clone(),
            endpoints: endpoints.clone(),
            // Java reads it and never asks for it.
            force: rule.force || compat == Compat::Java,
        }
    }

    /// A script that fails is left out. Java does not catch everything: the call fails
    /// there, and has no endpoint here.
    pub(super) fn run(
        &self,
        rule: &Arc<str>,
        call: &CallView<'_>,
        sets: &mut Narrowing,
    ) -> Verdict<'_> {
        let Narrowing { candidates, next, scripts, .. } = sets;
        match scripts.run(&self.program, call, &self.endpoints, candidates, next) {
            Ok(()) if !next.is_empty() => {
                std::mem::swap(candidates, next);
                Verdict::Plain("applies")
            }
            Ok(()) if self.force => {
                candidates.clear();
                Verdict::Plain("applies, and answers with no endpoint")
            }
            Ok(()) => Verdict::Plain("answers with no endpoint; left out, since force is false"),
            Err(failure) => {
                let detail = failure.to_string();
                let note = if call.compat == Compat::Java && matches!(failure, Failure::Java { .. })
                {
                    candidates.clear();
                    format!("{detail}; Java does not catch that")
                } else {
                    format!("{detail}; left out")
                };
                let reason = failure.reason();
                scripts.failure = Some(ScriptFailure { rule: rule.clone(), reason, detail });
                Verdict::Failed(note)
            }
        }
    }
}
