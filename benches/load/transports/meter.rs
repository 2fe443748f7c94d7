//! What a server, this program and all others use while it runs.

use std::time::Instant;

use tailrace::load::{Usage, busy_seconds};

use crate::server::Server;

/// Runs from [`Meter::start`] to [`Meter::stop`].
pub(super) struct Meter<'a> {
    server: &'a Server,
    started: Instant,
    server_before: Usage,
    load_before: Usage,
    busy_before: f64,
}

/// What was used while a [`Meter`] ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    /// How long it ran.
    pub(super) seconds: f64,
    /// CPU seconds of the server.
    pub(super) server_seconds: f64,
    /// Those of them that the kernel spent for it.
    pub(super) kernel_seconds: f64,
    /// How busy this program's core was with it, in percent.
    pub(super) load_percent: f64,
    /// How busy the machine was with anything else, in percent of one core.
    pub(super) others_percent: f64,
}

impl<'a> Meter<'a> {
    /// Starts to measure this server, and this program.
    pub(super) fn start(server: &'a Server) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            started: Instant::now(),
            server_before: Usage::of(server.pid())?,
            load_before: Usage::of(std::process::id())?,
            busy_before: busy_seconds().unwrap_or_default(),
        })
    }

    /// What was used since.
    pub(super) fn stop(self) -> anyhow::Result<Used> {
        let seconds = self.started.elapsed().as_secs_f64();
        let server = Usage::of(self.server.pid())?;
        let load = Usage::of(std::process::id())?;
        let busy = busy_seconds().unwrap_or_default() - self.busy_before;
        let server_seconds = server.cpu_seconds() - self.server_before.cpu_seconds();
        let load_seconds = load.cpu_seconds() - self.load_before.cpu_seconds();
        let others_seconds = (busy - server_seconds - load_seconds).max(0.0);
        Ok(Used {
            seconds,
            server_seconds,
            kernel_seconds: server.kernel_seconds - self.server_before.kernel_seconds,
            load_percent: 100.0 * load_seconds / seconds,
            others_percent: 100.0 * others_seconds / seconds,
        })
    }
}
