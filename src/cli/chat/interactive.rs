//! A conversation with a person: a line, an answer, the next line.

use std::path::Path;

use anyhow::Context as _;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use super::Chat;
use super::conversation::Conversation;
use super::end::End;
use super::output::complain;
use super::visible::Visible;

const PROMPT: &str = "> ";

const HELP: &str = "\
/new           begin a new conversation
/model [NAME]  say which model answers, or choose another
/quit          leave, as Ctrl-D does
Ctrl-C cancels an answer. The arrow keys bring back earlier lines.";

/// What a line wants that is no question.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    Help,
    New,
    Model(&'a str),
    Quit,
    Unknown(&'a str),
}

impl<'a> Command<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        // A path, or a pasted text, is a question.
        let name = word.strip_prefix('/')?;
        if line.contains('\n') || name.contains('/') {
            return None;
        }
        Some(match name {
            "help" | "?" => Self::Help,
            "new" => Self::New,
            "model" => Self::Model(rest.trim()),
            "quit" | "exit" | "bye" => Self::Quit,
            _ => Self::Unknown(word),
        })
    }
}

/// Asks for lines until the person leaves.
///
/// # Errors
/// The terminal cannot be used.
pub(super) fn run(chat: &mut Chat<'_>, state: Option<&Path>) -> anyhow::Result<End> {
    let config = Config::builder().bracketed_paste(true).build();
    let mut editor = DefaultEditor::with_config(config).context("cannot use the terminal")?;
    let history = state.filter(|_| !chat.arguments.forget);
    let history = history.map(|state| state.join("chat_history"));
    if let Some(history) = &history {
        let _none = editor.load_history(history);
    }
    greet(chat);
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                let _same = editor.add_history_entry(line);
                match Command::read(line) {
                    Some(Command::Quit) => break,
                    Some(command) => obey(chat, &command),
                    None => {
                        let end = chat.ask(line)?;
                        if matches!(end, End::Closed | End::Unwritten) {
                            return Ok(end);
                        }
                        say("");
                    }
                }
            }
            // Ctrl-C leaves the line that was begun.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
    if let Some(history) = &history
        && let Err(error) = save(&mut editor, history)
    {
        complain(&format!("The lines you wrote are not remembered: {error}."));
    }
    Ok(End::Whole)
}

/// The editor makes the file readable for its owner only.
fn save(editor: &mut DefaultEditor, history: &Path) -> Result<(), ReadlineError> {
    if let Some(directory) = history.parent() {
        std::fs::create_dir_all(directory)?;
    }
    editor.save_history(history)
}

fn greet(chat: &Chat<'_>) {
    if chat.arguments.quiet {
        return;
    }
    let goes_on = match chat.conversation.messages.len() / 2 {
        0 => String::new(),
        1 => " It goes on after 1 answer.".to_owned(),
        count => format!(" It goes on after {count} answers."),
    };
    say(&format!(
        "A conversation with {}.{goes_on} /help lists commands, Ctrl-D leaves.",
        chat.server.name
    ));
}

fn obey(chat: &mut Chat<'_>, command: &Command<'_>) {
    match command {
        Command::Help => say(HELP),
        Command::New => {
            chat.conversation = Conversation {
                messages: Vec::new(),
                ..chat.conversation.clone()
            };
            // The one before stays as it is under its name, as whoever gave it wants to find it.
            match chat.name.take() {
                Some(name) => say(&format!("A new conversation; {name} is kept as it is.")),
                None => say("A new conversation."),
            }
        }
        Command::Model("") => match &chat.conversation.model {
            Some(model) => say(model),
            None => say("The server's default."),
        },
        Command::Model(name) => chat.conversation.model = Some((*name).to_owned()),
        Command::Unknown(word) => say(&format!("There is no {word}; /help lists commands.")),
        Command::Quit => {}
    }
}

fn say(text: &str) {
    println!("{}", Visible(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_slash_is_a_command_unless_it_is_a_path() {
        for (line, expected) in [
            ("/help", Some(Command::Help)),
            ("/model  gpt ", Some(Command::Model("gpt"))),
            ("/model", Some(Command::Model(""))),
            ("/quit", Some(Command::Quit)),
            ("/nothing", Some(Command::Unknown("/nothing"))),
            ("/etc/passwd has what?", None),
            ("/new\nlines", None),
            ("what is /help", None),
        ] {
            assert_eq!(Command::read(line), expected, "{line}");
        }
    }
}
