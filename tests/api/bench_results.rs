//! What `tailrace bench` says came of a load: that nothing was wrong only if something was right.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench_faults::{BRIEF, SAYS_SOMETHING, bench, command, holding, of, root, warnings};
use crate::program::output;
use crate::server::{Server, wait_for};
use crate::upstream::{EVENTS, Exchange, Then, Upstream};

const RATE: &[&str] = &["--rate", "20/s"];
const CUT_SHORT: &[&str] = &["--rate", "20/s", "--drain", "0s"];
const START: &str = r#"{"type":"start","seq":0,"stream":"1"}"#;
const DONE: &str = r#"{"type":"done","seq":1,"finish_reason":"stop"}"#;

/// The exit status and the last line of the table.
fn verdict(upstream: &Upstream, arguments: &[&str]) -> (i32, String) {
    let mut command = command(&root(upstream), BRIEF);
    let (status, table, _) = output(command.args(arguments));
    let last = table.lines().last().unwrap_or_default().to_owned();
    (status, last)
}

/// Answers each request for a stream with these events, whole.
fn whole(events: &'static [&'static str]) -> Upstream {
    Upstream::start(move |_, exchange| {
        exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
        for event in events {
            exchange.event(event);
        }
        exchange.chunk("");
        Then::Keep
    })
}

#[test]
fn without_a_token_there_is_no_good_result() {
    let nothing = (1, "Nothing failed, but no token came.".to_owned());
    // A body that says nothing, one that has only begun, and one that ends without having said anything.
    for (upstream, arguments, why) in [
        (holding(""), CUT_SHORT, "Nothing came in all this time"),
        (holding(START), CUT_SHORT, "No stream has said anything"),
        (whole(&[START, DONE]), RATE, "without having said anything"),
    ] {
        assert_eq!(verdict(&upstream, arguments), nothing, "{why}");
        let (status, json, _) = bench(&root(&upstream), arguments);
        assert_eq!((status, &json["failures"]), (1, &json!({})));
        assert_eq!(json["wrong"], json!(true));
        assert!(warnings(&json).contains(why), "{}", warnings(&json));
    }
}

#[test]
fn streams_of_which_none_has_ended_are_told() {
    let upstream = holding(SAYS_SOMETHING);
    let told = "Nothing failed, but no stream came to its end.".to_owned();
    assert_eq!(verdict(&upstream, CUT_SHORT), (0, told));
    let (_, json, _) = bench(&root(&upstream), CUT_SHORT);
    assert!(warnings(&json).contains("None has come to its end"));
    assert_eq!(json["wrong"], json!(false));
}

#[test]
fn what_was_not_checked_is_not_called_right() {
    const TOKEN: &str = r#"{"type":"token","seq":1,"text":"a"}"#;
    let upstream = whole(&[START, TOKEN, r#"{"type":"done","seq":2}"#]);
    let good = (0, "Nothing was wrong.".to_owned());
    assert_eq!(verdict(&upstream, RATE), good);
    let (status, told) = verdict(&upstream, &["--rate", "20/s", "--no-check"]);
    assert_eq!(status, 0);
    assert!(told.ends_with("was not checked."), "{told}");
}

#[test]
fn wrong_requests_alone_need_no_token() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer("400 Bad Request", "", "{}");
        Then::Keep
    });
    let arguments = [
        "--rate",
        "20/s",
        "--bad-requests",
        "100%",
        "--api",
        "openai",
    ];
    let (status, told) = verdict(&upstream, &[&arguments[..], &["--model", "m"]].concat());
    assert_eq!((status, told.as_str()), (0, "Nothing was wrong."));
}

