//! The laws that an application's aggregates, events and commands keep, each a line in a test.
//!
//! A law is a function that panics, with the counterexample, where it is broken. The functions of this
//! module take histories and events that a test states; those of `generated` (feature `proptest`) make
//! them up, and shrink what breaks a law.

mod codec;
mod command;
mod commute;
mod fold;
#[cfg(feature = "proptest")]
pub mod generated;
mod snapshot;

use std::fmt::Debug;
use std::panic::Location;

use annals_aggregate::Repository;
use annals_codec::{EventCodec, Format};
use annals_concurrency::CommutingPairs;
use annals_core::{Aggregate, CommutingEvent, Event};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::Report;

const DETERMINISM: &str = "replay is deterministic";
const TWO_PARTS: &str = "folding in two parts is folding in one";
const SURVIVAL: &str = "every event survives its codec";
const EQUAL_BYTES: &str = "equal events have equal bytes";
const COMMUTING: &str = "commuting pairs commute";
const SNAPSHOT: &str = "a snapshot and its tail are the whole";
const NO_TRACE: &str = "a refused command records nothing";

/// Holds an aggregate and its codec to every law that needs histories alone:
/// [`replay_is_deterministic`], [`folding_in_two_parts_is_folding_in_one`] and
/// [`every_event_survives_its_codec`].
///
/// The histories together must hold every kind of [`Event::KINDS`], so that a new kind is not forgotten
/// here; an empty history is welcome among them.
///
/// # Panics
/// Where a law is broken, a history is refused, or a kind of event is without a sample.
#[track_caller]
pub fn check_all<A>(
    codec: &(impl EventCodec<A::Event> + ?Sized),
    histories: &[impl AsRef<[A::Event]>],
) where
    A: Aggregate<Event: PartialEq + Debug> + PartialEq + Debug,
{
    replay_is_deterministic::<A>(histories);
    folding_in_two_parts_is_folding_in_one::<A>(histories);
    let events = histories.iter().flat_map(AsRef::<[A::Event]>::as_ref);
    hold(SURVIVAL, codec::survival(codec, events.clone()));
    require(SURVIVAL, codec::coverage(events));
}

/// Folding a history again gives the same state: the same order of histories, another order, another
/// thread.
///
/// It finds an `apply` that looks at time, chance, statics or the thread, and a state that depends on the
/// order in which a `HashMap` gives its entries.
///
/// # Panics
/// Where the law is broken, a history is refused, or there is no event at all.
#[track_caller]
pub fn replay_is_deterministic<A>(histories: &[impl AsRef<[A::Event]>])
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    hold_determinism(histories, &fold::same::<A>);
}

/// Like [`replay_is_deterministic`], for a state that is compared by what this function shows of it.
///
/// # Panics
/// As there.
#[track_caller]
pub fn replay_is_deterministic_by<A, P>(
    histories: &[impl AsRef<[A::Event]>],
    projection: impl Fn(&A) -> P,
) where
    A: Aggregate<Event: Debug>,
    P: PartialEq + Debug,
{
    hold_determinism(histories, &fold::by(projection));
}

/// Folding a history up to any event, and going on from there later, gives the same state as folding
/// it at once: what a snapshot, a cache and a long-running projection rely on.
///
/// Between the two parts another history is folded, and the second part is folded on another thread; so
/// it finds an `apply` that keeps anything outside the state. A history is split at every place, one of
/// more than 64 events at up to 65 places.
///
/// # Panics
/// Where the law is broken, a history is refused, or there is no event at all.
#[track_caller]
pub fn folding_in_two_parts_is_folding_in_one<A>(histories: &[impl AsRef<[A::Event]>])
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    hold_two_parts(histories, &fold::same::<A>);
}

/// Like [`folding_in_two_parts_is_folding_in_one`], for a state that is compared by what this function
/// shows of it.
///
/// # Panics
/// As there.
#[track_caller]
pub fn folding_in_two_parts_is_folding_in_one_by<A, P>(
    histories: &[impl AsRef<[A::Event]>],
    projection: impl Fn(&A) -> P,
) where
    A: Aggregate<Event: Debug>,
    P: PartialEq + Debug,
{
    hold_two_parts(histories, &fold::by(projection));
}

