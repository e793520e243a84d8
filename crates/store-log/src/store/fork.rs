//! Another store with the beginning of one.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use annals_core::{Error, HistoryEntry, Position, StreamId, StreamPolicy, Timestamp, Version};
use annals_log::Progress;

use super::error::from_log;
use super::open::LogStoreBuilder;
use super::settings::LostEvents;
use crate::record::{EventView, encode_policy};

/// What a fork of a store consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreFork {
    /// The position of its last event: the one that was asked for, the last of the store, or the one before the append
    /// that lies on both sides of it.
    pub position: Position,
    /// How many segments it shares with the store, without a copy.
    pub segments_shared: usize,
    /// How many sealed segments were copied, as the file system gives them no second name.
    pub segments_copied: usize,
    /// How many streams begin later than they did then, because events of them were reclaimed since.
    pub streams_truncated: usize,
}

impl LogStoreBuilder {
    /// Makes another store in `directory`, of the events up to and with a position: for experiments on real data.
    ///
    /// Segments that are sealed are shared by hard links, so that a fork of a large store takes little time and
    /// room; the last one is copied. The two go on apart, and nothing that is done to the fork is seen in the store.
    /// Events keep positions, versions, identities and times; append ids and policies are those of then, just
    /// before the next event. Where events were reclaimed since then that no policy of then hides, their stream begins
    /// behind the last of them in the fork, so that no stream has a hole. Snapshots and
    /// checkpoints are not in it, and the index is built when it is opened. An append is in it whole or not at all.
    ///
    /// The store may be open meanwhile, in this process or another: the fork is of what is durable. It is durable
    /// itself when this returns. It is *no backup*: damage to a shared file is damage to both.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, or one in `directory` already; `Corrupt` when what would be copied is
    /// damaged. What was made of the fork by then stays in `directory`.
    pub fn fork(
        &self,
        directory: impl Into<PathBuf>,
        until: Position,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<StoreFork, Error> {
        let directory = directory.into();
        let (from, to) = (self.log_directory(), Self::log_of(&directory));
        let forked = annals_log::fork(
            &self.parts,
            &from,
            &to,
            &self.log_settings(),
            until.value(),
            &begins_append,
            progress,
        );
        let forked = forked.map_err(|error| from_log(error).during("fork"))?;
        let fork = self.clone().at(directory);
        let streams_truncated = self.complete(&fork);
        Ok(StoreFork {
            streams_truncated: streams_truncated.map_err(|error| error.during("fork"))?,
            position: Position::new(forked.last_number),
            segments_shared: forked.segments_shared,
            segments_copied: forked.segments_copied,
        })
    }
}

impl LogStoreBuilder {
    /// Records in a fork what it would not have from the beginning of the log alone; how many streams begin later there.
    fn complete(&self, fork: &Self) -> Result<usize, Error> {
        let view = self.log_follower()?.view();
        if view.segments().any(|segment| !segment.lost().is_empty()) {
            // What a repair stated again stands at the end of the log, which the fork may end before.
            fork.state_kinds(&self.kinds_to_begin_with(&view))?;
        }
        if view.has_reclaimed() {
            return fork.truncate_reclaimed();
        }
        Ok(0)
    }
}

/// A stream of which something was reclaimed.
struct Reclaimed {
    /// The last version that was.
    last: Version,
    appended_at: Timestamp,
    head: Version,
    policy: StreamPolicy,
}

impl LogStoreBuilder {
    /// Has every stream begin behind the last of its events that was reclaimed, where its policy doesn't hide that; of how
    /// many streams. Nobody else has the store yet.
    fn truncate_reclaimed(&self) -> Result<usize, Error> {
        let mut streams: BTreeMap<StreamId, Reclaimed> = BTreeMap::new();
        let mut policies: HashMap<StreamId, StreamPolicy> = HashMap::new();
        let mut newest = Timestamp::EPOCH;
        // What a repair gave up stays given up there.
        let mut past_lost = self.clone();
        past_lost.settings.lost_events = LostEvents::Skip;
        let mut history = past_lost.history()?;
        loop {
            let entries = history.next_entries()?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                match entry {
                    HistoryEntry::Policy { stream, policy } => {
                        policies.insert(stream, policy);
                    }
                    HistoryEntry::Event {
                        event,
                        is_reclaimed,
                        ..
                    } => {
                        newest = event.appended_at();
                        if is_reclaimed {
                            let reclaimed = Reclaimed {
                                last: event.version(),
                                appended_at: event.appended_at(),
                                head: event.version(),
                                policy: StreamPolicy::default(),
                            };
                            streams.insert(event.stream().clone(), reclaimed);
                        } else if let Some(known) = streams.get_mut(event.stream()) {
                            known.head = event.version();
                        }
                    }
                    // A log has nothing else.
                    _ => {}
                }
            }
        }
        for (stream, reclaimed) in &mut streams {
            reclaimed.policy = policies.remove(stream).unwrap_or_default();
        }
        streams.retain(|_, it| it.policy.shows(it.last, it.appended_at, it.head, newest));
        let notes = streams.iter().map(|(stream, it)| truncated(stream, it));
        self.record_notes(&notes.collect::<Vec<_>>())?;
        Ok(streams.len())
    }
}

/// The note of the policy by which a stream begins behind what was reclaimed of it.
fn truncated(stream: &StreamId, reclaimed: &Reclaimed) -> Vec<u8> {
    let mut policy = reclaimed.policy.clone();
    policy.truncate_before = reclaimed.last.next();
    let mut note = Vec::new();
    encode_policy(stream, &policy, &mut note);
    note
}

/// Whether an event is the first of its append. What does not read is copied as it is, to be told when it is read.
fn begins_append(body: &[u8]) -> bool {
    // Its time does not matter, and has to be one from which an older id can be told.
    const SOME_TIME: Timestamp = Timestamp::from_seconds(1_000_000_000);
    let event = EventView::parse(body, SOME_TIME);
    event.is_ok_and(|event| event.append().is_some())
}
