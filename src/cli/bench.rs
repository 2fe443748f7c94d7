//! `tailrace bench`: loads a server that streams, and reports.

#![expect(
    clippy::cast_precision_loss,
    reason = "what is counted here stays far below 2^52"
)]

mod arguments;
mod command_line;
mod html;
mod json;
mod output;
mod progress;
mod request;
mod table;
mod target;
mod verdict;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

pub(super) use self::arguments::Arguments;
use self::command_line::command_line;
use self::json::Document;
use self::output::Output;
use self::progress::Progress;
use super::file_limit::{file_limit, raise_file_limit};
use crate::load::{self, Arrivals, GivenUp, Plan, Stopped, Usage};

/// Something was wrong with what was measured.
const WRONG: u8 = 1;

/// The server refuses.
const REFUSED: u8 = 3;

/// There is no server.
const UNREACHABLE: u8 = 4;

/// It was ended with Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Loads a server and reports.
///
/// # Errors
/// Something in the arguments or the configuration is wrong, or a report cannot be written.
pub(super) fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = arguments.plan()?;
    check_files(&plan)?;
    let pids = arguments.pids();
    for pid in &pids {
        Usage::of(*pid).with_context(|| format!("cannot watch process {pid}"))?;
    }
    let target = arguments.target(&plan, config)?;
    // A file that cannot be written is told now, and not after minutes.
    let mut outputs = arguments.outputs()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let progress = Progress::new(&plan);
    let found = runtime.block_on(async {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let stop = async || {
            interrupts.recv().await;
        };
        load::run(plan, target, &pids, stop, |live| progress.show(live)).await
    });
    progress.end();
    let findings = match found {
        Ok(findings) => findings,
        Err(given_up) => return gave_up(given_up, arguments),
    };
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let command = command_line(&words.collect::<Vec<String>>(), &arguments.url);
    let document = Document::new(command, arguments.url(), arguments.model(), &findings);
    for output in &mut outputs {
        output.write(&document)?;
    }
    if !outputs.iter().any(Output::is_stdout) {
        // Whoever does not read it does not want it.
        let _closed = write!(std::io::stdout(), "{}", table::Table(&document));
    }
    Ok(ExitCode::from(match &findings {
        findings if findings.wrong => WRONG,
        findings if findings.interrupted => INTERRUPTED,
        _ => return Ok(ExitCode::SUCCESS),
    }))
}

/// Each stream is a file.
fn check_files(plan: &Plan) -> anyhow::Result<()> {
    /// What we have open besides.
    const OTHERS: u64 = 32;
    raise_file_limit().context("cannot raise the limit of open files")?;
    let Arrivals::Streams(streams) = plan.arrivals else {
        return Ok(());
    };
    let wanted = u64::from(streams) * plan.fan.map_or(1, |fan| u64::from(fan.readers) + 1) + OTHERS;
    match file_limit() {
        Some(limit) if limit < wanted => {
            anyhow::bail!("{wanted} files would be open at once, and {limit} may be (`ulimit -Hn`)")
        }
        _ => Ok(()),
    }
}

/// Nothing came of it.
fn gave_up(GivenUp { why, left }: GivenUp, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments.url();
    let left = left.map_or_else(String::new, |left| format!("\n{left}"));
    let (status, why) = match why {
        Stopped::Refused(refused) if refused.status == 401 => (
            REFUSED,
            format!(
                "{url} does not accept the token: {refused}\n{}",
                target::ABOUT_TOKEN
            ),
        ),
        Stopped::Refused(refused) if refused.is_of_path() => (
            REFUSED,
            format!("{url} refuses: {refused}\n{}", arguments.about_server()),
        ),
        Stopped::Refused(refused) => (REFUSED, format!("{url} refuses: {refused}")),
        Stopped::Unreachable(why) => (
            UNREACHABLE,
            format!("{url}: {why}\n{}", arguments.about_server()),
        ),
        Stopped::Io(error) => return Err(anyhow::anyhow!("{error}{left}")),
    };
    let _closed = writeln!(std::io::stderr(), "tailrace: {why}{left}");
    Ok(ExitCode::from(status))
}
