//! The commands that answer out of read models, and what keeps these.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use annals::StoreAddress;
use anyhow::{Context as _, Result, bail};

use super::{Outcome, Target, paths_meant, while_read};
use crate::git::Repository;
use crate::kept::Kept;
use crate::read_model::{Projecting, ReadModels};
use crate::report::{self, Format};

/// Begins to keep the read models, where a file is named.
pub(super) fn begin(
    target: Target<'_>,
    repository: &Repository,
    kept: &Kept,
) -> Result<Option<Projecting>> {
    let Some(file) = target.read_model else {
        return Ok(None);
    };
    if matches!(target.store, None | Some(StoreAddress::Memory)) {
        bail!("read models are of a store that stays; name it with --store STORE");
    }
    let projecting = Projecting::begin(file, repository, kept.shared());
    projecting
        .with_context(|| format!("the read models in {} can't be kept", file.display()))
        .map(Some)
}

pub(super) fn authors(file: &Path, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let authors = open(file)?.authors()?;
    while_read(report::authors(&authors, format, out))?;
    Ok(Outcome::Done)
}

pub(super) fn churn(file: &Path, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let churn = open(file)?.churn()?;
    while_read(report::churn(&churn, format, out))?;
    Ok(Outcome::Done)
}

pub(super) fn sizes(
    file: &Path,
    path: &OsStr,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let models = open(file)?;
    for meant in paths_meant(path)? {
        let sizes = models.sizes(&meant)?;
        if !sizes.is_empty() {
            while_read(report::sizes(&sizes, format, out))?;
            return Ok(Outcome::Done);
        }
    }
    bail!(
        "{} is in no commit that {} knows; give the path of a file from the top of the tree",
        path.display(),
        file.display()
    )
}

fn open(file: &Path) -> Result<ReadModels> {
    ReadModels::open(file).with_context(|| {
        let file = file.display();
        format!("the read models in {file} can't be read; `import --read-model {file}` makes them")
    })
}
