//! Any history, replayed through the scripts at the times of a clock of ours, comes out as the pure
//! arithmetic has it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::limit::bucket::Bucket;
use crate::stream::Owner;

/// The clock of the scripts.
const CLOCK: &str = "local now = tonumber(redis.call('GET', '{ours}:clock'))\n";

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit(u64, u64),
    Extend(u64, u64),
    Settle(u64, u64),
    Hold(u64, u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Few permits, so that most steps find one, and many are done twice.
    let (permit, tokens) = (0_u64..6, 0_u64..20_000);
    prop_oneof![
        (0_u64..30_000).prop_map(Step::Wait),
        (permit.clone(), tokens.clone()).prop_map(|(permit, n)| Step::Admit(permit, n)),
        (permit.clone(), tokens.clone()).prop_map(|(permit, n)| Step::Extend(permit, n)),
        (permit.clone(), tokens.clone()).prop_map(|(permit, n)| Step::Settle(permit, n)),
        (permit, tokens, 0_u64..2).prop_map(|(permit, n, r)| Step::Hold(permit, n, r)),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let tokens = prop_oneof![1_u32..100_000, Just(u32::MAX)];
    (1_u32..1000, 1_u32..50, 1_u32..6, tokens).prop_map(|(rate, burst, streams, tokens)| Plan {
        requests_per_minute: rate,
        burst,
        streams,
        tokens_per_minute: tokens,
    })
}

/// What a principal's keys should hold.
#[derive(Default)]
struct Model {
    now: u64,
    requests: Bucket,
    tokens: Bucket,
    reserved: BTreeMap<u64, u64>,
    leases: BTreeMap<u64, u64>,
}

const LEASE: u64 = 10_000;

impl Model {
    fn admit(&mut self, plan: &Plan, permit: u64, wanted: u64) -> u8 {
        if self.reserved.contains_key(&permit) {
            return 0;
        }
        if self.requests.take(plan.requests(), self.now, 1).is_err() {
            return 1;
        }
        let places = self.leases.values().filter(|end| **end > self.now);
        if places.count() >= plan.streams as usize {
            return 2;
        }
        if self.tokens.take(plan.tokens(), self.now, wanted).is_err() {
            return 3;
        }
        self.reserved.insert(permit, wanted);
        self.leases.insert(permit, self.now + LEASE);
        0
    }

    fn extend(&mut self, plan: &Plan, permit: u64, known: u64, step: u64) -> i64 {
        let Some(reserved) = self.reserved.get_mut(&permit) else {
            return -1;
        };
        if *reserved > known {
            return i64::try_from(*reserved - known).unwrap();
        }
        let rate = plan.tokens();
        self.tokens.settle(rate, self.now, *reserved, known);
        let more = self.tokens.take_some(rate, self.now, step);
        *reserved = known + more;
        i64::try_from(more).unwrap()
    }

    fn settle(&mut self, plan: &Plan, permit: u64, used: u64) -> i64 {
        self.leases.remove(&permit);
        let Some(reserved) = self.reserved.remove(&permit) else {
            return 0;
        };
        self.tokens.settle(plan.tokens(), self.now, reserved, used);
        1
    }

    fn hold(&mut self, plan: &Plan, permit: u64, wanted: u64, requests: u64) {
        let reserved = self.reserved.get(&permit).copied();
        if reserved.is_none() {
            self.requests.settle(plan.requests(), self.now, 0, requests);
        }
        let known = reserved.unwrap_or(0);
        if wanted > known {
            self.tokens.settle(plan.tokens(), self.now, known, wanted);
        }
        self.reserved.insert(permit, known.max(wanted));
        self.leases.insert(permit, self.now + LEASE);
    }
}

/// The scripts, on one principal's keys.
struct Replay {
    redis: Arc<Redis>,
    scripts: Scripts,
    owner: Owner,
}

impl Replay {
    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> T {
        let answer = self.redis.ask(Duration::from_secs(5), Ask::Script(script));
        answer.await.unwrap()
    }

    async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let done = self
            .redis
            .ask::<T>(Duration::from_secs(5), Ask::Command(&command));
        done.await.unwrap()
    }

    /// Does each step in Redis and in the model.
    async fn steps(&self, plan: &Plan, steps: &[Step]) -> Result<(), TestCaseError> {
        let account = Account::new("t:", &self.owner, "free", plan);
        let mut model = Model {
            now: 1_795_210_421_000,
            ..Model::default()
        };
        self.command::<String>(&["FLUSHDB"]).await;
        let [buckets, places] = account.keys();
        for step in steps {
            self.command::<String>(&["SET", "{ours}:clock", &model.now.to_string()])
                .await;
            match *step {
                Step::Wait(millis) => model.now += millis,
                Step::Admit(permit, wanted) => {
                    let mut admit = account.script(&self.scripts.admit);
                    admit.arg(permit).arg(plan.streams).arg(wanted);
                    admit.arg(LEASE).arg(millis(KEPT));
                    let met = model.admit(plan, permit, wanted);
                    let owed = (
                        model.requests.owed(plan.requests(), model.now),
                        model.tokens.owed(plan.tokens(), model.now),
                    );
                    let answer: (u8, u64, u64) = self.run(&admit).await;
                    prop_assert_eq!(answer, (met, owed.0, owed.1));
                }
                Step::Extend(permit, wanted) => {
                    // What a node knows may be more or less than what Redis does.
                    let reserved = model.reserved.get(&permit).copied().unwrap_or(0);
                    let known = (reserved + wanted % 5).saturating_sub(2);
                    let mut extend = account.script(&self.scripts.extend);
                    extend.arg(permit).arg(known).arg(wanted);
                    let more = model.extend(plan, permit, known, wanted);
                    prop_assert_eq!(self.run::<i64>(&extend).await, more);
                }
                Step::Settle(permit, used) => {
                    let mut settle = account.script(&self.scripts.settle);
                    settle.arg(permit).arg(used);
                    prop_assert_eq!(
                        self.run::<i64>(&settle).await,
                        model.settle(plan, permit, used)
                    );
                }
                Step::Hold(permit, wanted, requests) => {
                    let mut hold = account.script(&self.scripts.hold);
                    hold.arg(LEASE).arg(millis(KEPT));
                    hold.arg(permit).arg(wanted).arg(requests);
                    self.run::<u8>(&hold).await;
                    model.hold(plan, permit, wanted, requests);
                }
            }
            if matches!(step, Step::Admit(..) | Step::Hold(..)) {
                let kept: u64 = self.command(&["HGET", buckets, "kept"]).await;
                let longest = model.requests.reset(plan.requests(), model.now);
                prop_assert!(kept >= model.now + millis(longest));
            }
        }
        for key in [buckets, places] {
            // -2 is a key that is not there, -1 one that would stay for ever.
            prop_assert_ne!(self.command::<i64>(&["PTTL", key]).await, -1);
        }
        Ok(())
    }
}

#[test]
fn the_scripts_count_as_the_buckets_do() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let replay = Replay {
        redis: Redis::new(&server.config()).unwrap(),
        scripts: Scripts::with_clock(CLOCK),
        owner: Principal::for_tests("ann").owner().clone(),
    };
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let histories = (plan(), vec(step(), 1..60));
    let tested = TestRunner::new(config).run(&histories, |(plan, steps)| {
        runtime.block_on(replay.steps(&plan, &steps))
    });
    tested.unwrap_or_else(|failure| panic!("{failure}"));
}
