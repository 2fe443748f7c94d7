//! What is asked: the argument, standard input, or both; or a person who sits there.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};

/// Who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// One question.
    Question(String),
    /// A person at a terminal, who may ask several.
    Person,
}

impl Input {
    /// Reads standard input where it belongs to the question.
    ///
    /// # Errors
    /// There is no question, or standard input cannot be read.
    pub(super) fn read(prompt: Option<&str>, json: bool) -> anyhow::Result<Self> {
        let terminal = std::io::stdin().is_terminal();
        let piped = if terminal && prompt != Some("-") {
            None
        } else {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.context("cannot read standard input")?;
            Some(String::from_utf8(bytes).context("what comes on standard input is not text")?)
        };
        if prompt.is_none() && terminal {
            if json || !std::io::stdout().is_terminal() {
                bail!("there is no prompt; a conversation needs a terminal, and no --json");
            }
            return Ok(Self::Person);
        }
        join(prompt.filter(|prompt| *prompt != "-"), piped.as_deref()).map(Self::Question)
    }
}

/// The prompt, a blank line, and what came on standard input.
fn join(prompt: Option<&str>, piped: Option<&str>) -> anyhow::Result<String> {
    let parts = [prompt, piped.map(str::trim_end)];
    let parts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.trim().is_empty())
        .collect();
    if parts.is_empty() {
        bail!("the prompt is empty");
    }
    Ok(parts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_stands_before_what_is_piped() {
        let join = |prompt, piped| join(prompt, piped).ok();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(join(Some("sum up"), Some("a\nb\n")), text("sum up\n\na\nb"));
        assert_eq!(join(Some("sum up"), Some("")), text("sum up"));
        assert_eq!(join(Some("sum up"), None), text("sum up"));
        assert_eq!(join(None, Some("  a\n")), text("  a"));
        for (prompt, piped) in [(None, Some(" \n")), (Some(""), None), (Some(" "), Some(""))] {
            assert_eq!(join(prompt, piped), None);
        }
    }
}
