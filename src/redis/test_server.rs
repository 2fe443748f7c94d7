//! A Redis of a unit test's own, to be asked, stopped and started again.

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Connection, FromRedisValue};

use super::{Redis, RedisConfig};

#[path = "../../tests/support/redis_server.rs"]
#[expect(unreachable_pub, reason = "the API tests have it too")]
mod redis_server;

/// A Redis that answers.
pub(crate) struct Server(redis_server::RedisServer);

impl Server {
    pub(crate) fn start() -> Self {
        let server = Self(redis_server::RedisServer::start());
        server.wait();
        server
    }

    fn wait(&self) {
        for _ in 0..500 {
            let answers = self.try_connect().is_some_and(|mut connection| {
                redis::cmd("PING").query::<String>(&mut connection).is_ok()
            });
            if answers {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("Redis did not start");
    }

    fn try_connect(&self) -> Option<Connection> {
        Client::open(self.0.url()).unwrap().get_connection().ok()
    }

    pub(crate) fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connect()).unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.0.stop();
    }

    pub(crate) fn start_again(&mut self) {
        self.0.start_again();
        self.wait();
    }

    /// The connections of one node.
    pub(crate) fn node(&self) -> Arc<Redis> {
        Redis::new(&RedisConfig { url: self.0.url() }).unwrap()
    }
}
