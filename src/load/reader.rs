//! Reads the body of one answer: which tokens came when, and how it ended.

use std::time::Instant;

use super::blocks::Blocks;
use super::dialect::{Dialect, End, Heard, Wrong};
use super::first_token::{Found, Search};
use super::plan::Plan;
use super::recorder::Recorder;
use super::stamp::{self, Stamps};
use crate::event_stream::EventStream;

/// The longest event that is read.
const EVENT_BYTES: usize = 16 * 1024 * 1024;

/// How the body is read.
enum Form {
    /// By a parser, and each event by what it says.
    Parsed(Box<EventStream>),
    /// Not at all, but for what comes before the first token.
    Counted {
        blocks: Blocks,
        search: Option<Box<Search>>,
    },
}

/// What one connection has brought of a stream.
pub(super) struct Body {
    form: Form,
    stamps: Option<Stamps>,
    bytes: u64,
    tokens: u64,
    heard: u64,
    end: Option<End>,
}

/// What has come with one reading.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Piece {
    pub(super) bytes: u64,
    pub(super) tokens: u64,
    /// Events, tokens too.
    pub(super) events: u64,
}

impl Body {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            form: if plan.checked {
                Form::Parsed(Box::new(EventStream::new(EVENT_BYTES)))
            } else {
                Form::Counted {
                    blocks: Blocks::default(),
                    search: Search::new(plan.api, EVENT_BYTES).map(Box::new),
                }
            },
            stamps: plan.stamped.then(Stamps::default),
            bytes: 0,
            tokens: 0,
            heard: 0,
            end: None,
        }
    }

    /// The next piece of the body.
    pub(super) fn push(&mut self, piece: &[u8], dialect: &mut Dialect, recorder: &mut Recorder) {
        self.bytes += piece.len() as u64;
        if let Some(stamps) = &mut self.stamps {
            stamps.read(piece, stamp::now(), |age| recorder.age(age));
        }
        let Self {
            form,
            tokens,
            heard,
            end,
            ..
        } = self;
        match form {
            Form::Parsed(events) => {
                let read = events.push(piece, |event| {
                    *heard += 1;
                    Self::event(dialect.event(event.data), tokens, end);
                });
                if read.is_err() {
                    *end = Some(End::Wrong(Wrong::Malformed));
                }
            }
            Form::Counted { blocks, search } => {
                let mut rest = piece;
                while let Some(looking) = search.as_mut().filter(|_| !rest.is_empty()) {
                    let (block, after) = rest.split_at(Blocks::first(rest));
                    rest = after;
                    *heard += blocks.push(block);
                    match looking.push(block) {
                        Found::Nothing => continue,
                        Found::Tokens(more) => *tokens += more,
                        Found::Failed(failed) => *end = Some(failed),
                    }
                    *search = None;
                }
                let more = blocks.push(rest);
                *heard += more;
                if end.is_none() {
                    *tokens += more;
                }
            }
        }
    }

    /// The body is over.
    pub(super) fn finish(&mut self, dialect: &mut Dialect) {
        let Self {
            form,
            tokens,
            heard,
            end,
            ..
        } = self;
        if let Form::Parsed(events) = form {
            let _text_or_not = events.finish(|event| {
                *heard += 1;
                Self::event(dialect.event(event.data), tokens, end);
            });
        }
    }

    fn event(heard: Heard, tokens: &mut u64, end: &mut Option<End>) {
        match heard {
            Heard::Token => *tokens += 1,
            Heard::Nothing => {}
            // The first end counts, but what is wrong after it does all the same.
            Heard::End(said) => *end = end.take().or(Some(said)),
            Heard::Wrong(wrong) => *end = Some(End::Wrong(wrong)),
        }
    }

    /// What has come since this was asked last.
    pub(super) fn take(&mut self) -> Piece {
        Piece {
            bytes: std::mem::take(&mut self.bytes),
            tokens: std::mem::take(&mut self.tokens),
            events: std::mem::take(&mut self.heard),
        }
    }

    /// How the stream has ended, if it has said so.
    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

/// How late tokens are against a schedule that has one each period. It begins so early that no token was
/// before its time; while earlier ones are still found, it moves.
#[derive(Debug)]
pub(super) struct Pace {
    /// In microseconds.
    period: f64,
    began: Instant,
    tokens: u64,
    earliest: f64,
}

impl Pace {
    pub(super) fn new(tokens_per_second: f64, began: Instant) -> Self {
        Self {
            period: 1e6 / tokens_per_second,
            began,
            tokens: 0,
            earliest: f64::INFINITY,
        }
    }

    /// So many tokens are here now. Tells how late each is, in microseconds.
    pub(super) fn tokens(&mut self, more: u64, now: Instant, mut late: impl FnMut(f64)) {
        let at = (now - self.began).as_secs_f64() * 1e6;
        for number in self.tokens..self.tokens + more {
            let offset = at - number as f64 * self.period;
            self.earliest = self.earliest.min(offset);
            late(offset - self.earliest);
        }
        self.tokens += more;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lateness_counts_from_the_most_punctual_token() {
        let began = Instant::now();
        let mut pace = Pace::new(100.0, began);
        let mut found = Vec::new();
        // The first is 5 ms late, as the second shows; then three come together 20 ms after the first of them.
        for (at, more) in [(15_000, 1), (20_000, 1), (50_000, 3)] {
            pace.tokens(more, began + Duration::from_micros(at), |late| {
                found.push(late.round());
            });
        }
        assert_eq!(found, [0.0, 0.0, 20_000.0, 10_000.0, 0.0]);
    }
}
