//! What `verify` prints.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Count, Format, entry_json, entry_text, print_json};
use crate::events::Content;
use crate::git::GitPath;
use crate::verify::{Difference, Verification};

/// A verification, and how it was made.
pub(crate) struct Verified<'a> {
    pub(crate) verification: &'a Verification,
    pub(crate) source: &'a str,
    /// How many commits the mainline has.
    pub(crate) total: usize,
    /// By which the commits were chosen; none when all were compared.
    pub(crate) seed: Option<u64>,
    pub(crate) took: Duration,
}

impl Verified<'_> {
    pub(crate) fn print(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        match format {
            Format::Text => self.print_text(out),
            Format::Json => print_json(&self.json(), out),
        }
    }

    fn print_text(&self, out: &mut dyn Write) -> Result<()> {
        let Verification {
            commits,
            entries,
            different,
            differences,
        } = self.verification;
        for Difference {
            commit,
            path,
            folded,
            listed,
        } in differences
        {
            writeln!(out, "commit {commit}")?;
            for (sign, side) in [('-', listed), ('+', folded)] {
                if let Some(content) = side {
                    writeln!(out, "{sign} {}", entry_text(path, content))?;
                }
            }
        }
        let more = different.saturating_sub(differences.len() as u64);
        if more > 0 {
            writeln!(out, "... and {} more", Count(more))?;
        }
        let chosen = self
            .seed
            .map_or_else(|| "all".to_owned(), |seed| format!("seed {seed}"));
        writeln!(
            out,
            "compared {} of {} commits ({chosen}), {} entries, with {} in {:.2?}",
            Count(*commits as u64),
            Count(self.total as u64),
            Count(*entries),
            self.source,
            self.took
        )?;
        match different {
            0 => writeln!(out, "the folded tree is the commit's own at every one")?,
            _ => writeln!(
                out,
                "{} paths differ (- the commit's, + folded)",
                Count(*different)
            )?,
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let Verification {
            commits,
            entries,
            different,
            differences,
        } = self.verification;
        let side = |path: &GitPath, content: &Option<Content>| {
            content.as_ref().map(|content| entry_json(path, content))
        };
        json!({
            "against": self.source,
            "commits": commits,
            "commits_of_mainline": self.total,
            "seed": self.seed,
            "entries": entries,
            "seconds": self.took.as_secs_f64(),
            "different": different,
            "differences": differences.iter().map(|difference| json!({
                "commit": difference.commit.to_string(),
                "path": difference.path,
                "folded": side(&difference.path, &difference.folded),
                "listed": side(&difference.path, &difference.listed),
            })).collect::<Vec<_>>(),
        })
    }
}
