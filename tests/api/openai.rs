//! The `openai` generator before an upstream that misbehaves on command.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

fn server(upstream: &Upstream, more: &str) -> Server {
    Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\", model = \"real\", connect_timeout = \"500ms\" }}\n{more}",
        upstream.url()
    ))
}

fn run(server: &Server) -> Vec<Event> {
    let request = server
        .post("/v1/streams")
        .json(&json!({"model": "up", "prompt": "say it", "max_tokens": 50}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

/// The events of a generation whose upstream does this.
fn events(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Vec<Event> {
    let upstream = Upstream::start(move |_: &Seen, exchange: &mut Exchange| {
        script(exchange);
        Then::Close
    });
    run(&server(
        &upstream,
        "generation.idle_timeout = \"400ms\"\ngeneration.first_token_timeout = \"600ms\"\n",
    ))
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

#[test]
fn text_reasoning_tool_calls_and_usage_come_through() {
    let events = events(|exchange| {
        exchange.raw(EVENTS);
        exchange.event(delta(json!({"role": "assistant", "content": ""})));
        exchange.event(delta(json!({"reasoning_content": "hm"})));
        exchange.event(delta(json!({"reasoning": "so"})));
        exchange.text("Hel");
        exchange.text("lo \u{1F600}");
        exchange.event(delta(json!({"tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}},
        ]})));
        exchange.event(delta(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        ));
        exchange.event(delta(
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}),
        ));
        exchange
            .event(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
        exchange.event(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}}));
        exchange.event("[DONE]");
        exchange.chunk("");
    });
    assert_eq!(
        kinds(&events),
        [
            "start",
            "reasoning",
            "reasoning",
            "token",
            "token",
            "tool_call",
            "tool_call",
            "tool_call",
            "tool_call",
            "done"
        ]
    );
    assert_eq!(text(&events), "Hello \u{1F600}");
    let call = |at: usize| (&events[at].data["index"], &events[at].data["arguments"]);
    assert_eq!(call(7), (&json!(0), &json!("{}")));
    assert_eq!(call(8), (&json!(1), &json!("}")));
    assert_eq!(events[5].data["name"], "f");
    let done = &events[9].data;
    assert_eq!(done["finish_reason"], "tool_calls");
    assert_eq!(
        done["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12})
    );
}

#[test]
fn the_upstream_gets_the_request_its_own_model_name_and_our_key_and_nothing_else() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.raw(EVENTS);
        exchange.text("x");
        exchange.finish("stop");
        Then::Keep
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}/\", model = \"real\", api_key_env = \"CARGO_PKG_NAME\", headers = {{ X-Team = \"water\" }} }}\n",
        upstream.url()
    ));
    let body = json!({
        "model": "up", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7,
        "metadata": {"private": "note"},
    });
    for _ in 0..3 {
        let events = server
            .post("/v1/streams")
            .json(&body)
            .send()
            .events()
            .rest();
        assert_eq!(text(&events), "x");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(upstream.connections(), 1, "one connection serves all");
    assert!(
        seen[0]
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{}",
        seen[0].head
    );
    assert_eq!(seen[0].header("authorization"), Some("Bearer tailrace"));
    assert_eq!(seen[0].header("x-team"), Some("water"));
    assert_eq!(
        seen[0].header("host"),
        Some(upstream.address.to_string().as_str())
    );
    assert!(
        !seen[0].head.contains("eyJ"),
        "no token of the client's goes on"
    );
    assert_eq!(
        seen[0].json(),
        json!({
            "model": "real", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
            "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7,
            "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

/// An upstream ends by itself at the `max_tokens` that it was told. Its deltas may be finer than its
/// tokens, so their number says nothing about that.
#[test]
fn an_upstream_is_not_cut_by_the_number_of_its_deltas() {
    let events = events(|exchange| {
        exchange.raw(EVENTS);
        for _ in 0..70 {
            exchange.text("x");
        }
        exchange.event(
            json!({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 50, "total_tokens": 53}}),
        );
        exchange.event("[DONE]");
        exchange.chunk("");
    });
    assert_eq!(text(&events).len(), 70);
    let done = &events.last().unwrap().data;
    assert_eq!(done["finish_reason"], "stop");
    assert_eq!(done["usage"]["completion_tokens"], 50);
}

#[test]
fn every_finish_reason() {
    for (said, expected) in [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
    ] {
        let events = events(move |exchange| {
            exchange.raw(EVENTS);
            exchange.text("x");
            exchange.finish(said);
        });
        assert_eq!(
            events.last().unwrap().data["finish_reason"],
            expected,
            "{said}"
        );
    }
}

/// How a body is cut into chunks, and how its lines end, changes nothing.
#[test]
fn framing_of_every_kind_is_read() {
    let body = "\u{feff}: hello\r\nevent: x\r\ndata: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\"caf\u{e9} \u{1F600}\"}}]}\r\n\r\n\
                data:{\"choices\":[{\"delta\":{\"content\":\"!\"},\"finish_reason\":\"stop\"}]}\r\rdata: [DONE]";
    for step in [1, 2, 3, 7, 1000] {
        let events = events(move |exchange| {
            exchange.raw(EVENTS);
            for piece in body.as_bytes().chunks(step) {
                exchange.chunk(piece);
            }
            exchange.chunk("");
        });
        assert_eq!(text(&events), "caf\u{e9} \u{1F600}!", "in pieces of {step}");
        assert_eq!(events.last().unwrap().kind, "done");
    }
}

type Script = fn(&mut Exchange);

/// Each fault, what the stream's error is called, and whether it is worth another try.
#[test]
fn faults_have_codes() {
    let table: &[(&str, Script, &str, bool)] = &[
        (
            "closed before an answer",
            |_| {},
            "upstream_incomplete",
            true,
        ),
        (
            "reset before an answer",
            Exchange::reset,
            "upstream_incomplete",
            true,
        ),
        (
            "closed in the head",
            |e| e.raw("HTTP/1.1 200 OK\r\nContent-"),
            "upstream_incomplete",
            true,
        ),
        (
            "no HTTP",
            |e| e.raw("220 mail.example.com ESMTP\r\n\r\n"),
            "upstream_invalid",
            false,
        ),
        ("no answer", Exchange::hold, "first_token_timeout", true),
        (
            "no token",
            |e| {
                e.raw(EVENTS);
                e.hold();
            },
            "first_token_timeout",
            true,
        ),
        (
            "comments and no token",
            |e| {
                e.raw(EVENTS);
                for _ in 0..20 {
                    e.chunk(": keep-alive\n\n");
                    std::thread::sleep(Duration::from_millis(50));
                }
                e.hold();
            },
            "first_token_timeout",
            true,
        ),
        (
            "a stall",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.hold();
            },
            "idle_timeout",
            true,
        ),
        (
            "400",
            |e| e.answer("400 Bad Request", "", r#"{"error":{"message":"too long"}}"#),
            "upstream_refused",
            false,
        ),
        (
            "401",
            |e| {
                e.answer(
                    "401 Unauthorized",
                    "",
                    r#"{"error":{"message":"key sk-geheim"}}"#,
                );
            },
            "upstream_error",
            false,
        ),
        (
            "404",
            |e| e.answer("404 Not Found", "", "geheim"),
            "upstream_error",
            false,
        ),
        (
            "an event that is no chunk",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"hello": "geheim"}));
                e.finish("stop");
            },
            "upstream_invalid",
            false,
        ),
        (
            "an end, and nothing before it",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}));
                e.event("[DONE]");
                e.chunk("");
            },
            "upstream_incomplete",
            true,
        ),
        (
            "429",
            |e| e.answer("429 Too Many Requests", "Retry-After: 7\r\n", "{}"),
            "upstream_rate_limited",
            true,
        ),
        (
            "500",
            |e| e.answer("500 Internal Server Error", "", "geheim"),
            "upstream_error",
            true,
        ),
        (
            "503",
            |e| e.answer("503 Service Unavailable", "", ""),
            "upstream_error",
            true,
        ),
        (
            "a redirect",
            |e| {
                e.answer(
                    "307 Temporary Redirect",
                    "Location: http://169.254.169.254/\r\n",
                    "",
                );
            },
            "upstream_invalid",
            false,
        ),
        (
            "JSON and no stream",
            |e| e.answer("200 OK", "Content-Type: application/json\r\n", "{}"),
            "upstream_invalid",
            false,
        ),
        (
            "an end without a reason",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.chunk("");
            },
            "upstream_incomplete",
            true,
        ),
        (
            "cut in the body",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.raw("ff\r\ndata");
            },
            "upstream_incomplete",
            true,
        ),
        (
            "reset in the body",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                std::thread::sleep(Duration::from_millis(50));
                e.reset();
            },
            "upstream_incomplete",
            true,
        ),
        (
            "a chunk of no size",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.raw("zz\r\n");
            },
            "upstream_invalid",
            false,
        ),
        (
            "no JSON",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.event("<html>");
            },
            "upstream_invalid",
            false,
        ),
        (
            "JSON of another shape",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"choices": "geheim"}));
            },
            "upstream_invalid",
            false,
        ),
        (
            "no UTF-8",
            |e| {
                e.raw(EVENTS);
                e.chunk(b"data: \xff\n\n");
            },
            "upstream_invalid",
            false,
        ),
        (
            "an error in the stream",
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.event(json!({"error": {"message": "out of memory"}}));
            },
            "upstream_error",
            true,
        ),
        (
            "a line of 10 MiB",
            |e| {
                e.raw(EVENTS);
                e.chunk("data: ");
                for _ in 0..160 {
                    e.chunk("x".repeat(65536));
                }
            },
            "upstream_invalid",
            false,
        ),
        (
            "endless lines of one event",
            |e| {
                e.raw(EVENTS);
                for _ in 0..300 {
                    e.chunk(format!("data: {}\n", "x".repeat(8000)));
                }
            },
            "upstream_invalid",
            false,
        ),
    ];
    for (fault, script, code, retryable) in table {
        let started = Instant::now();
        let script = *script;
        let events = events(script);
        let last = events.last().unwrap();
        assert_eq!(last.kind, "error", "{fault}: {}", last.data);
        let error = &last.data["error"];
        assert_eq!(error["code"], *code, "{fault}: {error}");
        assert_eq!(error["retryable"], *retryable, "{fault}: {error}");
        let said = error["message"].as_str().unwrap();
        assert!(
            !said.contains("geheim") && !said.contains("127.0.0.1"),
            "{fault}: {said}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{fault}: too slow"
        );
    }
}

