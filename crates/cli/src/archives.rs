//! The archives that stores of this run may have segments in.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use annals_archive_object::ObjectArchives;
use annals_store_log::Archives;

use crate::failure::{Failure, Result};

/// What the run that began last was told. A program is one run.
static OF_THIS_RUN: RwLock<Option<Archives>> = RwLock::new(None);

/// An archive that is at another place than a store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    from: String,
    to: String,
}

impl FromStr for Moved {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_place = |place: &str| place.contains("://") || Path::new(place).is_absolute();
        match text.split_once('=') {
            Some((from, to)) if is_place(from) && is_place(to) => Ok(Self {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
            _ => Err("give two places with = between, each an absolute path or a URL".to_owned()),
        }
    }
}

/// Begins a run, which finds archives so.
pub(crate) fn begin(moved: &[Moved]) {
    let known = Archives::default().opened_by(Arc::new(ObjectArchives::from_env()));
    let archives = moved.iter().fold(known, |archives, it| {
        archives.moved(it.from.clone(), it.to.clone())
    });
    let mut of_this_run = OF_THIS_RUN.write().unwrap_or_else(PoisonError::into_inner);
    *of_this_run = Some(archives);
}

/// How stores of this run find their archives.
pub(crate) fn archives() -> Archives {
    let of_this_run = OF_THIS_RUN.read().unwrap_or_else(PoisonError::into_inner);
    of_this_run.clone().unwrap_or_default()
}

/// A place for an archive, as the store keeps it: a URL as it is, a path as an absolute one.
pub(crate) fn place(text: &str) -> Result<String> {
    if text.contains("://") {
        // It may hold a key: it is shown once it is known to hold none.
        return match archives().check(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(Failure::usage(error.to_string()))
            }
            Err(error) => Err(Failure::usage(format!("{text} can be no archive: {error}"))),
        };
    }
    let absolute = std::path::absolute(text);
    let absolute = absolute.map_err(|error| Failure::file("find", Path::new(text), &error))?;
    let place = absolute.into_os_string().into_string();
    place.map_err(|path| {
        let path = path.display();
        Failure::usage(format!("{path} can't be kept as the place of an archive"))
            .hint("name a directory whose path is UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_moved_has_two_places() {
        let moved: Moved = "/mnt/cold=s3://bucket/cold".parse().unwrap();
        assert_eq!(
            (&*moved.from, &*moved.to),
            ("/mnt/cold", "s3://bucket/cold")
        );
        for wrong in ["/mnt/cold", "cold=/mnt/cold", "/mnt/cold=cold", "="] {
            let refused = wrong.parse::<Moved>().unwrap_err();
            assert!(refused.contains("two places"), "{refused}");
        }
    }
}
