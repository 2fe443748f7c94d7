//! The monitor: its page, and what its feed says to whom.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use serde_json::{Value, json};
use tailrace::app::Stopped;

use crate::client::{Body, Request, Response};
use crate::nodes::Redis;
use crate::program::{Program, tailrace};
use crate::server::{Server, prompt, token, token_with, wait_for};

const FEED: &str = "/v1/monitor/events";

fn operator() -> String {
    token_with("root", "tailrace:admin", None)
}

/// The events of one feed.
struct Feed {
    body: Body,
    text: String,
    ready: VecDeque<(String, Value)>,
    /// All that came, as it came.
    raw: String,
}

impl Feed {
    fn of(server: &Server) -> Self {
        Self::from(server.request("GET", FEED).bearer(&operator()).send())
    }

    fn from(response: Response) -> Self {
        assert_eq!(response.status, 200);
        for (name, value) in [
            ("content-type", Some("text/event-stream")),
            ("cache-control", Some("no-cache, no-transform")),
            ("x-accel-buffering", Some("no")),
            ("content-encoding", None),
        ] {
            assert_eq!(response.header(name), value, "{name}");
        }
        Self {
            body: response.body,
            text: String::new(),
            ready: VecDeque::new(),
            raw: String::new(),
        }
    }

    /// The next event; `None` after a clean end.
    fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((name, data)) = self.ready.pop_front() {
                assert_eq!(data["type"], name);
                return Some(data);
            }
            let chunk = String::from_utf8(self.body.chunk().unwrap()?).unwrap();
            self.raw.push_str(&chunk);
            self.text.push_str(&chunk);
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                if let Some(event) = block.strip_prefix("event: ") {
                    let (name, data) = event.split_once("\ndata: ").unwrap();
                    let data = serde_json::from_str(data).unwrap();
                    self.ready.push_back((name.to_owned(), data));
                } else {
                    assert_eq!(block, "retry: 3000");
                }
                self.text = rest.to_owned();
            }
        }
    }

    fn state(&mut self) -> Value {
        let event = self.next().unwrap();
        assert_eq!(event["type"], "state", "{event}");
        event
    }

    /// The first state that is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let state = self.state();
            if is_so(&state) {
                return state;
            }
            let waited = began.elapsed();
            assert!(waited < crate::server::DEADLINE, "{what}: {state:#}");
        }
    }
}

fn shown<'a>(state: &'a Value, id: &str) -> Option<&'a Value> {
    let shown = state["streams"]["shown"].as_array().unwrap();
    shown.iter().find(|stream| stream["id"] == *id)
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> Option<&'a Value> {
    list.as_array().unwrap().iter().find(|it| it[key] == *name)
}

fn about(found: &Value, expected: f64) -> bool {
    let found = found.as_f64().unwrap_or(-1.0);
    (found - expected).abs() <= expected * 0.25
}

#[test]
fn only_operators_watch() {
    let server = Server::start();
    let ask = |token: &str| server.request("GET", FEED).bearer(token).send();
    let anonymous = server.request("GET", FEED).send();
    assert_eq!(anonymous.status, 401);
    assert_eq!(ask("a.b.c").status, 401);
    let user = ask(&token("ann"));
    assert_eq!(user.status, 403);
    let challenge = user.header("www-authenticate").unwrap().to_owned();
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    assert!(user.text().contains("tailrace:admin"));
    let id = server.create_async(json!({"stall_after": 1}));
    let ticket = server.post(&format!("/v1/streams/{id}/tickets")).send();
    let ticket = ticket.json()["ticket"].as_str().unwrap().to_owned();
    let with_ticket = server.request("GET", &format!("{FEED}?ticket={ticket}"));
    assert_eq!(with_ticket.send().status, 403);
    let post = server.request("POST", FEED).bearer(&operator()).send();
    assert_eq!((post.status, post.header("allow")), (405, Some("GET")));
    // As an EventSource asks, which has no headers.
    let query = format!("{FEED}?access_token={}", operator());
    let answer = server.request("GET", &query).send();
    assert_eq!(answer.status, 200);
    let cache = answer.header("cache-control");
    assert_eq!(cache, Some("no-store, no-transform"));
}