/// Events that are declared to commute do: on every state on which either of two can happen alone, both can in
/// both orders, and give the same state.
///
/// It takes every pair of the given events, on every state of the given histories (of one of more than 64 events
/// on up to 65), so it wants few and short histories of a full life. What a command forbids and `apply` lets pass is
/// not seen here: let `apply` refuse it, or take [`commuting_pairs_commute_in`] with an invariant.
///
/// # Panics
/// Where the law is broken, and where a declared pair can't happen on any given state.
#[track_caller]
pub fn commuting_pairs_commute<A>(histories: &[impl AsRef<[A::Event]>])
where
    A: Aggregate<Event: CommutingEvent + Debug> + PartialEq + Debug,
{
    commuting_pairs_commute_in::<A>(&CommutingPairs::declared(), |_| true, histories);
}

/// Like [`commuting_pairs_commute`], for the pairs of a resolver, and for states that keep this invariant: a pair
/// of events of which either alone keeps it, and both together do not, is false as well.
///
/// ```
/// # use annals_core::{Aggregate, Category, Error, Event, EventKind, EventType, Refusal, SchemaVersion, Tags};
/// # #[derive(Debug)]
/// # struct Changed(i64);
/// # impl Event for Changed {
/// #     const CATEGORY: Category = Category::from_static("count");
/// #     const KINDS: &'static [EventKind] =
/// #         &[EventKind::new(EventType::from_static("changed"), SchemaVersion::FIRST)];
/// #     fn kind_index(&self) -> usize { 0 }
/// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
/// # }
/// # #[derive(Debug, Default, PartialEq)]
/// # struct Count(i64);
/// # impl Aggregate for Count {
/// #     type Event = Changed;
/// #     fn apply(&mut self, event: &Changed) -> Result<(), Refusal> {
/// #         self.0 += event.0;
/// #         Ok(())
/// #     }
/// # }
/// use annals_concurrency::CommutingPairs;
/// use annals_testkit::laws::commuting_pairs_commute_in;
///
/// let pairs = CommutingPairs::none().with("changed", "changed")?;
/// let histories = [[Changed(5), Changed(-3)]];
/// commuting_pairs_commute_in::<Count>(&pairs, |_| true, &histories);
/// let positive = |count: &Count| count.0 >= 0;
/// let broken = std::panic::catch_unwind(|| {
///     commuting_pairs_commute_in::<Count>(&pairs, positive, &histories);
/// });
/// assert!(broken.is_err(), "of 5, 3 can be taken once");
/// # Ok::<(), Error>(())
/// ```
///
/// # Panics
/// As there.
#[track_caller]
pub fn commuting_pairs_commute_in<A>(
    pairs: &CommutingPairs<A::Event>,
    invariant: impl Fn(&A) -> bool,
    histories: &[impl AsRef<[A::Event]>],
) where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    let pairs = commute::ordered(pairs.pairs());
    let declared = commute::Declared {
        pairs: &pairs,
        invariant: &invariant,
    };
    match commute::commute(&declared, histories) {
        Ok(met) => require(COMMUTING, commute::all_met::<A::Event>(&pairs, &met)),
        Err(report) => report.of_law(COMMUTING).fail(),
    }
}

/// A state that is written as a snapshot, read again, and folded on gives the same state as folding the
/// history at once: what a repository with snapshots relies on, for the form that it keeps them in.
///
/// It finds a field that serde skips, a value that the form loses, a state that can't be written at all. A
/// history is split at every place, one of more than 64 events at up to 65 places.
///
/// # Panics
/// Where the law is broken, a history is refused, or there is no event at all.
#[track_caller]
pub fn a_snapshot_and_its_tail_are_the_whole<A>(
    form: &(impl Format + ?Sized),
    histories: &[impl AsRef<[A::Event]>],
) where
    A: Aggregate<Event: Debug> + PartialEq + Debug + Serialize + DeserializeOwned,
{
    require(SNAPSHOT, fold::some_event(histories));
    hold(SNAPSHOT, snapshot::whole::<A>(form, histories));
}

/// An event that is encoded and decoded is the same event; the name, the schema version, the form and
/// the tags that are recorded of it are those that it has.
///
/// The events must hold every kind of [`Event::KINDS`], so that a new kind is not forgotten here.
///
/// # Panics
/// Where the law is broken, or a kind of event is without a sample.
#[track_caller]
pub fn every_event_survives_its_codec<E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    events: &[E],
) {
    hold(SURVIVAL, codec::survival(codec, events.iter()));
    require(SURVIVAL, codec::coverage(events.iter()));
}

