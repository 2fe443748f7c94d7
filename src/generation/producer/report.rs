//! What the log says of a generation that went wrong, never its text: a line for each upstream that
//! failed, and one for the stream.

use super::Job;
use crate::generator::{Attempt, GeneratorError, Outcome};
use crate::stream::{Failure, FailureCode};

impl Job {
    /// Keeps what came of an upstream for the stream's own line, and says at once if it failed.
    pub(super) fn tried(&mut self, attempt: Attempt) {
        if let Some(error) = attempt.failure() {
            complain!(
                error.is_ours_to_mend,
                request.id = %self.request_id,
                trace.id = self.trace_id(),
                stream.id = %self.id,
                stream.model = %self.model,
                upstream.name = %attempt.upstream,
                failure.code = error.code.as_str(),
                failure.cause = error.reason(),
                "An upstream failed before its first token"
            );
        }
        self.trace_attempt(&attempt);
        self.tried.push(attempt);
    }

    /// Its trace, if it is part of one.
    pub(super) fn trace_id(&self) -> Option<impl tracing::Value + use<>> {
        self.span.trace().id().map(tracing::field::display)
    }

    /// Says how the stream failed, and why, as far as readers are not told.
    pub(super) fn report_failure(&self, failure: &Failure) {
        let error = self.error.as_ref();
        complain!(
            failure.code == FailureCode::InternalError
                || error.is_some_and(|error| error.is_ours_to_mend),
            request.id = %self.request_id,
            trace.id = self.trace_id(),
            stream.id = %self.id,
            stream.model = %self.model,
            upstream.name = self.failed_upstream(),
            failure.code = failure.code.as_str(),
            // Without a generator's error, the message is our own.
            failure.cause = error.map_or(&*failure.message, GeneratorError::reason),
            panic.place = self.panicked.as_ref().map(|it| &*it.place),
            "A generation failed"
        );
    }

    /// The server whose failure is the stream's. While several are asked, a time-out is nobody's.
    fn failed_upstream(&self) -> Option<&str> {
        let is_it = |attempt: &&Attempt| match &attempt.outcome {
            Outcome::Answered(_) => true,
            Outcome::Failed(error, _) => self.error.as_ref() == Some(&**error),
            Outcome::Rests(_) | Outcome::Unable(_) => false,
        };
        let tried = self.tried.iter().rfind(is_it);
        tried.map_or(self.upstream.as_deref(), |it| Some(&*it.upstream))
    }
}
