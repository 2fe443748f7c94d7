//! Stream ids and cursors, and their strict text forms.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one stream. A UUID of version 7 (RFC 9562), so ids of one node sort by creation.
///
/// Its text form is 32 lower-case hexadecimal digits and nothing else, so that a cursor holds no
/// character that would need escaping in a header, a URL or an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Uuid);

impl StreamId {
    /// A new id, greater than every id this process made before.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Whether it says of itself that it was made so short a time ago; whoever made it up may say so too.
    #[must_use]
    pub fn is_younger_than(self, age: Duration) -> bool {
        let made = self.0.get_timestamp().map_or((0, 0), |made| made.to_unix());
        let made = UNIX_EPOCH + Duration::new(made.0, made.1);
        SystemTime::now() < made + age
    }

    /// Writes its text form.
    pub fn encode(self, into: &mut [u8; 32]) -> &str {
        self.0.as_simple().encode_lower(into)
    }
}

/// A text that is not an id or a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not 32 lower-case hexadecimal digits.
    #[error("a stream id is 32 lower-case hexadecimal digits")]
    StreamId,
    /// Not `<stream id>.<seq>`.
    #[error("an event id is `<stream id>.<seq>`, where seq is a decimal number")]
    Cursor,
}

impl FromStr for StreamId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let canonical = text.len() == 32
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(ParseIdError::StreamId);
        }
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| ParseIdError::StreamId)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_simple(), formatter)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for StreamId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A position in a stream: everything up to and including `seq` has been seen.
///
/// Its text form `<stream id>.<seq>` is the SSE event id, so `Last-Event-ID` is a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The stream.
    pub stream: StreamId,
    /// The sequence number of the last entry seen; sequences start at 0.
    pub seq: u64,
}

impl FromStr for Cursor {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (stream, seq) = text.split_once('.').ok_or(ParseIdError::Cursor)?;
        let stream = stream.parse().map_err(|_| ParseIdError::Cursor)?;
        let canonical = !seq.is_empty()
            && seq.bytes().all(|byte| byte.is_ascii_digit())
            && (seq == "0" || !seq.starts_with('0'));
        if !canonical {
            return Err(ParseIdError::Cursor);
        }
        let seq = seq.parse().map_err(|_| ParseIdError::Cursor)?;
        Ok(Self { stream, seq })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.stream, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_sort_by_creation() {
        let ids: Vec<StreamId> = (0..1000).map(|_| StreamId::generate()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let id = StreamId::generate().to_string();
        assert_eq!(
            id.parse::<StreamId>().map(|id| id.to_string()),
            Ok(id.clone())
        );
        for wrong in [
            String::new(),
            id.to_uppercase() + "",
            id[..31].to_owned(),
            format!("{id}0"),
            format!("{}-{}", &id[..8], &id[8..]),
            format!("{{{}}}", &id[..30]),
        ] {
            if wrong != id {
                assert_eq!(
                    wrong.parse::<StreamId>(),
                    Err(ParseIdError::StreamId),
                    "{wrong}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn cursors_round_trip(seq: u64) {
            let cursor = Cursor { stream: StreamId::generate(), seq };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn parsing_never_panics_and_accepts_only_what_it_prints(text in "\\PC{0,60}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn near_misses_are_refused(seq in "(0[0-9]+|\\+1|-1| 1|1 |1\\.|99999999999999999999|0x1|)") {
            let text = format!("{}.{seq}", StreamId::generate());
            prop_assert_eq!(text.parse::<Cursor>(), Err(ParseIdError::Cursor));
        }
    }
}