#[test]
fn what_begins_a_stream_is_not_its_first_token() {
    const TOKEN: &str = r#"{"type":"token","seq":1,"text":"a"}"#;
    const ROLE: &str = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
    const CHUNK: &str = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    let late = |first: &'static str, then: [&'static str; 2]| {
        Upstream::start(move |_, exchange| {
            exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
            exchange.event(first);
            std::thread::sleep(Duration::from_millis(300));
            for event in then {
                exchange.event(event);
            }
            exchange.chunk("");
            Then::Keep
        })
    };
    let openai = ["--api", "openai", "--model", "m"];
    for (upstream, api) in [
        (late(START, [TOKEN, r#"{"type":"done","seq":2}"#]), &[][..]),
        (late(ROLE, [CHUNK, "[DONE]"]), &openai),
    ] {
        let arguments = [RATE, &["--no-check"], api].concat();
        let (status, json, _) = bench(&root(&upstream), &arguments);
        let started = json["streams"]["started"].as_u64().unwrap();
        assert_eq!((status, &json["failures"]), (0, &json!({})), "{api:?}");
        assert_eq!(json["first_token_ms"]["count"], json!(started));
        let soonest = json["first_token_ms"]["p50"].as_f64().unwrap();
        assert!(soonest >= 300.0, "{soonest}");
        assert_eq!(json["counts"]["events"], json!(3 * started));
        assert_eq!(json["counts"]["tokens"], json!(2 * started));
    }
    // Who fails before it has failed, as far as one looks.
    let failing = whole(&[
        START,
        r#"{"type":"error","seq":1,"error":{"code":"upstream_error"}}"#,
    ]);
    let (status, json, _) = bench(&root(&failing), &[RATE, &["--no-check"]].concat());
    let started = &json["streams"]["started"];
    assert_eq!(status, 1);
    assert_eq!(json["failures"], json!({"upstream_error": started}));
}

#[test]
fn a_url_may_end_as_those_of_openai_do_and_one_that_should_is_named() {
    let server = Server::start();
    let knobs = ["--rate", "10/s", "--metadata", "demo.tokens=2"];
    let with_v1 = format!("{}/v1", of(&server));
    let (status, json, told) = bench(&with_v1, &knobs);
    assert_eq!((status, &json["failures"]), (0, &json!({})), "{told}");
    let readers = ["--readers", "2", "--readers-url", &with_v1];
    let (status, json, told) = bench(&with_v1, &[&knobs[..], &readers].concat());
    assert_eq!((status, &json["failures"]), (0, &json!({})), "{told}");

    let openai = ["--api", "openai", "--model", "demo"];
    let (status, _, told) = bench(&of(&server), &openai);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains(&format!("try {with_v1}.")), "{told}");
    let other = Upstream::start(|_, exchange| {
        exchange.answer("404 Not Found", "", "404 page not found");
        Then::Keep
    });
    let (status, _, told) = bench(&root(&other), &openai);
    assert_eq!(status, 3, "{told}");
    assert!(
        told.contains(&format!("try {}/v1.", root(&other))),
        "{told}"
    );
    let whole = format!("{with_v1}/chat/completions");
    let (status, _, told) = bench(&whole, &openai);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains(&format!("try {with_v1}.")), "{told}");
    let elsewhere = format!("{}/tokens", of(&server));
    let (status, _, told) = bench(&elsewhere, &[]);
    assert_eq!(status, 3, "{told}");
    assert!(
        told.contains(&format!("asked for {elsewhere}/v1/streams.")),
        "{told}"
    );
    // Of a model that is not there the URL is not to blame.
    let (status, _, told) = bench(&with_v1, &["--api", "openai", "--model", "none"]);
    assert_eq!(status, 3, "{told}");
    assert!(!told.contains("/chat/completions"), "{told}");
}

#[test]
fn nothing_is_left_generating_when_the_load_is_over() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let body = directory.path().join("body.json");
    let knobs = json!({"demo.tokens": "2000", "demo.tokens_per_second": "10"});
    let goes_on = json!({"prompt": "x", "on_disconnect": "continue", "metadata": knobs});
    std::fs::write(&body, goes_on.to_string()).unwrap();
    let body = ["--body", body.to_str().unwrap(), "--drain", "0s"];
    let long = ["--metadata", "demo.tokens=2000", "--pace", "10/s"];
    let cut = ["--no-check", "--cuts", "100%", "--cut-every", "100ms"];
    for (arguments, member) in [
        ([&long[..], &cut].concat(), "lost"),
        ([&long[..], &cut, &["--readers", "2"]].concat(), "lost"),
        (body.to_vec(), "unfinished"),
    ] {
        let (_, json, told) = bench(&of(&server), &[RATE, &arguments].concat());
        let streams = &json["streams"];
        assert_eq!(streams[member], streams["started"], "{told}{json:#}");
        assert!(!warnings(&json).contains("may go on"), "{json:#}");
        // Without anybody who asks for it, they would go on for longer than this waits.
        let running = || server.get("/v1/streams?status=running").send().json();
        wait_for(|| running()["streams"].as_array()?.is_empty().then_some(()));
    }
}

