//! Credentials: where they may stand, what they allow, and what must not leak.

use serde_json::json;

use crate::server::{Server, token, token_with, wait_for};

#[test]
fn the_header_the_query_and_the_cookie_carry_a_token() {
    let server =
        Server::with("auth.cookie = \"session\"\nallowed_origins = [\"https://chat.example\"]\n");
    let token = token("ann");
    for (scheme, status) in [
        ("Bearer", 200),
        ("bearer", 200),
        ("BEARER", 200),
        ("Basic", 401),
        ("Token", 401),
    ] {
        let request = server
            .request("GET", "/v1/streams")
            .header("Authorization", &format!("{scheme} {token}"));
        assert_eq!(request.send().status, status, "{scheme}");
    }
    let query = server
        .request("GET", &format!("/v1/streams?access_token={token}"))
        .send();
    assert_eq!(query.status, 200);
    assert_eq!(query.header("cache-control"), Some("no-store"));
    assert_eq!(query.header("referrer-policy"), Some("no-referrer"));
    let cookie = server
        .request("GET", "/v1/streams")
        .header("Cookie", &format!("a=b; session={token}"));
    assert_eq!(cookie.send().status, 200);
}

#[test]
fn two_credentials_are_one_too_many() {
    let server = Server::with("auth.cookie = \"session\"\n");
    let token = token("ann");
    let bearer = format!("Bearer {token}");
    let query = format!("/v1/streams?access_token={token}");
    let cookie = format!("session={token}");
    let requests = [
        server
            .request("GET", &query)
            .header("Authorization", &bearer),
        server.request("GET", &query).header("Cookie", &cookie),
        server
            .request("GET", "/v1/streams")
            .header("Authorization", &bearer)
            .header("Cookie", &cookie),
        server
            .request("GET", "/v1/streams")
            .header("Authorization", &bearer)
            .header("Authorization", &bearer),
        server.request("GET", &format!("{query}&access_token={token}")),
        server.request("GET", &format!("{query}&ticket=x")),
    ];
    for request in requests {
        let response = request.send();
        assert_eq!(response.status, 400);
        assert_eq!(response.code(), "multiple_credentials");
    }
}

#[test]
fn a_challenge_says_what_is_wrong() {
    let server = Server::start();
    let none = server.request("GET", "/v1/streams").send();
    assert_eq!(none.status, 401);
    let challenge = none.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
    assert_eq!(none.code(), "missing_credentials");
    let bad = server.request("GET", "/v1/streams").bearer("x.y.z").send();
    let challenge = bad.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
    assert_eq!(bad.header("x-should-retry"), Some("false"));
    assert_eq!(bad.code(), "invalid_token");
}

#[test]
fn scopes_are_demanded() {
    let server = Server::start();
    let id = server.create_async(json!({"tokens": 1}));
    let (read, write) = (
        token_with("ann", "streams:read", None),
        token_with("ann", "streams:write", None),
    );
    let ask = |method: &str, tail: &str, token: &str| {
        let request = server
            .request(method, &format!("/v1/streams{tail}"))
            .bearer(token);
        let response = request.json(&json!({"prompt": "x"})).send();
        let status = response.status;
        if status == 403 {
            assert_eq!(
                response.header("www-authenticate"),
                Some("Bearer error=\"insufficient_scope\"")
            );
            assert_eq!(response.code(), "insufficient_scope");
        }
        status
    };
    assert_eq!(ask("POST", "", &read), 403);
    assert_eq!(ask("POST", &format!("/{id}/cancel"), &read), 403);
    assert_eq!(ask("DELETE", &format!("/{id}"), &read), 403);
    assert_eq!(ask("GET", "", &write), 403);
    assert_eq!(ask("GET", &format!("/{id}"), &write), 403);
    assert_eq!(ask("GET", &format!("/{id}/events"), &write), 403);
    assert_eq!(ask("POST", &format!("/{id}/tickets"), &write), 403);
    assert_eq!(ask("GET", &format!("/{id}"), &read), 200);
    assert_eq!(ask("POST", &format!("/{id}/cancel"), &write), 202);

    let open = Server::with("auth.scopes = { write = \"\", read = \"\" }\n");
    let bare = token_with("ann", "", None);
    assert_eq!(
        open.request("GET", "/v1/streams")
            .bearer(&bare)
            .send()
            .status,
        200
    );
}

