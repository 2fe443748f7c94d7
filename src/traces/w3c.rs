//! `traceparent` and `tracestate` as the W3C writes them (Trace Context, level 1), read strictly: whoever
//! sends something else begins no trace of ours with it.

use std::str::FromStr as _;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The most that is kept of `tracestate`, in bytes; section 3.3.1.5 wants at least as much.
const STATE_BYTES: usize = 512;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Where the caller stands. What is sent twice is sent by somebody else too, so neither holds.
pub(super) fn context<'a>(
    mut traceparent: impl Iterator<Item = &'a [u8]>,
    tracestate: impl Iterator<Item = &'a [u8]>,
) -> Option<SpanContext> {
    let parent = traceparent.next()?;
    if traceparent.next().is_some() {
        return None;
    }
    let (trace, span, flags) = parse(parent)?;
    let context = SpanContext::new(trace, span, flags, true, state(tracestate));
    context.is_valid().then_some(context)
}

/// `00-<32 digits>-<16 digits>-<2 digits>`. What a later version has beyond follows after another dash.
fn parse(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let text = std::str::from_utf8(text).ok()?;
    let is_hex = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut fields = text.splitn(5, '-');
    let mut field = |digits: usize| {
        let field = fields.next()?;
        (field.len() == digits && is_hex(field)).then_some(field)
    };
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let more = fields.next();
    if version == "ff" || (version == "00" && more.is_some()) {
        return None;
    }
    Some((
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        // Of flags that are not known none is handed on (section 3.2.2.5.2).
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
    ))
}

/// All of it or, if something of it is wrong or it is too long, nothing. It may come in several headers.
fn state<'a>(values: impl Iterator<Item = &'a [u8]>) -> TraceState {
    let mut joined = String::new();
    for value in values {
        let Ok(value) = std::str::from_utf8(value) else {
            return TraceState::default();
        };
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
        let is_printable = value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        if joined.len() > STATE_BYTES || !is_printable {
            return TraceState::default();
        }
    }
    // The library reads over these.
    let mut members = joined.split(',').map(str::trim);
    let is_member =
        |it: &str| it.is_empty() || (!it.starts_with('=') && it.matches('=').count() == 1);
    if !members.all(is_member) {
        return TraceState::default();
    }
    TraceState::from_str(&joined).unwrap_or_default()
}

/// What a server is told that is asked at this place.
pub(super) fn headers(context: &SpanContext) -> impl Iterator<Item = (&'static str, String)> {
    let parent = format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags()
    );
    let state = context.trace_state().header();
    let state = (!state.is_empty()).then_some((TRACESTATE, state));
    std::iter::once((TRACEPARENT, parent)).chain(state)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn read(parents: &[&str], states: &[&str]) -> Option<Vec<(&'static str, String)>> {
        let context = context(
            parents.iter().map(|text| text.as_bytes()),
            states.iter().map(|text| text.as_bytes()),
        );
        context.map(|context| headers(&context).collect())
    }

    fn parent(flags: &str) -> String {
        format!("00-{TRACE}-b7ad6b7169203331-{flags}")
    }

    #[test]
    fn what_is_right_goes_on() {
        for (sent, kept) in [("00", "00"), ("01", "01"), ("03", "01"), ("fe", "00")] {
            let headers = read(&[&parent(sent)], &[]).unwrap();
            assert_eq!(headers, [("traceparent", parent(kept))]);
        }
        // Of a later version, what we know of it.
        for later in ["", "-what-comes-then"] {
            let sent = parent("01").replacen("00", "cc", 1) + later;
            let headers = read(&[&sent], &["a=1", "b@c=2 , d=3"]).unwrap();
            assert_eq!(headers[0].1, parent("01"));
            assert_eq!(headers[1], ("tracestate", "a=1,b@c=2,d=3".to_owned()));
        }
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        let good = parent("01");
        let zero = |what: &str| good.replace(what, &"0".repeat(what.len()));
        for wrong in [
            String::new(),
            good.to_uppercase(),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}-"),
            format!("{good}-00"),
            good.replacen("00", "ff", 1),
            good.replacen("00", "0", 1),
            good.replacen("00", "0g", 1),
            good.replacen("00", "+0", 1),
            good.replace(TRACE, &TRACE[1..]),
            good.replace("-01", "-1"),
            good.replace("-01", "-+1"),
            good.replace('-', "_"),
            good.replace("b7ad", "b7aé"),
            zero(TRACE),
            zero("b7ad6b7169203331"),
        ] {
            assert_eq!(read(&[&wrong], &["a=1"]), None, "{wrong:?}");
        }
        assert_eq!(read(&[&good, &good], &[]), None);
        assert_eq!(read(&[], &["a=1"]), None);
    }

    #[test]
    fn a_state_that_is_wrong_leaves_the_rest() {
        let long = format!("a={}", "x".repeat(STATE_BYTES));
        for wrong in ["", "a", "A=1", "a=1,=2", "a==1", "a=ü", "a=1\u{7}", &long] {
            let headers = read(&[&parent("01")], &[wrong]).unwrap();
            assert_eq!(headers, [("traceparent", parent("01"))], "{wrong:?}");
        }
    }

    proptest! {
        /// Whatever comes is nothing, or is handed on in the one form that all understand.
        #[test]
        fn what_is_handed_on_is_read_as_the_same(
            version in "00|01|[0-9a-g]{2}",
            ids in "[0-9a-f]{31,33}-[0-9a-f]{15,17}|0{32}-0{16}|[ -~]{0,60}",
            flags in "0[01]|[0-9a-fA-F]{1,3}|-",
            states in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..3),
            pairs in "([a-z@]{0,3}=?[ -~]{0,4},? ?){0,40}",
        ) {
            let parent = format!("{version}-{ids}-{flags}");
            for states in [&states[..], &[pairs.into_bytes()]] {
                let all = states.iter().map(Vec::as_slice);
                let Some(context) = context(std::iter::once(parent.as_bytes()), all) else {
                    continue;
                };
                let told: Vec<_> = headers(&context).collect();
                prop_assert_eq!(told[0].1.len(), 55);
                let told: Vec<_> = told.iter().map(|(_, value)| value.as_str()).collect();
                let again = read(&told[..1], &told[1..]).unwrap();
                let again: Vec<_> = again.iter().map(|(_, value)| value.as_str()).collect();
                prop_assert_eq!(told, again);
            }
        }
    }
}
