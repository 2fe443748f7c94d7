//! What bad requests get: the documented status and code, in the documented shape, never a 500.

use serde_json::{Value, json};

use crate::client::{Request, Response};
use crate::server::{Server, token};

/// Checks the body that every error has, and that nothing odd came with it.
pub fn check(what: &str, response: Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{what}");
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    let id = response.header("x-request-id").unwrap().to_owned();
    let retryable = matches!(status, 408 | 429 | 503);
    assert_eq!(
        response.header("x-should-retry") == Some("false"),
        !retryable,
        "{what}"
    );
    let problem = response.json();
    assert_eq!(problem["error"]["code"], code, "{what}: {problem}");
    assert_eq!(problem["status"], status, "{what}");
    assert_eq!(problem["type"], format!("/errors/{code}").as_str());
    assert_eq!(problem["instance"], format!("/requests/{id}").as_str());
    for member in ["title", "detail", "message"] {
        assert!(!problem[member].as_str().unwrap().is_empty());
    }
    assert_eq!(problem["message"], problem["error"]["message"]);
    assert!(!problem["error"]["type"].as_str().unwrap().is_empty());
    assert!(problem["error"].as_object().unwrap().contains_key("param"));
    assert!(
        problem.to_string().len() < 4000,
        "{what}: an error does not echo what it was sent"
    );
}

