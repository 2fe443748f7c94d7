//! One question and its answer: reads and shows it, and cancels it when the person has had enough.

use std::io::{self, Write as _};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Fuse, LocalBoxFuture};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::end::End;
use super::event::Said;
use super::interrupts::Interrupts;
use super::output::{Output, complain};
use super::reader::{Failure, Heard, Reader};
use super::server::Server;

/// How many pieces may wait to be shown.
const WAITING: usize = 64;

/// How long the end of a cancelled generation is waited for.
const CANCEL_TIME: Duration = Duration::from_secs(3);

/// What has come of a question.
pub(super) struct Answered {
    pub(super) end: End,
    /// The answer, as far as it came.
    pub(super) text: String,
}

/// Asks, and shows what comes. The first interrupt cancels the generation, the second leaves at once.
pub(super) async fn ask(
    server: &Rc<Server>,
    request: Vec<u8>,
    timeout: Option<Duration>,
    output: &mut Output,
    interrupts: &mut Interrupts,
) -> Answered {
    let (sender, mut heard) = mpsc::channel(WAITING);
    let key = Uuid::new_v4().to_string();
    let asked = (request.clone(), key.clone());
    let reader = Reader::new(Rc::clone(server), request, key, timeout, sender);
    let mut reading = pin!(reader.run().fuse());
    let mut exchange = Exchange {
        server,
        asked,
        output,
        text: String::new(),
        stream: None,
        refused: false,
        cancelling: Fuse::terminated(),
        leave_at: None,
    };
    let end = loop {
        let leave_at = exchange.leave_at;
        let step = tokio::select! {
            biased;
            () = interrupts.next() => exchange.interrupt(),
            // Where nothing has come, nothing is waited for.
            () = &mut exchange.cancelling => exchange.stream.is_none().then_some(End::Cancelled),
            () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                Some(End::Cancelled)
            }
            () = &mut reading => None,
            next = heard.recv() => match next {
                Some(next) => {
                    let mut step = exchange.hear(next);
                    while step.is_none()
                        && let Ok(next) = heard.try_recv()
                    {
                        step = exchange.hear(next);
                    }
                    step.or_else(|| io::stdout().flush().err().map(|error| closed(&error)))
                }
                // The reader always says how it ends.
                None => Some(End::Lost),
            },
        };
        if let Some(end) = step {
            break end;
        }
    };
    exchange.leave(end).await
}

struct Exchange<'a> {
    server: &'a Rc<Server>,
    /// The request and its key, by which its stream can be found.
    asked: (Vec<u8>, String),
    output: &'a mut Output,
    text: String,
    stream: Option<String>,
    /// Whether the model has said that it does not answer.
    refused: bool,
    cancelling: Fuse<LocalBoxFuture<'static, ()>>,
    /// When the end is no longer waited for.
    leave_at: Option<Instant>,
}

