//! What a process uses, as the kernel counts it: CPU time and memory, from `/proc`.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;

use crate::server::Server;

/// CPU seconds since a process started. The kernel tells them in ticks, of which there are often
/// 100 a second: over some seconds that is a fraction of a percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    user: f64,
    kernel: f64,
}

impl CpuTime {
    /// What the process has used so far.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program, in brackets, may hold anything; what follows it are numbers.
        let (_, fields) = stat
            .rsplit_once(')')
            .context("a strange /proc/<pid>/stat")?;
        let seconds = |at: usize| -> anyhow::Result<f64> {
            let field = fields.split_whitespace().nth(at);
            let ticks: f64 = field.context("a short /proc/<pid>/stat")?.parse()?;
            Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
        };
        // proc(5): utime and stime are the fields 14 and 15, and the first one here is field 3.
        Ok(Self {
            user: seconds(11)?,
            kernel: seconds(12)?,
        })
    }

    /// All of it, in seconds.
    pub(crate) const fn total(self) -> f64 {
        self.user + self.kernel
    }
}

/// For how many seconds these cores have been busy since the machine started, whoever it was.
pub(crate) fn busy(cores: &[usize]) -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let mut ticks = 0.0;
    for core in cores {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal, and two that user and nice
        // include.
        for (at, field) in line.unwrap_or_default().split_whitespace().enumerate() {
            if matches!(at, 0..=2 | 5..=7) {
                ticks += field.parse::<f64>()?;
            }
        }
    }
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Runs from [`Meter::start`] to [`Meter::stop`].
pub(crate) struct Meter<'a> {
    server: &'a Server,
    started: Instant,
    server_before: CpuTime,
    load_before: CpuTime,
    busy_before: f64,
}

/// What was used while a [`Meter`] ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// How long it ran.
    pub(crate) seconds: f64,
    /// CPU seconds of the server.
    pub(crate) server_seconds: f64,
    /// Those of them that the kernel spent for it.
    pub(crate) kernel_seconds: f64,
    /// How busy this program's core was with it, in percent.
    pub(crate) load_percent: f64,
    /// How busy the two cores were with anything else, in percent of one core.
    pub(crate) others_percent: f64,
}

impl<'a> Meter<'a> {
    /// Starts to measure this server, and this program.
    pub(crate) fn start(server: &'a Server) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            started: Instant::now(),
            server_before: CpuTime::of(server.pid())?,
            load_before: CpuTime::of(std::process::id())?,
            busy_before: busy(&server.cores().both())?,
        })
    }

    /// What was used since.
    pub(crate) fn stop(self) -> anyhow::Result<Used> {
        let seconds = self.started.elapsed().as_secs_f64();
        let server = CpuTime::of(self.server.pid())?;
        let load = CpuTime::of(std::process::id())?;
        let busy = busy(&self.server.cores().both())? - self.busy_before;
        let server_seconds = server.total() - self.server_before.total();
        let load_seconds = load.total() - self.load_before.total();
        let others_seconds = (busy - server_seconds - load_seconds).max(0.0);
        Ok(Used {
            seconds,
            server_seconds,
            kernel_seconds: server.kernel - self.server_before.kernel,
            load_percent: 100.0 * load_seconds / seconds,
            others_percent: 100.0 * others_seconds / seconds,
        })
    }
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident set size: all pages that it has in memory.
    pub(crate) rss: f64,
    /// Proportional set size: pages that it shares count in parts.
    pub(crate) pss: f64,
}

impl Memory {
    /// What the process has in memory now.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = |name: &str| -> anyhow::Result<f64> {
            let mut lines = rollup.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.context("a strange smaps_rollup")?.parse()?)
        };
        Ok(Self {
            rss: kib("Rss:")?,
            pss: kib("Pss:")?,
        })
    }

    /// How much more this is than `before`, for each of `streams`.
    pub(crate) fn per_stream(self, before: Self, streams: usize) -> Self {
        let share = |now: f64, before: f64| (now - before) / streams as f64;
        Self {
            rss: share(self.rss, before.rss),
            pss: share(self.pss, before.pss),
        }
    }
}
