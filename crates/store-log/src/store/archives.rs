//! The archives that a store has segments in.

use annals_core::Error;

use super::error::from_log;
use super::open::LogStoreBuilder;

/// An archive that a store has segments in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveSummary {
    /// Where it is, as the store knows it: a directory, or a URL.
    pub location: String,
    /// How many segments are there.
    pub segments: usize,
    /// How many bytes their files have.
    pub bytes: u64,
}

impl LogStoreBuilder {
    /// The archives that the store in this directory has segments in, in the order of their first segments. The store may
    /// be open meanwhile, in this process or another; none of the archives is looked at.
    ///
    /// # Errors
    /// `Unavailable` when there is no store.
    pub fn archives_in_use(&self) -> Result<Vec<ArchiveSummary>, Error> {
        let follower = self.log_follower();
        let view = follower.map_err(|it| it.during("list archives"))?.view();
        let mut archives: Vec<ArchiveSummary> = Vec::new();
        for segment in view.segments() {
            let (Some(location), Some(bytes)) = (segment.archive(), segment.archived_bytes())
            else {
                continue;
            };
            match archives.iter_mut().find(|it| it.location == location) {
                Some(known) => {
                    known.segments += 1;
                    known.bytes += bytes;
                }
                None => archives.push(ArchiveSummary {
                    location: location.to_owned(),
                    segments: 1,
                    bytes,
                }),
            }
        }
        Ok(archives)
    }

    /// Whether the archive at this location, as the store knows it, is within reach: opens the file of one segment there.
    ///
    /// # Errors
    /// `Unavailable` when it can't be reached, `Corrupt` when the file is not there or not the one that was archived.
    pub fn reach_archive(&self, location: &str) -> Result<(), Error> {
        let follower = self.log_follower();
        let view = follower.map_err(|it| it.during("reach archive"))?.view();
        let mut segments = view.segments();
        let Some(segment) = segments.find(|it| it.archive() == Some(location)) else {
            return Ok(());
        };
        let opened = view.reach(segment);
        opened.map_err(|error| from_log(error).during("reach archive"))
    }
}
