//! How it goes, on a terminal: one line at standard error.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::load::{Live, Phase, Plan};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(250);

/// The line.
pub(super) struct Progress {
    bar: ProgressBar,
    /// What was there when it last changed.
    shown: Cell<(Instant, u64)>,
}

impl Progress {
    /// It is hidden where nobody would see it.
    pub(super) fn new(plan: &Plan) -> Self {
        let milliseconds = u64::try_from(plan.length().as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(milliseconds), ProgressDrawTarget::stderr());
        let template = "{wide_bar} {elapsed} of {prefix}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(humantime::format_duration(plan.length()).to_string());
        Self {
            bar,
            shown: Cell::new((Instant::now(), 0)),
        }
    }

    /// Shows how it goes, if that is due.
    pub(super) fn show(&self, live: Live) {
        let (at, tokens) = self.shown.get();
        let since = at.elapsed();
        let is_last = matches!(live.phase, Phase::Tidying(_));
        if self.bar.is_hidden() || (since < EVERY && !is_last) {
            return;
        }
        self.shown.set((Instant::now(), live.tokens));
        let per_second = (live.tokens - tokens) as f64 / since.as_secs_f64();
        self.bar.set_message(message(live, per_second));
        let milliseconds = u64::try_from(live.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.bar.set_position(milliseconds);
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// What the line says.
fn message(live: Live, per_second: f64) -> String {
    let what = match live.phase {
        Phase::Loading => "",
        Phase::Draining => "ending, ",
        Phase::Tidying(left) => {
            return format!("cancelling {left} that may go on at the server; Ctrl-C leaves them");
        }
    };
    let failed = match live.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let (open, finished) = (live.open, live.finished);
    format!("{what}{open} open, {finished} done, {per_second:.0} tokens/s{failed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_waited_for() {
        let mut live = Live {
            elapsed: Duration::from_secs(1),
            phase: Phase::Draining,
            open: 2,
            finished: 3,
            failed: 0,
            tokens: 40,
        };
        assert_eq!(message(live, 40.0), "ending, 2 open, 3 done, 40 tokens/s");
        live.phase = Phase::Tidying(5);
        assert_eq!(
            message(live, 40.0),
            "cancelling 5 that may go on at the server; Ctrl-C leaves them"
        );
    }
}
