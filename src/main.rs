//! The `tailrace` program: see `tailrace --help`.

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
