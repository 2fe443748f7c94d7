//! The dependency rule of ARCHITECTURE.md: imports point one way, and each vendor has its fence.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may name. `main`, `cli` and `app` may name all.
const MAY_NAME: [(&str, &[&str]); 9] = [
    ("stream", &[]),
    ("stream_log", &["stream"]),
    ("generator", &["stream"]),
    ("auth", &["stream"]),
    ("limit", &["auth", "stream"]),
    (
        "generation",
        &["auth", "generator", "limit", "stream", "stream_log"],
    ),
    ("shutdown", &[]),
    (
        "api",
        &[
            "auth",
            "generation",
            "generator",
            "limit",
            "stream",
            "stream_log",
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
            "limit",
            "stream_log",
        ],
    ),
];

/// Which files may name each crate.
const FENCES: [(&str, &[&str]); 9] = [
    ("actix_web", &["src/api/", "src/app.rs", "src/cli/serve.rs"]),
    ("actix_cors", &["src/api/"]),
    ("actix_web_lab", &["src/api/"]),
    ("jsonwebtoken", &["src/auth/"]),
    ("governor", &["src/limit/local.rs", "src/limit/failures.rs"]),
    ("figment", &["src/config.rs"]),
    ("rustls", &["src/app.rs"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("anyhow", &["src/main.rs", "src/cli/", "src/app.rs"]),
];

fn sources() -> Vec<(String, String)> {
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

/// The lines that are code, up to the unit tests at the end of the file.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
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
            for rest in line.split("crate::").skip(1) {
                let named = rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                let is_module = file_or_folder(named);
                if is_module && named != module && !allowed.contains(&named) {
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

#[test]
fn vendors_stay_behind_their_fences() {
    let mut breaches = Vec::new();
    for (file, text) in sources() {
        for (vendor, allowed) in FENCES {
            let named = code(&text).any(|line| {
                line.contains(&format!("{vendor}::")) || line.contains(&format!("use {vendor}"))
            });
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
        let lines = text.lines().count();
        assert!(
            lines <= 600,
            "{file} has {lines} lines: it is more than one idea"
        );
    }
}
