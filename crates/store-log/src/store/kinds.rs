//! Which kinds of events a log has, where it may have lost what states them.

use std::collections::BTreeSet;

use annals_core::{Error, Timestamp};
use annals_log::{Segment, View};

use super::open::LogStoreBuilder;
use super::recover::kinds_of;
use crate::record::{EventView, KindCode, KindRef, Kinds, Note, encode_kind};

/// The kinds to read a log with, from these on. A log that lost a part may have lost what states a kind that events
/// in the rest of that segment are of: every segment states what it uses, so that another one, or the index, tells. What nothing
/// tells any more stays unknown, and no other kind is called the same.
pub(crate) fn beginning(view: &View, known: Kinds) -> Kinds {
    let (mut kinds, used) = with_used(view, known);
    for code in used {
        kinds.reserve(code);
    }
    kinds
}

/// The same, and the codes that are used in segments that lost a part; none in a log that is whole.
fn with_used(view: &View, known: Kinds) -> (Kinds, BTreeSet<KindCode>) {
    let has_lost = |segment: &&Segment| !segment.lost().is_empty();
    let (mut kinds, mut used) = (known, BTreeSet::new());
    for segment in view.segments().filter(has_lost) {
        each_note(view, segment, &mut kinds, |code| {
            used.insert(code);
        });
    }
    let is_unknown = |kinds: &Kinds| used.iter().any(|code| kinds.kind(*code).is_none());
    let segments: Vec<&Segment> = if is_unknown(&kinds) {
        view.segments().collect()
    } else {
        Vec::new()
    };
    // The newest first: a repair states there what it knows.
    for segment in segments.into_iter().rev() {
        if !is_unknown(&kinds) {
            break;
        }
        each_note(view, segment, &mut kinds, |_| {});
    }
    (kinds, used)
}

/// Takes the kinds that a segment states, as far as it can be read; tells the codes of its events.
fn each_note(view: &View, segment: &Segment, kinds: &mut Kinds, mut used: impl FnMut(KindCode)) {
    let mut scan = view.scan(segment.start());
    let base = Timestamp::from_micros(segment.context().cast_signed());
    // What is behind may be in an archive.
    while segment.end().is_none_or(|end| scan.place().at < end) {
        match scan.next_record() {
            Ok(Some(record)) if record.at.segment() == segment.id() => {
                if record.number.is_some() {
                    let event = EventView::parse(record.body, base);
                    if let Ok(KindRef::Code(code)) = event.map(|event| event.kind()) {
                        used(code);
                    }
                } else if let Ok(Note::Kind(code, kind)) = Note::parse(record.body)
                    && kinds.kind(code).is_none()
                {
                    // What is known under this code stands.
                    let _ = kinds.insert(code, kind);
                }
            }
            Ok(_) => return,
            Err(_) => {
                // Whoever reads events there is told of damage.
                if !scan.skip_lost() {
                    return;
                }
            }
        }
    }
}

impl LogStoreBuilder {
    /// The kinds to read the log from its beginning with: all that the rest does not state itself. The index is asked where the
    /// log lost a part alone.
    pub(crate) fn kinds_to_begin_with(&self, view: &View) -> Kinds {
        if view.segments().all(|segment| segment.lost().is_empty()) {
            return Kinds::default();
        }
        beginning(view, self.kinds_of_index(view))
    }

    /// The kinds that the index files tell of.
    pub(crate) fn kinds_of_index(&self, view: &View) -> Kinds {
        let directory = self.run_directory_to_read(view.log_id());
        let runs = directory.look(view.end()).unwrap_or_default();
        let kinds = runs.iter().rev().find_map(|run| kinds_of(run).ok());
        kinds.unwrap_or_default()
    }

    /// States in a log that was repaired what the index alone still tells of the kinds of its events: the index is no part
    /// of a backup.
    pub(crate) fn state_kinds_of_index(&self) -> Result<(), Error> {
        let follower = self.log_follower()?;
        self.state_kinds(&self.kinds_of_index(&follower.view()))
    }

    /// States in a log that lost a part those of these kinds that its events are of and that it does not state any more.
    pub(crate) fn state_kinds(&self, known: &Kinds) -> Result<(), Error> {
        let follower = self.log_follower()?;
        let view = follower.view();
        let (stated, used) = with_used(&view, Kinds::default());
        let missing = used.into_iter().filter(|code| stated.kind(*code).is_none());
        let notes: Vec<Vec<u8>> = missing
            .filter_map(|code| {
                let mut note = Vec::new();
                encode_kind(code, known.kind(code)?, &mut note);
                Some(note)
            })
            .collect();
        drop((view, follower));
        self.record_notes(&notes)
    }
}