#[test]
fn what_an_upstream_says_of_the_request_is_passed_on() {
    let events = events(|exchange| {
        exchange.answer(
            "400 Bad Request",
            "",
            r#"{"error":{"message":"the context is too long"}}"#,
        );
    });
    let message = &events.last().unwrap().data["error"]["message"];
    assert!(
        message
            .as_str()
            .unwrap()
            .contains("the context is too long")
    );
}

#[test]
fn when_to_come_back_is_passed_on() {
    for (header, expected) in [
        ("Retry-After: 7", json!(7000)),
        ("retry-after-ms: 250", json!(250)),
        ("Retry-After: soon", Value::Null),
    ] {
        let events = events(move |exchange| {
            exchange.answer("429 Too Many Requests", &format!("{header}\r\n"), "");
        });
        assert_eq!(
            events.last().unwrap().data["error"]["retry_after_ms"],
            expected
        );
    }
}

#[test]
fn an_upstream_that_is_not_there_is_unavailable() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for host in [
        format!("127.0.0.1:{port}"),
        "no-such-host.invalid".to_owned(),
    ] {
        let server = Server::with(&format!(
            "models.up = {{ generator = \"openai\", base_url = \"http://{host}/v1\", connect_timeout = \"2s\" }}\n"
        ));
        let events = run(&server);
        let error = &events.last().unwrap().data["error"];
        assert_eq!(error["code"], "upstream_unavailable");
        assert_eq!(error["retryable"], true);
    }
}

