//! `tailrace bench` over a real port: what it counts is right, and what is wrong is told.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::metrics_page::{ON, Page};
use crate::program::{output, tailrace};
use crate::server::{SECRET, Server, token, token_with, wait_for};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

/// A run: its exit status, what it found, and what it told.
struct Found {
    status: i32,
    json: Value,
    told: String,
}

fn bench(url: &str, arguments: &[&str]) -> Found {
    let (status, stdout, told) = output(
        command(url)
            .args(["--json", "-"])
            .args(arguments)
            .env("TAILRACE_TOKEN", token("ann")),
    );
    let json = serde_json::from_str(&stdout).unwrap_or_default();
    Found { status, json, told }
}

fn command(url: &str) -> Command {
    let mut command = tailrace(std::env::temp_dir().as_path());
    command.args(["bench", url]);
    command
}

fn of(server: &Server) -> String {
    format!("http://{}", server.address)
}

/// A server that answers each request for a stream with these events, whole.
fn scripted(events: &'static [&'static str]) -> Upstream {
    Upstream::start(move |_, exchange| {
        begin(exchange);
        for event in events {
            exchange.event(event);
        }
        exchange.chunk("");
        Then::Keep
    })
}

fn begin(exchange: &mut Exchange) {
    exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
}

fn root(upstream: &Upstream) -> String {
    format!("http://{}", upstream.address)
}

const BRIEF: &[&str] = &["--duration", "300ms", "--ramp", "0s", "--drain", "10s"];

fn brief<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [BRIEF, more].concat()
}

#[test]
fn counts_agree_with_the_servers_own() {
    let server = Server::with(ON);
    let arguments = ["--streams", "5", "--metadata", "demo.tokens=20"];
    let pid = std::process::id().to_string();
    let found = bench(
        &of(&server),
        &brief(&[&arguments[..], &["--pid", &pid]].concat()),
    );
    assert_eq!((found.status, found.told.as_str()), (0, ""));
    let Found { json, .. } = found;
    assert_eq!(
        (&json["version"], &json["wrong"]),
        (&json!(1), &json!(false))
    );
    let number = |path: &str| json.pointer(path).unwrap().as_u64().unwrap();
    let streams = number("/streams/finished");
    assert!(streams >= 5);
    assert_eq!(number("/streams/started"), streams);
    assert_eq!(number("/counts/tokens"), 20 * streams);
    assert_eq!(number("/counts/events"), 22 * streams);
    assert_eq!(number("/counts/connections"), 5);
    assert_eq!(number("/first_token_ms/count"), streams);
    let page = Page::of(&server);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let tokens = number("/counts/tokens") as f64;
    let counted = page.sum("tailrace_tokens_total", &["gen_ai_token_type=\"output\""]);
    assert!((counted - tokens).abs() < 0.5, "{counted} of {tokens}");
    // Each second has its row, and together they have everything.
    let rows = json["timeline"].as_array().unwrap();
    let sum = |name: &str| -> u64 { rows.iter().map(|row| row[name].as_u64().unwrap()).sum() };
    assert_eq!(sum("tokens"), 20 * streams);
    assert_eq!((sum("started"), sum("finished")), (streams, streams));
    assert_eq!(json["processes"][0]["pid"], json!(std::process::id()));
    assert!(number("/processes/0/memory/resident") > 1_000_000);
}

