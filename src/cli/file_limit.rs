//! How many files may be open: each connection is one, at either end.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::app;
use crate::config::{Config, ModelConfig};

/// Raises the soft limit, which is often 1024 and ours to raise.
///
/// # Errors
/// The system does not let us.
pub(super) fn raise_file_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// How many may be open; nothing if that is not limited.
pub(super) fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// What to say of a configuration that may take more than twice what this process can have open, once it has
/// raised its limit.
pub(super) fn warning(config: &Config) -> Option<String> {
    let limit = getrlimit(Resource::Nofile).maximum?;
    let (connections, workers) = (config.file.max_connections, app::workers(config));
    let asks_upstreams = config.upstream.is_some()
        || config
            .models
            .values()
            .any(|model| !matches!(model, ModelConfig::Demo(_)));
    let streams = config.file.limits.max_streams;
    let (upstreams, what) = if asks_upstreams {
        let what = format!(" and limits.max_streams ({streams}, each with an upstream)");
        (u64::from(streams), what)
    } else {
        (0, String::new())
    };
    let wanted = (connections as u64)
        .saturating_mul(workers as u64)
        .saturating_add(upstreams);
    (limit < wanted / 2).then(|| {
        format!(
            "max_connections ({connections} for each of {workers} workers){what} may take {wanted} file \
             descriptors, and this process may have {limit}: beyond it no connection is accepted and no \
             upstream asked. Raise its limit (ulimit -Hn, or systemd's LimitNOFILE), or lower max_connections"
        )
    })
}
