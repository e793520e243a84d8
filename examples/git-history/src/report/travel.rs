//! What `bisect` and `what-if` print.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::listing::{action, brief};
use super::{Count, Format, entry_json, entry_text, print_json};
use crate::events::{Content, Tree};
use crate::git::{GitPath, Link};
use crate::history::{FirstSeen, LogEntry, Misfit, Without};

/// Prints which commit first had a path.
pub(crate) fn first_seen(
    path: &GitPath,
    found: &FirstSeen,
    format: Format,
    out: &mut dyn Write,
) -> Result<()> {
    let FirstSeen {
        entry,
        folded,
        asked,
    } = found;
    let LogEntry {
        time,
        commit,
        author,
        summary,
        event,
        ..
    } = entry;
    if format == Format::Json {
        let (_, content) = action(event);
        let found = json!({
            "path": path,
            "file": event.path(),
            "commit": commit,
            "time": time.to_string(),
            "author": author,
            "summary": summary,
            "mode": content.mode,
            "id": content.id,
            "events_folded": folded,
            "states_asked": asked,
        });
        return print_json(&found, out);
    }
    writeln!(out, "{path} came with commit {commit}")?;
    if event.path() != path {
        writeln!(out, "     as {}", event.path())?;
    }
    writeln!(out, "     {time} {author}: {summary}")?;
    let (folded, asked) = (Count(*folded), Count(*asked));
    writeln!(
        out,
        "found by a look at {asked} states, folding {folded} events"
    )?;
    Ok(())
}

/// A path whose content differs between two trees: in the real one, and in the other.
type Different<'a> = (&'a GitPath, Option<&'a Content>, Option<&'a Content>);

/// Prints how the tree would differ without a commit.
pub(crate) fn without(
    link: &Link,
    without: &Without,
    format: Format,
    out: &mut dyn Write,
) -> Result<()> {
    let comparison = &without.comparison;
    let different = differences(&comparison.real, &comparison.altered);
    if format == Format::Json {
        return print_json(&json_of(link, without, &different), out);
    }
    for (path, real, altered) in &different {
        for (sign, side) in [('-', real), ('+', altered)] {
            if let Some(content) = side {
                writeln!(out, "{sign} {}", entry_text(path, content))?;
            }
        }
    }
    for Misfit {
        commit,
        path,
        reason,
    } in &without.misfits
    {
        writeln!(out, "! {} {path}: {reason}", brief(commit))?;
    }
    let more = comparison.refused_count - without.misfits.len() as u64;
    if more > 0 {
        writeln!(out, "! ... and {} more", Count(more))?;
    }
    let paths = Count(different.len() as u64);
    let (events, misfits) = (Count(comparison.left_out), Count(comparison.refused_count));
    writeln!(
        out,
        "without commit {}, which has {events} of {} events, {paths} paths would be different (- as it is, + \
         without)",
        link.id,
        Count(comparison.events)
    )?;
    if comparison.refused_count > 0 {
        writeln!(
            out,
            "{misfits} later events do not fit then, and are left out (!)"
        )?;
    }
    Ok(())
}

/// The paths that two trees have other content at.
fn differences<'a>(real: &'a Tree, altered: &'a Tree) -> Vec<Different<'a>> {
    let gone = real
        .iter()
        .map(|(path, content)| (path, Some(content), altered.get(path)));
    let come = altered
        .iter()
        .filter(|(path, _)| real.get(path).is_none())
        .map(|(path, content)| (path, None, Some(content)));
    let all = gone.chain(come).filter(|(_, left, right)| left != right);
    let mut all: Vec<Different<'a>> = all.collect();
    all.sort_by_key(|(path, _, _)| *path);
    all
}

fn json_of(link: &Link, without: &Without, different: &[Different<'_>]) -> Value {
    let comparison = &without.comparison;
    let side = |path: &GitPath, content: Option<&Content>| {
        content.map(|content| entry_json(path, content))
    };
    json!({
        "without": link.id.to_string(),
        "events": comparison.events,
        "events_left_out": comparison.left_out,
        "events_that_do_not_fit": comparison.refused_count,
        "first_that_do_not_fit": without.misfits.iter().map(|misfit| json!({
            "commit": misfit.commit, "path": misfit.path, "reason": misfit.reason,
        })).collect::<Vec<_>>(),
        "different": different.iter().map(|(path, real, altered)| json!({
            "path": path, "real": side(path, *real), "without": side(path, *altered),
        })).collect::<Vec<_>>(),
    })
}
