//! One question to a provider, and what counts as an answer to it.

use std::time::Duration;

use http::header::{ACCEPT, AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::ProviderConfig;
use crate::auth::keys::{Key, Unusable, published};
use crate::http_client::{HttpClient, HttpError};

/// The longest answer; sets of real providers have some kilobytes.
const MAX_BYTES: usize = 256 * 1024;

/// What a provider has answered.
pub(super) struct Answer {
    /// What it publishes; nothing if that is what it has published before.
    pub(super) set: Option<Set>,
    /// How long it says that this is fresh, if it says so.
    pub(super) fresh: Option<Duration>,
}

/// A set of keys.
pub(super) struct Set {
    pub(super) keys: Vec<Key>,
    /// How many of the set are of no use to us.
    pub(super) others: usize,
    pub(super) tag: Option<HeaderValue>,
}

/// Why a provider has not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer has status {0}; redirects are not followed")]
    Redirect(u16),
    #[error("the answer is longer than 256 KiB")]
    TooLong,
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("there was no whole answer within {0:?}")]
    Late(Duration),
}

/// Asks for the set, or only whether it is another than the one with this tag.
pub(super) async fn ask(
    config: &ProviderConfig,
    client: &HttpClient,
    tag: Option<HeaderValue>,
) -> Result<Answer, NoAnswer> {
    let limit = config.times.timeout;
    let answered = tokio::time::timeout(limit, exchange(config, client, tag));
    answered.await.unwrap_or(Err(NoAnswer::Late(limit)))
}

async fn exchange(
    config: &ProviderConfig,
    client: &HttpClient,
    tag: Option<HeaderValue>,
) -> Result<Answer, NoAnswer> {
    const KINDS: HeaderValue =
        HeaderValue::from_static("application/jwk-set+json, application/json");
    const US: HeaderValue =
        HeaderValue::from_static(concat!("tailrace/", env!("CARGO_PKG_VERSION")));
    let mut headers = vec![(ACCEPT, KINDS), (USER_AGENT, US)];
    let is_conditional = tag.is_some();
    headers.extend(tag.map(|tag| (IF_NONE_MATCH, tag)));
    let mut answer = client
        .send(Method::GET, &config.path, &headers, b"")
        .await?;
    let fresh = freshness(&answer.headers);
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if is_conditional => return Ok(Answer { set: None, fresh }),
        status if status.is_redirection() => return Err(NoAnswer::Redirect(status.as_u16())),
        status => return Err(NoAnswer::Status(status.as_u16())),
    }
    let mut body = Vec::new();
    while answer.read(|piece| body.extend_from_slice(piece)).await? {
        if body.len() > MAX_BYTES {
            return Err(NoAnswer::TooLong);
        }
    }
    if body.len() > MAX_BYTES {
        return Err(NoAnswer::TooLong);
    }
    let (keys, others) = published(&body, config.algorithm)?;
    let tag = answer.headers.remove(ETAG);
    let set = Some(Set { keys, others, tag });
    Ok(Answer { set, fresh })
}

/// For how long an answer may be used without asking again (RFC 9111, section 4.2), if it says so.
fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let directives = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let mut fresh = None;
    for directive in directives.map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            fresh = value
                .trim_matches('"')
                .parse()
                .ok()
                .map(Duration::from_secs);
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    Some(fresh?.saturating_sub(Duration::from_secs(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_an_answer_is_fresh() {
        for (headers, fresh) in [
            (&[][..], None),
            (&[("cache-control", "public, max-age=3600")], Some(3600)),
            (&[("cache-control", "Max-Age=\"60\"")], Some(60)),
            (&[("cache-control", "max-age=60"), ("age", "45")], Some(15)),
            (&[("cache-control", "max-age=60"), ("age", "90")], Some(0)),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("cache-control", "no-cache"),
                ],
                Some(0),
            ),
            (&[("cache-control", "no-store")], Some(0)),
            (&[("cache-control", "max-age=-1")], None),
            (
                &[("cache-control", "max-age=99999999999999999999999")],
                None,
            ),
            (&[("cache-control", "s-maxage=5")], None),
            (&[("age", "5")], None),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .fold(HeaderMap::new(), |mut all, (name, value)| {
                    let name: http::HeaderName = name;
                    all.append(name, value);
                    all
                });
            assert_eq!(
                freshness(&headers),
                fresh.map(Duration::from_secs),
                "{headers:?}"
            );
        }
    }
}
