//! The machine: which cores the two sides run on, and how many files may be open.

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One core for the server, another for the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// Where the server under test runs.
    pub(crate) server: usize,
    /// Where this program runs.
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores that this process may use; the first, which often serves interrupts, is
    /// for the load.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (load, server) = cores
            .next()
            .zip(cores.next())
            .context("two cores are needed: one for the server and one for the load")?;
        Ok(Self { server, load })
    }

    /// The same, or the only core for both: enough to run, and nothing to measure on.
    pub(crate) fn any() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let only = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core));
        let only = only.context("there is no core")?;
        Ok(Self::choose().unwrap_or(Self {
            server: only,
            load: only,
        }))
    }
}

/// Keeps this thread, and what it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).context("cannot stay on one core")
}

/// Allows as many open files as the system lets us have: each connection is one.
pub(crate) fn raise_file_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}
