//! A generator that needs no model: deterministic for a given prompt and seed, at any pace.
//!
//! It is there for the first five minutes, for tests and for load tests. Its knobs come from the
//! configuration; a request may set them too, as `metadata` entries `demo.<knob>`, unless the
//! configuration says otherwise.

mod markdown;
mod prose;

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::prose::Prose;
use super::{Delta, Deltas, FinishReason, Generator, GeneratorError, InvalidPrompt, Prompt, Usage};

/// The knobs of the demo generator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DemoConfig {
    /// How many tokens an answer has; absent, the text ends where it is complete.
    pub tokens: Option<u32>,
    /// How fast they come; 0 means as fast as they are read.
    pub tokens_per_second: f64,
    /// How long the first token takes, in milliseconds.
    pub first_token_delay_ms: u64,
    /// How many tokens of reasoning come before the answer.
    pub reasoning: u32,
    /// Fail with an error after this many tokens.
    pub fail_after: Option<u32>,
    /// Say nothing more after this many tokens.
    pub stall_after: Option<u32>,
    /// Panic after this many tokens.
    pub panic_after: Option<u32>,
    /// End without a finish reason after this many tokens.
    pub end_after: Option<u32>,
    /// What the text is like.
    pub text: Text,
    /// Whether a request's metadata may set the knobs.
    pub overrides: bool,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self {
            tokens: None,
            tokens_per_second: 40.0,
            first_token_delay_ms: 150,
            reasoning: 0,
            fail_after: None,
            stall_after: None,
            panic_after: None,
            end_after: None,
            text: Text::Prose,
            overrides: true,
        }
    }
}

/// What the demo's text is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    /// A few paragraphs on the prompt.
    Prose,
    /// The same with headings, a list, code, a table and a quotation.
    Markdown,
    /// Every character that breaks a careless client.
    Awkward,
    /// One token of 200 KiB.
    Huge,
}

/// The `demo` backend of [`Generator`].
pub struct DemoGenerator {
    config: DemoConfig,
}

impl DemoGenerator {
    /// A generator with these knobs.
    #[must_use]
    pub const fn new(config: DemoConfig) -> Self {
        Self { config }
    }

    /// The knobs for one prompt.
    fn knobs(&self, prompt: &Prompt) -> Result<DemoConfig, InvalidPrompt> {
        let mut knobs = self.config.clone();
        if !knobs.overrides {
            return Ok(knobs);
        }
        for (key, value) in &prompt.metadata {
            if let Some(knob) = key.strip_prefix("demo.") {
                knobs.set(knob, value).map_err(|expected| InvalidPrompt {
                    field: format!("metadata.{key}"),
                    expected: expected.to_owned(),
                })?;
            }
        }
        Ok(knobs)
    }
}

/// The longest delay before the first token, in milliseconds: a day.
const MAX_DELAY_MS: u64 = 86_400_000;

const PACE: &str = "expected 0 (unpaced) or a number from 0.001 to 1000000";
const DELAY: &str = "expected a whole number of milliseconds, at most a day";

fn is_pace(rate: f64) -> bool {
    rate == 0.0 || (0.001..=1e6).contains(&rate)
}

