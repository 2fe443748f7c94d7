//! Another configuration while the server runs: by SIGHUP, or because a file has changed; whole or not at
//! all, and no stream notices.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Request, Response, connect};
use crate::issuer::{Publisher, SigningKey};
use crate::metrics_page::Page;
use crate::program::{Program, output, tailrace};
use crate::server::{SECRET, prompt, token, wait_for};
use crate::sse::{Events, check_whole};
use crate::token::token_with;

const WIDE: &str = "{ requests_per_minute = 1000000, burst = 100000, streams = 1000, tokens_per_minute = 1000000000 }";
const RELOADED: &str = "Reloaded the configuration";
const REFUSED: &str = "The configuration is wrong: the one in force stays";

/// A program with its configuration in a file.
struct Node {
    directory: TempDir,
    path: PathBuf,
    program: Program,
}

impl Node {
    /// It looks at its files again and again.
    fn watching(settings: &str) -> Self {
        Self::with("20ms", settings)
    }

    fn with(interval: &str, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tailrace.toml");
        let base = base(interval);
        std::fs::write(&path, format!("{base}{settings}")).unwrap();
        let mut command = tailrace(directory.path());
        command.arg("--config").arg(&path);
        let program = Program::start(command);
        Self {
            directory,
            path,
            program,
        }
    }

    /// Replaces the file as careful programs do, whole.
    fn write(&self, settings: &str) {
        self.write_all(&format!("{}{settings}", base("20ms")));
    }

    fn write_all(&self, text: &str) {
        let draft = self.path.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &self.path).unwrap();
    }

    /// The same, and waits until it is in force.
    fn reload(&self, settings: &str) {
        let before = self.program.lines(RELOADED);
        self.write(settings);
        until(|| self.program.lines(RELOADED) > before);
    }

    fn list(&self, token: &str) -> u16 {
        let request = Request::new(self.program.address, "GET", "/v1/streams");
        request.bearer(token).send().status
    }

    fn create(&self, token: &str, model: &str, tokens: u32, rate: u32) -> Response {
        let mut body = prompt(json!({"tokens": tokens, "tokens_per_second": rate}));
        body["model"] = model.into();
        Request::new(self.program.address, "POST", "/v1/streams")
            .bearer(token)
            .json(&body)
            .send()
    }

    fn metric(&self, name: &str, label: &str) -> usize {
        Page::at(self.program.metrics()).count(name, &[label])
    }

    fn log(&self) -> String {
        self.program.log.lock().unwrap().clone()
    }
}

fn until(is: impl Fn() -> bool) {
    wait_for(|| is().then_some(()));
}

fn base(interval: &str) -> String {
    format!(
        "workers = 2\nmetrics.bind = \"127.0.0.1:0\"\nwatch_interval = \"{interval}\"\n\
         models.demo = {{ generator = \"demo\", tokens_per_second = 0.0, first_token_delay_ms = 0 }}\n\
         limits.failed_authentications_per_minute = 1000000\n"
    )
}

fn key(id: &str, secret: &str) -> String {
    format!("{{ id = \"{id}\", algorithm = \"HS256\", {secret} }}")
}

fn keys(keys: &[String]) -> String {
    format!(
        "limits.plans.default = {WIDE}\nauth.keys = [{}]\n",
        keys.join(", ")
    )
}

/// The key of the tests' tokens.
fn ours() -> String {
    key("test", &format!("secret = \"{SECRET}\""))
}

fn whole(events: Events, tokens: usize) {
    let events = events.rest();
    check_whole(&events);
    assert_eq!(events.last().unwrap().kind, "done");
    assert_eq!(events.len(), tokens + 2);
}

/// As Kubernetes does it: the file is a link to one in `..data`, which is a link that is swapped.
fn mount(directory: &Path, version: &str, secret: &str) {
    std::fs::create_dir(directory.join(version)).unwrap();
    std::fs::write(directory.join(version).join("token.secret"), secret).unwrap();
    let draft = directory.join("..data_tmp");
    symlink(version, &draft).unwrap();
    std::fs::rename(&draft, directory.join("..data")).unwrap();
}

