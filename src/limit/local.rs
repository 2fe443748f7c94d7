//! The embedded limiter: exact within this process.
//!
//! Governor counts the requests. Streams at once and tokens are counted here, in one small table
//! behind a lock that is taken when a generation starts, ends, or outgrows its reservation.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;

use super::bucket::{Bucket, Rate};
use super::{Allowance, Grant, Limit, Permit, Plan, Quota, RateLimiter, Rejection};
use crate::auth::Principal;
use crate::stream::Owner;

/// How long to stay away when a place, not a rate, is what lacks. Nobody knows when one is freed.
const PLACE_RETRY: Duration = Duration::from_secs(2);

/// The limits of a [`LocalLimiter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// Generations that the whole server may run at once.
    pub max_streams: u32,
    /// Principals that are told apart; more are turned away until others have been quiet.
    pub max_principals: usize,
    /// Tokens reserved for a request that names no `max_tokens`.
    pub default_reservation: u32,
    /// The plan of a token that names none, or one that does not exist.
    pub default_plan: String,
    /// The plans by name; `default_plan` is among them.
    pub plans: BTreeMap<String, Plan>,
}

type Requests = governor::RateLimiter<
    Owner,
    DefaultKeyedStateStore<Owner>,
    DefaultClock,
    StateInformationMiddleware,
>;

struct PlanLimits {
    plan: Plan,
    requests: Requests,
}

impl PlanLimits {
    /// Counts one request: what is left, and how long to wait if there were too many.
    fn count_request(&self, owner: &Owner, clock: &DefaultClock) -> (Allowance, Option<Duration>) {
        let limit = self.plan.requests_per_minute;
        match self.requests.check_key(owner) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.plan.burst.saturating_sub(remaining);
                let reset = state.quota().replenish_interval() * missing;
                (
                    Allowance {
                        limit,
                        remaining,
                        reset,
                    },
                    None,
                )
            }
            Err(until) => {
                let reset = until.wait_time_from(clock.now());
                (
                    Allowance {
                        limit,
                        remaining: 0,
                        reset,
                    },
                    Some(reset),
                )
            }
        }
    }
}

/// The `local` backend of [`RateLimiter`].
pub struct LocalLimiter {
    config: LimitConfig,
    plans: HashMap<String, PlanLimits>,
    clock: DefaultClock,
    accounts: Arc<Accounts>,
}

struct Accounts {
    epoch: Instant,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    streams: u32,
    by_owner: HashMap<Owner, Account>,
}

#[derive(Default)]
struct Account {
    streams: u32,
    tokens: Bucket,
}

impl Accounts {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl LocalLimiter {
    /// A limiter on which nothing has been used yet.
    #[must_use]
    pub fn new(config: LimitConfig) -> Self {
        let plans = config
            .plans
            .iter()
            .map(|(name, plan)| {
                let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
                let quota = governor::Quota::per_minute(at_least_one(plan.requests_per_minute))
                    .allow_burst(at_least_one(plan.burst));
                let requests = governor::RateLimiter::dashmap(quota).with_middleware();
                let limits = PlanLimits {
                    plan: plan.clone(),
                    requests,
                };
                (name.clone(), limits)
            })
            .collect();
        Self {
            config,
            plans,
            clock: DefaultClock::default(),
            accounts: Arc::new(Accounts {
                epoch: Instant::now(),
                table: Mutex::default(),
            }),
        }
    }

    /// How many generations hold a permit now.
    #[cfg(test)]
    fn active(&self) -> u32 {
        self.accounts.table().streams
    }

    /// How many principals are told apart now.
    #[cfg(test)]
    fn principals(&self) -> usize {
        self.accounts.table().by_owner.len()
    }

    /// Forgets principals that have been quiet for so long that nothing of theirs is spent. To be
    /// called about once a minute.
    pub fn sweep(&self) {
        for limits in self.plans.values() {
            limits.requests.retain_recent();
            limits.requests.shrink_to_fit();
        }
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        table
            .by_owner
            .retain(|_, account| account.streams > 0 || !account.tokens.reset(now).is_zero());
        table.by_owner.shrink_to_fit();
    }

