//! The nodes: real processes of the program, on ports that stay theirs.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::http::ask;
use crate::redis::until;
use crate::token::SECRET;

pub struct Node {
    pub address: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Node {
    /// Starts a node with more settings, and waits until it is ready.
    pub async fn start(directory: &Path, number: usize, redis: u16, more: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let config = directory.join(format!("node-{number}.toml"));
        std::fs::write(&config, settings(address, redis) + more).unwrap();
        let log = directory.join(format!("node-{number}.log"));
        let child = spawn(&config, &log);
        let node = Self {
            address,
            config,
            log,
            child,
        };
        node.ready().await;
        node
    }

    /// Waits until the node takes requests.
    pub async fn ready(&self) {
        let address = self.address;
        until(async || {
            let ready = ask(address, "GET", "/readyz", &[], "").await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    pub fn start_again(&mut self) {
        self.child = spawn(&self.config, &self.log);
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It does nothing more until it is resumed.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Asks it to stop when its streams have ended, and waits for that. Answers whether it stopped
    /// well.
    pub async fn drain(&mut self) -> bool {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tailrace"))
        .env_clear()
        .env("TAILRACE_CONFIG", config)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn settings(address: SocketAddr, redis: u16) -> String {
    format!(
        r#"
bind = "{address}"
workers = 1
store = "redis"
redis.url = "redis://127.0.0.1:{redis}/"
log.level = "info"
http.heartbeat = "2s"
generation.abandon_after = "10m"
auth.keys = [{{ id = "test", algorithm = "HS256", secret = "{SECRET}" }}]
models.demo = {{ generator = "demo" }}
limits.plans.default = {{ requests_per_minute = 1000000, burst = 100000, streams = 10000, tokens_per_minute = 1000000000 }}
"#
    )
}
