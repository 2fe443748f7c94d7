//! Times, rates, shares and sizes, as people write them, within what can be done.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;

/// Nobody waits longer, and clocks can still count to twice that.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// A time: `500ms`, `30s`, `5m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1)..=YEAR, "from 1ms to a year")
}

/// The same, and `0s`.
pub(super) fn time_or_none(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=YEAR, "of at most a year")
}

fn within(text: &str, range: RangeInclusive<Duration>, bounds: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if range.contains(&time) => Ok(time),
        _ => Err(format!("expected a time such as 30s or 5m, {bounds}")),
    }
}

/// So many each second: `20`, `20/s`, `90/min`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
        Some((number, "min" | "m")) => (number, 60.0),
        Some(_) => (text, 1.0),
    };
    match number.trim().parse::<f64>().map(|number| number / seconds) {
        // One in a month is the least that anybody can wait for.
        Ok(rate) if (3e-7..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected a rate such as 20/s or 90/min".to_owned()),
    }
}

/// A part of all: `10%`, `0.1`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=whole).contains(&number) => Ok(number / whole),
        _ => Err("expected a share such as 10% or 0.1".to_owned()),
    }
}

/// So many bytes each second: `10KB/s`, `1MiB`.
pub(super) fn byte_rate(text: &str) -> Result<u64, String> {
    match text.trim_end_matches("/s").parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("expected a rate such as 10KB/s".to_owned()),
    }
}

/// A note for the server: `KEY=VALUE`.
pub(super) fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        assert_eq!(rate("20"), Ok(20.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        assert_eq!(rate("90/min"), Ok(1.5));
        assert_eq!(rate("60000000/min"), Ok(1e6));
        assert_eq!(share("10%"), Ok(0.1));
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(share("1"), Ok(1.0));
        assert_eq!(byte_rate("10KB/s"), Ok(10_000));
        assert_eq!(byte_rate("1KiB"), Ok(1024));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1y").map(|time| time <= YEAR), Ok(true));
        assert_eq!(time_or_none("0s"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "30",
            "-1s",
            "2y",
            "500000000000y",
            "1e9y",
            "99999999999999999999s",
        ] {
            assert!(
                time(wrong).is_err() && time_or_none(wrong).is_err(),
                "{wrong}"
            );
        }
        assert!(time("0s").is_err() && time("999us").is_err());
        for wrong in [
            "", "0", "-1", "nan", "inf", "5/h", "x/s", "1e-20", "1e7", "3e-7/min",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "101%", "1.5", "-1%", "nan"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(byte_rate("0").is_err() && byte_rate("fast").is_err());
    }
}
