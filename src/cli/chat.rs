//! `tailrace chat`: asks a server and streams its answer to the terminal.

mod answer;
mod backoff;
mod conversation;
mod end;
mod event;
mod input;
mod interactive;
mod interrupts;
mod listing;
mod look;
mod markdown;
mod output;
mod painter;
mod reader;
mod request;
mod screen;
mod server;
mod style;
mod target;
mod visible;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use self::answer::{Answered, ask};
use self::conversation::{Conversation, Conversations, check_name};
use self::end::End;
use self::input::Input;
use self::interrupts::Interrupts;
use self::look::{Look, Markdown};
use self::output::{Output, complain};
use self::screen::Screen;
use self::server::Server;
use crate::config::state_directory;

/// Options of `tailrace chat`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Arguments {
    /// What to ask; `-` reads it from standard input
    ///
    /// What comes on standard input, if that is no terminal, is added after a blank line. With
    /// neither, a conversation begins, in which Ctrl-C cancels an answer and Ctrl-D leaves.
    #[arg(value_name = "PROMPT")]
    prompt: Option<String>,

    #[command(flatten)]
    target: target::TargetArguments,

    #[command(flatten)]
    request: request::RequestArguments,

    /// Go on with the conversation that was used last
    #[arg(long = "continue", short = 'C', conflicts_with = "conversation")]
    continues: bool,

    /// Go on with the conversation of this name, or begin it
    #[arg(long, value_name = "NAME", value_parser = check_name)]
    conversation: Option<String>,

    /// Do not remember what is said now
    #[arg(long)]
    forget: bool,

    /// List the conversations that are remembered, the latest at the end
    ///
    /// On a terminal with their models, how much was asked, when, and the last question; into a pipe their
    /// names only.
    #[arg(long, conflicts_with_all = ["prompt", "continues", "conversation", "json"])]
    list: bool,

    /// When to render Markdown; `auto` does so on a terminal that may have styles
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    markdown: Markdown,

    /// Whether to show the model's reasoning [default: show on a terminal, else hide]
    #[arg(long, value_enum, value_name = "HOW")]
    reasoning: Option<Reasoning>,

    /// Print each event as a line of JSON, and nothing else
    #[arg(long, conflicts_with_all = ["markdown", "reasoning"])]
    json: bool,

    /// Do not tell how it stands with the connection; errors are told
    #[arg(long, short)]
    quiet: bool,
}

/// Whether reasoning is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Reasoning {
    /// Before the answer.
    Show,
    /// The answer only.
    Hide,
}

/// Asks once, or begins a conversation.
///
/// # Errors
/// Something in the arguments, the configuration or a conversation's file is wrong.
pub(super) fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let state = state_directory();
    let conversations = state.as_deref().map(Conversations::within);
    if arguments.list {
        return listing::list(conversations.as_ref());
    }
    let input = Input::read(arguments.prompt.as_deref(), arguments.json)?;
    let name = match (&arguments.conversation, arguments.continues, &conversations) {
        (None, false, _) => None,
        (_, _, None) => anyhow::bail!("without HOME or XDG_STATE_HOME nothing is remembered"),
        (Some(name), _, _) => Some(name.clone()),
        (None, true, Some(conversations)) => Some(conversations.latest()?),
    };
    let mut conversation = match (&name, &conversations) {
        (Some(name), Some(conversations)) => conversations.load(name)?,
        _ => Conversation::default(),
    };
    let remembered = conversation.clone();
    arguments.request.apply_to(&mut conversation);
    let conversations = conversations.filter(|_| !arguments.forget);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = Rc::new(arguments.target.server(config)?);
    let mut chat = Chat {
        arguments,
        server,
        runtime,
        interrupts: Interrupts::take().context("cannot take over signals")?,
        conversations,
        name,
        remembered,
        conversation,
    };
    let end = match input {
        Input::Question(question) => chat.ask(&question)?,
        Input::Person => interactive::run(&mut chat, state.as_deref())?,
    };
    Ok(ExitCode::from(end.status()))
}

/// A conversation under way.
struct Chat<'a> {
    arguments: &'a Arguments,
    server: Rc<Server>,
    runtime: Runtime,
    interrupts: Interrupts,
    /// Where it is remembered, if it is.
    conversations: Option<Conversations>,
    name: Option<String>,
    /// What was there when we last looked.
    remembered: Conversation,
    conversation: Conversation,
}

impl Chat<'_> {
    /// Asks, shows the answer and remembers both.
    fn ask(&mut self, question: &str) -> anyhow::Result<End> {
        let body = self.arguments.request.body(&self.conversation, question)?;
        let mut output = self.output();
        self.interrupts.begin();
        let asked = ask(
            &self.server,
            body,
            self.arguments.target.timeout,
            &mut output,
            &mut self.interrupts,
        );
        let Answered { end, text } = self.runtime.block_on(asked);
        self.interrupts.end();
        // A question without any answer would only be in the way of the next.
        if !text.is_empty() {
            self.conversation.add(question, &text);
            self.remember();
        }
        Ok(end)
    }

    /// The answer is there; that it is not remembered does not make it fail.
    fn remember(&mut self) {
        let Some(conversations) = &self.conversations else {
            return;
        };
        let name = self.name.as_deref();
        match conversations.save(name, &self.conversation, &self.remembered) {
            Ok(other) => {
                self.remembered.clone_from(&self.conversation);
                if let (Some(name), Some(other)) = (name, other) {
                    complain(&format!(
                        "The conversation {name} was changed elsewhere meanwhile; this one is {other}."
                    ));
                    self.name = Some(other);
                }
            }
            Err(error) => complain(&format!("{error:#}")),
        }
    }

    fn output(&self) -> Output {
        if self.arguments.json {
            let terminal = std::io::stdout().is_terminal();
            return Output::Json { terminal };
        }
        let look = self.look();
        let shows_reasoning = match self.arguments.reasoning {
            Some(reasoning) => reasoning == Reasoning::Show,
            None => look.terminal,
        };
        Output::Screen(Box::new(Screen::new(look, shows_reasoning)))
    }

    fn look(&self) -> Look {
        Look::new(self.arguments.markdown, self.arguments.quiet)
    }
}
