//! Checks one stream of our own API: every event once and in order, one end, and the text it says it has.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::dialect::{End, Failed, Heard, Wrong};

/// An event, as far as we look at it.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text_sha256: Option<Cow<'a, str>>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
    message: Option<String>,
}

/// What has been seen of a stream, over all its connections.
#[derive(Default)]
pub(super) struct Native {
    next: u64,
    text: Sha256,
    lost: u64,
    doubled: u64,
    ended: bool,
}

impl Native {
    /// The number of the last event that has come.
    pub(super) fn cursor(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) const fn doubled(&self) -> u64 {
        self.doubled
    }

    pub(super) fn event(&mut self, data: &str) -> Heard {
        let Ok(event) = serde_json::from_str::<Event<'_>>(data) else {
            return Heard::Wrong(Wrong::Malformed);
        };
        if self.ended {
            return Heard::Wrong(Wrong::AfterTheEnd);
        }
        if event.seq < self.next {
            self.doubled += 1;
            return Heard::Nothing;
        }
        self.lost += event.seq - self.next;
        self.next = event.seq + 1;
        match &*event.kind {
            "token" => {
                self.text.update(event.text.unwrap_or_default().as_bytes());
                Heard::Token
            }
            "reasoning" | "tool_call" | "refusal" => Heard::Token,
            "done" => {
                self.ended = true;
                Heard::End(self.done(&event))
            }
            "error" => {
                self.ended = true;
                let failed = event.error.map_or_else(
                    || "error".into(),
                    |Failure { code, message }| Failed {
                        code,
                        text: message,
                    },
                );
                Heard::End(End::Failed(failed))
            }
            _ => Heard::Nothing,
        }
    }

    fn done(&mut self, event: &Event<'_>) -> End {
        let is_other = event.text_sha256.as_ref().is_some_and(|said| {
            let found = std::mem::take(&mut self.text).finalize();
            let hex = found.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            !hex.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
                .eq(said.chars())
        });
        // What was lost makes another text too; then that is told.
        if is_other && self.lost == 0 {
            return End::Wrong(Wrong::Digest);
        }
        match event.finish_reason.as_deref() {
            Some("cancelled") => End::Cancelled,
            _ => End::Finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969";

    fn token(seq: u64, text: &str) -> String {
        format!(r#"{{"type":"token","seq":{seq},"text":"{text}"}}"#)
    }

    fn done(seq: u64, digest: &str) -> String {
        format!(
            r#"{{"type":"done","seq":{seq},"finish_reason":"stop","usage":{{"a":1}},"text_sha256":"{digest}"}}"#
        )
    }

    fn read(events: &[String]) -> (Vec<Heard>, u64, u64) {
        let mut native = Native::default();
        let heard = events.iter().map(|event| native.event(event)).collect();
        (heard, native.lost(), native.doubled())
    }

    #[test]
    fn a_stream_as_it_should_be() {
        let start = r#"{"type":"start","seq":0,"stream":"1","model":"demo"}"#.to_owned();
        let events = [start, token(1, "He"), token(2, "l\\u006co"), done(3, HELLO)];
        let (heard, lost, doubled) = read(&events);
        let expected = [
            Heard::Nothing,
            Heard::Token,
            Heard::Token,
            Heard::End(End::Finished),
        ];
        assert_eq!((heard.as_slice(), lost, doubled), (&expected[..], 0, 0));
    }

    #[test]
    fn what_is_lost_and_doubled_is_told() {
        let (heard, lost, doubled) = read(&[
            token(0, "He"),
            token(3, "l"),
            token(3, "l"),
            token(2, "x"),
            done(4, HELLO),
        ]);
        assert_eq!((lost, doubled), (2, 2));
        assert_eq!(heard.last(), Some(&Heard::End(End::Finished)));
    }

    #[test]
    fn other_ends() {
        let (heard, ..) = read(&[token(0, "Hallo"), done(1, HELLO)]);
        assert_eq!(heard[1], Heard::End(End::Wrong(Wrong::Digest)));
        let (heard, ..) = read(&[done(0, ""), token(1, "x")]);
        assert_eq!(heard[1], Heard::Wrong(Wrong::AfterTheEnd));
        let (heard, ..) = read(&["{".to_owned()]);
        assert_eq!(heard[0], Heard::Wrong(Wrong::Malformed));
        let failed = r#"{"type":"error","seq":0,"error":{"code":"upstream_error","message":"x"}}"#;
        let (heard, ..) = read(&[failed.to_owned()]);
        let failed = Failed {
            code: "upstream_error".to_owned(),
            text: Some("x".to_owned()),
        };
        assert_eq!(heard[0], Heard::End(End::Failed(failed)));
        let cancelled = r#"{"type":"done","seq":0,"finish_reason":"cancelled"}"#;
        let (heard, ..) = read(&[cancelled.to_owned()]);
        assert_eq!(heard[0], Heard::End(End::Cancelled));
    }
}