/// Events that are equal are encoded as the same bytes. The events must hold every kind.
///
/// A law for applications that derive append ids (from a command's id, from an imported record): a
/// retry by another process encodes its events anew, and is known as a retry by its bytes. A `HashMap`
/// in an event breaks it, as does encryption with a random nonce.
///
/// # Panics
/// Where the law is broken, an event does not survive its codec, or a kind is without a sample.
#[track_caller]
pub fn equal_events_have_equal_bytes<E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    events: &[E],
) {
    let outcome = events
        .iter()
        .try_for_each(|event| codec::equal_bytes(codec, event));
    hold(EQUAL_BYTES, outcome);
    require(EQUAL_BYTES, codec::coverage(events.iter()));
}

/// A command that is refused leaves the store as it was: no event of any stream, no other state of the
/// aggregate. Gives the error of the command, for the test to look at.
///
/// The history is recorded first, for the aggregate with this key. The command is the application's own
/// way to it: `async |accounts| accounts.execute(...).await`, or the service that serves a request, so that
/// one which appends its first half and refuses the second is found. Nobody else may write the store
/// meanwhile.
///
/// ```
/// # use std::sync::Arc;
/// # use annals_aggregate::Repository;
/// # use annals_codec::JsonCodec;
/// # use annals_core::{Aggregate, Refusal};
/// # use annals_store_memory::MemoryStore;
/// # use annals_testkit::laws;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(annals_macros::Event, Serialize, Deserialize)]
/// # #[event(category = "door")]
/// # struct Opened;
/// # #[derive(Debug, Default, PartialEq)]
/// # struct Door { open: bool }
/// # #[derive(Debug, PartialEq)]
/// # struct AlreadyOpen;
/// # impl Door {
/// #     fn open(&self) -> Result<Opened, AlreadyOpen> {
/// #         if self.open { Err(AlreadyOpen) } else { Ok(Opened) }
/// #     }
/// # }
/// # impl Aggregate for Door {
/// #     type Event = Opened;
/// #     fn apply(&mut self, _: &Opened) -> Result<(), Refusal> {
/// #         self.open = true;
/// #         Ok(())
/// #     }
/// # }
/// # futures_executor::block_on(async {
/// let doors = Repository::<Door>::new(Arc::new(MemoryStore::new()), JsonCodec);
/// let error = laws::a_refused_command_records_nothing(&doors, "42", [Opened], async |doors| {
///     doors.execute("42", |door| door.open()).await
/// })
/// .await;
/// assert_eq!(error.refused(), Some(&AlreadyOpen));
/// # });
/// ```
///
/// Any executor drives it; the store says which one it needs.
///
/// # Panics
/// Where the law is broken, the command is accepted, or the history can't be recorded.
#[track_caller]
pub fn a_refused_command_records_nothing<A, T, E>(
    repository: &Repository<A>,
    key: &str,
    history: impl IntoIterator<Item = A::Event>,
    command: impl AsyncFnOnce(&Repository<A>) -> Result<T, E>,
) -> impl Future<Output = E>
where
    A: Aggregate + PartialEq + Debug,
{
    let caller = Location::caller();
    let history = history.into_iter().collect();
    async move {
        match command::no_trace(repository, key, history, command).await {
            Ok(error) => error,
            Err(report) => report
                .text("expected at", &caller.to_string())
                .of_law(NO_TRACE)
                .fail(),
        }
    }
}

#[track_caller]
fn hold_determinism<A: Aggregate<Event: Debug>>(
    histories: &[impl AsRef<[A::Event]>],
    compare: fold::Compare<'_, A>,
) {
    require(DETERMINISM, fold::some_event(histories));
    hold(DETERMINISM, fold::determinism(histories, compare));
}

#[track_caller]
fn hold_two_parts<A: Aggregate<Event: Debug>>(
    histories: &[impl AsRef<[A::Event]>],
    compare: fold::Compare<'_, A>,
) {
    require(TWO_PARTS, fold::some_event(histories));
    hold(TWO_PARTS, fold::two_parts(histories, compare));
}

/// Fails for samples that say too little about a law.
#[track_caller]
fn require(law: &str, samples: Result<(), Report>) {
    if let Err(report) = samples {
        report.of_samples(law).fail();
    }
}

#[track_caller]
fn hold(law: &str, outcome: Result<(), Report>) {
    if let Err(report) = outcome {
        report.of_law(law).fail();
    }
}
