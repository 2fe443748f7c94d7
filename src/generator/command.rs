//! Runs a configured program for each request, so that anything in any language plugs in.
//!
//! The program gets the [`Prompt`] as one line of JSON on standard input. Each line that it prints
//! is a delta: a JSON object (`{"text": ..}`, `{"reasoning": ..}`, `{"refusal": ..}`,
//! `{"tool_call": {..}}`, `{"logprobs": {..}}`, `{"finish_reason": .., "usage": {..}}`, `{"error": {"message": .., "retryable": ..}}`) or else
//! plain text, which is passed on with a line feed. Exit status 0 means that the answer is
//! complete. Arguments and environment come from the configuration, never from a request.

mod complaints;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

use self::complaints::Complaints;
use super::{
    Delta, Deltas, FinishReason, Generator, GeneratorError, Logprobs, Prompt, ToolCall, Usage,
};
use crate::stream::FailureCode;
use crate::traces::Trace;

/// The longest line that a program may print, in bytes.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// How long a program may live on after it has closed its standard output.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommandConfig {
    /// The program: a path, or a name that is looked up in the environment's `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Where it runs; the server's own directory if absent.
    pub working_dir: Option<PathBuf>,
    /// How its lines are read.
    pub output: Output,
}

/// How a program's lines are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// A line that is a JSON delta is one; any other line is text.
    #[default]
    Auto,
    /// Every line must be a JSON delta.
    Json,
    /// Every line is text.
    Text,
}

/// The `command` backend of [`Generator`].
pub struct CommandGenerator {
    config: CommandConfig,
}

impl CommandGenerator {
    /// A generator that runs this program.
    #[must_use]
    pub const fn new(config: CommandConfig) -> Self {
        Self { config }
    }

    fn spawn(&self, trace: &Trace) -> Result<Program, GeneratorError> {
        let mut command = Command::new(&self.config.program);
        command
            .args(&self.config.args)
            .env_clear()
            // As OpenTelemetry hands a context on to programs.
            .envs(variables(trace))
            .envs(&self.config.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &self.config.working_dir {
            command.current_dir(directory);
        }
        match command.spawn() {
            Ok(child) => Ok(Program::new(child)),
            Err(error) => {
                let cause = format!("cannot start {}: {error}", self.config.program);
                let message = "the model's program could not be started";
                let error = GeneratorError::new(FailureCode::GeneratorError, message);
                Err(error.because(cause).ours_to_mend())
            }
        }
    }
}

fn variables(trace: &Trace) -> impl Iterator<Item = (String, String)> {
    let headers = trace.headers();
    headers.map(|(name, value)| (name.to_ascii_uppercase(), value))
}

impl Generator for CommandGenerator {
    fn generate(&self, prompt: Arc<Prompt>, cancel: CancellationToken) -> Deltas {
        let output = self.config.output;
        let spawned = self.spawn(&prompt.trace);
        Box::pin(stream! {
            let mut program = match spawned {
                Ok(program) => program,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            let (Some(mut stdin), Some(stdout), Some(stderr)) = (
                program.child.stdin.take(),
                program.child.stdout.take(),
                program.child.stderr.take(),
            ) else {
                yield Err(GeneratorError::retryable("the model's program has no pipes"));
                return;
            };
            let mut request = serde_json::to_vec(&*prompt).unwrap_or_default();
            request.push(b'\n');
            let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(MAX_LINE_BYTES));
            let mut complaints = Complaints::new(stderr, prompt.model.clone());
            // The request is written beside reading, since a program may print before it has read
            // all of it. One that does not care for its input may close it: no error.
            let mut writing = async move { stdin.write_all(&request).await }.boxed_local();
            let (mut written, mut quiet) = (false, false);
            loop {
                let line = tokio::select! {
                    biased;
                    () = cancel.cancelled() => return,
                    _ = &mut writing, if !written => {
                        written = true;
                        // Dropping the future closes the pipe: end of input.
                        writing = std::future::pending().boxed_local();
                        continue;
                    }
                    line = lines.next() => line,
                    more = complaints.read(), if !quiet => {
                        quiet = !more;
                        continue;
                    }
                };
                let delta = match line {
                    Some(Ok(line)) => parse(line, output),
                    Some(Err(error)) => Err(unreadable(&error)),
                    None => break,
                };
                let last = !matches!(delta, Ok(ref delta) if !matches!(delta, Delta::Finish { .. }));
                yield delta;
                if last {
                    return;
                }
            }
            yield program.finish().await;
        })
    }
}

/// A running program. Dropping it kills its whole process group.
struct Program {
    child: Child,
    /// The program's id, which is its group's, until the group has been killed.
    group: Option<Pid>,
}

impl Program {
    fn new(child: Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            group: group.and_then(Pid::from_raw),
            child,
        }
    }

    /// Waits for the exit status of a program that has closed its standard output, and kills what
    /// it has left behind.
    async fn finish(&mut self) -> Result<Delta, GeneratorError> {
        let exit = tokio::time::timeout(EXIT_GRACE, self.child.wait()).await;
        self.kill_group();
        match exit {
            Ok(Ok(status)) if status.success() => Ok(Delta::Finish {
                reason: FinishReason::Stop,
                usage: None,
            }),
            Ok(Ok(status)) => Err(GeneratorError::retryable(format!(
                "the model's program ended with {status}"
            ))),
            Ok(Err(_)) | Err(_) => Err(GeneratorError::retryable(
                "the model's program closed its output but did not exit",
            )),
        }
    }

