//! Who may generate how much: the [`RateLimiter`] trait, the [`Permit`] it gives and the plans.
//!
//! Reading and resuming are never limited here: whoever was admitted once may read to the end.

pub mod bucket;
pub mod failures;
pub mod local;
pub mod redis;

#[cfg(test)]
mod conformance;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use serde::{Deserialize, Deserializer};

use self::bucket::Rate;
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

    /// Admits a generation that another process has admitted before: holds a place and reserves its
    /// tokens, whether they are there or not, and counts no request. Its principal's limits never
    /// refuse it, but later generations are admitted by what it leaves of them.
    ///
    /// # Errors
    /// Only with [`Limit::Server`], when this process is full.
    fn admit_again<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>>;

    /// Admits by these limits from now on. What was used counts on; what runs goes on. The ceilings
    /// of this process stay as they are.
    fn replace(&self, limits: LimitConfig);

    /// What this node says of itself to the others that share the limits, whenever it says that it is
    /// there. Where there are no others, it is never asked.
    fn introduce(&self, _about: About) {}

    /// The nodes that share the limits, this one among them; none where they are not shared.
    ///
    /// # Errors
    /// They are not known just now.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Node>, Rejection>> {
        future::ready(Ok(Vec::new())).boxed()
    }
}

/// Says what a node wants others to know of it.
pub type About = Box<dyn Fn() -> String + Send + Sync>;

/// One of the nodes that share the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name in this run.
    pub id: String,
    /// Whether it is this one.
    pub is_this: bool,
    /// How long ago it was heard.
    pub heard: Duration,
    /// What it said of itself; empty if it said nothing.
    pub about: String,
}

/// What one plan allows each of its principals.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Generations started in a minute, on average.
    #[serde(deserialize_with = "at_least_one")]
    pub requests_per_minute: u32,
    /// Generations that may start at once after a pause.
    #[serde(deserialize_with = "at_least_one")]
    pub burst: u32,
    /// Generations that may run at once.
    #[serde(deserialize_with = "at_least_one")]
    pub streams: u32,
    /// Tokens generated in a minute, on average; a minute's worth may be saved up.
    #[serde(deserialize_with = "at_least_one")]
    pub tokens_per_minute: u32,
}

/// A number of something that a plan has at all.
fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    NonZeroU32::deserialize(from).map(NonZeroU32::get)
}

impl Plan {
    /// The rate of generations.
    fn requests(&self) -> Rate {
        Rate::with_burst(self.requests_per_minute, self.burst)
    }

    /// The rate of tokens.
    fn tokens(&self) -> Rate {
        Rate::per_minute(self.tokens_per_minute)
    }
}

/// How long to stay away when a place, not a rate, is what lacks. Nobody knows when one is freed.
const PLACE_RETRY: Duration = Duration::from_secs(2);

/// The limits of a [`RateLimiter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// Generations that this process may run at once.
    pub max_streams: u32,
    /// Principals that this process tells apart; more are turned away until others have been quiet.
    pub max_principals: usize,
    /// Tokens reserved for a request that names no `max_tokens`.
    pub default_reservation: u32,
    /// The plan of a token that names none, or one that does not exist.
    pub default_plan: String,
    /// The plans by name; `default_plan` is among them.
    pub plans: BTreeMap<String, Plan>,
}

impl LimitConfig {
    /// The name of a principal's plan.
    fn plan_of<'a>(&'a self, principal: &'a Principal) -> &'a str {
        let named = principal.plan.as_deref();
        let known = named.filter(|name| self.plans.contains_key(*name));
        known.unwrap_or(&self.default_plan)
    }

    /// How many tokens are reserved for a request that names so many, or none.
    fn reservation(&self, plan: &Plan, tokens: Option<u32>) -> u64 {
        let default = plan.tokens_per_minute.min(self.default_reservation);
        tokens.unwrap_or(default).into()
    }

    /// The part of one of so many nodes: a whole division, at least 1 of everything.
    fn part_of(&self, nodes: u32) -> Self {
        let part = |whole: u32| (whole / nodes.max(1)).max(1);
        let plans = self.plans.iter().map(|(name, plan)| {
            let plan = Plan {
                requests_per_minute: part(plan.requests_per_minute),
                burst: part(plan.burst),
                streams: part(plan.streams),
                tokens_per_minute: part(plan.tokens_per_minute),
            };
            (name.clone(), plan)
        });
        Self {
            plans: plans.collect(),
            ..self.clone()
        }
    }

    /// These limits, with the ceilings of the process that had those.
    fn with_ceilings_of(self, before: &Self) -> Self {
        Self {
            max_streams: before.max_streams,
            max_principals: before.max_principals,
            ..self
        }
    }

    /// How many tokens are reserved at a time when the first reservation is used up.
    fn step(&self) -> u64 {
        u64::from(self.default_reservation / 4).max(1)
    }
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

impl Limit {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::TokensEver,
        Self::Streams,
        Self::Server,
    ];

    /// As metrics call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::TokensEver => "tokens_ever",
            Self::Streams => "streams",
            Self::Server => "server",
        }
    }
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

impl Rejection {
    /// What is turned away whoever asks.
    const fn server() -> Self {
        Self {
            limit: Limit::Server,
            retry_after: PLACE_RETRY,
            quota: None,
        }
    }
}

/// The right to run one generation. Whatever drops it gives back the place it held, and settles
/// the tokens that were reserved against those that were used.
pub struct Permit {
    grant: Box<dyn Grant>,
    reserved: u64,
    used: u64,
    /// How many tokens may be used before more are asked for.
    enough: u64,
    quota: Option<Box<Quota>>,
}

/// A backend's side of a [`Permit`].
pub trait Grant: Send {
    /// Reserves more tokens in the middle of a generation; answers how many, 0 when the quota is
    /// spent.
    fn poll_extend(&mut self, context: &mut Context<'_>) -> Poll<u64>;

    /// How many tokens before the end of what is reserved more are asked for, so that no token waits.
    fn ahead(&self) -> u64 {
        0
    }

    /// Gives back the place, and settles `reserved` tokens against `used` ones. Called once.
    fn settle(&mut self, reserved: u64, used: u64);
}

impl Permit {
    /// A permit for `reserved` tokens; what was left then, if it was looked at.
    #[must_use]
    pub fn new(grant: Box<dyn Grant>, reserved: u64, quota: Option<Quota>) -> Self {
        Self {
            enough: reserved.saturating_sub(grant.ahead()),
            grant,
            reserved,
            used: 0,
            quota: quota.map(Box::new),
        }
    }

    /// What was left when the permit was given; `None` if the generation was admitted again.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.quota.as_deref().copied()
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
        if self.used < self.enough {
            return Poll::Ready(true);
        }
        let is_left = self.used < self.reserved;
        match self.grant.poll_extend(context) {
            Poll::Pending if is_left => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
            Poll::Ready(0) => {
                // Until the rest is used there may be more again.
                self.enough = self.reserved;
                Poll::Ready(is_left)
            }
            Poll::Ready(more) => {
                self.reserved = self.reserved.saturating_add(more);
                self.enough = self.reserved.saturating_sub(self.grant.ahead());
                Poll::Ready(true)
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.grant.settle(self.reserved, self.used);
    }
}
