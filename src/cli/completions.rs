//! `tailrace completions`: what shells need to complete commands and options.

use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::output::print;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell; for bash: tailrace completions bash > ~/.local/share/bash-completion/completions/tailrace
    #[arg(value_enum)]
    shell: Shell,
}

/// # Errors
/// Standard output cannot be written.
pub(super) fn run(mut program: Command, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "tailrace", &mut script);
    print(script)?;
    Ok(ExitCode::SUCCESS)
}
