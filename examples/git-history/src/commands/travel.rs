//! The commands that ask about other moments, and other histories, than the present one.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};

use super::{Loaded, Outcome, Target, paths_meant, while_read};
use crate::git::Repository;
use crate::history::TimeTravel;
use crate::progress::Step;
use crate::report::{self, Format};

/// Finds the commit that first had a file or a folder.
pub(super) fn bisect(
    path: &Path,
    file: &OsStr,
    target: Target<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let meant = paths_meant(file)?;
    let loaded = Loaded::open(path, target)?;
    loaded.note(target.store);
    let travel = TimeTravel::new(loaded.kept.shared());
    for path in &meant {
        let path = path.without_slash();
        let step = Step::begin("searching", 0);
        let found = travel.first_with(&path, step.observer())?;
        step.end();
        if let Some(found) = found {
            while_read(report::first_seen(&path, &found, format, out))?;
            drop(travel);
            loaded.kept.close()?;
            return Ok(Outcome::Done);
        }
    }
    bail!(
        "{} never was in the mainline of HEAD; give the path from the top of the tree",
        file.display()
    )
}

/// Shows what the tree would be without a commit.
pub(super) fn what_if(
    path: &Path,
    without: &str,
    target: Target<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let repository = Repository::open(path)?;
    let mainline = repository.mainline()?;
    // A revision that there is not is told before the work, not after.
    let place = repository.resolve(&mainline, without)?;
    let loaded = Loaded::import(repository, mainline, target)?;
    loaded.note(target.store);
    let link = *loaded.mainline.link(place)?;
    let travel = TimeTravel::new(loaded.kept.shared());
    let step = Step::begin("replaying", 0);
    let compared = travel.without(link.id, step.observer())?;
    step.end();
    while_read(report::without(&link, &compared, format, out))?;
    drop(travel);
    loaded.kept.close()?;
    Ok(Outcome::Done)
}
