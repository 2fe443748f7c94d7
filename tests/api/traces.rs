//! Spans: which there are, whose parts they are, what they say and what they never say.

use std::io::Write as _;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use crate::client::connect;
use crate::collector::{Collector, Span, only};
use crate::metrics_page::until;
use crate::nodes::Redis;
use crate::route::{openai, says};
use crate::server::{Server, prompt, token, wait_for};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn answers() -> Upstream {
    Upstream::start(|_: &Seen, exchange: &mut Exchange| {
        exchange.raw(EVENTS);
        exchange.text("a secret ");
        exchange.text("answer");
        exchange.event(json!({
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        }));
        exchange.event("[DONE]");
        exchange.chunk("");
        Then::Keep
    })
}

/// A server before this upstream, which is asked with a key.
fn before(upstream: &Upstream, collector: &Collector) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "geheimnis-of-the-upstream").unwrap();
    Server::with(&format!(
        "{}models.up = {{ generator = \"openai\", base_url = \"{}\", api_key_file = \"{}\" }}\n",
        collector.settings(),
        upstream.url(),
        key.display()
    ))
}

#[test]
fn a_request_its_generation_and_the_upstream_are_one_trace() {
    let (collector, upstream) = (Collector::start(), answers());
    let server = before(&upstream, &collector);
    let body = json!({"model": "up", "prompt": "a secret question", "max_tokens": 50, "temperature": 0.5, "top_p": 0.25});
    let request = server.post("/v1/streams").json(&body);
    let request = request
        .header("traceparent", CALLER)
        .header("tracestate", "a=1,b=2")
        .header("X-Request-Id", "r-1");
    let mut events = request.send().events();
    let stream = events.expect().data["stream"].clone();
    events.rest();
    let spans = collector.all(server);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == TRACE));
    assert!(spans.iter().all(|span| span.state == "a=1,b=2"));
    assert!(
        spans
            .iter()
            .all(|span| !span.failed && span.links.is_empty())
    );

    let request = only(&spans, "POST /v1/streams");
    assert_eq!(
        (request.parent.as_str(), request.kind),
        ("b7ad6b7169203331", SpanKind::Server)
    );
    assert_eq!(
        request.attributes,
        json!({
            "http.request.method": "POST", "http.route": "/v1/streams", "url.path": "/v1/streams", "url.scheme": "http",
            "server.address": "test", "http.response.status_code": 200,
            "tailrace.request.id": "r-1", "tailrace.stream.id": stream,
        })
    );
    let generation = only(&spans, "chat up");
    assert_eq!(
        (&generation.parent, generation.kind),
        (&request.id, SpanKind::Client)
    );
    let mut said = generation.attributes.clone();
    let first = said["gen_ai.response.time_to_first_chunk"].take();
    assert!((0.0..10.0).contains(&first.as_f64().unwrap()), "{first}");
    assert_eq!(
        said,
        json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "up", "gen_ai.request.stream": true,
            "gen_ai.request.max_tokens": 50, "gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 0.25,
            "gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 4,
            "gen_ai.response.time_to_first_chunk": null,
            "tailrace.request.id": "r-1", "tailrace.stream.id": stream,
        })
    );
    let attempt = only(&spans, "POST");
    assert_eq!(
        (&attempt.parent, attempt.kind),
        (&generation.id, SpanKind::Client)
    );
    assert_eq!(
        attempt.attributes,
        json!({
            "http.request.method": "POST", "url.full": format!("{}/chat/completions", upstream.url()),
            "server.address": "127.0.0.1", "server.port": upstream.address.port(), "http.response.status_code": 200,
        })
    );
    // The upstream is told whose part its own work is.
    let seen = &upstream.seen()[0];
    let parent = format!("00-{TRACE}-{}-01", attempt.id);
    assert_eq!(seen.header("traceparent"), Some(&*parent));
    assert_eq!(seen.header("tracestate"), Some("a=1,b=2"));
    // The answer is a part of the request to its last byte.
    assert!(request.ended >= attempt.ended && request.ended >= generation.started);
    let resource = &request.resource;
    assert_eq!(resource["service.name"], "tailrace");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].as_str().unwrap().len(), 36);
}

