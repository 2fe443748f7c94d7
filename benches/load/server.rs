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
use crate::{bare, tied};

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Wide limits and long times, so that nothing but the load decides. What is not named here has
/// its default, the log of one line for each stream too.
const CONFIG: &str = r#"
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

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The release build of this package.
    Tailrace,
    /// The handler of [`bare`].
    Bare,
}

impl Kind {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tailrace => "tailrace",
            Self::Bare => "bare handler",
        }
    }
}

/// A server that listens.
pub(crate) struct Server {
    child: Child,
    cores: Cores,
    address: SocketAddr,
    token: String,
    _home: TempDir,
}

impl Server {
    /// Starts a server on its core.
    pub(crate) fn start(kind: Kind, cores: Cores) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let (mut command, token) = match kind {
            Kind::Tailrace => (tailrace(home.path())?, token(home.path())?),
            Kind::Bare => {
                let mut command = tied::command(std::env::current_exe()?)?;
                command.arg(bare::ARGUMENT);
                (command, String::from("none"))
            }
        };
        // A file and no pipe: nobody has to empty it while time is measured.
        let said = home.path().join("stderr");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?);
        // A process inherits the core of the thread that starts it.
        machine::pin(cores.server)?;
        let child = command.spawn();
        machine::pin(cores.load)?;
        let mut server = Self {
            child: child.with_context(|| format!("cannot start the {}", kind.name()))?,
            cores,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token,
            _home: home,
        };
        server.address = server.wait_for_address(&said)?;
        Ok(server)
    }

    fn wait_for_address(&mut self, said: &Path) -> anyhow::Result<SocketAddr> {
        #[derive(Deserialize)]
        struct Line {
            message: String,
            address: SocketAddr,
        }
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(said)?;
            let mut lines = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            if let Some(line) = lines.find(|line: &Line| line.message == "Listening") {
                return Ok(line.address);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{text}");
            }
            if started.elapsed() > START_TIMEOUT {
                bail!("the server does not listen:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to send as a bearer token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Where it runs, and where its load does.
    pub(crate) const fn cores(&self) -> Cores {
        self.cores
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to stop.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The program with our configuration and nobody's environment.
fn tailrace(home: &Path) -> anyhow::Result<Command> {
    let config = home.join("tailrace.toml");
    fs::write(&config, CONFIG)?;
    let mut command = tied::command(env!("CARGO_BIN_EXE_tailrace"))?;
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_STATE_HOME", home)
        .env("TAILRACE_CONFIG", config)
        .env("TAILRACE_BIND", "127.0.0.1:0")
        .env("TAILRACE_WORKERS", "1");
    Ok(command)
}

/// A token that the server will accept, made by its own command.
fn token(home: &Path) -> anyhow::Result<String> {
    let output = tailrace(home)?.arg("token").output()?;
    if !output.status.success() {
        bail!(
            "`tailrace token` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
