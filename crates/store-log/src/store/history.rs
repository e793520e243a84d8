//! All that a store recorded, in the order in which it did: for exports and other whole copies.

use std::fmt;

use annals_core::{
    Error, HistoryEntry, HistoryReader, Position, RecordedAppend, StreamId, StreamPolicy, Timestamp,
};
use annals_log::{Follower, Scan, Segment, View};
use async_trait::async_trait;

use super::error::{bad_record, corrupt, from_log, is_lost};
use super::open::LogStoreBuilder;
use super::settings::LostEvents;
use crate::record::{BadRecord, EventView, Kinds, Note, PageBuilder};

/// How many events are given at a time, at most.
const EVENTS_MAX: usize = 512;

/// How many bytes of events are given at a time, the last event apart.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// All that a store recorded, in the order in which it did: every event, those that policies hide included, where
/// each append begins, and every policy. It is of what was durable when it was opened.
///
/// It reads the log alone, from the beginning, in constant memory, and needs no index. The store may be open
/// meanwhile, in this process or another.
///
/// As a [`HistoryReader`] it goes on with what is recorded later. That blocks for as long as the files take.
pub struct StoreHistory {
    follower: Follower,
    view: View,
    scan: Scan,
    kinds: Kinds,
    lost_events: LostEvents,
    /// What went wrong after the entries that were given last.
    failed: Option<Error>,
}

impl LogStoreBuilder {
    /// All that the store in this directory recorded, from the beginning.
    ///
    /// # Errors
    /// `Unavailable` when there is none.
    pub fn history(&self) -> Result<StoreHistory, Error> {
        let follower = self.log_follower();
        let follower = follower.map_err(|error| error.during("read the history"))?;
        let view = follower.view();
        Ok(StoreHistory {
            kinds: self.kinds_to_begin_with(&view),
            follower,
            scan: view.scan(view.start()),
            view,
            lost_events: self.settings.lost_events,
            failed: None,
        })
    }
}

impl StoreHistory {
    /// The position of its last event; that of none where it has none.
    pub fn head(&self) -> Position {
        Position::new(self.view.last_number())
    }

    /// Whether whoever wrote the store last closed it. Else a writer is at work, or was stopped: after a loss of power
    /// there may be events, acknowledged ones too, that are found when the store is opened to write, and not before.
    pub fn ended_cleanly(&self) -> bool {
        self.follower.ended_cleanly()
    }

    /// The next entries, a few hundred at most; none at the end.
    ///
    /// # Errors
    /// `Corrupt` at damage, and at what a repair gave up, unless the settings are to
    /// [skip](LostEvents::Skip) it; [`skip_lost`](Self::skip_lost) goes on after it.
    pub fn next_entries(&mut self) -> Result<Vec<HistoryEntry>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error.during("read the history"));
        }
        loop {
            let kinds = self.kinds.clone();
            let mut run = Run::new(&kinds);
            let filled = self.fill(&mut run);
            let entries = run.finish();
            match filled {
                Err(error) if self.skips(&error) => {
                    if entries.is_empty() {
                        continue;
                    }
                }
                Err(error) if entries.is_empty() => return Err(error.during("read the history")),
                Err(error) => self.failed = Some(error),
                Ok(true) if entries.is_empty() => continue,
                Ok(_) => {}
            }
            return Ok(entries);
        }
    }

    /// Goes on after what a repair gave up, if it stands there; whether it does.
    pub fn skip_lost(&mut self) -> bool {
        self.failed = self.failed.take().filter(|error| !is_lost(error));
        self.failed.is_none() && self.scan.skip_lost()
    }

    /// Goes on after what this error is about, where that is lost and is to be passed over.
    fn skips(&mut self, error: &Error) -> bool {
        self.lost_events == LostEvents::Skip && is_lost(error) && self.scan.skip_lost()
    }

    /// Looks at what was recorded since, at the end: the next entries go up to there.
    fn refresh(&mut self) -> Result<(), Error> {
        let refreshed = self.follower.refresh().map_err(from_log);
        self.view = refreshed.map_err(|error| error.during("read the history"))?;
        self.scan = self.view.scan(self.scan.place());
        Ok(())
    }

    /// Takes records up to the next note, or until the run is full; `false` at the end.
    fn fill(&mut self, run: &mut Run<'_>) -> Result<bool, Error> {
        while !run.is_full() {
            let Some(record) = self.scan.next_record().map_err(from_log)? else {
                return Ok(false);
            };
            let Some(number) = record.number else {
                match Note::parse(record.body).map_err(bad_note)? {
                    Note::Kind(code, kind) => {
                        let known = self.kinds.insert(code, kind);
                        known.map_err(bad_note)?;
                    }
                    Note::Policy(stream, policy) => run.policy = Some((stream, policy)),
                }
                return Ok(true);
            };
            let segment = self.view.segment(record.at.segment());
            let context = segment.map_or(0, Segment::context);
            let base = Timestamp::from_micros(context.cast_signed());
            run.push(record.body, base, Position::new(number))?;
        }
        Ok(true)
    }
}

