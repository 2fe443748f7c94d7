//! Runs `tailrace bench` on the load's core, and reads what it has found.

use std::net::SocketAddr;
use std::process::{Child, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::server::{PROGRAM, Server};
use crate::tied;

/// A load under way.
pub(crate) struct Load(Child);

impl Load {
    /// Loads a server with these options, and watches these processes. A path after the address is a part
    /// of the URL.
    pub(crate) fn start(
        address: SocketAddr,
        path: &str,
        token: &str,
        pids: &[u32],
        options: &[String],
    ) -> anyhow::Result<Self> {
        let mut command = tied::command(PROGRAM)?;
        command.arg("bench").arg(format!("http://{address}{path}"));
        command.args(["--json", "-"]).args(options);
        for pid in pids {
            command.args(["--pid", &pid.to_string()]);
        }
        command
            .env("TAILRACE_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Loads this server with these options to its end, and watches it. Whatever was wrong is an error.
    pub(crate) fn run(server: &Server, path: &str, options: &[String]) -> anyhow::Result<Found> {
        let pids = [server.pid()];
        let load = Self::start(server.address(), path, server.token(), &pids, options)?;
        let found = load.wait()?;
        if found.0["wrong"] != Value::Bool(false) {
            bail!("the load was not borne: {}", found.0["failures"]);
        }
        Ok(found)
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> anyhow::Result<Found> {
        let output = self.0.wait_with_output()?;
        let found = serde_json::from_slice(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        Ok(Found(found.with_context(|| format!("no report: {told}"))?))
    }
}

/// What a load has found, as docs/bench.md explains it.
pub(crate) struct Found(Value);

impl Found {
    /// The figure at this place; not a number if there is none.
    pub(crate) fn figure(&self, pointer: &str) -> f64 {
        let found = self.0.pointer(pointer).and_then(Value::as_f64);
        found.unwrap_or(f64::NAN)
    }

    /// CPU for each token that came, of the process that was named at this place, in microseconds.
    pub(crate) fn cpu_us_per_token(&self, process: usize) -> f64 {
        self.figure(&format!("/processes/{process}/cpu_us_per_token"))
    }

    /// What of that the kernel spent.
    pub(crate) fn kernel_us_per_token(&self, process: usize) -> f64 {
        let seconds = self.figure(&format!("/processes/{process}/kernel_seconds"));
        seconds * 1e6 / self.figure("/tokens/count")
    }

    /// How much more memory the first process has for each open stream, in KiB: `resident` or
    /// `proportional`.
    pub(crate) fn kib_per_stream(&self, which: &str) -> f64 {
        let memory = |name: &str| self.figure(&format!("/processes/0/memory/{name}"));
        let more = memory(which) - memory(&format!("{which}_before"));
        more / memory("streams") / 1024.0
    }

    /// Of the tokens that so many streams should have had at this pace, the part that came, in percent.
    pub(crate) fn arrived_percent(&self, streams: usize, tokens_per_second: u32) -> f64 {
        let due = streams as f64 * f64::from(tokens_per_second);
        100.0 * self.figure("/tokens/per_second") / due
    }
}

/// Options of a load.
pub(crate) fn options<const N: usize>(pairs: [(&str, String); N]) -> Vec<String> {
    let pairs = pairs.into_iter();
    pairs
        .flat_map(|(name, value)| [format!("--{name}"), value])
        .collect()
}

/// Options that say what streams of the demo generator are like; the bare handler knows them too.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// How many tokens.
    pub(crate) tokens: u32,
    /// How fast they come; 0 is as fast as they are read.
    pub(crate) tokens_per_second: u32,
    /// After how many tokens it falls silent.
    pub(crate) stall_after: Option<u32>,
}

impl Wanted {
    /// As options.
    pub(crate) fn options(self) -> Vec<String> {
        let mut options = Vec::new();
        let mut knob = |name: &str, value: u32| {
            options.push("--metadata".to_owned());
            options.push(format!("demo.{name}={value}"));
        };
        knob("tokens", self.tokens);
        knob("first_token_delay_ms", 0);
        if let Some(tokens) = self.stall_after {
            knob("stall_after", tokens);
        }
        if self.tokens_per_second == 0 {
            knob("tokens_per_second", 0);
        } else {
            let pace = self.tokens_per_second.to_string();
            options.extend(["--pace".to_owned(), pace]);
        }
        options
    }
}