impl DemoConfig {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// Names the knob and what was expected.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        if !is_pace(self.tokens_per_second) {
            return Err(("tokens_per_second", PACE));
        }
        if self.first_token_delay_ms > MAX_DELAY_MS {
            return Err(("first_token_delay_ms", DELAY));
        }
        Ok(())
    }

    /// Sets one knob from text; the error says what was expected.
    fn set(&mut self, knob: &str, value: &str) -> Result<(), &'static str> {
        const COUNT: &str = "expected a whole number from 0 to 4294967295";
        let count = || value.parse::<u32>().map_err(|_| COUNT);
        match knob {
            "tokens" => self.tokens = Some(count()?),
            "reasoning" => self.reasoning = count()?,
            "fail_after" => self.fail_after = Some(count()?),
            "stall_after" => self.stall_after = Some(count()?),
            "panic_after" => self.panic_after = Some(count()?),
            "end_after" => self.end_after = Some(count()?),
            "first_token_delay_ms" => {
                self.first_token_delay_ms = value
                    .parse()
                    .ok()
                    .filter(|delay| *delay <= MAX_DELAY_MS)
                    .ok_or(DELAY)?;
            }
            "tokens_per_second" => {
                self.tokens_per_second = value
                    .parse()
                    .ok()
                    .filter(|rate| is_pace(*rate))
                    .ok_or(PACE)?;
            }
            "text" => {
                self.text = match value {
                    "prose" => Text::Prose,
                    "markdown" => Text::Markdown,
                    "awkward" => Text::Awkward,
                    "huge" => Text::Huge,
                    _ => return Err("expected prose, markdown, awkward or huge"),
                };
            }
            _ => {
                return Err(
                    "no such knob; there are tokens, tokens_per_second, first_token_delay_ms, \
                     reasoning, fail_after, stall_after, panic_after, end_after and text",
                );
            }
        }
        Ok(())
    }

    /// When the token of this number is due, counted from the start.
    fn due(&self, number: u32) -> Duration {
        let paced = if self.tokens_per_second > 0.0 {
            Duration::from_secs_f64(f64::from(number) / self.tokens_per_second)
        } else {
            Duration::ZERO
        };
        Duration::from_millis(self.first_token_delay_ms) + paced
    }
}

impl Generator for DemoGenerator {
    fn check(&self, prompt: &Prompt) -> Result<(), InvalidPrompt> {
        self.knobs(prompt).map(drop)
    }

    fn limits_itself(&self) -> bool {
        true
    }

    fn continues(&self) -> bool {
        true
    }

