//! `--list`: the conversations that are remembered. A program gets their names, a person also what they
//! were about.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rustix::termios::tcgetwinsize;

use super::conversation::{Conversation, Conversations, Role};
use super::visible::OneLine;

/// Writes the list, the latest at the end.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn list(conversations: Option<&Conversations>) -> anyhow::Result<ExitCode> {
    let Some(conversations) = conversations else {
        return Ok(ExitCode::SUCCESS);
    };
    let all = conversations.all()?;
    let mut out = io::stdout();
    if !out.is_terminal() {
        for (name, _) in all {
            if writeln!(out, "{name}").is_err() {
                break;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 5]> = all
        .into_iter()
        .map(|(name, used)| {
            let age = age(used);
            match conversations.load(&name) {
                Ok(conversation) => row(name, age, &conversation),
                Err(_) => [name, "?".into(), "?".into(), age, "(damaged)".into()],
            }
        })
        .collect();
    let size = tcgetwinsize(&out).ok().filter(|size| size.ws_col > 0);
    let columns = size.map_or(usize::MAX, |size| size.ws_col.into());
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: Vec<_> = (0..4).map(|at| width(at).unwrap_or_default()).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            use std::fmt::Write as _;
            let _infallible = write!(line, "{cell:width$}  ");
        }
        line.push_str(&row[4]);
        if writeln!(out, "{}", OneLine(line.trim_end()).cut(columns)).is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Its name, its model, how often was asked, when, and the last question.
fn row(name: String, age: String, conversation: &Conversation) -> [String; 5] {
    let mut questions = conversation
        .messages
        .iter()
        .filter(|message| message.role == Role::User);
    let count = questions.clone().count();
    let last = questions.next_back();
    let last = last.map(|message| message.content.split_whitespace().collect::<Vec<_>>());
    let model = conversation.model.as_deref().unwrap_or("default model");
    [
        name,
        model.to_owned(),
        format!("{count} question{}", if count == 1 { "" } else { "s" }),
        age,
        last.unwrap_or_default().join(" "),
    ]
}

fn age(used: SystemTime) -> String {
    let age = SystemTime::now().duration_since(used).unwrap_or_default();
    let minutes = age.as_secs() / 60;
    // What is old need not be told to the minute.
    let told = match minutes {
        0 => return "just now".to_owned(),
        1..60 => minutes,
        60..1440 => minutes / 60 * 60,
        _ => minutes / 1440 * 1440,
    };
    let told = humantime::format_duration(Duration::from_secs(told * 60));
    let first = told.to_string();
    format!("{} ago", first.split(' ').next().unwrap_or_default())
}
