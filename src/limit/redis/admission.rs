//! Admits one generation: Redis decides, or this node by its part of the limits while Redis is away.

use std::sync::Arc;
use std::time::Duration;

use super::grant::RedisGrant;
use super::held::{Account, Held, Permits, Place};
use super::{Inner, KEPT, millis};
use crate::auth::Principal;
use crate::limit::bucket::{Bucket, Rate};
use crate::limit::local::LocalLimiter;
use crate::limit::{Allowance, Limit, PLACE_RETRY, Permit, Plan, Quota, Rejection};
use crate::redis::Refusal;

impl Inner {
    pub(super) async fn admit(
        self: &Arc<Self>,
        principal: &Principal,
        tokens: Option<u32>,
    ) -> Result<Permit, Rejection> {
        let (place, account) = self.place(principal)?;
        let plan = &account.plan;
        if let Some(local) = self.stand_in() {
            return self.admit_alone(&local, &account, place, principal, tokens);
        }
        let reserved = self.limits.load().reservation(plan, tokens);
        let held = Held::new(&account, reserved, 1, true);
        let mut script = account.script(&self.scripts.admit);
        script
            .arg(held.id())
            .arg(plan.streams)
            .arg(reserved)
            .arg(millis(self.config.lease))
            .arg(millis(KEPT));
        // If this future is dropped, or the answer is lost, what Redis may have done is undone.
        let mut unsure = UnsureAdmission {
            permits: &self.permits,
            held: Some(held),
        };
        let answer: Result<(u8, u64, u64), Refusal> = self.ask(&script).await;
        let Ok((met, requests, tokens_owed)) = answer else {
            drop(unsure);
            let local = self.stand_alone();
            return self.admit_alone(&local, &account, place, principal, tokens);
        };
        let Some(held) = unsure.held.take() else {
            return Err(Rejection::server());
        };
        let quota = quota(plan, requests, tokens_owed);
        if let Some((limit, retry_after)) = met_limit(plan, met, requests, tokens_owed, reserved) {
            return Err(Rejection {
                limit,
                retry_after,
                quota: Some(quota),
            });
        }
        self.permits.insert(&held);
        let grant = RedisGrant::new(Arc::clone(self), held, place, None, tokens.is_some());
        Ok(Permit::new(Box::new(grant), reserved, Some(quota)))
    }

    /// Admits what another process has admitted before. Nobody is asked whether it may run, so without
    /// Redis, too, it is only told later.
    pub(super) async fn admit_again(
        self: &Arc<Self>,
        principal: &Principal,
        tokens: Option<u32>,
    ) -> Result<Permit, Rejection> {
        let (place, account) = self.place(principal)?;
        let reserved = self.limits.load().reservation(&account.plan, tokens);
        let held = Held::new(&account, reserved, 0, false);
        self.permits.insert(&held);
        let grant = RedisGrant::new(
            Arc::clone(self),
            Arc::clone(&held),
            place,
            None,
            tokens.is_some(),
        );
        // If this future is dropped, this ends it.
        let permit = Permit::new(Box::new(grant), reserved, None);
        if self.stand_in().is_none() && self.hold(&account, &[&held]).await.is_err() {
            self.stand_alone();
        }
        Ok(permit)
    }

    /// A place for a generation on this node, and its principal as Redis knows them.
    fn place(&self, principal: &Principal) -> Result<(Place, Arc<Account>), Rejection> {
        let limits = self.limits.load();
        let plan_name = limits.plan_of(principal);
        let plan = limits.plans.get(plan_name);
        let (Some(plan), Some(place)) = (plan, self.permits.place()) else {
            return Err(Rejection::server());
        };
        let account = Account::new(&self.config.prefix, principal.owner(), plan_name, plan);
        Ok((place, account))
    }

    /// Admits by this node's part of the limits. The keeper tells Redis of it later.
    fn admit_alone(
        self: &Arc<Self>,
        local: &LocalLimiter,
        account: &Arc<Account>,
        place: Place,
        principal: &Principal,
        tokens: Option<u32>,
    ) -> Result<Permit, Rejection> {
        let running = self.permits.running_of(&account.owner);
        let permit = local.try_admit(principal, tokens, running)?;
        let (quota, reserved) = (permit.quota(), permit.reserved);
        let held = Held::new(account, reserved, 1, false);
        self.permits.insert(&held);
        let grant = RedisGrant::new(
            Arc::clone(self),
            held,
            place,
            Some(permit),
            tokens.is_some(),
        );
        Ok(Permit::new(Box::new(grant), reserved, quota))
    }
}

/// An admission whose answer is not there.
struct UnsureAdmission<'a> {
    permits: &'a Permits,
    held: Option<Arc<Held>>,
}

impl Drop for UnsureAdmission<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.permits.end(held, 0);
        }
    }
}

/// What is left, as Redis has it.
fn quota(plan: &Plan, requests: u64, tokens: u64) -> Quota {
    let allowance = |limit, rate, owed| {
        let bucket = Bucket::owing(owed);
        Allowance {
            limit,
            remaining: u32::try_from(bucket.remaining(rate, 0)).unwrap_or(u32::MAX),
            reset: bucket.reset(rate, 0),
        }
    };
    Quota {
        requests: allowance(plan.requests_per_minute, plan.requests(), requests),
        tokens: allowance(plan.tokens_per_minute, plan.tokens(), tokens),
    }
}

/// Which limit the script has met, and for how long.
fn met_limit(
    plan: &Plan,
    met: u8,
    requests: u64,
    tokens: u64,
    reserved: u64,
) -> Option<(Limit, Duration)> {
    let wait = |rate: Rate, owed, tokens| {
        let taken = Bucket::owing(owed).take(rate, 0, tokens);
        taken.err().map(Option::unwrap_or_default)
    };
    Some(match met {
        0 => return None,
        1 => (Limit::Requests, wait(plan.requests(), requests, 1)?),
        2 => (Limit::Streams, PLACE_RETRY),
        _ if reserved > plan.tokens().capacity() => (Limit::TokensEver, Duration::ZERO),
        _ => (Limit::Tokens, wait(plan.tokens(), tokens, reserved)?),
    })
}
