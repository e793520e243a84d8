//! What `import` prints.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Count, Format, print_json};
use crate::git::{Mainline, Root};
use crate::history::{Imported, Summary};

/// How many files and authors the summary of an import names.
const TOP: usize = 10;

/// An import, and what there is now.
pub(crate) struct Import<'a> {
    pub(crate) place: &'a Path,
    /// Where the history is kept, if it is.
    pub(crate) store: Option<String>,
    pub(crate) mainline: &'a Mainline,
    pub(crate) imported: &'a Imported,
    pub(crate) summary: &'a Summary,
    pub(crate) imported_in: Duration,
    pub(crate) folded_in: Duration,
}

impl Import<'_> {
    pub(crate) fn print(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        match format {
            Format::Text => self.print_text(out),
            Format::Json => print_json(&self.json(), out),
        }
    }

    fn print_text(&self, out: &mut dyn Write) -> Result<()> {
        let Self {
            imported, summary, ..
        } = self;
        let commits = self.mainline.len() as u64;
        let read = commits.saturating_sub(imported.known as u64);
        writeln!(out, "{}", self.place.display())?;
        if let Some(edge) = self.edge() {
            writeln!(
                out,
                "a shallow clone: what was before {edge} is not here, its files appear as added in it"
            )?;
        }
        writeln!(
            out,
            "{:>11} commits, of which {} changed files",
            Count(commits),
            Count(summary.commits)
        )?;
        writeln!(out, "{:>11} events", Count(summary.events))?;
        writeln!(
            out,
            "{:>11} streams, one for each path; {} files are there now",
            Count(summary.changes.len() as u64),
            Count(summary.tree.len() as u64)
        )?;
        writeln!(out)?;
        if let Some(store) = &self.store {
            writeln!(
                out,
                "kept in {store}, which had {} of the commits before",
                Count(imported.known as u64)
            )?;
        }
        match read {
            0 => writeln!(out, "up to date with HEAD: nothing was imported")?,
            _ => writeln!(
                out,
                "imported in {:.2?}: {} commits/s, {} events/s, reading git included",
                self.imported_in,
                rate(read, self.imported_in),
                rate(imported.events as u64, self.imported_in),
            )?,
        }
        writeln!(
            out,
            "folded in {:.2?}: {} events/s",
            self.folded_in,
            rate(summary.events, self.folded_in)
        )?;
        writeln!(out, "\nmost changed files")?;
        for (path, count) in top(&summary.changes) {
            writeln!(out, "{:>11} {path}", Count(count))?;
        }
        writeln!(out, "\nbusiest authors, by commits of the mainline")?;
        for (author, count) in top(&summary.authors) {
            writeln!(out, "{:>11} {author}", Count(count))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let Self {
            imported, summary, ..
        } = self;
        let named = |name: &str, key: &dyn Display, count: u64| json!({ name: key.to_string(), "count": count });
        json!({
            "repository": self.place.to_string_lossy(),
            "store": self.store,
            "shallow_edge": self.edge().map(|id| id.to_string()),
            "commits": self.mainline.len(),
            "commits_without_changes": (self.mainline.len() as u64).saturating_sub(summary.commits),
            "commits_known": imported.known,
            "events_imported": imported.events,
            "events": summary.events,
            "streams": summary.changes.len(),
            "files_now": summary.tree.len(),
            "import_seconds": self.imported_in.as_secs_f64(),
            "fold_seconds": self.folded_in.as_secs_f64(),
            "most_changed_files": top(&summary.changes)
                .map(|(path, count)| named("path", path, count))
                .collect::<Vec<_>>(),
            "busiest_authors": top(&summary.authors)
                .map(|(author, count)| named("author", author, count))
                .collect::<Vec<_>>(),
        })
    }

    /// The oldest commit of a shallow clone.
    fn edge(&self) -> Option<impl Display + use<>> {
        let shallow = self.mainline.root() == Root::Shallow;
        self.mainline
            .links()
            .first()
            .filter(|_| shallow)
            .map(|link| link.id)
    }
}

/// The keys with the highest counts, highest first.
fn top<K: Ord>(counts: &BTreeMap<K, u64>) -> impl Iterator<Item = (&K, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(key, count)| (key, *count)).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    counts.into_iter().take(TOP)
}

fn rate(count: u64, took: Duration) -> Count {
    // Rounded for people.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rate of three digits is told, not computed with"
    )]
    let per_second = (count as f64 / took.as_secs_f64().max(1e-9)) as u64;
    Count(per_second)
}
