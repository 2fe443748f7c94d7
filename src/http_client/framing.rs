//! Where the body of an answer ends (RFC 9112, sections 6 and 7), found while it arrives.

/// An answer that is not HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// The most that may stand around the chunks of one body without being of it: extensions and trailers.
const MAX_ASIDE: u32 = 16 * 1024;

/// How a body is delimited, and how far it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// Chunks are to come. The number counts what stood beside them.
    Chunks(Chunk, u32),
    /// All that comes until the server closes the connection.
    UntilClose,
}

/// Where in the chunks the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// At the first digit of a size.
    Start,
    /// After a digit of a size.
    Size(u64),
    /// After a size, in what may follow it in the line.
    Extension(u64),
    /// At the line feed after a size.
    SizeEnd(u64),
    /// In the data, of which so much is to come.
    Data(u64),
    /// At the carriage return after the data.
    DataReturn,
    /// At the line feed after the data.
    DataEnd,
    /// At the beginning of a line after the last chunk.
    Trailer,
    /// In a trailer.
    TrailerLine,
    /// At the line feed of the last line.
    Last,
    /// After everything.
    Over,
}

impl Framing {
    /// No body.
    pub(super) const NONE: Self = Self::Length(0);

    /// Chunks, from the beginning.
    pub(super) const CHUNKS: Self = Self::Chunks(Chunk::Start, 0);

    /// Whether nothing more belongs to the body.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunks(Chunk::Over, _))
    }

    /// Takes the next piece of the body from what has arrived. Without one, all that has arrived is
    /// taken, or the body is over; what is left then does not belong to it.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        match self {
            Self::Length(left) => Ok(take(left, input)),
            Self::UntilClose => {
                let mut endless = u64::MAX;
                Ok(take(&mut endless, input))
            }
            Self::Chunks(place, aside) => loop {
                if let Chunk::Data(left) = place {
                    let piece = take(left, input);
                    if *left == 0 {
                        *place = Chunk::DataReturn;
                    }
                    return Ok(piece);
                }
                let (Some((&byte, rest)), false) = (input.split_first(), *place == Chunk::Over)
                else {
                    return Ok(None);
                };
                *place = place.after(byte)?;
                *input = rest;
                if matches!(place, Chunk::Extension(_) | Chunk::TrailerLine) {
                    *aside += 1;
                    if *aside > MAX_ASIDE {
                        return Err(Malformed("there is too much between the chunks"));
                    }
                }
            },
        }
    }
}

/// Up to `left` bytes of what has arrived, if there are any.
fn take<'a>(left: &mut u64, input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let most = usize::try_from(*left).unwrap_or(usize::MAX);
    let (piece, rest) = input.split_at(most.min(input.len()));
    *left -= piece.len() as u64;
    *input = rest;
    (!piece.is_empty()).then_some(piece)
}

impl Chunk {
    /// The place after this byte, which is not one of the data.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        const SIZE: Malformed = Malformed("the size of a chunk is no number");
        const END: Malformed = Malformed("a chunk does not end where it should");
        Ok(match (self, byte) {
            (Self::Start, _) => Self::Size(digit(byte).ok_or(SIZE)?),
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b';' | b' ' | b'\t') => Self::Extension(size),
            (Self::Size(size), _) => {
                let digit = digit(byte).ok_or(SIZE)?;
                Self::Size(size.checked_mul(16).ok_or(SIZE)? | digit)
            }
            (Self::Extension(_), b'\n') => return Err(END),
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeEnd(0) | Self::TrailerLine, b'\n') => Self::Trailer,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataReturn, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Start,
            (Self::Trailer, b'\r') => Self::Last,
            (Self::Trailer | Self::TrailerLine, _) => Self::TrailerLine,
            (Self::Last, b'\n') | (Self::Over, _) => Self::Over,
            (Self::SizeEnd(_) | Self::DataReturn | Self::DataEnd | Self::Last, _) => {
                return Err(END);
            }
            // Its bytes are taken together.
            (Self::Data(left), _) => Self::Data(left),
        })
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads in pieces of this size. Answers the body, whether it is over, and what is left.
    fn read(
        mut framing: Framing,
        input: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut body, mut left) = (Vec::new(), Vec::new());
        for mut piece in input.chunks(size.max(1)) {
            while let Some(data) = framing.next(&mut piece)? {
                assert!(!data.is_empty());
                body.extend_from_slice(data);
            }
            assert!(piece.is_empty() || framing.is_over());
            left.extend_from_slice(piece);
        }
        Ok((body, framing.is_over(), left))
    }

    #[test]
    fn chunks() {
        let input = b"5\r\nHello\r\n1;a=b\r\n,\r\n00a \r\n wonderful\r\n0\r\nA: b\r\n\r\nHTTP";
        for size in 1..input.len() {
            let (body, over, left) = read(Framing::CHUNKS, input, size).unwrap();
            assert_eq!(body, b"Hello, wonderful");
            assert!(over);
            assert_eq!(left, b"HTTP");
        }
    }

    #[test]
    fn lengths_and_closing() {
        for size in 1..6 {
            let read_all = |framing| read(framing, b"abcdef", size).unwrap();
            assert_eq!(
                read_all(Framing::Length(4)),
                (b"abcd".into(), true, b"ef".into())
            );
            assert_eq!(
                read_all(Framing::Length(7)),
                (b"abcdef".into(), false, vec![])
            );
            assert_eq!(
                read_all(Framing::UntilClose),
                (b"abcdef".into(), false, vec![])
            );
            assert_eq!(read_all(Framing::NONE), (vec![], true, b"abcdef".into()));
        }
    }

    #[test]
    fn wrong_chunks() {
        let long = format!("1;{}\r\na\r\n", "x".repeat(20_000));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(10_000));
        for wrong in [
            "\r\n",
            "x\r\n",
            " 5\r\nHello\r\n",
            "5\nHello\r\n",
            "-1\r\n",
            "5\r\nHello!\r\n",
            "5\r\nHello\n",
            "fffffffffffffffff\r\n",
            "1;\na\r\n",
            "0\r\n\rx",
            &long,
            &trailers,
        ] {
            assert!(
                read(Framing::CHUNKS, wrong.as_bytes(), 7).is_err(),
                "{wrong:.40?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_chunks_in_any_pieces(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            size in 1_usize..50,
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            let (body, over, left) = read(Framing::CHUNKS, &input, size).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(over && left.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(input: Vec<u8>, size in 1_usize..20) {
            let _ = read(Framing::CHUNKS, &input, size);
        }
    }
}
