//! The server under load: what it is asked, in each way that we know to ask.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;

use super::refusal::{NoStream, refused};
use crate::http_client::{Answer, HttpClient};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Tailrace's own: every event has a number, streams can be resumed and cancelled.
    Native,
    /// OpenAI's chat completions.
    OpenAi,
    /// Any Server-Sent Events: they are counted.
    Sse,
}

/// The request that starts a stream.
#[derive(Debug, Clone)]
pub struct Call {
    /// How to ask.
    pub method: Method,
    /// Where, below the base URL.
    pub path: String,
    /// What is sent; JSON if it is not empty.
    pub body: Vec<u8>,
    /// Whether what it starts goes on when nobody reads it, until somebody cancels it.
    pub goes_on: bool,
}

/// A server, and how to ask it.
pub struct Target {
    /// What the server speaks.
    pub api: Api,
    /// Asks it.
    pub client: HttpClient,
    /// Asks the node where streams are read that others have asked for; the same if there is one node.
    pub readers: HttpClient,
    /// Starts a stream.
    pub call: Call,
    /// Our token, if the server wants one.
    pub token: Option<HeaderValue>,
    /// How long the head of an answer may take.
    pub timeout: Duration,
}

impl Target {
    /// Asks for a stream.
    pub(super) async fn start(&self) -> Result<Answer, NoStream> {
        let Call {
            method, path, body, ..
        } = &self.call;
        let answer = self
            .ask(&self.client, method.clone(), path, &[], body)
            .await?;
        streaming(answer)
    }

    /// Asks for a stream that others read. Answers with its id.
    pub(super) async fn start_for_others(&self) -> Result<String, NoStream> {
        let Call {
            method, path, body, ..
        } = &self.call;
        let later = (
            HeaderName::from_static("prefer"),
            HeaderValue::from_static("respond-async"),
        );
        let mut answer = self
            .ask(&self.client, method.clone(), path, &[later], body)
            .await?;
        let id = stream_id(&answer).ok_or(NoStream::NotEvents)?;
        if answer.status == StatusCode::ACCEPTED {
            // To its end, so that the connection can be used again. What streams all the same is left.
            let _snapshot = answer.text(64 * 1024, self.timeout).await;
            answer.leave();
        }
        Ok(id)
    }

    /// Asks for the events of a stream after the one of this number.
    pub(super) async fn follow(
        &self,
        stream: &str,
        after: Option<u64>,
    ) -> Result<Answer, NoStream> {
        let path = format!("/v1/streams/{stream}/events");
        let cursor = after.and_then(|after| {
            let cursor = HeaderValue::from_str(&format!("{stream}.{after}")).ok()?;
            Some((HeaderName::from_static("last-event-id"), cursor))
        });
        let asked = self.ask(&self.readers, Method::GET, &path, cursor.as_slice(), &[]);
        streaming(asked.await?)
    }

    /// Ends a generation.
    pub(super) async fn cancel(&self, stream: &str) -> Result<(), NoStream> {
        let path = format!("/v1/streams/{stream}/cancel");
        let asked = self.ask(&self.client, Method::POST, &path, &[], &[]);
        let mut answer = asked.await?;
        let _snapshot = answer.text(64 * 1024, self.timeout).await;
        answer.leave();
        Ok(())
    }

    /// Asks for anything.
    pub(super) async fn ask(
        &self,
        client: &HttpClient,
        method: Method,
        path: &str,
        more: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, NoStream> {
        let mut headers = vec![(ACCEPT, HeaderValue::from_static("text/event-stream"))];
        headers.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        if !body.is_empty() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        headers.extend_from_slice(more);
        let asked = client.send(method, path, &headers, body);
        let mut answer = tokio::time::timeout(self.timeout, asked)
            .await
            .map_err(|_late| NoStream::Silent)??;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(NoStream::Refused(refused(&mut answer).await))
    }
}

fn streaming(answer: Answer) -> Result<Answer, NoStream> {
    let kind = answer.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if answer.status == StatusCode::OK && kind.starts_with("text/event-stream") {
        return Ok(answer);
    }
    Err(NoStream::NotEvents)
}

/// The id of the stream that is answered. It becomes a part of paths.
pub(super) fn stream_id(answer: &Answer) -> Option<String> {
    let id = answer.headers.get("x-stream-id")?.to_str().ok()?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}
