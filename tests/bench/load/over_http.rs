//! The load where its calls go over HTTP.

use anyhow::{Error, Result};

use super::{Calls, Load, Socket};
use crate::stream::Stream;

impl Load {
    /// Reads answers, checks them, and calls again where the load is closed.
    pub(super) fn take_answers_over_http(&mut self, index: usize) -> Result<()> {
        let now = self.nanos();
        let Calls::Http(_, payload) = &mut self.calls else { return Ok(()) };
        let Some(Socket { stream, caller: Some(caller), end: Some(end) }) =
            self.sockets[index].as_mut()
        else {
            return Ok(());
        };
        let Stream { socket, input, output } = stream;
        self.gathered.clear();
        let (counts, latencies) = (&mut self.counts, &mut self.latencies);
        let (mut answered, mut unknown) = (0, None);
        let mut take = |index, answer: crate::http::Answer<'_>| {
            let Some((call, intended)) = caller.answered_index(index) else {
                unknown.get_or_insert(index);
                return;
            };
            answered += 1;
            match answer.and_then(|body| payload.check(body, call.tag)) {
                Ok(()) => counts.right += 1,
                Err(why) => {
                    counts.wrong += 1;
                    counts.first_wrong.get_or_insert(why);
                }
            }
            if let Some(latencies) = latencies {
                // Longer than a histogram's range nobody waits.
                let _ = latencies.record((now - intended) / 1000);
            }
        };
        end.take_answers(input, &mut self.gathered, &mut take).map_err(Error::msg)?;
        if let Some(index) = unknown {
            anyhow::bail!("an answer to a call that is not outstanding: number {index}");
        }
        self.outstanding -= answered;
        if self.refill {
            for _ in 0..answered {
                let call = caller.call(now);
                end.call(call.index(), payload.stamp(call.tag), &mut self.gathered);
            }
            self.outstanding += answered;
        }
        if !self.gathered.is_empty() {
            output.send(socket, &[&self.gathered])?;
        }
        Ok(())
    }

    /// The provider: answers every request that has arrived.
    pub(super) fn serve_over_http(&mut self, index: usize) -> Result<()> {
        let Some(Socket { stream, end: Some(end), .. }) = self.sockets[index].as_mut() else {
            return Ok(());
        };
        let Stream { socket, input, output } = stream;
        self.gathered.clear();
        end.serve(input, &mut self.gathered).map_err(Error::msg)?;
        if !self.gathered.is_empty() {
            output.send(socket, &[&self.gathered])?;
        }
        Ok(())
    }
}
