//! Errors in the shape of the settings, in words: the file or variable, the key, what was expected.
//! Never the value, which may be a secret in the wrong place.

use figment::Error;
use figment::error::{Actual, Kind};

use super::Origin;
use super::file::Kind as Generator;
use super::sources::variable;

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
    let key = path(&error.path);
    let origin = match file {
        Some(path) => path.display().to_string(),
        None => match metadata {
            // A variable holds a list whole.
            Some(metadata) if metadata.name.contains("environment") => {
                variable(key.split('[').next().unwrap_or_default())
            }
            _ => "configuration".to_owned(),
        },
    };
    let refused = match error.path.first().map(String::as_str) {
        Some("upstream") => &["model", "max_tokens"][..],
        _ => &[],
    };
    join(&origin, &key, &what(&error.kind, &key, refused))
}

/// Describes what is wrong in a section of a model.
pub(super) fn describe_section(
    origin: &Origin,
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
        let key = match path(&error.path) {
            within if within.is_empty() => section.to_owned(),
            within => format!("{section}.{within}"),
        };
        join(&origin.of(&key), &key, &what(&error.kind, &key, refused))
    };
    let lines: Vec<String> = (*errors).into_iter().map(line).collect();
    lines.join("\n")
}

/// A path as people write it: what stands in a list is `list[0]`, as all else in the configuration says it.
fn path(parts: &[String]) -> String {
    let mut path = String::new();
    for (at, part) in parts.iter().enumerate() {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // What stands in these has a name of the operator's, which may be a number.
        let is_name =
            at > 0 && ["plans", "models", "headers", "env"].contains(&parts[at - 1].as_str());
        if at > 0 && is_number && !is_name {
            path.extend(["[", part, "]"]);
            continue;
        }
        if at > 0 {
            path.push('.');
        }
        path.push_str(part);
    }
    path
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
            let place = first.strip_prefix("TOML parse error at ").unwrap_or(first);
            lines
                .next_back()
                .map_or_else(|| place.to_owned(), |last| format!("{place}: {last}"))
        }
        Kind::Message(message) if message == "invalid IP address syntax" => {
            "expected a network such as 10.0.0.0/8".to_owned()
        }
        Kind::Message(message) => message.clone(),
        Kind::InvalidType(Actual::Map, expected) if expected == "a sequence" => {
            format!("expected a list of sections: write [[{key}]], with double brackets")
        }
        Kind::InvalidType(found, expected) => {
            format!("expected {}, found {}", in_words(expected), kind_of(found))
        }
        Kind::InvalidValue(found, expected) => {
            let expected = in_words(expected);
            match found {
                Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => {
                    format!("expected {expected}, found another number")
                }
                found => format!("expected {expected}, found {}", kind_of(found)),
            }
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

/// What was expected, in words of the configuration and not of the program.
fn in_words(expected: &str) -> &str {
    match expected {
        "a duration" => "a time with its unit, such as \"10s\" or \"250ms\"",
        "parsable string" => "a size such as \"64KiB\" or \"1MiB\"",
        "usize" | "u64" => "a whole number of at least 0",
        "u32" => "a whole number from 0 to 4294967295",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "path string" => "a path",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_lists_are_told_from_names() {
        let of = |text: &str| path(&text.split('/').map(str::to_owned).collect::<Vec<_>>());
        for (parts, key) in [
            ("auth/keys/0/secret", "auth.keys[0].secret"),
            ("allowed_origins/12", "allowed_origins[12]"),
            ("limits/plans/0/burst", "limits.plans.0.burst"),
            ("models/4/args/0", "models.4.args[0]"),
            ("workers", "workers"),
        ] {
            assert_eq!(of(parts), key);
        }
    }
}
