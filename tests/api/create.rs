//! Creating a stream: the answer's head, its events, and every way to say "the same again".

use serde_json::json;

use crate::server::{Server, prompt, token};
use crate::sse::{check_whole, text};

#[test]
fn a_prompt_becomes_a_stream() {
    let server = Server::start();
    let response = server
        .post("/v1/streams")
        .json(&json!({"prompt": "Tell me about rivers"}))
        .send();
    let id = response.header("x-stream-id").unwrap().to_owned();
    assert_eq!(
        response.header("location"),
        Some(format!("/v1/streams/{id}").as_str())
    );
    assert_eq!(
        response.header("ratelimit-policy"),
        Some("\"requests\";q=1000000;w=60")
    );
    assert!(
        response
            .header("ratelimit")
            .unwrap()
            .starts_with("\"requests\";r=99999;t=")
    );
    assert_eq!(
        response.header("x-ratelimit-limit-tokens"),
        Some("1000000000")
    );
    let events = response.events().rest();
    check_whole(&events);
    assert!(text(&events).contains("rivers"));
    let done = &events.last().unwrap().data;
    assert_eq!(done["finish_reason"], "stop");
    assert_eq!(done["usage"]["completion_tokens"], events.len() - 2);
    let snapshot = server.snapshot(&id);
    assert_eq!(snapshot["text"], text(&events).as_str());
    assert_eq!(snapshot["status"], "done");
    assert_eq!(
        snapshot["last_event_id"],
        events.last().unwrap().id.as_str()
    );
}

#[test]
fn messages_and_parameters_are_taken() {
    let server = Server::start();
    let request = json!({
        "model": "demo",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "developer", "content": "Very"},
            {"role": "user", "content": "Tell me about bridges"},
            {"role": "assistant", "content": "They span."},
            {"role": "user", "content": "Tell me about tunnels"},
        ],
        "max_tokens": 7, "temperature": 0.5, "top_p": 1, "stop": "zzz", "seed": -3,
        "metadata": {"note": "mine"}, "on_disconnect": "continue",
    });
    let events = server
        .post("/v1/streams")
        .json(&request)
        .send()
        .events()
        .rest();
    check_whole(&events);
    assert_eq!(events.len(), 9);
    assert!(text(&events).contains("tunnels"));
    assert_eq!(events[8].data["finish_reason"], "length");
    let id = events[0].data["stream"].as_str().unwrap();
    assert_eq!(server.snapshot(id)["metadata"]["note"], "mine");
}

#[test]
fn respond_async_answers_at_once() {
    let server = Server::start();
    let request = server
        .post("/v1/streams")
        .header("Prefer", "wait=5, Respond-Async");
    let response = request
        .json(&prompt(json!({"tokens": 50, "tokens_per_second": 200})))
        .send();
    assert_eq!(response.status, 202);
    assert_eq!(response.header("preference-applied"), Some("respond-async"));
    let location = response.header("location").unwrap().to_owned();
    let snapshot = response.json();
    assert_eq!(snapshot["status"], "running");
    assert_eq!(
        snapshot["events_url"],
        format!("{location}/events").as_str()
    );
    let id = snapshot["id"].as_str().unwrap();
    let from = snapshot["last_event_id"].as_str().unwrap();
    let events = server.events(id, Some(from)).events().rest();
    assert_eq!(events.len(), 51, "50 tokens and the end");
    assert_eq!(server.snapshot(id)["text"], text(&events).as_str());
}

#[test]
fn awkward_text_survives() {
    let server = Server::start();
    for style in ["awkward", "huge"] {
        let mut events = server.create(json!({"text": style}));
        let first = events.expect();
        let mut whole = vec![first];
        whole.extend(events.rest());
        check_whole(&whole);
        let id = whole[0].data["stream"].as_str().unwrap();
        assert_eq!(server.snapshot(id)["text"], text(&whole).as_str());
        if style == "huge" {
            assert_eq!(text(&whole).len(), 200 * 1024);
            assert!(whole.len() > 5, "split over several events");
        }
    }
}

#[test]
fn reasoning_has_events_of_its_own_and_is_not_text() {
    let server = Server::start();
    let events = server.create(json!({"reasoning": 5, "tokens": 20})).rest();
    check_whole(&events);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds[1..6], ["reasoning"; 5]);
    assert_eq!(kinds[6], "token");
    let id = events[0].data["stream"].as_str().unwrap();
    let snapshot = server.snapshot(id);
    assert!(!snapshot["reasoning"].as_str().unwrap().is_empty());
    assert_eq!(snapshot["text"], text(&events).as_str());
}

