//! What to know before believing the figures, in sentences.

use super::findings::{Client, Streams};
use super::refusal::Refused;

/// A client that is held up longer than this, in milliseconds, is told.
const LAG_MS: f64 = 50.0;

pub(super) fn warnings(
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
    if streams.unfinished > 0 {
        warnings.push(format!(
            "{} streams were still under way at the end.",
            streams.unfinished
        ));
    }
    warnings
}
