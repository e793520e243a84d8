//! What `at` and `log` print.

use std::io::Write;

use annals::Timestamp;
use anyhow::Result;
use serde_json::{Value, json};

use super::{Format, entry_json, entry_text, print_json};
use crate::events::{FileEvent, Tree};
use crate::git::Link;
use crate::history::LogEntry;

/// Prints a tree, as `git ls-tree -r` does but for the text form of paths.
pub(crate) fn tree(link: &Link, tree: &Tree, format: Format, out: &mut dyn Write) -> Result<()> {
    if format == Format::Json {
        let entries = tree.iter().map(|(path, content)| entry_json(path, content));
        let commit = json!({
            "commit": link.id.to_string(),
            "time": Timestamp::from_seconds(link.seconds).to_string(),
            "entries": entries.collect::<Vec<_>>(),
        });
        return print_json(&commit, out);
    }
    for (path, content) in tree.iter() {
        writeln!(out, "{}", entry_text(path, content))?;
    }
    Ok(())
}

/// Prints the history of a file.
pub(crate) fn log(entries: &[LogEntry], format: Format, out: &mut dyn Write) -> Result<()> {
    if format == Format::Json {
        let entries = entries.iter().map(|entry| {
            let (action, content) = action(&entry.event);
            json!({
                "version": entry.version.value(),
                "commit": entry.commit,
                "time": entry.time.to_string(),
                "author": entry.author,
                "summary": entry.summary,
                "action": action,
                "mode": content.mode,
                "id": content.id,
            })
        });
        return print_json(&Value::from(entries.collect::<Vec<_>>()), out);
    }
    for entry in entries {
        let (action, content) = action(&entry.event);
        let LogEntry {
            version,
            time,
            commit,
            author,
            summary,
            ..
        } = entry;
        writeln!(
            out,
            "{version:>4} {time} {} {action}{}",
            brief(commit),
            content.text()
        )?;
        writeln!(out, "     {author}: {summary}")?;
    }
    Ok(())
}

/// What an event says of the content, as far as it does.
#[derive(Default)]
pub(super) struct Told {
    pub(super) mode: Option<&'static str>,
    pub(super) id: Option<String>,
}

impl Told {
    fn text(&self) -> String {
        let mut text = String::new();
        for part in [self.mode, self.id.as_deref().map(brief)]
            .into_iter()
            .flatten()
        {
            text.push(' ');
            text.push_str(part);
        }
        text
    }
}

/// What an event is called, and what it says.
pub(super) fn action(event: &FileEvent) -> (&'static str, Told) {
    match event {
        FileEvent::Added { mode, blob, .. } => (
            "added",
            Told {
                mode: Some(mode.as_octal()),
                id: Some(blob.to_string()),
            },
        ),
        FileEvent::Changed { mode, blob, .. } => (
            "changed",
            Told {
                mode: Some(mode.as_octal()),
                id: Some(blob.to_string()),
            },
        ),
        FileEvent::ModeChanged { mode, .. } => (
            "mode-changed",
            Told {
                mode: Some(mode.as_octal()),
                id: None,
            },
        ),
        FileEvent::Removed { .. } => ("removed", Told::default()),
    }
}

/// The first digits of an id, enough to tell it from others at a glance.
pub(super) fn brief(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}
