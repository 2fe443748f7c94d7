//! What a trace says of a generation: a span from its start to its terminal entry, in the words of
//! OpenTelemetry's conventions for generative AI. Never its prompt and never its text.

use super::{Job, Producer};
use crate::generator::{Attempt, Outcome, Prompt};
use crate::stream::Terminal;
use crate::traces::{Kind, Span};

/// Begins it, as a part of the request that asked for it, which it outlives.
pub(super) fn begin(job: &Job, prompt: &Prompt, provider: &'static str) -> Span {
    let span = prompt.trace.begin(Kind::Client, "chat");
    if span.is_recorded() {
        span.rename(format!("chat {}", job.model));
        span.set("gen_ai.operation.name", "chat");
        span.set("gen_ai.provider.name", provider);
        span.set("gen_ai.request.model", job.model.clone());
        span.set("gen_ai.request.stream", true);
        if let Some(most) = prompt.max_tokens {
            span.set("gen_ai.request.max_tokens", i64::from(most));
        }
        if let Some(temperature) = prompt.temperature {
            span.set("gen_ai.request.temperature", temperature);
        }
        if let Some(top_p) = prompt.top_p {
            span.set("gen_ai.request.top_p", top_p);
        }
        span.set("tailrace.stream.id", job.id.to_string());
        span.set("tailrace.request.id", job.request_id.clone());
        if !job.earlier.is_zero() {
            span.set("tailrace.generation.taken_over", true);
        }
    }
    span
}

impl Job {
    /// An upstream was passed over. Those that are asked have spans of their own.
    pub(super) fn trace_attempt(&self, attempt: &Attempt) {
        let reason = match &attempt.outcome {
            Outcome::Rests(_) => "rests",
            Outcome::Unable(_) => "unable",
            Outcome::Answered(_) | Outcome::Failed(..) => return,
        };
        if self.span.is_recorded() {
            let upstream = ("tailrace.upstream.name", attempt.upstream.to_string());
            let reason = ("tailrace.upstream.reason", reason.to_owned());
            self.span
                .event("tailrace.upstream.passed_over", [upstream, reason]);
        }
    }
}

impl Producer {
    /// Says how it ended, if it did; else it is left to another process.
    pub(super) fn trace_end(&self, terminal: Option<&Terminal>) {
        let span = &self.job.span;
        if !span.is_recorded() {
            return;
        }
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let first_token = self.deadlines.first_token().filter(|_| self.before == 0);
        if let Some(first_token) = first_token {
            let seconds = first_token.as_secs_f64();
            span.set("gen_ai.response.time_to_first_chunk", seconds);
        }
        let Some(terminal) = terminal else {
            span.set(
                "gen_ai.usage.output_tokens",
                count(self.count - self.before),
            );
            span.set("tailrace.generation.left", true);
            return;
        };
        let usage = terminal.usage();
        // Those of the processes before this one are theirs.
        let output = usage.completion_tokens.saturating_sub(self.before);
        span.set("gen_ai.usage.input_tokens", count(usage.prompt_tokens));
        span.set("gen_ai.usage.output_tokens", count(output));
        match terminal {
            Terminal::Done { finish_reason, .. } => {
                span.set_list("gen_ai.response.finish_reasons", finish_reason.as_str());
            }
            Terminal::Error { error, .. } => span.fail(error.code.as_str()),
        }
    }
}
