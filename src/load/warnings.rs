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
        let most = recorder.failures.iter().max_by_key(|(_, times)| **times);
        // What fails at once is asked for again and again, until a limit is reached that was not what was wrong.
        let other = most.filter(|(code, _)| **code != refused.code());
        if let Some((code, times)) = other {
            let text = recorder.failure_texts.get(code);
            let text = text.map_or_else(String::new, |text| {
                format!(": {}", text.trim_end_matches('.'))
            });
            warnings.push(format!(
                "What failed most often, {times} times, is {code}{text}."
            ));
        }
        warnings.push(if other.is_some() {
            format!("The server has also refused: {refused}.")
        } else {
            format!("The server has refused: {refused}.")
        });
        if refused.status == 429 {
            let what = if other.is_some() {
                "A limit was reached besides: what fails at once is soon asked for again."
            } else {
                "What was measured is a limit."
            };
            let limit = refused.limit.as_deref().map_or_else(String::new, |limit| {
                format!(" It allows {}.", in_words(limit))
            });
            warnings.push(format!(
                "{what}{limit} A Tailrace server's limits are in [limits.plans.NAME] \
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

/// A limit as `RateLimit-Policy` has it, in words; as it stands there, if it says more than one number and its time.
fn in_words(policy: &str) -> String {
    let mut parts = policy.split(';').map(str::trim);
    let name = parts.next().map(|name| name.trim_matches('"'));
    let (mut quota, mut window) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("q", number)) => quota = number.parse::<u64>().ok(),
            Some(("w", number)) => window = number.parse::<u64>().ok(),
            _ => {}
        }
    }
    let name = name.filter(|_| !policy.contains(','));
    match (name, quota, window) {
        (Some(name), Some(quota), Some(60)) => format!("{quota} {name} a minute"),
        (Some(name), Some(quota), Some(1)) => format!("{quota} {name} a second"),
        (Some(name), Some(quota), Some(window)) => format!("{quota} {name} in {window} seconds"),
        _ => policy.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_words() {
        for (policy, words) in [
            ("\"requests\";q=6000;w=60", "6000 requests a minute"),
            ("\"burst\"; w=1; q=5", "5 burst a second"),
            ("\"requests\";q=10;w=3600", "10 requests in 3600 seconds"),
            ("\"requests\";q=10", "\"requests\";q=10"),
            (
                "\"a\";q=1;w=1, \"b\";q=2;w=60",
                "\"a\";q=1;w=1, \"b\";q=2;w=60",
            ),
        ] {
            assert_eq!(in_words(policy), words);
        }
    }
}