#[test]
fn an_answer_that_is_complete_needs_no_end() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.raw(EVENTS);
        exchange.text("x");
        exchange.event(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
        exchange.hold();
        Then::Close
    });
    let started = Instant::now();
    let events = run(&server(&upstream, ""));
    assert_eq!(events.last().unwrap().kind, "done");
    assert!(started.elapsed() < Duration::from_secs(4));
}

/// Stop, leaving and time-outs reach the upstream within a second, whatever it is doing.
#[test]
fn cancelling_closes_the_upstream_connection() {
    let before_the_head: Script = Exchange::hold;
    let before_the_first_token: Script = |e| {
        e.raw(EVENTS);
        e.hold();
    };
    let in_the_middle: Script = |e| {
        e.raw(EVENTS);
        e.text("x");
        e.hold();
    };
    for script in [before_the_head, before_the_first_token, in_the_middle] {
        let upstream = Upstream::start(move |_, exchange| {
            script(exchange);
            Then::Close
        });
        let server = server(&upstream, "");
        let request = server.post("/v1/streams").header("Prefer", "respond-async");
        let snapshot = request
            .json(&json!({"model": "up", "prompt": "x"}))
            .send()
            .json();
        let id = snapshot["id"].as_str().unwrap().to_owned();
        crate::server::wait_for(|| (!upstream.seen().is_empty()).then_some(()));
        let asked = Instant::now();
        server.post(&format!("/v1/streams/{id}/cancel")).send();
        assert!(upstream.left() - asked < Duration::from_secs(1));
        assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    }
}

