//! What some labels can say.

/// In which form a reader follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Server-Sent Events.
    Sse,
    /// A JSON object a line.
    Ndjson,
    /// Page by page.
    Poll,
    /// Chunks of a chat completion, or the whole of one.
    OpenAi,
}

impl Reader {
    pub(super) const ALL: [Self; 4] = [Self::Sse, Self::Ndjson, Self::Poll, Self::OpenAi];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Ndjson => "ndjson",
            Self::Poll => "poll",
            Self::OpenAi => "openai",
        }
    }
}

/// Why a reader's answer was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its connection has taken nothing for too long.
    Stalled,
    /// What it read was forgotten for want of memory.
    Evicted,
    /// What it read cannot be reached any more.
    Unavailable,
}

impl Cut {
    pub(super) const ALL: [Self; 3] = [Self::Stalled, Self::Evicted, Self::Unavailable];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Evicted => "evicted",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// What became of a generation that moves between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// This node goes on with it.
    Taken,
    /// This node has found it and cannot go on with it.
    Failed,
    /// This node has left it to others.
    Left,
}

impl Takeover {
    pub(super) const ALL: [Self; 3] = [Self::Taken, Self::Failed, Self::Left];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}
