//! Several nodes on one Redis, which each test starts for itself: any node serves any stream, and
//! what happens when a node or Redis goes away.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Request, connect};
use crate::nodes::{Redis, live, ready};
use crate::server::{Server, prompt, token, wait_for};
use crate::sse::{check_whole, text};

#[test]
fn a_stream_is_followed_on_another_node_from_any_cursor() {
    let redis = Redis::start();
    let (a, b) = (redis.node(), redis.node());
    let mut events = a.create(json!({"tokens": 40, "tokens_per_second": 200}));
    let first = events.expect();
    let id = first.data["stream"].as_str().unwrap().to_owned();
    let there = b.events(&id, None).events().rest();
    let mut here = vec![first];
    here.extend(events.rest());
    check_whole(&here);
    check_whole(&there);
    assert_eq!(text(&here), text(&there));
    let bytes = |server: &Server, seq: usize| {
        let cursor = format!("{id}.{seq}");
        server.events(&id, Some(&cursor)).text()
    };
    for seq in 0..here.len() - 1 {
        assert_eq!(bytes(&a, seq), bytes(&b, seq));
    }
    assert_eq!(
        b.events(&id, Some(&format!("{id}.{}", here.len() - 1)))
            .status,
        204
    );
}

#[test]
fn cancel_list_snapshot_and_ticket_work_on_another_node() {
    let redis = Redis::start();
    let (a, b) = (redis.node(), redis.node());
    let id = a.create_async(json!({"tokens": 100_000, "tokens_per_second": 50}));
    assert_eq!(b.snapshot(&id)["status"], "running");
    let list = b.get("/v1/streams").send().json();
    assert!(list.to_string().contains(&id), "{list}");
    let ticket = a.post(&format!("/v1/streams/{id}/tickets")).send().json();
    let url = format!(
        "/v1/streams/{id}/events?ticket={}",
        ticket["ticket"].as_str().unwrap()
    );
    let mut events = b.request("GET", &url).send().events();
    assert_eq!(events.expect().data["type"], "start");
    assert_eq!(
        b.post(&format!("/v1/streams/{id}/cancel")).send().status,
        202
    );
    let end = events.rest().pop().unwrap();
    assert_eq!(end.data["finish_reason"], "cancelled");
    assert_eq!(a.ended(&id)["status"], "done");
    let stranger = b
        .request("GET", &format!("/v1/streams/{id}"))
        .bearer(&token("ben"));
    assert_eq!(stranger.send().status, 404);
    assert_eq!(b.delete(&format!("/v1/streams/{id}")).send().status, 204);
    assert_eq!(a.get(&format!("/v1/streams/{id}")).send().status, 404);
}

#[test]
fn an_idempotency_key_attaches_on_another_node() {
    let redis = Redis::start();
    let (a, b) = (redis.node(), redis.node());
    let post = |server: &Server, knobs: Value| {
        let request = server.post("/v1/streams").header("Idempotency-Key", "k");
        request.json(&prompt(knobs)).send()
    };
    let knobs = json!({"tokens": 20, "tokens_per_second": 100});
    let first = post(&a, knobs.clone()).events().rest();
    let second = post(&b, knobs).events().rest();
    assert_eq!(first[0].data["stream"], second[0].data["stream"]);
    assert_eq!(text(&first), text(&second));
    assert_eq!(
        post(&b, json!({"tokens": 21})).code(),
        "idempotency_key_reused"
    );
}

#[test]
fn a_killed_node_ends_its_streams_as_producer_lost_on_the_others() {
    let redis = Redis::start();
    let b = redis.node();
    let mut a = redis.process();
    let request = Request::new(a.address, "POST", "/v1/streams").bearer(&token("ann"));
    let knobs = json!({"tokens": 100_000, "tokens_per_second": 50});
    let mut events = request.json(&prompt(knobs)).send().events();
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    let mut there = b.events(&id, None).events();
    there.expect();
    there.expect();
    a.kill();
    let killed = Instant::now();
    let last = there.rest().pop().unwrap();
    assert_eq!(last.data["error"]["code"], "producer_lost");
    assert_eq!(last.data["error"]["retryable"], true);
    assert!(
        killed.elapsed() < Duration::from_secs(15),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(b.snapshot(&id)["status"], "error");
}

#[test]
fn a_stream_whose_client_left_while_it_was_made_is_generated() {
    let redis = Redis::start();
    // What admits must not wait for Redis for longer than the client.
    let node = redis.node_with("redis.admission_timeout = \"50ms\"\n");
    let client = redis::Client::open(redis.server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let request = || node.post("/v1/streams").json(&prompt(json!({"tokens": 5})));
    let id = wait_for(|| {
        // Redis takes commands and answers none for a while. Meanwhile the client leaves; if that was
        // before the stream was asked for, there is none, and another client comes.
        let mut pause = redis::cmd("CLIENT");
        pause.arg("PAUSE").arg(400).exec(&mut connection).unwrap();
        let mut client = connect(node.address);
        client.write_all(&request().bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        drop(client);
        let list = node.get("/v1/streams").send().json();
        list["streams"][0]["id"].as_str().map(str::to_owned)
    });
    assert_eq!(node.ended(&id)["status"], "done");
}

#[test]
fn readiness_follows_redis_and_a_restart_heals() {
    let mut redis = Redis::start();
    let (a, b) = (redis.node(), redis.node());
    let events = a.create(json!({"tokens": 100, "tokens_per_second": 50}));
    let id = b.get("/v1/streams").send().json();
    let id = id["streams"][0]["id"].as_str().unwrap().to_owned();
    let there = b.events(&id, None).events();
    redis.server.stop();
    wait_for(|| (ready(&a) == 503 && ready(&b) == 503).then_some(()));
    assert_eq!(live(&a), 200);
    let away = a.post("/v1/streams").json(&prompt(json!({}))).send();
    assert_eq!(
        (away.status, away.code().as_str()),
        (503, "store_unavailable")
    );
    redis.server.start_again();
    wait_for(|| (ready(&a) == 200 && ready(&b) == 200).then_some(()));
    let (here, there) = (events.rest(), there.rest());
    check_whole(&here);
    check_whole(&there);
    assert_eq!(text(&here), text(&there));
}
