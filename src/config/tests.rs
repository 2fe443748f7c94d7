//! The example file is right, complete, and tells the real defaults.

use super::file::Model;
use super::load::is_origin;
use super::*;
use crate::generator::demo::DemoConfig;

const EXAMPLE: &str = include_str!("../../tailrace.example.toml");

fn parse(text: &str) -> File {
    Figment::new()
        .merge(Toml::string(text))
        .extract()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The example with its commented-out lines, but for those that only show an example.
fn uncommented(keep_examples: bool) -> String {
    let setting = |line: &&str| {
        let is_example = line.trim_end().ends_with("(example)");
        !is_example || keep_examples
    };
    EXAMPLE
        .lines()
        .filter(setting)
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_example_tells_the_defaults() {
    let mut file = parse(&uncommented(false));
    let demo = file.models.remove("demo");
    let demo = demo.unwrap().model().unwrap();
    assert_eq!(demo, Model::Demo(DemoConfig::default()));
    let plans = std::mem::take(&mut file.limits.plans);
    assert!(plans.contains_key(&file.limits.default_plan));
    let defaults = File::default();
    file.limits.plans.clone_from(&defaults.limits.plans);
    file.limits
        .default_plan
        .clone_from(&defaults.limits.default_plan);
    assert_eq!(file, defaults);
}

#[test]
fn the_example_as_it_stands_is_a_right_configuration() {
    let file = parse(EXAMPLE);
    Loader::new(&Origin::default()).check(&file).unwrap();
    assert_eq!(file.limits.plans.len(), 2);
}

#[test]
fn the_example_knows_every_key() {
    let example = uncommented(true);
    let shapes = [
        include_str!("file.rs"),
        include_str!("file/model.rs"),
        include_str!("file/store.rs"),
        include_str!("../generator/demo.rs")
            .split("impl Default")
            .next()
            .unwrap_or_default(),
        include_str!("../limit/mod.rs")
            .split("pub struct Plan")
            .nth(1)
            .unwrap_or_default()
            .split('}')
            .next()
            .unwrap_or_default(),
    ];
    let keys = shapes
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| {
            line.trim()
                .strip_prefix("pub ")?
                .split_once(':')
                .map(|(key, _)| key)
        });
    let mut count = 0;
    for key in keys {
        let stands = example.lines().any(|line| {
            line.starts_with(&format!("{key} ="))
                || line.starts_with(&format!("[{key}"))
                || line.starts_with(&format!("[[auth.{key}"))
                || line.contains(&format!(".{key}]"))
                || line.contains(&format!(".{key}."))
        });
        assert!(stands, "tailrace.example.toml does not explain {key}");
        count += 1;
    }
    assert!(count > 60, "{count}");
}

#[test]
fn origins_are_whole_and_exact() {
    for right in [
        "https://a.example",
        "http://localhost:5173",
        "http://[::1]:80",
    ] {
        assert!(is_origin(right), "{right}");
    }
    for wrong in [
        "",
        "a.example",
        "https://",
        "https://a/",
        "https://a.example/x",
        "https://*.example",
        "*",
        "null",
        "ftp://a",
    ] {
        assert!(!is_origin(wrong), "{wrong}");
    }
}
