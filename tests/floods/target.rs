//! The program under a flood: what it holds of the system, and clients that mean well.

use std::io::Read;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::client::Request;
use crate::program::{Program, tailrace};
use crate::server::{BASE, prompt, token, wait_for};
use crate::sse::{Event, check_whole, text};

/// One flood at a time: they measure what their process holds, on a machine that others use too.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Target {
    program: Program,
    _directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Target {
    /// The program with these settings over those of the API tests.
    pub fn start(settings: &str) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // Each of our own connections is a descriptor as well.
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tailrace.toml");
        let base = BASE.replace("log.level = \"off\"\n", "");
        std::fs::write(&path, format!("{base}{settings}")).unwrap();
        let mut command = tailrace(directory.path());
        command.arg("--config").arg(&path);
        let target = Self {
            program: Program::start(command),
            _directory: directory,
            _alone: alone,
        };
        // The first requests wake what is made once; their connections are no part of it.
        let sockets = target.sockets();
        for _ in 0..20 {
            target.healthy(&json!({"tokens": 5})).join().unwrap();
        }
        wait_for(|| (target.sockets() <= sockets).then_some(()));
        target
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.program.address, method, path).bearer(&token("ann"))
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.program.address
    }

    /// How many descriptors it holds.
    pub fn descriptors(&self) -> usize {
        let open = format!("/proc/{}/fd", self.program.child.id());
        std::fs::read_dir(open).unwrap().count()
    }

    /// How many sockets these are.
    pub fn sockets(&self) -> usize {
        let open = format!("/proc/{}/fd", self.program.child.id());
        let targets = std::fs::read_dir(open).unwrap().filter_map(|entry| {
            // It may be closed by now.
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let is_socket = target.to_str()?.starts_with("socket:");
            is_socket.then_some(target)
        });
        targets.collect::<std::collections::HashSet<_>>().len()
    }

    /// How many KiB of memory it has now.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// How many KiB it has had at most.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.program.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Reads a stream of its own, and checks that it is whole.
    pub fn healthy(&self, knobs: &Value) -> JoinHandle<Vec<Event>> {
        let request = self
            .request("POST", "/v1/streams")
            .json(&prompt(knobs.clone()));
        std::thread::spawn(move || {
            let events = request.send().events().rest();
            check_whole(&events);
            assert_eq!(events.last().unwrap().kind, "done");
            assert!(!text(&events).is_empty());
            events
        })
    }

    /// Several of them, at a pace at which people read, for about this many seconds.
    pub fn people(&self, number: usize, seconds: u64) -> Vec<JoinHandle<Vec<Event>>> {
        let knobs = json!({"tokens": seconds * 40, "tokens_per_second": 40});
        (0..number).map(|_| self.healthy(&knobs)).collect()
    }
}

/// Waits for them; how many tokens they have got.
pub fn joined(people: Vec<JoinHandle<Vec<Event>>>) -> usize {
    let tokens = |events: Vec<Event>| events.iter().filter(|it| it.kind == "token").count();
    let counted = people.into_iter().map(|it| tokens(it.join().unwrap()));
    counted.sum()
}

/// All that comes until the server closes the connection or resets it; none if it does neither in time.
pub fn answer(connection: &mut TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        _ => Some(String::from_utf8_lossy(&answer).into_owned()),
    }
}
