//! `tailrace bench` where something is wrong with what it measures, with its own machine, or with how it was asked.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::metrics_page::ON;
use crate::program::{output, tailrace};
use crate::server::{Server, token, wait_for};
use crate::upstream::{EVENTS, Then, Upstream};

pub const BRIEF: &[&str] = &["--duration", "300ms", "--ramp", "0s"];
pub const SAYS_SOMETHING: &str = r#"{"type":"token","seq":0,"text":"a"}"#;

pub fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = tailrace(std::env::temp_dir().as_path());
    command.args(["bench", url]).args(arguments);
    command.env("TAILRACE_TOKEN", token("ann"));
    command
}

pub fn bench(url: &str, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = command(url, BRIEF);
    let (status, stdout, told) = output(command.args(["--json", "-"]).args(arguments));
    (
        status,
        serde_json::from_str(&stdout).unwrap_or_default(),
        told,
    )
}

pub fn of(server: &Server) -> String {
    format!("http://{}", server.address)
}

pub fn root(upstream: &Upstream) -> String {
    format!("http://{}", upstream.address)
}

/// Answers with the head of a stream and this, and says nothing more.
pub fn holding(text: &'static str) -> Upstream {
    Upstream::start(move |_, exchange| {
        exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
        if !text.is_empty() {
            exchange.event(text);
        }
        exchange.hold();
        Then::Close
    })
}

pub fn warnings(json: &Value) -> String {
    json["warnings"].to_string()
}

#[test]
fn a_process_that_ends_during_the_run_keeps_what_it_has_used() {
    let server = Server::with(ON);
    let mut burner = Command::new("sh");
    let mut burner = burner.args(["-c", "while :; do :; done"]).spawn().unwrap();
    let pid = burner.id().to_string();
    let arguments = [
        "--rate",
        "5/s",
        "--duration",
        "6s",
        "--ramp",
        "0s",
        "--pid",
        &pid,
    ];
    let mut child = command(&of(&server), &arguments);
    child.args([
        "--json",
        "-",
        "--drain",
        "1s",
        "--metadata",
        "demo.tokens=1",
    ]);
    let child = child.stdout(Stdio::piped()).spawn().unwrap();
    // The twelfth of five each second comes after the second second.
    let list = || server.get("/v1/streams?limit=100").send().json();
    wait_for(|| (list()["streams"].as_array()?.len() >= 12).then_some(()));
    burner.kill().unwrap();
    burner.wait().unwrap();
    let output = child.wait_with_output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let process = &json["processes"][0];
    assert!(process["cpu_seconds"].as_f64().unwrap() > 0.1, "{process}");
    assert!(
        process["memory"]["resident"].as_u64().unwrap() > 0,
        "{process}"
    );
    let gone = format!("Process sh {pid} has ended");
    assert!(warnings(&json).contains(&gone), "{}", warnings(&json));
    assert_eq!(
        (output.status.code(), &process["ended"]),
        (Some(1), &json!(true))
    );
    // What is drawn of it ends with it.
    let rows = json["timeline"].as_array().unwrap();
    let seen = |row: &Value| row["processes"][0].is_object();
    assert!(seen(&rows[0]) && !seen(&rows[rows.len() - 1]), "{rows:#?}");
}

#[test]
fn one_of_several_readers_cancels_for_all_of_them() {
    let server = Server::start();
    let arguments = ["--rate", "10/s", "--readers", "4", "--cancel", "30%"];
    let slowly = [
        "--pace",
        "40/s",
        "--metadata",
        "demo.tokens=300",
        "--drain",
        "30s",
    ];
    let (status, json, _) = bench(&of(&server), &[&arguments[..], &slowly].concat());
    assert_eq!((status, &json["failures"]), (0, &json!({})), "{json:#}");
    assert!(json["streams"]["cancelled"].as_u64().unwrap() >= 4);
}

