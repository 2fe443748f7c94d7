//! The permits of this node: those that run, which hold places in Redis, and those that have ended and
//! are not settled yet.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::limit::Plan;
use crate::redis::{Script, ScriptInvocation, digest};
use crate::stream::Owner;

/// How many ended permits are remembered while Redis is away. The places of others are free when
/// their leases end; their tokens stay as they were reserved.
const MOST_UNSETTLED: usize = 100_000;

/// A principal, as Redis knows them.
pub(super) struct Account {
    pub(super) owner: Owner,
    pub(super) plan_name: String,
    pub(super) plan: Plan,
    /// The two keys, which have one hash tag.
    buckets: String,
    places: String,
}

impl Account {
    pub(super) fn new(prefix: &str, owner: &Owner, plan_name: &str, plan: &Plan) -> Arc<Self> {
        let name = digest(&[&owner.issuer, &owner.subject]);
        Arc::new(Self {
            owner: owner.clone(),
            plan_name: plan_name.to_owned(),
            plan: plan.clone(),
            buckets: format!("{prefix}{{{name}}}:b"),
            places: format!("{prefix}{{{name}}}:p"),
        })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> [&str; 2] {
        [&self.buckets, &self.places]
    }

    /// A script with the principal's keys and rates.
    pub(super) fn script<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut script = script.prepare_invoke();
        script
            .key(&self.buckets)
            .key(&self.places)
            .arg(self.plan.requests_per_minute)
            .arg(self.plan.burst)
            .arg(self.plan.tokens_per_minute);
        script
    }
}

/// One of the generations that this node may run at once.
pub(super) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One permit.
pub(super) struct Held {
    id: u64,
    pub(super) account: Arc<Account>,
    /// How many tokens it has reserved, as far as this node knows.
    reserved: AtomicU64,
    /// How many requests it counts as when Redis is told of it: 0 if another process was admitted with it.
    pub(super) requests: u8,
    /// Whether Redis has been told of it, and of all that it has reserved.
    is_known: AtomicBool,
    has_ended: AtomicBool,
}

impl Held {
    /// A permit; as how many requests it counts, and whether Redis knows of it.
    pub(super) fn new(
        account: &Arc<Account>,
        reserved: u64,
        requests: u8,
        is_known: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: rand::random(),
            account: Arc::clone(account),
            requests,
            reserved: AtomicU64::new(reserved),
            is_known: AtomicBool::new(is_known),
            has_ended: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> String {
        format!("{:016x}", self.id)
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Acquire)
    }

    /// Counts tokens that were reserved, in Redis or without its knowing.
    pub(super) fn reserve(&self, more: u64, is_known: bool) {
        self.reserved.fetch_add(more, Ordering::AcqRel);
        if !is_known {
            self.is_known.store(false, Ordering::Release);
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// Notes that Redis knows of so many tokens.
    pub(super) fn know(&self, reserved: u64) {
        self.is_known.store(true, Ordering::Release);
        if self.reserved() > reserved {
            self.is_known.store(false, Ordering::Release);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

/// A permit that has ended, and how many tokens it has used.
pub(super) struct Ended {
    pub(super) held: Arc<Held>,
    pub(super) used: u64,
    _unsettled: TaskTrackerToken,
}

type Running = HashMap<Owner, HashMap<u64, Arc<Held>>>;

/// All permits of this node.
pub(super) struct Permits {
    most: u32,
    count: Arc<AtomicU32>,
    running: Mutex<Running>,
    ended: Mutex<VecDeque<Ended>>,
    /// One token for each that is not settled.
    unsettled: TaskTracker,
    changed: Notify,
}

impl Permits {
    pub(super) fn new(most: u32) -> Self {
        let unsettled = TaskTracker::new();
        unsettled.close();
        Self {
            most,
            count: Arc::default(),
            running: Mutex::default(),
            ended: Mutex::default(),
            unsettled,
            changed: Notify::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// A place for another generation on this node, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        let place = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.most).then_some(count + 1)
            });
        place.ok().map(|_| Place(Arc::clone(&self.count)))
    }

    pub(super) fn insert(&self, held: &Arc<Held>) {
        let mut table = self.table();
        let theirs = table.entry(held.account.owner.clone()).or_default();
        theirs.insert(held.id, Arc::clone(held));
    }

    /// Ends a permit; the keeper settles it.
    pub(super) fn end(&self, held: Arc<Held>, used: u64) {
        held.has_ended.store(true, Ordering::Release);
        let mut table = self.table();
        if let Some(theirs) = table.get_mut(&held.account.owner) {
            theirs.remove(&held.id);
            if theirs.is_empty() {
                table.remove(&held.account.owner);
            }
        }
        drop(table);
        self.put_back(vec![Ended {
            held,
            used,
            _unsettled: self.unsettled.token(),
        }]);
        self.wake();
    }

    /// What is to be settled, at most so much.
    pub(super) fn take_ended(&self, most: usize) -> Vec<Ended> {
        let mut queue = self.queue();
        let count = most.min(queue.len());
        queue.drain(..count).collect()
    }

    /// Keeps what could not be settled.
    pub(super) fn put_back(&self, ended: Vec<Ended>) {
        let mut queue = self.queue();
        queue.extend(ended);
        let beyond = queue.len().saturating_sub(MOST_UNSETTLED);
        let forgotten: Vec<_> = queue.drain(..beyond).collect();
        drop(queue);
        drop(forgotten);
    }

    /// The permits that run, by principal.
    pub(super) fn running(&self) -> Vec<Vec<Arc<Held>>> {
        let table = self.table();
        let theirs = table.values();
        theirs
            .map(|theirs| theirs.values().cloned().collect())
            .collect()
    }

    /// How many of a principal's generations run here.
    pub(super) fn running_of(&self, owner: &Owner) -> u32 {
        let running = self.table().get(owner).map_or(0, HashMap::len);
        u32::try_from(running).unwrap_or(u32::MAX)
    }

    /// Wakes the keeper.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits until there is something for the keeper.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until everything that has ended is settled.
    pub(super) async fn settled(&self) {
        self.unsettled.wait().await;
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }
}
