//! What the kernel says: what the process uses, under the names that all of Prometheus' clients give it,
//! and how many connections it gave up. From `/proc`; where there is none, these are left out.

use procfs::process::{LimitValue, Process, Stat};

use super::Samples;
use super::catalogue::{
    PROCESS_CPU, PROCESS_FDS, PROCESS_MOST_FDS, PROCESS_RESIDENT, PROCESS_START, PROCESS_VIRTUAL,
    TCP_TIMEOUTS,
};

/// Looks at this process.
pub(super) fn look(samples: &mut Samples) {
    if let Ok(netstat) = std::fs::read_to_string("/proc/self/net/netstat")
        && let Some(count) = tcp_timeouts(&netstat)
    {
        samples.count(TCP_TIMEOUTS, &[], count);
    }
    let Ok(process) = Process::myself() else {
        return;
    };
    if let Ok(stat) = process.stat() {
        times(samples, &stat);
        samples.count(PROCESS_RESIDENT, &[], stat.rss * procfs::page_size());
        samples.count(PROCESS_VIRTUAL, &[], stat.vsize);
    }
    if let Ok(open) = process.fd_count() {
        samples.count(PROCESS_FDS, &[], open as u64);
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        samples.count(PROCESS_MOST_FDS, &[], most);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of a clock are far from what a double can hold"
)]
fn times(samples: &mut Samples, stat: &Stat) {
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    samples.set(PROCESS_CPU, &[], seconds(stat.utime + stat.stime));
    if let Ok(booted) = procfs::boot_time_secs() {
        samples.set(PROCESS_START, &[], booted as f64 + seconds(stat.starttime));
    }
}

/// Under a line of names stands one of numbers.
fn tcp_timeouts(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(numbers.split(' '));
    let (_, count) = pairs.find(|(name, _)| *name == "TCPAbortOnTimeout")?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_by_its_names() {
        let table = "TcpExt: SyncookiesSent TCPAbortOnTimeout TCPAbortOnLinger\nTcpExt: 1 23 4\nIpExt: A\nIpExt: 5\n";
        assert_eq!(tcp_timeouts(table), Some(23));
        assert_eq!(tcp_timeouts("TcpExt: A\nTcpExt: 1\n"), None);
        let now = std::fs::read_to_string("/proc/self/net/netstat").unwrap();
        assert!(tcp_timeouts(&now).is_some());
    }
}