    fn try_admit(&self, principal: &Principal, tokens: Option<u32>) -> Result<Permit, Rejection> {
        let plan = principal
            .plan
            .as_deref()
            .and_then(|name| self.plans.get(name));
        let Some(limits) = plan.or_else(|| self.plans.get(&self.config.default_plan)) else {
            return Err(Rejection::server());
        };
        let plan = &limits.plan;
        let rate = Rate::per_minute(plan.tokens_per_minute);
        let reserved = match tokens {
            Some(tokens) => u64::from(tokens),
            None => rate.capacity().min(self.config.default_reservation.into()),
        };
        let owner = principal.owner();
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        if table.streams >= self.config.max_streams {
            return Err(Rejection::server());
        }
        let room = table.by_owner.len() < self.config.max_principals;
        if !room && !table.by_owner.contains_key(owner) {
            return Err(Rejection::server());
        }
        let account = table.by_owner.entry(owner.clone()).or_default();

        // Every attempt counts as a request, whichever limit then turns it away.
        let (requests, early) = limits.count_request(owner, &self.clock);
        let quota = |bucket: &Bucket| Quota {
            requests,
            tokens: Allowance {
                limit: plan.tokens_per_minute,
                remaining: u32::try_from(bucket.remaining(rate, now)).unwrap_or(u32::MAX),
                reset: bucket.reset(now),
            },
        };
        let mut tokens_after = account.tokens;
        let met = if let Some(wait) = early {
            Some((Limit::Requests, wait))
        } else if account.streams >= plan.streams {
            Some((Limit::Streams, PLACE_RETRY))
        } else {
            match tokens_after.take(rate, now, reserved) {
                Ok(()) => None,
                Err(Some(wait)) => Some((Limit::Tokens, wait)),
                Err(None) => Some((Limit::TokensEver, Duration::ZERO)),
            }
        };
        if let Some((limit, retry_after)) = met {
            return Err(Rejection {
                limit,
                retry_after,
                quota: Some(quota(&account.tokens)),
            });
        }
        account.tokens = tokens_after;
        account.streams += 1;
        let quota = quota(&tokens_after);
        table.streams += 1;
        drop(table);
        let grant = LocalGrant {
            accounts: Arc::clone(&self.accounts),
            owner: owner.clone(),
            rate,
            step: u64::from(self.config.default_reservation / 4).max(1),
        };
        Ok(Permit::new(Box::new(grant), reserved, quota))
    }
}

impl Rejection {
    const fn server() -> Self {
        Self {
            limit: Limit::Server,
            retry_after: PLACE_RETRY,
            quota: None,
        }
    }
}

impl RateLimiter for LocalLimiter {
    fn admit<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>> {
        future::ready(self.try_admit(principal, tokens)).boxed()
    }
}

/// One admitted generation in the table.
struct LocalGrant {
    accounts: Arc<Accounts>,
    owner: Owner,
    rate: Rate,
    /// How many tokens are reserved at a time when the first reservation is used up.
    step: u64,
}

impl Grant for LocalGrant {
    fn poll_extend(&mut self, _: &mut Context<'_>) -> Poll<u64> {
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        let Some(account) = table.by_owner.get_mut(&self.owner) else {
            return Poll::Ready(0);
        };
        let step = self.step.min(account.tokens.remaining(self.rate, now));
        let taken = step > 0 && account.tokens.take(self.rate, now, step).is_ok();
        Poll::Ready(if taken { step } else { 0 })
    }

    fn settle(&mut self, reserved: u64, used: u64) {
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        table.streams = table.streams.saturating_sub(1);
        if let Some(account) = table.by_owner.get_mut(&self.owner) {
            account.streams = account.streams.saturating_sub(1);
            match used.checked_sub(reserved) {
                Some(more) => account.tokens.overdraw(self.rate, now, more),
                None => account.tokens.give_back(self.rate, reserved - used),
            }
        }
    }
}

#[cfg(test)]
mod tests;
