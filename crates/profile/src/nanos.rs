//! Durations as whole nanoseconds.

use std::time::Duration;

use serde::Serializer;

/// Nanoseconds; 584 years at most.
pub(crate) type Nanos = u64;

/// A duration in nanoseconds, the greatest where it is longer.
pub(crate) fn of(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// Writes a duration as a number of nanoseconds.
pub(crate) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(of(*duration))
}

/// A duration for people: three digits and a unit.
pub(crate) fn text(duration: Duration) -> String {
    const UNITS: [(&str, Nanos); 4] = [
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let nanos = of(duration);
    let unit = UNITS.iter().find(|(_, size)| nanos >= *size);
    let Some((unit, size)) = unit else {
        return "0".to_owned();
    };
    let whole = nanos / size;
    let hundredths = nanos % size * 100 / size;
    match whole {
        _ if *size == 1 => format!("{whole} {unit}"),
        0..10 => format!("{whole}.{hundredths:02} {unit}"),
        10..100 => format!("{whole}.{} {unit}", hundredths / 10),
        _ => format!("{whole} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_three_digits() {
        for (nanos, expected) in [
            (0, "0"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_234, "1.23 us"),
            (12_345, "12.3 us"),
            (123_456, "123 us"),
            (1_050_000, "1.05 ms"),
            (61_000_000_000, "61.0 s"),
            (7_200_000_000_000, "7200 s"),
        ] {
            assert_eq!(text(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn the_longest_is_the_greatest_number() {
        assert_eq!(of(Duration::MAX), u64::MAX);
    }
}
