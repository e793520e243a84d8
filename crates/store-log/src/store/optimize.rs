//! Segments in another form, while the store is read and written.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_core::{
    Error, ErrorKind, Optimizable, Position, ReclaimEstimate, RewritePace, SegmentArchiving,
    SegmentCompression, SegmentReclaim, SegmentRewrite, SegmentState, SegmentSummary, StreamId,
    Timestamp,
};
use annals_log::{ArchiveKey, Compression, Rewritten, Segment, View};
use tracing::warn;

use super::committer::Committer;
use super::error::{bad_record, from_log};
use super::follower::LogFollower;
use super::log_store::LogStore;
use super::shown::Shown;
use super::snapshot::Snapshot;
use crate::record::{self, EventView};

/// Lets one rewrite be done at a time, and none after the end.
#[derive(Debug, Default)]
pub(crate) struct Rewriting {
    held: Mutex<()>,
    has_ended: AtomicBool,
}

impl Rewriting {
    /// Breaks off what is being done, waits for it, and lets nothing more begin.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn begin(&self) -> Result<MutexGuard<'_, ()>, Error> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_ended.load(Ordering::Acquire) {
            return Err(closed());
        }
        Ok(held)
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

impl LogStore {
    /// Has a form of a segment written beside the one in use, and goes over to it; nothing else is rewritten meanwhile.
    fn rewrite(
        &self,
        pace: &mut RewritePace<'_>,
        write: impl FnOnce(&View, &mut RewritePace<'_>) -> annals_log::Result<Option<Rewritten>>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let _held = self.rewriting.begin()?;
        self.rewrite_alone(pace, write)
    }

    /// The same for who has seen to it that nothing else is rewritten.
    fn rewrite_alone(
        &self,
        pace: &mut RewritePace<'_>,
        write: impl FnOnce(&View, &mut RewritePace<'_>) -> annals_log::Result<Option<Rewritten>>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        // After a failure either form may be named, and none of them is to be touched.
        self.with_committer(Committer::check_usable)?;
        let view = self.shared.snapshot().view.clone();
        let mut paced = |bytes| match pace(bytes) {
            ControlFlow::Continue(()) if self.rewriting.has_ended() => ControlFlow::Break(()),
            flow => flow,
        };
        let Some(rewritten) = write(&view, &mut paced).map_err(from_log)? else {
            return Ok(None);
        };
        drop(view);
        let sizes = SegmentRewrite {
            bytes_before: rewritten.bytes_before,
            bytes_after: rewritten.bytes_after,
            events_reclaimed: 0,
        };
        if let Err(error) = self.with_committer(|committer| committer.adopt(&rewritten)) {
            // Where it can't be told which form is named, the next opening removes the other one.
            if error.kind() != ErrorKind::Unknown {
                rewritten.discard();
            }
            return Err(error);
        }
        if let Err(error) = rewritten.remove_replaced() {
            warn!(%error, "a file that is not in use any more stays for now");
        }
        Ok(Some(sizes))
    }

    fn with_committer<T>(
        &self,
        ask: impl FnOnce(&mut Committer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let asked = self.commits.with_core(ask);
        asked.unwrap_or_else(|_| Err(closed()))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Optimizable for LogStore {
    fn segments(&self) -> Result<Vec<SegmentSummary>, Error> {
        summaries(&self.shared.snapshot().view)
    }

    fn estimate_compression(&self, request: SegmentCompression) -> Result<u64, Error> {
        estimate(&self.shared.snapshot().view, request)
    }

    fn compress_segment(
        &self,
        request: SegmentCompression,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let compressed = self.rewrite(pace, |view, pace| {
            view.compress(request.segment, &compression(request), pace)
        });
        compressed.map_err(|error| error.during("compress segment"))
    }

    fn decompress_segment(
        &self,
        segment: u32,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let plain = self.rewrite(pace, |view, pace| view.decompress(segment, pace));
        plain.map_err(|error| error.during("decompress segment"))
    }

    fn estimate_reclaim(&self, request: SegmentReclaim<'_>) -> Result<ReclaimEstimate, Error> {
        let estimate = reclaimable(&self.shared.snapshot(), request);
        estimate.map_err(|error| error.during("estimate reclaim"))
    }

    fn reclaim_segment(
        &self,
        request: SegmentReclaim<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let reclaimed = self.reclaim(request, pace);
        reclaimed.map_err(|error| error.during("reclaim segment"))
    }

    fn archive_segment(
        &self,
        request: SegmentArchiving<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let archived = self.archive(request, pace);
        archived.map_err(|error| error.during("archive segment"))
    }

    fn restore_segment(
        &self,
        segment: u32,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let restored = self.restore(segment, pace);
        restored.map_err(|error| error.during("restore segment"))
    }
}

impl LogStore {
    fn archive(
        &self,
        request: SegmentArchiving<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let _held = self.rewriting.begin()?;
        let view = self.shared.snapshot().view.clone();
        view.check_archive(request.to).map_err(from_log)?;
        let key = self.with_committer(Committer::archive_key)?;
        // From now on reads may wait for the archive.
        self.heat.read_far(true);
        let archived = self.rewrite_alone(pace, |view, pace| {
            view.archive(request.segment, request.to, key, pace)
        });
        self.settle_archive(request.to, key);
        archived
    }

    fn restore(
        &self,
        segment: u32,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let _held = self.rewriting.begin()?;
        let view = self.shared.snapshot().view.clone();
        let archive = view.segment(segment).and_then(Segment::archive);
        let restored = self.rewrite_alone(pace, |view, pace| view.restore(segment, pace));
        if let (Some(location), Ok(Some(_))) = (archive, &restored) {
            let key = self.with_committer(Committer::archive_key)?;
            self.settle_archive(location, key);
        }
        restored
    }

    /// Leaves nothing in an archive that no segment is in, and forgets the key when none is in any. Where that fails
    /// the key stays, and the next move there removes what is left.
    fn settle_archive(&self, location: &str, key: ArchiveKey) {
        let view = self.shared.snapshot().view.clone();
        self.heat.read_far(view.has_archived());
        let settled = self
            .with_committer(Committer::check_usable)
            .and_then(|()| view.sweep_archive(location, key).map_err(from_log))
            .and_then(|()| self.with_committer(Committer::release_archive));
        if let Err(error) = settled {
            warn!(%error, location, "the archive is left as it is for now");
        }
    }

    fn reclaim(
        &self,
        request: SegmentReclaim<'_>,
        pace: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        // A power loss must not take what hides the events and leave the segment without them.
        self.with_committer(Committer::make_durable)?;
        let Some(hidden) = hidden(&self.shared.snapshot(), request, pace)? else {
            return Ok(None);
        };
        if hidden.events == 0 {
            return Ok(Some(SegmentRewrite::default()));
        }
        let mut forget = |number: u64, body: &mut [u8]| match hidden.said_bytes(number, body) {
            Some(said_bytes) => {
                record::reclaim(body, said_bytes);
                true
            }
            None => false,
        };
        let compression = compression(SegmentCompression {
            segment: request.segment,
            level: request.level,
        });
        let rewritten = self.rewrite(pace, |view, pace| {
            view.reclaim(request.segment, &compression, &mut forget, pace)
        })?;
        Ok(rewritten.map(|sizes| SegmentRewrite {
            events_reclaimed: hidden.events,
            ..sizes
        }))
    }
}

/// How many streams are remembered while the events of a segment are looked at.
const STREAMS_MAX: usize = 50_000;

/// The events of one segment that nobody is shown any more, and that are still there.
#[derive(Debug, Default)]
struct Hidden {
    first_number: u64,
    base: Timestamp,
    /// Of each event from the first number on whether it is one of them.
    marks: Vec<bool>,
    events: u64,
    bytes: u64,
}

impl Hidden {
    /// How much there is to forget of the event of this number; `None` where it stays as it is.
    fn said_bytes(&self, number: u64, body: &[u8]) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        let event = || EventView::parse(body, self.base).ok();
        let is_hidden = self.marks.get(index).copied().unwrap_or_default();
        is_hidden.then(event)?.map(|event| event.said_bytes())
    }
}

/// Looks at all events of a segment; `None` when it was broken off.
fn hidden(
    snapshot: &Snapshot,
    request: SegmentReclaim<'_>,
    pace: &mut RewritePace<'_>,
) -> Result<Option<Hidden>, Error> {
    let segment = snapshot.view.segment(request.segment);
    let Some(segment) = segment.filter(|_| snapshot.has_policies()) else {
        return Ok(Some(Hidden::default()));
    };
    let mut hidden = Hidden {
        first_number: segment.first_number(),
        base: snapshot.base(segment.start().at),
        ..Hidden::default()
    };
    let mut shown = Shown::new(snapshot, request.hidden_at);
    let mut scan = snapshot.view.scan(segment.start());
    while let Some(record) = scan.next_record().map_err(from_log)? {
        if record.at.segment() != request.segment {
            break;
        }
        if pace(record.body.len() as u64).is_break() {
            return Ok(None);
        }
        let Some(position) = record.number.map(Position::new) else {
            continue;
        };
        shown.limit(STREAMS_MAX);
        let event = EventView::parse(record.body, hidden.base);
        let event = event.map_err(|bad| bad_record(bad, position))?;
        let bytes = event.said_bytes() as u64;
        let is_left = !event.is_reclaimed() && bytes > 0;
        let is_hidden = is_left
            && !shown.event(&event, position)?
            && !(request.is_held)(&stream_of(&event, position)?);
        hidden.marks.push(is_hidden);
        if is_hidden {
            hidden.events += 1;
            hidden.bytes += bytes;
        }
    }
    Ok(Some(hidden))
}

fn stream_of(event: &EventView<'_>, position: Position) -> Result<StreamId, Error> {
    StreamId::parse(event.stream().map_err(|bad| bad_record(bad, position))?)
}

fn reclaimable(snapshot: &Snapshot, request: SegmentReclaim<'_>) -> Result<ReclaimEstimate, Error> {
    let found = hidden(snapshot, request, &mut |_| ControlFlow::Continue(()))?;
    Ok(
        found.map_or(ReclaimEstimate::default(), |found| ReclaimEstimate {
            events: found.events,
            bytes: found.bytes,
        }),
    )
}

/// What the writer did is told, and what could be done; doing it is the writer's, and refused as
/// [`Unsupported`](ErrorKind::Unsupported).
#[deny(clippy::missing_trait_methods)]
impl Optimizable for LogFollower {
    fn segments(&self) -> Result<Vec<SegmentSummary>, Error> {
        let state = self.newest().map_err(|error| error.during("segments"))?;
        summaries(&state.view)
    }

    fn estimate_compression(&self, request: SegmentCompression) -> Result<u64, Error> {
        let state = self.newest();
        let state = state.map_err(|error| error.during("estimate compression"))?;
        estimate(&state.view, request)
    }

    fn compress_segment(
        &self,
        _: SegmentCompression,
        _: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        Err(Error::unsupported("compress segment"))
    }

    fn decompress_segment(
        &self,
        _: u32,
        _: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        Err(Error::unsupported("decompress segment"))
    }

    fn estimate_reclaim(&self, request: SegmentReclaim<'_>) -> Result<ReclaimEstimate, Error> {
        let state = self.newest();
        let state = state.map_err(|error| error.during("estimate reclaim"))?;
        reclaimable(&state, request).map_err(|error| error.during("estimate reclaim"))
    }

    fn reclaim_segment(
        &self,
        _: SegmentReclaim<'_>,
        _: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        Err(Error::unsupported("reclaim segment"))
    }

    fn archive_segment(
        &self,
        _: SegmentArchiving<'_>,
        _: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        Err(Error::unsupported("archive segment"))
    }

    fn restore_segment(
        &self,
        _: u32,
        _: &mut RewritePace<'_>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        Err(Error::unsupported("restore segment"))
    }
}

fn summaries(view: &View) -> Result<Vec<SegmentSummary>, Error> {
    let summaries = view.segments().map(|segment| summary(view, segment));
    summaries.collect()
}

fn estimate(view: &View, request: SegmentCompression) -> Result<u64, Error> {
    let estimate = view.estimate_compression(request.segment, &compression(request));
    let estimate = estimate.map_err(|error| from_log(error).during("estimate compression"));
    estimate.map(|estimate| estimate.compressed_bytes)
}

fn summary(view: &View, segment: &Segment) -> Result<SegmentSummary, Error> {
    let state = match (segment.is_sealed(), segment.is_compressed()) {
        (false, _) => SegmentState::Active,
        (true, _) if !segment.lost().is_empty() => SegmentState::Damaged,
        (true, true) if segment.is_reclaimed() => SegmentState::Reclaimed,
        (true, true) => SegmentState::Compressed,
        (true, false) => SegmentState::Plain,
    };
    Ok(SegmentSummary {
        segment: segment.id(),
        first_position: Position::new(segment.first_number()),
        state,
        stored_bytes: view.stored_bytes(segment).map_err(from_log)?,
        archived_bytes: segment.archived_bytes(),
        plain_bytes: segment.plain_bytes(),
    })
}

fn compression(request: SegmentCompression) -> Compression {
    let mut compression = Compression::default();
    compression.level = request.level;
    compression
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "store is closed; open it again")
}
