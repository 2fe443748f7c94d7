//! What an operator is told: by `tailrace check`, at the start, and by the log of what goes wrong.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::Request;
use crate::program::{Program, output, tailrace};
use crate::server::{SECRET, wait_for};

/// What `check` says of a configuration that is right.
fn check(directory: &Path, text: &str) -> String {
    let path = directory.join("tailrace.toml");
    std::fs::write(&path, text).unwrap();
    let mut command = tailrace(directory);
    let command = command
        .args(["check", "--config"])
        .arg(&path)
        .env("SIGNING", SECRET);
    let (code, stdout, stderr) = output(command);
    assert_eq!(code, 0, "{text}: {stderr}");
    stdout
}

/// The one line of the log with these words.
fn line(program: &Program, words: &str) -> Value {
    let log =
        wait_for(|| Some(program.log.lock().unwrap().clone()).filter(|log| log.contains(words)));
    let mut lines = log.lines().filter(|line| line.contains(words));
    let line = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(lines.next(), None);
    line
}

#[test]
fn the_log_tells_once_whose_credentials_are_guessed() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tailrace(directory.path());
    command
        .env("TAILRACE_LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "3")
        .env("TAILRACE_TRUSTED_PROXIES", "[\"127.0.0.1/32\"]");
    let program = Program::start(command);
    let guess = |address: &str| {
        let request = Request::new(program.address, "GET", "/v1/streams");
        let request = request.header("X-Forwarded-For", address);
        request.bearer("a-guessed-credential").send().status
    };
    for address in ["203.0.113.9", "2001:db8:1:2::7"] {
        let statuses: Vec<u16> = (0..6).map(|_| guess(address)).collect();
        assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    }
    // The log is in order: what the first one's later guesses might say stands before it.
    let second = line(&program, "2001:db8:1:2::");
    assert_eq!(second["client.address"], "2001:db8:1:2::/64");
    let first = line(&program, "203.0.113.9");
    assert_eq!(first["level"], "WARN");
    assert_eq!(first["client.address"], "203.0.113.9");
    assert_eq!(first["auth.failure"], "invalid_token");
    assert_eq!(program.lines("guessed"), 0);
}

#[test]
fn commands_end_quietly_when_nobody_reads() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["check"][..],
        &["token"],
        &["completions", "bash"],
        &["man"],
    ] {
        let mut command = tailrace(directory.path());
        // Nobody reads before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = command.args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{arguments:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("pipe"),
            "{said}"
        );
    }
    // A server has others to serve than whoever started it.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tailrace(directory.path());
    command.stdout(writer);
    let program = Program::start(command);
    let alive = Request::new(program.address, "GET", "/livez").send();
    assert_eq!(alive.status, 200);
}

#[test]
fn too_few_descriptors_are_told_by_check_and_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let limited = |connections: &str, arguments: &str| {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -n 300; exec \"$0\" {arguments}"))
            .arg(env!("CARGO_BIN_EXE_tailrace"))
            .env_clear()
            .env("XDG_STATE_HOME", directory.path())
            .env("TAILRACE_WORKERS", "2")
            .env("TAILRACE_MAX_CONNECTIONS", connections)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let (code, few, _) = output(&mut limited("1000", "check"));
    assert_eq!(code, 0);
    let words = "may take 2000 file descriptors, and this process may have 300";
    assert_eq!(few.matches(words).count(), 1, "{few}");
    let (_, asking, _) = output(&mut limited(
        "1000",
        "check --upstream http://127.0.0.1:9/v1",
    ));
    assert!(asking.contains("may take 12000 file"), "{asking}");
    let (_, enough, _) = output(&mut limited("150", "check"));
    assert!(!enough.contains("descriptors"), "{enough}");
    let program = Program::start(limited("1000", "serve"));
    assert_eq!(line(&program, words)["level"], "WARN");
}