#[test]
fn keys_turn_over_under_load_and_no_good_token_fails() {
    let settings = keys(&[ours()]);
    let node = Node::watching(&settings);
    let streams: Vec<Events> = (0..4)
        .map(|_| node.create(&token("ann"), "demo", 1200, 400).events())
        .collect();
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let other = SigningKey::new("other");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let token = token("ann");
                while !stop.load(Ordering::Acquire) {
                    assert_eq!(node.list(&token), 200);
                    asked.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let pem = node.directory.path().join("other.pem");
        std::fs::write(&pem, other.public_pem()).unwrap();
        let second = "{ id = \"other\", algorithm = \"ES256\", public_key_file = \"other.pem\" }";
        assert_eq!(node.list(&other.token("bob")), 401);
        for round in 0..5 {
            let before = asked.load(Ordering::Acquire);
            node.reload(&keys(&[ours(), second.to_owned()]));
            assert_eq!(node.list(&other.token("bob")), 200, "{round}");
            node.reload(&settings);
            assert_eq!(node.list(&other.token("bob")), 401, "{round}");
            until(|| asked.load(Ordering::Acquire) > before + 20);
        }
        stop.store(true, Ordering::Release);
    });
    // Now the first is gone; its streams go on to their ends.
    let pem = "{ id = \"other\", algorithm = \"ES256\", public_key_file = \"other.pem\" }";
    node.reload(&keys(&[pem.to_owned()]));
    assert_eq!(node.list(&token("ann")), 401);
    for stream in streams {
        whole(stream, 1200);
    }
    assert!(!node.log().contains("eyJ"));
}

#[test]
fn a_mounted_secret_is_read_again_when_its_link_is_swapped() {
    let directory = tempfile::tempdir().unwrap();
    mount(directory.path(), "..v1", &SECRET.replace("tests", "first"));
    let secret = directory.path().join("token.secret");
    symlink("..data/token.secret", &secret).unwrap();
    let entry = key("test", &format!("secret_file = {secret:?}"));
    let node = Node::watching(&keys(&[entry]));
    assert_eq!(node.list(&token("ann")), 401);
    mount(directory.path(), "..v2", SECRET);
    until(|| node.list(&token("ann")) == 200);
    // A secret that is wrong is not taken, and one that is gone neither; each is said once.
    mount(directory.path(), "..v3", "short");
    until(|| node.program.lines(REFUSED) == 1);
    assert_eq!(node.list(&token("ann")), 200);
    assert!(
        node.log()
            .contains("a secret for HS256 has at least 32 bytes")
    );
    std::fs::remove_file(&secret).unwrap();
    until(|| node.program.lines(REFUSED) == 2);
    assert!(
        node.log()
            .contains("auth.keys[0].secret_file`: cannot read")
    );
    assert_eq!(node.list(&token("ann")), 200);
    mount(directory.path(), "..v4", SECRET);
    symlink("..data/token.secret", &secret).unwrap();
    until(|| node.program.lines(RELOADED) == 2);
    assert_eq!(node.list(&token("ann")), 200);
    assert_eq!(node.program.lines(REFUSED), 2, "{}", node.log());
}

#[test]
fn a_plan_changes_and_what_was_used_stays_used() {
    let plans = |pro: &str| {
        format!(
            "limits.plans.default = {WIDE}\nlimits.plans.pro = {pro}\nauth.keys = [{}]\n",
            ours()
        )
    };
    let node = Node::watching(&plans(
        "{ requests_per_minute = 1, burst = 3, streams = 9, tokens_per_minute = 100000 }",
    ));
    let token = token_with("ann", "streams:write streams:read", Some("pro"));
    let left = |status: u16| {
        let response = node.create(&token, "demo", 1, 0);
        assert_eq!(response.status, status);
        let header = response.header("x-ratelimit-remaining-requests").unwrap();
        header.parse::<u32>().unwrap()
    };
    assert_eq!(left(200), 2);
    assert_eq!(left(200), 1);
    node.reload(&plans(
        "{ requests_per_minute = 1, burst = 5, streams = 9, tokens_per_minute = 100000 }",
    ));
    assert_eq!(left(200), 2);
    node.reload(&plans(
        "{ requests_per_minute = 1, burst = 2, streams = 9, tokens_per_minute = 100000 }",
    ));
    assert_eq!(left(429), 0);
    // A plan that is gone is the default one.
    node.reload(&keys(&[ours()]));
    assert!(left(200) > 1000);
}

