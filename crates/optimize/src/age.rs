//! Lengths of time as people write them in a policy: `30d`, `12h`, `90s`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

/// The units, the longest first, and how many nanoseconds each has.
const UNITS: [(&str, u128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

/// A whole number of one unit, as `30d`; `None` where it is not that.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(digits);
    let (_, nanos) = UNITS.iter().find(|(unit, _)| *unit == name)?;
    let nanos = number.parse::<u128>().ok()?.checked_mul(*nanos)?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

/// The age in the longest unit of which it is a whole number.
pub(crate) fn text(age: Duration) -> String {
    let nanos = age.as_nanos();
    let fits = |(_, unit): &&(&str, u128)| nanos.is_multiple_of(*unit) && nanos >= *unit;
    let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(("s", 1));
    format!("{}{name}", nanos / unit)
}

/// Writes an age as text.
#[expect(clippy::ref_option, reason = "as serde calls it")]
pub(crate) fn serialize<S: Serializer>(
    age: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    age.map(text).serialize(serializer)
}

/// Reads an age from text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let age = parse(&text).ok_or_else(|| {
        let message = format!("`{text}` is no age; write it as 90s, 15m, 12h, 30d or 4w");
        D::Error::custom(message)
    })?;
    Ok(Some(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        for (written, age, again) in [
            ("90s", Duration::from_secs(90), "90s"),
            ("120s", Duration::from_mins(2), "2m"),
            ("48h", Duration::from_hours(48), "2d"),
            ("4w", Duration::from_hours(4 * 7 * 24), "4w"),
            ("1500ms", Duration::from_millis(1500), "1500ms"),
            ("7ns", Duration::from_nanos(7), "7ns"),
            ("0s", Duration::ZERO, "0s"),
        ] {
            assert_eq!(parse(written), Some(age), "{written}");
            assert_eq!(text(age), again);
        }
        assert_eq!(parse(&text(Duration::MAX)), Some(Duration::MAX));
        for wrong in [
            "",
            "30",
            "d",
            "1.5h",
            "-1d",
            "30 d",
            "1month",
            "1d2h",
            "99999999999999999999w",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
