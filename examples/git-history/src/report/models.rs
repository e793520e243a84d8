//! What `authors`, `churn` and `sizes` print.

use std::io::Write;

use annals::Timestamp;
use anyhow::Result;
use serde_json::{Value, json};

use super::listing::brief;
use super::{Count, Format, print_json};
use crate::read_model::{Author, Churn, Size};

/// Prints who changed how much.
pub(crate) fn authors(authors: &[Author], format: Format, out: &mut dyn Write) -> Result<()> {
    if format == Format::Json {
        let authors = authors.iter().map(|author| {
            json!({
                "author": author.name,
                "commits": author.commits,
                "changes": author.changes,
                "first": time(author.first).to_string(),
                "last": time(author.last).to_string(),
            })
        });
        return print_json(&Value::from(authors.collect::<Vec<_>>()), out);
    }
    for author in authors {
        let (commits, changes) = (Count(author.commits), Count(author.changes));
        let (first, last) = (day(author.first), day(author.last));
        let name = &author.name;
        writeln!(
            out,
            "{commits:>9} commits {changes:>9} changes  {first} to {last}  {name}"
        )?;
    }
    Ok(())
}

/// Prints how often the files below each folder changed.
pub(crate) fn churn(churn: &[Churn], format: Format, out: &mut dyn Write) -> Result<()> {
    if format == Format::Json {
        let churn = churn.iter().map(|churn| {
            json!({
                "folder": churn.folder,
                "added": churn.added,
                "changed": churn.changed,
                "removed": churn.removed,
            })
        });
        return print_json(&Value::from(churn.collect::<Vec<_>>()), out);
    }
    for churn in churn {
        let [added, changed, removed] = [churn.added, churn.changed, churn.removed].map(Count);
        let folder = &churn.folder;
        writeln!(
            out,
            "{added:>9} added {changed:>9} changed {removed:>9} removed  {folder}"
        )?;
    }
    Ok(())
}

/// Prints how large a file was over time.
pub(crate) fn sizes(sizes: &[Size], format: Format, out: &mut dyn Write) -> Result<()> {
    if format == Format::Json {
        let sizes = sizes.iter().map(|size| {
            json!({
                "time": time(size.seconds).to_string(),
                "commit": size.commit,
                "bytes": size.bytes,
            })
        });
        return print_json(&Value::from(sizes.collect::<Vec<_>>()), out);
    }
    for size in sizes {
        let (time, commit) = (time(size.seconds), brief(&size.commit));
        match size.bytes {
            Some(bytes) => writeln!(out, "{time} {commit} {:>13} bytes", Count(bytes))?,
            None => writeln!(out, "{time} {commit} {:>13}", "no file")?,
        }
    }
    Ok(())
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn day(seconds: i64) -> String {
    let mut day = time(seconds).to_string();
    day.truncate(day.find('T').unwrap_or(day.len()));
    day
}
