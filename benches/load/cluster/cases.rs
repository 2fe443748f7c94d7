//! What is measured: who keeps the streams, how many there are, and where how many read them.

use std::fmt;

/// Who keeps the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tailrace with the log of one process.
    Embedded,
    /// Tailrace with the log in Redis.
    Redis,
    /// The peer's program without the peer: nothing is kept.
    PlainNode,
    /// The npm package `resumable-stream`.
    ResumableStream,
}

impl Kind {
    /// Its name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "tailrace, embedded",
            Self::Redis => "tailrace, Redis",
            Self::PlainNode => "Node, nothing kept",
            Self::ResumableStream => "resumable-stream",
        }
    }

    /// What its ages are compared with: the same program without Redis.
    pub(super) const fn floor(self) -> Self {
        match self {
            Self::Embedded | Self::Redis => Self::Embedded,
            Self::PlainNode | Self::ResumableStream => Self::PlainNode,
        }
    }
}

/// Who reads the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whoever has asked for a stream reads it.
    Asker,
    /// The asker has left, and so many others read each stream on the node that writes it.
    Here(usize),
    /// The asker has left, and so many others read each stream on another node.
    Elsewhere(usize),
}

impl Readers {
    /// How many there are for each stream.
    pub(super) const fn count(self) -> usize {
        match self {
            Self::Asker => 1,
            Self::Here(count) | Self::Elsewhere(count) => count,
        }
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asker => formatter.write_str("the asker"),
            Self::Here(count) => write!(formatter, "{count}, same node"),
            Self::Elsewhere(count) => write!(formatter, "{count}, another node"),
        }
    }
}

/// One thing to measure, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) streams: usize,
    pub(super) readers: Readers,
}

impl Case {
    /// All of them, in the order of the table.
    pub(super) fn all(with_peer: bool) -> impl Iterator<Item = Self> {
        const FAN_OUT: usize = 1_000;
        let each = [100, 1_000].into_iter().flat_map(|streams| {
            [
                (Kind::Embedded, Readers::Asker),
                (Kind::Redis, Readers::Asker),
                (Kind::Redis, Readers::Elsewhere(1)),
                (Kind::PlainNode, Readers::Asker),
                (Kind::ResumableStream, Readers::Asker),
                (Kind::ResumableStream, Readers::Elsewhere(1)),
            ]
            .map(|(kind, readers)| Self {
                kind,
                streams,
                readers,
            })
        });
        let one = [
            (Kind::Redis, Readers::Elsewhere(1)),
            (Kind::Embedded, Readers::Here(FAN_OUT)),
            (Kind::Redis, Readers::Here(FAN_OUT)),
            (Kind::Redis, Readers::Elsewhere(FAN_OUT)),
            (Kind::ResumableStream, Readers::Here(FAN_OUT)),
            (Kind::ResumableStream, Readers::Elsewhere(FAN_OUT)),
        ]
        .map(|(kind, readers)| Self {
            kind,
            streams: 1,
            readers,
        });
        each.chain(one)
            .filter(move |case| with_peer || case.kind.floor() == Kind::Embedded)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.name();
        write!(
            formatter,
            "{name}: {} streams, readers: {}",
            self.streams, self.readers
        )
    }
}