    /// Kills the group once: before the program is waited for, or right after, when its number
    /// cannot yet be another's.
    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// A line of JSON that a program prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text {
        text: String,
    },
    Reasoning {
        reasoning: String,
    },
    Refusal {
        refusal: String,
    },
    ToolCall {
        tool_call: ToolCall,
    },
    Logprobs {
        logprobs: Map<String, Value>,
    },
    Finish {
        finish_reason: FinishReason,
        #[serde(default)]
        usage: Option<Counts>,
    },
    Error {
        error: Complaint,
    },
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
    #[serde(default)]
    retryable: bool,
}

fn parse(mut line: String, output: Output) -> Result<Delta, GeneratorError> {
    let try_json = match output {
        Output::Text => false,
        Output::Json => true,
        Output::Auto => line.starts_with('{'),
    };
    if try_json {
        match serde_json::from_str(&line) {
            Ok(Line::Text { text }) => return Ok(Delta::Text(text)),
            Ok(Line::Reasoning { reasoning }) => return Ok(Delta::Reasoning(reasoning)),
            Ok(Line::Refusal { refusal }) => return Ok(Delta::Refusal(refusal)),
            Ok(Line::Logprobs { logprobs }) => {
                let logprobs = to_raw_value(&logprobs).ok();
                let logprobs = logprobs.as_deref().and_then(Logprobs::new);
                return logprobs.map(Delta::Logprobs).ok_or_else(not_a_delta);
            }
            Ok(Line::ToolCall { tool_call }) => return Ok(Delta::ToolCall(tool_call)),
            Ok(Line::Finish {
                finish_reason,
                usage,
            }) => {
                return Ok(Delta::Finish {
                    reason: finish_reason,
                    usage: usage
                        .map(|counts| Usage::new(counts.prompt_tokens, counts.completion_tokens)),
                });
            }
            Ok(Line::Error { error }) => {
                let failure = GeneratorError {
                    retryable: error.retryable,
                    ..GeneratorError::new(FailureCode::GeneratorError, error.message)
                };
                return Err(failure.because("the model's program said so"));
            }
            Err(_) if output == Output::Json || is_meant_as_delta(&line) => {
                return Err(not_a_delta());
            }
            Err(_) => {}
        }
    }
    line.push('\n');
    Ok(Delta::Text(line))
}

fn not_a_delta() -> GeneratorError {
    GeneratorError::retryable("the model's program printed a line that is not a right JSON delta")
}

/// Whether a line that is no delta was meant as one: shown as text, it would puzzle a reader.
fn is_meant_as_delta(line: &str) -> bool {
    let object = serde_json::from_str::<Map<String, Value>>(line);
    object.is_ok_and(|object| {
        [
            "text",
            "reasoning",
            "refusal",
            "tool_call",
            "logprobs",
            "finish_reason",
            "error",
        ]
        .iter()
        .any(|key| object.contains_key(*key))
    })
}

fn unreadable(error: &LinesCodecError) -> GeneratorError {
    GeneratorError::retryable(match error {
        LinesCodecError::MaxLineLengthExceeded => {
            format!("the model's program printed a line of more than {MAX_LINE_BYTES} bytes")
        }
        LinesCodecError::Io(_) => "the model's program printed text that is not UTF-8".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_deltas() {
        let text = |line: &str, output| parse(line.to_owned(), output);
        assert_eq!(
            text(r#"{"text":"a"}"#, Output::Auto),
            Ok(Delta::Text("a".into()))
        );
        assert_eq!(
            text("plain", Output::Auto),
            Ok(Delta::Text("plain\n".into()))
        );
        assert_eq!(
            text(r#"{"text":"a"}"#, Output::Text),
            Ok(Delta::Text("{\"text\":\"a\"}\n".into()))
        );
        assert_eq!(
            text("{not json", Output::Auto),
            Ok(Delta::Text("{not json\n".into()))
        );
        assert!(text("{not json", Output::Json).is_err());
        assert_eq!(
            text(r#"{"answer":1}"#, Output::Auto),
            Ok(Delta::Text("{\"answer\":1}\n".into()))
        );
        for meant in [
            r#"{"error":"no"}"#,
            r#"{"finish_reason":"bogus"}"#,
            r#"{"tool_call":{"name":"f"}}"#,
            r#"{"text":7}"#,
            r#"{"refusal":null}"#,
        ] {
            assert!(text(meant, Output::Auto).is_err(), "{meant}");
        }
        assert_eq!(
            text(
                r#"{"finish_reason":"length","usage":{"completion_tokens":3}}"#,
                Output::Auto
            ),
            Ok(Delta::Finish {
                reason: FinishReason::Length,
                usage: Some(Usage::new(0, 3))
            })
        );
        assert_eq!(
            text(
                r#"{"error":{"message":"no","retryable":true}}"#,
                Output::Auto
            ),
            Err(GeneratorError::retryable("no").because("the model's program said so"))
        );
    }
}
