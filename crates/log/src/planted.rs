//! Bugs that campaigns plant in the engine, to see that they are caught.
//!
//! Without the feature `planted` the question whether one is active is a constant, and nothing of this
//! is in the binary.

/// A bug of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "planted"),
    expect(dead_code, reason = "planted by campaigns only")
)]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "public with the feature")
)]
pub enum Bug {
    /// Records are acknowledged before they are synced.
    AcknowledgedBeforeSync,
    /// A failed sync is tried again, and the second answer believed.
    FailedSyncRetried,
    /// The log goes on after a failed sync.
    PoisonIgnored,
    /// Recovery cuts at any bad frame, whatever stands after it.
    MiddleCut,
    /// Recovery takes a file that ends before the watermark for a torn tail.
    TruncationIgnored,
    /// Views end where the log was written, not where it is durable.
    ServedBeforeDurable,
    /// Checksums don't depend on the segment.
    SaltIgnored,
    /// The watermark is written before the data is synced.
    WatermarkAhead,
    /// Both slots of the watermark are overwritten without a sync between.
    WatermarkBothAtOnce,
    /// A number is given out a second time after recovery.
    NumberReused,
    /// The last record of a frame is left out.
    LastRecordDropped,
    /// Recovery serves the tail without making it durable.
    TailNotRewritten,
    /// Recovery leaves the tail that it cut in the file.
    CutNotZeroed,
    /// A frame that did not fit the disk is taken for written.
    ShortWriteIgnored,
    /// A frame that did not fit the disk is left half-written.
    RollbackSkipped,
    /// A new segment's name is not made durable.
    DirectoryNotSynced,
    /// The manifest is renamed into place before it is durable.
    ManifestNotSynced,
    /// A segment is sealed without a sync.
    SealNotSynced,
    /// The clean flag stays while the log is written.
    CleanFlagKept,
    /// A record's checksum is not checked when it is read.
    RecordUnchecked,
    /// A record's checksum is not checked when it is read through a map, record after record.
    MappedRecordUnchecked,
    /// A frame may promise more than is durable.
    DurableUptoAhead,
    /// The compressed form of a segment is put in use before it is durable.
    FormNotSynced,
    /// A compressed block is not held against its checksum.
    BlockUnchecked,
    /// The cache takes a block of one segment for that of another.
    BlockOfAnother,
    /// The file of a segment is removed before the manifest says that it is archived.
    ArchivedTooEarly,
    /// A copy in an archive is not made durable.
    ArchiveNotSynced,
    /// A copy is not held against what it is a copy of, to the archive and back.
    ArchiveUnchecked,
}

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Every bug that can be planted.
        pub const ALL: [Self; 28] = [
            Self::AcknowledgedBeforeSync,
            Self::FailedSyncRetried,
            Self::PoisonIgnored,
            Self::MiddleCut,
            Self::TruncationIgnored,
            Self::ServedBeforeDurable,
            Self::SaltIgnored,
            Self::WatermarkAhead,
            Self::WatermarkBothAtOnce,
            Self::NumberReused,
            Self::LastRecordDropped,
            Self::TailNotRewritten,
            Self::CutNotZeroed,
            Self::ShortWriteIgnored,
            Self::RollbackSkipped,
            Self::DirectoryNotSynced,
            Self::ManifestNotSynced,
            Self::SealNotSynced,
            Self::CleanFlagKept,
            Self::RecordUnchecked,
            Self::MappedRecordUnchecked,
            Self::DurableUptoAhead,
            Self::FormNotSynced,
            Self::BlockUnchecked,
            Self::BlockOfAnother,
            Self::ArchivedTooEarly,
            Self::ArchiveNotSynced,
            Self::ArchiveUnchecked,
        ];
    }

    /// A planted bug; dropping it takes the bug out.
    #[derive(Debug)]
    pub struct Planted(());

    /// Plants the bug in every log that this thread works on.
    #[must_use]
    pub fn plant(bug: Bug) -> Planted {
        ACTIVE.set(Some(bug));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }

    pub(crate) fn is_active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub(crate) use switch::is_active;
#[cfg(feature = "planted")]
pub use switch::{Planted, plant};

/// Whether the bug is planted.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_active(_: Bug) -> bool {
    false
}
