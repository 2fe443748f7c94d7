//! What operators are given of metrics fits what there is: the document, the alert rules, the dashboard,
//! and that some test moves each one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tailrace::metrics::catalogue::{self, Description, Kind};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_document_has_each_metric_as_it_is() {
    let document = read("docs/metrics.md");
    let mut documented = Vec::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, tells, _alert, _] = cells[..] else {
            panic!("{line}");
        };
        assert!(tells.len() > 10, "{line}");
        documented.push((quoted(name)[0].clone(), kind.to_owned(), quoted(labels)));
    }
    let known = catalogue::ALL.iter().map(|about| {
        let labels = about.labels.iter().map(|label| (*label).to_owned());
        let kind = about.kind.name().to_owned();
        (about.name.to_owned(), kind, labels.collect())
    });
    documented.sort();
    let mut known: Vec<_> = known.collect();
    known.sort();
    assert_eq!(documented, known);
}

#[test]
fn a_test_moves_each_metric() {
    let tests: String = [
        "metrics",
        "metrics_page",
        "metrics_redis",
        "jwks",
        "reload",
        "traces_collector",
    ]
    .map(|name| read(&format!("tests/api/{name}.rs")))
    .concat();
    for about in catalogue::ALL {
        let name = about.name;
        assert!(tests.contains(&format!("\"{name}")), "no test has {name}");
    }
}

/// The names of metrics in a query, with the labels that are asked of them.
fn asked(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = [
        "tailrace_",
        "gen_ai_server",
        "gen_ai_client",
        "http_server",
        "process_",
    ];
    words
        .filter(|word| ours.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// The labels that a query names: in matchers, `by (..)` and `on (..)`.
fn labels(query: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (open, close) in [('{', '}'), ('(', ')')] {
        let is_list = |before: &str| {
            let before = before.trim_end();
            open == '{'
                || ["by", "on", "without", "ignoring"]
                    .iter()
                    .any(|word| before.ends_with(word))
        };
        for (at, _) in query
            .match_indices(open)
            .filter(|(at, _)| is_list(&query[..*at]))
        {
            let inside = &query[at + 1..];
            let inside = &inside[..inside.find(close).unwrap()];
            for part in inside.split(',') {
                let name = part.split(['=', '!', '~']).next().unwrap().trim();
                found.insert(name.to_owned());
            }
        }
    }
    // What Prometheus adds, and the bound of a bucket.
    for known in ["", "job", "instance", "le"] {
        found.remove(known);
    }
    found
}

/// Each metric is one of ours, and has each label that is asked for.
fn check(query: &str) {
    // Prometheus' own, of each of its targets.
    if query.starts_with("up{") {
        return;
    }
    let names = asked(query);
    assert!(!names.is_empty(), "{query}");
    let mut known = BTreeSet::new();
    for name in &names {
        let is_it = |about: &&&Description| match about.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(about.name)),
            Kind::Counter | Kind::Gauge => name == about.name,
        };
        let about = catalogue::ALL.iter().find(is_it);
        let about = about.unwrap_or_else(|| panic!("there is no {name}, in {query}"));
        known.extend(about.labels.iter().map(|label| (*label).to_owned()));
    }
    for label in labels(query) {
        assert!(known.contains(&label), "no {label}, in {query}");
    }
}

#[test]
fn the_alert_rules_ask_for_what_there_is() {
    let rules: Value = yaml_serde::from_str(&read("deploy/alerts.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() >= 10);
    let runbook = read("docs/alerts.md");
    let explained: Vec<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let names: Vec<&str> = rules
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap())
        .collect();
    assert_eq!(explained, names);
    for rule in rules {
        let text = |key: &str| rule[key].as_str().unwrap_or_default();
        check(text("expr"));
        assert!(humantime::parse_duration(text("for")).is_ok(), "{rule}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{rule}");
        let there = format!("docs/alerts.md#{}", text("alert").to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], there);
        for note in ["summary", "description"] {
            let note = rule["annotations"][note].as_str().unwrap();
            assert!(note.len() > 10, "{rule}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut queries = 0;
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().unwrap().len() > 10, "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            check(&query.replace("$__rate_interval", "5m"));
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            queries += 1;
        }
    }
    assert!(queries >= 20, "{queries}");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            check(query);
        }
    }
}

/// Prometheus' own tool: the rules are right, and each fires when it should and not before.
#[test]
fn the_alert_rules_fire_when_they_should() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ] {
        let mut promtool = std::process::Command::new("promtool");
        let ran = promtool.args(arguments).current_dir(&directory).output();
        let ran = ran.expect("promtool, of Debian's package prometheus");
        let said = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    let rules: Value = yaml_serde::from_str(&read("deploy/alerts.yaml")).unwrap();
    let tests = read("deploy/alerts.test.yaml");
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert_eq!(
            tests.matches(&format!("alertname: {name}\n")).count(),
            2,
            "{name}"
        );
    }
}

#[test]
fn a_query_for_what_there_is_not_is_found() {
    let fails = |query: &str| std::panic::catch_unwind(|| check(query)).is_err();
    assert!(fails("rate(tailrace_made_up_total[5m])"));
    assert!(fails("sum by (colour) (tailrace_ready)"));
    assert!(fails("tailrace_ready{colour=\"red\"}"));
    assert!(fails("gen_ai_server_request_duration_seconds"));
    check("sum by (job, reason) (rate(tailrace_readers_cut_total{reason!=\"x\"}[5m]))");
}