#[test]
fn a_run_without_drain_blames_nobody_who_had_no_time() {
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let slow = Upstream::start(move |_, exchange| {
        exchange.raw(EVENTS.replace("\r\n\r\n", "\r\nX-Stream-Id: 1\r\n\r\n"));
        if is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            exchange.event(SAYS_SOMETHING);
        }
        exchange.hold();
        Then::Close
    });
    let arguments = ["--rate", "20/s", "--drain", "0s"];
    let (status, json, _) = bench(&root(&slow), &arguments);
    assert_eq!((status, &json["failures"]), (0, &json!({})));
    assert_eq!(json["streams"]["unfinished"], json["streams"]["started"]);
}

#[test]
fn files_that_this_machine_cannot_open_are_its_own_fault() {
    let upstream = holding(SAYS_SOMETHING);
    let asked = command(&root(&upstream), BRIEF);
    let mut narrow = Command::new("sh");
    narrow.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]);
    narrow.arg(asked.get_program()).args(asked.get_args());
    narrow.args(["--rate", "300/s", "--drain", "0s", "--json", "-"]);
    let (status, stdout, told) = output(narrow.env("TAILRACE_TOKEN", token("ann")));
    assert_eq!(status, 1, "{told}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let failures = json["failures"].as_object().unwrap();
    assert!(failures.keys().eq(["too_many_files"]), "{failures:?}");
    let said = json["failure_texts"]["too_many_files"].as_str().unwrap();
    assert!(
        said.contains("this machine cannot open more files"),
        "{said}"
    );
    assert!(warnings(&json).contains("server is not at fault"));
}

#[test]
fn a_server_that_swallows_connections_was_never_reached() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // Until its queue is full, and the system answers no more.
    let patience = Duration::from_millis(200);
    let connect = || std::net::TcpStream::connect_timeout(&address, patience);
    let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(100).collect();
    assert!(waiting.len() < 100);
    let url = format!("http://{address}");
    let (status, _, told) = bench(&url, &["--rate", "10/s", "--timeout", "500ms"]);
    assert_eq!(status, 4, "{told}");
    assert!(told.contains("cannot connect within"), "{told}");
}

#[test]
fn what_a_server_says_does_not_reach_the_terminal_as_it_is() {
    let upstream = Upstream::start(|_, exchange| {
        let body = r#"{"error":{"code":"\u001b[2J","message":"\u001b]0;x\u0007 wiped\nout"}}"#;
        exchange.answer("500 Internal Server Error", "", body);
        Then::Keep
    });
    let mut command = command(&root(&upstream), BRIEF);
    let (status, table, told) = output(command.args(["--rate", "10/s"]));
    assert_eq!((status, told.as_str()), (1, ""));
    assert!(
        table.contains(" x \u{fffd}[2J: ") && table.contains("wiped\u{fffd}out"),
        "{table}"
    );
    let is_raw = |character: char| character.is_control() && character != '\n';
    assert!(!table.contains(is_raw), "{table:?}");
}

#[test]
fn an_earlier_report_stays_until_there_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    std::fs::write(&report, "earlier").unwrap();
    let to_report = ["--json", report.to_str().unwrap(), "--rate", "10/s"];
    let run = |url: &str| output(command(url, BRIEF).args(to_report)).0;
    let files = || std::fs::read_dir(directory.path()).unwrap().count();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    assert_eq!(run(&format!("http://{address}")), 4);
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "earlier");
    assert_eq!(files(), 1);
    let server = Server::start();
    let shared = directory.path().join("shared.json");
    std::os::unix::fs::symlink(&report, &shared).unwrap();
    let to_shared = ["--json", shared.to_str().unwrap(), "--rate", "10/s"];
    let arguments = [&to_shared[..], &["--metadata", "demo.tokens=1"]].concat();
    assert_eq!(output(command(&of(&server), BRIEF).args(arguments)).0, 0);
    let json: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(json["version"], json!(1));
    assert!(shared.is_symlink() && files() == 2);
}

