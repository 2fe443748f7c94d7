//! The dependency rule of ARCHITECTURE.md: imports point one way, and each vendor has its fence.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may name. `main`, `cli` and `app` may name all.
const MAY_NAME: [(&str, &[&str]); 17] = [
    ("stream", &[]),
    ("plot", &[]),
    ("metrics", &[]),
    ("panics", &[]),
    ("traces", &["http_client"]),
    ("redis", &["metrics", "stream"]),
    ("http_client", &[]),
    ("event_stream", &[]),
    ("load", &["event_stream", "http_client"]),
    ("stream_log", &["metrics", "redis", "stream"]),
    (
        "generator",
        &["event_stream", "http_client", "stream", "traces"],
    ),
    ("auth", &["http_client", "stream"]),
    ("limit", &["auth", "redis", "stream"]),
    (
        "generation",
        &[
            "auth",
            "generator",
            "limit",
            "metrics",
            "panics",
            "shutdown",
            "stream",
            "stream_log",
            "traces",
        ],
    ),
    ("shutdown", &[]),
    (
        "api",
        &[
            "auth",
            "generation",
            "generator",
            "limit",
            "metrics",
            "stream",
            "stream_log",
            "traces",
        ],
    ),
    // Assembles each module's own configuration, so it names those, and nothing names it but the
    // outermost.
    (
        "config",
        &[
            "api",
            "auth",
            "generation",
            "generator",
            "http_client",
            "limit",
            "redis",
            "stream_log",
            "traces",
        ],
    ),
];

/// Which files may name each crate.
const FENCES: [(&str, &[&str]); 30] = [
    (
        "rust_embed",
        &["src/api/playground.rs", "src/api/monitor/page.rs"],
    ),
    ("actix_web", &["src/api/", "src/app", "src/cli/serve.rs"]),
    ("actix_http", &["src/app/http.rs", "src/telemetry.rs"]),
    ("actix_service", &["src/app/http.rs"]),
    ("actix_tls", &["src/api/connection.rs", "src/app/http.rs"]),
    ("actix_cors", &["src/api/"]),
    ("actix_web_lab", &["src/api/"]),
    ("jsonwebtoken", &["src/auth/"]),
    ("governor", &["src/limit/failures.rs"]),
    ("figment", &["src/config.rs", "src/config/"]),
    (
        "rustls",
        &[
            "src/app",
            "src/generator/upstream.rs",
            "src/http_client",
            "src/redis/tls.rs",
            "src/traces.rs",
        ],
    ),
    ("tokio_rustls", &["src/http_client/"]),
    ("rustls_native_certs", &["src/http_client/"]),
    (
        "redis",
        &["src/redis", "src/stream_log/redis", "src/limit/redis"],
    ),
    ("httparse", &["src/http_client/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("clap_complete", &["src/cli/completions.rs"]),
    ("clap_mangen", &["src/cli/man.rs"]),
    ("rustyline", &["src/cli/chat/interactive.rs"]),
    ("pulldown_cmark", &["src/cli/chat/markdown/inline.rs"]),
    ("anstyle_query", &["src/cli/chat/look.rs"]),
    ("prometheus_client", &["src/metrics"]),
    ("opentelemetry", &["src/traces"]),
    ("opentelemetry_sdk", &["src/traces"]),
    ("opentelemetry_proto", &["src/traces"]),
    ("prost", &["src/traces/"]),
    ("procfs", &["src/metrics/process.rs", "src/load/usage.rs"]),
    ("hdrhistogram", &["src/load/quantiles.rs"]),
    ("indicatif", &["src/cli/bench/progress.rs"]),
    ("anyhow", &["src/main.rs", "src/cli/", "src/app"]),
];

/// Every file of the program, with its path.
pub(crate) fn sources() -> Vec<(String, String)> {
    fn visit(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    visit(&root.join("src"), &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The lines that are code: no comments, and nothing that is only for tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            if line == "#[cfg(test)]" {
                // What follows is a declaration of one line, or a module to the end of the file.
                if lines.next()?.ends_with('{') {
                    return None;
                }
                continue;
            }
            return Some(line.trim_start());
        }
    })
    .filter(|line| !line.starts_with("//"))
}

/// The modules that a line names from the root of the crate, also in groups.
fn named_modules(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group.split(',').map(|part| word(part.trim_start()))),
            None => names.push(word(rest)),
        }
    }
    names
}

#[test]
fn imports_point_one_way() {
    let mut breaches = Vec::new();
    for (file, text) in sources() {
        if file.ends_with("tests.rs") || file.ends_with("test_keys.rs") {
            continue;
        }
        let module = file
            .trim_start_matches("src/")
            .split(['/', '.'])
            .next()
            .unwrap();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for line in code(&text) {
            assert!(
                !line.contains("super::super::super"),
                "{file} climbs too far: {line}"
            );
            for named in named_modules(line) {
                let foreign = named != module && file_or_folder(&named);
                if foreign && !allowed.contains(&named.as_str()) {
                    breaches.push(format!("{file} names crate::{named}"));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

fn file_or_folder(module: &str) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    source.join(format!("{module}.rs")).exists() || source.join(module).is_dir()
}

/// Whether a line names a crate, and not a module of ours that is called the same.
fn names_crate(line: &str, vendor: &str) -> bool {
    let path = format!("{vendor}::");
    let begins =
        |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    line.match_indices(&path).any(|(at, _)| begins(at)) || line.contains(&format!("use {vendor}"))
}

#[test]
fn vendors_stay_behind_their_fences() {
    let mut breaches = Vec::new();
    for (file, text) in sources() {
        for (vendor, allowed) in FENCES {
            let named = code(&text).any(|line| names_crate(line, vendor));
            if named && !allowed.iter().any(|place| file.starts_with(place)) {
                breaches.push(format!("{file} names {vendor}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    for (file, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{file} does not open with what it is"
        );
        let lines = if file.ends_with("tests.rs") {
            0
        } else {
            code(&text).count()
        };
        assert!(
            lines <= 400,
            "{file} has {lines} lines of code: it is more than one idea"
        );
    }
}
