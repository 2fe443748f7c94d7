//! Some work in a trace, from its beginning until the last handle on it is dropped.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace;

use super::Trace;

/// The longest name of a span, and the longest text that is said of one, in bytes. Some are callers' words,
/// and spans wait in a queue that counts them and not their bytes.
const TEXT: usize = 1024;

/// What kind of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request is answered.
    Server,
    /// Another server is asked.
    Client,
}

/// Some work. It ends when its last clone is dropped. Where nothing is recorded, since nobody traces or it
/// is not sampled, it is only a place, and what is said of it costs nothing.
#[derive(Clone, Default)]
pub struct Span {
    trace: Trace,
    recorded: Option<Rc<RefCell<trace::Span>>>,
}

impl Trace {
    /// Begins a part of the work that stands here.
    #[must_use]
    pub fn begin(&self, kind: Kind, name: &'static str) -> Span {
        let place = self.0.as_deref();
        let Some(tracer) = place.and_then(|place| place.tracer.as_ref()) else {
            return Span {
                trace: self.clone(),
                recorded: None,
            };
        };
        let context = self.context().cloned();
        let parent = context.map_or_else(Context::new, |context| {
            Context::new().with_remote_span_context(context)
        });
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        };
        let span = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_links(self.links())
            .start_with_context(tracer, &parent);
        Span {
            trace: Self::at(Some(tracer), Some(span.span_context().clone()), None),
            recorded: span.is_recording().then(|| Rc::new(RefCell::new(span))),
        }
    }
}

impl Span {
    /// Where its parts stand.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Whether anybody will see what is said of it.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Gives it a name that was not known when it began.
    pub fn rename(&self, name: String) {
        if let Some(span) = &self.recorded {
            span.borrow_mut().update_name(shortened(name));
        }
    }

    /// Says something of it. Never a credential, a query or a text; of words only the beginning.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &self.recorded {
            let value = match value.into() {
                Value::String(text) => Value::String(shortened(text.into()).into()),
                other => other,
            };
            let attribute = KeyValue::new(name, value);
            span.borrow_mut().set_attribute(attribute);
        }
    }

    /// Says something of it that may be several words, and is one.
    pub fn set_list(&self, name: &'static str, only: &'static str) {
        let list = Array::String(vec![StringValue::from(only)]);
        self.set(name, Value::Array(list));
    }

    /// Says something that happens now.
    pub fn event(&self, name: &'static str, about: [(&'static str, String); 2]) {
        if let Some(span) = &self.recorded {
            let about = about.map(|(name, value)| KeyValue::new(name, shortened(value)));
            let now = SystemTime::now();
            let mut span = span.borrow_mut();
            span.add_event_with_timestamp(name, now, about.to_vec());
        }
    }

    /// It has failed, by a code of few. There is no description, which might have the words of others.
    pub fn fail(&self, error_type: &'static str) {
        if let Some(span) = &self.recorded {
            self.set("error.type", error_type);
            span.borrow_mut().set_status(Status::error(""));
        }
    }
}

/// What of a text is kept, in memory too.
fn shortened(text: String) -> String {
    if text.len() <= TEXT {
        return text;
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=TEXT).rev().find(is_boundary).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_texts_the_beginning_is_kept_and_no_more_memory() {
        for (text, kept) in [("a", TEXT), ("\u{20ac}", TEXT - 1)] {
            let long = shortened(text.repeat(90_000));
            assert_eq!(long, text.repeat(kept / text.len()));
            assert!(long.capacity() <= TEXT);
        }
        assert_eq!(shortened("a".repeat(TEXT)).len(), TEXT);
    }
}