/// Begins a stream with the id 1, and says something in it.
fn begin_the_first(exchange: &mut Exchange) {
    exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
    exchange.event(SAYS_SOMETHING);
}

#[test]
fn generations_that_could_not_be_cancelled_are_told() {
    let stubborn = Upstream::start(|seen, exchange| {
        if seen.head.contains("/cancel ") {
            exchange.answer("500 Internal Server Error", "", "{}");
            return Then::Keep;
        }
        begin_the_first(exchange);
        exchange.hold();
        Then::Close
    });
    let directory = tempfile::tempdir().unwrap();
    let body = directory.path().join("body.json");
    std::fs::write(&body, r#"{"prompt":"x","on_disconnect":"continue"}"#).unwrap();
    let body = ["--body", body.to_str().unwrap()];
    let (_, json, _) = bench(&root(&stubborn), &[CUT_SHORT, &body].concat());
    let told = warnings(&json);
    assert!(
        told.contains("may go on at the server, as they could not be cancelled: 1."),
        "{told}"
    );
}

#[test]
fn a_load_that_is_given_up_leaves_nothing_generating() {
    for (answer, told_of_it) in [("202 Accepted", false), ("500 Internal Server Error", true)] {
        let (asked, is_refused) = (AtomicUsize::new(0), AtomicBool::new(false));
        // The first one begins after the second one was refused.
        let half = Upstream::start(move |seen, exchange| {
            if seen.head.contains("/cancel ") {
                exchange.answer(answer, "", "{}");
                return Then::Keep;
            }
            if asked.fetch_add(1, Ordering::SeqCst) == 1 {
                exchange.answer("403 Forbidden", "", "{}");
                is_refused.store(true, Ordering::SeqCst);
                return Then::Keep;
            }
            wait_for(|| is_refused.load(Ordering::SeqCst).then_some(()));
            exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: abc\r\n\r\n"));
            exchange.hold();
            Then::Close
        });
        let directory = tempfile::tempdir().unwrap();
        let body = directory.path().join("body.json");
        std::fs::write(&body, r#"{"prompt":"x","on_disconnect":"continue"}"#).unwrap();
        let body = ["--streams", "2", "--body", body.to_str().unwrap()];
        let (status, _, told) = bench(&root(&half), &body);
        assert_eq!(status, 3, "{told}");
        assert!(told.contains("refuses"), "{told}");
        let may_go_on = "may go on at the server, as they could not be cancelled: 1.";
        assert_eq!(told.contains(may_go_on), told_of_it, "{told}");
        let cancel = "POST /v1/streams/abc/cancel ";
        let seen = half.seen();
        assert!(
            seen.iter().any(|seen| seen.head.starts_with(cancel)),
            "{told}"
        );
    }
}

#[test]
fn another_interrupt_waits_for_no_cancellation() {
    let silent = Upstream::start(|seen, exchange| {
        if !seen.head.contains("/cancel ") {
            begin_the_first(exchange);
        }
        exchange.hold();
        Then::Close
    });
    let directory = tempfile::tempdir().unwrap();
    let body = directory.path().join("body.json");
    std::fs::write(&body, r#"{"prompt":"x","on_disconnect":"continue"}"#).unwrap();
    let arguments = ["--streams", "1", "--json", "-", "--body"];
    let child = command(&root(&silent), &arguments)
        .arg(&body)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for asked in ["POST /v1/streams ", "POST /v1/streams/1/cancel "] {
        let is_asked = || {
            let seen = silent.seen();
            seen.iter().any(|seen| seen.head.starts_with(asked))
        };
        wait_for(|| is_asked().then_some(()));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let left = "may go on at the server, as Ctrl-C has ended the wait for their cancellation: 1.";
    assert!(warnings(&json).contains(left), "{}", warnings(&json));
}

#[test]
fn cuts_that_never_come_are_told() {
    let server = Server::start();
    let brief = ["--metadata", "demo.tokens=2", "--cuts", "100%"];
    let late = ["--cut-every", "1h"];
    let (_, json, _) = bench(&of(&server), &[RATE, &brief, &late].concat());
    assert!(
        warnings(&json).contains("No connection was cut"),
        "{json:#}"
    );
}

#[test]
fn streams_that_never_came_back_have_failed() {
    for cut in [false, true] {
        let upstream = Upstream::start(move |seen, exchange| {
            if seen.head.starts_with("GET ") {
                exchange.answer("503 Service Unavailable", "", "");
                return Then::Keep;
            }
            exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
            exchange.event(SAYS_SOMETHING);
            if cut {
                exchange.hold();
            } else {
                exchange.reset();
            }
            Then::Close
        });
        // The wait for them, half a minute, is longer than the run.
        let cuts = ["--cuts", "100%", "--cut-every", "20ms"];
        let cuts = if cut { &cuts[..] } else { &[] };
        let arguments = [&["--streams", "3", "--drain", "2s"], cuts].concat();
        let (status, json, _) = bench(&root(&upstream), &arguments);
        assert_eq!(status, 1, "{json:#}");
        assert_eq!(json["failures"], json!({"resume_status_503": 3}));
        assert_eq!(json["streams"]["unfinished"], json!(0));
        let counted = json["counts"].as_object().unwrap();
        let counted = (counted["cuts"].clone(), counted["broken"].clone());
        let expected = if cut {
            (json!(3), json!(0))
        } else {
            (json!(0), json!(3))
        };
        assert_eq!(counted, expected);
        let sum = |name: &str| -> u64 {
            let rows = json["timeline"].as_array().unwrap().iter();
            rows.map(|row| row[name].as_u64().unwrap()).sum()
        };
        assert_eq!((json!(sum("cut")), json!(sum("broken"))), expected);
    }
}

#[test]
fn every_connection_is_counted() {
    let upstream = Upstream::start(|seen, exchange| {
        exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
        if seen.head.starts_with("GET ") {
            exchange.event(DONE);
            exchange.chunk("");
            return Then::Close;
        }
        exchange.event(r#"{"type":"token","seq":0,"text":"a"}"#);
        exchange.hold();
        Then::Close
    });
    let cuts = ["--cuts", "100%", "--cut-every", "20ms"];
    let (status, json, told) = bench(&root(&upstream), &[RATE, &cuts].concat());
    assert_eq!(status, 0, "{told} {json:#}");
    let made = json["counts"]["connections"].as_u64();
    assert_eq!(made, Some(upstream.connections() as u64));
    assert!(made > json["streams"]["started"].as_u64());
}

#[test]
fn what_failed_first_is_told_before_the_limit_that_it_has_used_up() {
    let failed = std::sync::Mutex::new(0);
    let upstream = Upstream::start(move |_, exchange| {
        let mut failed = failed.lock().unwrap();
        *failed += 1;
        if *failed > 3 {
            let policy = "RateLimit-Policy: \"requests\";q=3;w=60\r\n";
            let body = r#"{"error":{"code":"rate_limited","message":"Too many."}}"#;
            let again = format!("{policy}Retry-After: 600\r\n");
            exchange.answer("429 Too Many Requests", &again, body);
            return Then::Keep;
        }
        exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
        exchange.event(
            r#"{"type":"error","seq":0,"error":{"code":"upstream_unavailable","message":"The model is away."}}"#,
        );
        exchange.chunk("");
        Then::Keep
    });
    let (status, json, _) = bench(&root(&upstream), &["--streams", "1"]);
    assert_eq!(status, 1);
    let said = json["warnings"].as_array().unwrap();
    let at = |words: &str| {
        let found = said
            .iter()
            .position(|said| said.as_str().unwrap().contains(words));
        found.unwrap_or_else(|| panic!("{words}: {said:#?}"))
    };
    let first = at("What failed most often, 3 times, is upstream_unavailable: The model is away.");
    let refused = at("The server has also refused: Too many (rate_limited, status 429).");
    let limit = at("It allows 3 requests a minute.");
    assert!(first < refused && refused < limit);
}

#[test]
fn slow_readers_say_nothing_of_the_servers_times() {
    let server = Server::start();
    let brief = ["--metadata", "demo.tokens=5", "--slow-readers", "100%"];
    let (status, json, told) = bench(&of(&server), &[RATE, &brief].concat());
    assert_eq!(status, 0, "{told}");
    assert_eq!(
        (&json["first_token_ms"], &json["gap_ms"]),
        (&json!(null), &json!(null))
    );
}
