//! Requests that a server must refuse, each in its way.

use std::time::Duration;

use http::Method;

use super::refusal::NoStream;
use super::run::Load;
use super::target::Api;

/// A request, and the status that it deserves.
struct BadRequest {
    method: Method,
    path: String,
    body: &'static [u8],
    status: u16,
}

fn bad_request(load: &Load, number: u64) -> BadRequest {
    let call = &load.target.call;
    let malformed = BadRequest {
        method: call.method.clone(),
        path: call.path.clone(),
        body: b"{\"prompt\":",
        status: 400,
    };
    match (load.plan.api, number % 3) {
        (Api::Native, 1) => BadRequest {
            body: b"{\"prompt\":\"Hello\",\"no_such_field\":1}",
            status: 422,
            ..malformed
        },
        (Api::Native, 2) => BadRequest {
            method: Method::GET,
            path: "/v1/streams/00000000000000000000000000000000/events".to_owned(),
            body: b"",
            status: 404,
        },
        _ => malformed,
    }
}

/// Sends one, and sees whether it is refused as it should.
pub(super) async fn send(load: &Load, number: u64) -> Option<Duration> {
    /// In place of the time that a stream takes, lest these are all that is sent.
    const PAUSE: Duration = Duration::from_millis(100);
    let BadRequest {
        method,
        path,
        body,
        status,
    } = bad_request(load, number);
    let client = &load.target.client;
    let asked = load.target.ask(client, method, &path, &[], body).await;
    let mut recorder = load.recorder.borrow_mut();
    recorder.bad_requests += 1;
    let is_client_error = |found: u16| load.plan.api != Api::Native && (400..500).contains(&found);
    match asked {
        Err(NoStream::Refused(refused))
            if refused.status == status || is_client_error(refused.status) => {}
        Err(NoStream::Refused(refused)) => {
            recorder.failed(&format!("bad_request_status_{}", refused.status));
        }
        Err(error) => recorder.failed(&format!("bad_request_{}", error.code())),
        Ok(answer) => {
            let status = answer.status.as_u16();
            recorder.failed(&format!("bad_request_status_{status}"));
        }
    }
    Some(PAUSE)
}