/// Bodies of `POST /v1/streams`, each wrong in its own way: text, status, code, named field.
fn bodies() -> Vec<(String, u16, &'static str, &'static str)> {
    let deep_array = format!(
        "{{\"prompt\":\"x\",\"metadata\":{}{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let deep_object = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let many: Value = (0..17)
        .map(|n| (format!("k{n}"), json!("v")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let json = |text: &str| (text.to_owned(), 400, "invalid_json", "");
    let field =
        |value: Value, field: &'static str| (value.to_string(), 422, "invalid_field", field);
    vec![
        json(""),
        json(" "),
        json("{"),
        json("{\"prompt\":\"x\""),
        json("{\"prompt\":\"x\"} trailing"),
        json("{\"prompt\":\"x\"}{\"prompt\":\"x\"}"),
        json("{\"prompt\":'x'}"),
        json("{prompt:\"x\"}"),
        json("{\"prompt\":\"x\",}"),
        json("{\"prompt\":\"\u{1}\"}"),
        json("{\"prompt\":\"x\",\"temperature\":NaN}"),
        json("{\"prompt\":\"x\",\"temperature\":Infinity}"),
        json("{\"prompt\":\"x\",\"temperature\":-Infinity}"),
        json("{\"prompt\":\"x\",\"max_tokens\":01}"),
        json("{\"prompt\":\"x\",\"max_tokens\":0x10}"),
        json("prompt=x"),
        json("<prompt>x</prompt>"),
        json("\u{feff}{\"prompt\":\"x\"}"),
        (
            "{\"prompt\":\"\\ud800\"}".to_owned(),
            422,
            "invalid_field",
            "prompt",
        ),
        (
            "{\"prompt\":\"x\",\"temperature\":1e999}".to_owned(),
            422,
            "invalid_field",
            "temperature",
        ),
        (deep_array, 422, "invalid_field", "metadata"),
        (deep_object, 422, "invalid_field", "a"),
        field(json!([]), "body"),
        field(json!("x"), "body"),
        field(json!(7), "body"),
        field(json!(null), "body"),
        field(json!({}), "prompt"),
        field(json!({"prompt": null}), "prompt"),
        field(json!({"prompt": ""}), "prompt"),
        field(json!({"prompt": 7}), "prompt"),
        field(json!({"prompt": ["x"]}), "prompt"),
        field(json!({"prompt": {"text": "x"}}), "prompt"),
        field(json!({"prompt": true}), "prompt"),
        field(
            json!({"prompt": "x", "messages": [{"role": "user", "content": "x"}]}),
            "messages",
        ),
        field(json!({"messages": []}), "messages"),
        field(json!({"messages": "x"}), "messages"),
        field(json!({"messages": ["x"]}), "messages[0]"),
        field(
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content",
        ),
        field(json!({"messages": [{"content": "x"}]}), "messages[0].role"),
        field(
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages[0].role",
        ),
        field(
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages[0].content",
        ),
        field(
            json!({"messages": [{"role": "user", "content": null}]}),
            "messages[0].content",
        ),
        field(
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "x", "nmae": "y"}]}),
            "messages[1].nmae",
        ),
        field(
            json!({"messages": [{"role": "user", "content": [1]}]}),
            "messages[0].content",
        ),
        field(
            json!({"messages": [{"role": "user", "content": [null]}]}),
            "messages[0].content",
        ),
        field(
            json!({"messages": [{"role": "assistant", "tool_calls": ["x"]}]}),
            "messages[0].tool_calls[0]",
        ),
        field(
            json!({"messages": [{"role": "tool", "tool_call_id": 7, "content": "x"}]}),
            "messages[0].tool_call_id",
        ),
        field(json!({"prompt": "x", "tools": {}}), "tools"),
        field(json!({"prompt": "x", "tools": [null]}), "tools[0]"),
        field(json!({"prompt": "x", "tool_choice": 7}), "tool_choice"),
        field(
            json!({"prompt": "x", "parallel_tool_calls": "no"}),
            "parallel_tool_calls",
        ),
        field(
            json!({"prompt": "x", "response_format": "json"}),
            "response_format",
        ),
        field(json!({"prompt": "x", "logprobs": 1}), "logprobs"),
        field(json!({"prompt": "x", "top_logprobs": -1}), "top_logprobs"),
        field(
            json!({"prompt": "x", "reasoning_effort": 1}),
            "reasoning_effort",
        ),
        field(json!({"prompt": "x", "functions": []}), "functions"),
        field(json!({"prompt": "x", "promt": "x"}), "promt"),
        field(json!({"prompt": "x", "stream": true}), "stream"),
        field(json!({"prompt": "x", "n": 2}), "n"),
        field(json!({"prompt": "x", "max_tokens": 0}), "max_tokens"),
        field(json!({"prompt": "x", "max_tokens": -1}), "max_tokens"),
        field(json!({"prompt": "x", "max_tokens": 1.5}), "max_tokens"),
        field(json!({"prompt": "x", "max_tokens": "7"}), "max_tokens"),
        field(
            json!({"prompt": "x", "max_tokens": 4_294_967_296_u64}),
            "max_tokens",
        ),
        field(
            json!({"prompt": "x", "max_tokens": 4_000_000_000_u64}),
            "max_tokens",
        ),
        field(json!({"prompt": "x", "temperature": -0.1}), "temperature"),
        field(json!({"prompt": "x", "temperature": 2.1}), "temperature"),
        field(json!({"prompt": "x", "temperature": "hot"}), "temperature"),
        field(json!({"prompt": "x", "top_p": 0}), "top_p"),
        field(json!({"prompt": "x", "top_p": -1}), "top_p"),
        field(json!({"prompt": "x", "top_p": 1.01}), "top_p"),
        field(json!({"prompt": "x", "stop": 7}), "stop"),
        field(json!({"prompt": "x", "stop": ["a", 7]}), "stop"),
        field(json!({"prompt": "x", "stop": ""}), "stop"),
        field(
            json!({"prompt": "x", "stop": ["a", "b", "c", "d", "e"]}),
            "stop",
        ),
        field(json!({"prompt": "x", "stop": "x".repeat(257)}), "stop"),
        field(json!({"prompt": "x", "seed": 1.5}), "seed"),
        field(json!({"prompt": "x", "seed": "x"}), "seed"),
        field(
            json!({"prompt": "x", "seed": 9_223_372_036_854_775_808_u64}),
            "seed",
        ),
        field(json!({"prompt": "x", "metadata": []}), "metadata"),
        field(json!({"prompt": "x", "metadata": {"a": 7}}), "metadata.a"),
        field(json!({"prompt": "x", "metadata": {"": "x"}}), "metadata"),
        field(
            json!({"prompt": "x", "metadata": {"a": "x".repeat(513)}}),
            "metadata",
        ),
        field(
            json!({"prompt": "x", "metadata": {"a".repeat(65): "x"}}),
            "metadata",
        ),
        field(json!({"prompt": "x", "metadata": many}), "metadata"),
        field(
            json!({"prompt": "x", "metadata": {"demo.tokens": "many"}}),
            "metadata.demo.tokens",
        ),
        field(
            json!({"prompt": "x", "metadata": {"demo.tokens_per_second": "1e-300"}}),
            "metadata.demo.tokens_per_second",
        ),
        field(
            json!({"prompt": "x", "metadata": {"demo.unknown": "1"}}),
            "metadata.demo.unknown",
        ),
        field(
            json!({"prompt": "x", "on_disconnect": "explode"}),
            "on_disconnect",
        ),
        field(
            json!({"prompt": "x", "on_disconnect": true}),
            "on_disconnect",
        ),
        field(json!({"prompt": "x", "model": 7}), "model"),
        // What derived code would take, and no document says.
        field(
            json!(["demo", "hi", null, null, null, null, null, null, null, null]),
            "body",
        ),
        field(json!({"messages": [["user", "hi"]]}), "messages[0]"),
        field(
            json!({"messages": [{"role": {"user": null}, "content": "x"}]}),
            "messages[0].role",
        ),
        field(
            json!({"prompt": "x", "on_disconnect": {"cancel": null}}),
            "on_disconnect",
        ),
        (
            "{\"prompt\":\"x\",\"prompt\":\"y\"}".to_owned(),
            422,
            "invalid_field",
            "prompt",
        ),
        (
            json!({"prompt": "x", "model": "gpt-9"}).to_string(),
            404,
            "model_not_found",
            "model",
        ),
        (
            json!({"prompt": "x", "model": ""}).to_string(),
            404,
            "model_not_found",
            "model",
        ),
        (
            json!({"prompt": "x", "model": "m".repeat(5000)}).to_string(),
            404,
            "model_not_found",
            "model",
        ),
    ]
}

