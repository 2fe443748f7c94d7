//! Upstreams of a route that fail again and again are left alone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::route::{
    Script, answer, anthropic, ask, error, only_for_openai, openai, says, server, upstream,
};
use crate::server::wait_for;
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

const REST: Duration = Duration::from_millis(600);

/// An upstream that fails like this until it is told to be well.
fn sick(fails: Script) -> (Upstream, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let upstream = upstream(move |e| {
        if told.load(Ordering::SeqCst) {
            says(e, "first");
        } else {
            fails(e);
        }
    });
    (upstream, well)
}

/// A route whose first upstream fails like this, and whose second one answers.
fn failing(settings: &str, fails: Script) -> (crate::server::Server, Upstream, Arc<AtomicBool>) {
    let (first, well) = sick(fails);
    let second = upstream(|e| says(e, "second"));
    let server = server(settings, &[openai(&first), openai(&second)]);
    (server, first, well)
}

#[test]
fn after_failures_in_a_row_it_is_left_alone_and_one_request_tries_it_again() {
    // It answers only when it is told to, so that others come meanwhile.
    let (answers, fails) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(true)),
    );
    let (told, failing) = (Arc::clone(&answers), Arc::clone(&fails));
    let first = upstream(move |e| {
        if failing.load(Ordering::SeqCst) {
            return e.answer("500 Oh", "", "");
        }
        wait_for(|| told.load(Ordering::SeqCst).then_some(()));
        says(e, "first");
    });
    let second = upstream(|e| says(e, "second"));
    let settings = "breaker_failures = 3, breaker_rest = \"600ms\"";
    let server = server(settings, &[openai(&first), openai(&second)]);
    for _ in 0..3 {
        assert_eq!(answer(&server), "second");
    }
    fails.store(false, Ordering::SeqCst);
    let resting = Instant::now();
    assert_eq!(answer(&server), "second");
    assert!(resting.elapsed() < REST, "this machine is too slow to tell");
    assert_eq!(first.seen().len(), 3, "it is left alone");
    std::thread::sleep(REST);
    std::thread::scope(|scope| {
        let asked = Instant::now();
        let trial = scope.spawn(|| answer(&server));
        wait_for(|| (first.seen().len() == 4).then_some(()));
        for _ in 0..5 {
            assert_eq!(answer(&server), "second");
        }
        assert!(asked.elapsed() < REST, "this machine is too slow to tell");
        assert_eq!(first.seen().len(), 4, "one tries it for all");
        answers.store(true, Ordering::SeqCst);
        assert_eq!(trial.join().unwrap(), "first");
    });
    for _ in 0..3 {
        assert_eq!(answer(&server), "first");
    }
}

#[test]
fn a_trial_that_fails_is_another_rest() {
    let settings = "breaker_failures = 1, breaker_rest = \"600ms\"";
    let (server, first, well) = failing(settings, |_| {});
    for trial in 1..=3 {
        wait_for(|| {
            assert_eq!(answer(&server), "second");
            (first.seen().len() == trial).then_some(())
        });
        assert_eq!(answer(&server), "second");
        assert_eq!(first.seen().len(), trial);
    }
    well.store(true, Ordering::SeqCst);
    wait_for(|| (answer(&server) == "first").then_some(()));
    assert_eq!(first.seen().len(), 4);
}

#[test]
fn who_says_when_to_come_back_is_left_alone_until_then() {
    let settings = "breaker_failures = 100, breaker_rest = \"60s\"";
    let (server, first, well) = failing(settings, |e| {
        e.answer("429 Wait", "Retry-After: 1\r\n", "");
    });
    let asked = Instant::now();
    assert_eq!(answer(&server), "second");
    well.store(true, Ordering::SeqCst);
    assert_eq!(answer(&server), "second");
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(first.seen().len(), 1);
    wait_for(|| (answer(&server) == "first").then_some(()));
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "it was asked too soon"
    );
}

/// Who is only ever able to begin is no better than who is not there.
#[test]
fn answers_that_are_cut_are_failures() {
    let settings = "breaker_failures = 3, breaker_rest = \"60s\"";
    let (server, first, _) = failing(settings, |e| {
        e.raw(EVENTS);
        e.text("x");
    });
    for _ in 0..3 {
        assert_eq!(error(&server)["code"], "upstream_incomplete");
    }
    assert_eq!(answer(&server), "second");
    assert_eq!(first.seen().len(), 3);
}

/// Who refuses a request has answered it.
#[test]
fn a_refusal_ends_a_rest() {
    let settings = "breaker_failures = 1, breaker_rest = \"600ms\"";
    let fails = Arc::new(AtomicUsize::new(0));
    let first = upstream(move |e| match fails.fetch_add(1, Ordering::SeqCst) {
        0 => {}
        1 => e.answer("400 No", "", ""),
        _ => says(e, "first"),
    });
    let second = upstream(|e| says(e, "second"));
    let server = server(settings, &[openai(&first), openai(&second)]);
    assert_eq!(answer(&server), "second");
    std::thread::sleep(REST);
    assert_eq!(error(&server)["code"], "upstream_refused");
    assert_eq!(answer(&server), "first");
}

