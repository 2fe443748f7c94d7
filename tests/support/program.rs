//! The program itself as a process, with a directory of its own and its log.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::wait_for;

/// The program with a state directory of its own and nothing from our environment but the path.
pub fn tailrace(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    command
        .env_clear()
        .env("XDG_STATE_HOME", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The address in the line of the log that says this.
fn announced(log: &str, words: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(words))?;
    let line: Value = serde_json::from_str(line).ok()?;
    line["address"].as_str()?.parse().ok()
}

/// A running program, with what it has logged so far.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Arc<Mutex<String>>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.env("TAILRACE_BIND", "127.0.0.1:0").spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap());
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = writer.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = wait_for(|| announced(&log.lock().unwrap(), "Listening"));
        Self {
            child,
            address,
            log,
        }
    }

    /// Where its page of metrics is.
    pub fn metrics(&self) -> SocketAddr {
        wait_for(|| announced(&self.log.lock().unwrap(), "Metrics are at"))
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to drain and stop, as a deploy does.
    pub fn signal(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Asks it to load its configuration again.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// How many lines of the log hold this text.
    pub fn lines(&self, text: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What it has printed, once it has ended.
    pub fn stdout(&mut self) -> String {
        let mut text = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end: its status, and what it printed to both streams.
pub fn output(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}
