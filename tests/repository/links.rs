//! What documents point at is there: relative links and their anchors, and the tests that promises name.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file that is ours.
fn documents() -> Vec<PathBuf> {
    fn visit(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let others = ["target", "node_modules", "vendor"].contains(&&*name);
            if path.is_dir() && !others && !name.starts_with('.') {
                visit(&path, found);
            } else if path.extension().is_some_and(|it| it == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    visit(root(), &mut found);
    found
}

/// The text without its fenced blocks, whose contents are no Markdown.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The targets of `[text](target)`.
fn targets(prose: &str) -> impl Iterator<Item = &str> {
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

/// What a heading is called in links, as GitHub makes it.
fn anchors(prose: &str) -> HashSet<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let place = if path.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(path)
            };
            let from = document.display();
            assert!(place.exists(), "{from}: there is no {target}");
            if !anchor.is_empty() {
                let there = prose(&fs::read_to_string(&place).unwrap());
                assert!(
                    anchors(&there).contains(anchor),
                    "{from}: {path} has no heading for #{anchor}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked} links");
}

/// The parts of a document that name tests: paragraphs and items of lists, in which a file is followed
/// by the names of its tests, as code, or, for titles, between quotation marks.
fn parts(prose: &str) -> impl Iterator<Item = String> {
    prose
        .split("\n\n")
        .flat_map(|paragraph| paragraph.split("\n- "))
        .flat_map(|item| item.split("\n|"))
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What stands between these marks, and whether it is code.
fn marked(part: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    let mut rest = part;
    while let Some(at) = rest.find(['`', '"']) {
        let mark = &rest[at..=at];
        let Some(end) = rest[at + 1..].find(mark) else {
            break;
        };
        found.push((mark == "`", &rest[at + 1..at + 1 + end]));
        rest = &rest[at + end + 2..];
    }
    found
}

fn is_path(code: &str) -> bool {
    let roots = [
        "tests/",
        "src/",
        "benches/",
        "scripts/",
        "playground/",
        "clients/",
    ];
    roots.iter().any(|root| code.starts_with(root)) && !code.contains([' ', '*'])
}

/// A name of several words, as tests have.
fn is_name(code: &str) -> bool {
    code.matches('_').count() >= 2
        && code
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    for (document, least) in [("docs/guarantees.md", 80), ("docs/security.md", 30)] {
        let text = prose(&fs::read_to_string(root().join(document)).unwrap());
        let mut named = 0;
        for part in parts(&text) {
            let mut file: Option<(&str, String)> = None;
            for (code, text) in marked(&part) {
                if code && is_path(text) {
                    let path = root().join(text);
                    assert!(path.exists(), "{document}: there is no {text}");
                    let content = fs::read_to_string(path).unwrap_or_default();
                    file = Some((text, content));
                } else if let Some((path, content)) = &file {
                    let has_titles = Path::new(path).extension().is_some_and(|it| it == "mjs");
                    let known = if code {
                        let (rust, python) = (format!("fn {text}("), format!("def {text}("));
                        content.contains(&rust) || content.contains(&python)
                    } else {
                        content.contains(&format!("('{text}'"))
                    };
                    if is_name(text) || !code && has_titles {
                        assert!(known, "{document}: {path} has no test {text:?}");
                        named += 1;
                    }
                }
            }
        }
        assert!(named >= least, "{document} names {named} tests");
    }
}
