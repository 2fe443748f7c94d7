//! How many files may be open: each stream is one, at either end.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

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
