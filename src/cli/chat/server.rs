//! The server that is asked: its address, our token, and what its refusals say.

use std::fmt;
use std::time::Duration;

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::event::is_stream_id;
use crate::http_client::{Answer, HttpClient, HttpError};

/// How much is read of an answer that is an error, and for how long.
const ERROR_BYTES: usize = 16 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// How long the head of an answer may take. The server sends it before the first token.
const HEAD_TIME: Duration = Duration::from_secs(20);

/// What makes tokens.
pub(super) struct Mint {
    pub(super) sign: Box<dyn Fn() -> anyhow::Result<String>>,
    /// With which key.
    pub(super) key: &'static str,
}

/// A server, and who asks it.
pub(super) struct Server {
    client: HttpClient,
    /// What the person calls it.
    pub(super) name: String,
    token: std::cell::RefCell<HeaderValue>,
    /// Makes another token, when one has expired. A token that was given to us is all there is.
    mint: Option<Mint>,
}

/// Why there is no answer that streams.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may be otherwise later.
    Passing {
        why: String,
        /// When the server wants to be asked again.
        again: Option<Duration>,
        /// Whether the server has said so itself.
        heard: bool,
    },
    /// The server does not know the stream any more.
    Gone(Refusal),
    /// Trying again does not help.
    Refused(Refusal),
}

/// What a server says that refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (", self.message.trim_end_matches('.'))?;
        if !self.code.is_empty() {
            write!(formatter, "{}, ", self.code)?;
        }
        write!(formatter, "status {})", self.status.as_u16())
    }
}

impl Server {
    /// # Errors
    /// The token cannot stand in a header, or could not be made.
    pub(super) fn new(
        client: HttpClient,
        name: String,
        token: Option<String>,
        mint: Option<Mint>,
    ) -> anyhow::Result<Self> {
        let token = match (token, &mint) {
            (Some(token), _) => token,
            (None, Some(mint)) => (mint.sign)()?,
            (None, None) => anyhow::bail!("there is no token"),
        };
        Ok(Self {
            client,
            name,
            token: std::cell::RefCell::new(bearer(&token)?),
            mint,
        })
    }

    /// What may help with a refusal.
    pub(super) fn advice(&self, refusal: &Refusal) -> String {
        match &self.mint {
            Some(Mint { key, .. }) if refusal.status == StatusCode::UNAUTHORIZED => format!(
                " The token was made with {key}, so {} has another one: give its --config, or a token of \
                 its in $TAILRACE_TOKEN or a --token-file.",
                self.name
            ),
            _ => String::new(),
        }
    }

    /// Asks for a new generation, or for the same one when the key has been used for it.
    pub(super) async fn create(&self, body: &[u8], key: &str) -> Result<Answer, Fault> {
        let key = HeaderValue::from_str(key).unwrap_or_else(|_| HeaderValue::from_static("chat"));
        let headers = [(HeaderName::from_static("idempotency-key"), key)];
        self.stream(Method::POST, "/v1/streams", &headers, body)
            .await
    }

    /// The id of the generation for which the key was used.
    ///
    /// A server that has not seen the key yet begins the generation; that is the only way to be sure
    /// that a request under way does not begin it later.
    pub(super) async fn find(&self, body: &[u8], key: &str) -> Option<String> {
        let key = HeaderValue::from_str(key).ok()?;
        let headers = [
            (HeaderName::from_static("idempotency-key"), key),
            (
                HeaderName::from_static("prefer"),
                HeaderValue::from_static("respond-async"),
            ),
        ];
        let asked = self.ask(Method::POST, "/v1/streams", &headers, body);
        let answer = asked.await.ok()?;
        let id = answer.headers.get("x-stream-id")?.to_str().ok()?.to_owned();
        answer.leave();
        is_stream_id(&id).then_some(id)
    }

    /// Follows a generation after an event.
    pub(super) async fn follow(&self, stream: &str, after: u64) -> Result<Answer, Fault> {
        let path = format!("/v1/streams/{stream}/events");
        let cursor = HeaderValue::from_str(&format!("{stream}.{after}"));
        let cursor = cursor.unwrap_or_else(|_| HeaderValue::from_static(""));
        let headers = [(HeaderName::from_static("last-event-id"), cursor)];
        self.stream(Method::GET, &path, &headers, &[]).await
    }

    /// Ends a generation.
    pub(super) async fn cancel(&self, stream: &str) -> Result<(), Fault> {
        let path = format!("/v1/streams/{stream}/cancel");
        self.ask(Method::POST, &path, &[], &[])
            .await
            .map(Answer::leave)
    }

    async fn stream(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, Fault> {
        let answer = self.ask(method, path, headers, body).await?;
        let kind = answer.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if answer.status == StatusCode::OK && kind.starts_with("text/event-stream") {
            return Ok(answer);
        }
        Err(Fault::Refused(Refusal {
            status: answer.status,
            code: String::new(),
            message: "What answers there does not stream events; is it a Tailrace server?"
                .to_owned(),
        }))
    }

    /// Asks, with another token if the first has expired.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, Fault> {
        match self.ask_once(method.clone(), path, headers, body).await {
            Err(Fault::Refused(refusal)) if refusal.status == StatusCode::UNAUTHORIZED => {
                let minted = self.mint.as_ref().and_then(|mint| (mint.sign)().ok());
                let Some(token) = minted.and_then(|token| bearer(&token).ok()) else {
                    return Err(Fault::Refused(refusal));
                };
                *self.token.borrow_mut() = token;
                self.ask_once(method, path, headers, body).await
            }
            answered => answered,
        }
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, Fault> {
        let mut all = vec![
            (AUTHORIZATION, self.token.borrow().clone()),
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
        ];
        if !body.is_empty() {
            all.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        all.extend_from_slice(headers);
        let asked = tokio::time::timeout(HEAD_TIME, self.client.send(method, path, &all, body));
        let passing = |why: String| Fault::Passing {
            why,
            again: None,
            heard: false,
        };
        let mut answer = match asked.await {
            Err(_late) => return Err(passing(format!("{} does not answer", self.name))),
            Ok(Err(HttpError::Malformed(error))) => {
                return Err(passing(format!(
                    "what answers at {} is not HTTP: {error}",
                    self.name
                )));
            }
            Ok(Err(error)) => return Err(passing(error.to_string())),
            Ok(Ok(answer)) => answer,
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(refused(&mut answer).await)
    }
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| anyhow::anyhow!("the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn refused(answer: &mut Answer) -> Fault {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        message: Option<String>,
        detail: Option<String>,
        error: Code,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Code {
        code: String,
    }
    let text = answer.text(ERROR_BYTES, ERROR_TIME).await;
    let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
    let status = answer.status;
    let refusal = Refusal {
        status,
        code: problem.error.code,
        message: problem.message.or(problem.detail).unwrap_or_else(|| {
            let reason = status.canonical_reason().unwrap_or("an unknown status");
            format!("The server answers: {reason}")
        }),
    };
    let said = answer
        .headers
        .get("x-should-retry")
        .map(HeaderValue::as_bytes);
    let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    if may_pass && said != Some(b"false") {
        return Fault::Passing {
            why: refusal.to_string(),
            again: retry_after(&answer.headers),
            heard: true,
        };
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Fault::Gone(refusal),
        _ => Fault::Refused(refusal),
    }
}

/// When the server wants to be asked again.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let milliseconds = number("retry-after-ms").map(Duration::from_millis);
    milliseconds.or_else(|| number(RETRY_AFTER.as_str()).map(Duration::from_secs))
}
