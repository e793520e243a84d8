//! Optimistic control: an append names the versions that it was decided on, and whoever was later loses.

use std::collections::HashMap;

use annals_core::{
    Append, Conflict, Expected, FailedCheck, Position, StreamHead, StreamId, StreamReceipt,
    StreamState, Version,
};

/// The versions of streams, and the judgement of appends by them.
///
/// A component by itself: it knows no events and no positions, so the conflicts that it gives are without
/// positions. A store that has its own index of streams takes [`judge`](Self::judge) alone. A stream that it
/// was never told of is absent. Its memory grows with the number of streams.
///
/// ```
/// use annals_concurrency::OptimisticConcurrency;
/// # use annals_core::{Append, ContentType, EventType, Expected, Ids, NewEvent, StreamId, UuidIds, Version};
///
/// let account = StreamId::parse("account-42")?;
/// # let event = || NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}");
/// let opening = Append::builder(UuidIds::default().append_id())
///     .write(account.clone(), Expected::NoStream, [event()?])
///     .build()?;
/// let mut versions = OptimisticConcurrency::new();
/// assert!(versions.advance(&opening).is_ok());
/// assert_eq!(versions.version(&account), Version::FIRST);
/// assert!(versions.advance(&opening).is_err());
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OptimisticConcurrency {
    streams: HashMap<StreamId, Known>,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: Version,
    state: StreamState,
}

impl OptimisticConcurrency {
    /// Every stream is absent.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version of a stream; [`Version::ABSENT`] for one that is not known.
    pub fn version(&self, stream: &StreamId) -> Version {
        self.known(stream).version
    }

    /// Takes over where a stream stands, as a store tells it.
    pub fn set(&mut self, head: &StreamHead) {
        let known = Known {
            version: head.version,
            state: head.policy.state,
        };
        self.streams.insert(head.stream.clone(), known);
    }

    /// Judges the expectations of an append, of written and of checked streams, and changes nothing.
    ///
    /// # Errors
    /// Every expectation that fails, in the order of the append. Conditions and event ids are for others
    /// to judge.
    pub fn check(&self, append: &Append) -> Result<(), Conflict> {
        let failures = append.expectations().filter_map(|(stream, expected)| {
            let Known { version, state } = self.known(stream);
            Self::judge(stream, expected, (version, state), |_| Vec::new())
        });
        Conflict::of(failures.collect()).map_or(Ok(()), Err)
    }

    /// Judges an append as [`check`](Self::check) does, and takes its events as recorded: gives the versions
    /// that they have, and opens a soft-deleted stream again.
    ///
    /// # Errors
    /// As for [`check`](Self::check); nothing is changed then.
    pub fn advance(&mut self, append: &Append) -> Result<Vec<StreamReceipt>, Conflict> {
        self.check(append)?;
        let written = append.writes().iter().map(|write| {
            let known = self.streams.entry(write.stream.clone()).or_default();
            let before = known.version;
            let count = u64::try_from(write.events.len()).unwrap_or(u64::MAX);
            *known = Known {
                version: before.forward(count),
                state: StreamState::Open,
            };
            StreamReceipt {
                stream: write.stream.clone(),
                first_version: before.next(),
                last_version: known.version,
            }
        });
        Ok(written.collect())
    }

    /// Judges one expectation on a stream at this version and in this state; `None` when it holds.
    ///
    /// `offending` gives the positions of the visible events after a version, as a conflict lists them; it is
    /// asked only when the expectation fails.
    pub fn judge(
        stream: &StreamId,
        expected: Expected,
        (version, state): (Version, StreamState),
        offending: impl FnOnce(Version) -> Vec<Position>,
    ) -> Option<FailedCheck> {
        let stream = || stream.clone();
        if state == StreamState::Tombstoned {
            return Some(FailedCheck::Closed { stream: stream() });
        }
        if expected.holds(version, state == StreamState::SoftDeleted) {
            return None;
        }
        let after = match expected {
            Expected::Any | Expected::StreamExists => Version::MAX,
            Expected::NoStream => Version::ABSENT,
            Expected::Exactly(version) => version,
        };
        Some(FailedCheck::Stream {
            stream: stream(),
            expected,
            actual: version,
            state,
            positions: offending(after),
        })
    }

