//! The time in a token: when the upstream wrote it, so that whoever reads it knows how old it is.
//!
//! A token is a space, `@` and five digits to the base 64: microseconds, which begin anew every 18
//! minutes. With seven bytes it is about as long as a model's tokens are.

use std::time::{SystemTime, UNIX_EPOCH};

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// How many digits a stamp has.
const LENGTH: usize = 5;

/// How many microseconds can be told apart.
const CYCLE: u64 = 1 << (6 * LENGTH);

/// Microseconds now.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX) % CYCLE
}

/// The token of this moment.
#[must_use]
pub fn write(now: u64) -> [u8; LENGTH + 2] {
    let mut token = *b" @00000";
    let mut left = now;
    for digit in token.iter_mut().rev().take(LENGTH) {
        *digit = DIGITS[(left % 64) as usize];
        left /= 64;
    }
    token
}

/// Finds the stamps in one body as it arrives.
#[derive(Debug, Default)]
pub struct Stamps {
    /// How many digits of a stamp have been read, and what they say; none outside of one.
    open: Option<(usize, u64)>,
}

impl Stamps {
    /// Reads on, and tells the age of each token in microseconds.
    pub fn read(&mut self, mut piece: &[u8], now: u64, mut age: impl FnMut(u64)) {
        loop {
            if self.open.is_none() {
                let Some(at) = memchr::memchr(b'@', piece) else {
                    return;
                };
                piece = &piece[at + 1..];
                self.open = Some((0, 0));
            }
            while let Some((digits, said)) = self.open {
                let Some((&byte, rest)) = piece.split_first() else {
                    return;
                };
                piece = rest;
                self.open = digit(byte).map(|digit| (digits + 1, said * 64 + digit));
                if let Some((LENGTH, said)) = self.open {
                    age((now + CYCLE - said) % CYCLE);
                    self.open = None;
                }
            }
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_found_in_any_pieces_and_over_the_cycles_end() {
        let made = CYCLE - 3;
        let body = [
            b"{\"content\":\"".as_slice(),
            &write(made),
            b"\"} a@b @",
            &write(made),
        ]
        .concat();
        for size in 1..body.len() {
            let (mut stamps, mut ages) = (Stamps::default(), Vec::new());
            for piece in body.chunks(size) {
                stamps.read(piece, 4, |age| ages.push(age));
            }
            assert_eq!(ages, [7, 7], "pieces of {size}");
        }
    }
}
