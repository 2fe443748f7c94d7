//! A collector that is away, slow or wrong: no stream notices, and what it did not take is counted.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tailrace::app::Stopped;

use crate::client::{Request, connect};
use crate::collector::{Collector, TAKES};
use crate::metrics_page::{ON, Page, until};
use crate::program::{Program, output, tailrace};
use crate::server::{BASE, Server, wait_for};
use crate::sse::{check_whole, text};
use crate::upstream::{Exchange, Seen};

fn spans(server: &Server, result: &str) -> f64 {
    Page::of(server).sum("tailrace_spans_total", &[&format!("result=\"{result}\"")])
}

fn until_lost(server: &Server, result: &str, count: u32) {
    let label = format!("result=\"{result}\"");
    until(server, "tailrace_spans_total", &[&label], |n| {
        n >= f64::from(count)
    });
}

/// A stream as it is without any collector.
fn stream(server: &Server) {
    let events = server
        .create(json!({"tokens": 30, "tokens_per_second": 300}))
        .rest();
    check_whole(&events);
    assert!(!text(&events).is_empty());
}

#[test]
fn streams_do_not_notice_a_collector_that_fails() {
    type Answer = fn(&Seen, &mut Exchange);
    let answers: [(&str, Answer); 6] = [
        ("holds", |_, exchange| exchange.hold()),
        ("fails", |_, exchange| {
            exchange.answer("500 Internal Server Error", "", "");
        }),
        ("refuses", |_, exchange| {
            exchange.answer("401 Unauthorized", "", "a");
        }),
        ("is no HTTP", |_, exchange| {
            exchange.raw("220 mail.example.com ESMTP\r\n");
        }),
        ("resets", |_, exchange| exchange.reset()),
        ("rejects", |_, exchange| {
            // ExportTraceServiceResponse { partial_success { rejected_spans: 9, error_message: "no" } }
            exchange.raw("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\x0a\x06\x08\x09\x12\x02no");
        }),
    ];
    for (what, answer) in answers {
        let collector = Collector::with(answer);
        let server = Server::with(&format!(
            "{ON}{}traces.timeout = \"100ms\"\n",
            collector.settings()
        ));
        let started = Instant::now();
        stream(&server);
        // A hundredth of a second for each token, and not the collector's time.
        assert!(started.elapsed() < Duration::from_secs(5), "{what}");
        until_lost(&server, "failed", 2);
        assert!(spans(&server, "exported") < 0.5, "{what}");
        stream(&server);
    }
}

#[test]
fn streams_do_not_notice_that_there_is_no_collector() {
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let server = Server::with(&format!("{ON}traces.endpoint = \"http://{address}\"\n"));
    stream(&server);
    until_lost(&server, "failed", 2);
    let stopping = Instant::now();
    server.ask_to_stop();
    assert_eq!(server.wait(), Stopped::Drained);
    assert!(stopping.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_log_names_the_collector_that_fails() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/base", gone.local_addr().unwrap());
    drop(gone);
    let directory = tempfile::tempdir().unwrap();
    let mut command = tailrace(directory.path());
    command.env("TAILRACE_TRACES__ENDPOINT", &url);
    let program = Program::start(command);
    Request::new(program.address, "GET", "/v1/models").send();
    wait_for(|| (program.lines("The collector does not take spans") == 1).then_some(()));
    let log = program.log.lock().unwrap().clone();
    let named = format!("\"collector.url\":\"{url}\",\"failure.cause\"");
    assert!(log.contains(&named), "{log}");
}

#[test]
fn more_than_the_collector_takes_is_dropped_and_counted() {
    let collector = Collector::with(|_, exchange| exchange.hold());
    let server = Server::with(&format!("{ON}{}", collector.settings()));
    // More than there is room for, with what is on its way.
    let count = 5500;
    let mut connection = connect(server.address);
    let mut writer = connection.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..count {
            let asked = writer.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
            asked.unwrap();
        }
    });
    let (mut text, mut answered) = (String::new(), 0);
    let mut piece = [0; 8 * 1024];
    while answered < count {
        let read = connection.read(&mut piece).unwrap();
        text += std::str::from_utf8(&piece[..read]).unwrap();
        answered += text.matches("HTTP/1.1 404").count();
        text = text.split_off(text.len().saturating_sub(11));
    }
    writing.join().unwrap();
    until_lost(&server, "dropped", 100);
    assert!(spans(&server, "exported") < 0.5);
    stream(&server);
}

