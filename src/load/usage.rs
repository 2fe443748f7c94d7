//! What a process uses, as the kernel counts it, from `/proc`.

use procfs::process::Process;
use procfs::{CurrentSI as _, KernelStats, ProcResult};
use serde::Serialize;

/// CPU time of a process since it started, and what it has now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// CPU seconds in its own code. The kernel counts in ticks, of which there are often 100 a second.
    pub user_seconds: f64,
    /// CPU seconds that the kernel spent for it.
    pub kernel_seconds: f64,
    /// Resident set size: all pages that it has in memory, in bytes.
    pub resident_bytes: u64,
    /// How many threads it has.
    pub threads: u64,
    /// How many files and sockets it has open; 0 if we may not see.
    pub descriptors: u64,
}

impl Usage {
    /// What a process uses now.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn of(pid: u32) -> ProcResult<Self> {
        let process = Process::new(i32::try_from(pid).unwrap_or(i32::MAX))?;
        let stat = process.stat()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            user_seconds: seconds(stat.utime),
            kernel_seconds: seconds(stat.stime),
            resident_bytes: stat.rss * procfs::page_size(),
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            descriptors: process.fd_count().unwrap_or_default() as u64,
        })
    }

    /// What this process uses now, if it is still the one that started at that time: its id may have gone to
    /// another one.
    pub(super) fn of_same(pid: u32, started: Option<u64>) -> Option<Self> {
        let usage = Self::of(pid).ok()?;
        (started.is_some() && self::started(pid) == started).then_some(usage)
    }

    /// All its CPU seconds.
    #[must_use]
    pub const fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.kernel_seconds
    }
}

/// Proportional set size of a process, in bytes: pages that it shares count in parts. The process waits
/// while the kernel counts them, so this is not for each second.
pub(super) fn proportional_bytes(pid: u32) -> Option<u64> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let rollup = process.smaps_rollup().ok()?;
    let maps = &rollup.memory_map_rollup.0;
    maps.iter()
        .find_map(|map| map.extension.map.get("Pss").copied())
}

/// When a process that runs has started, in ticks since the machine did.
pub(super) fn started(pid: u32) -> Option<u64> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    // One that has ended and waits for its parent has no memory any more.
    (!matches!(stat.state, 'Z' | 'X' | 'x')).then_some(stat.starttime)
}

/// What a process is called.
pub(super) fn name(pid: u32) -> Option<String> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(process.stat().ok()?.comm)
}

/// For how many seconds all cores together have been busy since the machine started, whoever it was.
#[must_use]
pub fn busy_seconds() -> Option<f64> {
    let total = KernelStats::current().ok()?.total;
    let more = [total.irq, total.softirq, total.steal];
    let ticks = total.user + total.nice + total.system + more.into_iter().flatten().sum::<u64>();
    Some(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// How many cores those are.
pub(super) fn cores() -> usize {
    KernelStats::current().map_or(1, |stats| stats.cpu_time.len().max(1))
}

/// The processor, its cores and the kernel, in one line.
#[must_use]
pub fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = named.map_or("unknown processor", |(_, model)| model);
    let online = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {online} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let ours = std::process::id();
        let usage = Usage::of(ours).unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.threads > 0 && usage.descriptors > 2);
        assert!(proportional_bytes(ours).unwrap() > 100_000);
        assert!(busy_seconds().unwrap() > usage.cpu_seconds());
        assert!(name(ours).is_some());
        assert!(Usage::of(u32::MAX).is_err());
        let since = started(ours);
        assert!(since.is_some() && Usage::of_same(ours, since).is_some());
        // Another process of the same id.
        assert!(Usage::of_same(ours, since.map(|since| since + 1)).is_none());
    }
}
