//! One answer as it arrives: HTTP/1.1 with chunks or a length, of which only the body is taken out.
//!
//! A whole parser would cost more than the server under test. This one trusts the server to frame
//! its answer right and fails on what it does not expect.

use std::borrow::Cow;

use anyhow::{Context as _, bail};
use memchr::memmem;

/// A head that is longer is not one of ours.
const MAX_HEAD: usize = 16 * 1024;

/// Where in the answer the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// In the line with a chunk's size, as far as it has been read.
    Size(usize),
    /// In a chunk, with so many bytes to come.
    Chunk(usize),
    /// In the line end after a chunk.
    ChunkEnd,
    /// In the empty line after the last chunk.
    LastLine,
    /// In a body without chunks, with so many bytes to come.
    Whole(usize),
    Ended,
}

/// An answer, read so far.
#[derive(Debug)]
pub(crate) struct Response {
    place: Place,
    head: Vec<u8>,
    bytes: u64,
}

impl Response {
    /// An answer of which nothing has arrived.
    pub(crate) const fn new() -> Self {
        Self {
            place: Place::Head,
            head: Vec::new(),
            bytes: 0,
        }
    }

    /// Forgets an answer to read the next one.
    pub(crate) fn reset(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        *self = Self {
            head,
            ..Self::new()
        };
    }

    /// How many bytes of the body have arrived, without the framing of the chunks.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long its head is, once that has arrived whole.
    pub(crate) const fn head_bytes(&self) -> usize {
        self.head.len()
    }

    /// Whether it has arrived whole.
    pub(crate) fn has_ended(&self) -> bool {
        self.place == Place::Ended
    }

    /// The value of a header whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Reads on, and shows what belongs to the body.
    pub(crate) fn read(
        &mut self,
        mut input: &[u8],
        mut body: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        while let Some(&byte) = input.first() {
            let taken = match self.place {
                Place::Head => self.take_head(input)?,
                Place::Size(size) => {
                    self.place = match byte {
                        b'\r' => self.place,
                        b'\n' if size == 0 => Place::LastLine,
                        b'\n' => Place::Chunk(size),
                        _ => Place::Size(size << 4 | hex(byte)?),
                    };
                    1
                }
                Place::Chunk(left) => {
                    let taken = left.min(input.len());
                    self.bytes += taken as u64;
                    body(&input[..taken]);
                    self.place = match left - taken {
                        0 => Place::ChunkEnd,
                        left => Place::Chunk(left),
                    };
                    taken
                }
                Place::ChunkEnd => {
                    if byte == b'\n' {
                        self.place = Place::Size(0);
                    }
                    1
                }
                Place::LastLine => {
                    if byte == b'\n' {
                        self.place = Place::Ended;
                    }
                    1
                }
                Place::Whole(left) => {
                    let taken = left.min(input.len());
                    body(&input[..taken]);
                    self.bytes += taken as u64;
                    self.place = Self::whole(left - taken);
                    taken
                }
                Place::Ended => bail!("the server sent more than one answer"),
            };
            input = &input[taken..];
        }
        Ok(())
    }

    /// Takes the head, or what there is of it. Answers how many bytes of the input belong to it.
    fn take_head(&mut self, input: &[u8]) -> anyhow::Result<usize> {
        const END: &[u8] = b"\r\n\r\n";
        let before = self.head.len();
        self.head.extend_from_slice(input);
        let from = before.saturating_sub(END.len() - 1);
        let Some(at) = memmem::find(&self.head[from..], END) else {
            if self.head.len() > MAX_HEAD {
                bail!("the head of an answer is too long");
            }
            return Ok(input.len());
        };
        let end = from + at + END.len();
        self.head.truncate(end);
        let length = self.header("content-length").map(str::parse).transpose()?;
        self.place = match length {
            Some(length) => Self::whole(length),
            None if self.header("transfer-encoding") == Some("chunked") => Place::Size(0),
            None => bail!("an answer without end:\n{}", self.said()),
        };
        if !self.head.starts_with(b"HTTP/1.1 200 ") && !self.head.starts_with(b"HTTP/1.1 202 ") {
            bail!("an unexpected answer:\n{}", self.said());
        }
        Ok(end - before)
    }

    /// Where a body without chunks stands that lacks so many bytes.
    const fn whole(left: usize) -> Place {
        match left {
            0 => Place::Ended,
            left => Place::Whole(left),
        }
    }

    fn said(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.head)
    }
}

fn hex(digit: u8) -> anyhow::Result<usize> {
    let value = char::from(digit).to_digit(16);
    let value = value.context("the size of a chunk is not a hexadecimal number")?;
    Ok(value as usize)
}
