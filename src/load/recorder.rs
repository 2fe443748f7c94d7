//! What has happened so far.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quantiles::Quantiles;
use super::reader::Piece;
use super::refusal::{CODE, TEXT, tame};
use super::timeline::Second;

/// How many codes of failures are told apart.
const CODES: usize = 50;

/// How a stream has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    Finished,
    /// By us, as we wanted it.
    Cancelled,
    /// Its connection was cut by us, and this API has no way back.
    Lost,
    /// The load was over before it.
    Unfinished,
    /// With this code.
    Failed(String),
}

/// Counts of a whole run, and times of what is measured of it.
pub(super) struct Recorder {
    /// Whether what happens now is measured.
    pub(super) measuring: bool,
    pub(super) open: u64,
    pub(super) started: u64,
    pub(super) finished: u64,
    pub(super) cancelled: u64,
    pub(super) lost: u64,
    pub(super) unfinished: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) failure_texts: BTreeMap<String, String>,
    pub(super) bad_requests: u64,
    pub(super) events_lost: u64,
    pub(super) events_doubled: u64,
    pub(super) cuts: u64,
    pub(super) broken: u64,
    pub(super) resumed: u64,
    pub(super) events: u64,
    pub(super) tokens: u64,
    pub(super) bytes: u64,
    pub(super) measured_streams: u64,
    pub(super) measured_tokens: u64,
    pub(super) measured_bytes: u64,
    pub(super) first_token: Quantiles,
    pub(super) gap: Quantiles,
    pub(super) stream: Quantiles,
    pub(super) lateness: Quantiles,
    pub(super) age: Quantiles,
    pub(super) resume: Quantiles,
    pub(super) second: Second,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            measuring: false,
            open: 0,
            started: 0,
            finished: 0,
            cancelled: 0,
            lost: 0,
            unfinished: 0,
            failures: BTreeMap::new(),
            failure_texts: BTreeMap::new(),
            bad_requests: 0,
            events_lost: 0,
            events_doubled: 0,
            cuts: 0,
            broken: 0,
            resumed: 0,
            events: 0,
            tokens: 0,
            bytes: 0,
            measured_streams: 0,
            measured_tokens: 0,
            measured_bytes: 0,
            first_token: Quantiles::fine(),
            gap: Quantiles::fine(),
            stream: Quantiles::fine(),
            lateness: Quantiles::fine(),
            age: Quantiles::fine(),
            resume: Quantiles::fine(),
            second: Second::new(),
        }
    }

    /// A stream was asked for. Answers whether it is measured.
    pub(super) fn started(&mut self) -> bool {
        self.open += 1;
        self.started += 1;
        self.second.started += 1;
        self.measuring
    }

    /// A stream is over; it took so long if it is measured.
    pub(super) fn ended(&mut self, ending: Ending, measured: Option<Duration>) {
        self.open -= 1;
        match ending {
            Ending::Finished => {
                self.finished += 1;
                self.second.finished += 1;
                if let Some(took) = measured {
                    self.stream.add(took);
                }
                self.measured_streams += u64::from(self.measuring);
            }
            Ending::Cancelled => {
                self.cancelled += 1;
                self.second.finished += 1;
            }
            Ending::Lost => self.lost += 1,
            Ending::Unfinished => self.unfinished += 1,
            Ending::Failed(code) => self.failed(&code),
        }
    }

    /// One more failure.
    pub(super) fn failed(&mut self, code: &str) {
        self.second.failed += 1;
        let code = self.known(code);
        *self.failures.entry(code).or_default() += 1;
    }

    /// What is said of a failure that is counted by this code. The first of each is kept.
    pub(super) fn explain(&mut self, code: &str, text: &str) {
        let code = self.known(code);
        self.failure_texts
            .entry(code)
            .or_insert_with(|| tame(text, TEXT));
    }

    /// Codes are the server's words: it may have any, and as many as it likes.
    fn known(&self, code: &str) -> String {
        let code = tame(code, CODE);
        if self.failures.contains_key(&code) || self.failures.len() < CODES {
            code
        } else {
            "other".to_owned()
        }
    }

    /// How many streams and requests have failed.
    pub(super) fn all_failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// So much has arrived.
    pub(super) fn arrived(&mut self, piece: Piece) {
        self.bytes += piece.bytes;
        self.tokens += piece.tokens;
        self.events += piece.events;
        self.second.tokens += piece.tokens;
        self.second.bytes += piece.bytes;
        if self.measuring {
            self.measured_tokens += piece.tokens;
            self.measured_bytes += piece.bytes;
        }
    }

    /// The first token of a stream has arrived, or was waited for so long in vain.
    pub(super) fn first_token(&mut self, wait: Duration, measured: bool) {
        self.second.first_token.add(wait);
        if measured {
            self.first_token.add(wait);
        }
    }

    /// So many tokens have come together, the first of them so long after the one before it.
    pub(super) fn gap(&mut self, gap: Option<Duration>, tokens: u64) {
        let add = |quantiles: &mut Quantiles| {
            if let Some(gap) = gap {
                quantiles.add(gap);
            }
            if tokens > 1 {
                quantiles.add_microseconds(0, tokens - 1);
            }
        };
        add(&mut self.second.gap);
        if self.measuring {
            add(&mut self.gap);
        }
    }

    /// A token came so many microseconds after its time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds of a run, none of them negative"
    )]
    pub(super) fn late(&mut self, microseconds: f64) {
        if self.measuring {
            self.lateness.add_microseconds(microseconds as u64, 1);
        }
    }

    /// A token was so many microseconds old.
    pub(super) fn age(&mut self, microseconds: u64) {
        if self.measuring {
            self.age.add_microseconds(microseconds, 1);
        }
    }

    /// A connection was cut by us.
    pub(super) fn cut(&mut self) {
        self.cuts += 1;
        self.second.cut += 1;
    }

    /// A connection has broken.
    pub(super) fn broken(&mut self) {
        self.broken += 1;
        self.second.broken += 1;
    }

    /// A stream goes on: the first event that was missing has come so long after it was asked for.
    pub(super) fn resumed(&mut self, took: Duration) {
        self.resumed += 1;
        if self.measuring {
            self.resume.add(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_tamed_and_bounded() {
        let mut recorder = Recorder::new();
        recorder.failed("\u{1b}[31mred\n\u{202e}");
        recorder.explain("\u{1b}[31mred\n\u{202e}", &"\u{7}x".repeat(1000));
        let code = "\u{fffd}[31mred\u{fffd}\u{fffd}";
        assert_eq!(recorder.failures[code], 1);
        assert_eq!(recorder.failure_texts[code].chars().count(), TEXT);
        assert!(!recorder.failure_texts[code].contains('\u{7}'));
        for number in 0..1000 {
            recorder.failed(&format!("{number}{}", "a".repeat(1000)));
            recorder.failed(code);
        }
        assert_eq!(recorder.failures.len(), CODES + 1);
        assert_eq!(recorder.failures["other"], 1000 - (CODES as u64 - 1));
        assert_eq!(recorder.failures[code], 1001);
        assert_eq!(recorder.all_failed(), 2001);
        let longest = recorder.failures.keys().map(|code| code.chars().count());
        assert_eq!(longest.max(), Some(CODE));
    }
}
