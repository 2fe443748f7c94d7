//! A batch as the bytes of one entry of a Redis stream, and back.
//!
//! One byte of version, then for each entry one byte of kind, four of length (big-endian) and its
//! payload. Sequence numbers are not in it: the id of the Redis entry gives the last one, so that
//! whoever ends a lost stream need not know how long it is.

use crate::stream::{Batch, Kind};

const VERSION: u8 = 1;

/// The kinds in the order of their numbers, which are for ever.
const KINDS: [Kind; 8] = [
    Kind::Start,
    Kind::Text,
    Kind::Reasoning,
    Kind::ToolCall,
    Kind::Done,
    Kind::Error,
    Kind::Refusal,
    Kind::Logprobs,
];

/// The bytes of all entries.
pub(super) fn encode(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + batch.bytes() + batch.len() * 5);
    bytes.push(VERSION);
    for entry in batch.entries() {
        let kind = KINDS.iter().position(|kind| *kind == entry.kind);
        bytes.push(
            kind.and_then(|at| u8::try_from(at).ok())
                .unwrap_or_default(),
        );
        // An event has at most 60 KiB.
        let length = u32::try_from(entry.payload.len()).unwrap_or_default();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry.payload.as_bytes());
    }
    bytes
}

/// What readers on other nodes are told of an encoded batch: its writer's fence, its last sequence number,
/// and it.
pub(super) fn news(fence: u64, last: u64, encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + encoded.len());
    bytes.extend_from_slice(&fence.to_be_bytes());
    bytes.extend_from_slice(&last.to_be_bytes());
    bytes.extend_from_slice(encoded);
    bytes
}

/// The batch that readers were told of, and its writer's fence; nothing if it was only that there is
/// something.
pub(super) fn heard(news: &[u8]) -> Option<(u64, Batch)> {
    let (fence, rest) = news.split_first_chunk()?;
    let (last, encoded) = rest.split_first_chunk()?;
    let batch = decode(encoded, u64::from_be_bytes(*last))?;
    Some((u64::from_be_bytes(*fence), batch))
}

/// The entries whose last one has the sequence number `last`; nothing if we did not write this.
pub(super) fn decode(bytes: &[u8], last: u64) -> Option<Batch> {
    let (&VERSION, body) = bytes.split_first()? else {
        return None;
    };
    let mut count = 0;
    let mut rest = body;
    while !rest.is_empty() {
        rest = entry(rest)?.2;
        count += 1;
    }
    let mut batch = Batch::starting_at(last.checked_add(1)?.checked_sub(count)?);
    let mut rest = body;
    while !rest.is_empty() {
        let (kind, payload, after) = entry(rest)?;
        batch.push(kind, payload);
        rest = after;
    }
    Some(batch)
}

fn entry(bytes: &[u8]) -> Option<(Kind, &str, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let kind = *KINDS.get(usize::from(*kind))?;
    Some((kind, str::from_utf8(payload).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_round_trip(
            entries in prop::collection::vec((0..KINDS.len(), "\\PC{0,40}"), 1..40),
            first in 0_u64..1 << 40,
        ) {
            let mut batch = Batch::starting_at(first);
            for (kind, payload) in &entries {
                batch.push(KINDS[*kind], payload);
            }
            let last = batch.next_seq() - 1;
            let encoded = encode(&batch);
            prop_assert_eq!(heard(&news(7, last, &encoded)), Some((7, batch.clone())));
            prop_assert_eq!(decode(&encoded, last), Some(batch));
        }

        #[test]
        fn other_bytes_are_refused_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), last: u64) {
            let _ = decode(&bytes, last);
            let _ = heard(&bytes);
        }
    }

    #[test]
    fn a_number_after_which_none_can_come_is_refused() {
        let mut batch = Batch::default();
        batch.push_text("x");
        let encoded = encode(&batch);
        assert_eq!(decode(&encoded, u64::MAX), None);
        assert_eq!(heard(&news(1, u64::MAX, &encoded)), None);
    }
}
