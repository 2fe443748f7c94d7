//! The program itself: its first words, its mistakes, its signals, and what its log never says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tailrace::shutdown::FAREWELLS;

use crate::client::{Request, connect};
use crate::nodes::Redis;
use crate::program::{Program, output, tailrace};
use crate::server::{SECRET, prompt, token, wait_for};

#[test]
fn without_configuration_it_serves_and_its_first_words_work() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(tailrace(directory.path()));
    let key = directory.path().join("tailrace/development.key");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // The token of `tailrace token` is good too, since the key is kept.
    let (code, minted, told) =
        output(tailrace(directory.path()).args(["token", "--sub", "ann", "--ttl", "5m"]));
    assert_eq!(code, 0);
    assert!(told.contains("the development key"), "{told}");
    let list = Request::new(program.address, "GET", "/v1/streams")
        .bearer(minted.trim())
        .send();
    assert_eq!(list.status, 200);
    program.signal();
    assert!(program.child.wait().unwrap().success());
    let banner = program.stdout();
    let curl = banner
        .find("curl -N http://127.0.0.1:")
        .expect("a command to paste");
    assert!(banner[curl..].contains("Authorization: Bearer ey"));
    assert!(banner.contains("insecure") && banner.contains("[[auth.keys]]"));
}

/// A clock could not count to the end of those that are refused.
#[test]
fn times_of_the_command_line_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| output(tailrace(directory.path()).args(arguments));
    for arguments in [["token", "--ttl"], ["chat", "--timeout"]] {
        for wrong in ["500000000000y", "2y", "30"] {
            let (code, said, told) = run(&[&arguments[..], &[wrong]].concat());
            assert_eq!((code, said.as_str()), (2, ""), "{arguments:?} {wrong}");
            assert!(told.contains("a year"), "{arguments:?} {wrong}: {told}");
        }
    }
    assert_eq!(run(&["token", "--ttl", "1y"]).0, 0);
    let (_, help, _) = run(&["chat", "--help"]);
    assert!(help.contains("`$TAILRACE_TOKEN`"), "{help}");
}

#[test]
fn a_connection_costs_one_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(tailrace(directory.path()));
    let descriptors = || {
        let open = format!("/proc/{}/fd", program.child.id());
        std::fs::read_dir(open).unwrap().count()
    };
    let connect = || -> Vec<_> {
        let request = || Request::new(program.address, "GET", "/livez").send();
        (0..50).map(|_| request()).collect()
    };
    // The first ones also wake the workers, which open some of their own.
    let connections = connect();
    let before = descriptors();
    let more = connect();
    assert!((before + 50..before + 55).contains(&descriptors()));
    drop((connections, more));
}