    fn generate(&self, prompt: Arc<Prompt>, cancel: CancellationToken) -> Deltas {
        let knobs = self.knobs(&prompt).unwrap_or_else(|_| self.config.clone());
        let answered = prompt
            .answered
            .as_ref()
            .map_or(0, |answered| answered.tokens);
        // What was given already was in time; an answer that has not begun has all of its delay.
        let now = Instant::now();
        let given = (answered > 0).then(|| knobs.due(answered));
        let start = now.checked_sub(given.unwrap_or_default()).unwrap_or(now);
        Box::pin(stream! {
            let mut prose = Prose::new(&prompt, knobs.text, knobs.tokens);
            let most = prompt.max_tokens.unwrap_or(u32::MAX);
            let mut number = answered;
            for _ in 0..answered {
                let _given = prose.next();
            }
            let reason = loop {
                let at = Some(number);
                if knobs.fail_after == at {
                    yield Err(GeneratorError::retryable("the demo was told to fail here"));
                    return;
                }
                if knobs.end_after == at {
                    return;
                }
                if knobs.stall_after == at {
                    cancel.cancelled().await;
                    return;
                }
                assert!(knobs.panic_after != at, "the demo was told to panic here");
                let Some(text) = (if number < knobs.reasoning { Some(prose.thought()) } else { prose.next() }) else {
                    break FinishReason::Stop;
                };
                if number == most {
                    break FinishReason::Length;
                }
                let due = start + knobs.due(number);
                if due > Instant::now() {
                    sleep_until(due).await;
                }
                yield Ok(if number < knobs.reasoning { Delta::Reasoning(text) } else { Delta::Text(text) });
                number += 1;
            };
            yield Ok(Delta::Finish {
                reason,
                usage: Some(Usage::new(prompt.approximate_tokens(), (number - answered).into())),
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{Message, Role};
    use futures_util::StreamExt as _;

    fn prompt(text: &str, metadata: &[(&str, &str)]) -> Prompt {
        Prompt {
            model: "demo".into(),
            messages: vec![Message::new(Role::User, text)],
            metadata: metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Prompt::default()
        }
    }

    async fn run(prompt: Prompt) -> Vec<Result<Delta, GeneratorError>> {
        let generator = DemoGenerator::new(DemoConfig {
            tokens_per_second: 0.0,
            first_token_delay_ms: 0,
            ..DemoConfig::default()
        });
        generator.check(&prompt).unwrap();
        let deltas = generator.generate(Arc::new(prompt), CancellationToken::new());
        deltas.collect().await
    }

    fn text(deltas: &[Result<Delta, GeneratorError>]) -> String {
        let text = |delta: &Result<Delta, GeneratorError>| match delta {
            Ok(Delta::Text(text)) => text.clone(),
            _ => String::new(),
        };
        deltas.iter().map(text).collect()
    }

    #[tokio::test]
    async fn the_same_prompt_and_seed_give_the_same_answer() {
        let first = run(prompt("Why is the sky blue?", &[])).await;
        assert_eq!(first, run(prompt("Why is the sky blue?", &[])).await);
        assert_ne!(first, run(prompt("Why is the sea blue?", &[])).await);
        let seeded = Prompt {
            seed: Some(7),
            ..prompt("Why is the sky blue?", &[])
        };
        assert_ne!(first, run(seeded).await);
    }

    #[tokio::test]
    async fn the_answer_speaks_of_the_prompt() {
        let answer = text(&run(prompt("Tell me about lighthouse keepers", &[])).await);
        assert!(answer.contains("lighthouse keepers"), "{answer}");
    }

    #[tokio::test]
    async fn knobs_come_from_metadata() {
        let deltas = run(prompt("x", &[("demo.tokens", "700")])).await;
        assert_eq!(deltas.len(), 701);
        let deltas = run(prompt("x", &[("demo.fail_after", "3")])).await;
        assert_eq!(deltas.len(), 4);
        assert!(deltas[3].is_err());
        let deltas = run(prompt("x", &[("demo.end_after", "3")])).await;
        assert_eq!(deltas.len(), 3);
        let generator = DemoGenerator::new(DemoConfig::default());
        for (knob, value) in [
            ("demo.tokens", "-1"),
            ("demo.nonsense", "1"),
            ("demo.text", "x"),
            ("demo.tokens_per_second", "NaN"),
            ("demo.tokens_per_second", "1e-300"),
            ("demo.first_token_delay_ms", "18446744073709551615"),
        ] {
            let error = generator.check(&prompt("x", &[(knob, value)])).unwrap_err();
            assert_eq!(error.field, format!("metadata.{knob}"));
        }
    }

    #[tokio::test]
    async fn stop_sequences_and_max_tokens_end_the_answer() {
        let whole = text(&run(prompt("rivers", &[])).await);
        let stop = whole.split_whitespace().nth(9).unwrap().to_owned();
        let stopped = Prompt {
            stop: vec![stop.clone()],
            ..prompt("rivers", &[])
        };
        let cut = text(&run(stopped).await);
        assert_eq!(cut, whole.split_once(&stop).unwrap().0);
        let short = run(Prompt {
            max_tokens: Some(5),
            ..prompt("rivers", &[])
        })
        .await;
        assert_eq!(short.len(), 6);
        assert!(matches!(
            short[5],
            Ok(Delta::Finish {
                reason: FinishReason::Length,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn awkward_text_has_every_awkward_character() {
        let answer = text(&run(prompt("x", &[("demo.text", "awkward")])).await);
        for character in [
            '\r',
            '\n',
            '\u{2028}',
            '\u{2029}',
            '\0',
            '\u{7f}',
            '\u{85}',
            '"',
            '\\',
            '\u{1F9D1}',
            '\u{200d}',
            '\u{feff}',
        ] {
            assert!(answer.contains(character), "{character:?}");
        }
        let huge = run(prompt("x", &[("demo.text", "huge")])).await;
        assert_eq!(text(&huge).len(), 200 * 1024);
        assert_eq!(huge.len(), 2);
    }
}
