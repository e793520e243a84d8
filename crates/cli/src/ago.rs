//! Moments as people type them.

use std::time::Duration;

use annals_core::Timestamp;
use chrono::{Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};

use crate::output::time::now;

/// What is said of the forms of a moment.
pub(crate) const FORMS: &str = "2026-01-31T12:00:00Z, 2026-01-31 12:00 (local time), 2026-01-31 (its beginning), or 15m, 2h, 3d, 1w ago";

/// A moment.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(ago) = duration(text) {
        let micros =
            i64::try_from(ago.as_micros()).map_err(|_| "that is too long ago".to_owned())?;
        return Ok(Timestamp::from_micros(
            now().as_micros().saturating_sub(micros),
        ));
    }
    let local = naive(text).and_then(|time| Local.from_local_datetime(&time).earliest());
    let local = local.ok_or_else(|| format!("no time; write it as {FORMS}"))?;
    Ok(local.to_utc().into())
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    let forms = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ];
    let timed = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    timed.or_else(|| {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN))
    })
}

/// An age, as an option has it.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "no age; write it as 90s, 15m, 12h, 30d or 4w".to_owned())
}

/// A length of time, as `90s`, `15m`, `2h`, `3d`, `1w`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_many_forms() {
        let moment = |text| moment(text).unwrap();
        assert_eq!(moment("1970-01-01T00:00:01Z"), Timestamp::from_seconds(1));
        assert_eq!(moment("-12us"), Timestamp::from_micros(-12));
        let hour = now().since(moment("1h")).as_secs();
        assert!((3590..3610).contains(&hour), "{hour}");
        assert!(moment("2026-01-31 12:00") > moment("2026-01-31"));
        assert!(
            super::moment("yesterday")
                .unwrap_err()
                .contains("write it as")
        );
    }
}
