//! `traceparent`: whose traces go on, which are sampled, and what upstreams are told, with a collector and
//! without.

use serde_json::json;

use crate::collector::{Collector, only};
use crate::program::{Program, tailrace};
use crate::route::says;
use crate::server::{BASE, Server, prompt, token, wait_for};
use crate::upstream::{Exchange, Seen, Then, Upstream};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A caller's place, with these flags.
fn caller(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

fn upstream() -> Upstream {
    Upstream::start(|_: &Seen, exchange: &mut Exchange| {
        says(exchange, "well");
        Then::Close
    })
}

fn before(upstream: &Upstream, settings: &str) -> Server {
    let url = upstream.url();
    Server::with(&format!(
        "{settings}models.up = {{ generator = \"openai\", base_url = \"{url}\" }}\n"
    ))
}

/// Asks, with these headers, and answers what the upstream was told.
fn ask(
    server: &Server,
    upstream: &Upstream,
    headers: &[(&str, &str)],
) -> (Option<String>, Option<String>) {
    let asked = upstream.seen().len();
    let mut request = server.post("/v1/streams");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = json!({"model": "up", "prompt": "a"});
    request.json(&body).send().events().rest();
    let seen = &upstream.seen()[asked];
    let header = |name| seen.header(name).map(str::to_owned);
    (header("traceparent"), header("tracestate"))
}

#[test]
fn without_a_collector_a_callers_trace_is_handed_on_as_it_is() {
    let upstream = upstream();
    let server = before(&upstream, "");
    for flags in ["00", "01"] {
        let parent = caller(flags);
        let told = ask(
            &server,
            &upstream,
            &[("traceparent", &parent), ("tracestate", "a=1")],
        );
        assert_eq!(told, (Some(parent), Some("a=1".to_owned())));
    }
    assert_eq!(ask(&server, &upstream, &[]), (None, None));
    assert_eq!(
        ask(&server, &upstream, &[("tracestate", "a=1")]),
        (None, None)
    );
    let wrong = [("traceparent", "00-0-0-01"), ("tracestate", "a=1")];
    assert_eq!(ask(&server, &upstream, &wrong), (None, None));
}

#[test]
fn without_a_collector_whoever_is_not_trusted_is_not_handed_on() {
    let upstream = upstream();
    let server = before(&upstream, "traces.trust_callers = false\n");
    let parent = caller("01");
    let headers = [("traceparent", &*parent), ("tracestate", "a=1")];
    assert_eq!(ask(&server, &upstream, &headers), (None, None));
}

#[test]
fn a_parent_decides_and_else_the_ratio() {
    let upstream = upstream();
    for (sample, parent, is_sampled) in [
        ("0.0", None, false),
        ("1.0", None, true),
        ("0.0", Some("01"), true),
        ("1.0", Some("00"), false),
        ("0.0", Some("00"), false),
    ] {
        let collector = Collector::start();
        let settings = format!("{}traces.sample = {sample}\n", collector.settings());
        let server = before(&upstream, &settings);
        let parent = parent.map(caller);
        let headers: Vec<_> = parent
            .iter()
            .map(|it| ("traceparent", it.as_str()))
            .collect();
        let (told, state) = ask(&server, &upstream, &headers);
        // Who is asked learns of it in each case, and of the decision.
        let told = told.unwrap();
        assert!(
            told.ends_with(if is_sampled { "-01" } else { "-00" }),
            "{told}"
        );
        assert_eq!(told.contains(TRACE), parent.is_some(), "{told}");
        assert!(!told.contains(SPAN), "it is our own part: {told}");
        assert_eq!(state, None);
        let spans = collector.all(server);
        assert_eq!(
            spans.len(),
            if is_sampled { 3 } else { 0 },
            "{sample} {parent:?}"
        );
    }
}

#[test]
fn a_ratio_is_that_of_all() {
    let collector = Collector::start();
    let server = Server::with(&format!("{}traces.sample = 0.5\n", collector.settings()));
    for _ in 0..200 {
        assert_eq!(server.get("/v1/models").send().status, 200);
    }
    let sampled = collector.all(server).len();
    // That it is not between these is as likely as 200 coins that show it: less than one in 10^11.
    assert!((50..=150).contains(&sampled), "{sampled}");
}

#[test]
fn what_is_malformed_begins_a_trace() {
    let (collector, upstream) = (Collector::start(), upstream());
    let server = before(&upstream, &collector.settings());
    let good = caller("01");
    for wrong in [
        "",
        "00",
        &good.to_uppercase(),
        &good.replacen("00", "ff", 1),
        &good.replace(TRACE, &"0".repeat(32)),
        &good.replace(SPAN, &"0".repeat(16)),
        &format!("{good}-00"),
        &format!("{good},{good}"),
        &good[1..],
    ] {
        let (told, state) = ask(
            &server,
            &upstream,
            &[("traceparent", wrong), ("tracestate", "a=1")],
        );
        assert!(!told.unwrap().contains(TRACE), "{wrong:?}");
        assert_eq!(state, None);
    }
    let twice = [("traceparent", good.as_str()), ("traceparent", &good)];
    assert!(!ask(&server, &upstream, &twice).0.unwrap().contains(TRACE));
    let spans = collector.all(server);
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "POST /v1/streams")
        .collect();
    assert_eq!(requests.len(), 10);
    assert!(
        requests
            .iter()
            .all(|span| span.parent.is_empty() && span.trace != TRACE && span.state.is_empty())
    );
}

