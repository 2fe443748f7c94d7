//! The `command` generator: any program is a model, and none outlives its stream.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Server, token_with, wait_for};
use crate::sse::{Event, check_whole, text};

/// A server whose model `run` is this shell script.
fn server(script: &str, more: &str) -> Server {
    let script = serde_json::to_string(script).unwrap();
    Server::with(&format!(
        "models.run = {{ generator = \"command\", program = \"sh\", args = [\"-c\", {script}], env = {{ GREETING = \"hello\" }}{more} }}\n\
         generation.idle_timeout = \"500ms\"\ngeneration.abandon_after = \"200ms\"\n"
    ))
}

fn run(server: &Server) -> Vec<Event> {
    let request = server
        .post("/v1/streams")
        .json(&json!({"model": "run", "prompt": "say it", "max_tokens": 50}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

fn end(script: &str, more: &str) -> Value {
    run(&server(script, more)).pop().unwrap().data
}

#[test]
fn json_lines_are_deltas() {
    let server = server(
        r#"printf '%s\n' '{"reasoning":"hm"}' '{"text":"a\nb"}' '{"tool_call":{"index":0,"id":"c","name":"f","arguments":"{}"}}' \
           '{"finish_reason":"tool_calls","usage":{"prompt_tokens":3,"completion_tokens":9}}' never"#,
        "",
    );
    let events = run(&server);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["start", "reasoning", "token", "tool_call", "done"]);
    assert_eq!(text(&events), "a\nb");
    assert_eq!(events[3].data["name"], "f");
    assert_eq!(events[4].data["finish_reason"], "tool_calls");
    assert_eq!(
        events[4].data["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12})
    );
}

/// An empty delta says nothing, so it meets no limit: neither the request's nor the plan's.
#[test]
fn an_empty_delta_after_the_last_that_is_allowed_ends_nothing() {
    let script = r#"i=0; while [ $i -lt 50 ]; do echo '{"text":"x"}'; i=$((i+1)); done
        printf '%s\n' '{"text":""}' '{"reasoning":""}' '{"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":49}}'"#;
    let server = server(script, "");
    let done = run(&server).pop().unwrap().data;
    assert_eq!(done["finish_reason"], "stop");
    assert_eq!(done["usage"]["completion_tokens"], 49);
    let script = serde_json::to_string(script).unwrap();
    let server = Server::with(&format!(
        "models.run = {{ generator = \"command\", program = \"sh\", args = [\"-c\", {script}] }}\n\
         limits.plans.small = {{ requests_per_minute = 1000, burst = 10, streams = 10, tokens_per_minute = 50 }}\n\
         limits.default_reservation = 50\n"
    ));
    let ann = token_with("ann", "streams:write", Some("small"));
    let request = server.request("POST", "/v1/streams").bearer(&ann);
    let body = json!({"model": "run", "prompt": "say it"});
    let events = request.json(&body).send().events();
    assert_eq!(events.rest().last().unwrap().kind, "done");
}

/// A program's lines are counted: it need not care for `max_tokens` itself.
#[test]
fn a_program_that_says_more_than_was_asked_for_is_cut() {
    let server = server("echo a; echo b; echo c; sleep 60", "");
    let body = json!({"model": "run", "prompt": "say it", "max_tokens": 2});
    let events = server.post("/v1/streams").json(&body).send().events();
    let events = events.rest();
    assert_eq!(text(&events), "a\nb\n");
    assert_eq!(events.last().unwrap().data["finish_reason"], "length");
}

#[test]
fn plain_lines_are_text_and_status_0_is_the_end() {
    let server = server("echo one; printf 'two\\r\\n'; echo; printf three", "");
    let events = run(&server);
    assert_eq!(text(&events), "one\ntwo\n\nthree\n");
    assert_eq!(events.last().unwrap().data["finish_reason"], "stop");
}

#[test]
fn the_request_is_one_line_of_json_on_standard_input() {
    let server = server("cat", ", output = \"text\"");
    let request: Value = serde_json::from_str(&text(&run(&server))).unwrap();
    assert_eq!(
        request,
        json!({"model": "run", "messages": [{"role": "user", "content": "say it"}], "max_tokens": 50})
    );
}

#[test]
fn a_program_that_ignores_its_input_is_no_error() {
    let server = server("exec 0<&-; echo fine", "");
    let long = "x".repeat(500_000);
    let request = server
        .post("/v1/streams")
        .json(&json!({"model": "run", "prompt": long}));
    let events = request.send().events().rest();
    assert_eq!(text(&events), "fine\n");
}

#[test]
fn the_environment_comes_from_the_configuration_alone() {
    let server = server("env", "");
    let text = text(&run(&server));
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert!(text.contains("GREETING=hello"));
    assert!(
        names
            .iter()
            .all(|name| ["GREETING", "PATH", "PWD", "_", "SHLVL", "OLDPWD"].contains(name)),
        "{names:?}"
    );
}

#[test]
fn failures_are_errors() {
    let exit = end("echo half; exit 3", "");
    assert_eq!(exit["error"]["code"], "generator_error");
    assert_eq!(
        exit["error"]["message"],
        "the model's program ended with exit status: 3"
    );
    assert_eq!(exit["error"]["retryable"], true);
    let told = end(
        r#"echo '{"error":{"message":"no GPU","retryable":false}}'"#,
        "",
    );
    assert_eq!(told["error"]["message"], "no GPU");
    assert_eq!(told["error"]["retryable"], false);
    let not_json = end("echo plain", ", output = \"json\"");
    assert_eq!(not_json["error"]["code"], "generator_error");
    let not_utf8 = end(r"printf '\377\n'", "");
    assert_eq!(not_utf8["error"]["code"], "generator_error");
    let long = end("head -c 2000000 /dev/zero | tr '\\0' x", "");
    assert!(
        long["error"]["message"]
            .as_str()
            .unwrap()
            .contains("more than 1048576 bytes")
    );
    let missing =
        Server::with("models.run = { generator = \"command\", program = \"/no/such/program\" }\n");
    let end = run(&missing).pop().unwrap().data;
    assert_eq!(
        end["error"]["message"],
        "the model's program could not be started"
    );
    assert!(
        !end.to_string().contains("/no/such"),
        "a client learns no paths"
    );
}

#[test]
fn a_flood_on_standard_error_does_not_stop_the_answer() {
    let server = server(
        "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo after",
        "",
    );
    assert_eq!(text(&run(&server)), "\nafter\n");
}

/// A script that leaves a child and tells both process ids.
const FAMILY: &str = "sleep 1000 & echo $$ $!; wait";

/// Reads the process ids, ends the stream somehow, and waits until both processes are gone.
fn ends_its_family(end: impl FnOnce(&Server, &str, crate::sse::Events)) {
    let server = server(FAMILY, "");
    let mut events = server
        .post("/v1/streams")
        .json(&json!({"model": "run", "prompt": "x"}))
        .send()
        .events();
    let stream = events.expect().data["stream"].as_str().unwrap().to_owned();
    let told = events.expect().data["text"].as_str().unwrap().to_owned();
    let processes: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
    assert_eq!(processes.len(), 2);
    assert!(processes.iter().all(|process| is_alive(process)));
    end(&server, &stream, events);
    wait_for(|| (!processes.iter().any(|process| is_alive(process))).then_some(()));
}

/// Whether a process runs; a zombie has ended.
fn is_alive(process: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_cancelled_program_is_killed_with_its_children() {
    ends_its_family(|server, stream, events| {
        server.post(&format!("/v1/streams/{stream}/cancel")).send();
        assert_eq!(
            events.rest().last().unwrap().data["finish_reason"],
            "cancelled"
        );
    });
}

#[test]
fn an_abandoned_program_is_killed_with_its_children() {
    ends_its_family(|_, _, events| drop(events));
}

#[test]
fn a_silent_program_is_killed_with_its_children() {
    ends_its_family(|_, _, events| {
        assert_eq!(
            events.rest().last().unwrap().data["error"]["code"],
            "idle_timeout"
        );
    });
}

#[test]
fn a_stopping_server_kills_its_programs() {
    ends_its_family(|server, _, events| {
        server.ask_to_stop();
        assert_eq!(
            events.rest().last().unwrap().data["error"]["code"],
            "server_stopping"
        );
    });
}

#[test]
fn standard_error_is_read_to_its_end_whatever_it_is() {
    let garbage = r"printf '\377\n' >&2; head -c 300000 /dev/zero >&2; echo; echo after";
    assert_eq!(text(&run(&server(garbage, ""))), "\nafter\n");
}

#[test]
fn a_flood_of_lines_on_standard_error_does_not_hold_up_the_answer() {
    let server = server("yes complaint >&2 & sleep 0.2; echo hello; kill $!", "");
    assert_eq!(text(&run(&server)), "hello\n");
}

#[test]
fn what_a_program_leaves_behind_is_killed_too() {
    let server = server("sleep 1000 >/dev/null 2>&1 & echo $!", "");
    let left = text(&run(&server)).trim().to_owned();
    wait_for(|| (!is_alive(&left)).then_some(()));
}

#[test]
fn a_tool_call_with_a_monstrous_name_is_an_error() {
    let script =
        r#"printf '{"tool_call":{"index":0,"id":"c","name":"%0100000d","arguments":"{}"}}\n' 7"#;
    let end = end(script, "");
    assert_eq!(end["error"]["code"], "generator_error");
}
