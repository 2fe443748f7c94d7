//! One admitted generation: asks for more tokens ahead of time, and says what was used.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::Inner;
use super::held::{Held, Place};
use crate::limit::{Grant, Permit};

/// A backend's side of a [`Permit`], in Redis.
pub(super) struct RedisGrant {
    limiter: Arc<Inner>,
    held: Arc<Held>,
    _place: Place,
    /// What was admitted without Redis.
    local: Option<Permit>,
    /// How many tokens before the end of what is reserved more are asked for.
    ahead: u64,
    asked: Option<oneshot::Receiver<u64>>,
}

impl RedisGrant {
    /// `is_named` says that the request named how many tokens it may take: it will hardly want more.
    pub(super) fn new(
        limiter: Arc<Inner>,
        held: Arc<Held>,
        place: Place,
        local: Option<Permit>,
        is_named: bool,
    ) -> Self {
        let ahead = if is_named {
            0
        } else {
            limiter.limits.load().step() / 2
        };
        Self {
            limiter,
            held,
            _place: place,
            local,
            ahead,
            asked: None,
        }
    }
}

impl Grant for RedisGrant {
    fn poll_extend(&mut self, context: &mut Context<'_>) -> Poll<u64> {
        let asked = self.asked.get_or_insert_with(|| {
            let (answer, asked) = oneshot::channel();
            let (limiter, held) = (Arc::clone(&self.limiter), Arc::clone(&self.held));
            let extend = async move {
                let more = limiter.extend(&held).await;
                // The generation may have ended meanwhile.
                let _ended = answer.send(more);
            };
            let runtime = self.limiter.redis.runtime();
            self.limiter.tasks.spawn_on(extend, runtime);
            asked
        });
        let more = ready!(Pin::new(asked).poll(context)).unwrap_or(0);
        self.asked = None;
        self.ahead = self.limiter.limits.load().step() / 2;
        Poll::Ready(more)
    }

    fn ahead(&self) -> u64 {
        self.ahead
    }

    fn settle(&mut self, _: u64, used: u64) {
        if let Some(mut local) = self.local.take() {
            // What it took beyond its reservation was taken at once.
            local.settle_at(used.min(local.reserved));
        }
        self.limiter.permits.end(Arc::clone(&self.held), used);
    }
}

impl Inner {
    /// Reserves more tokens for a permit; answers how many.
    async fn extend(&self, held: &Held) -> u64 {
        let (account, step) = (&held.account, self.limits.load().step());
        let take_alone = |local: &super::LocalLimiter| {
            let more = local.take_some(&account.owner, &account.plan_name, step);
            held.reserve(more, false);
            more
        };
        if let Some(local) = self.stand_in() {
            return take_alone(&local);
        }
        let mut script = account.script(&self.scripts.extend);
        script.arg(held.id()).arg(held.reserved()).arg(step);
        match self.ask::<i64>(&script).await.map(u64::try_from) {
            Ok(Ok(more)) => {
                held.reserve(more, true);
                more
            }
            Ok(Err(_)) => {
                // Redis has lost the permit: the keeper tells it again, with these.
                held.reserve(step, false);
                self.permits.wake();
                step
            }
            Err(_) => take_alone(&self.stand_alone()),
        }
    }
}
