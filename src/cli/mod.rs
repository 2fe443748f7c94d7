//! The command line: one file a subcommand.

#![expect(
    clippy::print_stdout,
    reason = "this is where the program speaks to a person"
)]

mod check;
mod serve;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// A token-streaming server for language models.
///
/// Clients POST a prompt and receive its tokens as Server-Sent Events. A stream survives its
/// client's network: whoever comes back with the last event id gets the rest, byte for byte.
///
/// Without a command it serves. Without a configuration it serves a demo model on 127.0.0.1:8080,
/// with a development key that it makes itself.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// The configuration file (TOML); see tailrace.example.toml
    #[arg(
        long,
        short,
        global = true,
        env = "TAILRACE_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Settings also come from the environment: TAILRACE_BIND=127.0.0.1:9000, and with two underscores
for each section, TAILRACE_HTTP__HEARTBEAT=2s. They win over the file.

Exit status: 0 after a stop that drained, 1 after one that did not, 2 for a mistake in the
arguments or the configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM, then drain; a second signal stops at once, SIGHUP reloads
    Serve(serve::Arguments),
    /// Print a token (JWT) signed with a configured key
    Token(token::Arguments),
    /// Check the configuration without starting, and say what it means
    Check(serve::Arguments),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Says what is wrong, in words for the person at the terminal.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let path = self.config.as_deref();
        let command = self
            .command
            .unwrap_or_else(|| Command::Serve(serve::Arguments::default()));
        match command {
            Command::Serve(arguments) => {
                serve::run(Config::load_with(path, arguments.overrides())?)
            }
            Command::Token(arguments) => token::run(&Config::load(path)?, &arguments),
            Command::Check(arguments) => {
                check::run(&Config::load_with(path, arguments.overrides())?)
            }
        }
    }
}
