//! A Redis primary and its replica, and what can go wrong with them.

use std::rc::Rc;
use std::time::Duration;

use redis::FromRedisValue;
use tokio::time::{sleep, timeout};

use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

/// How long a server that was started may take until it answers, and a replica until it follows.
const START: Duration = Duration::from_secs(20);

pub struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    /// What the nodes connect to.
    pub proxy: Rc<Proxy>,
    /// What the replica connects to.
    replication: Rc<Proxy>,
}

impl Pair {
    pub async fn start() -> Self {
        let (primary, replica) = (RedisServer::start(), RedisServer::start());
        let proxy = Proxy::start(primary.port).await;
        let replication = Proxy::start(primary.port).await;
        let pair = Self {
            primary,
            replica,
            proxy,
            replication,
        };
        pair.replicate().await;
        pair
    }

    /// Waits until the replica follows the primary.
    async fn replicate(&self) {
        for server in [&self.primary, &self.replica] {
            until(async || ask::<String>(server, "PING").await.is_some()).await;
        }
        self.replication.point_to(self.primary.port);
        self.tell("CONFIG SET repl-diskless-sync-delay 0").await;
        let follow = format!("REPLICAOF 127.0.0.1 {}", self.replication.port);
        ask::<()>(&self.replica, &follow).await;
        until(async || {
            let info: Option<String> = ask(&self.replica, "INFO replication").await;
            info.is_some_and(|info| info.contains("master_link_status:up"))
        })
        .await;
    }

    /// Tells the primary something.
    pub async fn tell(&self, command: &str) {
        let told = async || ask::<redis::Value>(&self.primary, command).await.is_some();
        until(told).await;
    }

    /// Kills the primary, which keeps what it has acknowledged, and starts it again.
    pub async fn restart(&mut self, away: Duration) {
        self.primary.stop();
        sleep(away).await;
        self.primary.start_again();
        until(async || ask::<String>(&self.primary, "PING").await.is_some()).await;
    }

    /// Promotes a replica that misses what was written in the last `missing`, `away` after the primary
    /// is gone. Answers how many bytes of writes are lost.
    pub async fn fail_over(&mut self, missing: Duration, away: Duration) -> u64 {
        // It may have been started again meanwhile.
        self.replicate().await;
        self.replication.hold(true);
        sleep(missing).await;
        self.proxy.refuse(true);
        self.proxy.reset();
        self.replication.refuse(true);
        self.replication.reset();
        let written = offset(&self.primary, "master_repl_offset").await;
        self.primary.stop();
        self.replication.hold(false);
        let kept = offset(&self.replica, "slave_repl_offset").await;
        ask::<()>(&self.replica, "REPLICAOF NO ONE").await;
        self.proxy.point_to(self.replica.port);
        sleep(away).await;
        self.proxy.refuse(false);
        self.replication.refuse(false);
        self.primary = std::mem::replace(&mut self.replica, RedisServer::start());
        self.replicate().await;
        written - kept
    }
}

async fn ask<T: FromRedisValue>(server: &RedisServer, command: &str) -> Option<T> {
    let client = redis::Client::open(server.url()).unwrap();
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    command.query_async(&mut connection).await.ok()
}

/// A number of what the server says of its replication.
async fn offset(server: &RedisServer, name: &str) -> u64 {
    let info: String = ask(server, "INFO replication").await.unwrap();
    let mut lines = info.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}

/// Asks again and again until it is so.
pub async fn until(probe: impl AsyncFn() -> bool) {
    let met = async {
        while !probe().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(START, met).await.expect("what must come, comes");
}
