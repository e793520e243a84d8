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

    /// Splits at the `=` on whose sides are places: a place may have one in its name.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_place = |place: &str| place.contains("://") || Path::new(place).is_absolute();
        let splits = text.match_indices('=').filter_map(|(at, _)| {
            let (from, to) = (text.get(..at)?, text.get(at + 1..)?);
            (is_place(from) && is_place(to)).then_some((from, to))
        });
        match splits.collect::<Vec<_>>()[..] {
            [(from, to)] => Ok(Self {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
            [] => Err("give two places with = between, each an absolute path or a URL".to_owned()),
            _ => Err(
                "there are several = with a place on either side; give places without one"
                    .to_owned(),
            ),
        }
    }
}

/// The scheme of what was meant to be a URL, and has a slash too few, or two.
fn mistyped(text: &str) -> Option<&str> {
    const SCHEMES: [&str; 11] = [
        "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "http", "https", "file",
    ];
    let (scheme, rest) = text.split_once(':')?;
    (SCHEMES.contains(&scheme) && !rest.starts_with("//")).then_some(scheme)
}

/// A place, as it is compared with another: it may be written as a URL of a file, and with a slash at its end.
fn compared(place: &str) -> &str {
    let path = place.strip_prefix("file://").unwrap_or(place);
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}

impl Moved {
    /// The ways in which a store may have written down where the archive was.
    fn froms(&self) -> Vec<String> {
        let from = compared(&self.from);
        let mut froms = vec![self.from.clone(), from.to_owned(), format!("{from}/")];
        if !from.contains("://") {
            froms.extend([format!("file://{from}"), format!("file://{from}/")]);
        }
        froms
    }

    /// Whether it is said of one of these.
    fn is_of(&self, locations: &[String]) -> bool {
        let mut locations = locations.iter();
        locations.any(|it| compared(it) == compared(&self.from))
    }
}

/// Begins a run, which finds archives so.
pub(crate) fn begin(moved: &[Moved]) {
    let known = Archives::default().opened_by(Arc::new(ObjectArchives::from_env()));
    let archives = moved.iter().fold(known, |archives, it| {
        let froms = it.froms().into_iter();
        froms.fold(archives, |archives, from| {
            archives.moved(from, it.to.clone())
        })
    });
    let mut of_this_run = OF_THIS_RUN.write().unwrap_or_else(PoisonError::into_inner);
    *of_this_run = Some(archives);
}

/// What is wrong where an archive is said to have moved that is none of the store, which has these.
pub(crate) fn unknown(moved: &[Moved], locations: &[String]) -> Option<String> {
    // What was given may hold a key, and is not repeated.
    moved.iter().find(|it| !it.is_of(locations))?;
    let known = if locations.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", locations.join(", "))
    };
    Some(format!(
        "--archive-moved speaks of a place that is no archive of this store; {known}"
    ))
}

/// How stores of this run find their archives.
pub(crate) fn archives() -> Archives {
    let of_this_run = OF_THIS_RUN.read().unwrap_or_else(PoisonError::into_inner);
    of_this_run.clone().unwrap_or_default()
}

/// A place for an archive, as the store keeps it: a URL as it is, a path as an absolute one.
pub(crate) fn place(text: &str) -> Result<String> {
    if let Some(scheme) = mistyped(text) {
        // The rest may hold a key.
        let message = format!("that is no URL: two slashes come after {scheme}:");
        return Err(Failure::usage(message).hint(format!(
            "write {scheme}://..., or ./{scheme}:... for a directory that is called so"
        )));
    }
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
        for (text, from, to) in [
            ("/mnt/a=b=/mnt/c", "/mnt/a=b", "/mnt/c"),
            ("/mnt/a=s3://b/year=2024", "/mnt/a", "s3://b/year=2024"),
        ] {
            let moved: Moved = text.parse().unwrap();
            assert_eq!((&*moved.from, &*moved.to), (from, to));
        }
        let refused = "/a=/b=/c".parse::<Moved>().unwrap_err();
        assert!(refused.contains("several"), "{refused}");
        for wrong in [
            "/mnt/cold",
            "cold=/mnt/cold",
            "/mnt/cold=cold",
            "=",
            "/mnt/cold=s3:/b",
        ] {
            let refused = wrong.parse::<Moved>().unwrap_err();
            assert!(refused.contains("two places"), "{refused}");
        }
    }

    #[test]
    fn where_an_archive_was_is_known_however_it_is_written() {
        let moved = |text: &str| text.parse::<Moved>().unwrap();
        for (text, location) in [
            ("/mnt/cold/=/new", "/mnt/cold"),
            ("/mnt/cold=/new", "/mnt/cold/"),
            ("/mnt/cold=/new", "file:///mnt/cold"),
            ("file:///mnt/cold=/new", "/mnt/cold"),
            ("file:///mnt/cold/=/new", "file:///mnt/cold"),
            ("s3://bucket/cold/=/new", "s3://bucket/cold"),
        ] {
            let moved = moved(text);
            assert!(moved.froms().iter().any(|it| it == location), "{text}");
            let locations = [location.to_owned()];
            assert!(moved.is_of(&locations), "{text}");
            assert_eq!(unknown(&[moved], &locations), None);
        }
        let other = [moved("/mnt/other=/new")];
        let said = unknown(&other, &["s3://bucket/cold".to_owned()]).unwrap();
        assert!(
            said.contains("s3://bucket/cold") && !said.contains("/mnt"),
            "{said}"
        );
        assert!(unknown(&other, &[]).unwrap().contains("none"));
    }

    #[test]
    fn a_url_that_is_mistyped_is_no_directory() {
        for mistyped in ["s3:/bucket", "s3:bucket", "https:/host", "file:/mnt/cold"] {
            let refused = place(mistyped).unwrap_err();
            assert!(refused.message.contains("two slashes"), "{mistyped}");
        }
        for path in ["./s3:bucket", "s3", "c:d"] {
            assert!(place(path).is_ok(), "{path}");
        }
    }
}
