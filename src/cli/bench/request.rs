//! What is asked of the server, for each stream alike.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::units::{key_and_value, rate};
use crate::load::{Api, Call, Plan};

/// Options that make the request.
#[derive(Debug, clap::Args)]
pub(super) struct RequestArguments {
    /// The model, without which a Tailrace server takes its own; `--api openai` needs one
    #[arg(
        long,
        short,
        value_name = "NAME",
        conflicts_with = "body",
        help_heading = "Request"
    )]
    model: Option<String>,

    /// What is asked [default: "Tell me about lighthouse keepers"]
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "body",
        help_heading = "Request"
    )]
    prompt: Option<String>,

    /// The most tokens of each answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "body", help_heading = "Request")]
    max_tokens: Option<u32>,

    /// A note that goes with the request as its `metadata`, such as demo.tokens=500; several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value, conflicts_with = "body", help_heading = "Request")]
    metadata: Vec<(String, String)>,

    /// The pace of each stream, such as 50/s: the demo model is told, and how late tokens are is measured
    ///
    /// It is told in the request's `metadata`, as `--metadata demo.tokens_per_second=50` would. Of servers other than
    /// Tailrace some refuse that (with `--api openai`, OpenAI's own does). With a --body, or `--api sse`, nobody is told.
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Request")]
    pace: Option<f64>,

    /// A file whose JSON object is sent in place of these; `stream` and `on_disconnect` are added where needed
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    body: Option<PathBuf>,
}

impl RequestArguments {
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) const fn pace(&self) -> Option<f64> {
        self.pace
    }

    /// Whether anything is said of what is asked, other than by a --body.
    pub(super) fn is_any(&self) -> bool {
        let of_text = self.model.is_some() || self.prompt.is_some();
        of_text || self.max_tokens.is_some() || !self.metadata.is_empty()
    }

    fn prompt(&self) -> &str {
        let usual = "Tell me about lighthouse keepers";
        self.prompt.as_deref().unwrap_or(usual)
    }

    /// The request; `query` is what the URL had after its path.
    ///
    /// # Errors
    /// The file cannot be read, or is no JSON; or there is no model where one is needed.
    pub(super) fn call(&self, plan: &Plan, query: String) -> anyhow::Result<Call> {
        let given = self.given()?;
        let (path, body) = match plan.api {
            Api::Native => ("/v1/streams".to_owned(), Some(self.native(plan, given))),
            Api::OpenAi => ("/chat/completions".to_owned(), Some(self.openai(given)?)),
            Api::Sse => (query, given.map(Value::Object)),
        };
        let is_cancelled = |body: &Value| body["on_disconnect"] == "cancel";
        Ok(Call {
            goes_on: plan.api == Api::Native && !body.as_ref().is_some_and(is_cancelled),
            method: if body.is_some() {
                Method::POST
            } else {
                Method::GET
            },
            path,
            body: body.map_or_else(Vec::new, |body| body.to_string().into_bytes()),
        })
    }

    /// What the file holds.
    fn given(&self) -> anyhow::Result<Option<Map<String, Value>>> {
        let Some(path) = &self.body else {
            return Ok(None);
        };
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let body = serde_json::from_slice(&text);
        Ok(Some(body.with_context(|| {
            format!("{} holds no JSON object", path.display())
        })?))
    }

    fn native(&self, plan: &Plan, given: Option<Map<String, Value>>) -> Value {
        let mut body = given.unwrap_or_else(|| {
            let mut body = Map::new();
            body.insert("prompt".into(), json!(self.prompt()));
            self.add_common(&mut body);
            body
        });
        // Whoever comes back wants the generation to go on meanwhile. Else nobody shall go on with it when its
        // reader has left.
        let comes_back = plan.shares.cut > 0.0 && plan.resumes();
        if !comes_back && plan.fan.is_none() {
            body.entry("on_disconnect").or_insert(json!("cancel"));
        }
        Value::Object(body)
    }

    fn openai(&self, given: Option<Map<String, Value>>) -> anyhow::Result<Value> {
        let mut body = if let Some(body) = given {
            body
        } else {
            ensure!(self.model.is_some(), "--api openai needs a --model");
            let mut body = Map::new();
            body.insert(
                "messages".into(),
                json!([{"role": "user", "content": self.prompt()}]),
            );
            self.add_common(&mut body);
            body
        };
        body.insert("stream".into(), json!(true));
        Ok(Value::Object(body))
    }

    fn add_common(&self, body: &mut Map<String, Value>) {
        if let Some(model) = &self.model {
            body.insert("model".into(), json!(model));
        }
        if let Some(tokens) = self.max_tokens {
            body.insert("max_tokens".into(), json!(tokens));
        }
        let pace = self
            .pace
            .map(|pace| ("demo.tokens_per_second".to_owned(), pace.to_string()));
        let notes = pace.into_iter().chain(self.metadata.iter().cloned());
        let notes: Map<String, Value> = notes.map(|(key, value)| (key, json!(value))).collect();
        if !notes.is_empty() {
            body.insert("metadata".into(), Value::Object(notes));
        }
    }
}
