//! Each metric of Redis, and of streams that move between nodes, moves when that happens.

use serde_json::json;

use crate::metrics_page::{ON, Page, until};
use crate::nodes::Redis;
use crate::server::wait_for;

const TAKES_OVER: &str = "generation.takeover = \"continue\"\n";

#[test]
fn redis_and_the_log_in_it() {
    let mut redis = Redis::start();
    let node = redis.node_with(ON);
    node.create(json!({"tokens": 20})).rest();
    let page = Page::of(&node);
    assert!((page.sum("tailrace_redis_up", &[]) - 1.0).abs() < 0.5);
    assert!(page.sum("tailrace_redis_round_trip_seconds_count", &[]) > 3.0);
    assert!(page.sum("tailrace_redis_round_trip_seconds_sum", &[]) > 0.0);
    let store = ["store=\"redis\""];
    assert!(page.sum("tailrace_log_append_duration_seconds_count", &store) >= 1.0);
    assert!(page.sum("tailrace_log_follow_duration_seconds_count", &store) >= 1.0);
    assert!(page.sum("tailrace_log_streams", &store) >= 1.0);
    assert!(page.sum("tailrace_log_bytes", &store) > 1000.0);
    assert!(page.sum("tailrace_build_info", &store) > 0.5);
    // It may have been away while it started.
    let before = page.sum("tailrace_redis_faults_total", &["kind=\"away\""]);
    redis.server.stop();
    wait_for(|| (crate::nodes::ready(&node) == 503).then_some(()));
    until(&node, "tailrace_redis_up", &[], |up| up < 0.5);
    let away = ["kind=\"away\""];
    until(&node, "tailrace_redis_faults_total", &away, |n| {
        n > before + 0.5
    });
    until(&node, "tailrace_ready", &[], |ready| ready < 0.5);
}

#[test]
fn a_reader_of_another_nodes_stream_counts_there() {
    let redis = Redis::start();
    let (a, b) = (redis.node_with(ON), redis.node_with(ON));
    let events = a.create(json!({"tokens": 30})).rest();
    let id = events[0].data["stream"].as_str().unwrap().to_owned();
    let cursor = format!("{id}.11");
    b.events(&id, Some(&cursor)).events().rest();
    let page = Page::of(&b);
    assert!((page.sum("tailrace_resumes_total", &["kind=\"sse\""]) - 1.0).abs() < 0.5);
    assert!((page.sum("tailrace_replayed_events_total", &[]) - 20.0).abs() < 0.5);
    assert!(Page::of(&a).sum("tailrace_replayed_events_total", &[]) < 0.5);
}

#[test]
fn generations_that_move_are_counted_where_they_leave_and_where_they_come() {
    let redis = Redis::start();
    let settings = format!("{TAKES_OVER}{ON}");
    let (a, b) = (redis.node_with(&settings), redis.node_with(&settings));
    // A reader that reads nothing holds the stop for a while, so that the page is there to be read.
    let slow = a.create_async(json!({"text": "huge", "tokens": 40}));
    a.ended(&slow);
    let _unread = a.events(&slow, None);
    let id = a.create_async(json!({"tokens": 200, "tokens_per_second": 40}));
    let there = b.events(&id, None).events();
    wait_for(|| (a.snapshot(&id)["text"].as_str()?.len() > 20).then_some(()));
    a.ask_to_stop();
    until(&a, "tailrace_takeovers_total", &["result=\"left\""], |n| {
        n > 0.5
    });
    let left = Page::of(&a).sum(
        "tailrace_tokens_total",
        &[
            "gen_ai_token_type=\"output\"",
            "finish_reason=\"\"",
            "error_type=\"\"",
        ],
    );
    assert!((1.0..200.0).contains(&left), "{left}");
    assert_eq!(there.rest().last().unwrap().kind, "done");
    let page = Page::of(&b);
    assert!((page.sum("tailrace_takeovers_total", &["result=\"taken\""]) - 1.0).abs() < 0.5);
    let output = ["gen_ai_token_type=\"output\"", "finish_reason=\"stop\""];
    let rest = page.sum("tailrace_tokens_total", &output);
    assert!((left + rest - 200.0).abs() < 0.5, "{left} and {rest}");
    assert!((page.sum("tailrace_generations_total", &[]) - 1.0).abs() < 0.5);
    assert!(
        page.sum("gen_ai_server_time_to_first_token_seconds_count", &[]) < 0.5,
        "it came elsewhere"
    );
}
