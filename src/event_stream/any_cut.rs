//! What must hold of any body, in whatever pieces it comes: for property tests and for `fuzz/`.

use super::{EventStream, EventStreamError, ServerEvent};

type Read = (Vec<(String, String)>, Result<(), EventStreamError>);

/// Reads the body whole, byte by byte, and in pieces of these sizes: the events are the same, and so
/// is the error in which they end. None is longer than the bound.
pub(crate) fn changes_nothing(body: &[u8], sizes: &[usize], max_bytes: usize) {
    let whole = read(&[body], max_bytes);
    for (_, data) in &whole.0 {
        assert!(data.len() <= max_bytes, "an event of {} bytes", data.len());
    }
    let single: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(read(&single, max_bytes), whole, "byte by byte");
    let (mut pieces, mut rest) = (Vec::new(), body);
    for size in sizes {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(read(&pieces, max_bytes), whole, "in pieces of {sizes:?}");
}

fn read(pieces: &[&[u8]], max_bytes: usize) -> Read {
    let mut parser = EventStream::new(max_bytes);
    let mut events = Vec::new();
    let mut keep = |event: ServerEvent<'_>| {
        events.push((event.name.to_owned(), event.data.to_owned()));
    };
    let pushed = pieces
        .iter()
        .try_for_each(|piece| parser.push(piece, &mut keep));
    let ended = pushed.and_then(|()| parser.finish(&mut keep));
    (events, ended)
}