#[test]
fn whoever_is_not_trusted_is_linked() {
    let (collector, upstream) = (Collector::start(), upstream());
    let settings = format!(
        "{}traces.trust_callers = false\ntraces.service_name = \"edge\"\n",
        collector.settings()
    );
    let server = before(&upstream, &settings);
    for flags in ["00", "01"] {
        let parent = caller(flags);
        let told = ask(
            &server,
            &upstream,
            &[("traceparent", &parent), ("tracestate", "a=1")],
        );
        assert!(!told.0.unwrap().contains(TRACE));
        assert_eq!(told.1, None);
    }
    let spans = collector.all(server);
    assert_eq!(spans.len(), 6);
    for span in &spans {
        let is_request = span.name == "POST /v1/streams";
        assert_ne!(span.trace, TRACE);
        assert_eq!(span.parent.is_empty(), is_request);
        let links = [(TRACE.to_owned(), SPAN.to_owned())];
        assert_eq!(span.links, if is_request { &links[..] } else { &[] });
        assert_eq!(span.resource["service.name"], "edge");
    }
}

#[test]
fn a_program_is_told_by_its_environment() {
    let collector = Collector::start();
    let program = r#"models.env = { generator = "command", program = "sh", args = ["-c", "cat >/dev/null; echo $TRACEPARENT $TRACESTATE"] }"#;
    let server = Server::with(&format!("{}{program}\n", collector.settings()));
    let request = server
        .post("/v1/streams")
        .header("traceparent", &caller("01"))
        .header("tracestate", "a=1");
    let events = request
        .json(&json!({"model": "env", "prompt": "a"}))
        .send()
        .events()
        .rest();
    let said = crate::sse::text(&events);
    let spans = collector.all(server);
    let generation = only(&spans, "chat env");
    assert_eq!(said, format!("00-{TRACE}-{}-01 a=1\n", generation.id));
    assert_eq!(generation.attributes["gen_ai.provider.name"], "tailrace");
}

/// From a line of the log to the trace, and back.
#[test]
fn the_log_names_the_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let collector = Collector::start();
    let base = BASE.replace("log.level = \"off\"", "log.level = \"debug\"");
    let no_collector = "log.format = \"json\"\n".to_owned();
    for settings in [no_collector.clone() + &collector.settings(), no_collector] {
        std::fs::write(&path, format!("{base}{settings}")).unwrap();
        let mut command = tailrace(directory.path());
        command.args(["--config", path.to_str().unwrap(), "serve"]);
        let program = Program::start(command);
        let post = |parent: Option<&str>| {
            let request = crate::client::Request::new(program.address, "POST", "/v1/streams")
                .bearer(&token("ann"));
            let request = match parent {
                None => request,
                Some(parent) => request.header("traceparent", parent),
            };
            request
                .json(&prompt(json!({"tokens": 3})))
                .send()
                .events()
                .rest();
        };
        post(Some(&caller("01")));
        let lines = |what: &str| {
            let log = program.log.lock().unwrap();
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let lines = lines.filter(|line: &serde_json::Value| line["message"] == what);
            Some(lines.collect::<Vec<_>>()).filter(|lines| !lines.is_empty())
        };
        for what in ["Answered a request", "A stream ended"] {
            assert_eq!(wait_for(|| lines(what))[0]["trace.id"], TRACE, "{what}");
        }
        post(None);
        let second = wait_for(|| lines("A stream ended").filter(|lines| lines.len() == 2));
        // Without a collector, nobody begins a trace.
        let id = second[1].get("trace.id");
        assert_eq!(id.is_some(), settings.contains("endpoint"), "{id:?}");
        assert_eq!(collector.span("chat demo").trace, TRACE);
    }
}