/// A trial of which nothing came says nothing, and keeps nobody away.
#[test]
fn who_leaves_a_trial_lets_the_next_request_try() {
    let settings = "breaker_failures = 1, breaker_rest = \"600ms\"";
    let asked = Arc::new(AtomicUsize::new(0));
    let first = upstream(move |e| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => e.answer("500 Oh", "", ""),
        1 => e.hold(),
        _ => says(e, "first"),
    });
    let second = upstream(|e| says(e, "second"));
    let server = server(settings, &[openai(&first), openai(&second)]);
    assert_eq!(answer(&server), "second");
    std::thread::sleep(REST);
    let tried = Instant::now();
    let request = server.post("/v1/streams");
    let request = request.json(&json!({"model": "chat", "prompt": "x", "on_disconnect": "cancel"}));
    let response = request.send();
    wait_for(|| (first.seen().len() == 2).then_some(()));
    drop(response);
    first.left();
    let answered = wait_for(|| Some(answer(&server)).filter(|answer| answer == "first"));
    assert_eq!(answered, "first");
    assert!(tried.elapsed() < REST, "it need not be waited for");
}

/// A limit is no failure, as long as there is nothing but limits.
#[test]
fn when_all_are_rate_limited_so_is_the_model() {
    let limited: Script = |e| e.answer("429 Wait", "Retry-After: 30\r\n", "");
    let failing: Script = |e| e.answer("500 Oh", "", "");
    let failed = [(502, "upstream_error"), (502, "upstream_unavailable")];
    let table = [
        ([limited, limited], [(429, "upstream_rate_limited"); 2]),
        ([failing, limited], failed),
        ([limited, failing], failed),
    ];
    for (at, (scripts, expected)) in table.into_iter().enumerate() {
        let [first, second] = scripts.map(upstream);
        let settings = "breaker_failures = 1, breaker_rest = \"60s\"";
        let server = server(settings, &[openai(&first), openai(&second)]);
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": "x"}]});
        for (status, code) in expected {
            let response = server.post("/v1/chat/completions").json(&body).send();
            assert_eq!(response.status, status, "{at}");
            assert_eq!(response.code(), code, "{at}");
        }
        let response = server.post("/v1/chat/completions").json(&body).send();
        let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((20..=30).contains(&after), "{after}");
        assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
    }
}

/// It began before, so it does not know.
#[test]
fn an_answer_that_was_asked_for_earlier_does_not_end_a_rest() {
    let answers = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&answers);
    let first = Upstream::start(move |seen: &Seen, e: &mut Exchange| {
        if seen.json()["messages"][0]["content"] == "early" {
            wait_for(|| told.load(Ordering::SeqCst).then_some(()));
            says(e, "first");
        } else {
            e.answer("429 Wait", "Retry-After: 30\r\n", "");
        }
        Then::Close
    });
    let second = upstream(|e| says(e, "second"));
    let server = server("", &[openai(&first), openai(&second)]);
    std::thread::scope(|scope| {
        let early = json!({"model": "chat", "prompt": "early"});
        let early = server.post("/v1/streams").json(&early);
        let early = scope.spawn(move || crate::sse::text(&early.send().events().rest()));
        wait_for(|| (first.seen().len() == 1).then_some(()));
        assert_eq!(answer(&server), "second");
        answers.store(true, Ordering::SeqCst);
        assert_eq!(early.join().unwrap(), "first");
    });
    assert_eq!(answer(&server), "second");
    assert_eq!(first.seen().len(), 2);
}

#[test]
fn when_all_rest_the_caller_is_told_when_to_come_back() {
    let first = upstream(|e| e.answer("500 Oh", "", ""));
    let second = upstream(|e| e.answer("503 Full", "", ""));
    let settings = "rounds = 100, breaker_failures = 1, breaker_rest = \"30s\"";
    let server = server(settings, &[openai(&first), openai(&second)]);
    assert_eq!(error(&server)["code"], "upstream_error");
    let started = Instant::now();
    let error = error(&server);
    assert_eq!(error["code"], "upstream_unavailable");
    assert_eq!(error["retryable"], true);
    let after = error["retry_after_ms"].as_u64().unwrap();
    assert!((20_000..=30_000).contains(&after), "{after}");
    for stream in [false, true] {
        let body = json!({"model": "chat", "stream": stream, "messages": [{"role": "user", "content": "x"}]});
        let request = server.post("/v1/chat/completions");
        let response = request.json(&body).send();
        assert_eq!(response.status, 502);
        let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((20..=30).contains(&after), "{after}");
        assert_eq!(response.code(), "upstream_unavailable");
    }
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "nothing is waited for"
    );
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
}

/// Who could not serve the prompt anyhow does not say when it is served.
#[test]
fn only_those_who_can_serve_a_prompt_say_when() {
    let claude = upstream(|_| {});
    let local = upstream(|_| {});
    let settings = "breaker_failures = 1, breaker_rest = \"30s\"";
    let server = server(settings, &[anthropic(&claude, ""), openai(&local)]);
    let post = || {
        let request = server.post("/v1/chat/completions");
        request.json(&only_for_openai()).send()
    };
    assert_eq!(post().status, 502);
    let response = post();
    let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&after), "{after}");
    // Another prompt asks who was not asked yet, and finds it failing too.
    let events = ask(&server);
    assert_eq!(
        events.last().unwrap().data["error"]["code"],
        "upstream_incomplete"
    );
    assert_eq!((claude.seen().len(), local.seen().len()), (1, 1));
}
