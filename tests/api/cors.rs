//! Cross-origin requests: who may read, what a preflight is told, and that errors say so too.

use std::io::{Read as _, Write as _};

use crate::server::{Server, token};

const ORIGINS: &str = "allowed_origins = [\"https://chat.example\"]\n";

#[test]
fn a_preflight_passes_without_credentials() {
    let server = Server::with(ORIGINS);
    let headers = "authorization, content-type, last-event-id, idempotency-key, prefer, traceparent, openai-organization, openai-project, x-stainless-lang, x-stainless-new-in-the-next-version";
    for path in [
        "/v1/streams",
        "/v1/streams/x/events",
        "/v1/streams/x/cancel",
    ] {
        let request = server
            .request("OPTIONS", path)
            .header("Origin", "https://chat.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", headers);
        let response = request.send();
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://chat.example")
        );
        assert_eq!(response.header("access-control-max-age"), Some("7200"));
        assert_eq!(response.header("access-control-allow-credentials"), None);
        let methods = response.header("access-control-allow-methods").unwrap();
        for method in ["GET", "POST", "DELETE"] {
            assert!(methods.contains(method), "{methods}");
        }
        let allowed = response
            .header("access-control-allow-headers")
            .unwrap()
            .to_ascii_lowercase();
        for header in headers.split(", ") {
            assert!(allowed.contains(header), "{header} in {allowed}");
        }
    }
}

#[test]
fn errors_can_be_read_across_origins() {
    let server = Server::with(ORIGINS);
    for (method, path, status) in [
        ("GET", "/v1/streams", 401),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/streams", 405),
        ("POST", "/v1/streams/x/cancel", 401),
    ] {
        let response = server
            .request(method, path)
            .header("Origin", "https://chat.example")
            .send();
        assert_eq!(response.status, status);
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://chat.example")
        );
        let exposed = response
            .header("access-control-expose-headers")
            .unwrap()
            .to_ascii_lowercase();
        for header in [
            "retry-after",
            "retry-after-ms",
            "x-should-retry",
            "x-request-id",
            "x-stream-id",
            "tailrace-tail",
            "ratelimit",
            "ratelimit-policy",
            "location",
        ] {
            assert!(exposed.contains(header), "{header} in {exposed}");
        }
        assert!(
            response
                .header("vary")
                .unwrap()
                .to_ascii_lowercase()
                .contains("origin")
        );
    }
}

#[test]
fn origins_are_compared_whole() {
    let server = Server::with(ORIGINS);
    for origin in [
        "https://evil.example",
        "https://chat.example.evil",
        "https://evilchat.example",
        "http://chat.example",
        "https://chat.example:444",
        "null",
    ] {
        let response = server
            .request("GET", "/livez")
            .header("Origin", origin)
            .send();
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
    }
    let closed = Server::start();
    let response = closed
        .request("GET", "/livez")
        .header("Origin", "https://chat.example")
        .send();
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[test]
fn cookies_are_allowed_only_when_configured() {
    let server = Server::with(&format!("{ORIGINS}auth.cookie = \"session\"\n"));
    let response = server
        .request("GET", "/livez")
        .header("Origin", "https://chat.example")
        .send();
    assert_eq!(
        response.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://chat.example")
    );
}

/// RFC 9110, section 9.3.2: whatever answers GET answers HEAD, with the same head and no body.
#[test]
fn what_can_be_read_answers_head_too() {
    let server = Server::start();
    let id = server.create_async(serde_json::json!({"tokens": 3}));
    server.ended(&id);
    let stream = format!("/v1/streams/{id}");
    for path in [
        "/livez",
        "/readyz",
        "/docs/",
        "/errors",
        "/errors/rate_limited",
        "/openapi.yaml",
        "/openapi.json",
        "/openapi-3.2.json",
        "/v1/models",
        "/v1/models/demo",
        "/v1/streams",
        &stream,
    ] {
        let ask = |method| {
            let request = server.request(method, path);
            let request = request.header("Authorization", &format!("Bearer {}", token("ann")));
            request.header("Content-Length", "0").send()
        };
        let (whole, head) = (ask("GET"), ask("HEAD"));
        assert_eq!((whole.status, head.status), (200, 200), "{path}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            assert_eq!(head.header(name), whole.header(name), "{name} of {path}");
        }
    }
    let request = server.request("HEAD", "/openapi.yaml");
    let mut connection = std::net::TcpStream::connect(server.address).unwrap();
    let request = request.header("Connection", "close").bytes();
    connection.write_all(&request).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer:.2000}");
    // A stream has no head without a body that goes on.
    let events = server.request("HEAD", &format!("{stream}/events")).send();
    assert_eq!((events.status, events.header("allow")), (405, Some("GET")));
    let unsafe_one = server.request("PUT", "/v1/streams").send();
    assert_eq!(unsafe_one.header("allow"), Some("POST, GET, HEAD"));
    let docs = server.request("GET", "/docs").send();
    assert_eq!(
        (docs.status, docs.header("location")),
        (303, Some("/docs/"))
    );
}