#[test]
fn what_may_pass_is_sent_again_and_only_that() {
    for (status, headers, is_again) in [
        ("503 Service Unavailable", "", true),
        ("429 Too Many Requests", "Retry-After: 0\r\n", true),
        ("400 Bad Request", "", false),
    ] {
        let asked = AtomicUsize::new(0);
        let collector = Collector::with(move |seen, exchange| {
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                exchange.answer(status, headers, "");
            } else {
                TAKES(seen, exchange);
            }
        });
        let server = Server::with(&format!("{ON}{}", collector.settings()));
        stream(&server);
        until_lost(&server, if is_again { "exported" } else { "failed" }, 2);
        let seen = collector.seen();
        assert_eq!(seen.len(), if is_again { 2 } else { 1 }, "{status}");
        if is_again {
            assert_eq!(seen[0].body, seen[1].body);
            assert!(spans(&server, "failed") < 0.5);
        }
    }
}

#[test]
fn the_end_of_a_server_waits_for_the_last_spans_but_not_for_long() {
    let collector = Collector::start();
    let server = Server::with(&collector.settings());
    // The last to be read is a part of what is flushed: it had no time to go by itself.
    stream(&server);
    let names: Vec<_> = collector
        .all(server)
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");

    let collector = Collector::with(|_, exchange| exchange.hold());
    let server = Server::with(&collector.settings());
    stream(&server);
    let stopping = Instant::now();
    server.ask_to_stop();
    assert_eq!(server.wait(), Stopped::Drained);
    assert!(
        stopping.elapsed() < Duration::from_secs(6),
        "{:?}",
        stopping.elapsed()
    );
}

#[test]
fn what_the_collector_wants_to_be_told_is_no_secret_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("headers");
    std::fs::write(&file, "x-team-key=geheim%20nis==\n").unwrap();
    let collector = Collector::start();
    let settings = format!(
        "{}traces.headers = {{ X-Scope = \"water\" }}\ntraces.headers_file = \"{}\"\n",
        collector.settings(),
        file.display()
    );
    let server = Server::with(&settings);
    stream(&server);
    collector.all(server);
    let seen = &collector.seen()[0];
    assert_eq!(seen.header("x-team-key"), Some("geheim nis=="));
    assert_eq!(seen.header("x-scope"), Some("water"));

    let path = directory.path().join("tailrace.toml");
    let check = |settings: &str, variable: &str| {
        std::fs::write(&path, format!("{BASE}{settings}")).unwrap();
        let mut command = tailrace(directory.path());
        command.env("COLLECTOR", variable);
        command.args(["--config", path.to_str().unwrap(), "check"]);
        output(&mut command)
    };
    let (status, said, _) = check(&format!("{settings}traces.sample = 0.07\n"), "");
    assert_eq!(status, 0);
    assert!(
        said.contains("/v1/traces (not asked), 7 % of those that begin here"),
        "{said}"
    );
    assert!(!said.contains("geheim"));
    let endpoint = "traces.endpoint = \"http://127.0.0.1:4318\"\n";
    for (wrong, variable, expected) in [
        (
            "traces.sample = 1.5\n",
            "",
            "`traces.sample`: expected a number from 0 to 1",
        ),
        (
            "traces.sample = nan\n",
            "",
            "`traces.sample`: expected a number from 0 to 1",
        ),
        (
            "traces.timeout = \"0s\"\n",
            "",
            "`traces.timeout`: expected at least 10ms",
        ),
        (
            "traces.endpoint = \"127.0.0.1:4317\"\n",
            "",
            "`traces.endpoint`: expected a URL such as http://127.0.0.1:4318",
        ),
        (
            "traces.endpoint = \"http://a/v1/traces/\"\n",
            "",
            "`traces.endpoint`: expected http://a, without /v1/traces",
        ),
        (
            "traces.headers = { Host = \"a\" }\n",
            "",
            "`traces.headers`: Host: expected another",
        ),
        (
            "traces.headers_env = \"COLLECTOR\"\n",
            "geheim",
            "`traces.headers_env`: expected name=value",
        ),
        (
            "traces.headers_env = \"COLLECTOR\"\n",
            "ge heim=1",
            "`traces.headers`: one of them is not a header",
        ),
        (
            "traces.headers_env = \"COLLECTOR\"\ntraces.headers_file = \"a\"\n",
            "a=1",
            "`traces`: expected at most one",
        ),
        ("traces.header = {}\n", "", "traces"),
    ] {
        let endpoint = if wrong.contains("endpoint") {
            ""
        } else {
            endpoint
        };
        let (status, _, said) = check(&format!("{endpoint}{wrong}"), variable);
        assert_eq!(status, 2, "{wrong}");
        assert!(said.contains(expected), "{wrong}: {said}");
        assert!(!said.contains("heim"), "{said}");
    }
}