#[test]
fn models_come_and_go_and_their_streams_go_on() {
    let with = |models: &str| format!("{models}{}", keys(&[ours()]));
    let second = "models.second = { generator = \"demo\", first_token_delay_ms = 0 }\n";
    let node = Node::watching(&with(""));
    let ann = token("ann");
    let models = || {
        let request = Request::new(node.program.address, "GET", "/v1/models");
        let list = request.bearer(&ann).send().json();
        let data = list["data"].as_array().unwrap().clone();
        let ids = data
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(models(), ["demo"]);
    assert_eq!(node.create(&ann, "second", 5, 0).status, 404);
    node.reload(&with(second));
    assert_eq!(models(), ["demo", "second"]);
    let stream = node.create(&ann, "second", 600, 400).events();
    node.reload(&with(""));
    assert_eq!(models(), ["demo"]);
    assert_eq!(node.create(&ann, "second", 5, 0).code(), "model_not_found");
    whole(stream, 600);
    // It is counted by its name, from when it came to the end of what it left.
    let second = "gen_ai_request_model=\"second\"";
    until(|| node.metric("tailrace_generations_total", second) == 1);
}

#[test]
fn a_wrong_configuration_is_kept_out_and_said_as_at_a_start() {
    let right = keys(&[ours()]);
    let node = Node::watching(&right);
    let stream = node.create(&token("ann"), "demo", 1200, 400).events();
    let wrong = [
        "nonsense = 1\n".to_owned(),
        "[[[".to_owned(),
        right.replace("burst = 100000", "burst = 0"),
        right.replace("HS256", "HS999"),
        right.replace(SECRET, "short"),
        format!("default_model = \"absent\"\n{right}"),
        format!("log.level = \"loud\"\n{right}"),
        format!(
            "tls = {{ certificate = \"tailrace.toml\", private_key = \"tailrace.toml\" }}\n{right}"
        ),
        format!("models.up = {{ generator = \"openai\", base_url = \"nowhere\" }}\n{right}"),
    ];
    let is_same = |said: &str| {
        let log = node.log();
        let lines = log.lines().filter(|line| line.contains(REFUSED));
        let mut errors = lines.map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["error"].as_str().unwrap().to_owned()
        });
        errors
            .next_back()
            .is_some_and(|error| said.contains(&error))
    };
    for (at, text) in wrong.iter().enumerate() {
        node.write(text);
        until(|| node.program.lines(REFUSED) == at + 1);
        let (code, _, said) = output(
            tailrace(node.directory.path())
                .args(["check", "--config"])
                .arg(&node.path),
        );
        assert!(code != 0 && is_same(&said), "{said}\n{}", node.log());
        assert_eq!(node.list(&token("ann")), 200, "{text}");
    }
    // A running server never becomes one that lets everybody in.
    node.write(&right.replace(&format!("auth.keys = [{}]", ours()), ""));
    until(|| {
        node.program
            .lines("development mode begins with a start only")
            == 1
    });
    std::fs::remove_file(&node.path).unwrap();
    until(|| node.program.lines("cannot read the configuration file") == 1);
    assert_eq!(node.list(&token("ann")), 200);
    assert_eq!(node.program.lines(REFUSED), wrong.len() + 2);
    assert_eq!(node.program.lines(RELOADED), 0);
    let is_refused = || node.metric("tailrace_configuration_refused", "") == 1;
    let reloads = |result| node.metric("tailrace_reloads_total", result);
    assert!(is_refused());
    node.reload(&right);
    assert!(!is_refused());
    assert_eq!(reloads("result=\"refused\""), wrong.len() + 2);
    assert_eq!(reloads("result=\"taken\""), 1);
    assert_eq!(node.list(&token("ann")), 200);
    whole(stream, 1200);
    assert!(!node.log().contains(SECRET));
}