/// Connections are used again, and one that has been closed meanwhile costs nobody a generation.
#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.raw(EVENTS);
        exchange.text("x");
        exchange.finish("stop");
        Then::Close
    });
    let server = server(&upstream, "");
    for _ in 0..20 {
        let events = run(&server);
        assert_eq!(events.last().unwrap().kind, "done");
    }
    assert_eq!(upstream.seen().len(), 20);
}

/// With `[upstream]` every model of a server is ours, by its own name.
#[test]
fn an_upstream_is_passed_through_with_all_its_models() {
    let upstream = Upstream::start(|seen, exchange| {
        if seen.head.starts_with("GET /v1/models ") {
            let models = json!({"object": "list", "data": [{"id": "small"}, {"id": "org/large"}, {"id": "llama:latest"}]});
            exchange.answer(
                "200 OK",
                "Content-Type: application/json\r\n",
                &models.to_string(),
            );
            return Then::Keep;
        }
        exchange.raw(EVENTS);
        exchange.text(seen.json()["model"].as_str().unwrap());
        exchange.finish("stop");
        Then::Keep
    });
    let server = Server::with(&format!("upstream.base_url = \"{}\"\n", upstream.url()));
    let list = server.get("/v1/models").send().json();
    let names = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].clone());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["demo", "small", "org/large", "llama:latest"]
    );
    let ask = |model: &str| {
        let body = json!({"model": model, "prompt": "x"});
        server.post("/v1/streams").json(&body).send()
    };
    assert_eq!(text(&ask("org/large").events().rest()), "org/large");
    // A tag may be left out where it is the usual one, and the upstream is asked as we were.
    for name in ["llama", "llama:latest"] {
        assert_eq!(text(&ask(name).events().rest()), name);
    }
    for name in ["none", "llama:8b", "lla", "llama:", ":latest", ""] {
        assert_eq!(
            ask(name).json()["error"]["code"],
            "model_not_found",
            "{name}"
        );
    }
    let asked = upstream
        .seen()
        .iter()
        .filter(|seen| seen.head.starts_with("GET"))
        .count();
    assert!(asked <= 2, "the list is remembered");
}

