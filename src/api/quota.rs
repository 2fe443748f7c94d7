//! The headers that tell a client what is left of its limits: the draft of the IETF's `RateLimit`
//! fields, and those that the OpenAI SDKs know.

use actix_web::HttpResponseBuilder;

use crate::limit::Quota;

/// Writes what is left of a quota.
pub(super) fn write_headers(quota: &Quota, response: &mut HttpResponseBuilder) {
    let (requests, tokens) = (&quota.requests, &quota.tokens);
    response.insert_header((
        "ratelimit-policy",
        format!("\"requests\";q={};w=60", requests.limit),
    ));
    response.insert_header((
        "ratelimit",
        format!(
            "\"requests\";r={};t={}",
            requests.remaining,
            requests.reset.as_secs_f64().ceil()
        ),
    ));
    for (name, allowance) in [("requests", requests), ("tokens", tokens)] {
        response.insert_header((
            format!("x-ratelimit-limit-{name}"),
            allowance.limit.to_string(),
        ));
        response.insert_header((
            format!("x-ratelimit-remaining-{name}"),
            allowance.remaining.to_string(),
        ));
        response.insert_header((
            format!("x-ratelimit-reset-{name}"),
            format!("{}ms", allowance.reset.as_millis()),
        ));
    }
}
