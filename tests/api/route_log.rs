//! What an operator reads of upstreams that fail: who, why, in which stream, and no secrets.

use serde_json::{Value, json};

use crate::program::{Program, tailrace};
use crate::route::{Script, anthropic, config, only_for_openai, openai, says, upstream};
use crate::server::{SECRET, token, wait_for};
use crate::upstream::{EVENTS, Exchange};

/// The program with these models, and where its files are.
fn program(models: &str) -> (Program, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    // As few as there are descriptors for on any machine.
    let keys = format!(
        "max_connections = 10\nlimits.max_streams = 10\nauth.keys = [{{ id = \"test\", algorithm = \"HS256\", secret = \"{SECRET}\" }}]\n{models}"
    );
    std::fs::write(&path, keys).unwrap();
    let mut command = tailrace(directory.path());
    command.arg("--config").arg(&path);
    (Program::start(command), directory)
}

/// Sends a request and waits for the line of its stream's end. Says which request it was.
fn ask(program: &Program, path: &str, body: &Value) -> Value {
    let ends = || lines(program, "A stream ended");
    let before = ends().len();
    let request = crate::client::Request::new(program.address, "POST", path);
    let response = request.bearer(&token("ann")).json(body).send();
    response.bytes();
    wait_for(|| ends().into_iter().nth(before))
}

fn prompt(program: &Program) -> Value {
    ask(program, "/v1/streams", &json!({"prompt": "geheim"}))
}

/// The lines with these words.
fn lines(program: &Program, words: &str) -> Vec<Value> {
    let log = program.log.lock().unwrap().clone();
    log.lines()
        .filter(|line| line.contains(words))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn tried(ended: &Value) -> Vec<&str> {
    ended["upstream.tried"]
        .as_str()
        .unwrap()
        .split(", ")
        .collect()
}

fn no_secrets(program: &Program) {
    let log = program.log.lock().unwrap().clone();
    assert_eq!(log.lines().find(|line| line.contains("geheim")), None);
}

#[test]
fn it_says_who_was_tried_and_what_came_of_it() {
    let first = upstream(|e| e.answer("500 Oh", "", "geheim"));
    let second = upstream(|e| says(e, "geheim"));
    let upstreams = [openai(&first), openai(&first), openai(&second)];
    let (program, _directory) = program(&config("", &upstreams));
    let ended = prompt(&program);
    let (one, two) = (first.address, second.address);
    let begins = [
        format!("{one}: upstream_error after "),
        format!("{one}#2: upstream_error after "),
        format!("{two}: answered after "),
    ];
    let tried = tried(&ended);
    assert_eq!(tried.len(), begins.len(), "{tried:?}");
    for (tried, begin) in tried.iter().zip(begins) {
        assert!(
            tried.starts_with(&begin) && tried.ends_with(" ms"),
            "{tried}"
        );
    }
    let failed = lines(&program, "An upstream failed before its first token");
    assert_eq!(failed.len(), 2);
    for (line, name) in failed.iter().zip([format!("{one}"), format!("{one}#2")]) {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["upstream.name"], name);
        assert_eq!(line["stream.model"], "chat");
        assert_eq!(line["failure.code"], "upstream_error");
        assert_eq!(line["failure.cause"], "status 500");
        for id in ["request.id", "stream.id"] {
            assert!(line[id].is_string());
            assert_eq!(line[id], ended[id]);
        }
    }
    assert!(lines(&program, "A generation failed").is_empty());
    no_secrets(&program);
}

#[test]
fn it_says_who_was_passed_over_and_why() {
    let claude = upstream(|_| {});
    let resting = upstream(|e| e.answer("429 Wait", "Retry-After: 30\r\n", "geheim"));
    let good = upstream(|e| says(e, "geheim"));
    let upstreams = [anthropic(&claude, ""), openai(&resting), openai(&good)];
    let (program, _directory) = program(&config("", &upstreams));
    let first = ask(&program, "/v1/chat/completions", &only_for_openai());
    let second = ask(&program, "/v1/chat/completions", &only_for_openai());
    let (claude, resting) = (claude.address, resting.address);
    let skipped = format!("{claude}: skipped (response_format)");
    let first = tried(&first);
    assert_eq!(first[0], skipped);
    assert!(first[1].starts_with(&format!("{resting}: upstream_rate_limited after ")));
    let second = tried(&second);
    assert_eq!(second[0], skipped);
    assert!(
        second[1].starts_with(&format!("{resting}: skipped (rests ")),
        "{second:?}"
    );
    assert!(second[2].starts_with(&format!("{}: answered after ", good.address)));
    let [left] = &lines(&program, "An upstream is left alone for a while")[..] else {
        panic!("one line")
    };
    assert_eq!(left["upstream.name"], resting.to_string());
    assert_eq!(left["upstream.rest_s"], 30.0);
    assert_eq!(left["upstream.retry_after_s"], 30.0);
    assert_eq!(left["upstream.failures"], 1);
    no_secrets(&program);
}

