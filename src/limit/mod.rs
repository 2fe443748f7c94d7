//! Who may generate how much: the [`RateLimiter`] trait, the [`Permit`] it gives and the plans.
//!
//! Reading and resuming are never limited here: whoever was admitted once may read to the end.

pub mod bucket;
pub mod failures;
pub mod local;

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::auth::Principal;

/// Decides whether a principal may start another generation.
pub trait RateLimiter: Send + Sync {
    /// Admits a generation of at most `tokens` tokens (or a default), and holds a place for it
    /// until the permit is dropped.
    ///
    /// # Errors
    /// Says which limit was met and when to come back.
    fn admit<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>>;
}

/// What one plan allows each of its principals.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Generations started in a minute, on average.
    pub requests_per_minute: u32,
    /// Generations that may start at once after a pause.
    pub burst: u32,
    /// Generations that may run at once.
    pub streams: u32,
    /// Tokens generated in a minute, on average; a minute's worth may be saved up.
    pub tokens_per_minute: u32,
}

/// How much of a limit is left, for the `x-ratelimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The limit in a minute.
    pub limit: u32,
    /// How much may be used at once, now.
    pub remaining: u32,
    /// How long until all of it is there again.
    pub reset: Duration,
}

/// What is left after an admission, or at a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Generations to start.
    pub requests: Allowance,
    /// Tokens to generate.
    pub tokens: Allowance,
}

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Too many generations started in the last minute.
    #[error("too many requests")]
    Requests,
    /// Too many tokens generated or reserved in the last minute.
    #[error("too many tokens")]
    Tokens,
    /// More tokens asked for than the plan ever allows at once; waiting does not help.
    #[error("more tokens than the plan allows")]
    TokensEver,
    /// Too many generations of this principal run at once.
    #[error("too many streams at once")]
    Streams,
    /// The whole server runs as many generations as it may, or knows as many principals.
    #[error("the server is full")]
    Server,
}

/// A generation that may not start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit}")]
pub struct Rejection {
    /// Which limit was met.
    pub limit: Limit,
    /// When it is worth trying again.
    pub retry_after: Duration,
    /// What is left of the principal's limits, where they were looked at.
    pub quota: Option<Quota>,
}

/// The right to run one generation. Whatever drops it gives back the place it held, and settles
/// the tokens that were reserved against those that were used.
pub struct Permit {
    grant: Box<dyn Grant>,
    reserved: u64,
    used: u64,
    quota: Box<Quota>,
}

/// A backend's side of a [`Permit`].
pub trait Grant: Send {
    /// Reserves more tokens in the middle of a generation; answers how many, 0 when the quota is
    /// spent.
    fn poll_extend(&mut self, context: &mut Context<'_>) -> Poll<u64>;

    /// Gives back the place, and settles `reserved` tokens against `used` ones. Called once.
    fn settle(&mut self, reserved: u64, used: u64);
}

impl Permit {
    /// A permit for `reserved` tokens.
    #[must_use]
    pub fn new(grant: Box<dyn Grant>, reserved: u64, quota: Quota) -> Self {
        Self {
            grant,
            reserved,
            used: 0,
            quota: Box::new(quota),
        }
    }

    /// What was left when the permit was given.
    #[must_use]
    pub fn quota(&self) -> Quota {
        *self.quota
    }

    /// Counts tokens that were generated.
    pub const fn spend(&mut self, tokens: u64) {
        self.used = self.used.saturating_add(tokens);
    }

    /// Replaces the count by what the generator itself has counted.
    pub const fn settle_at(&mut self, tokens: u64) {
        self.used = tokens;
    }

    /// Waits until another token may be generated; `false` when the quota is spent.
    pub fn poll_spendable(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if self.used < self.reserved {
            return Poll::Ready(true);
        }
        self.grant.poll_extend(context).map(|more| {
            self.reserved = self.reserved.saturating_add(more);
            more > 0
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.grant.settle(self.reserved, self.used);
    }
}