#[test]
fn without_watching_only_a_signal_reloads_and_two_are_as_good() {
    let node = Node::with("0s", &keys(&[ours()]));
    let more = format!(
        "models.second = {{ generator = \"demo\" }}\n{}",
        keys(&[ours()])
    );
    let stream = node.create(&token("ann"), "demo", 400, 400).events();
    node.write_all(&format!("{}{more}", base("0s")));
    // For as long as a stream takes, nothing happens by itself.
    whole(stream, 400);
    assert_eq!(node.program.lines(RELOADED), 0);
    for _ in 0..2 {
        node.program.hang_up();
    }
    until(|| node.create(&token("ann"), "second", 1, 0).status == 200);
    for _ in 0..20 {
        node.program.hang_up();
    }
    until(|| node.program.lines(RELOADED) >= 2);
    assert_eq!(node.list(&token("ann")), 200);
    assert_eq!(node.program.lines(REFUSED), 0);
    // What is wrong is said each time that somebody asks.
    node.write_all("nonsense = 1");
    for times in 1..3 {
        node.program.hang_up();
        until(|| node.program.lines(REFUSED) >= times);
    }
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let origins = |origins: &str| format!("allowed_origins = [{origins}]\n{}", keys(&[ours()]));
    let node = Node::watching(&origins(""));
    let allowed = |origin: &str| {
        let request = Request::new(node.program.address, "GET", "/v1/streams");
        let response = request
            .bearer(&token("ann"))
            .header("Origin", origin)
            .send();
        assert_eq!(response.status, 200);
        let header = response.header("access-control-allow-origin");
        header.map(str::to_owned)
    };
    assert_eq!(allowed("https://a.example"), None);
    assert_eq!(node.program.lines("Answered a request"), 0);
    node.reload(&format!(
        "log.level = \"debug\"\nmemory.retention = \"5m\"\nhttp.keep_alive = \"9s\"\nhttp.heartbeat = \"9s\"\n{}",
        origins("\"https://a.example\"")
    ));
    until(|| node.program.lines("hold only after a restart") == 1);
    let log = node.log();
    let line = log
        .lines()
        .find(|line| line.contains("only after"))
        .unwrap();
    assert!(
        line.contains("\"config.keys\":\"memory, http.keep_alive\""),
        "{line}"
    );
    assert_eq!(
        allowed("https://a.example").as_deref(),
        Some("https://a.example")
    );
    assert_eq!(allowed("https://b.example"), None);
    until(|| node.program.lines("Answered a request") > 0);
    node.reload(&origins("\"https://b.example\""));
    assert_eq!(allowed("https://a.example"), None);
    assert_eq!(
        allowed("https://b.example").as_deref(),
        Some("https://b.example")
    );
    assert_eq!(node.program.lines("hold only after a restart"), 1);
}

