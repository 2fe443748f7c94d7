//! A Redis of a test's own, which keeps what it has over a restart and is gone with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct RedisServer {
    child: Child,
    port: u16,
    /// Where it runs; tests may keep their own files beside its.
    pub directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one. It may take a moment until it answers.
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        Self {
            child: Self::spawn(port, directory.path()),
            port,
            directory,
        }
    }

    fn spawn(port: u16, directory: &Path) -> Child {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: scripts/test does it")
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.child = Self::spawn(self.port, self.directory.path());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
