//! Looks for the first token of a stream whose events are else only counted: until then each event is read, so
//! that what begins a stream is not taken for what was waited for.

use super::dialect::{Dialect, End, Heard};
use super::target::Api;
use crate::event_stream::EventStream;

/// What is read of a stream up to its first token.
pub(super) struct Search {
    events: EventStream,
    dialect: Dialect,
}

/// What a piece has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No token yet.
    Nothing,
    /// The first one, with this many events from it on.
    Tokens(u64),
    /// The stream has failed before its first token.
    Failed(End),
}

impl Search {
    /// Nothing if every event of this API is one.
    pub(super) fn new(api: Api, max_bytes: usize) -> Option<Self> {
        (api != Api::Sse).then(|| Self {
            events: EventStream::new(max_bytes),
            dialect: Dialect::new(api),
        })
    }

    /// The next piece. What cannot be understood counts as a token: nobody checks it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Found {
        let mut found = Found::Nothing;
        let Self { events, dialect } = self;
        let read = events.push(piece, |event| {
            found = match (&found, dialect.event(event.data)) {
                (Found::Tokens(tokens), _) => Found::Tokens(tokens + 1),
                (Found::Failed(end), _) => Found::Failed(end.clone()),
                (Found::Nothing, Heard::Token | Heard::Wrong(_)) => Found::Tokens(1),
                (Found::Nothing, Heard::End(end @ End::Failed(_))) => Found::Failed(end),
                (Found::Nothing, Heard::Nothing | Heard::End(_)) => Found::Nothing,
            };
        });
        match (read, found) {
            (Err(_unreadable), Found::Nothing) => Found::Tokens(1),
            (_, found) => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_stream_is_no_token() {
        let mut search = Search::new(Api::Native, 1000).unwrap();
        let start = b"id: 1.0\nevent: start\ndata: {\"type\":\"start\",\"seq\":0}\n\n";
        let token = b"data: {\"type\":\"reasoning\",\"seq\":1,\"text\":\"a\"}\n\n";
        assert_eq!(search.push(start), Found::Nothing);
        assert_eq!(search.push(&token[..20]), Found::Nothing);
        assert_eq!(search.push(&token[20..]), Found::Tokens(1));
        let mut search = Search::new(Api::OpenAi, 1000).unwrap();
        let role = b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n";
        let chunk = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n";
        let all = [&role[..], chunk, chunk].concat();
        assert_eq!(search.push(&all), Found::Tokens(2));
        assert!(Search::new(Api::Sse, 1000).is_none());
    }

    #[test]
    fn what_fails_before_it_and_what_nobody_understands() {
        let of = |data: &[u8]| Search::new(Api::Native, 1000).unwrap().push(data);
        let error = b"data: {\"type\":\"error\",\"seq\":0,\"error\":{\"code\":\"x\"}}\n\n";
        let failed = Found::Failed(End::Failed("x".into()));
        assert_eq!(of(error), failed);
        assert_eq!(of(b"data: tick\n\n"), Found::Tokens(1));
        assert_eq!(of(b"data: \xff\n\n"), Found::Tokens(1));
        let done = b"data: {\"type\":\"done\",\"seq\":0,\"finish_reason\":\"stop\"}\n\n";
        assert_eq!(of(done), Found::Nothing);
    }
}
