//! A Redis of a measurement's own, and what it counts.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use redis::{Client, Connection, InfoDict, cmd};

use crate::machine::Cores;
use crate::server::Server;
use crate::tied;

/// A `redis-server` that keeps nothing on disk, on the load's core.
pub(super) struct Redis {
    server: Server,
    connection: Connection,
    url: String,
}

/// What a Redis has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    /// Commands, those in scripts too.
    pub(super) commands: f64,
    /// Entries that were added to streams.
    pub(super) appends: f64,
    /// Seconds in scripts, as Redis measures them: without reading requests and writing answers.
    pub(super) script_seconds: f64,
}

impl Redis {
    /// Starts one, and waits until it answers.
    pub(super) fn start(cores: Cores) -> anyhow::Result<Self> {
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let url = format!("redis://{address}/");
        let home = tempfile::tempdir()?;
        let mut command = tied::command("redis-server")?;
        command
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(home.path());
        let mut server = Server::spawn(command, home, cores, cores.load)?;
        let client = Client::open(url.as_str())?;
        let mut connection = None;
        server.wait(Duration::from_secs(10), |_| {
            connection = client.get_connection().ok();
            connection.is_some()
        })?;
        Ok(Self {
            server,
            connection: connection.context("no connection")?,
            url,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What it has done so far.
    pub(super) fn work(&mut self) -> anyhow::Result<Work> {
        let info: InfoDict = cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection)?;
        let mut work = Work::default();
        for (name, value) in info.iter() {
            let Some(name) = name.strip_prefix("cmdstat_") else {
                continue;
            };
            let text: String = redis::from_redis_value(value.clone())?;
            let number = |of: &str| -> anyhow::Result<f64> {
                let mut fields = text.split(',');
                let field = fields.find_map(|field| field.strip_prefix(of)?.strip_prefix('='));
                Ok(field.context("a strange line of INFO")?.parse()?)
            };
            let calls = number("calls")?;
            match name {
                "info" => continue,
                "xadd" => work.appends += calls,
                "evalsha" | "eval" | "fcall" => work.script_seconds += number("usec")? / 1e6,
                _ => {}
            }
            work.commands += calls;
        }
        Ok(work)
    }
}
