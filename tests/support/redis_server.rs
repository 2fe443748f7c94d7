//! A Redis of a test's own, which keeps what it has over a restart and is gone with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, Connection, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};

pub struct RedisServer {
    child: Child,
    pub port: u16,
    arguments: Vec<String>,
    /// Where it runs; tests may keep their own files beside its.
    pub directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one. It may take a moment until it answers.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more settings, each as on the command line.
    pub fn with(settings: &[&str]) -> Self {
        Self::with_file("", settings)
    }

    /// Starts one that has a configuration file of its own to write in, as sentinels want.
    pub fn with_file(file: &str, settings: &[&str]) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("redis.conf"), file).unwrap();
        let mut arguments: Vec<String> = ["redis.conf", "--bind", "127.0.0.1", "--port"]
            .map(str::to_owned)
            .into();
        arguments.push(port.to_string());
        if file.is_empty() {
            let kept = [
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ];
            arguments.extend(kept.map(str::to_owned));
        }
        arguments.extend(settings.iter().map(ToString::to_string));
        Self {
            child: spawn(&arguments, directory.path()),
            port,
            arguments,
            directory,
        }
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.child = spawn(&self.arguments, self.directory.path());
    }

    /// Makes it hang, with its connections open.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Its URL, with its password if it has one.
    pub fn url(&self) -> String {
        let mut arguments = self.arguments.iter();
        let password = arguments
            .find(|argument| *argument == "--requirepass")
            .and_then(|_| arguments.next())
            .map(|password| format!(":{password}@"));
        format!(
            "redis://{}127.0.0.1:{}/",
            password.unwrap_or_default(),
            self.port
        )
    }

    pub fn try_connect(&self) -> Option<Connection> {
        Client::open(self.url()).unwrap().get_connection().ok()
    }

    /// Asks it something of its own accord, as `redis-cli` does.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.try_connect().unwrap()).unwrap()
    }

    /// Waits until it answers.
    pub fn wait(&self) {
        self.wait_until("PING", |answer: String| answer == "PONG");
    }

    /// Waits until it answers so.
    pub fn wait_until<T: FromRedisValue>(&self, question: &str, is_right: impl Fn(T) -> bool) {
        let mut words = question.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(&words.collect::<Vec<_>>()[..]);
        for _ in 0..1000 {
            let answer = self
                .try_connect()
                .and_then(|mut connection| command.query::<T>(&mut connection).ok());
            if answer.is_some_and(&is_right) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("Redis did not come to answer {question} as it must");
    }
}

fn spawn(arguments: &[String], directory: &Path) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed: scripts/test does it")
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