#[test]
fn a_reload_says_why_and_what_is_other() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("token.secret");
    let put = |text: &str| {
        let draft = directory.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &secret).unwrap();
    };
    put(SECRET);
    let keys = keys(&[key("test", &format!("secret_file = {secret:?}"))]);
    let node = Node::watching(&keys);
    let said = || {
        let log = node.log();
        let line = log.lines().rfind(|line| line.contains(RELOADED)).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let of = |field: &str| line[field].as_str().unwrap().to_owned();
        (of("reload.by"), of("config.changed"))
    };
    let file = node.path.display().to_string();
    let (plan, model) = (
        format!("limits.plans.pro = {WIDE}\n"),
        "models.second = { generator = \"demo\" }\n",
    );
    node.reload(&format!(
        "drain_timeout = \"9s\"\nlog.level = \"debug\"\n{plan}{model}{keys}"
    ));
    let changed = "drain_timeout, log.level, limits.plans.pro (new), models.second (new)";
    assert_eq!(said(), (file.clone(), changed.to_owned()));
    let (plan, model) = (
        plan.replace("streams = 1000", "streams = 7"),
        model.replace("\"demo\"", "\"demo\", tokens = 5"),
    );
    node.reload(&format!(
        "drain_timeout = \"9s\"\nlog.level = \"debug\"\n{plan}{model}{keys}"
    ));
    let changed = "limits.plans.pro, models.second";
    assert_eq!(said(), (file.clone(), changed.to_owned()));
    node.reload(&keys);
    let changed = "drain_timeout, log.level, limits.plans.pro (gone), models.second (gone)";
    assert_eq!(said(), (file, changed.to_owned()));

    // What is in a file is never said.
    put(&SECRET.replace("tests", "turns"));
    until(|| node.program.lines(RELOADED) == 4);
    let by = secret.display().to_string();
    assert_eq!(said(), (by, "auth.keys[0].secret_file".to_owned()));
    node.program.hang_up();
    until(|| node.program.lines(RELOADED) == 5);
    assert_eq!(said(), ("SIGHUP".to_owned(), "nothing".to_owned()));
    assert!(!node.log().contains("a secret of"), "{}", node.log());
    // Also of what is refused.
    node.write("nonsense = 1\n");
    let refused = format!("\"reload.by\":\"{}\"", node.path.display());
    until(|| node.program.lines(REFUSED) == 1);
    let log = node.log();
    let line = log.lines().find(|line| line.contains(REFUSED)).unwrap();
    assert!(line.contains(&refused), "{line}");
}

#[test]
fn a_provider_keeps_its_keys_over_a_reload() {
    let issuer = SigningKey::new("a");
    let publisher = Publisher::of(&[&issuer]);
    let entry = format!("{{ jwks_url = \"{}\" }}", publisher.url());
    let node = Node::watching(&keys(std::slice::from_ref(&entry)));
    until(|| node.list(&issuer.token("ann")) == 200);
    publisher.fail();
    let asked = publisher.asked();
    node.reload(&keys(&[entry.clone(), ours()]));
    assert_eq!(node.list(&issuer.token("ann")), 200);
    assert_eq!(node.list(&token("ann")), 200);
    assert_eq!(publisher.asked(), asked);
    node.reload(&keys(&[ours()]));
    assert_eq!(node.list(&issuer.token("ann")), 401);
    publisher.publish(&[&issuer]);
    node.reload(&keys(&[entry]));
    until(|| node.list(&issuer.token("ann")) == 200);
    assert!(publisher.asked() > asked);
}

#[test]
fn a_new_certificate_is_shown_and_open_connections_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (chain, private) = (
        directory.path().join("c.pem"),
        directory.path().join("k.pem"),
    );
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (first, second) = (make(), make());
    let put = |made: &rcgen::CertifiedKey<rcgen::KeyPair>, with_key: bool| {
        std::fs::write(&chain, made.cert.pem()).unwrap();
        if with_key {
            std::fs::write(&private, made.signing_key.serialize_pem()).unwrap();
        }
    };
    put(&first, true);
    let settings = keys(&[ours()]);
    let node = Node::watching(&format!(
        "tls = {{ certificate = {chain:?}, private_key = {private:?} }}\n{settings}"
    ));
    let ask = |trusted: &rcgen::CertifiedKey<rcgen::KeyPair>, request: Request| {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, connect(node.program.address));
        std::io::Write::write_all(&mut stream, &request.bytes())?;
        Response::read(Box::new(stream))
    };
    let list = || Request::new(node.program.address, "GET", "/v1/streams").bearer(&token("ann"));
    let create = Request::new(node.program.address, "POST", "/v1/streams")
        .bearer(&token("ann"))
        .json(&prompt(json!({"tokens": 800, "tokens_per_second": 400})));
    let stream = ask(&first, create).unwrap().events();
    // Half of it: a certificate without its key.
    put(&second, false);
    until(|| {
        node.program
            .lines("the private key does not belong to the certificate")
            == 1
    });
    assert_eq!(ask(&first, list()).unwrap().status, 200);
    put(&second, true);
    until(|| ask(&second, list()).is_ok_and(|response| response.status == 200));
    assert!(ask(&first, list()).is_err());
    whole(stream, 800);
}
