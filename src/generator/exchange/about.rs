//! What an upstream's error is about, by its status or by the codes that stand in it.

use std::fmt;

use serde_json::Value;

/// What an error is about. When several are named, the last in this order holds: an error is about
/// the request, and its words may be passed on, only if nothing speaks against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// It does not say, or in words that are not known.
    Unknown,
    /// The request: sent again, it fails again.
    Request,
    /// A model or a path that the upstream does not have: our configuration.
    Missing,
    /// The upstream itself.
    Server,
    /// How much it has to do.
    Load,
    /// How much we ask.
    Pace,
    /// Our key or account, or a proxy's. What is said of these may hold them.
    Account,
}

/// Parts of words, in letters and digits only. OpenAI calls a bad key an `invalid_request_error` with
/// the code `invalid_api_key`.
const PARTS: [(About, &[&str]); 4] = [
    (
        About::Account,
        &[
            "apikey",
            "auth",
            "permission",
            "forbidden",
            "billing",
            "payment",
            "credential",
            "account",
        ],
    ),
    (
        About::Pace,
        &["ratelimit", "toomanyrequests", "resourceexhausted", "quota"],
    ),
    (About::Load, &["overloaded"]),
    (
        About::Server,
        &["server", "internal", "unavailable", "timeout"],
    ),
];

/// Whole words, in the same way: what OpenAI, Anthropic, Gemini, vLLM, SGLang and llama.cpp say of
/// requests.
const OF_REQUESTS: [&str; 16] = [
    "badrequest",
    "badrequesterror",
    "contentpolicyviolation",
    "contextlengthexceeded",
    "exceedcontextsizeerror",
    "invalidargument",
    "invalidprompt",
    "invalidrequest",
    "invalidrequesterror",
    "invalidvalue",
    "requesttoolarge",
    "stringabovemaxlength",
    "unprocessableentity",
    "unsupportedparameter",
    "unsupportedvalue",
    "validationerror",
];

/// For the log.
impl fmt::Display for About {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "about nothing that is known",
            Self::Request => "about the request",
            Self::Missing => "about a model or a path",
            Self::Server => "about the server",
            Self::Load => "about its load",
            Self::Pace => "about a rate limit",
            Self::Account => "about a key or an account",
        })
    }
}

/// The same, of models that are not there.
const OF_MISSING: [&str; 3] = ["modelnotfound", "notfound", "notfounderror"];

impl About {
    pub(super) const fn status(status: u64) -> Self {
        match status {
            401 | 402 | 403 | 407 => Self::Account,
            404 => Self::Missing,
            429 => Self::Pace,
            408 | 500..=599 => Self::Server,
            400..=499 => Self::Request,
            _ => Self::Unknown,
        }
    }

    /// By the codes of an error.
    pub(super) fn error(error: &Value) -> Self {
        let codes = ["code", "type", "status"].map(|name| match error.get(name) {
            Some(Value::Number(code)) => code.as_u64().map_or(Self::Unknown, Self::status),
            Some(Value::String(code)) => Self::word(code),
            _ => Self::Unknown,
        });
        codes.into_iter().max().unwrap_or(Self::Unknown)
    }

    fn word(word: &str) -> Self {
        if let Ok(status) = word.parse() {
            return Self::status(status);
        }
        let word: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let has_part = |(_, parts): &&(Self, &[&str])| parts.iter().any(|part| word.contains(part));
        match PARTS.iter().find(has_part) {
            Some((about, _)) => *about,
            None if OF_MISSING.contains(&&*word) => Self::Missing,
            None if OF_REQUESTS.contains(&&*word) => Self::Request,
            None => Self::Unknown,
        }
    }
}
