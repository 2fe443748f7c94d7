//! Why a server does not stream to us, in its own words.

use std::fmt;
use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::http_client::{Answer, HttpError};

/// How much is read of an answer that is an error, and for how long.
const ERROR_BYTES: usize = 16 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// Why there is no answer that streams.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStream {
    #[error(transparent)]
    Http(HttpError),
    #[error("this machine cannot open more files (`ulimit -n`)")]
    TooManyFiles,
    #[error("there was no answer in time")]
    Silent,
    #[error("what answers there does not stream events")]
    NotEvents,
    #[error("{0}")]
    Refused(Refused),
}

/// What a server says that refuses.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// Its status.
    pub status: u16,
    /// Its word for it, if it has one.
    pub code: Option<String>,
    /// What it says to people.
    pub message: String,
    /// The limit of requests that it names: `RateLimit-Policy`.
    pub limit: Option<String>,
    /// When it wants to be asked again.
    #[serde(skip)]
    pub(super) again: Option<Duration>,
}

/// What is counted as that.
pub(super) const TOO_MANY_FILES: &str = "too_many_files";

/// How many characters a code has at most, and what else a server says.
pub(super) const CODE: usize = 64;
pub(super) const TEXT: usize = 200;

/// What others say, so that it can be shown: of one line, without what moves or colours a terminal.
pub(super) fn tame(text: &str, most: usize) -> String {
    let characters = text.chars().map(|character| match character {
        // What turns the direction of writing hides what it says, as those that move the cursor do.
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    });
    characters.take(most).collect()
}

impl Refused {
    /// What it is counted as.
    pub(super) fn code(&self) -> String {
        let code = self.code.clone();
        code.unwrap_or_else(|| format!("status_{}", self.status))
    }

    /// Whether the server may not know the path: of a model that it does not know it would say more.
    #[must_use]
    pub fn is_of_path(&self) -> bool {
        let code = self.code.as_deref();
        matches!(self.status, 404 | 405) && code.is_none_or(|code| code == "route_not_found")
    }
}

impl From<HttpError> for NoStream {
    fn from(error: HttpError) -> Self {
        match &error {
            HttpError::Connect(io)
                if matches!(
                    io.raw_os_error().map(Errno::from_raw_os_error),
                    Some(Errno::MFILE | Errno::NFILE)
                ) =>
            {
                Self::TooManyFiles
            }
            _ => Self::Http(error),
        }
    }
}

impl NoStream {
    /// Whether there was a wait for the server, to the end of our patience.
    pub(super) const fn is_wait(&self) -> bool {
        matches!(
            self,
            Self::Silent | Self::Http(HttpError::ConnectTimeout(_))
        )
    }

    /// Whether there is nobody to talk to.
    pub(super) const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Http(HttpError::Connect(_) | HttpError::ConnectTimeout(_))
        )
    }

    /// What it is counted as.
    pub(super) fn code(&self) -> String {
        match self {
            Self::Http(HttpError::Connect(_) | HttpError::ConnectTimeout(_)) => "connect".into(),
            Self::Http(HttpError::Malformed(_)) => "not_http".into(),
            Self::Http(HttpError::Broken(_) | HttpError::Closed) => "connection_broken".into(),
            Self::TooManyFiles => TOO_MANY_FILES.into(),
            Self::Silent => "timeout".into(),
            Self::NotEvents => "not_events".into(),
            Self::Refused(refused) => refused.code(),
        }
    }

    /// Whether asking again the same would come to the same, now and later.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Http(HttpError::Connect(_) | HttpError::Malformed(_)) | Self::NotEvents => true,
            Self::Http(_) | Self::TooManyFiles | Self::Silent => false,
            Self::Refused(refused) => {
                matches!(refused.status, 300..=499) && !matches!(refused.status, 408 | 425 | 429)
            }
        }
    }

    /// How long to wait before the next request, lest a server that refuses is asked without end.
    pub(super) fn pause(&self) -> Duration {
        const USUAL: Duration = Duration::from_millis(100);
        match self {
            Self::Refused(refused) => refused.again.unwrap_or(USUAL),
            _ => USUAL,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (", self.message.trim_end_matches('.'))?;
        if let Some(code) = &self.code {
            write!(formatter, "{code}, ")?;
        }
        write!(formatter, "status {})", self.status)
    }
}

/// Reads what a server says that refuses.
pub(super) async fn refused(answer: &mut Answer) -> Refused {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        message: Option<String>,
        detail: Option<String>,
        error: Said,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        // Some servers say a number.
        code: serde_json::Value,
        message: Option<String>,
    }
    let text = answer.text(ERROR_BYTES, ERROR_TIME).await;
    let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
    let said = problem.message.or(problem.detail).or(problem.error.message);
    let header = |name: &str| Some(tame(answer.headers.get(name)?.to_str().ok()?, TEXT));
    Refused {
        status: answer.status.as_u16(),
        code: problem.error.code.as_str().map(|code| tame(code, CODE)),
        message: if let Some(said) = said {
            tame(&said, TEXT)
        } else {
            let reason = answer.status.canonical_reason();
            format!("The server answers: {}", reason.unwrap_or("unknown status"))
        },
        limit: header("ratelimit-policy"),
        again: retry_after(&answer.headers),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let milliseconds = number("retry-after-ms").map(Duration::from_millis);
    milliseconds.or_else(|| number(RETRY_AFTER.as_str()).map(Duration::from_secs))
}