#[test]
fn the_same_idempotency_key_attaches_to_the_same_stream() {
    let server = Server::start();
    let body = prompt(json!({"tokens": 30, "tokens_per_second": 100}));
    let send = |key: &str, body: &serde_json::Value| {
        server
            .post("/v1/streams")
            .header("Idempotency-Key", key)
            .json(body)
            .send()
    };
    let first = send("k", &body);
    let second = send("k", &body);
    let id = first.header("x-stream-id").unwrap().to_owned();
    assert_eq!(second.header("x-stream-id"), Some(id.as_str()));
    let (first, second) = (first.events().rest(), second.events().rest());
    assert_eq!(first, second);
    let third = send("k", &body);
    assert_eq!(
        third.header("x-stream-id"),
        Some(id.as_str()),
        "also when it has finished"
    );
    assert_eq!(third.events().rest(), first);
    // The same request in other words is the same request.
    let reordered = json!({"metadata": body["metadata"], "prompt": body["prompt"], "seed": null});
    assert_eq!(
        send("k", &reordered).header("x-stream-id"),
        Some(id.as_str())
    );

    let other = send("k", &json!({"prompt": "something else"}));
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["error"]["code"], "idempotency_key_reused");
    let somebody = server.request("POST", "/v1/streams").bearer(&token("ben"));
    let somebody = somebody.header("Idempotency-Key", "k").json(&body).send();
    assert_ne!(somebody.header("x-stream-id"), Some(id.as_str()));
    let list = server.get("/v1/streams").send().json();
    assert_eq!(list["streams"].as_array().unwrap().len(), 1);
}

#[test]
fn a_post_with_last_event_id_follows_and_does_not_generate() {
    let server = Server::start();
    let body = prompt(json!({"tokens": 40, "tokens_per_second": 100}));
    let mut events = server.post("/v1/streams").json(&body).send().events();
    let seen: Vec<_> = (0..5).map(|_| events.expect()).collect();
    drop(events);
    let again = |cursor: &str| {
        server
            .post("/v1/streams")
            .header("Last-Event-ID", cursor)
            .json(&body)
            .send()
    };
    let response = again(&seen[4].id);
    let rest = response.events().rest();
    assert_eq!(rest[0].seq, 5);
    let whole = [seen, rest].concat();
    check_whole(&whole);

    // Somebody else's cursor looks like one of no stream.
    let stranger = server.request("POST", "/v1/streams").bearer(&token("ben"));
    let stranger = stranger
        .header("Last-Event-ID", &whole[4].id)
        .json(&body)
        .send();
    assert_eq!(stranger.status, 404);

    // After the end it is told the end again, since a 204 would be retried for ever.
    let end = whole.last().unwrap();
    let told = again(&end.id).events().rest();
    assert_eq!(told, std::slice::from_ref(end));
    let list = server.get("/v1/streams").send().json();
    assert_eq!(
        list["streams"].as_array().unwrap().len(),
        1,
        "one generation"
    );
}

#[test]
fn lists_show_the_callers_own_streams_newest_first() {
    let server = Server::start();
    let ids: Vec<String> = (0..5)
        .map(|_| server.create_async(json!({"tokens": 1})))
        .collect();
    for id in &ids {
        server.ended(id);
    }
    let running = server.create_async(json!({"stall_after": 1}));
    let list = |query: &str| {
        let list = server.get(&format!("/v1/streams{query}")).send().json();
        let streams = list["streams"].as_array().unwrap().clone();
        assert!(streams.iter().all(|stream| stream.get("text").is_none()));
        let ids: Vec<String> = streams
            .iter()
            .map(|s| s["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, list["has_more"].as_bool().unwrap())
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(list("?status=running"), (vec![running.clone()], false));
    assert_eq!(list("?status=done").0, newest_first);
    assert_eq!(
        list("?limit=2"),
        (vec![running.clone(), ids[4].clone()], true)
    );
    assert_eq!(
        list(&format!("?limit=2&after={}", ids[4])),
        (newest_first[1..3].to_vec(), true)
    );
    assert_eq!(list(&format!("?after={}", ids[0])), (vec![], false));
    let others = server
        .request("GET", "/v1/streams")
        .bearer(&token("ben"))
        .send()
        .json();
    assert_eq!(others["streams"], json!([]));
}

/// A failure that may pass is not kept for the key; an answer of which there is a part is.
#[test]
fn a_key_is_free_again_after_a_failure_before_the_first_token() {
    use crate::upstream::{EVENTS, Seen, Then, Upstream};
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::start(move |_: &Seen, exchange| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => exchange.answer("503 Full", "", ""),
            _ => {
                exchange.raw(EVENTS);
                exchange.text("part");
            }
        }
        Then::Close
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\" }}\n",
        upstream.url()
    ));
    let body = json!({"model": "up", "messages": [{"role": "user", "content": "x"}]});
    let ask = |path: &str| {
        let request = server.post(path).header("Idempotency-Key", "k");
        request.json(&body).send()
    };
    let first = ask("/v1/streams").events().rest();
    assert_eq!(first.last().unwrap().data["error"]["retryable"], true);
    let second = ask("/v1/streams").events().rest();
    assert_ne!(second[0].data["stream"], first[0].data["stream"]);
    let third = ask("/v1/streams").events().rest();
    assert_eq!(third[1].data["text"], "part");
    assert_eq!(third.last().unwrap().data["error"]["retryable"], true);
    let again = ask("/v1/streams").events().rest();
    assert_eq!(again[0].data["stream"], third[0].data["stream"]);
    assert_eq!(upstream.seen().len(), 3);
}
