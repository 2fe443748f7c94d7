//! OpenAI's `tools`, `tool_choice` and `parallel_tool_calls` in the words of Anthropic's API.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::request::invalid;
use crate::generator::InvalidPrompt;

/// A function that the model may call.
#[derive(Serialize)]
pub(super) struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Cow<'a, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a Value>,
}

/// Whether the model calls tools, and which.
#[derive(Serialize)]
pub(super) struct ToolChoice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

/// The tools of a request.
///
/// # Errors
/// One is no function, or has what a tool of Anthropic's has not.
pub(super) fn tools(tools: Option<&Value>) -> Result<Vec<Tool<'_>>, InvalidPrompt> {
    let tools = match tools {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(invalid("tools", "expected an array")),
    };
    tools
        .iter()
        .enumerate()
        .map(|(at, value)| tool(&format!("tools[{at}]"), value))
        .collect()
}

fn tool<'a>(field: &str, value: &'a Value) -> Result<Tool<'a>, InvalidPrompt> {
    let function = match (&value["type"], &value["function"]) {
        (Value::String(kind), Value::Object(function)) if kind == "function" => function,
        _ => {
            return Err(invalid(
                field,
                "expected a tool of the type function; this model's server has no other",
            ));
        }
    };
    known(
        value.as_object(),
        field,
        &["type", "function", "cache_control"],
    )?;
    let field = format!("{field}.function");
    known(
        Some(function),
        &field,
        &["name", "description", "parameters", "strict"],
    )?;
    let text = |name: &str| match function.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(invalid(format!("{field}.{name}"), "expected a string")),
    };
    Ok(Tool {
        name: text("name")?.ok_or_else(|| invalid(format!("{field}.name"), "is required"))?,
        description: text("description")?,
        input_schema: match function.get("parameters") {
            // A function without parameters. There a schema is required.
            None | Some(Value::Null) => Cow::Owned(json!({"type": "object", "properties": {}})),
            Some(schema @ Value::Object(_)) => Cow::Borrowed(schema),
            Some(_) => {
                return Err(invalid(
                    format!("{field}.parameters"),
                    "expected a JSON schema",
                ));
            }
        },
        strict: flag(function.get("strict"), || format!("{field}.strict"))?.unwrap_or(false),
        cache_control: value.get("cache_control"),
    })
}

/// The choice of tools of a request. Without tools there is none to choose, and a choice that allows
/// for that is left out, since Anthropic refuses it.
///
/// # Errors
/// It cannot be said.
pub(super) fn choice<'a>(
    choice: Option<&'a Value>,
    parallel: Option<&Value>,
    has_tools: bool,
) -> Result<Option<ToolChoice<'a>>, InvalidPrompt> {
    let parallel = flag(parallel, || "parallel_tool_calls".to_owned())?;
    let disable_parallel_tool_use = parallel == Some(false);
    let choose = |r#type, name| {
        Some(ToolChoice {
            r#type,
            name,
            disable_parallel_tool_use,
        })
    };
    let name = choice.map_or(&Value::Null, |choice| &choice["function"]["name"]);
    let chosen = match (choice, name) {
        (None | Some(Value::Null), _) if disable_parallel_tool_use => choose("auto", None),
        (None | Some(Value::Null), _) => None,
        (Some(Value::String(word)), _) => match word.as_str() {
            "auto" => choose("auto", None),
            "none" => Some(ToolChoice {
                r#type: "none",
                name: None,
                disable_parallel_tool_use: false,
            }),
            "required" => return Ok(choose("any", None)),
            _ => return Err(unchoosable()),
        },
        (Some(Value::Object(named)), Value::String(name)) if named["type"] == "function" => {
            return Ok(choose("tool", Some(name.as_str())));
        }
        _ => return Err(unchoosable()),
    };
    Ok(chosen.filter(|_| has_tools))
}

fn unchoosable() -> InvalidPrompt {
    invalid(
        "tool_choice",
        "expected auto, none, required or a function by its name",
    )
}

fn flag(
    value: Option<&Value>,
    field: impl FnOnce() -> String,
) -> Result<Option<bool>, InvalidPrompt> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(invalid(field(), "expected true or false")),
    }
}

/// Refuses what would have to be dropped.
pub(super) fn known(
    fields: Option<&Map<String, Value>>,
    path: &str,
    known: &[&str],
) -> Result<(), InvalidPrompt> {
    let mut fields = fields.into_iter().flatten();
    match fields.find(|(name, value)| !value.is_null() && !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(invalid(
            format!("{path}.{name}"),
            "this model's server has no equivalent of it",
        )),
    }
}