#[test]
fn an_upstream_that_cannot_be_asked_for_its_models_is_said_to_be_so() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer("500 Oh", "", "");
        Then::Close
    });
    let server = Server::with(&format!("upstream.base_url = \"{}\"\n", upstream.url()));
    let body = json!({"model": "small", "prompt": "x"});
    let response = server.post("/v1/streams").json(&body).send();
    assert_eq!(response.status, 502);
    assert_eq!(response.json()["error"]["code"], "upstream_error");
    let body = json!({"model": "demo", "prompt": "x"});
    assert_eq!(server.post("/v1/streams").json(&body).send().status, 200);
    let list = server.get("/v1/models").send().json();
    assert_eq!(list["data"][0]["id"], "demo", "ours are there");
}

/// Its refusal is of our question, and nothing that the client could mend.
#[test]
fn an_upstream_that_has_no_list_of_models_is_not_the_clients_fault() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer("404 Not Found", "", "{\"detail\": \"Not Found\"}");
        Then::Close
    });
    let server = Server::with(&format!("upstream.base_url = \"{}\"\n", upstream.url()));
    let body = json!({"model": "small", "prompt": "x"});
    let response = server.post("/v1/streams").json(&body).send();
    assert_eq!(response.status, 502);
    assert_eq!(response.header("x-should-retry"), Some("false"));
    assert_eq!(response.code(), "upstream_error");
}

/// Names that are not there are looked up before anything is admitted, so all callers of all workers
/// share one question.
#[test]
fn unknown_models_do_not_flood_the_upstream_with_questions() {
    let upstream = Upstream::start(|_, exchange| {
        std::thread::sleep(Duration::from_millis(300));
        exchange.answer("200 OK", "", r#"{"data": [{"id": "small"}]}"#);
        Then::Keep
    });
    let url = upstream.url();
    let server = Server::with(&format!("workers = 3\nupstream.base_url = \"{url}\"\n"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for at in 0..30 {
            let body = json!({"model": format!("unknown-{at}"), "prompt": "x"});
            let request = server.post("/v1/streams").json(&body);
            scope.spawn(move || assert_eq!(request.send().status, 404));
        }
    });
    let (asked, most) = (upstream.seen().len(), 1 + started.elapsed().as_secs());
    assert!(asked as u64 <= most, "asked {asked} times");
}

/// What a model says instead of an answer is not the answer.
#[test]
fn refusals_are_kept_apart() {
    let script = |exchange: &mut Exchange| {
        exchange.raw(EVENTS);
        exchange.event(delta(
            json!({"role": "assistant", "content": "", "refusal": null}),
        ));
        exchange.event(delta(json!({"refusal": "I will "})));
        exchange.event(delta(json!({"refusal": "not."})));
        exchange.finish("stop");
    };
    let upstream = Upstream::start(move |_, exchange| {
        script(exchange);
        Then::Close
    });
    let server = server(&upstream, "");
    let events = run(&server);
    assert_eq!(kinds(&events), ["start", "refusal", "refusal", "done"]);
    assert_eq!(events[2].data["text"], "not.");
    assert_eq!(events[3].data["usage"]["completion_tokens"], 2);
    let (id, _) = events[0].id.split_once('.').unwrap();
    let snapshot = server.snapshot(id);
    assert_eq!(snapshot["refusal"], "I will not.");
    assert_eq!(snapshot["text"], "");
    let chat = |stream: bool| {
        let body = json!({"model": "up", "messages": [{"role": "user", "content": "x"}], "stream": stream});
        server.post("/v1/chat/completions").json(&body).send()
    };
    let message = &chat(false).json()["choices"][0]["message"];
    assert_eq!(
        message,
        &json!({"role": "assistant", "content": null, "refusal": "I will not."})
    );
    let chunks = chat(true).text();
    assert!(
        chunks.contains(r#""delta":{"refusal":"I will "}"#),
        "{chunks}"
    );
}