    fn known(&self, stream: &StreamId) -> Known {
        self.streams.get(stream).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use annals_core::{
        AppendId, ContentType, EventStore, EventStoreExt, EventType, NewEvent, StreamPolicy,
    };
    use annals_store_memory::MemoryStore;
    use futures_executor::block_on;
    use proptest::prelude::*;

    use super::*;

    fn stream(number: u8) -> StreamId {
        StreamId::parse(&format!("a-{number}")).unwrap()
    }

    fn append(index: usize, number: u8, checked: Option<u8>, expected: Expected) -> Append {
        let event = NewEvent::new(EventType::from_static("e"), ContentType::JSON, "{}").unwrap();
        let id = AppendId::parse(&index.to_string()).unwrap();
        let append = Append::builder(id).write(stream(number), expected, [event]);
        match checked.filter(|checked| *checked != number) {
            Some(checked) => append.check(stream(checked), expected).build().unwrap(),
            None => append.build().unwrap(),
        }
    }

    fn without_positions(conflict: &Conflict) -> Vec<FailedCheck> {
        let failures = conflict.failures().iter().cloned();
        failures
            .map(|failure| match failure {
                FailedCheck::Stream {
                    stream,
                    expected,
                    actual,
                    state,
                    ..
                } => FailedCheck::Stream {
                    stream,
                    expected,
                    actual,
                    state,
                    positions: Vec::new(),
                },
                other => other,
            })
            .collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(u8, Option<u8>, Expected),
        Delete(u8),
        Close(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let expected = prop_oneof![
            Just(Expected::Any),
            Just(Expected::NoStream),
            Just(Expected::StreamExists),
            (0_u64..4).prop_map(|version| Expected::Exactly(Version::new(version))),
        ];
        prop_oneof![
            8 => (0_u8..3, proptest::option::of(0_u8..3), expected)
                .prop_map(|(stream, checked, expected)| Step::Append(stream, checked, expected)),
            1 => (0_u8..3).prop_map(Step::Delete),
            1 => (0_u8..3).prop_map(Step::Close),
        ]
    }

    proptest! {
        #[test]
        fn it_judges_as_the_reference_store(steps in proptest::collection::vec(step(), 0..30)) {
            let store = MemoryStore::new();
            let mut versions = OptimisticConcurrency::new();
            for (index, step) in steps.into_iter().enumerate() {
                let changed = match step {
                    Step::Append(number, checked, expected) => {
                        let append = append(index, number, checked, expected);
                        let judged = versions.advance(&append);
                        match block_on(store.append(append)) {
                            Ok(receipt) => prop_assert_eq!(judged, Ok(receipt.streams)),
                            Err(error) => {
                                let listed = without_positions(error.conflict().unwrap());
                                let judged = judged.unwrap_err();
                                prop_assert_eq!(judged.failures(), &listed[..]);
                            }
                        }
                        continue;
                    }
                    Step::Delete(number) => block_on(store.soft_delete(stream(number), Expected::Any)),
                    Step::Close(number) => block_on(store.tombstone(stream(number), Expected::Any)),
                };
                if let Ok(head) = changed {
                    versions.set(&head);
                }
            }
        }
    }

    #[test]
    fn the_version_is_what_it_was_told() {
        let mut versions = OptimisticConcurrency::new();
        assert_eq!(versions.version(&stream(1)), Version::ABSENT);
        versions.set(&StreamHead {
            stream: stream(1),
            version: Version::new(7),
            policy: StreamPolicy::default(),
        });
        assert_eq!(versions.version(&stream(1)), Version::new(7));
    }
}
