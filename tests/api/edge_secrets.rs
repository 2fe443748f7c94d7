//! The edge when no node is there, what its logs say, and what they never do.

use std::io::ErrorKind;

use serde_json::json;

use crate::client::{Request, Response};
use crate::nginx::Nginx;
use crate::nodes::Redis;
use crate::server::{prompt, token};
use crate::sse::check_whole;

#[test]
fn the_logs_have_ids_and_nodes_and_no_query_also_when_nothing_works() {
    let redis = Redis::start();
    let mut node = redis.process();
    let edge = Nginx::before(&[node.address]);
    let get = |path: &str, request_id: &str| -> std::io::Result<Response> {
        let request = edge.request("GET", path).header("X-Request-Id", request_id);
        let request = request
            .header("Accept", "text/event-stream")
            .header("Referer", "https://chat.example.com/?ticket=a-secret");
        let mut transport = edge.connect();
        transport.write_all(&request.bytes())?;
        Response::read(transport)
    };
    let post = edge.request("POST", "/v1/streams");
    let created = edge.send(post.json(&prompt(json!({"tokens": 3}))));
    let id = created.header("x-stream-id").unwrap().to_owned();
    check_whole(&created.events().through_proxy().rest());
    let ticket = edge.send(edge.request("POST", &format!("/v1/streams/{id}/tickets")));
    let ticket = ticket.json()["ticket"].as_str().unwrap().to_owned();
    let secrets = [
        format!("/v1/streams/{id}/events?ticket={ticket}"),
        format!("/v1/streams/{id}/events?access_token={}", token("ann")),
        format!("/v1/models?access_token={}", token("ann")),
    ];
    for (number, path) in secrets.iter().enumerate() {
        let answer = get(path, &format!("here-{number}")).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.header("x-request-id"),
            Some(&*format!("here-{number}"))
        );
        answer.bytes();
        let line = edge.logged(&format!("here-{number}"));
        assert_eq!(line["path"], path.split('?').next().unwrap());
        assert_eq!(line["node"], node.address.to_string());
        assert_eq!(
            (&line["status"], &line["node.status"]),
            (&json!(200), &json!("200"))
        );
    }
    node.kill();
    // An EventSource would give up at any status: its connection breaks, and it comes back.
    let cut = get(&secrets[0], "away-0").err().unwrap();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
    let refused = get(&secrets[2], "away-1").unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    let problem = refused.json();
    assert_eq!(problem["error"]["code"], "no_node");
    assert_eq!(problem["instance"], "/requests/away-1");
    // The log has the status that it was not told.
    assert_eq!(edge.logged("away-0")["status"], 502);
    // An id that the nodes would not keep is not kept here either.
    let strange = get("/v1/models?ticket=a-secret", "no id").unwrap().json();
    let made = strange["instance"].as_str().unwrap();
    assert_eq!(made.len(), "/requests/".len() + 32);
    let logs = [edge.log("access.log"), edge.log("error.log")].concat();
    assert!(logs.contains("away-1"));
    for secret in [
        "ticket=",
        "access_token",
        "a-secret",
        &*ticket,
        &*token("ann"),
    ] {
        assert!(!logs.contains(secret), "a log holds {secret}");
    }
}

/// What the edge answers for itself, by its own count of bytes, is the JSON that it says it is.
#[test]
fn a_poll_behind_the_edge_hears_that_the_store_is_away() {
    let mut redis = Redis::start();
    let node = redis.process();
    let edge = Nginx::before(&[node.address]);
    let post = edge.request("POST", "/v1/streams");
    let created = edge.send(post.json(&prompt(json!({"tokens": 3}))));
    let id = created.header("x-stream-id").unwrap().to_owned();
    created.bytes();
    redis.server.stop();
    let path = format!("/v1/streams/{id}/events");
    let poll = edge
        .request("GET", &path)
        .header("Accept", "application/json");
    let answer = edge.send(poll);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store_unavailable")
    );
    let follow = Request::new(node.address, "GET", &path)
        .bearer(&token("ann"))
        .header("Accept", "text/event-stream");
    let mut transport = edge.connect();
    transport.write_all(&follow.bytes()).unwrap();
    assert!(
        Response::read(transport).is_err(),
        "so that it is tried again"
    );
}