#[test]
fn where_no_scope_makes_an_operator_nobody_is_one() {
    let server = Server::with("auth.scopes.admin = \"\"\n");
    for scope in ["", "tailrace:admin", "streams:write streams:read"] {
        let token = token_with("root", scope, None);
        let answer = server.request("GET", FEED).bearer(&token).send();
        assert_eq!(answer.status, 403, "{scope:?}");
    }
}

#[test]
fn a_state_says_what_runs_and_how_fast() {
    let server = Server::with(
        "limits.plans.team = { requests_per_minute = 1000, burst = 100, streams = 10, tokens_per_minute = 1000000 }\n",
    );
    let mut feed = Feed::of(&server);
    let first = feed.state();
    assert_eq!(first["node"]["state"], "serving");
    assert_eq!(first["node"]["cpu"], Value::Null, "nothing is known yet");
    assert_eq!(first["streams"]["count"], 0);
    let port = server.address.port();
    let name = first["node"]["name"].as_str().unwrap();
    assert!(name.ends_with(&format!(":{port}")), "{name}");

    let knobs = json!({"tokens_per_second": 50, "tokens": 100_000, "first_token_delay_ms": 80});
    let ann = server.create_async(knobs.clone());
    let bob = server
        .request("POST", "/v1/streams")
        .bearer(&token_with(
            "bob",
            "streams:write streams:read",
            Some("team"),
        ))
        .header("Prefer", "respond-async")
        .json(&prompt(knobs))
        .send()
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let readers = [server.events(&ann, None), server.events(&ann, None)];
    let state = feed.until("both run at their pace", |state| {
        [&ann, &bob].into_iter().all(|id| {
            let stream = shown(state, id);
            stream.is_some_and(|it| about(&it["tokens_per_second"], 50.0))
        }) && about(&state["total"]["tokens_per_second"], 100.0)
    });
    let of_ann = shown(&state, &ann).unwrap();
    assert_eq!(of_ann["owner"], "ann");
    assert_eq!(
        (&of_ann["model"], &of_ann["plan"]),
        (&json!("demo"), &json!("default"))
    );
    assert_eq!(
        (&of_ann["readers"], &of_ann["has_begun"]),
        (&json!(2), &json!(true))
    );
    let of_bob = shown(&state, &bob).unwrap();
    assert_eq!(
        (&of_bob["plan"], &of_bob["readers"]),
        (&json!("team"), &json!(0))
    );
    assert!(of_bob["tokens"].as_u64().unwrap() >= 10);
    let age = of_bob["age_ms"].as_u64().unwrap();
    assert!((200..20_000).contains(&age), "{age}");

    let model = named(&state["models"], "name", "demo").unwrap();
    assert_eq!(
        (&model["running"], &model["started"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(model["first_token"]["count"], 2);
    let median = model["first_token"]["p50_ms"].as_f64().unwrap();
    assert!((80.0..1000.0).contains(&median), "{median}");
    let gap = &model["gap"];
    assert!(gap["count"].as_u64().unwrap() > 20);
    let quantiles = ["p50_ms", "p95_ms", "p99_ms"].map(|name| gap[name].as_f64().unwrap());
    assert!(quantiles.is_sorted() && quantiles[0] > 5.0, "{quantiles:?}");
    for plan in ["default", "team"] {
        let plan = named(&state["plans"], "name", plan).unwrap();
        assert_eq!(plan["running"], 1);
        assert!(about(&plan["tokens_per_second"], 50.0), "{plan}");
    }
    assert_eq!(named(&state["readers"], "name", "sse").unwrap()["count"], 2);
    assert!(state["node"]["cpu"].as_f64().is_some());
    assert!(state["node"]["memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(state["node"]["places"], 2);
    drop(readers);

    for id in [&ann, &bob] {
        let cancel = server.request("POST", &format!("/v1/streams/{id}/cancel"));
        assert_eq!(cancel.bearer(&operator()).send().status, 202);
    }
    let state = feed.until("both are gone", |state| state["streams"]["count"] == 0);
    // What has ended still counts.
    let total = &state["total"];
    assert_eq!(
        (&total["running"], &total["started"]),
        (&json!(0), &json!(2))
    );
}

#[test]
fn who_is_turned_away_and_what_fails_is_counted() {
    let server = Server::with(
        "limits.plans.small = { requests_per_minute = 1, burst = 1, streams = 1, tokens_per_minute = 1000 }\n",
    );
    let mut feed = Feed::of(&server);
    feed.state();
    let gil = token_with("gil", "streams:write streams:read", Some("small"));
    for expected in [200, 429, 429] {
        let request = server.request("POST", "/v1/streams").bearer(&gil);
        let answer = request.json(&prompt(json!({"tokens": 1}))).send();
        assert_eq!(answer.status, expected);
    }
    server.create(json!({"fail_after": 2})).rest();
    let state = feed.until("all of it is counted", |state| {
        named(&state["failures"], "code", "generator_error").is_some()
    });
    assert_eq!(state["failures"].as_array().unwrap().len(), 1);
    let rejected = &state["rejections"][0];
    let expected = json!({"reason": "requests", "plan": "small", "last_window": 2, "total": 2});
    assert_eq!(*rejected, expected);
    for (kind, code, count) in [
        ("errors", "rate_limited", 2),
        ("failures", "generator_error", 1),
    ] {
        let tally = named(&state[kind], "code", code).unwrap();
        assert_eq!(
            (&tally["last_window"], &tally["total"]),
            (&json!(count), &json!(count))
        );
    }
    assert_eq!(state["total"]["started"], 2);
    assert_eq!(state["redis"], Value::Null);
    assert_eq!(state["nodes"], json!([]));
}

#[test]
fn an_answer_that_tells_how_its_generation_ended_is_one_error_of_each_kind() {
    let server = Server::start();
    let mut feed = Feed::of(&server);
    let before = feed.state();
    let started = before["node"]["started_ms"].as_u64().unwrap();
    assert!(started <= before["at_ms"].as_u64().unwrap());
    let knobs = json!({"demo.fail_after": "0"});
    let body =
        json!({"model": "demo", "messages": [{"role": "user", "content": "x"}], "metadata": knobs});
    let answer = server.post("/v1/chat/completions").json(&body).send();
    assert!(answer.status >= 500, "{}", answer.status);
    let state = feed.until("both are counted", |state| {
        ["errors", "failures"]
            .iter()
            .all(|kind| state[kind][0].is_object())
    });
    let once = json!([{"code": "generator_error", "last_window": 1, "total": 1}]);
    assert_eq!((&state["errors"], &state["failures"]), (&once, &once));
    assert_eq!(state["node"]["started_ms"], started, "it names the process");
}

#[test]
fn no_prompt_no_text_and_no_credential_is_in_the_feed() {
    let server = Server::start();
    let mut feed = Feed::of(&server);
    let mut body = prompt(json!({"tokens_per_second": 100, "tokens": 100_000}));
    body["prompt"] = json!("a question that nobody else may see");
    body["metadata"]["note"] = json!("a note of its owner's");
    let created = server
        .post("/v1/streams")
        .header("Idempotency-Key", "a-key-of-its-owner")
        .header("Prefer", "respond-async")
        .json(&body)
        .send();
    let id = created.json()["id"].as_str().unwrap().to_owned();
    feed.until("it runs", |state| {
        shown(state, &id).is_some_and(|it| it["tokens"].as_u64().unwrap() > 50)
    });
    let text = server.snapshot(&id)["text"].as_str().unwrap().to_owned();
    let words = text.split_whitespace().collect::<Vec<_>>();
    assert!(words.len() > 20);
    for pair in words.windows(2) {
        let pair = pair.join(" ");
        assert!(!feed.raw.contains(&pair), "{pair:?}");
    }
    let ours = token("ann");
    for secret in ["question", "note of", "a-key-of", &ours, &operator()] {
        assert!(!feed.raw.contains(secret), "{secret:?}");
    }
}

#[test]
fn an_operator_without_other_scopes_stops_streams_and_does_nothing_else() {
    let server = Server::start();
    let operator = operator();
    let id = server.create_async(json!({"stall_after": 2}));
    let ask = |method: &str, path: &str| server.request(method, path).bearer(&operator);
    let stream = format!("/v1/streams/{id}");
    for path in [
        stream.clone(),
        format!("{stream}/events"),
        "/v1/streams".to_owned(),
    ] {
        assert_eq!(ask("GET", &path).send().status, 403, "{path}");
    }
    assert_eq!(ask("POST", &format!("{stream}/tickets")).send().status, 403);
    let create = ask("POST", "/v1/streams").json(&prompt(json!({})));
    assert_eq!(create.send().status, 403);
    let answer = ask("POST", &format!("{stream}/cancel")).send();
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json().get("text"), None);
    assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    assert_eq!(ask("DELETE", &stream).send().status, 204);
    // Whoever has neither scope stops nothing.
    let id = server.create_async(json!({"stall_after": 2}));
    let reader = token_with("ann", "streams:read", None);
    let cancel = server.request("POST", &format!("/v1/streams/{id}/cancel"));
    assert_eq!(cancel.bearer(&reader).send().status, 403);
    assert_eq!(server.snapshot(&id)["status"], "running");
}

#[test]
fn of_many_streams_the_oldest_and_the_newest_are_shown() {
    let server = Server::start();
    let ids: Vec<_> = (0..230)
        .map(|_| server.create_async(json!({"stall_after": 1})))
        .collect();
    let mut feed = Feed::of(&server);
    let state = feed.until("all are counted", |state| state["streams"]["count"] == 230);
    let shown = state["streams"]["shown"].as_array().unwrap().iter();
    let shown: Vec<_> = shown.map(|it| it["id"].as_str().unwrap()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let sorted = |ids: &[&str]| {
        ids.iter()
            .map(|id| (*id).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(shown.len(), 200);
    // Ids of one moment have no order that we know.
    assert_eq!(
        sorted(&shown[..90])
            .difference(&sorted(&ids[..120]))
            .count(),
        0
    );
    assert_eq!(
        sorted(&shown[110..])
            .difference(&sorted(&ids[110..]))
            .count(),
        0
    );
    assert_eq!(state["total"]["running"], 230);
}

#[test]
fn viewers_share_what_is_seen_and_wait_for_nobody() {
    let server = Server::start();
    for _ in 0..100 {
        server.create_async(json!({"stall_after": 1}));
    }
    // It reads nothing of its states.
    let idle = server.request("GET", FEED).bearer(&operator()).send();
    let (mut one, mut other) = (Feed::of(&server), Feed::of(&server));
    let times = |feed: &mut Feed| -> BTreeSet<u64> {
        let states = (0..4).map(|_| feed.state()["at_ms"].as_u64().unwrap());
        states.collect()
    };
    let (seen, also) = (times(&mut one), times(&mut other));
    assert!(seen.intersection(&also).count() >= 3, "{seen:?} {also:?}");
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    assert!(last - first >= 2500, "one a second: {seen:?}");
    assert!(Feed::from(idle).state()["at_ms"].as_u64().is_some());
}

#[test]
fn a_drain_is_told_and_the_feed_ends_cleanly() {
    let server = Server::with("drain_timeout = \"3s\"\n");
    let mut feed = Feed::of(&server);
    assert_eq!(feed.state()["node"]["drain_left_ms"], Value::Null);
    let mut events = server.create(json!({"stall_after": 1, "tokens": 100}));
    events.expect();
    feed.until("it runs", |state| state["streams"]["count"] == 1);
    let asked = Instant::now();
    server.ask_to_stop();
    let drain = loop {
        let event = feed.next().unwrap();
        if event["type"] == "drain" {
            break event;
        }
    };
    assert!(asked.elapsed().as_millis() < 900, "at once");
    assert_eq!(drain["streams"], 1);
    let left = drain["drain_left_ms"].as_u64().unwrap();
    assert!((1500..=3000).contains(&left), "{left}");
    assert_eq!(feed.state()["node"]["state"], "draining");
    // Who comes only now is told as well.
    let mut late = Feed::of(&server);
    assert_eq!(late.next().unwrap()["type"], "drain");
    // Whoever is sent away since then is counted as such.
    let request = server
        .post("/v1/streams")
        .json(&prompt(json!({"tokens": 1})));
    assert_eq!(request.send().status, 503);
    let state = feed.until("it is counted", |state| state["rejections"][0].is_object());
    let expected = json!({"reason": "draining", "plan": "default", "last_window": 1, "total": 1});
    assert_eq!(state["rejections"], json!([expected]));
    for feed in [&mut feed, &mut late] {
        let end = loop {
            let event = feed.next().unwrap();
            match event["type"].as_str().unwrap() {
                "state" => assert_eq!(event["node"]["state"], "draining"),
                _ => break event,
            }
        };
        assert_eq!(end, json!({"type": "end", "reason": "stopping"}));
        assert_eq!(feed.next(), None);
    }
    assert_eq!(server.wait(), Stopped::Drained);
    // Three seconds of drain, and none of waiting for who watches.
    assert!(asked.elapsed().as_millis() < 4800, "{:?}", asked.elapsed());
}

#[test]
fn a_node_that_leaves_says_so_before_it_drains() {
    let server = Server::with("drain_delay = \"2s\"\n");
    let mut feed = Feed::of(&server);
    feed.state();
    server.ask_to_stop();
    let state = feed.until("it leaves", |state| state["node"]["state"] == "leaving");
    assert_eq!(state["node"]["drain_left_ms"], Value::Null);
    server.create(json!({"tokens": 1})).rest();
}

#[test]
fn what_comes_is_what_openapi_says() {
    let document = serde_json::to_value(tailrace::api::docs::document()).unwrap();
    let server = Server::with("drain_timeout = \"1s\"\n");
    let mut feed = Feed::of(&server);
    let events = server.create(json!({"tokens_per_second": 50, "tokens": 100_000}));
    feed.until("a stream runs", |state| {
        shown_any(state).is_some_and(|it| it["tokens_per_second"].is_number())
    });
    server.request("GET", "/v1/streams").send();
    let state = feed.until("an error was counted", |state| {
        state["errors"][0].is_object()
    });
    let schemas = &document["components"]["schemas"];
    let of = |name: &str| &schemas[name];
    let mut checked = BTreeSet::new();
    fits(&state, of("MonitorState"), schemas, "state", &mut checked);
    server.ask_to_stop();
    let mut kinds = BTreeSet::new();
    while let Some(event) = feed.next() {
        let kind = event["type"].as_str().unwrap().to_owned();
        let mapping = &of("MonitorEvent")["discriminator"]["mapping"];
        let name = mapping[&kind].as_str().unwrap().rsplit('/').next().unwrap();
        fits(&event, of(name), schemas, &kind, &mut checked);
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    for name in [
        "LiveStream",
        "Pace",
        "Quantiles",
        "Tally",
        "Count",
        "NodeState",
    ] {
        assert!(checked.contains(name), "{name} of {checked:?}");
    }
    drop(events);
}

fn shown_any(state: &Value) -> Option<&Value> {
    state["streams"]["shown"].as_array().unwrap().first()
}

/// Whether a value has exactly what its schema says: no more properties, none that is missing, each of its type.
fn fits(value: &Value, schema: &Value, schemas: &Value, at: &str, checked: &mut BTreeSet<String>) {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap();
        checked.insert(name.to_owned());
        return fits(value, &schemas[name], schemas, at, checked);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = choices
            .iter()
            .find(|it| (it["type"] == "null") == value.is_null());
        return fits(value, choice.unwrap(), schemas, at, checked);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(|it| it.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap_or_else(|| panic!("{at}: {schema}"))],
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() && types.contains(&"integer") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&is), "{at}: {value} is no {types:?}");
    if let Some(values) = schema["enum"].as_array() {
        assert!(
            values.contains(value),
            "{at}: {value} is none of {values:?}"
        );
    }
    for item in value.as_array().into_iter().flatten() {
        fits(item, &schema["items"], schemas, &format!("{at}[]"), checked);
    }
    let Some(object) = value.as_object() else {
        return;
    };
    for (name, inner) in object {
        let property = &schema["properties"][name];
        assert!(property.is_object(), "{at}.{name} is not described");
        fits(inner, property, schemas, &format!("{at}.{name}"), checked);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            object.contains_key(name.as_str().unwrap()),
            "{at}: no {name}"
        );
    }
}

#[test]
fn the_page_and_all_that_it_loads_are_served_with_its_policy_to_anybody() {
    // What it shares is there without the playground.
    let server = Server::with("playground.enabled = false\n");
    let get = |path: &str| server.request("GET", path).send();
    let page = get("/monitor");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let html = page.header("content-security-policy").unwrap().to_owned();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
    ] {
        assert!(
            html.split("; ").any(|it| it == directive),
            "{directive} in {html}"
        );
    }
    assert!(!html.contains("unsafe"), "{html}");
    let html = page.text();
    assert!(!html.contains("style=") && !html.contains(" onclick"));
    let mut waiting: Vec<String> = html
        .split('"')
        .filter(|it| it.starts_with("/assets/"))
        .map(str::to_owned)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = get(&path);
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        assert!(file.header("content-security-policy").is_some(), "{path}");
        if path.starts_with("/assets/vendor/") {
            continue;
        }
        // What modules import and styles name is loaded as well.
        let text = file.text();
        let base = path.rsplit_once('/').unwrap().0;
        for line in text.lines() {
            let named = line.split(['\'', '"']).nth(1).unwrap_or_default();
            if named.starts_with("/assets/") {
                waiting.push(named.to_owned());
            } else if line.starts_with("import ") {
                waiting.push(resolved(base, named));
            }
        }
    }
    for expected in [
        "/assets/monitor/src/feed.js",
        "/assets/client/parser.js",
        "/assets/vendor/inter/inter.woff2",
    ] {
        assert!(seen.contains(expected), "{expected} in {seen:?}");
    }
    for path in [
        "/assets/monitor/",
        "/assets/monitor/tsconfig.json",
        "/assets/monitor/none.js",
        "/monitor/",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

/// A relative path of a module, from the folder of the one that imports it.
fn resolved(base: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').collect();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A second goes on being one: none is waited for, and none is made up for later.
#[test]
fn a_redis_that_hangs_does_not_hold_up_the_feed() {
    let redis = Redis::start();
    let server = redis.node_with("redis.admission_timeout = \"3s\"\n");
    let mut feed = Feed::of(&server);
    feed.until("the node", |state| state["nodes"][0]["is_this"] == true);
    redis.server.pause();
    let states: Vec<_> = (0..6).map(|_| feed.state()).collect();
    redis.server.resume();
    for pair in states.windows(2) {
        let [before, after] = [0, 1].map(|at| pair[at]["at_ms"].as_u64().unwrap());
        assert!(after - before > 100, "{before} {after}");
        // What was known is shown meanwhile.
        assert_eq!(pair[1]["nodes"][0]["is_this"], true);
    }
}

#[test]
fn it_can_be_switched_off() {
    let server = Server::with("monitor.enabled = false\n");
    for path in ["/monitor", "/assets/monitor/src/main.js", FEED] {
        let answer = server.request("GET", path).bearer(&operator()).send();
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(server.get("/assets/src/main.js").send().status, 200);
    server.create(json!({"tokens": 3})).rest();
}

#[test]
fn a_server_in_development_prints_a_link_that_watches_and_does_nothing_else() {
    use std::io::{BufRead as _, BufReader};

    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(tailrace(directory.path()));
    let printed = BufReader::new(program.child.stdout.take().unwrap());
    let lines = printed.lines().map_while(Result::ok);
    let link = lines
        .map(|line| line.trim().to_owned())
        .find(|line| line.contains("/monitor#token="))
        .unwrap();
    let (page, token) = link.split_once("#token=").unwrap();
    assert_eq!(page, format!("http://{}/monitor", program.address));
    let ask = |method: &str, path: &str| Request::new(program.address, method, path).bearer(token);
    let mut feed = Feed::from(ask("GET", FEED).send());
    assert_eq!(feed.state()["node"]["state"], "serving");
    let create = ask("POST", "/v1/streams").json(&prompt(json!({})));
    assert_eq!(create.send().status, 403);
    // The page itself never gets one.
    let own = |path: &str| {
        Request::new(program.address, "POST", path)
            .header("Host", &program.address.to_string())
            .header("Origin", &format!("http://{}", program.address))
            .send()
    };
    let plain = own("/playground/token").json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = Request::new(program.address, "GET", FEED)
        .bearer(&plain)
        .send();
    assert_eq!(answer.status, 403);
    wait_for(|| (own("/monitor/token").status == 404).then_some(()));
}
