//! The files of `deploy/` fit each other and the program. nginx itself is run by the API tests.

mod kubernetes;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tailrace::config::{Config, ConfigError};
use tailrace::shutdown::FAREWELLS;

/// What whoever stops a process waits for after `drain_timeout`: its farewells, and 3 s for a machine that is
/// busy.
const PATIENCE: Duration = Duration::from_secs(FAREWELLS.as_secs() + 3);

/// The files that a node wants, wherever they come from.
const SECRETS: [&str; 3] = ["ticket.secret", "token.secret", "redis.password"];

const SECRET: &str = "a secret of at least thirty-two bytes, for tests";

fn read(name: &str) -> String {
    fs::read_to_string(directory().join(name)).unwrap()
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn compose() -> Value {
    yaml_serde::from_str(&read("compose.yaml")).unwrap()
}

/// The nodes' configuration, with secrets in another place.
fn config() -> Config {
    configured("tailrace.toml", "/run/secrets/", SECRET).unwrap()
}

/// What a file of configuration means when this is what each of its secrets says.
fn configured(name: &str, place: &str, secret: &str) -> Result<Config, ConfigError> {
    let secrets = tempfile::tempdir().unwrap();
    for name in SECRETS {
        fs::write(secrets.path().join(name), secret).unwrap();
    }
    let file = secrets.path().join("tailrace.toml");
    let text = read(name);
    let quoted = format!("= \"{place}");
    assert_eq!(text.matches(&quoted).count(), SECRETS.len());
    let here = format!("= \"{}/", secrets.path().display());
    fs::write(&file, text.replace(&quoted, &here)).unwrap();
    Config::load(Some(&file))
}

fn after<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| unreachable!("no {key}"))
}

/// Compose has merge keys, which the parser leaves to us.
fn service<'a>(compose: &'a Value, name: &str, key: &str) -> &'a Value {
    let service = &compose["services"][name];
    match &service[key] {
        Value::Null => &service["<<"][key],
        own => own,
    }
}

#[test]
fn whoever_stops_a_node_waits_until_it_has_drained() {
    let config = config();
    let least = config.file.drain_delay + config.file.drain_timeout + PATIENCE;
    let compose = compose();
    let grace = service(&compose, "tailrace-1", "stop_grace_period");
    assert_eq!(
        humantime::parse_duration(grace.as_str().unwrap()).unwrap(),
        least
    );
    let unit = read("tailrace.service");
    let stop = humantime::parse_duration(after(&unit, "TimeoutStopSec=")).unwrap();
    assert_eq!(stop, least);
}

#[test]
fn what_is_said_of_the_end_of_a_node_is_so() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (most, patience) = (FAREWELLS.as_secs(), PATIENCE.as_secs());
    for (file, words) in [
        (
            "docs/operations.md",
            format!("at most {most} s after `drain_timeout`"),
        ),
        (
            "docs/operations.md",
            format!("`drain_timeout` and {patience} s)"),
        ),
        (
            "docs/guarantees.md",
            format!("exits with 0 at most {most} s later"),
        ),
        (
            "docs/alerts.md",
            format!("`drain_timeout` and {most} s after its"),
        ),
        (
            "deploy/alerts.yaml",
            format!("drain_timeout and {most} s after its"),
        ),
        (
            "deploy/README.md",
            format!("`drain_timeout` and {patience} s."),
        ),
        (
            "deploy/tailrace.service",
            format!("`drain_timeout` and {patience} s:"),
        ),
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(&words), "{file}: {words}");
    }
}

#[test]
fn the_edge_waits_longer_than_the_nodes_are_silent() {
    let defaults = tailrace::config::File::default();
    let edge = read("nginx.conf");
    let times = |directive: &str| -> Vec<Duration> {
        let lines = edge.lines().map(str::trim);
        let values = lines.filter_map(|line| line.strip_prefix(directive)?.strip_suffix(';'));
        values
            .map(|value| humantime::parse_duration(value.trim()).unwrap())
            .collect()
    };
    let reads = times("proxy_read_timeout ");
    assert_eq!(reads.len(), 4);
    // Several heartbeats may be late.
    assert!(*reads.iter().min().unwrap() >= 4 * defaults.http.heartbeat);
    assert!(*reads.iter().max().unwrap() > defaults.generation.total_timeout);
    assert!(times("worker_shutdown_timeout ")[0] > defaults.generation.total_timeout);
    assert!(times("keepalive_timeout ")[0] < defaults.http.keep_alive);
    assert_eq!(times("send_timeout ")[0], defaults.http.peer_timeout);
}