#[test]
fn it_says_when_all_rest_and_when_one_is_back() {
    let fails = std::sync::atomic::AtomicBool::new(true);
    let only = upstream(move |e| {
        if fails.swap(false, std::sync::atomic::Ordering::SeqCst) {
            e.answer("500 Oh", "", "");
        } else {
            says(e, "x");
        }
    });
    let settings = "breaker_failures = 1, breaker_rest = \"1s\"";
    let (program, _directory) = program(&config(settings, &[openai(&only)]));
    prompt(&program);
    let ended = prompt(&program);
    let name = only.address.to_string();
    assert_eq!(tried(&ended), [format!("{name}: skipped (rests 1 s)")]);
    let failed = lines(&program, "A generation failed");
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["upstream.name"], name);
    assert_eq!(failed[1]["upstream.name"], Value::Null, "nobody was asked");
    assert_eq!(failed[1]["failure.code"], "upstream_unavailable");
    // Asking again and again would use up the plan's requests.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(tried(&prompt(&program))[0].starts_with(&format!("{name}: answered after ")));
    let back = lines(&program, "An upstream answers again");
    assert_eq!(back.len(), 1);
    assert_eq!(back[0]["upstream.name"], name);
}

/// Whoever has answered is the one that was cut.
#[test]
fn it_says_whose_answer_was_cut() {
    let first = upstream(|e| e.answer("500 Oh", "", ""));
    let second = upstream(|e| {
        e.raw(EVENTS);
        e.text("geheim");
    });
    let (program, _directory) = program(&config("", &[openai(&first), openai(&second)]));
    let ended = prompt(&program);
    let name = second.address.to_string();
    assert!(tried(&ended)[1].starts_with(&format!("{name}: answered after ")));
    assert_eq!(ended["stream.outcome"], "upstream_incomplete");
    let [line] = &lines(&program, "A generation failed")[..] else {
        panic!("one line")
    };
    assert_eq!(line["upstream.name"], name);
    assert_eq!(line["failure.cause"], "the connection was closed");
    no_secrets(&program);
}

/// Without a route too.
#[test]
fn each_failure_has_one_line_with_its_cause() {
    let table: [(Script, &str, &str, &str); 9] = [
        (
            |e| e.answer("500 Oh", "", "geheim"),
            "WARN",
            "upstream_error",
            "status 500",
        ),
        (
            |e| e.answer("400 No", "", r#"{"error": {"message": "geheim"}}"#),
            "WARN",
            "upstream_refused",
            "status 400",
        ),
        (
            |e| e.answer("401 Who", "", "geheim"),
            "ERROR",
            "upstream_error",
            "status 401",
        ),
        (
            |e| e.answer("404 Where", "", "geheim"),
            "ERROR",
            "upstream_error",
            "status 404",
        ),
        (
            |e| e.answer("302 Found", "Location: /geheim\r\n", ""),
            "WARN",
            "upstream_invalid",
            "status 302",
        ),
        (
            |e| e.answer("200 OK", "Content-Type: text/html\r\n", "geheim"),
            "WARN",
            "upstream_invalid",
            "status 200 with text/html",
        ),
        (
            |e| {
                e.raw(EVENTS);
                e.event("geheim");
            },
            "WARN",
            "upstream_invalid",
            "an event of 6 bytes is no JSON",
        ),
        (
            |e| {
                e.raw(EVENTS);
                e.text("x");
                e.event(json!({"error": {"message": "geheim", "code": 503}}));
            },
            "WARN",
            "upstream_error",
            "an error in the stream with status 503, about the server",
        ),
        (
            Exchange::reset,
            "WARN",
            "upstream_incomplete",
            "the connection broke: ",
        ),
    ];
    for (script, level, code, cause) in table {
        let upstream = upstream(script);
        let (program, _directory) = program(&format!(
            "models.up = {{ generator = \"openai\", base_url = \"{}\" }}\n",
            upstream.url()
        ));
        let ended = prompt(&program);
        let [line] = &lines(&program, "A generation failed")[..] else {
            panic!("one line for {cause}")
        };
        assert_eq!(line["level"], level, "{line}");
        assert_eq!(line["failure.code"], code, "{line}");
        let said = line["failure.cause"].as_str().unwrap();
        assert!(said.starts_with(cause), "{line}");
        assert_eq!(line["upstream.name"], upstream.address.to_string());
        assert_eq!(line["stream.model"], "up");
        for id in ["request.id", "stream.id"] {
            assert!(line[id].is_string());
            assert_eq!(line[id], ended[id]);
        }
        let log = program.log.lock().unwrap().clone();
        let complaints = log.lines().filter(|line| !line.contains("\"INFO\""));
        assert_eq!(complaints.count(), 1, "{log}");
        no_secrets(&program);
    }
}
