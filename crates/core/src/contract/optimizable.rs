//! The contract of a store whose files can be made smaller.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::{Error, Position, StreamId, Timestamp};

/// A part of a store's files: the events from a position on, up to the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its number in the store, from 1.
    pub segment: u32,
    /// The position of its first event, or of the one that it will have first.
    pub first_position: Position,
    /// What can be done with it.
    pub state: SegmentState,
    /// How many bytes it takes on the store's disk now; 0 when it is archived.
    pub stored_bytes: u64,
    /// How many bytes its file in an archive has; `None` while it is on the store's disk.
    pub archived_bytes: Option<u64>,
    /// How many bytes it has, or had, before compression; 0 while it is being written.
    pub plain_bytes: u64,
}

/// What can be done with a segment, once it is restored where it is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentState {
    /// It is being written, and stays as it is until it is sealed.
    Active,
    /// It can be compressed.
    Plain,
    /// It is compressed, and can be decompressed.
    Compressed,
    /// It is compressed, and some of its events are gone for good: it stays so, and more can be reclaimed.
    Reclaimed,
    /// Some of it was lost to damage; it stays as it is.
    Damaged,
}

/// Which segment to compress, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentCompression {
    /// The segment.
    pub segment: u32,
    /// How much time is given for how few bytes: 1 to 19, as zstd counts.
    pub level: i32,
}

/// Of which segment to reclaim hidden events, and how.
#[derive(Clone, Copy)]
pub struct SegmentReclaim<'a> {
    /// The segment.
    pub segment: u32,
    /// How much time is given for how few bytes: 1 to 19, as zstd counts.
    pub level: i32,
    /// The events that reads at this time don't show. What is later shown by nobody can be reclaimed later: a
    /// time in the past is safe, one in the future takes what readers still see.
    pub hidden_at: Timestamp,
    /// Whether the events of a stream stay, whatever its policy hides.
    pub is_held: &'a dyn Fn(&StreamId) -> bool,
}

/// Which segment to move to an archive, and where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentArchiving<'a> {
    /// The segment.
    pub segment: u32,
    /// The archive: the absolute path of a directory, or a URL that the store knows how to open.
    pub to: &'a str,
}

/// What reclaiming would take out of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReclaimEstimate {
    /// How many events that no read shows, and that are still there.
    pub events: u64,
    /// How many bytes of payload and metadata they have, not compressed.
    pub bytes: u64,
}

/// What became of a segment's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentRewrite {
    /// How many bytes it took on the store's disk.
    pub bytes_before: u64,
    /// How many bytes it takes there.
    pub bytes_after: u64,
    /// How many events are gone for good.
    pub events_reclaimed: u64,
}

/// What is told of a rewrite as it goes: how many bytes were read and written since the last time. It may
/// sleep, so that the rewrite leaves the disk to others, and breaks the rewrite off. A store that is being
/// closed waits for it, so it returns in a second or so.
pub type RewritePace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// A store whose files can be made smaller in place, while it is read and appended to: what a backend
/// implements. Every read that the policies of streams allow answers the same before, during and after.
///
/// All methods block: call them on a thread that may. Rewrites are done one at a time; a second one waits.
/// A rewrite that a crash breaks off leaves the segment as it was.
pub trait Optimizable: fmt::Debug + Send + Sync {
    /// The segments of the store, in order.
    fn segments(&self) -> Result<Vec<SegmentSummary>, Error>;

    /// About how many bytes the segment would take if it were compressed; reads some of it.
    fn estimate_compression(&self, request: SegmentCompression) -> Result<u64, Error>;

    /// Compresses a segment; `None` when `pace` broke it off, and the segment is as it was then.
    fn compress_segment(
        &self,
        request: SegmentCompression,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error>;

    /// Undoes the compression of a segment; `None` when `pace` broke it off.
    fn decompress_segment(
        &self,
        segment: u32,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error>;

    /// What reclaiming would take out of a segment; reads all of it.
    fn estimate_reclaim(&self, request: SegmentReclaim<'_>) -> Result<ReclaimEstimate, Error>;

    /// Compresses a segment without the payloads and the metadata of events that no read shows, for good;
    /// `None` when `pace` broke it off, and the segment is as it was then. Where there is nothing to take it stays
    /// as it is as well, and no event is [told](SegmentRewrite::events_reclaimed).
    ///
    /// What hides the events is durable before anything is taken. Positions, versions, ids and tags stay, so that
    /// expectations are judged as before; of a retry of an append, all but the payloads that are gone is compared.
    /// Whoever reads an older state of the store does not see these events either.
    fn reclaim_segment(
        &self,
        request: SegmentReclaim<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error>;

    /// Moves a segment to an archive, from which it is read from then on; `None` when `pace` broke it off, and the
    /// segment is where it was then. The copy is durable and compared before anything is removed. A segment that is
    /// archived can't be rewritten: [restore](Self::restore_segment) it first.
    fn archive_segment(
        &self,
        request: SegmentArchiving<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error>;

    /// Brings an archived segment back to the store's disk, and removes it from the archive; `None` when `pace`
    /// broke it off, and the segment is where it was then.
    fn restore_segment(
        &self,
        segment: u32,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error>;
}

impl fmt::Debug for SegmentReclaim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentReclaim")
            .field("segment", &self.segment)
            .field("level", &self.level)
            .field("hidden_at", &self.hidden_at)
            .finish_non_exhaustive()
    }
}

macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: Optimizable + ?Sized> Optimizable for $pointer {
            fn segments(&self) -> Result<Vec<SegmentSummary>, Error> {
                (**self).segments()
            }

            fn estimate_compression(&self, request: SegmentCompression) -> Result<u64, Error> {
                (**self).estimate_compression(request)
            }

            fn compress_segment(
                &self,
                request: SegmentCompression,
                pace: &mut RewritePace<'_>,
            ) -> Result<Option<SegmentRewrite>, Error> {
                (**self).compress_segment(request, pace)
            }

            fn decompress_segment(
                &self,
                segment: u32,
                pace: &mut RewritePace<'_>,
            ) -> Result<Option<SegmentRewrite>, Error> {
                (**self).decompress_segment(segment, pace)
            }

            fn estimate_reclaim(
                &self,
                request: SegmentReclaim<'_>,
            ) -> Result<ReclaimEstimate, Error> {
                (**self).estimate_reclaim(request)
            }

            fn reclaim_segment(
                &self,
                request: SegmentReclaim<'_>,
                pace: &mut RewritePace<'_>,
            ) -> Result<Option<SegmentRewrite>, Error> {
                (**self).reclaim_segment(request, pace)
            }

            fn archive_segment(
                &self,
                request: SegmentArchiving<'_>,
                pace: &mut RewritePace<'_>,
            ) -> Result<Option<SegmentRewrite>, Error> {
                (**self).archive_segment(request, pace)
            }

            fn restore_segment(
                &self,
                segment: u32,
                pace: &mut RewritePace<'_>,
            ) -> Result<Option<SegmentRewrite>, Error> {
                (**self).restore_segment(segment, pace)
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