#[test]
fn a_body_without_events_has_failed_and_a_key_in_the_url_is_not_told() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.raw(EVENTS);
        exchange.chunk(": nothing\n");
        exchange.chunk("");
        Then::Keep
    });
    let url = format!("{}/feed?key=hidden", root(&upstream));
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    for more in [&[][..], &["--no-check"]] {
        let arguments = [
            "--api",
            "sse",
            "--rate",
            "10/s",
            "--html",
            page.to_str().unwrap(),
        ];
        let (status, json, told) = bench(&url, &[&arguments[..], more].concat());
        assert_eq!(status, 1, "{told}");
        assert_eq!(
            json["failures"],
            json!({"no_events": json["streams"]["started"]})
        );
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(!json.to_string().contains("=hidden") && !page.contains("=hidden"));
    }
    let mut table = command(&url, BRIEF);
    let (_, table, _) = output(table.args(["--api", "sse", "--rate", "10/s"]));
    assert!(
        table.contains("/feed:") && !table.contains("hidden"),
        "{table}"
    );
    // Who reads the report has other variables.
    let mut by_variable = tailrace(std::env::temp_dir().as_path());
    by_variable
        .arg("bench")
        .args(BRIEF)
        .env("TAILRACE_URL", &url);
    by_variable.args(["--api", "sse", "--rate", "10/s", "--json", "-"]);
    let (_, json, told) = output(&mut by_variable);
    let json: Value = serde_json::from_str(&json).expect(&told);
    let said = json["command"].as_str().unwrap();
    let masked = format!(" --json - '{}/feed?...'", root(&upstream));
    assert!(said.ends_with(&masked), "{said}");
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.head.contains("key=hidden"))
    );
}

#[test]
fn options_that_nobody_can_follow_are_refused() {
    for arguments in [
        &["--api", "sse", "--model", "m"][..],
        &["--api", "sse", "--prompt", "p"],
        &["--api", "sse", "--max-tokens", "1"],
        &["--api", "sse", "--metadata", "a=b"],
        &["--slow-rate", "1KB/s"],
        &["--cut-every", "1s"],
        &["--rate", "1e-20"],
        &["--ramp", "31s"],
        &["--duration", "500ms", "--ramp", "501ms"],
        &["--duration", "0s"],
        &["--timeout", "0s"],
        &["--timeout", "500000000000y"],
        &["--duration", "500000000000y"],
        &["--ramp", "500000000000y"],
        &["--drain", "500000000000y"],
        &["--pace", "1e12"],
        &["--pid", "1 x"],
    ] {
        let (status, stdout, told) = output(&mut command("http://127.0.0.1:1", arguments));
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_load_that_is_never_reached_is_refused_with_the_reason() {
    let never = ["--duration", "5s", "--warm-up", "1s", "--ramp", "7s"];
    let (status, _, told) = output(&mut command("http://127.0.0.1:1", &never));
    assert_eq!(status, 2);
    assert!(
        told.contains("--ramp 7s is longer than --warm-up and --duration together, 6s"),
        "{told}"
    );
    // Without a --ramp, half of a short run is left for the whole load.
    let server = Server::start();
    let brief = ["--duration", "200ms", "--rate", "5/s", "--json", "-"];
    let brief = [&brief[..], &["--metadata", "demo.tokens=1"]].concat();
    let (status, stdout, told) = output(&mut command(&of(&server), &brief));
    assert_eq!(status, 0, "{told}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["plan"]["ramp_seconds"], json!(0.1));
}

#[test]
fn processes_may_be_named_one_by_one_or_all_together() {
    let server = Server::start();
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let (ours, others) = (std::process::id(), other.id());
    let (one, both) = (ours.to_string(), format!("{ours} {others}"));
    let knobs = ["--rate", "5/s", "--metadata", "demo.tokens=1"];
    let pids = ["--pid", &one, "--pid", &both];
    let (status, json, told) = bench(&of(&server), &[&knobs[..], &pids].concat());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(status, 0, "{told}");
    let processes = json["processes"].as_array().unwrap();
    let pids: Vec<&Value> = processes.iter().map(|process| &process["pid"]).collect();
    assert_eq!(pids, [&json!(ours), &json!(others)]);
}
