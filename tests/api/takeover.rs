//! A stream goes on, on another node, when its own is lost or stopped.

use serde_json::{Value, json};

use crate::client::Request;
use crate::nodes::Redis;
use crate::program::Program;
use crate::server::{Server, prompt, token, wait_for};
use crate::sse::{Events, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

const TAKES_OVER: &str = "generation.takeover = \"continue\"\n";

/// Starts a stream on a node, and names it.
fn start(node: &Program, body: &Value) -> (String, Events) {
    let request = Request::new(node.address, "POST", "/v1/streams").bearer(&token("ann"));
    let mut events = request.json(body).send().events();
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    (id, events)
}

/// What the demo says to the prompt of these tests, with so many tokens.
fn whole(tokens: u32) -> String {
    let knobs = json!({"tokens": tokens, "tokens_per_second": 0});
    text(&Server::start().create(knobs).rest())
}

#[test]
fn another_node_goes_on_with_the_stream_of_a_killed_one() {
    let redis = Redis::start();
    let (mut a, b) = (redis.process_with(TAKES_OVER), redis.node_with(TAKES_OVER));
    let knobs = json!({"tokens": 300, "tokens_per_second": 20});
    let (id, mut events) = start(&a, &prompt(knobs));
    let there = b.events(&id, None).events();
    for _ in 0..20 {
        events.expect();
    }
    a.kill();
    let there = there.rest();
    check_whole(&there);
    assert_eq!(text(&there), whole(300));
    let end = &there.last().unwrap().data;
    assert_eq!(end["type"], "done");
    assert_eq!(end["usage"]["completion_tokens"], 300);
    // 300 tokens at 20 a second: the time before the takeover counts, and the pause too.
    assert!(
        end["timing"]["total_ms"].as_u64().unwrap() >= 15_000,
        "{end}"
    );
    assert_eq!(end["timing"].get("first_token_ms"), None);
    assert_eq!(b.ended(&id)["text"], whole(300).as_str());
}

#[test]
fn a_node_that_is_stopped_leaves_its_streams_to_another() {
    let redis = Redis::start();
    let (a, b) = (redis.process_with(TAKES_OVER), redis.node_with(TAKES_OVER));
    let (id, mut here) = start(&a, &prompt(json!({"tokens": 150, "tokens_per_second": 30})));
    let there = b.events(&id, None).events();
    let mut seen = vec![here.expect()];
    a.signal();
    let log = std::sync::Arc::clone(&a.log);
    // Cut off, not told an end that is none.
    while let Ok(Some(event)) = here.next() {
        assert_eq!(event.kind, "token");
        seen.push(event);
    }
    let there = there.rest();
    check_whole(&there);
    assert_eq!(text(&there), whole(150));
    let last = seen.last().unwrap().id.clone();
    let rest = b.events(&id, Some(&last)).events().rest();
    seen.extend(rest);
    assert_eq!(text(&seen), text(&there));
    wait_for(|| {
        log.lock()
            .unwrap()
            .contains("A stream is left to another node")
            .then_some(())
    });
}

/// An upstream that gives so much at first, and the rest to whoever has that.
fn upstream() -> Upstream {
    Upstream::start(|seen: &Seen, exchange: &mut Exchange| {
        exchange.raw(EVENTS);
        if seen.json()["messages"].as_array().unwrap().len() == 1 {
            exchange.text("It was ");
            exchange.text("a dark and ");
            exchange.hold();
            return Then::Close;
        }
        exchange.text("stormy night.");
        exchange.event(json!({
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        }));
        Then::Close
    })
}

#[test]
fn a_model_server_is_given_what_it_had_said() {
    let redis = Redis::start();
    let upstream = upstream();
    let settings = format!(
        "{TAKES_OVER}models.up = {{ generator = \"openai\", base_url = \"{}\", continues = \"continue_final_message\" }}\n",
        upstream.url()
    );
    let (mut a, b) = (redis.process_with(&settings), redis.node_with(&settings));
    let body = json!({"model": "up", "prompt": "begin", "max_tokens": 50, "temperature": 0.5, "reasoning_effort": "low"});
    let (id, mut events) = start(&a, &body);
    events.expect();
    events.expect();
    a.kill();
    let there = b.events(&id, None).events().rest();
    check_whole(&there);
    assert_eq!(text(&there), "It was a dark and stormy night.");
    assert_eq!(there.last().unwrap().data["usage"]["completion_tokens"], 6);
    let asked = upstream.seen()[1].json();
    assert_eq!(
        asked["messages"],
        json!([{"role": "user", "content": "begin"}, {"role": "assistant", "content": "It was a dark and "}])
    );
    assert_eq!(asked["continue_final_message"], true);
    assert_eq!(asked["add_generation_prompt"], false);
    assert_eq!(asked["max_tokens"], 48);
    assert_eq!(
        (&asked["temperature"], &asked["reasoning_effort"]),
        (&json!(0.5), &json!("low"))
    );
}

#[test]
fn what_cannot_be_gone_on_with_ends() {
    let redis = Redis::start();
    let (mut a, b) = (redis.process_with(TAKES_OVER), redis.node_with(TAKES_OVER));
    let knobs = json!({"reasoning": 5, "tokens": 1000, "tokens_per_second": 20});
    let (id, mut events) = start(&a, &prompt(knobs));
    events.expect();
    a.kill();
    let there = b.events(&id, None).events().rest();
    assert_eq!(there.last().unwrap().data["error"]["code"], "producer_lost");
}

/// A review's: what was admitted once is not counted again by whoever goes on with it.
#[test]
fn a_plan_whose_requests_are_spent_keeps_its_streams() {
    let redis = Redis::start();
    let settings = format!(
        "{TAKES_OVER}limits.default_plan = \"tight\"\nlimits.plans.tight = {{ requests_per_minute = 4, burst = 4, streams = 100, tokens_per_minute = 1000000 }}\n"
    );
    let (mut a, b) = (redis.process_with(&settings), redis.node_with(&settings));
    let knobs = json!({"tokens": 400, "tokens_per_second": 20});
    let streams: Vec<_> = (0..4).map(|_| start(&a, &prompt(knobs.clone()))).collect();
    let there: Vec<_> = streams
        .iter()
        .map(|(id, _)| b.events(id, None).events())
        .collect();
    a.kill();
    let ends: Vec<_> = there
        .into_iter()
        .map(|events| events.rest().last().unwrap().data.clone())
        .map(|end| end["error"]["code"].as_str().unwrap_or("none").to_owned())
        .collect();
    assert_eq!(ends, ["none"; 4]);
}