impl Exchange<'_> {
    fn hear(&mut self, heard: Heard) -> Option<End> {
        match heard {
            Heard::Event(event) => {
                if let Err(error) = self.output.event(&event) {
                    return Some(closed(&error));
                }
                self.end(event.said)
            }
            Heard::Lost { why, again } => {
                let again = again.as_secs_f64();
                let what = match self.stream {
                    Some(_) => "connection lost",
                    None => "no answer yet",
                };
                self.output
                    .status(&format!("{what}, again in {again:.1} s: {why}"));
                None
            }
            Heard::Resumed { after, replayed } => {
                let s = if replayed == 1 { "" } else { "s" };
                self.output.note(format!(
                    "resumed after {after}, {replayed} token{s} replayed"
                ));
                None
            }
            Heard::Failed(failure) => Some(self.fail(failure)),
        }
    }

    fn end(&mut self, said: Said) -> Option<End> {
        match said {
            Said::Start { stream, .. } => self.stream = Some(stream),
            Said::Token { text } => self.text.push_str(&text),
            Said::Refusal { .. } => self.refused = true,
            Said::Done { finish_reason, .. } => {
                let _shown = self.output.finish();
                let why = match finish_reason.as_str() {
                    "cancelled" if self.leave_at.is_some() => return Some(End::Cancelled),
                    _ if self.refused => "the model refuses",
                    "length" => "the most tokens are reached (length)",
                    "content_filter" => "a filter has cut it (content_filter)",
                    "cancelled" => "somebody else has cancelled it (cancelled)",
                    _ => return Some(End::Whole),
                };
                complain(&format!("This is no whole answer: {why}."));
                return Some(End::Short);
            }
            Said::Error { error } => {
                let _shown = self.output.finish();
                let again = if error.retryable {
                    "trying again may help"
                } else {
                    "trying again does not help"
                };
                let message = error.message.trim_end_matches('.');
                complain(&format!(
                    "The generation failed: {message} ({}; {again}).",
                    error.code
                ));
                return Some(End::Failed);
            }
            Said::Reasoning { .. } | Said::ToolCall { .. } | Said::Other => {}
        }
        None
    }

    fn fail(&mut self, failure: Failure) -> End {
        if matches!(failure, Failure::Wrong(_)) {
            // What is not what the model said is no part of a conversation.
            self.text.clear();
        }
        let _shown = self.output.finish();
        if self.leave_at.is_some() {
            return End::Cancelled;
        }
        let name = &self.server.name;
        let (end, text) = match failure {
            Failure::Refused(refusal) => {
                let advice = self.server.advice(&refusal);
                let stop = if advice.is_empty() { "" } else { "." };
                (End::Refused, format!("{refusal}{stop}{advice}"))
            }
            Failure::Unreachable {
                why,
                begun: false,
                heard,
            } => {
                let hint = if heard {
                    ""
                } else {
                    " Is `tailrace serve` running there?"
                };
                let text = format!("Cannot get an answer from {name}: {why}.{hint}");
                (End::Lost, text)
            }
            Failure::Unreachable {
                why, begun: true, ..
            } => (
                End::Lost,
                format!("The connection to {name} could not be resumed in time: {why}."),
            ),
            Failure::Gone(refusal) => (
                End::Lost,
                format!(
                    "The server has lost this generation, so it cannot be resumed; a server that \
                     keeps its streams in memory loses them when it is restarted. It says: {refusal}."
                ),
            ),
            Failure::Wrong(what) => (End::Failed, what),
        };
        complain(&text);
        end
    }

    fn interrupt(&mut self) -> Option<End> {
        if self.leave_at.is_some() {
            return Some(End::Cancelled);
        }
        self.leave_at = Some(Instant::now() + CANCEL_TIME);
        let server = Rc::clone(self.server);
        self.cancelling = match &self.stream {
            Some(stream) => cancel(server, stream.clone()),
            None => find_and_cancel(server, self.asked.clone()),
        }
        .fuse();
        None
    }

    async fn leave(self, end: End) -> Answered {
        let finished = self.output.finish();
        let end = match (finished, end) {
            (Err(error), End::Whole) => closed(&error),
            (_, end) => end,
        };
        if matches!(end, End::Closed | End::Unwritten)
            && let Some(stream) = self.stream
        {
            let cancel = cancel(Rc::clone(self.server), stream);
            let _late = tokio::time::timeout(CANCEL_TIME, cancel).await;
        }
        Answered {
            end,
            text: self.text,
        }
    }
}

/// It ends by itself when it cannot be cancelled: nobody reads it any more.
fn cancel(server: Rc<Server>, stream: String) -> LocalBoxFuture<'static, ()> {
    async move {
        let _abandoned = server.cancel(&stream).await;
    }
    .boxed_local()
}

/// Cancels what was asked for before its first event has come.
fn find_and_cancel(server: Rc<Server>, asked: (Vec<u8>, String)) -> LocalBoxFuture<'static, ()> {
    async move {
        if let Some(stream) = server.find(&asked.0, &asked.1).await {
            cancel(server, stream).await;
        }
    }
    .boxed_local()
}

/// That a pipe's reader leaves is nothing to complain of.
fn closed(error: &io::Error) -> End {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return End::Closed;
    }
    complain(&format!("The answer cannot be written: {error}."));
    End::Unwritten
}
