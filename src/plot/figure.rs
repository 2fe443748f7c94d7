//! Numbers for people.

use std::fmt::{self, Display, Formatter};

/// A whole number, in groups of three digits.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub u64);

impl Display for Count {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}

/// A number with three or four digits that mean something.
#[derive(Debug, Clone, Copy)]
pub struct Figure(pub f64);

impl Display for Figure {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its size, and it is below 2^53"
    )]
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (number, size) = (self.0, self.0.abs());
        if !number.is_finite() {
            return formatter.write_str("-");
        }
        if size >= 999.5 {
            let sign = if number < 0.0 { "-" } else { "" };
            return write!(formatter, "{sign}{}", Count(size.round() as u64));
        }
        let decimals = match size {
            size if size >= 99.95 => 0,
            size if size >= 9.995 => 1,
            _ => 2,
        };
        let text = format!("{number:.decimals$}");
        // A whole number says no more with zeros.
        formatter.write_str(match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
            _ => &text,
        })
    }
}

/// Bytes in MiB.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "it stays far below 2^52")]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        for (number, expected) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (9.999, "10"),
            (25.0, "25"),
            (25.04, "25"),
            (25.06, "25.1"),
            (123.4, "123"),
            (999.7, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1500.0, "-1,500"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(Figure(number).to_string(), expected);
        }
    }
}
