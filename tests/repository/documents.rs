//! `openapi.yaml` is what the code says, and `tailrace.example.toml` is what the defaults are.
//!
//! After a change of the API: `BLESS_OPENAPI=1 cargo test --test repository`.

use std::fs;
use std::path::Path;

use tailrace::api::docs;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is for this test, not for the server"
)]
fn the_openapi_document_is_made_from_the_code() {
    let path = root().join("openapi.yaml");
    let made = docs::document().to_yaml().unwrap();
    if std::env::var_os("BLESS_OPENAPI").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "openapi.yaml is not what the code says; see the head of this file"
    );
}

#[test]
fn the_two_forms_differ_only_in_streaming_content() {
    let one = serde_json::to_value(docs::document()).unwrap();
    let two = docs::document_3_2();
    assert_eq!(one["openapi"], "3.1.0");
    assert_eq!(two["openapi"], "3.2.0");
    assert_eq!(one["components"], two["components"]);
    let content = |document: &serde_json::Value| {
        document["paths"]["/v1/streams"]["post"]["responses"]["200"]["content"]["text/event-stream"]
            .clone()
    };
    assert_eq!(
        content(&one)["schema"]["$ref"],
        "#/components/schemas/Event"
    );
    assert!(content(&one)["itemSchema"].is_null());
    assert!(content(&two)["schema"].is_null());
    assert_eq!(
        content(&two)["itemSchema"]["properties"]["data"]["contentSchema"],
        content(&one)["schema"]
    );
}

/// What clients narrow on: each event's `type` is a text of one value in the document.
#[test]
fn each_event_has_one_type_in_the_document() {
    let document = serde_json::to_value(docs::document()).unwrap();
    let schemas = &document["components"]["schemas"];
    let mapping = schemas["Event"]["discriminator"]["mapping"]
        .as_object()
        .unwrap();
    assert_eq!(mapping.len(), 8);
    for (kind, reference) in mapping {
        let name = reference.as_str().unwrap().rsplit('/').next().unwrap();
        let schema = &schemas[name]["properties"]["type"];
        assert_eq!(schema["type"], "string", "{name}: {schema}");
        assert_eq!(
            schema["enum"],
            serde_json::json!([kind]),
            "{name}: {schema}"
        );
        assert!(schema.get("allOf").is_none());
        let required = schemas[name]["required"].as_array().unwrap();
        assert!(required.contains(&"type".into()) && required.contains(&"seq".into()));
    }
}

/// Each member of the JSON of `tailrace bench` is explained.
#[test]
fn what_bench_writes_is_documented() {
    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let document = text("docs/bench.md");
    let mut missing = Vec::new();
    for path in [
        "src/load/findings.rs",
        "src/load/timeline.rs",
        "src/load/quantiles.rs",
    ] {
        let source = text(path);
        let fields = source.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("    pub ")?.split_once(": ")?;
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                .then(|| name.to_owned())
        });
        missing.extend(fields.filter(|name| !document.contains(&format!("`{name}`"))));
    }
    assert!(missing.is_empty(), "docs/bench.md lacks {missing:?}");
}
