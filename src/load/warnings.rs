//! What to know before believing the figures, in sentences.

use super::findings::{Client, Streams};
use super::plan::Plan;
use super::recorder::Recorder;
use super::refusal::{Refused, TOO_MANY_FILES};

/// A client that is held up longer than this, in milliseconds, is told.
const LAG_MS: f64 = 50.0;

/// From this part of all cores on, the machine may be what is measured.
const FULL_PERCENT: f64 = 90.0;

/// What there is less of after a run that was `interrupted`: what it did not come to is no reason to ask for more.
pub(super) fn warnings(
    interrupted: bool,
    plan: &Plan,
    recorder: &Recorder,
    streams: &Streams,
    client: &Client,
    refused: Option<&Refused>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(refused) = refused {
        warnings.push(format!("The server has refused: {refused}."));
        if refused.status == 429 {
            let limit = refused.limit.as_deref().map_or_else(String::new, |limit| {
                format!(" It allows {limit} (requests; per seconds).")
            });
            warnings.push(format!(
                "What was measured is a limit.{limit} A Tailrace server's limits are in [limits.plans.NAME] \
                 of its configuration: requests_per_minute, burst, streams, tokens_per_minute; \
                 `tailrace token --plan NAME` makes a token of a plan."
            ));
        }
    }
    if client.saturated {
        warnings.push(format!(
            "This program used {:.0} % of the one core that it can use: it may have measured itself. Use \
             less load, several of it, or --no-check.",
            client.cpu_percent
        ));
    }
    if client.lag_ms > LAG_MS {
        warnings.push(format!(
            "This program was held up for up to {:.0} ms, by itself or by others on this machine: what came \
             meanwhile was seen late.",
            client.lag_ms
        ));
    }
    if plan.shares.cut > 0.0 && recorder.cuts == 0 && !interrupted {
        warnings.push(
            "No connection was cut: no stream that was to be cut has lasted for as long as --cut-every."
                .to_owned(),
        );
    }
    if streams.unfinished > 0 {
        let none = if streams.ended() == 0 && !interrupted {
            " None has come to its end: give --duration or --drain more time."
        } else {
            ""
        };
        warnings.push(format!(
            "{} streams were still under way at the end.{none}",
            streams.unfinished
        ));
    }
    warnings
}

/// What to know of this machine. `gone` are processes that have ended, `full` is how busy all cores were.
pub(super) fn about_machine(
    gone: &[String],
    full: Option<f64>,
    recorder: &Recorder,
) -> impl Iterator<Item = String> {
    let gone = gone.iter().map(|process| {
        format!(
            "Process {process} has ended during the run: what is told of it ends with the last second in \
             which it was seen."
        )
    });
    let full = full.filter(|percent| *percent > FULL_PERCENT).map(|percent| {
        format!(
            "All cores of this machine together were {percent:.0} % busy: what was measured may be the \
             machine."
        )
    });
    let files = recorder.failures.get(TOO_MANY_FILES).map(|times| {
        format!(
            "This machine could not open more files ({times} times): those streams were never asked for, \
             and the server is not at fault. Raise `ulimit -Hn`, or ask for less."
        )
    });
    let all: Vec<String> = gone.chain(full).chain(files).collect();
    all.into_iter()
}

/// What it means if there are no figures.
pub(super) fn about_nothing(
    interrupted: bool,
    streams: &Streams,
    recorder: &Recorder,
) -> Option<&'static str> {
    if streams.are_void(recorder.tokens) {
        return Some(if recorder.bytes == 0 && recorder.failures.is_empty() {
            "Nothing came in all this time; --timeout is longer than the run."
        } else if streams.finished > 0 {
            "Streams have come to their ends without having said anything."
        } else {
            "No stream has said anything in all this time."
        });
    }
    (recorder.tokens > 0 && recorder.measured_tokens == 0).then_some(if interrupted {
        "All that came, came before or after what is measured."
    } else {
        "All that came, came before or after what is measured: give --duration more time."
    })
}
