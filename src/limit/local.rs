//! The embedded limiter: exact within this process.
//!
//! All is counted in one small table, behind a lock that is taken when a generation starts, ends, or
//! outgrows its reservation.

mod grant;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};

use self::grant::LocalGrant;
use super::bucket::{Bucket, Rate};
use super::{
    Allowance, Limit, LimitConfig, PLACE_RETRY, Permit, Plan, Quota, RateLimiter, Rejection,
};
use crate::auth::Principal;
use crate::stream::Owner;

/// The `local` backend of [`RateLimiter`].
pub struct LocalLimiter {
    config: ArcSwap<LimitConfig>,
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

/// What a principal has used, which counts on when their plan changes.
struct Account {
    streams: u32,
    request_rate: Rate,
    requests: Bucket,
    rate: Rate,
    tokens: Bucket,
}

impl Account {
    /// Counts one request: what is left, and how long to wait if there were too many.
    fn count_request(&mut self, plan: &Plan, now: u64) -> (Allowance, Option<Duration>) {
        let rate = self.request_rate;
        let early = self.requests.take(rate, now, 1).err();
        let allowance = Allowance {
            limit: plan.requests_per_minute,
            remaining: u32::try_from(self.requests.remaining(rate, now)).unwrap_or(u32::MAX),
            reset: self.requests.reset(rate, now),
        };
        (allowance, early.flatten())
    }
}

impl Table {
    /// The principal's account, unless it would be one too many.
    fn account(&mut self, owner: &Owner, plan: &Plan, most: usize) -> Option<&mut Account> {
        let room = self.by_owner.len() < most;
        if !room && !self.by_owner.contains_key(owner) {
            return None;
        }
        let account = self.by_owner.entry(owner.clone());
        let account = account.or_insert_with(|| Account {
            streams: 0,
            request_rate: plan.requests(),
            requests: Bucket::default(),
            rate: plan.tokens(),
            tokens: Bucket::default(),
        });
        account.request_rate = plan.requests();
        account.rate = plan.tokens();
        Some(account)
    }
}

impl Accounts {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl LocalLimiter {
    /// A limiter on which nothing has been used yet.
    #[must_use]
    pub fn new(config: LimitConfig) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            accounts: Arc::new(Accounts {
                epoch: Instant::now(),
                table: Mutex::default(),
            }),
        }
    }

    /// How many generations hold a permit now.
    #[must_use]
    pub fn active(&self) -> u32 {
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
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        table.by_owner.retain(|_, account| {
            account.streams > 0
                || !account.tokens.reset(account.rate, now).is_zero()
                || !account.requests.reset(account.request_rate, now).is_zero()
        });
        table.by_owner.shrink_to_fit();
    }

    /// Takes tokens for a generation that this limiter may not have admitted; answers how many.
    pub(super) fn take_some(&self, owner: &Owner, plan: &str, most: u64) -> u64 {
        let config = self.config.load();
        let Some(plan) = config.plans.get(plan) else {
            return 0;
        };
        let rate = plan.tokens();
        let (mut table, now) = (self.accounts.table(), self.accounts.now());
        let account = table.account(owner, plan, config.max_principals);
        account.map_or(0, |account| account.tokens.take_some(rate, now, most))
    }

    /// Admits a generation of a principal who runs at least so many, some of which this limiter may
    /// not have admitted.
    pub(super) fn try_admit(
        &self,
        principal: &Principal,
        tokens: Option<u32>,
        running: u32,
    ) -> Result<Permit, Rejection> {
        self.start(principal, tokens, |plan, account, now, reserved| {
            let rate = account.rate;
            // Every attempt counts as a request, whichever limit then turns it away.
            let (requests, early) = account.count_request(plan, now);
            let mut tokens_after = account.tokens;
            let met = if let Some(wait) = early {
                Some((Limit::Requests, wait))
            } else if account.streams.max(running) >= plan.streams {
                Some((Limit::Streams, PLACE_RETRY))
            } else {
                match tokens_after.take(rate, now, reserved) {
                    Ok(()) => None,
                    Err(Some(wait)) => Some((Limit::Tokens, wait)),
                    Err(None) => Some((Limit::TokensEver, Duration::ZERO)),
                }
            };
            if met.is_none() {
                account.tokens = tokens_after;
            }
            let bucket = &account.tokens;
            let quota = Quota {
                requests,
                tokens: Allowance {
                    limit: plan.tokens_per_minute,
                    remaining: u32::try_from(bucket.remaining(rate, now)).unwrap_or(u32::MAX),
                    reset: bucket.reset(rate, now),
                },
            };
            match met {
                None => Ok(Some(quota)),
                Some((limit, retry_after)) => Err(Rejection {
                    limit,
                    retry_after,
                    quota: Some(quota),
                }),
            }
        })
    }

    /// Admits what another process has admitted before.
    fn try_admit_again(
        &self,
        principal: &Principal,
        tokens: Option<u32>,
    ) -> Result<Permit, Rejection> {
        self.start(principal, tokens, |_, account, now, reserved| {
            account.tokens.settle(account.rate, now, 0, reserved);
            Ok(None)
        })
    }

    /// Starts a generation if this process has room for it and `admit`, which is told the time and
    /// how many tokens it reserves, lets it.
    fn start(
        &self,
        principal: &Principal,
        tokens: Option<u32>,
        admit: impl FnOnce(&Plan, &mut Account, u64, u64) -> Result<Option<Quota>, Rejection>,
    ) -> Result<Permit, Rejection> {
        let config = self.config.load();
        let Some(plan) = config.plans.get(config.plan_of(principal)) else {
            return Err(Rejection::server());
        };
        let reserved = config.reservation(plan, tokens);
        let owner = principal.owner();
        let now = self.accounts.now();
        let mut table = self.accounts.table();
        if table.streams >= config.max_streams {
            return Err(Rejection::server());
        }
        let account = table.account(owner, plan, config.max_principals);
        let Some(account) = account else {
            return Err(Rejection::server());
        };
        let quota = admit(plan, account, now, reserved)?;
        account.streams += 1;
        table.streams += 1;
        drop(table);
        let grant = LocalGrant {
            accounts: Arc::clone(&self.accounts),
            owner: owner.clone(),
            step: config.step(),
        };
        Ok(Permit::new(Box::new(grant), reserved, quota))
    }
}

impl RateLimiter for LocalLimiter {
    fn admit<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>> {
        future::ready(self.try_admit(principal, tokens, 0)).boxed()
    }

    fn admit_again<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>> {
        future::ready(self.try_admit_again(principal, tokens)).boxed()
    }

    fn replace(&self, limits: LimitConfig) {
        let before = self.config.load();
        self.config
            .store(Arc::new(limits.with_ceilings_of(&before)));
    }
}

#[cfg(test)]
mod tests;