#[test]
fn no_span_holds_a_secret_a_prompt_or_an_answer() {
    let (collector, upstream) = (Collector::start(), answers());
    let server = before(&upstream, &collector);
    let ann = token("ann");
    let body = json!({
        "model": "up", "messages": [{"role": "system", "content": "a secret rule"}, {"role": "user", "content": "a secret question"}],
        "stream": true, "user": "secret-user", "metadata": {"note": "a secret note"}, "stop": ["secret-stop"],
    });
    let mut request = server.request("POST", &format!("/v1/streams?access_token={ann}"));
    request = request.json(&json!({"model": "up", "prompt": "a secret question", "metadata": {"note": "a secret note"}}));
    request
        .header("Cookie", "session=secret-cookie")
        .send()
        .events()
        .rest();
    let completion = server.post("/v1/chat/completions").json(&body).send();
    assert!(completion.text().contains("a secret "));
    // In places where none belongs.
    assert_eq!(server.get(&format!("/v1/{ann}")).send().status, 404);
    assert_eq!(server.get("/v1/streams/secret-id").send().status, 400);
    assert_eq!(
        server
            .request("GET", "/v1/models")
            .bearer("secret-token")
            .send()
            .status,
        401
    );
    let refused = server
        .post("/v1/streams")
        .json(&json!({"prompt": "a", "secret-field": 1}))
        .send();
    assert_eq!(refused.status, 422);
    let spans = collector.all(server);
    assert!(spans.len() >= 10, "{spans:#?}");
    for span in &spans {
        assert_eq!(span.attributes.get("url.query"), None);
    }
    for seen in collector.seen() {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        for secret in ["secret", "geheim", ann.as_str(), "access_token", "Bearer"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

/// Of a path only those parts are shown that are ours or an id of ours.
#[test]
fn what_is_asked_beside_streams_is_traced_without_names_of_its_own() {
    let collector = Collector::start();
    let server = Server::with(&collector.settings());
    for probe in ["/livez", "/readyz"] {
        assert_eq!(server.get(probe).send().status, 200);
    }
    server.get("/v1/models").send();
    server.get("/anything/else").send();
    server.request("BREW", "/v1/models").send();
    let spans = collector.all(server);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert_eq!(
        only(&spans, "GET /v1/models").attributes["http.response.status_code"],
        200
    );
    let unknown = only(&spans, "GET");
    assert_eq!(
        unknown.attributes["tailrace.problem.code"],
        "route_not_found"
    );
    assert_eq!(
        (
            unknown.attributes.get("http.route"),
            unknown.attributes.get("url.path")
        ),
        (None, None)
    );
    assert!(!unknown.failed, "it is the caller's");
    let brewed = only(&spans, "HTTP /v1/models");
    assert_eq!(brewed.attributes["http.request.method"], "_OTHER");
    assert_eq!(brewed.attributes["http.response.status_code"], 405);
}

/// Anybody may say anything as a `Host` and wait in the queue of spans with it.
#[test]
fn a_host_is_named_only_if_it_is_one() {
    let (long, label) = ("h".repeat(90_000), "h".repeat(250));
    let hosts = [
        ("chat.example:8443", Some("chat.example"), Some(8443)),
        ("[::1]:8443", Some("[::1]"), Some(8443)),
        (&*label, Some(&*label), None),
        (&*long, None, None),
        ("a'b.example", None, None),
        ("[v1.a]", None, None),
        ("", None, None),
    ];
    for (host, address, port) in hosts {
        let collector = Collector::start();
        let server = Server::with(&collector.settings());
        let asked = server.get("/v1/models").header("Host", host).send();
        assert_eq!(asked.status, 200, "{host:.40}");
        let spans = collector.all(server);
        let said = &only(&spans, "GET /v1/models").attributes;
        let named = said.get("server.address").and_then(Value::as_str);
        assert_eq!(named, address, "{host:.40}");
        let named = said.get("server.port").and_then(Value::as_u64);
        assert_eq!(named, port, "{host:.40}");
    }
}

#[test]
fn a_generation_outlives_its_request_and_those_who_leave() {
    let collector = Collector::start();
    let server = Server::with(&collector.settings());
    let knobs = json!({"tokens": 40, "tokens_per_second": 100});
    let id = server.create_async(knobs.clone());
    // Another one is left after its first event, and resumed.
    let body =
        json!({"on_disconnect": "continue", "prompt": "a", "metadata": prompt(knobs)["metadata"]});
    let mut events = server.post("/v1/streams").json(&body).send().events();
    let other = events.expect().data["stream"].as_str().unwrap().to_owned();
    drop(events);
    wait_for(|| {
        collector
            .spans()
            .iter()
            .any(|span| left_early(span) && stream(span) == other)
            .then_some(())
    });
    server
        .events(&other, Some(&format!("{other}.2")))
        .events()
        .rest();
    server.ended(&id);
    let spans = collector.all(server);
    for (id, is_async) in [(&id, true), (&other, false)] {
        let of = |name: &str| {
            let of = spans
                .iter()
                .find(|span| span.name == name && stream(span) == id.as_str());
            of.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
        };
        let (request, generation) = (of("POST /v1/streams"), of("chat demo"));
        assert_eq!(
            (&generation.parent, &generation.trace),
            (&request.id, &request.trace)
        );
        assert!(request.parent.is_empty());
        assert!(generation.ended > request.ended);
        assert_eq!(left_early(request), !is_async);
        assert_eq!(generation.attributes["gen_ai.usage.output_tokens"], 40);
    }
    // Whoever resumes has a trace of their own, and the stream's id leads to the other.
    let resumed = only(&spans, "GET /v1/streams/{id}/events");
    assert_eq!(stream(resumed), other);
    assert!(!left_early(resumed));
    let first = spans
        .iter()
        .find(|span| span.name == "chat demo" && stream(span) == other);
    assert_ne!(resumed.trace, first.unwrap().trace);
}

fn stream(span: &Span) -> &str {
    span.attributes["tailrace.stream.id"]
        .as_str()
        .unwrap_or_default()
}

fn left_early(span: &Span) -> bool {
    span.attributes.get("tailrace.response.left_early") == Some(&json!(true))
}

/// They matter most when models hang, and their clients go before anything is answered.
#[test]
fn whoever_leaves_before_the_answer_is_counted_and_traced() {
    let collector = Collector::start();
    let settings = format!("{}metrics.bind = \"127.0.0.1:0\"\n", collector.settings());
    let server = Server::with(&settings);
    let mut body = prompt(json!({"first_token_delay_ms": 600_000}));
    body["model"] = "demo".into();
    body["messages"] = json!([{"role": "user", "content": "a"}]);
    body.as_object_mut().unwrap().remove("prompt");
    let request = server.post("/v1/chat/completions").json(&body);
    let mut connection = connect(server.address);
    connection
        .write_all(&request.header("X-Request-Id", "r-1").bytes())
        .unwrap();
    until(&server, "tailrace_generations_active", &[], |active| {
        active > 0.0
    });
    drop(connection);
    let labels = [
        "http_route=\"/v1/chat/completions\"",
        "http_response_status_code=\"499\"",
    ];
    until(
        &server,
        "http_server_request_duration_seconds_count",
        &labels,
        |count| (count - 1.0).abs() < f64::EPSILON,
    );
    let spans = collector.all(server);
    let request = only(&spans, "POST /v1/chat/completions");
    assert!(left_early(request) && !request.failed);
    assert_eq!(
        request.attributes,
        json!({
            "http.request.method": "POST", "http.route": "/v1/chat/completions", "url.path": "/v1/chat/completions",
            "url.scheme": "http", "server.address": "test", "tailrace.request.id": "r-1", "tailrace.response.left_early": true,
        })
    );
}

#[test]
fn each_attempt_says_how_it_failed() {
    let collector = Collector::start();
    let fails = Upstream::start(|_: &Seen, exchange: &mut Exchange| {
        exchange.answer(
            "503 Service Unavailable",
            "",
            r#"{"error": {"message": "a secret"}}"#,
        );
        Then::Close
    });
    let gone = Upstream::start(|_: &Seen, exchange: &mut Exchange| {
        exchange.reset();
        Then::Close
    });
    let good = Upstream::start(|_: &Seen, exchange: &mut Exchange| {
        says(exchange, "well");
        Then::Close
    });
    let upstreams = [&fails, &gone, &good].map(openai).join(", ");
    let server = Server::with(&format!(
        "{}models.chat = {{ generator = \"route\", breaker_failures = 1, breaker_rest = \"1m\", upstreams = [{upstreams}] }}\n\
         models.broken = {}\n",
        collector.settings(),
        openai(&fails)
    ));
    let ask = |model: &str| {
        let body = json!({"model": model, "prompt": "a"});
        server
            .post("/v1/streams")
            .json(&body)
            .send()
            .events()
            .rest();
    };
    ask("chat");
    let asked = collector.span("chat chat");
    ask("chat");
    ask("broken");
    let spans = collector.all(server);
    let attempt = |upstream: &Upstream, parent: &Span| {
        let port = json!(upstream.address.port());
        let mut of = spans.iter().filter(|span| {
            span.attributes.get("server.port") == Some(&port) && span.parent == parent.id
        });
        of.next().cloned()
    };
    let failed = attempt(&fails, &asked).unwrap();
    assert_eq!(failed.attributes["http.response.status_code"], 503);
    assert_eq!(failed.attributes["error.type"], "upstream_error");
    assert!(failed.failed && failed.description.is_empty());
    let reset = attempt(&gone, &asked).unwrap();
    assert_eq!(reset.attributes.get("http.response.status_code"), None);
    assert_eq!(reset.attributes["error.type"], "upstream_incomplete");
    assert!(!attempt(&good, &asked).unwrap().failed && !asked.failed);
    // What rests is not asked, and that is said too.
    let second = spans
        .iter()
        .find(|span| span.name == "chat chat" && span.id != asked.id)
        .unwrap();
    assert!(attempt(&fails, second).is_none() && attempt(&good, second).is_some());
    let (name, about) = &second.events[0];
    assert_eq!(name, "tailrace.upstream.passed_over");
    assert_eq!(about["tailrace.upstream.reason"], "rests");
    assert_eq!(second.events.len(), 2);
    let broken = only(&spans, "chat broken");
    assert_eq!(broken.attributes["error.type"], "upstream_error");
    assert!(broken.failed && broken.description.is_empty());
    assert_eq!(
        broken.attributes.get("gen_ai.response.finish_reasons"),
        None::<&Value>
    );
}

#[test]
fn who_goes_on_for_a_lost_node_goes_on_in_its_trace() {
    let (collector, redis) = (Collector::start(), Redis::start());
    let settings = format!(
        "generation.takeover = \"continue\"\n{}",
        collector.settings()
    );
    let (mut a, b) = (redis.process_with(&settings), redis.node_with(&settings));
    let knobs = json!({"tokens": 60, "tokens_per_second": 20});
    let request =
        crate::client::Request::new(a.address, "POST", "/v1/streams").bearer(&token("ann"));
    let request = request
        .header("traceparent", CALLER)
        .header("tracestate", "a=1");
    let mut events = request.json(&prompt(knobs)).send().events();
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    events.expect();
    a.kill();
    assert_eq!(b.ended(&id)["status"], "done");
    let generation = collector.span("chat demo");
    assert_eq!(
        (generation.trace.as_str(), generation.state.as_str()),
        (TRACE, "a=1")
    );
    // Its parent is the request, whose span died with its node.
    assert!(!generation.parent.is_empty() && generation.parent != "b7ad6b7169203331");
    assert_eq!(
        generation.attributes["tailrace.generation.taken_over"],
        true
    );
    assert_eq!(stream(&generation), id);
}
