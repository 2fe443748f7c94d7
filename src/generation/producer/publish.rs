//! What is counted and traced of a generation when it ends here: once, and nothing of it while it runs.

use super::Producer;
use crate::generator::{Attempt, Outcome};
use crate::metrics::{Ended, Takeover};
use crate::stream::Terminal;

impl Producer {
    /// Counts and traces it, with its end if it has one, or else as left to another process. Before a reader sees the
    /// end, so that whoever has seen it finds it counted.
    pub(super) fn publish(&self, terminal: Option<&Terminal>) {
        let (job, metrics) = (&*self.job, &self.job.metrics);
        let (finish_reason, error_type) = match terminal {
            Some(Terminal::Done { finish_reason, .. }) => (finish_reason.as_str(), ""),
            Some(Terminal::Error { error, .. }) => ("", error.code.as_str()),
            None => ("", ""),
        };
        // What was generated elsewhere is counted there, and the prompt where the end is.
        let usage = terminal.map(Terminal::usage);
        let (input_tokens, all) = usage.map_or((0, self.count), |usage| {
            (usage.prompt_tokens, usage.completion_tokens)
        });
        metrics.ended(
            &job.model,
            &Ended {
                finish_reason,
                error_type,
                input_tokens,
                output_tokens: all.saturating_sub(self.before),
                took: job.earlier + self.deadlines.elapsed(),
                first_token: self.deadlines.first_token().filter(|_| self.before == 0),
            },
        );
        self.trace_end(terminal);
        if terminal.is_none() {
            metrics.takeover(Takeover::Left);
        }
        for attempt in &job.tried {
            metrics.attempt(&job.model, &attempt.upstream, outcome(attempt));
        }
        if let (true, Some(upstream)) = (job.tried.is_empty(), &job.upstream) {
            let has_answered = self.deadlines.first_token().is_some();
            let outcome = match &job.error {
                Some(error) if !has_answered => error.code.as_str(),
                None if !has_answered => "unanswered",
                _ => ANSWERED,
            };
            metrics.attempt(&job.model, upstream, outcome);
        }
    }
}

const ANSWERED: &str = "answered";

fn outcome(attempt: &Attempt) -> &'static str {
    match &attempt.outcome {
        Outcome::Answered(_) => ANSWERED,
        Outcome::Failed(error, _) => error.code.as_str(),
        Outcome::Rests(_) => "rests",
        Outcome::Unable(_) => "unable",
    }
}
