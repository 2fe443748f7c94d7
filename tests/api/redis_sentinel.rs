//! Redis behind sentinels: the master dies and its replica takes its place, while streams are written
//! and read on two nodes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Request;
use crate::nodes::process;
use crate::redis_group::{Guarded, MASTER};
use crate::server::{Server, wait_for};
use crate::sse::{check_whole, text};

fn ready(server: &Server) -> u16 {
    server.request("GET", "/readyz").send().status
}

/// A node that finds its Redis by these sentinels.
fn node(group: &Guarded) -> Server {
    let settings = format!(
        "store = \"redis\"\nredis.sentinel = {{ master = \"{MASTER}\", addresses = {} }}\n",
        group.addresses()
    );
    let server = Server::with(&settings);
    wait_for(|| (ready(&server) == 200).then_some(()));
    server
}

#[test]
fn streams_go_on_over_a_failover_on_every_node() {
    let mut group = Guarded::start();
    let (a, b) = (node(&group), node(&group));
    let knobs = json!({"tokens": 400, "tokens_per_second": 50});
    let here: Vec<_> = (0..5)
        .map(|_| {
            let mut events = a.create(knobs.clone());
            let first = events.expect();
            (first, events)
        })
        .collect();
    let there: Vec<_> = here
        .iter()
        .map(|(first, _)| {
            let id = first.data["stream"].as_str().unwrap();
            b.events(id, None).events()
        })
        .collect();
    group.master.stop();
    let killed = Instant::now();
    wait_for(|| (ready(&a) == 503 || ready(&b) == 503).then_some(()));
    wait_for(|| (ready(&a) == 200 && ready(&b) == 200).then_some(()));
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
    let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    let (_, now): (String, u16) = group.sentinels[0].ask(&question);
    assert_eq!(now, group.replica.port, "it has taken over");
    for ((first, events), there) in here.into_iter().zip(there) {
        let mut here = vec![first];
        here.extend(events.rest());
        let there = there.rest();
        check_whole(&here);
        check_whole(&there);
        assert_eq!(here.len(), 402);
        assert_eq!(text(&here), text(&there));
        assert_eq!(here.last().unwrap().data["finish_reason"], "stop");
    }
    // The old master comes back, and must not be taken for one.
    group.master.start_again();
    let events = a
        .create(json!({"tokens": 100, "tokens_per_second": 100}))
        .rest();
    check_whole(&events);
    let id = events[0].data["stream"].as_str().unwrap();
    assert_eq!(text(&b.events(id, None).events().rest()), text(&events));
}

#[test]
fn sentinels_and_redis_have_passwords_of_their_own() {
    let group = Guarded::with(
        &[
            "--requirepass",
            "data-secret",
            "--masterauth",
            "data-secret",
        ],
        &format!("sentinel auth-pass {MASTER} data-secret\nsentinel sentinel-pass watch-secret\n"),
        &["--requirepass", "watch-secret"],
    );
    let directory = tempfile::tempdir().unwrap();
    for name in ["data", "watch"] {
        let path = directory.path().join(name);
        std::fs::write(path, format!("{name}-secret\n")).unwrap();
    }
    let password = |name: &str| format!("{:?}", directory.path().join(name));
    let with = |data: &str, watch: &str| {
        format!(
            "store = \"redis\"\n{data}\nredis.sentinel = {{ master = \"{MASTER}\", addresses = {}{watch} }}\n",
            group.addresses()
        )
    };
    let data = format!("redis.password_file = {}", password("data"));
    let watch = format!(", password_file = {}", password("watch"));
    let server = Server::with(&with(&data, &watch));
    wait_for(|| (ready(&server) == 200).then_some(()));
    check_whole(&server.create(json!({"tokens": 5})).rest());
    for (settings, told) in [
        (with(&data, ""), "sentinel 127.0.0.1:"),
        (with("", &watch), "Authentication required"),
    ] {
        let program = process(directory.path(), &settings);
        let line = wait_for(|| {
            let log = program.log.lock().unwrap();
            log.lines()
                .find(|line| line.contains("Redis does not let us in"))
                .map(str::to_owned)
        });
        assert!(
            line.contains(told) && line.contains("Check the user"),
            "{line}"
        );
        assert!(!program.log.lock().unwrap().contains("-secret"));
        let ready = Request::new(program.address, "GET", "/readyz").send();
        assert_eq!(ready.status, 503);
    }
}
