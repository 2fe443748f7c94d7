//! Log probabilities of an upstream: as they came, where they came, and only when they were asked for.

use serde_json::{Value, json};

use crate::server::Server;
use crate::sse::check_whole;
use crate::upstream::{EVENTS, Exchange, Then, Upstream};

fn upstream(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> (Upstream, Server) {
    let upstream = Upstream::start(move |_, exchange| {
        exchange.raw(EVENTS);
        script(exchange);
        exchange.finish("stop");
        Then::Close
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\" }}\n",
        upstream.url()
    ));
    (upstream, server)
}

fn ask(server: &Server, more: Value) -> crate::client::Response {
    let mut body = json!({"model": "up", "messages": [{"role": "user", "content": "x"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    server.post("/v1/chat/completions").json(&body).send()
}

/// A chunk as OpenAI has it; numbers as no float would be written.
fn chunk(text: &str) -> String {
    format!(
        r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"logprobs":{{"content":[{{"token":"{text}","logprob":-0.10,"top_logprobs":[]}}],"refusal":null}},"finish_reason":null}}]}}"#
    )
}

#[test]
fn they_come_back_as_they_came_and_count_as_no_token() {
    let (_upstream, server) = upstream(|exchange| {
        exchange.event(chunk("a"));
        // A number of lines is one event, and must not become several.
        exchange.chunk(format!(
            "data: {}\n\n",
            chunk("b").replace('[', "[\ndata: ")
        ));
        exchange.event(r#"{"choices":[{"index":0,"delta":{"content":"c"},"logprobs":null}]}"#);
    });
    let answer = ask(
        &server,
        json!({"logprobs": true, "stream": true, "stream_options": {"include_usage": true}}),
    );
    let id = answer.header("x-stream-id").unwrap().to_owned();
    let chunks = answer.text();
    let expected = r#""choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"b","logprob":-0.10,"top_logprobs":[]}],"refusal":null},"finish_reason":null}],"usage":null}"#;
    assert!(chunks.contains(expected), "{chunks}");
    let events = server.events(&id, None).events().rest();
    check_whole(&events);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "start", "token", "logprobs", "token", "logprobs", "token", "done"
        ]
    );
    assert_eq!(events[2].data["logprobs"]["content"][0]["token"], "a");
    assert_eq!(events[6].data["usage"]["completion_tokens"], 3);
    let resumed = server.events(&id, Some(&format!("{id}.3"))).events().rest();
    assert_eq!(resumed[..], events[4..]);
}

#[test]
fn an_answer_at_once_has_them_all() {
    let (_upstream, server) = upstream(|exchange| {
        exchange.event(chunk("a"));
        exchange.event(chunk("b"));
    });
    let whole = ask(&server, json!({"logprobs": true})).text();
    let item = |text: &str| format!(r#"{{"token":"{text}","logprob":-0.10,"top_logprobs":[]}}"#);
    let expected = format!(
        r#""logprobs":{{"content":[{},{}],"refusal":null}}"#,
        item("a"),
        item("b")
    );
    assert!(whole.contains(&expected), "{whole}");
    for more in [json!({}), json!({"logprobs": false})] {
        let unasked = ask(&server, more).json();
        assert_eq!(unasked["choices"][0]["logprobs"], Value::Null);
    }
}

#[test]
fn long_ones_are_parted() {
    let (_upstream, server) = upstream(|exchange| {
        let item = json!({"token": "x".repeat(1000), "logprob": -1});
        let items = vec![item; 200];
        exchange.event(
            json!({"choices": [{"delta": {"content": "x"}, "logprobs": {"content": items}}]}),
        );
    });
    let answer = ask(&server, json!({"logprobs": true, "stream": true}));
    let id = answer.header("x-stream-id").unwrap().to_owned();
    answer.text();
    let events = server.events(&id, None).events().rest();
    let lists = events
        .iter()
        .filter_map(|event| event.data["logprobs"]["content"].as_array());
    let lengths: Vec<usize> = lists.map(Vec::len).collect();
    assert!(lengths.len() > 3, "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), 200);
}