#[test]
fn the_pasted_curl_command_streams() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(tailrace(directory.path()));
    let mut banner = BufReader::new(program.child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("lighthouse keepers\"}'") {
        assert!(banner.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let curl = &text[text.find("curl -N").unwrap()..];
    let pasted = Command::new("sh")
        .args(["-c", curl])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let stream = String::from_utf8(pasted.stdout).unwrap();
    assert!(stream.contains("lighthouse keepers") || stream.contains(" keepers"));
    assert!(stream.contains("event: done"));
}

#[test]
fn the_development_key_is_for_loopback_only() {
    let directory = tempfile::tempdir().unwrap();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let (code, _, stderr) = output(tailrace(directory.path()).env("TAILRACE_BIND", bind));
        assert_eq!(code, 2);
        assert!(
            stderr.contains("refusing to listen") && stderr.contains("[[auth.keys]]"),
            "{stderr}"
        );
    }
}

#[test]
fn a_wrong_configuration_names_file_key_and_what_was_expected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let (code, _, stderr) = output(
            tailrace(directory.path())
                .args(["check", "--config"])
                .arg(&path)
                .env("EMPTY_KEY", " ")
                .env("FULL_KEY", "a-secret"),
        );
        assert_eq!(code, 2, "{text}");
        stderr
    };
    std::fs::write(directory.path().join("two-lines"), "a-secret\nb\n").unwrap();
    std::fs::write(directory.path().join("empty"), "\n").unwrap();
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let broken = |what: &str| format!("-----BEGIN {what}-----\nMAA=\n-----END {what}-----\n");
    for (file, text) in [
        ("cert.pem", make().cert.pem()),
        ("key.pem", make().signing_key.serialize_pem()),
        ("broken-cert.pem", broken("CERTIFICATE")),
        ("broken-key.pem", broken("PRIVATE KEY")),
    ] {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let offered = check("[models.m]\ngenerator = \"openai\"\nx = 1");
    assert!(
        offered.contains("max_tokens_field") && !offered.contains("max_tokens,"),
        "{offered}"
    );
    for (text, words) in [
        (
            "workers = \"many\"",
            &["tailrace.toml: `workers`: expected a whole number of at least 0, found"][..],
        ),
        ("wrokers = 2", &["tailrace.toml", "wrokers", "workers"]),
        (
            "[http]\nheartbeat = \"soon\"",
            &["tailrace.toml", "http.heartbeat"],
        ),
        (
            "[http]\nheartbeat = \"0s\"",
            &["tailrace.toml", "http.heartbeat", "at least 10ms"],
        ),
        (
            "[http]\nhead_timeout = \"999ms\"",
            &["tailrace.toml: `http.head_timeout`: expected at least 1s"],
        ),
        (
            "[http]\npeer_timeout = \"60d\"",
            &["tailrace.toml", "http.peer_timeout", "at most 24 days"],
        ),
        (
            "[http]\nbody_limit = \"lots\"",
            &["tailrace.toml: `http.body_limit`: expected a size such as"],
        ),
        (
            "[limits]\ndefault_plan = \"gold\"",
            &["tailrace.toml", "limits.default_plan", "gold"],
        ),
        (
            "[limits.plans.gold]\nburst = 1",
            &["tailrace.toml", "limits.plans.gold", "requests_per_minute"],
        ),
        (
            "[models.m]\ngenerator = \"magic\"",
            &["tailrace.toml", "models.m.generator", "demo, command"],
        ),
        (
            "[models.m]\ngenerator = \"demo\"\ntoknes = 3",
            &["tailrace.toml", "toknes", "tokens"],
        ),
        (
            "[models.m]\ngenerator = \"command\"",
            &["tailrace.toml", "models.m", "program"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"",
            &["tailrace.toml", "models.m.base_url", "http://"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nidle_timeout = \"1ms\"",
            &["tailrace.toml", "models.m.idle_timeout", "at least 10ms"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nidel_timeout = \"1s\"",
            &["tailrace.toml", "idel_timeout", "idle_timeout"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nmax_tokens = 5",
            &["tailrace.toml", "models.m.max_tokens", "expected none"],
        ),
        (
            "[models.m]\ngenerator = \"anthropic\"\nbase_url = \"https://a/v1\"",
            &["tailrace.toml", "models.m.base_url", "without /v1"],
        ),
        (
            "[models.m]\ngenerator = \"anthropic\"\nmax_tokens = 0",
            &["tailrace.toml", "models.m.max_tokens", "at least 1"],
        ),
        (
            "[upstream]\nbase_url = \"http://a/\"\nmodel = \"m\"",
            &["tailrace.toml", "upstream.model", "[models.NAME]"],
        ),
        (
            "[models.m]\nbase_url = \"http://a/\"",
            &["tailrace.toml", "models.m", "generator is missing"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nfirst_token_timeout = \"5\"",
            &["models.m.first_token_timeout", "\"10s\""],
        ),
        (
            "[models.m]\ngenerator = \"route\"\n[[models.m.upstreams]]\ngenerator = \"demo\"\n[[models.m.upstreams]]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nfirst_token_timeout = 5",
            &["models.m.upstreams[1].first_token_timeout", "\"10s\""],
        ),
        (
            "[models.m]\ngenerator = \"route\"\n[[models.m.upstreams]]\ngenerator = \"openai\"\nbase_ulr = \"http://a/\"",
            &["`models.m.upstreams[0].base_ulr`", "base_url"],
        ),
        (
            "[models.m]\ngenerator = \"route\"\n[[models.m.upstreams]]\ngenerator = \"magic\"",
            &["`models.m.upstreams[0].generator`", "demo, command"],
        ),
        (
            "[models.m]\ngenerator = \"route\"\n[models.m.upstreams]\ngenerator = \"demo\"",
            &["`models.m.upstreams`", "[[models.m.upstreams]]"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/v1/chat/completions\"",
            &["models.m.base_url", "expected http://a/v1,"],
        ),
        (
            "[upstream]\nbase_url = \"http://a/v1/chat/completions/\"",
            &["upstream.base_url", "expected http://a/v1,"],
        ),
        (
            "[models.m]\ngenerator = \"anthropic\"\nbase_url = \"https://a/v1/messages\"",
            &["models.m.base_url", "expected https://a,"],
        ),
        (
            "[models.m]\ngenerator = \"anthropic\"",
            &["`models.m`", "api_key_env", "api.anthropic.com"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\nheaders = { host = \"b\" }",
            &["models.m.headers", "host", "Transfer-Encoding"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_env = \"FULL_KEY\"\nheaders = { authorization = \"b\" }",
            &["models.m.headers", "authorization", "api_key_env"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_env = \"EMPTY_KEY\"",
            &["models.m.api_key_env", "EMPTY_KEY", "no key"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_file = \"two-lines\"",
            &["models.m.api_key_file", "one line"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_file = \"empty\"",
            &["models.m.api_key_file", "empty", "no key"],
        ),
        (
            "default_model = \"x\"",
            &["tailrace.toml", "default_model", "x"],
        ),
        (
            "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"short\"",
            &["tailrace.toml: `auth.keys[0]`: a secret for HS256 has at least 32 bytes"],
        ),
        (
            "[[auth.keys]]\njwks_url = \"https://a/\"\n[[auth.keys]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"short\"",
            &["tailrace.toml: `auth.keys[1]`: key a: a secret for HS256"],
        ),
        (
            "[[auth.keys]]\nalgorithm = \"none\"\nsecret = \"x\"",
            &["tailrace.toml: `auth.keys[0].algorithm`: expected one of HS256"],
        ),
        (
            "[[auth.keys]]\nalgorithm = \"HS256\"",
            &[
                "tailrace.toml: `auth.keys[0]`: expected exactly one",
                "jwks_url",
            ],
        ),
        (
            "[[auth.keys]]\nalgorithm = \"RS256\"\npublic_key_file = \"none.pem\"",
            &["tailrace.toml", "auth.keys[0].public_key_file", "none.pem"],
        ),
        (
            "[auth]\nrequired_claims = [\"email\"]",
            &["tailrace.toml", "auth.required_claims", "email"],
        ),
        (
            "allowed_origins = [\"chat.example\"]",
            &[
                "tailrace.toml: `allowed_origins[0]`: expected an origin",
                "chat.example",
            ],
        ),
        (
            "public_url = \"https://a/b\"",
            &[
                "tailrace.toml: `public_url`: expected an origin",
                "https://a/b",
            ],
        ),
        (
            "trusted_proxies = [\"everyone\"]",
            &["tailrace.toml: `trusted_proxies[0]`: expected a network"],
        ),
        (
            "[log]\nlevel = \"=loud=\"",
            &["tailrace.toml: `log.level`: expected"],
        ),
        (
            "[log]\nlevel = \"verbose\"",
            &["log.level", "verbose", "info"],
        ),
        ("not toml", &["tailrace.toml: line 1, column 5: "]),
        (
            "bind = \"here\"",
            &["tailrace.toml: `bind`: expected", "127.0.0.1:8080", "here"],
        ),
        (
            "metrics.bind = \"here\"",
            &["tailrace.toml: `metrics.bind`: expected", "here"],
        ),
        (
            "bind = \"127.0.0.1:81\"\nmetrics.bind = \"0.0.0.0:81\"",
            &[
                "tailrace.toml: `metrics.bind`: expected another address than that of `bind`, 127.0.0.1:81",
            ],
        ),
        (
            "tls = { certificate = \"empty\", private_key = \"empty\" }",
            &["tailrace.toml: `tls.certificate`: expected certificates in PEM"],
        ),
        (
            "tls = { certificate = \"empty\", private_key = \"key.pem\" }",
            &["tailrace.toml: `tls.certificate`: expected certificates in PEM: there is none"],
        ),
        (
            "tls = { certificate = \"broken-cert.pem\", private_key = \"key.pem\" }",
            &["tailrace.toml: `tls.certificate`: expected certificates in PEM"],
        ),
        (
            "tls = { certificate = \"cert.pem\", private_key = \"empty\" }",
            &["tailrace.toml: `tls.private_key`: expected a private key in PEM"],
        ),
        (
            "tls = { certificate = \"cert.pem\", private_key = \"broken-key.pem\" }",
            &["tailrace.toml: `tls.private_key`: expected a private key"],
        ),
        (
            "tls = { certificate = \"cert.pem\", private_key = \"key.pem\" }",
            &["tailrace.toml: `tls`: the private key does not belong to the certificate"],
        ),
        (
            "bind = \"0.0.0.0:80\"",
            &["tailrace.toml: `bind`: refusing to listen", "[[auth.keys]]"],
        ),
        (
            "[generation]\ntotal_timeout = \"9000y\"",
            &["tailrace.toml", "generation.total_timeout", "a year"],
        ),
        (
            "[models.m]\ngenerator = \"demo\"\ntokens_per_second = -1",
            &["tailrace.toml", "models.m.tokens_per_second", "0.001"],
        ),
    ] {
        let stderr = check(text);
        for word in words {
            assert!(stderr.contains(word), "{text:?}: {word:?} in {stderr}");
        }
    }
    for (secret, words) in [
        (
            "[[auth.keys]]\nsecret = \"a-secret-without-an-end",
            &["tailrace.toml", "line 2"][..],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_env = \"sk-a-secret\"",
            &["models.m.api_key_env", "name of an environment variable"],
        ),
        (
            "[models.m]\ngenerator = \"openai\"\nbase_url = \"http://a/\"\napi_key_file = \"two-lines\"",
            &["models.m.api_key_file"],
        ),
        (
            "[[auth.keys]]\nsecret = [\"a-secret-list\"]",
            &["`auth.keys[0].secret`: expected a text, found a list"],
        ),
        (
            "[auth]\nkeys = \"a-secret-text\"",
            &["`auth.keys`: expected a list, found a text"],
        ),
    ] {
        let stderr = check(secret);
        assert!(!stderr.contains("a-secret"), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word:?} in {stderr}");
        }
    }
    let missing = output(tailrace(directory.path()).args(["--config", "/no/such.toml"]));
    assert!(
        missing.0 == 2 && missing.2.contains("/no/such.toml"),
        "{}",
        missing.2
    );
    // A variable is blamed for what it says, whatever finds out; and so is an option.
    std::fs::write(&path, "workers = 2\n[http]\nheartbeat = \"9s\"\n").unwrap();
    for (name, value, said) in [
        (
            "TAILRACE_WORKERS",
            "many",
            "`workers`: expected a whole number",
        ),
        (
            "TAILRACE_HTTP__HEARTBEAT",
            "0s",
            "`http.heartbeat`: expected at least 10ms",
        ),
        (
            "TAILRACE_BIND",
            "here",
            "`bind`: expected host:port such as 127.0.0.1:8080, found \"here\"",
        ),
        (
            "TAILRACE_LOG__LEVEL",
            "loud",
            "`log.level`: expected a level",
        ),
        (
            "TAILRACE_ALLOWED_ORIGINS",
            "[\"a\"]",
            "`allowed_origins[0]`: expected an origin",
        ),
        (
            "TAILRACE_AUTH__KEYS",
            "[{secret=1}]",
            "`auth.keys[0].secret`: expected a text",
        ),
    ] {
        let (code, _, stderr) = output(
            tailrace(directory.path())
                .args(["check", "--config"])
                .arg(&path)
                .env(name, value),
        );
        let said = format!("tailrace: {name}: {said}");
        assert!(code == 2 && stderr.starts_with(&said), "{said}\n{stderr}");
    }
    let option = output(tailrace(directory.path()).args(["check", "--upstream", "nowhere"]));
    let said = "tailrace: --upstream: `upstream.base_url`: expected a URL";
    assert!(option.0 == 2 && option.2.starts_with(said), "{}", option.2);
}

#[test]
fn a_check_says_what_the_models_are_and_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let text = "[models.m]\ngenerator = \"route\"\nrounds = 3\n[[models.m.upstreams]]\ngenerator = \"openai\"\nbase_url = \"http://a/v1\"\napi_key_env = \"KEY\"\nfirst_token_timeout = \"10s\"\n[[models.m.upstreams]]\ngenerator = \"anthropic\"\napi_key_file = \"claude.key\"\n";
    std::fs::write(&path, text).unwrap();
    std::fs::write(directory.path().join("claude.key"), "a-secret\n").unwrap();
    let (code, stdout, stderr) = output(
        tailrace(directory.path())
            .args(["check", "--upstream", "http://b/v1", "--config"])
            .arg(&path)
            .env("KEY", "a-secret"),
    );
    assert_eq!(code, 0, "{stderr}");
    for words in [
        "3 rounds",
        "openai http://a/v1 (key from the variable KEY, connect 5s, first token 10s)",
        "anthropic https://api.anthropic.com (key from the file claude.key",
        "all of http://b/v1 (no key",
    ] {
        assert!(stdout.contains(words), "{words:?} in {stdout}");
    }
    assert!(!stdout.contains("a-secret"), "{stdout}");
}

/// Each line of it, so that whoever adds one sees how they look together.
#[test]
fn a_check_says_what_an_operator_set() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let (code, stdout, stderr) = output(
            tailrace(directory.path())
                .args(["check", "--config"])
                .arg(&path)
                // Whatever this machine's limit of open files is.
                .env("TAILRACE_MAX_CONNECTIONS", "10"),
        );
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    assert_eq!(
        check(""),
        "listen    http://127.0.0.1:8080\n\
         monitor   http://127.0.0.1:8080/monitor, for the scope tailrace:admin\n\
         metrics   none\n\
         store     memory, 512.0 MiB at most, 16.0 MiB for one stream\n\
         traces    none\n\
         stop      everything is served for 0s, then streams may go on for 30s\n\
         reload    on SIGHUP, and when a file has changed (looked at every 2s)\n\
         model     demo (default): demo\n\
         plan      default: 60 requests/min (burst 20), 10 streams, 100000 tokens/min (default)\n\
         keys      none: DEVELOPMENT MODE, only for loopback addresses\n\
         The configuration is right.\n"
    );
    let all = check(
        "drain_delay = \"10s\"\ndrain_timeout = \"2m\"\nwatch_interval = \"0s\"\n\
         metrics.bind = \"0.0.0.0:9464\"\nmonitor.enabled = false\n\
         [traces]\nsample = 0.1\nheaders_env = \"COLLECTOR\"\n\
         [auth]\nissuers = [\"a\"]\naudiences = [\"b\"]\njwks.refresh_min = \"2m\"\n\
         [[auth.keys]]\njwks_url = \"https://login.example.com/keys\"\n",
    );
    for line in [
        "\nmonitor   none\n",
        "\nmetrics   http://0.0.0.0:9464/metrics, without a credential\n",
        "\nstop      everything is served for 10s, then streams may go on for 2m\n",
        "\nreload    on SIGHUP only\n",
        "\njwks      asked every 2m to 15m, and for unknown keys, 10s apart; an answer within 5s, its keys good for 1day\n",
        "\nwarning   without traces.endpoint nothing is traced, and nothing comes of traces.headers_env, traces.sample\n",
        "\nwarning   the page of metrics asks for no credential, and 0.0.0.0:9464 is more than loopback",
    ] {
        assert!(all.contains(line), "{line:?} in {all}");
    }
    assert_eq!(all.matches("warning").count(), 2, "{all}");
    for quiet in [
        "metrics.bind = \"[::1]:9464\"",
        "metrics.bind = \"localhost:9464\"",
        "bind = \"127.0.0.1:0\"\nmetrics.bind = \"127.0.0.1:0\"",
        "traces.trust_callers = false",
    ] {
        let said = check(quiet);
        assert!(!said.contains("warning"), "{said}");
    }
    let nobody = check("auth.scopes.admin = \"\"");
    assert!(nobody.contains("\nmonitor   nobody may see it"), "{nobody}");
}

#[test]
fn a_server_with_an_upstream_names_it_at_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tailrace(directory.path());
    command.args(["serve", "--upstream", "http://127.0.0.1:9/v1"]);
    let program = Program::start(command);
    let log = program.log.lock().unwrap().clone();
    assert!(log.contains("http://127.0.0.1:9/v1"), "{log}");
}

#[test]
fn variables_win_over_the_file_and_kubernetes_is_not_a_setting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    std::fs::write(&path, "bind = \"127.0.0.1:1\"\n[limits]\nmax_streams = 7\n").unwrap();
    let (code, stdout, stderr) = output(
        tailrace(directory.path())
            .arg("check")
            .env("TAILRACE_CONFIG", &path)
            .env("TAILRACE_BIND", "127.0.0.1:9")
            .env("TAILRACE_MEMORY__MAX_BYTES", "1GiB")
            .env("TAILRACE_SERVICE_HOST", "10.0.0.1")
            .env("TAILRACE_PORT", "tcp://10.0.0.1:80")
            .env("TAILRACE_PORT_80_TCP_ADDR", "10.0.0.1"),
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("http://127.0.0.1:9") && stdout.contains("1.0 GiB"),
        "{stdout}"
    );
}

#[test]
fn asymmetric_keys_sign_and_verify() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth/test_keys");
    let path = directory.path().join("tailrace.toml");
    let entry = |id: &str, algorithm: &str, file: &str| {
        let file = keys.join(file);
        let file = file.display();
        format!(
            "[[auth.keys]]\nid = \"{id}\"\nalgorithm = \"{algorithm}\"\npublic_key_file = \"{file}.pub.pem\"\nprivate_key_file = \"{file}.pem\"\n"
        )
    };
    let entries = [
        ("r", "RS256", "rsa"),
        ("p", "PS256", "rsa"),
        ("e", "ES256", "p256"),
        ("e3", "ES384", "p384"),
        ("d", "EdDSA", "ed25519"),
    ];
    let keys: String = entries
        .iter()
        .map(|(id, algorithm, file)| entry(id, algorithm, file))
        .collect();
    std::fs::write(
        &path,
        format!("[auth]\nissuers = [\"me\"]\naudiences = [\"us\"]\n{keys}"),
    )
    .unwrap();
    let mut command = tailrace(directory.path());
    command.arg("--config").arg(&path);
    let program = Program::start(command);
    for (id, ..) in entries {
        let (code, token, stderr) = output(
            tailrace(directory.path())
                .arg("--config")
                .arg(&path)
                .args(["token", "--key", id]),
        );
        assert_eq!(code, 0, "{stderr}");
        let list = Request::new(program.address, "GET", "/v1/streams")
            .bearer(token.trim())
            .send();
        assert_eq!(list.status, 200, "{id}");
    }
    let unknown = output(
        tailrace(directory.path())
            .arg("--config")
            .arg(&path)
            .args(["token", "--key", "x"]),
    );
    assert_eq!(unknown.0, 2);
}

#[test]
fn help_is_worth_reading() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["token", "--help"],
        &["check", "--help"],
    ] {
        let (code, stdout, _) = output(tailrace(directory.path()).args(arguments));
        assert_eq!(code, 0);
        assert!(stdout.len() > 200, "{stdout}");
    }
    let (code, _, stderr) = output(tailrace(directory.path()).arg("sevre"));
    assert!(code == 2 && stderr.contains("serve"), "{stderr}");
}

/// A server with a configured key, a slow stream on it, and that stream's reader.
fn with_slow_stream(drain: &str) -> (Program, crate::sse::Events, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    std::fs::write(
        &path,
        format!("drain_timeout = \"{drain}\"\n[[auth.keys]]\nid = \"test\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n[limits.plans.default]\nrequests_per_minute = 600\nburst = 100\nstreams = 100\ntokens_per_minute = 1000000\n"),
    )
    .unwrap();
    let mut command = tailrace(directory.path());
    command
        .arg("--config")
        .arg(&path)
        .env("TAILRACE_LOG__LEVEL", "trace");
    let program = Program::start(command);
    let body = json!({"prompt": "a-secret-prompt", "metadata": {"demo.tokens": "100000", "demo.tokens_per_second": "20"}});
    let request = Request::new(program.address, "POST", "/v1/streams")
        .bearer(&token("ann"))
        .json(&body);
    let mut events = request.send().events();
    events.expect();
    (program, events, directory)
}

#[test]
fn a_signal_drains_ends_what_is_left_and_exits_with_0() {
    let (mut program, events, _directory) = with_slow_stream("300ms");
    program.signal();
    let end = events.rest().pop().unwrap();
    assert_eq!(end.data["error"]["code"], "server_stopping");
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

/// Whoever waits for 15 s (docs/operations.md) does not cut it short, whatever hangs: Redis, a collector, and
/// readers that take nothing.
#[test]
fn a_stop_is_over_in_time_though_everything_hangs() {
    let (redis, collector) = (Redis::start(), TcpListener::bind("127.0.0.1:0").unwrap());
    let settings = format!(
        "drain_timeout = \"100ms\"\ntraces.endpoint = \"http://{}\"\n",
        collector.local_addr().unwrap()
    );
    let mut node = redis.process_with(&settings);
    let body = prompt(json!({"tokens": 100_000, "tokens_per_second": 2000, "text": "huge"}));
    let request = Request::new(node.address, "POST", "/v1/streams").bearer(&token("ann"));
    let mut stalled = connect(node.address);
    stalled.write_all(&request.json(&body).bytes()).unwrap();
    let mut head = [0; 4096];
    assert!(stalled.read(&mut head).unwrap() > 0);
    redis.server.pause();
    let asked = Instant::now();
    node.signal();
    assert!(node.wait().success());
    assert!(asked.elapsed() < FAREWELLS + Duration::from_secs(3));
}

#[test]
fn a_second_signal_stops_at_once() {
    let (mut program, mut events, _directory) = with_slow_stream("1h");
    program.signal();
    wait_for(|| {
        program
            .log
            .lock()
            .unwrap()
            .contains("Draining")
            .then_some(())
    });
    let asked = Instant::now();
    program.signal();
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(3));
    let cut = std::iter::from_fn(|| Some(events.next())).find(Result::is_err);
    assert!(
        cut.is_some(),
        "the connection breaks, so that clients resume elsewhere"
    );
}

#[test]
fn a_second_signal_stops_at_once_while_it_serves_on_too() {
    let (mut program, _events, _directory) = with_slow_stream("1h\"\ndrain_delay = \"1h");
    program.signal();
    let told = |words: &str| program.log.lock().unwrap().contains(words);
    wait_for(|| told("Leaving: no longer ready").then_some(()));
    let ready = Request::new(program.address, "GET", "/readyz").send();
    assert_eq!(ready.status, 503);
    assert_eq!(ready.header("connection"), Some("close"));
    assert_eq!(ready.text(), "draining\n");
    let list = Request::new(program.address, "GET", "/v1/streams").bearer(&token("ann"));
    assert_eq!(list.send().status, 200, "it serves on");
    assert!(!told("Draining"));
    program.signal();
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
}

#[test]
fn the_log_tells_of_each_stream_and_never_a_secret() {
    let (mut program, events, _directory) = with_slow_stream("100ms");
    let address = program.address;
    let (token, stream) = (token("ann"), events.stream.clone());
    for path in [
        format!("/v1/streams?access_token={token}"),
        format!("/v1/streams/{stream}/events?ticket=a-secret-ticket"),
        "/v1/streams?access_token=a-secret-guess".to_owned(),
    ] {
        Request::new(address, "GET", &path)
            .header("Cookie", "session=a-secret-cookie")
            .send();
    }
    let bad = Request::new(address, "POST", "/v1/streams").bearer(&token);
    bad.header("Content-Type", "application/json")
        .body("{\"prompt\": a-secret-prompt")
        .send();
    let mut panics = json!({"prompt": "a-secret-prompt", "metadata": {"demo.panic_after": "1"}});
    panics["metadata"]["note"] = "a-secret-note".into();
    let panics = Request::new(address, "POST", "/v1/streams")
        .bearer(&token)
        .json(&panics)
        .send()
        .events();
    let panicked = panics.stream.clone();
    panics.rest();
    program.signal();
    events.rest();
    program.child.wait().unwrap();
    let log = wait_for(|| {
        Some(program.log.lock().unwrap().clone()).filter(|log| log.contains("Stopped"))
    });
    let line = log
        .lines()
        .find(|line| line.contains(&stream) && line.contains("A stream ended"))
        .unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["request.id"].as_str().map(str::len), Some(32));
    assert_eq!(line["stream.owner"], "|ann");
    assert_eq!(line["stream.model"], "demo");
    assert_eq!(line["stream.outcome"], "server_stopping");
    assert_eq!(line["stream.readers"], 1);
    assert!(line["tokens.completion"].is_u64() && line["total_ms"].is_u64());
    assert!(log.contains("A task panicked"));
    let line = log
        .lines()
        .find(|line| line.contains(&panicked) && line.contains("A generation failed"))
        .unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["failure.code"], "internal_error");
    assert_eq!(line["request.id"].as_str().map(str::len), Some(32));
    let place = line["panic.place"].as_str().unwrap();
    assert!(place.starts_with("src/generator/demo"), "{place}");
    for secret in [
        "a-secret",
        token.rsplit('.').next().unwrap(),
        SECRET,
        "access_token=",
    ] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "the log holds {secret}");
    }
}
