//! Programs that end when this one does, however it ends.
//!
//! A server that is dropped is stopped, but nobody drops anything when this program is killed. So it
//! starts itself once more, which asks the kernel for a signal at its parent's end, and then becomes
//! the program that was meant: the request survives that (prctl(2), `PR_SET_PDEATHSIG`).

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The argument that makes this program become another.
pub(crate) const ARGUMENT: &str = "tied";

/// A command that runs this program, tied to us. Its process id is the program's.
pub(crate) fn command(program: impl AsRef<OsStr>) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(ARGUMENT)
        .arg(std::process::id().to_string())
        .arg(program);
    Ok(command)
}

/// Becomes the program that the arguments name.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(2);
    let parent = arguments.next().context("no parent is named")?;
    let program = arguments.next().context("no program is named")?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have gone before the request was made; then there is nobody to serve.
    let ours = getppid().map(|parent| parent.as_raw_nonzero().to_string());
    anyhow::ensure!(
        ours.as_deref().map(OsStr::new) == Some(parent.as_os_str()),
        "the parent is gone"
    );
    Err(Command::new(program).args(arguments).exec().into())
}
