//! How an answer ends, as the person is told and as the shell is.

/// How an answer ended; each has an exit status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is whole.
    Whole,
    /// The generation ended in an error, or what came is wrong.
    Failed,
    /// The server refuses the request.
    Refused,
    /// The server could not be reached, or has lost the generation.
    Lost,
    /// It is all that was generated, but no whole answer.
    Short,
    /// It could not be written where it was to go.
    Unwritten,
    /// The person cancelled it.
    Cancelled,
    /// Nobody reads standard output any more.
    Closed,
}

impl End {
    /// The exit status.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Failed => 1,
            Self::Refused => 3,
            Self::Lost => 4,
            Self::Short => 5,
            Self::Unwritten => 6,
            Self::Cancelled => 130,
            Self::Closed => 141,
        }
    }
}