#[test]
fn bodies_that_are_wrong() {
    let server = Server::with(
        "limits.plans.other = { requests_per_minute = 1, burst = 1, streams = 1, tokens_per_minute = 1 }\n",
    );
    for (body, status, code, param) in bodies() {
        let what: String = body.chars().take(120).collect();
        let request = server
            .post("/v1/streams")
            .header("Content-Type", "application/json");
        let response = request.body(body.clone()).send();
        assert_eq!(response.status, status, "{what}");
        if !param.is_empty() {
            let again = server
                .post("/v1/streams")
                .header("Content-Type", "application/json");
            let problem = again.body(body).send().json();
            assert_eq!(problem["error"]["param"], param, "{what}: {problem}");
        }
        check(&what, response, status, code);
    }
    let invalid_utf8 = server
        .post("/v1/streams")
        .header("Content-Type", "application/json");
    let response = invalid_utf8
        .body(b"{\"prompt\":\"\xff\xfe\"}".to_vec())
        .send();
    check("invalid UTF-8", response, 400, "invalid_json");
    assert_eq!(
        server.get("/v1/streams").send().json()["streams"],
        json!([]),
        "nothing was generated"
    );
}

/// Everything else that can be wrong: request, status, code.
fn requests(server: &Server) -> Vec<(Request, u16, &'static str)> {
    let id = server.create_async(json!({"tokens": 3}));
    let last = server.ended(&id)["last_event_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(last, format!("{id}.4"));
    let other = server.create_async(json!({"tokens": 3}));
    server.ended(&other);
    let unknown = "0".repeat(32);
    let good = json!({"prompt": "x"});
    let events = format!("/v1/streams/{id}/events");
    let get = |path: &str| server.get(path);
    let mut requests = vec![
        // Content types.
        (
            server.post("/v1/streams").body(good.to_string()),
            415,
            "unsupported_media_type",
        ),
        (
            server
                .post("/v1/streams")
                .header("Content-Type", "text/plain")
                .body(good.to_string()),
            415,
            "unsupported_media_type",
        ),
        (
            server
                .post("/v1/streams")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body("prompt=x"),
            415,
            "unsupported_media_type",
        ),
        (
            server
                .post("/v1/streams")
                .header("Content-Type", "application/jsonp")
                .body(good.to_string()),
            415,
            "unsupported_media_type",
        ),
        // Sizes.
        (
            server
                .post("/v1/streams")
                .json(&json!({"prompt": "x".repeat(1_100_000)})),
            413,
            "body_too_large",
        ),
        (
            server
                .post("/v1/streams")
                .header("Content-Type", "application/json")
                .header("Content-Length", "99999999999"),
            413,
            "body_too_large",
        ),
        // Headers.
        (
            server
                .post("/v1/streams")
                .header("Idempotency-Key", "")
                .json(&good),
            400,
            "invalid_header",
        ),
        (
            server
                .post("/v1/streams")
                .header("Idempotency-Key", "a b")
                .json(&good),
            400,
            "invalid_header",
        ),
        (
            server
                .post("/v1/streams")
                .header("Idempotency-Key", &"k".repeat(256))
                .json(&good),
            400,
            "invalid_header",
        ),
        (
            server
                .post("/v1/streams")
                .header("Last-Event-ID", "nonsense")
                .json(&good),
            400,
            "invalid_event_id",
        ),
        (
            server
                .post("/v1/streams")
                .header("Last-Event-ID", &format!("{unknown}.1"))
                .json(&good),
            404,
            "stream_not_found",
        ),
        (
            server
                .post("/v1/streams")
                .header("Last-Event-ID", &format!("{id}.99"))
                .json(&good),
            400,
            "invalid_event_id",
        ),
        // Ids.
        (get("/v1/streams/x"), 400, "invalid_stream_id"),
        (
            get(&format!("/v1/streams/{}", id.to_uppercase())),
            400,
            "invalid_stream_id",
        ),
        (get(&format!("/v1/streams/{id}0")), 400, "invalid_stream_id"),
        (get("/v1/streams/%00"), 400, "invalid_stream_id"),
        (get("/v1/streams/..%2f..%2fetc"), 400, "invalid_stream_id"),
        (
            get(&format!("/v1/streams/{unknown}")),
            404,
            "stream_not_found",
        ),
        (
            get(&format!("/v1/streams/{unknown}/events")),
            404,
            "stream_not_found",
        ),
        (
            server.post(&format!("/v1/streams/{unknown}/cancel")),
            404,
            "stream_not_found",
        ),
        (
            server.post(&format!("/v1/streams/{unknown}/tickets")),
            404,
            "stream_not_found",
        ),
        (
            server.delete(&format!("/v1/streams/{unknown}")),
            404,
            "stream_not_found",
        ),
        (
            server.post("/v1/streams/x/cancel"),
            400,
            "invalid_stream_id",
        ),
        (
            server.post("/v1/streams/x/tickets"),
            400,
            "invalid_stream_id",
        ),
        (server.delete("/v1/streams/x"), 400, "invalid_stream_id"),
        // Queries.
        (get(&format!("{events}?wait=-1")), 400, "invalid_query"),
        (get(&format!("{events}?wait=x")), 400, "invalid_query"),
        (get(&format!("{events}?wait=NaN")), 400, "invalid_query"),
        (get(&format!("{events}?wait=inf")), 400, "invalid_query"),
        (get(&format!("{events}?wait=56")), 400, "invalid_query"),
        (get("/v1/streams?limit=0"), 400, "invalid_query"),
        (get("/v1/streams?limit=101"), 400, "invalid_query"),
        (get("/v1/streams?limit=-1"), 400, "invalid_query"),
        (get("/v1/streams?limit=x"), 400, "invalid_query"),
        (get("/v1/streams?status=sleeping"), 400, "invalid_query"),
        (get("/v1/streams?after=x"), 400, "invalid_query"),
        // Paths and methods.
        (get("/"), 200, ""),
        (get("/v1"), 404, "route_not_found"),
        (get("/v1/stream"), 404, "route_not_found"),
        (get("/v1/streams/"), 404, "route_not_found"),
        (
            get(&format!("/v1/streams/{id}/event")),
            404,
            "route_not_found",
        ),
        (get("/v2/streams"), 404, "route_not_found"),
        (get("/errors/none"), 404, "route_not_found"),
        (
            server.request("PUT", "/v1/streams"),
            405,
            "method_not_allowed",
        ),
        (
            server.request("PATCH", "/v1/streams"),
            405,
            "method_not_allowed",
        ),
        (
            server.request("DELETE", "/v1/streams"),
            405,
            "method_not_allowed",
        ),
        (
            server.post(&format!("/v1/streams/{id}")),
            405,
            "method_not_allowed",
        ),
        (server.post(&events), 405, "method_not_allowed"),
        (
            get(&format!("/v1/streams/{id}/cancel")),
            405,
            "method_not_allowed",
        ),
        (
            get(&format!("/v1/streams/{id}/tickets")),
            405,
            "method_not_allowed",
        ),
        (server.post("/livez"), 405, "method_not_allowed"),
        (server.post("/openapi.yaml"), 405, "method_not_allowed"),
        (
            server.request("BREW", "/v1/streams"),
            405,
            "method_not_allowed",
        ),
        // Credentials.
        (
            server.post("/v1/streams").anonymous().json(&good),
            401,
            "missing_credentials",
        ),
        (get(&events).anonymous(), 401, "missing_credentials"),
        (
            get(&events).anonymous().header("Authorization", "Bearer"),
            401,
            "invalid_token",
        ),
        (
            get(&events).anonymous().header("Authorization", "Bearer  "),
            401,
            "invalid_token",
        ),
        (
            get(&events)
                .anonymous()
                .header("Authorization", "Bearer a b"),
            401,
            "invalid_token",
        ),
        (
            get(&events)
                .anonymous()
                .header("Authorization", "Basic YTpi"),
            401,
            "invalid_token",
        ),
        (
            get(&events)
                .anonymous()
                .header("Authorization", "Bearer \u{fc}"),
            401,
            "invalid_token",
        ),
        (
            get(&events).header("Authorization", &format!("Bearer {}", token("ann"))),
            400,
            "multiple_credentials",
        ),
        (
            get(&format!("{events}?access_token=x")),
            400,
            "multiple_credentials",
        ),
        (
            get(&format!("{events}?ticket=x")),
            400,
            "multiple_credentials",
        ),
        (
            get(&format!("{events}?ticket=x")).anonymous(),
            401,
            "invalid_token",
        ),
    ];
    // Cursors.
    for (cursor, status, code) in [
        ("x".to_owned(), 400, "invalid_event_id"),
        (id.clone(), 400, "invalid_event_id"),
        (format!("{id}."), 400, "invalid_event_id"),
        (format!("{id}.-1"), 400, "invalid_event_id"),
        (format!("{id}.01"), 400, "invalid_event_id"),
        (format!("{id}.1.1"), 400, "invalid_event_id"),
        (
            format!("{id}.99999999999999999999999"),
            400,
            "invalid_event_id",
        ),
        (format!("{id}.5"), 400, "invalid_event_id"),
        (
            format!("{id}.18446744073709551615"),
            400,
            "invalid_event_id",
        ),
        (format!("{other}.1"), 400, "invalid_event_id"),
        (format!("{unknown}.1"), 400, "invalid_event_id"),
        ("\u{fc}".to_owned(), 400, "invalid_event_id"),
    ] {
        for accept in [
            "text/event-stream",
            "application/json",
            "application/x-ndjson",
        ] {
            let request = server
                .get(&events)
                .header("Accept", accept)
                .header("Last-Event-ID", &cursor);
            requests.push((request, status, code));
        }
    }
    requests.push((
        get(&events)
            .header("Last-Event-ID", &last)
            .header("Last-Event-ID", &last),
        400,
        "invalid_event_id",
    ));
    requests
}

#[test]
fn requests_that_are_wrong() {
    let server = Server::with("limits.failed_authentications_per_minute = 100000\n");
    let requests = requests(&server);
    assert!(
        requests.len() + bodies().len() >= 160,
        "{}",
        requests.len() + bodies().len()
    );
    for (request, status, code) in requests {
        let bytes = request.bytes();
        let what: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        let response = request.send();
        if status < 400 {
            assert_eq!(response.status, status, "{what}");
        } else {
            if status == 405 {
                assert!(
                    response
                        .header("allow")
                        .is_some_and(|allow| !allow.is_empty()),
                    "{what}"
                );
            }
            check(&what, response, status, code);
        }
    }
}

#[test]
fn a_sane_request_id_is_kept_and_another_replaced() {
    let server = Server::start();
    let ask = |id: &str| {
        let response = server
            .request("GET", "/livez")
            .header("X-Request-Id", id)
            .send();
        response.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(ask("abc-123_4.5"), "abc-123_4.5");
    for strange in ["", "a b", "<script>", &"x".repeat(129), "a\"b"] {
        let id = ask(strange);
        assert_ne!(id, strange);
        assert_eq!(id.len(), 32);
    }
}

#[test]
fn every_code_is_explained() {
    let server = Server::start();
    let all = server.request("GET", "/errors").send().text();
    assert!(all.lines().count() > 25);
    let one = server.request("GET", "/errors/rate_limited").send().text();
    assert!(
        one.starts_with("rate_limited: Too many requests. Status 429"),
        "{one}"
    );
    assert!(all.contains(&one));
}
