//! Errors in the shape of the settings, in words: the file or variable, the key, what was expected.
//! Never the value, which may be a secret in the wrong place.

use figment::Error;
use figment::error::{Actual, Kind};

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
    let what = match &error.kind {
        // A syntax error: its first and last lines, without the line of the file between them.
        Kind::Message(message) if key.is_empty() => {
            let mut lines = message.lines();
            let first = lines.next().unwrap_or_default();
            lines
                .next_back()
                .map_or_else(|| first.to_owned(), |last| format!("{first}: {last}"))
        }
        Kind::Message(message) => message.clone(),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("expected {expected}, found {}", kind_of(found))
        }
        Kind::UnknownField(name, known) => {
            format!(
                "there is no setting {name:?} here; there are {}",
                known.join(", ")
            )
        }
        Kind::MissingField(name) => format!("{name} is missing"),
        Kind::UnknownVariant(_, known) => format!("expected one of {}", known.join(", ")),
        other => other.to_string(),
    };
    if key.is_empty() {
        format!("{origin}: {what}")
    } else {
        format!("{origin}: `{key}`: {what}")
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