#[async_trait]
impl HistoryReader for StoreHistory {
    async fn next(&mut self) -> Result<Vec<HistoryEntry>, Error> {
        let entries = self.next_entries()?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        self.refresh()?;
        self.next_entries()
    }

    async fn head(&mut self) -> Result<Position, Error> {
        Ok(Self::head(self))
    }

    fn places_policies(&self) -> bool {
        true
    }

    async fn last_policies(&mut self) -> Result<Option<Vec<HistoryEntry>>, Error> {
        Ok(Some(Vec::new()))
    }
}

impl fmt::Debug for StoreHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHistory")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

/// Events that follow each other, and the policy after them, if one follows.
struct Run<'a> {
    page: PageBuilder<'a>,
    /// Of each event the append that it begins, and whether it was reclaimed.
    appends: Vec<(Option<RecordedAppend>, bool)>,
    policy: Option<(StreamId, StreamPolicy)>,
}

impl<'a> Run<'a> {
    fn new(kinds: &'a Kinds) -> Self {
        Self {
            page: PageBuilder::new(kinds, EVENTS_MAX),
            appends: Vec::new(),
            policy: None,
        }
    }

    fn is_full(&self) -> bool {
        self.page.len() >= EVENTS_MAX || self.page.bytes() >= BYTES_MAX
    }

    fn push(&mut self, body: &[u8], base: Timestamp, position: Position) -> Result<(), Error> {
        let bad = |bad| bad_record(bad, position);
        let event = EventView::parse(body, base).map_err(bad)?;
        self.page.push(&event, position).map_err(bad)?;
        let append = event.append().map(|header| RecordedAppend {
            id: header.id,
            events: header.events,
        });
        self.appends.push((append, event.is_reclaimed()));
        Ok(())
    }

    fn finish(self) -> Vec<HistoryEntry> {
        let events = self.page.finish().into_iter().zip(self.appends);
        let events = events.map(|(event, (append, is_reclaimed))| HistoryEntry::Event {
            event,
            append,
            is_reclaimed,
        });
        let policy = self.policy;
        let policy = policy.map(|(stream, policy)| HistoryEntry::Policy { stream, policy });
        events.chain(policy).collect()
    }
}

fn bad_note(bad: BadRecord) -> Error {
    corrupt("a note of the log is none of this format; verify the store").with("note", bad)
}

#[cfg(test)]
mod tests {
    use annals_core::{
        Append, AppendId, ContentType, EventStore, EventStoreExt, EventType, Expected, NewEvent,
    };
    use futures_executor::block_on;

    use super::*;
    use crate::LogStore;

    fn append(id: &str, stream: &str, events: usize) -> Append {
        let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}");
        let events = std::iter::repeat_n(event.unwrap(), events);
        Append::builder(AppendId::parse(id).unwrap())
            .write(StreamId::parse(stream).unwrap(), Expected::Any, events)
            .build()
            .unwrap()
    }

    fn told(entry: &HistoryEntry) -> String {
        match entry {
            HistoryEntry::Event { event, append, .. } => {
                let append = append.map(|append| format!(" {}x{}", append.id, append.events));
                format!("{}{}", event.position(), append.unwrap_or_default())
            }
            HistoryEntry::Policy { stream, policy } => format!("{stream} {:?}", policy.state),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn hidden_events_boundaries_and_policies_are_in_it_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let builder = LogStore::builder(directory.path().join("store"));
        let store = builder.clone().create().unwrap();
        let note = StreamId::parse("note-1").unwrap();
        block_on(async {
            store.append(append("a", "note-1", 2)).await.unwrap();
            store.append(append("b", "note-2", 1)).await.unwrap();
            store
                .soft_delete(note, Expected::StreamExists)
                .await
                .unwrap();
            store.append(append("c", "note-1", 600)).await.unwrap();
        });
        let mut history = builder.history().unwrap();
        let mut all = Vec::new();
        loop {
            let entries = history.next_entries().unwrap();
            if entries.is_empty() {
                break;
            }
            all.extend(entries.iter().map(told));
        }
        assert_eq!(history.head(), Position::new(603));
        assert_eq!(
            all[..6],
            ["1 ax2", "2", "3 bx1", "note-1 SoftDeleted", "4 cx600", "5"]
        );
        assert_eq!((all.len(), all.last().unwrap().as_str()), (604, "603"));
        // Asked again as a reader, it goes on with what came since.
        block_on(store.append(append("d", "note-2", 1))).unwrap();
        let more = block_on(HistoryReader::next(&mut history)).unwrap();
        let more: Vec<String> = more.iter().map(told).collect();
        assert_eq!(more, ["604 dx1"]);
    }
}
