//! Errors in the shape of the settings, in words: the file or variable, the key, what was expected.
//! Never the value, which may be a secret in the wrong place.

use figment::Error;
use figment::error::{Actual, Kind};

use super::file::Kind as Generator;

/// Describes each of the errors on a line of its own.
pub(super) fn describe(errors: &Error) -> String {
    let lines: Vec<String> = errors
        .clone()
        .into_iter()
        .map(|error| line(&error))
        .collect();
    lines.join("\n")
}

fn line(error: &Error) -> String {
    let metadata = error.metadata.as_ref();
    let file = metadata.and_then(|metadata| metadata.source.as_ref()?.file_path());
    let origin = match file {
        Some(path) => path.display().to_string(),
        None => match metadata {
            Some(metadata) if metadata.name.contains("environment") => {
                format!("TAILRACE_{}", error.path.join("__").to_uppercase())
            }
            _ => "configuration".to_owned(),
        },
    };
    let key = error.path.join(".");
    let refused = match error.path.first().map(String::as_str) {
        Some("upstream") => &["model", "max_tokens"][..],
        _ => &[],
    };
    join(&origin, &key, &what(&error.kind, &key, refused))
}

/// Describes what is wrong in a section of a model.
pub(super) fn describe_section(
    origin: &str,
    section: &str,
    generator: Option<Generator>,
    errors: Box<Error>,
) -> String {
    let refused = match generator {
        Some(Generator::OpenAi) => &["max_tokens"][..],
        Some(Generator::Anthropic) => &["max_tokens_field"],
        _ => &[],
    };
    let line = |error: Error| {
        let mut path = vec![section.to_owned()];
        path.extend(error.path);
        let key = path.join(".");
        join(origin, &key, &what(&error.kind, &key, refused))
    };
    let lines: Vec<String> = (*errors).into_iter().map(line).collect();
    lines.join("\n")
}

fn join(origin: &str, key: &str, what: &str) -> String {
    if key.is_empty() {
        format!("{origin}: {what}")
    } else {
        format!("{origin}: `{key}`: {what}")
    }
}

/// What is wrong at a key. `refused` are the settings that the section has in its shape (it shares
/// that with others) and refuses.
fn what(kind: &Kind, key: &str, refused: &[&str]) -> String {
    match kind {
        // A syntax error: its first and last lines, without the line of the file between them.
        Kind::Message(message) if key.is_empty() => {
            let mut lines = message.lines();
            let first = lines.next().unwrap_or_default();
            lines
                .next_back()
                .map_or_else(|| first.to_owned(), |last| format!("{first}: {last}"))
        }
        Kind::Message(message) => message.clone(),
        Kind::InvalidType(Actual::Map, expected) if expected == "a sequence" => {
            format!("expected a list of sections: write [[{key}]], with double brackets")
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let expected = match expected.as_str() {
                "a duration" => "a time with its unit, such as \"10s\" or \"250ms\"",
                other => other,
            };
            format!("expected {expected}, found {}", kind_of(found))
        }
        Kind::UnknownField(name, known) => {
            let known: Vec<&str> = known
                .iter()
                .copied()
                .filter(|known| !refused.contains(known))
                .collect();
            format!(
                "there is no setting {name:?} here; there are {}",
                known.join(", ")
            )
        }
        Kind::MissingField(name) => format!("{name} is missing"),
        Kind::UnknownVariant(_, known) => format!("expected one of {}", known.join(", ")),
        other => other.to_string(),
    }
}

const fn kind_of(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text that is not one",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}
