//! What load is wanted: how many streams, when they start, and how their readers behave.

use std::time::Duration;

use serde::Serialize;

use super::target::Api;

/// When streams start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// So many are open at any time: the next one starts when one has ended.
    Streams(u32),
    /// So many start each second, however long the others take.
    Rate(f64),
}

/// Which part of the streams has readers of a kind, from 0 to 1 each. The others read to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Readers that take [`Plan::slow_rate`] and no more.
    pub slow: f64,
    /// Readers whose connection is cut each [`Plan::cut_every`], and who come back.
    pub cut: f64,
    /// Readers who cancel the generation within two seconds.
    pub cancel: f64,
    /// Requests that the server must refuse.
    pub bad: f64,
}

/// Several readers for each stream, of whom none has asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fan {
    /// How many.
    pub readers: u32,
}

/// A load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What the server speaks.
    pub api: Api,
    /// When streams start.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// Over how long the first streams start, or the rate grows.
    #[serde(rename = "ramp_seconds", serialize_with = "seconds")]
    pub ramp: Duration,
    /// How long it runs before anything is measured.
    #[serde(rename = "warm_up_seconds", serialize_with = "seconds")]
    pub warm_up: Duration,
    /// How long it measures.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// How long streams that are under way then may take to their ends.
    #[serde(rename = "drain_seconds", serialize_with = "seconds")]
    pub drain: Duration,
    /// How long a stream may be silent.
    #[serde(rename = "timeout_seconds", serialize_with = "seconds")]
    pub timeout: Duration,
    /// How many tokens a second each stream should have, if that is known.
    pub pace: Option<f64>,
    /// How the readers behave.
    pub shares: Shares,
    /// How many bytes a second a slow reader takes.
    pub slow_rate: u64,
    /// How long a connection that is cut holds.
    #[serde(rename = "cut_every_seconds", serialize_with = "seconds")]
    pub cut_every: Duration,
    /// Several readers for each stream.
    pub fan: Option<Fan>,
    /// Whether events are read, and not only counted.
    pub checked: bool,
    /// Whether tokens say when they were made.
    pub stamped: bool,
}

impl Plan {
    /// How what comes is to be understood: events that are only counted are nobody's.
    pub(super) const fn dialect(&self) -> Api {
        if self.checked { self.api } else { Api::Sse }
    }

    /// Whether a stream goes on over another connection.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.checked && self.api == Api::Native
    }

    /// From the first start to the end of the measurement.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.warm_up + self.duration
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// How the reader of one stream behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Steady,
    Slow,
    Cut,
    Cancel,
    Bad,
}

impl Shares {
    /// The behaviour of the stream of this number. The kinds are mixed evenly, and the same each time: of any
    /// streams in a row each kind has its share, to within one or two.
    pub(super) fn behaviour(&self, number: u64) -> Behaviour {
        let mut at = spread(number);
        let kinds = [
            (self.slow, Behaviour::Slow),
            (self.cut, Behaviour::Cut),
            (self.cancel, Behaviour::Cancel),
            (self.bad, Behaviour::Bad),
        ];
        for (share, behaviour) in kinds {
            if at < share {
                return behaviour;
            }
            at -= share;
        }
        Behaviour::Steady
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.slow + self.cut + self.cancel + self.bad
    }
}

/// Spreads numbers over 0 to 1 without gaps: multiples of the golden ratio, as fractions.
pub(super) fn spread(number: u64) -> f64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = number.wrapping_mul(GOLDEN) >> 11;
    fraction as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_streams_in_a_row_have_their_shares() {
        let shares = Shares {
            slow: 0.1,
            cut: 0.25,
            cancel: 0.05,
            bad: 0.0,
        };
        for from in [0, 7, 1_000_003] {
            let of = |wanted| {
                let all = from..from + 200;
                all.filter(|number| shares.behaviour(*number) == wanted)
                    .count()
            };
            for (wanted, expected) in [
                (Behaviour::Slow, 20),
                (Behaviour::Cut, 50),
                (Behaviour::Cancel, 10),
                (Behaviour::Bad, 0),
                (Behaviour::Steady, 120),
            ] {
                let found = of(wanted);
                assert!(found.abs_diff(expected) <= 3, "{wanted:?}: {found}");
            }
        }
    }

    #[test]
    fn all_of_them_may_be_one_kind() {
        let shares = Shares {
            cut: 1.0,
            ..Shares::default()
        };
        assert!((0..10_000).all(|number| shares.behaviour(number) == Behaviour::Cut));
    }
}
