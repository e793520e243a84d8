//! What `tail` prints.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use super::listing::{action, brief};
use super::{Count, Format};
use crate::history::RecordedCommit;

/// Prints a commit: a line for people, or a line of JSON with all that it changed.
pub(crate) fn commit(commit: &RecordedCommit, format: Format, out: &mut dyn Write) -> Result<()> {
    let RecordedCommit {
        position,
        commit,
        time,
        author,
        summary,
        changes,
    } = commit;
    if format == Format::Text {
        let (count, commit) = (Count(changes.len() as u64), brief(commit));
        let paths = if changes.len() == 1 { "path" } else { "paths" };
        writeln!(
            out,
            "{position:>9} {time} {commit} {count:>5} {paths:<5} {author}: {summary}"
        )?;
        return Ok(());
    }
    let changes = changes.iter().map(|(version, event)| {
        let (action, content) = action(event);
        json!({
            "path": event.path(),
            "version": version.value(),
            "action": action,
            "mode": content.mode,
            "id": content.id,
        })
    });
    let line = json!({
        "position": position.value(),
        "commit": commit,
        "time": time.to_string(),
        "author": author,
        "summary": summary,
        "changes": changes.collect::<Vec<_>>(),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
