//! What the server's process holds: what the kernel says of it, and what it says itself.

use std::net::SocketAddr;

use serde::Serialize;

use crate::client::Request;
use crate::growth::Bound;

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Sample {
    /// Since the beginning of the load.
    pub seconds: f64,
    pub resident_mib: f64,
    /// What of that is no file: heap and stacks.
    pub anonymous_mib: f64,
    pub descriptors: f64,
    /// Those of them that are connections, listeners and the like. The server has a task for each.
    pub sockets: f64,
    pub threads: f64,
    /// Generations under way, of which each is a task.
    pub generations: f64,
    pub readers: f64,
    pub log_streams: f64,
    pub log_mib: f64,
}

/// What of a sample is judged.
pub struct Judged {
    pub name: &'static str,
    pub unit: &'static str,
    pub of: fn(&Sample) -> f64,
    pub bound: Bound,
    /// How much more of it there may be after the load than before. Memory has none: allocators keep what they had, and
    /// so it may be what it was under load, and by its bound more.
    pub left: Option<f64>,
}

/// What looks at the process is a client too.
pub const LOOKING: f64 = 2.0;

const fn bound(share: f64, least: f64) -> Bound {
    Bound { share, least }
}

/// Memory moves by what allocators keep, the rest by chance.
pub const JUDGED: [Judged; 9] = [
    Judged {
        name: "resident memory",
        unit: "MiB",
        of: |it| it.resident_mib,
        bound: bound(0.1, 4.0),
        left: None,
    },
    Judged {
        name: "anonymous memory",
        unit: "MiB",
        of: |it| it.anonymous_mib,
        bound: bound(0.1, 4.0),
        left: None,
    },
    Judged {
        name: "descriptors",
        unit: "",
        of: |it| it.descriptors,
        bound: bound(0.1, 10.0),
        left: Some(LOOKING),
    },
    Judged {
        name: "sockets",
        unit: "",
        of: |it| it.sockets,
        bound: bound(0.1, 10.0),
        left: Some(LOOKING),
    },
    Judged {
        name: "threads",
        unit: "",
        of: |it| it.threads,
        bound: bound(0.0, 0.5),
        left: Some(0.0),
    },
    Judged {
        name: "generations",
        unit: "",
        of: |it| it.generations,
        bound: bound(0.1, 10.0),
        left: Some(LOOKING),
    },
    Judged {
        name: "readers",
        unit: "",
        of: |it| it.readers,
        bound: bound(0.1, 10.0),
        left: Some(LOOKING),
    },
    Judged {
        name: "streams in the log",
        unit: "",
        of: |it| it.log_streams,
        bound: bound(0.1, 20.0),
        left: Some(LOOKING),
    },
    Judged {
        name: "bytes in the log",
        unit: "MiB",
        of: |it| it.log_mib,
        bound: bound(0.1, 2.0),
        left: Some(LOOKING),
    },
];

/// Looks at this process, whose page of metrics is there.
pub fn sample(pid: u32, metrics: SocketAddr, seconds: f64) -> Sample {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of_kernel = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets: Vec<bool> = open
        .filter_map(|entry| {
            // It may be closed by now.
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            Some(target.to_str()?.starts_with("socket:"))
        })
        .collect();
    let page = Request::new(metrics, "GET", "/metrics").send().text();
    let said = |name: &str| -> f64 {
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            if !rest.starts_with([' ', '{']) {
                return None;
            }
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        values.sum()
    };
    assert!(page.contains("tailrace_generations_active"), "{page}");
    Sample {
        seconds,
        resident_mib: of_kernel("VmRSS:") / 1024.0,
        anonymous_mib: of_kernel("RssAnon:") / 1024.0,
        descriptors: count(targets.len()),
        sockets: count(targets.iter().filter(|is_socket| **is_socket).count()),
        threads: of_kernel("Threads:"),
        generations: said("tailrace_generations_active"),
        readers: said("tailrace_readers_active"),
        log_streams: said("tailrace_log_streams"),
        log_mib: said("tailrace_log_bytes") / 1024.0 / 1024.0,
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