#[test]
fn a_check_warns_of_what_was_hardly_meant() {
    let directory = tempfile::tempdir().unwrap();
    let key = "[[auth.keys]]\nid = \"k\"\nalgorithm = \"HS256\"\nsecret_env = \"SIGNING\"\n";
    let small = "max_connections = 10\nworkers = 1\n";
    let warned = |text: &str| {
        let said = check(directory.path(), &format!("{small}{text}\n{key}"));
        let warnings = said.lines().filter_map(|it| it.strip_prefix("warning   "));
        warnings.map(str::to_owned).collect::<Vec<_>>()
    };
    for (text, words) in [
        (
            "memory.max_bytes = \"1MiB\"",
            &[
                "memory.max_bytes (1.0 MiB)",
                "memory.max_stream_bytes (16.0 MiB)",
            ][..],
        ),
        (
            "trusted_proxies = [\"10.0.0.0/8\", \"0.0.0.0/0\"]",
            &["trusted_proxies", "0.0.0.0/0", "X-Forwarded-For"],
        ),
        ("trusted_proxies = [\"::/0\"]", &["trusted_proxies", "::/0"]),
        (
            "bind = \"0.0.0.0:8080\"",
            &["0.0.0.0:8080", "without TLS", "trusted_proxies"],
        ),
    ] {
        let warnings = warned(text);
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        for word in words {
            assert!(warnings[0].contains(word), "{word:?} in {warnings:?}");
        }
    }
    for text in [
        "",
        "memory.max_bytes = \"16MiB\"",
        "bind = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
        "bind = \"[::1]:8080\"",
    ] {
        assert_eq!(warned(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn mistakes_in_plans_name_the_very_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let plan = |streams: &str, burst: &str| {
        format!(
            "[limits.plans.free]\nrequests_per_minute = 1\nburst = {burst}\nstreams = {streams}\n\
             tokens_per_minute = 1\n"
        )
    };
    let refused = |text: &str, variables: &[(&str, &str)]| {
        std::fs::write(&path, text).unwrap();
        let mut command = tailrace(directory.path());
        command.args(["check", "--config"]).arg(&path);
        let (code, _, stderr) = output(command.envs(variables.iter().copied()));
        assert_eq!(code, 2, "{text}");
        stderr
    };
    let range = "expected a whole number from 1 to 4294967295, found another number";
    let zero = refused(&plan("0", "1"), &[]);
    let words = format!("tailrace.toml: `limits.plans.free.streams`: {range}");
    assert!(zero.contains(&words), "{zero}");
    let negative = refused(&plan("1", "-1"), &[]);
    let words = format!("tailrace.toml: `limits.plans.free.burst`: {range}");
    assert!(negative.contains(&words), "{negative}");
    let variable = ("TAILRACE_LIMITS__PLANS__FREE__BURST", "0");
    let said = refused(&plan("1", "1"), &[variable]);
    let words = format!("TAILRACE_LIMITS__PLANS__FREE__BURST: `limits.plans.free.burst`: {range}");
    assert!(said.contains(&words), "{said}");
    // Nobody has said that the default is `default`.
    let none = refused(&plan("1", "1"), &[]);
    for words in [
        "`limits.default_plan`",
        "limits.plans has free, and none called \"default\"",
        "default_plan names",
    ] {
        assert!(none.contains(words), "{words:?} in {none}");
    }
}

#[test]
fn the_start_and_a_check_say_what_is_served_and_whose_keys_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[auth.keys]]\nid = \"one\"\nalgorithm = \"HS256\"\nsecret_env = \"SIGNING\"\n\
                [[auth.keys]]\nid = \"two\"\nalgorithm = \"HS384\"\nsecret_file = \"two.secret\"\n\
                [models.a]\ngenerator = \"demo\"\n[models.b]\ngenerator = \"demo\"\n";
    std::fs::write(directory.path().join("two.secret"), SECRET.repeat(2)).unwrap();
    let said = check(directory.path(), text);
    for line in [
        "\nkeys      one: HS256, from the variable SIGNING\n",
        "\nkeys      two: HS384, from the file two.secret\n",
    ] {
        assert!(said.contains(line), "{line:?} in {said}");
    }
    let path = directory.path().join("tailrace.toml");
    let mut command = tailrace(directory.path());
    command.arg("--config").arg(&path).env("SIGNING", SECRET);
    let program = Program::start(command);
    let start = line(&program, "Starting");
    assert_eq!(start["level"], "INFO");
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(start["config.file"], path.to_str().unwrap());
    assert_eq!(start["store"], "memory");
    for (what, count) in [("keys", 2), ("models", 2), ("plans", 1), ("providers", 0)] {
        assert_eq!(start[what], count, "{start}");
    }
    assert_eq!(program.lines(SECRET), 0);
}

#[test]
fn a_pipe_that_is_closed_early_leaves_the_first_lines() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = tailrace(directory.path()).arg("check").spawn().unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    drop(out);
    assert!(child.wait().unwrap().success());
    assert!(first.starts_with("listen"), "{first}");
}
