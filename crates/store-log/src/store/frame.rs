//! A batch as the records of one frame.

use annals_core::limits::STREAM_ID_BYTES_MAX;
use annals_core::{NewEvent, Timestamp};
use annals_log::{FrameBuilder, Kind, RecordAt};

use super::batch::{Batch, Placing, Step, Write};
use super::prepared::RECORD_BYTES;
use crate::planted::{self, Bug};
use crate::record::{EventKind, KindCode, KindName, Kinds, RecordHead, encode_kind, encode_policy};

/// The kinds that a segment states, as a bit for each code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated([u64; WORDS]);

/// What a batch adds to the dictionary, and where its records stand.
#[derive(Debug)]
pub(crate) struct Framed {
    pub(crate) kinds: Kinds,
    pub(crate) stated: Stated,
    /// Where the record of each event stands.
    pub(crate) places: Vec<RecordAt>,
}

/// Puts a batch into a frame.
pub(crate) struct Framing<'b, 'l> {
    batch: &'b Batch<'b>,
    frame: FrameBuilder<'l>,
    /// The time from which the records of the segment count.
    base: Timestamp,
    now: Timestamp,
    framed: Framed,
}

const WORDS: usize = KindCode::MAX.value() as usize / 64 + 1;

/// The most that a record with the note of a policy takes.
pub(crate) const POLICY_RECORD_BYTES: usize = RECORD_BYTES + STREAM_ID_BYTES_MAX + 64;

impl<'b, 'l> Framing<'b, 'l> {
    /// Into this frame of a segment whose records count from `base`, at this time.
    pub(crate) fn new(
        batch: &'b Batch<'b>,
        frame: FrameBuilder<'l>,
        (base, now): (Timestamp, Timestamp),
        kinds: Kinds,
        stated: &Stated,
    ) -> Self {
        let framed = Framed {
            kinds,
            stated: *stated,
            places: Vec::with_capacity(batch.event_count()),
        };
        Self {
            batch,
            frame,
            base,
            now,
            framed,
        }
    }

    /// Adds all records; the frame is still to be written.
    pub(crate) fn fill(mut self) -> (FrameBuilder<'l>, Framed) {
        for step in self.batch.steps() {
            match step {
                Step::Policy { stream, policy } => {
                    self.frame
                        .push(Kind::Note, |buffer| encode_policy(stream, policy, buffer));
                }
                Step::Append(placing) => self.add(placing),
            }
        }
        (self.frame, self.framed)
    }

    fn add(&mut self, placing: &Placing<'_>) {
        let prepared = placing.prepared;
        let mut header = Some(prepared.header());
        let writes = self.batch.writes_of(placing).iter();
        let versions = writes.flat_map(Write::versions);
        let placed = self.batch.ids_of(placing).iter().zip(versions);
        let contents = prepared.events().iter().zip(prepared.contents());
        let events = prepared.append.events().zip(contents).zip(placed);
        for (((_, event), (known, content)), (id, version)) in events {
            let code = known.code.or_else(|| self.code_of(event));
            if let Some(code) = code {
                self.state(code);
            }
            let head = RecordHead {
                content: known.content,
                kind: code.map_or(KindName::Inline(event), KindName::Code),
                append: header.take(),
                id: *id,
                version,
                appended_at: self.now,
            };
            let written = self.framed.places.len() + 1 - placing.first_event;
            if written > 1 && is_dropped(written, placing) {
                continue;
            }
            let base = self.base;
            let place = self.frame.push(Kind::Numbered, |buffer| {
                head.encode(base, buffer);
                buffer.extend_from_slice(content);
            });
            self.framed.places.push(place);
        }
    }

    /// The code of the event's kind, a new one where there is none yet; `None` when all codes are taken.
    fn code_of(&mut self, event: &NewEvent) -> Option<KindCode> {
        let kinds = &mut self.framed.kinds;
        if let Some(code) = kinds.code_of(event) {
            return Some(code);
        }
        let code = kinds.next_code()?;
        kinds.insert(code, EventKind::of(event)).ok()?;
        Some(code)
    }

    /// Adds the note that says what a code stands for, unless the segment has it.
    fn state(&mut self, code: KindCode) {
        if self.framed.stated.insert(code)
            && let Some(kind) = self.framed.kinds.kind(code)
        {
            self.frame
                .push(Kind::Note, |buffer| encode_kind(code, kind, buffer));
        }
    }
}

impl Stated {
    pub(crate) const NONE: Self = Self([0; WORDS]);

    /// Notes that a kind is stated; whether it was not.
    fn insert(&mut self, code: KindCode) -> bool {
        let number = usize::from(code.value());
        let Some(word) = self.0.get_mut(number / 64) else {
            return false;
        };
        let before = *word;
        *word |= 1 << (number % 64);
        before != *word
    }
}

/// The most bytes that the batch takes in a frame.
pub(crate) fn bytes_max(batch: &Batch<'_>, kinds: &Kinds) -> usize {
    let appends = batch.appends().map(|prepared| prepared.frame_bytes);
    let policies = batch.policies() * POLICY_RECORD_BYTES;
    // A new segment states again every kind that it uses.
    let stated: usize = batch.kinds(kinds).map(note_bytes).sum();
    appends.sum::<usize>() + policies + stated
}

/// The most that a record with the note of this kind takes.
fn note_bytes(kind: &EventKind) -> usize {
    RECORD_BYTES + kind.event_type.as_str().len() + kind.content_type.as_str().len() + 32
}

/// Whether a planted bug leaves the n-th event of an append out.
fn is_dropped(written: usize, placing: &Placing<'_>) -> bool {
    planted::is_active(Bug::LastEventDropped) && written == placing.prepared.append.event_count()
}
