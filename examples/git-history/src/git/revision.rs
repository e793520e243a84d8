//! From what a person types, a revision or a date, to a commit of the mainline.

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat};

use super::{Mainline, ObjectId, Repository};

impl Repository {
    /// The place on the mainline that a person means: of a revision, as `git rev-parse` takes it, or of
    /// the last commit that was committed by a date.
    ///
    /// A date is an RFC 3339 time or a day, `2020-01-31`, which means its end in UTC. A branch or tag
    /// that is named like a day comes first.
    ///
    /// # Errors
    /// For an unknown revision, for a day that no calendar has, for a commit that is not on the mainline
    /// (with the one that brought it there, if any did), and for a date before the first commit.
    pub fn resolve(&self, mainline: &Mainline, text: &str) -> Result<usize> {
        match instant(text) {
            Some(seconds) if !self.is_reference(text) => at_time(mainline, text, seconds),
            None if is_written_as_day(text) && !self.is_reference(text) => {
                bail!("there is no day {text}; give one such as 2020-01-31")
            }
            _ => self.at_revision(mainline, text),
        }
    }

    fn is_reference(&self, text: &str) -> bool {
        matches!(self.inner.try_find_reference(text), Ok(Some(_)))
    }

    fn at_revision(&self, mainline: &Mainline, text: &str) -> Result<usize> {
        // What the library says of it is about its insides.
        let unknown = |_: gix::Error| {
            anyhow!(
                "{text} names no commit here; give a branch, a tag, a hash of enough digits to be the only \
                 one, or a date such as 2020-01-31"
            )
        };
        let object = self
            .inner
            .rev_parse_single(text)
            .and_then(|id| id.object())
            .map_err(unknown)?;
        let commit = object.peel_to_commit().map_err(unknown)?.id;
        if let Some(index) = mainline.index_of(commit) {
            return Ok(index);
        }
        let brought = self.first_containing(mainline, commit);
        match brought.and_then(|index| mainline.links().get(index)) {
            Some(link) => bail!(
                "{text} (commit {commit}) is not on the mainline of HEAD; commit {} brought it there",
                link.id
            ),
            None => {
                bail!("{text} (commit {commit}) is not on the mainline of HEAD, nor merged into it")
            }
        }
    }

    /// The first commit of the mainline that has `commit` in its history; `None` as well when that can't
    /// be told, as in a shallow clone.
    fn first_containing(&self, mainline: &Mainline, commit: ObjectId) -> Option<usize> {
        let cache = self.inner.commit_graph_if_enabled().ok()?;
        let mut graph = self.inner.revision_graph(cache.as_ref());
        let mut contains = |link: ObjectId| {
            let base = self.inner.merge_base_with_graph(commit, link, &mut graph);
            matches!(base, Ok(Some(base)) if base.detach() == commit)
        };
        // Whatever is in the history of one commit is in that of all later ones.
        let index = mainline.links().partition_point(|link| !contains(link.id));
        (index < mainline.len()).then_some(index)
    }
}

/// The moment that a date means, in seconds since 1970.
fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let spelled_in_full = day.to_string() == text;
    let next_day = day
        .checked_add_days(Days::new(1))?
        .and_time(NaiveTime::MIN)
        .and_utc();
    spelled_in_full.then(|| next_day.timestamp() - 1)
}

/// Whether a text has the form of a day, which need not be one.
fn is_written_as_day(text: &str) -> bool {
    let form = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == "2020-01-31".len() && text.bytes().enumerate().all(form)
}

fn at_time(mainline: &Mainline, text: &str, seconds: i64) -> Result<usize> {
    let last = mainline
        .links()
        .iter()
        .rposition(|link| link.seconds <= seconds);
    last.ok_or_else(|| {
        let first = mainline
            .links()
            .iter()
            .map(|link| link.seconds)
            .min()
            .unwrap_or_default();
        let first = DateTime::from_timestamp(first, 0)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
            .unwrap_or_default();
        anyhow!("nothing was committed by {text}; the first commit of the mainline is of {first}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_moment_and_a_day_means_its_end() {
        let cases = [
            ("1970-01-01", Some(86_399)),
            ("1969-12-31", Some(-1)),
            ("2020-01-31T12:00:00Z", Some(1_580_472_000)),
            ("2020-01-31T12:00:00+01:00", Some(1_580_468_400)),
            ("2020-02-30", None),
            ("2020-1-31", None),
            ("20200131", None),
            ("HEAD", None),
            ("v1.0-2020-01-31", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(instant(text), seconds, "{text}");
        }
    }
}