#[test]
fn a_ticket_reads_its_stream_and_nothing_else() {
    let server = Server::with("public_url = \"https://tokens.example\"\n");
    let id = server.create_async(json!({"tokens": 5}));
    let other = server.create_async(json!({"tokens": 5}));
    let answer = server.post(&format!("/v1/streams/{id}/tickets")).send();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    let ticket = answer["ticket"].as_str().unwrap();
    let url = answer["url"].as_str().unwrap();
    assert_eq!(
        url,
        format!("https://tokens.example/v1/streams/{id}/events?ticket={ticket}")
    );
    assert!(answer["expires_at"].as_u64().unwrap() > 1_700_000_000);
    let ask = |method: &str, tail: &str| {
        server
            .request(method, &format!("/v1/streams{tail}?ticket={ticket}"))
            .send()
    };
    let events = ask("GET", &format!("/{id}/events"));
    assert_eq!(
        events.header("cache-control"),
        Some("no-store, no-transform")
    );
    assert_eq!(events.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(events.events().rest().len(), 7);
    assert_eq!(ask("GET", &format!("/{id}")).status, 200);
    assert_eq!(ask("GET", &format!("/{other}/events")).status, 404);
    assert_eq!(ask("GET", &format!("/{other}")).status, 404);
    for (method, tail) in [
        ("POST", String::new()),
        ("GET", String::new()),
        ("POST", format!("/{id}/cancel")),
        ("POST", format!("/{id}/tickets")),
        ("DELETE", format!("/{id}")),
    ] {
        assert_eq!(ask(method, &tail).status, 403, "{method} {tail}");
    }
    // A ticket is not a bearer token, nor a bearer token a ticket.
    assert_eq!(
        server
            .request("GET", "/v1/streams")
            .bearer(ticket)
            .send()
            .status,
        401
    );
    let token = token("ann");
    assert_eq!(
        server
            .request("GET", &format!("/v1/streams/{id}/events?ticket={token}"))
            .send()
            .status,
        401
    );
}

#[test]
fn tickets_expire() {
    let server = Server::with("auth.ticket_lifetime = \"1s\"\n");
    let id = server.create_async(json!({"tokens": 1}));
    let answer = server
        .post(&format!("/v1/streams/{id}/tickets"))
        .send()
        .json();
    let url = answer["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("/v1/streams/{id}/events?ticket=")));
    let refused =
        wait_for(|| Some(server.request("GET", url).send()).filter(|answer| answer.status != 200));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.code(), "token_expired");
}

#[test]
fn with_a_cookie_unsafe_methods_need_a_known_origin() {
    let server = Server::with(
        "auth.cookie = \"session\"\nallowed_origins = [\"https://chat.example\"]\npublic_url = \"https://tokens.example\"\n",
    );
    let cookie = format!("session={}", token("ann"));
    let post = |origin: Option<&str>| {
        let mut request = server
            .request("POST", "/v1/streams")
            .header("Cookie", &cookie);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        request.json(&json!({"prompt": "x"})).send()
    };
    for origin in [
        None,
        Some("https://evil.example"),
        Some("https://chat.example.evil"),
        Some("https://evilchat.example"),
        Some("http://chat.example"),
        Some("null"),
    ] {
        let response = post(origin);
        assert_eq!(response.status, 403, "{origin:?}");
        assert_eq!(response.code(), "origin_not_allowed");
    }
    assert_eq!(post(Some("https://chat.example")).status, 200);
    assert_eq!(post(Some("https://tokens.example")).status, 200);
    let get = server
        .request("GET", "/v1/streams")
        .header("Cookie", &cookie)
        .send();
    assert_eq!(get.status, 200, "reading needs none");
    let off = Server::start()
        .request("GET", "/v1/streams")
        .header("Cookie", &cookie)
        .send();
    assert_eq!(
        off.status, 401,
        "no cookie is looked at until one is configured"
    );
}

#[test]
fn bad_tokens_of_every_carrier_are_401() {
    let server = Server::with(
        "auth.cookie = \"session\"\nlimits.failed_authentications_per_minute = 1000000\n",
    );
    let good = token("ann");
    let mut parts = good.split('.');
    let (head, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let none = "eyJhbGciOiJub25lIn0";
    for bad in [
        "x".to_owned(),
        format!("{head}.{claims}."),
        format!("{none}.{claims}."),
        format!("{head}.{claims}.AAAA"),
        "e".repeat(9000),
    ] {
        let header = server.request("GET", "/v1/streams").bearer(&bad).send();
        let query = server
            .request("GET", &format!("/v1/streams?access_token={bad}"))
            .send();
        let cookie = server
            .request("GET", "/v1/streams")
            .header("Cookie", &format!("session={bad}"))
            .send();
        for response in [header, query, cookie] {
            assert_eq!(response.status, 401, "{bad:.40}");
            assert_eq!(response.code(), "invalid_token");
        }
    }
    let empty = server.request("GET", "/v1/streams?access_token=").send();
    assert_eq!(empty.status, 401);
}