/// The README's command, run on the file as it stands.
#[test]
fn what_systemd_is_given_has_its_credentials_and_shows_metrics_to_nobody() {
    let readme = read("README.md");
    let mut lines = readme.lines();
    let command = lines.find(|line| line.starts_with("sed -e") && line.ends_with('|'));
    let command = command.unwrap().trim_end_matches('|');
    let made = std::process::Command::new("sh")
        .args(["-ec", command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let made = String::from_utf8(made.stdout).unwrap();
    let unit = read("tailrace.service") + &read("tailrace-redis.conf");
    for secret in SECRETS {
        let place = format!("\"/run/credentials/tailrace.service/{secret}\"");
        assert!(made.contains(&place), "{place}");
        assert!(unit.contains(&format!("LoadCredential={secret}:")));
    }
    assert!(!made.contains("/run/secrets/"));
    let both = [read("tailrace.toml"), made];
    let metrics = both.map(|text| {
        let mut lines = text.lines().skip_while(|line| *line != "[metrics]").skip(1);
        let bind = lines.next().unwrap().strip_prefix("bind = ").unwrap();
        let bind: std::net::SocketAddr = bind.trim_matches('"').parse().unwrap();
        bind
    });
    assert!(metrics[0].ip().is_unspecified() && metrics[1].ip().is_loopback());
    assert_eq!(metrics[0].port(), metrics[1].port());
    // In compose, nobody outside of its network.
    let compose = compose();
    for node in ["tailrace-1", "tailrace-2", "tailrace-3"] {
        assert!(service(&compose, node, "ports").is_null());
    }
}

#[test]
fn the_parts_of_the_compose_file_are_there_and_know_each_other() {
    let compose = compose();
    let names = compose["services"].as_object().unwrap().keys();
    let mut nodes = Vec::new();
    for name in names {
        let address = &compose["services"][name]["networks"]["inside"]["ipv4_address"];
        let address = address.as_str().unwrap();
        if name.starts_with("tailrace-") {
            nodes.push(format!("server {address}:8080 max_fails=0;"));
        }
        for secret in service(&compose, name, "secrets").as_array().unwrap() {
            let secret = &compose["secrets"][secret.as_str().unwrap()];
            assert!(secret["file"].is_string(), "{name}");
        }
        let mounts = service(&compose, name, "volumes").as_array().unwrap();
        for mount in mounts {
            let from = mount.as_str().unwrap().split(':').next().unwrap();
            let there = directory().join(from).is_file();
            assert!(there || from == "redis-data", "{name}: {from}");
        }
    }
    assert_eq!(nodes.len(), 3);
    let listed = read("compose/tailrace-nodes.conf");
    let listed = listed.lines().filter(|line| line.starts_with("server "));
    assert_eq!(listed.collect::<Vec<_>>(), nodes);
    let edge = &compose["services"]["edge"]["networks"]["inside"]["ipv4_address"];
    let edge: std::net::IpAddr = edge.as_str().unwrap().parse().unwrap();
    let trusted = &config().file.trusted_proxies;
    assert!(trusted.len() == 1 && trusted[0].contains(&edge) && trusted[0].prefix_len() == 32);
    let redis = compose["services"]["redis"]["entrypoint"][2]
        .as_str()
        .unwrap();
    assert!(redis.contains("--maxmemory-policy noeviction") && redis.contains("--appendonly yes"));
}

#[test]
fn what_the_unit_names_as_its_documentation_is_installed() {
    let unit = read("tailrace.service");
    let readme = read("README.md");
    let place = "/usr/local/share/doc/tailrace";
    for document in after(&unit, "Documentation=").split(' ') {
        let name = document.strip_prefix(&format!("file://{place}/")).unwrap();
        assert!(directory().join("../docs").join(name).is_file(), "{name}");
    }
    let installs = format!("install -D -m 644 -t {place} docs/*.md");
    assert_eq!(readme.matches(&installs).count(), 2);
}

#[test]
fn the_image_is_built_of_all_that_the_program_has_in_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = read("Containerfile");
    let stages = image.split("FROM ").collect::<Vec<_>>();
    let copies = stages[1].lines().filter_map(|it| it.strip_prefix("COPY "));
    let there: Vec<&str> = copies
        .flat_map(|copy| copy.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    for source in &there {
        assert!(root.join(source).exists(), "{source}");
    }
    let sources = crate::dependencies::sources();
    let embedded = sources.iter().flat_map(|(_, text)| text.lines());
    let embedded = embedded.filter_map(|line| line.trim().strip_prefix("#[folder = \""));
    let embedded: Vec<&str> = embedded.filter_map(|it| it.strip_suffix("\"]")).collect();
    assert!(embedded.len() >= 2);
    for folder in embedded {
        assert!(there.contains(&folder), "{folder} is not copied");
    }
}
