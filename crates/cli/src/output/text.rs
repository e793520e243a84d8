//! Texts for terminals: nothing in a store moves the cursor or changes colours.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use annals_core::Position;

/// The text with everything that a terminal would act on spelled out.
pub(crate) fn one_line(text: &str) -> String {
    if !text.chars().any(is_active) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_active(c) {
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, and those that turn the direction of a line or hide.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text up to so many characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    if text.char_indices().nth(chars_max).is_none() {
        return text.to_owned();
    }
    let kept = text.chars().take(chars_max.saturating_sub(3));
    kept.chain("...".chars()).collect()
}

/// A count with its noun, as `1 event`, `2 events`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let number_text = grouped(number);
    match number {
        1 => format!("{number_text} {noun}"),
        _ => format!("{number_text} {noun}s"),
    }
}

/// Positions that follow each other: `5 to 6`, or `5` where there is one.
pub(crate) fn positions(range: &RangeInclusive<Position>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last {
        return first.to_string();
    }
    format!("{first} to {last}")
}

/// A number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, as `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in UNITS.into_iter().skip(1) {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

/// A size as people type it: `64MiB`, `512KiB`, `1GiB`, or a number of bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let found = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = found.unwrap_or((text, 1));
    let bytes = number.trim().parse::<u64>().ok();
    bytes
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "no size; write it as 64MiB, 512KiB, 1GiB or a number of bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        assert_eq!(
            one_line("a\u{1b}[31mb\nc\u{202e}d"),
            "a\\u{1b}[31mb\\nc\\u{202e}d"
        );
        assert_eq!(one_line("plain \u{e9}"), "plain \u{e9}");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("10 KiB"), Ok(10 << 10));
        assert_eq!((parse_bytes("7"), parse_bytes("7B")), (Ok(7), Ok(7)));
        assert!(parse_bytes("64MB").unwrap_err().contains("write it as"));
        assert_eq!(count(1, "event"), "1 event");
        assert_eq!(count(1_234_567, "event"), "1,234,567 events");
        assert_eq!(
            (bytes(1023), bytes(1536), bytes(5 << 30)),
            ("1023 B".into(), "1.5 KiB".into(), "5.0 GiB".into())
        );
        assert_eq!(
            (cut("abcdef", 6), cut("abcdefg", 6)),
            ("abcdef".into(), "abc...".into())
        );
    }
}
