//! Keeps Redis up to date with the permits of this node, in one task: renews their leases, settles those
//! that have ended, tells it of those it does not know, and finds out whether it is there.

use std::future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, sleep, sleep_until};

use super::held::{Account, Ended, Held};
use super::{Inner, KEPT, millis};
use crate::redis::Refusal;

/// How many principals' scripts are under way at once.
const AT_ONCE: usize = 64;

/// After how many of them it is looked what has ended meanwhile.
const CHUNK: usize = 256;

/// How often a Redis that is away is asked whether it is back.
const PROBE: Duration = Duration::from_millis(500);

/// How often a limiter that stands in forgets who is quiet.
const SWEEP: Duration = Duration::from_secs(60);

/// Runs for ever.
pub(super) async fn run(limiter: Arc<Inner>) {
    let every = limiter.config.lease * 3 / 10;
    let mut renew_at = Instant::now();
    let mut sweep_at = Instant::now() + SWEEP;
    loop {
        let local = limiter.local().clone();
        if let Some(local) = local {
            sleep(PROBE).await;
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP;
                local.sweep();
            }
            renew_at = Instant::now() + every;
            if limiter.renew().await.is_ok() {
                limiter.be_exact();
            }
            continue;
        }
        let kept = if Instant::now() >= renew_at {
            renew_at = Instant::now() + every;
            limiter.renew().await
        } else {
            limiter.settle_all().await
        };
        if kept.is_err() {
            limiter.stand_alone();
            continue;
        }
        tokio::select! {
            () = limiter.permits.changed() => {}
            () = sleep_until(renew_at) => {}
        }
    }
}

impl Inner {
    /// Says that this node is there, and holds all its permits for another lease.
    pub(super) async fn renew(&self) -> Result<(), Refusal> {
        let nodes = self.be_here().await?;
        if self.nodes.swap(nodes, Ordering::Relaxed) != nodes {
            tracing::info!(nodes, "So many nodes share the limits");
        }
        self.settle_all().await?;
        for chunk in self.permits.running().chunks(CHUNK) {
            let holding = chunk.iter().map(|theirs| Ok(self.hold_all(theirs)));
            stream::iter(holding)
                .try_for_each_concurrent(AT_ONCE, |holding| holding)
                .await?;
            self.settle_all().await?;
        }
        Ok(())
    }

    /// Holds the places of one principal's permits, but those that have ended: they may be settled
    /// already, and must not come back.
    async fn hold_all(&self, theirs: &[Arc<Held>]) -> Result<(), Refusal> {
        let running = theirs.iter().filter(|held| !held.has_ended());
        let running: Vec<_> = running.map(AsRef::as_ref).collect();
        match running.first() {
            None => Ok(()),
            Some(first) => self.hold(&first.account, &running).await,
        }
    }

    /// Holds the places of these permits of one principal, and tells Redis of those it does not know.
    pub(super) async fn hold(&self, account: &Account, permits: &[&Held]) -> Result<(), Refusal> {
        let mut script = account.script(&self.scripts.hold);
        script.arg(millis(self.config.lease)).arg(millis(KEPT));
        let reserved: Vec<u64> = permits.iter().map(|held| held.reserved()).collect();
        for (held, reserved) in permits.iter().zip(&reserved) {
            script.arg(held.id()).arg(reserved).arg(held.requests);
        }
        self.ask::<u8>(&script).await?;
        for (held, reserved) in permits.iter().zip(&reserved) {
            held.know(*reserved);
        }
        Ok(())
    }

    /// Settles what has ended.
    async fn settle_all(&self) -> Result<(), Refusal> {
        loop {
            let ended = self.permits.take_ended(CHUNK);
            if ended.is_empty() {
                return Ok(());
            }
            let settling = stream::iter(ended).map(async |ended| {
                let settled = self.settle(&ended).await;
                settled.err().map(|refusal| (ended, refusal))
            });
            let unsettled: Vec<_> = settling
                .buffer_unordered(AT_ONCE)
                .filter_map(future::ready)
                .collect()
                .await;
            let refusal = unsettled.first().map(|(_, refusal)| *refusal);
            let unsettled = unsettled.into_iter().map(|(ended, _)| ended);
            self.permits.put_back(unsettled.collect());
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
        }
    }

    async fn settle(&self, ended: &Ended) -> Result<(), Refusal> {
        let account = &ended.held.account;
        if !ended.held.is_known() {
            self.hold(account, &[&ended.held]).await?;
        }
        let mut script = account.script(&self.scripts.settle);
        script.arg(ended.held.id()).arg(ended.used);
        self.ask::<u8>(&script).await?;
        Ok(())
    }

    /// Redis answers again and knows everything.
    fn be_exact(&self) {
        let stood_in = self.local().take();
        if stood_in.is_some() {
            let nodes = self.nodes.load(Ordering::Relaxed);
            tracing::info!(nodes, "Limits are exact over all nodes again");
        }
    }
}
