//! What is asked of the service, within which times it is done, and why it is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::UnknownModel;
use crate::generator::{InvalidPrompt, Prompt};
use crate::stream_log::{IdempotencyKey, LogError};

/// The times within which a generation gets its terminal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationConfig {
    /// Until the first delta.
    pub first_token_timeout: Duration,
    /// Between two deltas.
    pub idle_timeout: Duration,
    /// From the start to the end.
    pub total_timeout: Duration,
    /// How long a stream that its last reader has left goes on.
    pub abandon_after: Duration,
    /// Whether another node goes on when this one is gone. Prompts are then kept with their streams.
    pub takes_over: bool,
}

/// What happens to a generation when its last reader leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDisconnect {
    /// It is cancelled unless a reader comes back within `abandon_after`.
    Default,
    /// It goes on to its end.
    Continue,
    /// It is cancelled at once.
    Cancel,
}

/// A request that has been checked, for [`super::GenerationService::start`].
#[derive(Debug, Clone)]
pub struct Generation {
    /// What to generate; its model is one of ours.
    pub prompt: Prompt,
    /// What happens when nobody reads.
    pub on_disconnect: OnDisconnect,
    /// With which key a repetition finds this stream.
    pub idempotency: Option<IdempotencyKey>,
    /// Names the request in the log.
    pub request_id: String,
}

/// A prompt that no generator will be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such model.
    #[error(transparent)]
    Model(#[from] UnknownModel),
    /// The model's generator cannot serve it.
    #[error(transparent)]
    Prompt(#[from] InvalidPrompt),
}

/// Why a generation did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No such model.
    #[error(transparent)]
    Model(#[from] UnknownModel),
    /// The log did not take the stream.
    #[error(transparent)]
    Log(#[from] LogError),
}
