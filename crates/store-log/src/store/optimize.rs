//! Segments in another form, while the store is read and written.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_core::{
    Error, ErrorKind, Optimizable, Position, ReclaimEstimate, RewritePace, SegmentCompression,
    SegmentReclaim, SegmentRewrite, SegmentState, SegmentSummary, StreamId, Timestamp,
};
use annals_log::{Compression, RecordAt, Rewritten, Segment, View};
use tracing::warn;

use super::error::from_log;
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
    /// Has a form of a segment written beside the one in use, and goes over to it.
    fn rewrite(
        &self,
        pace: &mut RewritePace<'_>,
        write: impl FnOnce(&View, &mut RewritePace<'_>) -> annals_log::Result<Option<Rewritten>>,
    ) -> Result<Option<SegmentRewrite>, Error> {
        let _held = self.rewriting.begin()?;
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
        };
        let adopted = self
            .commits
            .with_core(|committer| committer.adopt(&rewritten));
        let adopted = adopted.unwrap_or_else(|_| Err(closed()));
        if let Err(error) = adopted {
            // Where it can't be told which form is named, the next opening removes the other one.
            if error.kind() != ErrorKind::Unknown {
                rewritten.discard();
            }
            return Err(error);
        }
        if let Err(error) = rewritten.remove_replaced() {
            warn!(%error, "a file that is not in use any more stays until the store is opened again");
        }
        Ok(Some(sizes))
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
        let snapshot = self.shared.snapshot();
        let mut hidden = Hidden::new(&snapshot, request);
        let mut forget = |body: &mut [u8]| match hidden.said_bytes(body) {
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
        let reclaimed = self.rewrite(pace, |view, pace| {
            view.reclaim(request.segment, &compression, &mut forget, pace)
        });
        reclaimed.map_err(|error| error.during("reclaim segment"))
    }
}

/// Tells which events of one segment nobody is shown any more.
struct Hidden<'a> {
    shown: Shown<'a>,
    request: SegmentReclaim<'a>,
    base: Timestamp,
}

impl<'a> Hidden<'a> {
    fn new(snapshot: &'a Snapshot, request: SegmentReclaim<'a>) -> Self {
        let first = RecordAt::new(request.segment, 0);
        Self {
            shown: Shown::new(snapshot, request.hidden_at),
            base: snapshot.base(first),
            request,
        }
    }

    /// How much there is to forget of this event; `None` where it stays as it is, as one does that can't be made
    /// out.
    fn said_bytes(&mut self, body: &[u8]) -> Option<usize> {
        let event = EventView::parse(body, self.base).ok()?;
        if event.is_reclaimed() || self.shown.event(&event, Position::START).ok()? {
            return None;
        }
        let stream = StreamId::parse(event.stream().ok()?).ok()?;
        (!(self.request.is_held)(&stream)).then(|| event.said_bytes())
    }
}

fn reclaimable(snapshot: &Snapshot, request: SegmentReclaim<'_>) -> Result<ReclaimEstimate, Error> {
    let mut estimate = ReclaimEstimate::default();
    let segment = snapshot.view.segment(request.segment);
    let Some(segment) = segment.filter(|_| snapshot.has_policies()) else {
        return Ok(estimate);
    };
    let mut hidden = Hidden::new(snapshot, request);
    let mut scan = snapshot.view.scan(View::start_of(segment));
    while let Some(record) = scan.next_record().map_err(from_log)? {
        if record.at.segment() != request.segment {
            break;
        }
        if record.number.is_some()
            && let Some(bytes) = hidden.said_bytes(record.body)
        {
            estimate.events += 1;
            estimate.bytes += bytes as u64;
        }
    }
    Ok(estimate)
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
