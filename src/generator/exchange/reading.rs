//! An answer as far as it has been read: the deltas that are ready, and whether it is over.

use std::collections::VecDeque;

use serde_json::error::Category;

use super::invalid;
use crate::generator::{Delta, FinishReason, GeneratorError, Usage};
use crate::stream::FailureCode;

/// Knows what the events of one kind of server mean.
pub(in crate::generator) trait Reader: Unpin + 'static {
    /// What its events are called in an error, for example "a chunk of a chat completion".
    const EVENT: &'static str;

    /// Reads the data of one event.
    ///
    /// # Errors
    /// It is no event of this kind of server.
    fn read(&mut self, data: &str, reading: &mut Reading) -> Result<(), serde_json::Error>;
}

/// An answer as far as it has been read.
#[derive(Default)]
pub(in crate::generator) struct Reading {
    /// Why the answer ended, as far as the server has said. What follows is no part of it.
    pub(in crate::generator) finish: Option<FinishReason>,
    /// What the server counted so far.
    pub(in crate::generator) usage: Option<Usage>,
    /// What is ready: nearly always one delta at a time, which lies here.
    first: Option<Result<Delta, GeneratorError>>,
    others: VecDeque<Result<Delta, GeneratorError>>,
    has_begun: bool,
    over: bool,
    /// How it failed.
    failed: Option<FailureCode>,
}

impl Reading {
    /// A piece of the answer. What says nothing is none.
    pub(in crate::generator) fn push(&mut self, delta: Delta) {
        if !delta.says_nothing() {
            self.has_begun = true;
            self.add(Ok(delta));
        }
    }

    fn add(&mut self, delta: Result<Delta, GeneratorError>) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(delta);
        } else {
            self.others.push_back(delta);
        }
    }

    /// It failed, and is over.
    pub(in crate::generator) fn fail(&mut self, error: GeneratorError) {
        if !self.over {
            self.over = true;
            self.failed = Some(error.code);
            self.add(Err(error));
        }
    }

    /// Nothing more comes.
    pub(in crate::generator) fn end(&mut self) {
        match self.finish {
            Some(reason) if !self.over => {
                self.over = true;
                let usage = self.usage;
                self.add(Ok(Delta::Finish { reason, usage }));
            }
            _ => self.fail(GeneratorError::new(
                FailureCode::UpstreamIncomplete,
                "the upstream's answer ended before it was complete",
            )),
        }
    }

    /// The server says that nothing more comes. Some never say why; theirs is an answer nevertheless,
    /// and ends as `stop`, if there is anything of it.
    pub(in crate::generator) fn end_as_said(&mut self) {
        if self.has_begun {
            self.finish.get_or_insert(FinishReason::Stop);
        }
        self.end();
    }

    /// How it failed, if it did.
    pub(super) const fn failure(&self) -> Option<FailureCode> {
        self.failed
    }

    /// Whether there is a next delta.
    pub(super) const fn is_ready(&self) -> bool {
        self.first.is_some()
    }

    /// Whether nothing more is to be read.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the answer is complete, and only usage and the end may follow.
    pub(super) const fn has_finish_reason(&self) -> bool {
        self.finish.is_some()
    }

    /// The next delta.
    pub(in crate::generator) fn next(&mut self) -> Option<Result<Delta, GeneratorError>> {
        self.first.take().or_else(|| self.others.pop_front())
    }

    /// Reads the data of one event.
    pub(in crate::generator) fn take<R: Reader>(&mut self, reader: &mut R, data: &str) {
        if self.over {
            return;
        }
        if let Err(error) = reader.read(data, self) {
            // What it says instead may be anybody's, so it is told to nobody.
            let event = R::EVENT;
            let message = format!("the upstream sent an event that is not {event}");
            let what = match error.classify() {
                Category::Data => format!("is not {event}"),
                Category::Io | Category::Syntax | Category::Eof => "is no JSON".to_owned(),
            };
            let cause = format!("an event of {} bytes {what}", data.len());
            self.fail(invalid(message).because(cause));
        }
    }

    /// Reads what the end of the body has left of an event. Some servers forget the blank line after
    /// the last one; what makes no sense was cut, and says nothing.
    pub(super) fn take_last<R: Reader>(&mut self, reader: &mut R, data: &str) {
        if !self.over {
            let _cut = reader.read(data, self);
        }
    }
}