#[test]
fn cut_slow_cancelled_and_refused_streams_are_told_apart() {
    let server = Server::with(ON);
    let knobs = ["--metadata", "demo.tokens=60", "--pace", "40/s"];
    let shares = [
        "--cuts",
        "30%",
        "--cut-every",
        "200ms",
        "--slow-readers",
        "10%",
        "--slow-rate",
        "4KB/s",
        "--cancel",
        "20%",
        "--bad-requests",
        "20%",
    ];
    let arguments = [&knobs[..], &shares, &["--rate", "40/s"]].concat();
    let found = bench(&of(&server), &brief(&arguments));
    let Found { json, .. } = &found;
    assert_eq!(found.status, 0, "{json:#}");
    let number = |path: &str| json.pointer(path).unwrap().as_u64().unwrap();
    let (finished, cancelled) = (number("/streams/finished"), number("/streams/cancelled"));
    assert_eq!(number("/streams/started"), finished + cancelled);
    assert!(finished > 0 && number("/counts/cuts") > 0);
    assert_eq!(number("/counts/cuts"), number("/counts/resumed"));
    assert!(number("/counts/bad_requests") > 0);
    assert_eq!(
        number("/counts/events_lost") + number("/counts/events_doubled"),
        0
    );
    assert_eq!(
        number("/resume_ms/count"),
        number("/resume_ms/count").max(1)
    );
    assert!(number("/lateness_ms/count") > 0);
    let page = Page::of(&server);
    let label = ["finish_reason=\"cancelled\""];
    let ended = page.sum("tailrace_generations_total", &label);
    assert!(
        (ended - f64::from(u32::try_from(cancelled).unwrap())).abs() < 0.5,
        "{ended}"
    );
}

#[test]
fn what_breaks_a_promise_is_wrong() {
    const TOKEN: &str = r#"{"type":"token","seq":1,"text":"a"}"#;
    const START: &str = r#"{"type":"start","seq":0,"stream":"1"}"#;
    for (events, code, lost, doubled) in [
        (
            &[
                START,
                TOKEN,
                r#"{"type":"done","seq":4,"finish_reason":"stop"}"#,
            ] as &[_],
            "lost_events",
            2,
            0,
        ),
        (
            &[
                START,
                TOKEN,
                TOKEN,
                r#"{"type":"done","seq":2,"finish_reason":"stop"}"#,
            ],
            "doubled_events",
            0,
            1,
        ),
        (
            &[
                START,
                TOKEN,
                r#"{"type":"done","seq":2,"finish_reason":"stop","text_sha256":"00"}"#,
            ],
            "wrong_text",
            0,
            0,
        ),
        (&[START, TOKEN], "incomplete", 0, 0),
        (&[START, "no JSON"], "malformed_event", 0, 0),
        (
            &[
                START,
                r#"{"type":"error","seq":1,"error":{"code":"upstream_error"}}"#,
            ],
            "upstream_error",
            0,
            0,
        ),
    ] {
        let upstream = scripted(events);
        let Found { status, json, .. } = bench(&root(&upstream), &brief(&["--rate", "10/s"]));
        let started = json["streams"]["started"].as_u64().unwrap();
        assert!(started > 0);
        assert_eq!(status, 1, "{code}");
        assert_eq!(json["failures"], json!({code: started}));
        assert_eq!(json["counts"]["events_lost"], json!(lost * started));
        assert_eq!(json["counts"]["events_doubled"], json!(doubled * started));
    }
}

#[test]
fn who_hangs_has_failed_and_the_wait_counts() {
    let upstream = Upstream::start(|_, exchange| {
        begin(exchange);
        exchange.chunk(":\n");
        exchange.hold();
        Then::Close
    });
    let arguments = ["--streams", "3", "--timeout", "400ms"];
    let Found { status, json, .. } = bench(&root(&upstream), &brief(&arguments));
    assert_eq!(status, 1);
    assert_eq!(json["failures"], json!({"no_first_token": 3}));
    assert!(json["first_token_ms"]["p50"].as_f64().unwrap() >= 400.0);
    // One that has said something, and then nothing more.
    let server = Server::start();
    let silent = [
        "--streams",
        "2",
        "--timeout",
        "400ms",
        "--metadata",
        "demo.stall_after=3",
    ];
    let Found { status, json, .. } = bench(&of(&server), &brief(&silent));
    assert_eq!((status, &json["failures"]), (1, &json!({"silent": 2})));
}

