//! What came of a load, in one sentence, and the words for what is counted.

use crate::load::{Api, Findings, Plan};

/// What came of a load.
pub(super) struct Verdict {
    /// `good`, `bad`, or `open` where nothing was wrong in what there was, and something is missing.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// What came of it.
pub(super) fn verdict(found: &Findings) -> Verdict {
    let (streams, counts) = (&found.streams, &found.counts);
    let missing = if streams.are_void(counts.tokens) {
        Some(match found.plan.api {
            Api::Sse => "no event came",
            Api::OpenAi | Api::Native => "no token came",
        })
    } else if streams.started + counts.bad_requests == 0 {
        Some("nothing was asked for")
    } else if streams.started > 0 && streams.ended() == 0 {
        Some("no stream came to its end")
    } else {
        None
    };
    let text = match (found.has_failed(), missing) {
        (true, Some(missing)) => format!("Something was wrong, and {missing}."),
        (true, None) => "Something was wrong.".to_owned(),
        (false, Some(missing)) => format!("Nothing failed, but {missing}."),
        (false, None) if found.plan.checked => "Nothing was wrong.".to_owned(),
        (false, None) => "Nothing failed; what the events say was not checked.".to_owned(),
    };
    let ended = if found.interrupted {
        " Ended before its time."
    } else {
        ""
    };
    Verdict {
        kind: match (found.wrong, missing) {
            (true, _) => "bad",
            (false, Some(_)) => "open",
            (false, None) => "good",
        },
        text: format!("{text}{ended}"),
    }
}

/// What is counted. A chunk may hold several tokens, and what is not looked at is an event.
pub(super) const fn unit(plan: &Plan) -> &'static str {
    match plan.api {
        Api::OpenAi if plan.checked => "chunks",
        Api::Native if plan.checked => "tokens",
        _ => "events",
    }
}

/// What a stream is waited for to say first.
pub(super) const fn first(plan: &Plan) -> &'static str {
    match plan.api {
        Api::Sse => "first event",
        Api::OpenAi | Api::Native => "first token",
    }
}

/// The same at the beginning of a title.
pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
