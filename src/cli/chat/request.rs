//! What is asked of the model, beside the question.

use std::collections::BTreeMap;

use serde::Serialize;

use super::conversation::{Conversation, Message};

/// Options that go with the request.
#[derive(Debug, clap::Args)]
pub(super) struct RequestArguments {
    /// The model [default: the conversation's, else the server's]
    #[arg(long, short, value_name = "NAME", help_heading = "Request")]
    model: Option<String>,

    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    system: Option<String>,

    /// The most tokens of the answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Request")]
    max_tokens: Option<u32>,

    /// Sampling temperature, 0 to 2
    #[arg(long, value_name = "T", help_heading = "Request")]
    temperature: Option<f64>,

    /// The same seed and conversation should give the same answer
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Request"
    )]
    seed: Option<i64>,

    /// A text at which the answer stops; up to four times
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    stop: Vec<String>,

    /// A note that goes with the request, such as demo.tokens=20; several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value, help_heading = "Request")]
    metadata: Vec<(String, String)>,
}

impl RequestArguments {
    /// What is given now stands before what the conversation remembers.
    pub(super) fn apply_to(&self, conversation: &mut Conversation) {
        if self.model.is_some() {
            conversation.model.clone_from(&self.model);
        }
        if self.system.is_some() {
            conversation.system.clone_from(&self.system);
        }
    }

    /// The body of a request.
    pub(super) fn body(
        &self,
        conversation: &Conversation,
        question: &str,
    ) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            model: Option<&'a str>,
            messages: Vec<Message>,
            #[serde(skip_serializing_if = "Option::is_none")]
            max_tokens: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            temperature: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            seed: Option<i64>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            stop: &'a [String],
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            metadata: BTreeMap<&'a str, &'a str>,
        }
        let notes = self.metadata.iter();
        serde_json::to_vec(&Body {
            model: conversation.model.as_deref(),
            messages: conversation.with(question),
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            seed: self.seed,
            stop: &self.stop,
            metadata: notes
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        })
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