#[test]
fn a_rate_is_not_slowed_down_by_a_server_that_stalls() {
    // Whoever is asked first within half a second holds up everybody.
    let door = std::sync::Mutex::new(false);
    let upstream = Upstream::start(move |_, exchange| {
        let mut was_held_up = door.lock().unwrap();
        if !std::mem::replace(&mut *was_held_up, true) {
            std::thread::sleep(Duration::from_millis(600));
        }
        drop(was_held_up);
        begin(exchange);
        exchange.event(r#"{"type":"token","seq":0,"text":"a"}"#);
        exchange.event(r#"{"type":"done","seq":1,"finish_reason":"stop"}"#);
        exchange.chunk("");
        Then::Keep
    });
    let arguments = ["--rate", "50/s", "--duration", "600ms", "--ramp", "0s"];
    let Found { status, json, .. } = bench(&root(&upstream), &arguments);
    assert_eq!(status, 0);
    let first = &json["first_token_ms"];
    // All thirty are due within the time of the stall. Half of them have waited for half of it.
    assert!(first["count"].as_u64().unwrap() >= 28, "{first}");
    assert!(first["p50"].as_f64().unwrap() >= 250.0, "{first}");
    assert!(first["max"].as_f64().unwrap() >= 590.0, "{first}");
}

#[test]
fn refusals_are_told_with_what_to_do() {
    let narrow = "limits.plans.narrow = { requests_per_minute = 60, burst = 3, streams = 100, tokens_per_minute = 100000 }\n";
    let server = Server::with(narrow);
    let mut limited = command(&of(&server));
    limited.args(brief(&["--rate", "50/s"])).env(
        "TAILRACE_TOKEN",
        token_with("bob", "streams:write streams:read", Some("narrow")),
    );
    let (status, table, _) = output(&mut limited);
    assert_eq!(status, 1);
    assert!(table.contains("x rate_limited"), "{table}");
    assert!(table.contains("It allows 60 requests a minute."), "{table}");
    assert!(table.contains("[limits.plans.NAME]"), "{table}");

    let wrong = output(command(&of(&server)).env("TAILRACE_TOKEN", "wrong"));
    assert_eq!((wrong.0, wrong.1.as_str()), (3, ""));
    assert!(wrong.2.contains("does not accept the token") && wrong.2.contains("--token-file"));
    let model = output(
        command(&of(&server))
            .args(["--model", "none"])
            .env("TAILRACE_TOKEN", token("ann")),
    );
    assert_eq!(model.0, 3);
    assert!(
        model.2.contains("refuses") && model.2.contains("status 4"),
        "{}",
        model.2
    );
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let (status, _, told) =
        output(command(&format!("http://{address}")).env("TAILRACE_TOKEN", "any"));
    assert_eq!(status, 4);
    assert!(
        told.contains("cannot connect") && told.contains("running there"),
        "{told}"
    );
    let (status, _, told) = output(command("nonsense").env("TAILRACE_TOKEN", "any"));
    assert_eq!(status, 2, "{told}");
}

#[test]
fn an_interrupt_ends_it_early_with_a_report() {
    let server = Server::start();
    let child = command(&of(&server))
        .args(["--json", "-", "--streams", "3", "--pace", "40/s"])
        .args(["--cuts", "100%", "--cut-every", "1h", "--warm-up", "1h"])
        .env("TAILRACE_TOKEN", token("ann"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = || server.get("/v1/streams").send().json();
    wait_for(|| (list()["streams"].as_array()?.len() >= 3).then_some(()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["interrupted"], &json["wrong"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(json["streams"]["unfinished"], json!(3));
    // What came of it is no reason to ask for it in another way.
    let warnings = json["warnings"].to_string();
    for advice in ["more time", "No connection was cut"] {
        assert!(!warnings.contains(advice), "{warnings}");
    }
    // Nobody generates for nobody.
    let running = || server.get("/v1/streams?status=running").send().json();
    wait_for(|| running()["streams"].as_array()?.is_empty().then_some(()));
}

#[test]
fn servers_that_speak_openai_or_only_events() {
    let server = Server::start();
    let openai = format!("{}/v1", of(&server));
    let knobs = ["--metadata", "demo.tokens=20"];
    let arguments = [
        &["--api", "openai", "--model", "demo", "--rate", "10/s"][..],
        &knobs,
    ]
    .concat();
    let Found { status, json, .. } = bench(&openai, &brief(&arguments));
    let finished = json["streams"]["finished"].as_u64().unwrap();
    assert_eq!(status, 0, "{json:#}");
    assert_eq!(json["counts"]["tokens"], json!(20 * finished));

    // Where there is no way back, a stream that is cut is lost.
    let cut = ["--cuts", "100%", "--cut-every", "100ms", "--pace", "20/s"];
    let arguments = [&arguments[..], &cut].concat();
    let Found { status, json, .. } = bench(&openai, &brief(&arguments));
    assert_eq!(
        (status, &json["streams"]["lost"]),
        (0, &json["streams"]["started"])
    );

    let id = server.create_async(json!({"tokens": 30}));
    let events = format!("{}/v1/streams/{id}/events", of(&server));
    let Found { status, json, .. } = bench(&events, &brief(&["--api", "sse", "--streams", "2"]));
    let finished = json["streams"]["finished"].as_u64().unwrap();
    assert_eq!(
        (status, &json["counts"]["tokens"]),
        (0, &json!(32 * finished))
    );

    let early = Upstream::start(|_: &Seen, exchange| {
        exchange.raw(EVENTS);
        exchange.text("a");
        exchange.chunk("");
        Then::Keep
    });
    let arguments = ["--api", "openai", "--model", "m", "--rate", "10/s"];
    let Found { status, json, .. } = bench(&early.url(), &brief(&arguments));
    assert_eq!(status, 1);
    assert_eq!(json["failures"]["incomplete"], json["streams"]["started"]);
}

#[test]
fn several_read_each_stream() {
    let server = Server::start();
    let arguments = [
        "--rate",
        "10/s",
        "--readers",
        "7",
        "--metadata",
        "demo.tokens=20",
    ];
    let Found { status, json, .. } = bench(&of(&server), &brief(&arguments));
    assert_eq!(status, 0, "{json:#}");
    let made = server.get("/v1/streams").send().json()["streams"]
        .as_array()
        .unwrap()
        .len() as u64;
    assert_eq!(json["streams"]["finished"], json!(7 * made));
    assert_eq!(json["counts"]["tokens"], json!(7 * 20 * made));
}

#[test]
fn the_development_server_needs_no_arguments_but_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let program = crate::program::Program::start(tailrace(directory.path()));
    let url = format!("http://{}", program.address);
    let report = directory.path().join("report.html");
    let mut command = tailrace(directory.path());
    command.args(["bench", &url, "--html"]).arg(&report);
    let (status, table, told) = output(command.args(brief(&["--streams", "2"])));
    assert_eq!((status, told.as_str()), (0, ""), "{table}");
    assert!(table.contains("2 started, 2 finished") && table.contains("Nothing was wrong."));
    let page = std::fs::read_to_string(report).unwrap();
    for outside in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<svg") && page.contains(&url));
}

#[test]
fn a_body_of_ones_own_is_sent_as_it_is() {
    assert!(!SECRET.is_empty());
    let directory = tempfile::tempdir().unwrap();
    let body = directory.path().join("body.json");
    std::fs::write(&body, r#"{"prompt":"mine","on_disconnect":"continue"}"#).unwrap();
    let upstream = scripted(&[
        r#"{"type":"token","seq":0,"text":"a"}"#,
        r#"{"type":"done","seq":1,"finish_reason":"stop"}"#,
    ]);
    let path = body.to_str().unwrap();
    let Found { status, .. } = bench(&root(&upstream), &brief(&["--rate", "5/s", "--body", path]));
    assert_eq!(status, 0);
    let sent = json!({"prompt": "mine", "on_disconnect": "continue"});
    assert!(upstream.seen().iter().all(|seen| seen.json() == sent));
    // Nothing is added for a pace that the server has anyway.
    std::fs::write(&body, r#"{"model":"m","messages":[]}"#).unwrap();
    let upstream = scripted(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#, "[DONE]"]);
    let arguments = ["--api", "openai", "--pace", "50/s", "--rate", "5/s"];
    let arguments = [&arguments[..], &["--body", path]].concat();
    let Found { status, json, .. } = bench(&upstream.url(), &brief(&arguments));
    assert_eq!((status, &json["plan"]["pace"]), (0, &json!(50.0)));
    let sent = json!({"model": "m", "messages": [], "stream": true});
    assert!(upstream.seen().iter().all(|seen| seen.json() == sent));
    let (status, _, told) = output(command("http://127.0.0.1:1").args(["--body", "/no/such/file"]));
    assert_eq!(status, 2);
    assert!(told.contains("/no/such/file"), "{told}");
}
