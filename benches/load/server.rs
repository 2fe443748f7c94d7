//! The servers under test, each a process of its own on the server's core, gone when dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::machine::{self, Cores};
use crate::scrape::Scraper;
use crate::{bare, tied};

/// This package's own.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tailrace");

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Where what it says is kept, in its home.
const SAID: &str = "said";

/// Wide limits and long times, so that nothing but the load decides. What is not named here has
/// its default, the log of one line for each stream too.
pub(crate) const CONFIG: &str = r#"
drain_timeout = "1s"

[log]
format = "json"

[http]
heartbeat = "1h"

[limits]
max_streams = 20000

[generation]
first_token_timeout = "1h"
idle_timeout = "1h"

[models.demo]
generator = "demo"
"#;

/// What [`Kind::Watched`] has beside that.
const METRICS: &str = "\n[metrics]\nbind = \"127.0.0.1:0\"\n";

/// What [`Kind::Unwatched`] has beside that: the monitor counts tokens too.
const NO_MONITOR: &str = "\n[monitor]\nenabled = false\n";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The release build of this package.
    Tailrace,
    /// The same, with metrics that are read each second.
    Watched,
    /// The same, with neither metrics nor the monitor.
    Unwatched,
    /// The handler of [`bare`].
    Bare,
}

impl Kind {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tailrace => "tailrace",
            Self::Watched => "tailrace with metrics",
            Self::Unwatched => "tailrace without metrics and monitor",
            Self::Bare => "bare handler",
        }
    }
}

/// A server that listens, and what else belongs to it.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    token: String,
    home: TempDir,
    scraper: Option<Scraper>,
}

impl Server {
    /// Starts a server on its core.
    pub(crate) fn start(kind: Kind, cores: Cores) -> anyhow::Result<Self> {
        let started = match kind {
            Kind::Tailrace => Self::tailrace(CONFIG, cores),
            Kind::Watched => Self::watched(cores),
            Kind::Unwatched => Self::tailrace(&format!("{CONFIG}{NO_MONITOR}"), cores),
            Kind::Bare => Self::bare(cores),
        };
        started.with_context(|| format!("cannot start the {}", kind.name()))
    }

    fn bare(cores: Cores) -> anyhow::Result<Self> {
        let mut command = tied::command(std::env::current_exe()?)?;
        command.arg(bare::ARGUMENT);
        let mut server = Self::spawn(command, tempfile::tempdir()?, cores, cores.server)?;
        server.wait_until_it_listens()?;
        Ok(server)
    }

    /// Tailrace with metrics, and somebody who reads them.
    fn watched(cores: Cores) -> anyhow::Result<Self> {
        let mut server = Self::tailrace(&format!("{CONFIG}{METRICS}"), cores)?;
        let address = server.address_in("Metrics are at /metrics");
        let address = address.context("it does not say where its metrics are")?;
        server.scraper = Some(Scraper::start(address));
        Ok(server)
    }

    /// Starts Tailrace on its core with these settings.
    pub(crate) fn tailrace(settings: &str, cores: Cores) -> anyhow::Result<Self> {
        Self::configured(tied::command(PROGRAM)?, settings, cores)
    }

    /// Starts on its core this program in a role that embeds Tailrace, with these settings.
    pub(crate) fn embedding(role: &str, settings: &str, cores: Cores) -> anyhow::Result<Self> {
        let mut command = tied::command(std::env::current_exe()?)?;
        command.arg(role);
        Self::configured(command, settings, cores)
    }

    fn configured(mut command: Command, settings: &str, cores: Cores) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let token = token(home.path(), settings)?;
        configure(&mut command, home.path(), settings)?;
        let mut server = Self::spawn(command, home, cores, cores.server)?;
        server.token = token;
        server.wait_until_it_listens()?;
        Ok(server)
    }

    /// Starts a program that is tied to us on one of the cores. `home` is gone when it is.
    pub(crate) fn spawn(
        mut command: Command,
        home: TempDir,
        cores: Cores,
        core: usize,
    ) -> anyhow::Result<Self> {
        // A file and no pipe: nobody has to empty it while time is measured.
        let said = File::create(home.path().join(SAID))?;
        command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        // A process inherits the core of the thread that starts it.
        machine::pin(core)?;
        let child = command.spawn();
        machine::pin(cores.load)?;
        Ok(Self {
            child: child?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: String::from("none"),
            home,
            scraper: None,
        })
    }

    /// Waits until it says where it listens, in the words of Tailrace.
    pub(crate) fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        self.wait(START_TIMEOUT, |server| {
            let Some(address) = server.address_in("Listening") else {
                return false;
            };
            server.address = address;
            true
        })
    }

    /// The address in its line with this message.
    fn address_in(&self, message: &str) -> Option<SocketAddr> {
        #[derive(Deserialize)]
        struct Line {
            message: String,
            address: SocketAddr,
        }
        let text = self.said();
        let lines = text.lines();
        let mut lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let line = lines.find(|line| line.message == message);
        line.map(|line| line.address)
    }

    /// Waits until `ready` says that it is.
    pub(crate) fn wait(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&mut Self) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !ready(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.said());
            }
            if started.elapsed() > limit {
                bail!("the server is not ready:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What it has said so far.
    fn said(&self) -> String {
        fs::read_to_string(self.home.path().join(SAID)).unwrap_or_default()
    }

    /// It listens here, and accepts this as a bearer token.
    pub(crate) fn listens_at(&mut self, address: SocketAddr, token: &str) {
        self.address = address;
        token.clone_into(&mut self.token);
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to send as a bearer token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.scraper.take());
        // It may be gone already; then there is nothing to stop.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Gives a program our configuration and nobody's environment.
fn configure(command: &mut Command, home: &Path, settings: &str) -> anyhow::Result<()> {
    let config = home.join("tailrace.toml");
    fs::write(&config, settings)?;
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_STATE_HOME", home)
        .env("TAILRACE_CONFIG", config)
        .env("TAILRACE_BIND", "127.0.0.1:0")
        .env("TAILRACE_WORKERS", "1");
    Ok(())
}

/// A token that the server will accept, made by its own command.
fn token(home: &Path, settings: &str) -> anyhow::Result<String> {
    let mut command = tied::command(PROGRAM)?;
    configure(&mut command, home, settings)?;
    let output = command.arg("token").output()?;
    if !output.status.success() {
        bail!(
            "`tailrace token` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
