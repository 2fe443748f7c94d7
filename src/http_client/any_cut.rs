//! What must hold of any answer, in whatever pieces it comes: for property tests and for `fuzz/`.

use super::framing::Malformed;
use super::head;

/// As far as it can be read: status, the body, what follows it, and whether all has come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    status: Option<u16>,
    body: Vec<u8>,
    rest: Vec<u8>,
    is_over: bool,
}

/// Reads the answer whole, byte by byte, and in pieces of these sizes: it is the same, and so is what
/// is wrong with it. No byte of it is shown twice.
pub(crate) fn changes_nothing(answer: &[u8], sizes: &[usize]) {
    let whole = read(&[answer]);
    let (shown, _) = &whole;
    assert!(shown.body.len() + shown.rest.len() <= answer.len());
    let single: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(read(&single), whole, "byte by byte");
    let (mut pieces, mut rest) = (Vec::new(), answer);
    for size in sizes {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(read(&pieces), whole, "in pieces of {sizes:?}");
}

/// As the client does it: the head is looked for in all that has arrived, and what came after it is
/// the beginning of the body.
fn read(pieces: &[&[u8]]) -> (Read, Result<(), Malformed>) {
    let mut shown = Read::default();
    let outcome = read_into(&mut shown, pieces);
    (shown, outcome)
}

fn read_into(shown: &mut Read, pieces: &[&[u8]]) -> Result<(), Malformed> {
    let (mut arrived, mut framing) = (Vec::new(), None);
    for piece in pieces {
        arrived.extend_from_slice(piece);
        if framing.is_none() {
            let Some((head, length)) = head::answer(&arrived)? else {
                continue;
            };
            shown.status = Some(head.status.as_u16());
            framing = Some(head.framing);
            arrived.drain(..length);
        }
        if let Some(framing) = &mut framing {
            let mut left = arrived.as_slice();
            while let Some(piece) = framing.next(&mut left)? {
                assert!(!piece.is_empty());
                shown.body.extend_from_slice(piece);
            }
            shown.rest.extend_from_slice(left);
            shown.is_over = framing.is_over();
            assert!(left.is_empty() || shown.is_over);
            arrived.clear();
        }
    }
    Ok(())
}
