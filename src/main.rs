//! The `tailrace` program: see `tailrace --help`.

#![expect(
    clippy::print_stderr,
    reason = "this is where the program speaks to a person"
)]

use std::process::ExitCode;

use clap::Parser as _;
use tailrace::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tailrace: {error:#}");
            ExitCode::from(2)
        }
    }
}
