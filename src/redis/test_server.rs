//! A Redis of a unit test's own, to be asked, stopped and started again; or a cluster of them.

use redis::FromRedisValue;

use super::{Address, Place, RedisConfig};

#[path = "../../tests/support/redis_group.rs"]
#[expect(unreachable_pub, dead_code, reason = "the API tests have it too")]
mod redis_group;
#[path = "../../tests/support/redis_server.rs"]
#[expect(unreachable_pub, reason = "the API tests have it too")]
mod redis_server;

pub(crate) use self::redis_group::Cluster;
pub(crate) use self::redis_server::RedisServer;

/// A cluster, of which one node is known.
pub(crate) fn at_seed(seed: &RedisServer) -> RedisConfig {
    let seed = Address::parse(&format!("127.0.0.1:{}", seed.port), 0).unwrap();
    RedisConfig {
        place: Place::Cluster(vec![seed]),
        ..RedisConfig::at("")
    }
}

/// A Redis that answers.
pub(crate) struct Server(RedisServer);

impl Server {
    pub(crate) fn start() -> Self {
        let server = Self(RedisServer::start());
        server.0.wait();
        server
    }

    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.0.ask(words)
    }

    /// Makes it hang, with its connections open.
    pub(crate) fn pause(&self) {
        self.0.pause();
    }

    pub(crate) fn resume(&self) {
        self.0.resume();
    }

    pub(crate) fn stop(&mut self) {
        self.0.stop();
    }

    pub(crate) fn start_again(&mut self) {
        self.0.start_again();
        self.0.wait();
    }

    /// Where it is.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::at(self.0.url())
    }
}
