//! How a producer leaves its stream: closed, or to another process; and what the log says of it.

use std::future::poll_fn;
use std::time::Duration;

use sha2::Digest as _;

use super::Producer;
use super::end::{self, End};
use crate::generator::{Attempt, Usage};
use crate::stream::{Terminal, Timing};

/// How long the log may take to accept the terminal entry.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

impl Producer {
    /// Generates to the end, and closes the stream.
    ///
    /// An `async fn` would keep its argument beside what it is moved to, and be twice the size.
    pub(in crate::generation) fn run(self) -> impl Future<Output = ()> {
        let mut this = self;
        async move {
            let end = poll_fn(|context| this.poll(context)).await;
            // The generator's work stops first: nothing that it does now can reach a reader.
            this.deltas = None;
            if matches!(end, End::Moved) && this.hand_over().await {
                return;
            }
            let terminal = this.terminal(end);
            let tokens = terminal.usage().completion_tokens;
            this.permit.settle_at(tokens.saturating_sub(this.before));
            this.publish(Some(&terminal));
            let mut pending = this.unlogged.take().unwrap_or_default();
            pending.push_terminal(&terminal);
            let flush = poll_fn(|context| this.writer.poll_flush(context, &mut pending));
            let closed = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
            if !matches!(closed, Ok(Ok(()))) {
                tracing::error!(stream.id = %this.job.id, "The log did not take a stream's terminal entry");
            }
            this.report(&terminal);
            drop(this.cancel);
        }
    }

    /// Leaves the rest to another process. Answers whether that is done.
    async fn hand_over(&mut self) -> bool {
        let mut pending = self.unlogged.take().unwrap_or_default();
        let flush = poll_fn(|context| self.writer.poll_hand_over(context, &mut pending));
        let left = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
        if !matches!(left, Ok(Ok(()))) {
            self.unlogged = Some(pending);
            return false;
        }
        self.permit.settle_at(self.count - self.before);
        self.publish(None);
        tracing::info!(
            request.id = %self.job.request_id,
            trace.id = self.job.trace_id(),
            stream.id = %self.job.id,
            tokens.completion = self.count,
            "A stream is left to another node"
        );
        true
    }

    /// The last entry.
    fn terminal(&self, end: End) -> Terminal {
        let counted = Usage::new(self.prompt_tokens, self.count);
        match end {
            End::Finished(finish_reason, usage) => Terminal::Done {
                finish_reason,
                usage: usage.map_or(counted, |usage| match usage.completion_tokens {
                    // Whoever sends text and counts nothing does not count.
                    0 => Usage::new(usage.prompt_tokens, self.count),
                    tokens => Usage::new(usage.prompt_tokens, self.before + tokens),
                }),
                timing: self.timing(),
                text_sha256: hex(&self.text.clone().finalize()),
            },
            End::Failed(error) => Terminal::Error {
                error,
                usage: counted,
            },
            End::Moved => Terminal::Error {
                error: end::server_stopping(),
                usage: counted,
            },
        }
    }

    /// What it took, with what it took in the processes before this one.
    fn timing(&self) -> Timing {
        let earlier = self.job.earlier;
        // When the first token came is known where it came.
        let first_token = self.deadlines.first_token().filter(|_| self.before == 0);
        Timing {
            first_token_ms: first_token.map(|here| millis(earlier + here)),
            total_ms: millis(earlier + self.deadlines.elapsed()),
        }
    }

    /// One line for each stream, never its text; and before it, if it failed, one that says why.
    fn report(&self, terminal: &Terminal) {
        if let Terminal::Error { error, .. } = terminal {
            self.job.report_failure(error);
        }
        let (usage, timing) = (terminal.usage(), self.timing());
        let tried: Vec<String> = self.job.tried.iter().map(Attempt::to_string).collect();
        tracing::info!(
            request.id = %self.job.request_id,
            trace.id = self.job.trace_id(),
            stream.id = %self.job.id,
            stream.owner = %self.job.owner,
            stream.model = %self.job.model,
            stream.outcome = terminal.outcome(),
            upstream.tried = (!tried.is_empty()).then(|| tried.join(", ")),
            stream.readers = self.writer.readers(),
            tokens.prompt = usage.prompt_tokens,
            tokens.completion = usage.completion_tokens,
            first_token_ms = timing.first_token_ms,
            total_ms = timing.total_ms,
            "A stream ended"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
