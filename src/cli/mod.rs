//! The command line: one file a subcommand.

mod bench;
#[expect(clippy::print_stdout, reason = "this speaks to a person who is there")]
mod chat;
mod check;
mod completions;
mod credential;
mod file_limit;
mod man;
mod manual;
mod output;
mod serve;
mod server_url;
mod token;
mod units;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::Config;

/// A token-streaming server for language models.
///
/// Clients POST a prompt and receive its tokens as Server-Sent Events. A stream survives its
/// client's network: whoever comes back with the last event id gets the rest, byte for byte.
///
/// Without a command it serves. Without a configuration it serves a demo model on 127.0.0.1:8080,
/// with a development key that it makes itself.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = manual::help("tailrace"))]
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

#[derive(Debug, Subcommand)]
enum Command {
    #[command(after_long_help = manual::help("serve"))]
    /// Serve until SIGINT or SIGTERM, then drain; a second signal stops at once, SIGHUP reloads
    Serve(serve::Arguments),
    /// Ask a server, and stream its answer to the terminal
    ///
    /// The answer appears word by word, and survives the network: a connection that is lost is made
    /// again, and the answer goes on where it was, also on another node of a cluster. Ctrl-C cancels
    /// the generation; a second one leaves at once.
    #[command(after_long_help = manual::help("chat"))]
    Chat(Box<chat::Arguments>),
    /// Load a server that streams, and report how it bears that
    ///
    /// It starts streams, reads all of them, and tells how soon the first tokens came, how evenly the others
    /// did, and what that cost. Of a Tailrace server it checks every stream: each event once and in
    /// order, one end, and the text that the end names.
    #[command(after_long_help = manual::help("bench"))]
    Bench(Box<bench::Arguments>),
    #[command(after_long_help = manual::help("token"))]
    /// Print a token (JWT) signed with a configured key
    Token(token::Arguments),
    #[command(after_long_help = manual::help("check"))]
    /// Check the configuration without starting, and say what it means
    Check(serve::Arguments),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Arguments),
    /// Print a manual page, or write all of them
    Man(man::Arguments),
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
            Command::Chat(arguments) => chat::run(path, &arguments),
            Command::Bench(arguments) => bench::run(path, &arguments),
            Command::Completions(arguments) => completions::run(Self::command(), &arguments),
            Command::Man(arguments) => man::run(Self::command(), &arguments),
            Command::Token(arguments) => token::run(&Config::load(path)?, &arguments),
            Command::Check(arguments) => {
                check::run(&Config::load_with(path, arguments.overrides())?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_how_it_exits() {
        for command in Cli::command().get_subcommands() {
            let parts = manual::parts(command.get_name());
            assert!(parts.iter().any(|part| part.title == "Exit status"));
        }
    }
}
