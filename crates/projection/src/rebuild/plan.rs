//! What a rebuild will do.

use std::fmt;

use annals_core::{Error, ErrorKind, Version};

use super::versions::{RecordedVersions, VersionStanding};

/// What is yet to be done until a new version of a projection is live: a value, to be looked at before it is applied.
///
/// ```
/// # use std::sync::Arc;
/// # use annals_projection::{ProjectionVersions, RebuildPlan};
/// # use annals_store_memory::MemoryStore;
/// # futures_executor::block_on(async {
/// let versions = ProjectionVersions::new(Arc::new(MemoryStore::new()), "revenue", 1)?;
/// let plan = RebuildPlan::new("revenue", &versions.read().await?, 2)?;
/// assert_eq!(
///     plan.to_string(),
///     "revenue: v1 is live; record v2 as begun, build v2 beside v1, compare v2 with v1, then v2 can be cut over to"
/// );
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildPlan {
    projection: String,
    live: u32,
    version: u32,
    pub(super) revision: Version,
    steps: Vec<RebuildStep>,
}

/// A step of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildStep {
    /// It is recorded that the version is being built.
    Begin,
    /// The version is fed with all events.
    Build,
    /// It is compared with the live version.
    Compare,
}

impl RebuildPlan {
    /// What is to be done for this version, by what is recorded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when another version is being built, and when this one is not newer than all that there
    /// ever were, or was dropped.
    pub fn new(projection: &str, recorded: &RecordedVersions, version: u32) -> Result<Self, Error> {
        let refused = |message: &'static str| {
            let error = Error::new(ErrorKind::Invalid, message).during("plan a rebuild");
            error
                .with("projection", projection)
                .with("version", version)
        };
        let steps = match recorded.standing(version) {
            None if recorded.building().is_some() => {
                return Err(refused("another version is being built; drop it first"));
            }
            None if version < recorded.newest() => {
                return Err(refused("version is older than others; raise it above all"));
            }
            None => vec![RebuildStep::Begin, RebuildStep::Build, RebuildStep::Compare],
            Some(VersionStanding::Building) => match recorded.comparison() {
                Some(comparison) if comparison.is_passed() => vec![RebuildStep::Build],
                _ => vec![RebuildStep::Build, RebuildStep::Compare],
            },
            Some(VersionStanding::Live) => Vec::new(),
            Some(VersionStanding::Kept) => {
                return Err(refused("version is kept; roll back to it"));
            }
            Some(VersionStanding::Dropped) => {
                return Err(refused("version was dropped; raise it"));
            }
        };
        Ok(Self {
            projection: projection.to_owned(),
            live: recorded.live(),
            version,
            revision: recorded.revision,
            steps,
        })
    }

    /// The version that is live.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// The version that is to be.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What is done, in order; nothing where the version is live.
    pub fn steps(&self) -> &[RebuildStep] {
        &self.steps
    }

    pub(super) fn has(&self, step: RebuildStep) -> bool {
        self.steps.contains(&step)
    }
}

impl fmt::Display for RebuildPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            projection,
            live,
            version,
            ..
        } = self;
        write!(f, "{projection}: v{live} is live; ")?;
        for step in &self.steps {
            match step {
                RebuildStep::Begin => write!(f, "record v{version} as begun, ")?,
                RebuildStep::Build => write!(f, "build v{version} beside v{live}, ")?,
                RebuildStep::Compare => write!(f, "compare v{version} with v{live}, ")?,
            }
        }
        if self.steps.is_empty() {
            return f.write_str("nothing is to be done");
        }
        write!(f, "then v{version} can be cut over to")
    }
}
