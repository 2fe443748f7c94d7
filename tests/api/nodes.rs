//! Nodes on one Redis, which each test starts for itself.

use std::path::Path;

use crate::client::Request;
use crate::program::{Program, tailrace};
use crate::redis_server::RedisServer;
use crate::server::{BASE, Server, wait_for};

/// A Redis, and the nodes' settings for it.
pub struct Redis {
    pub server: RedisServer,
}

impl Redis {
    pub fn start() -> Self {
        let server = RedisServer::start();
        let secret = "a secret of at least thirty-two bytes, for tickets";
        std::fs::write(server.directory.path().join("ticket.secret"), secret).unwrap();
        Self { server }
    }

    /// The nodes' settings and more, with time enough for Redis to count, also on a busy machine.
    fn settings(&self, more: &str) -> String {
        let secret = self.server.directory.path().join("ticket.secret");
        let admission = if more.contains("redis.admission_timeout = ") {
            ""
        } else {
            "redis.admission_timeout = \"2s\"\n"
        };
        format!(
            "store = \"redis\"\nredis.url = \"{}\"\nauth.ticket_secret_file = \"{}\"\n{admission}{more}",
            self.server.url(),
            secret.display()
        )
    }

    /// A node in this process.
    pub fn node(&self) -> Server {
        self.node_with("")
    }

    pub fn node_with(&self, more: &str) -> Server {
        let server = Server::with(&self.settings(more));
        wait_for(|| (ready(&server) == 200).then_some(()));
        server
    }

    /// A node in a process of its own, which can be killed.
    pub fn process(&self) -> Program {
        self.process_with("")
    }

    pub fn process_with(&self, more: &str) -> Program {
        let settings = self.settings(more);
        let program = process(self.server.directory.path(), &settings);
        wait_for(|| {
            let ready = Request::new(program.address, "GET", "/readyz").send();
            (ready.status == 200).then_some(())
        });
        program
    }
}

/// A node in a process of its own with these settings, ready or not.
pub fn process(directory: &Path, settings: &str) -> Program {
    let config = directory.join("tailrace.toml");
    let base = if settings.contains("drain_timeout = ") {
        BASE.replace("drain_timeout = \"200ms\"\n", "")
    } else {
        BASE.to_owned()
    };
    std::fs::write(&config, format!("{base}{settings}")).unwrap();
    let mut command = tailrace(directory);
    command
        .env("TAILRACE_CONFIG", &config)
        .env("TAILRACE_LOG__LEVEL", "info");
    Program::start(command)
}

pub fn ready(server: &Server) -> u16 {
    server.request("GET", "/readyz").send().status
}

pub fn live(server: &Server) -> u16 {
    server.request("GET", "/livez").send().status
}
