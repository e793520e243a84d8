//! Many clients at once, each of which has read before any of them appends.

use std::fmt;
use std::sync::Arc;
use std::thread;

use annals::{
    CommandError, Decisions, EventStore, EventStoreExt, JsonCodec, LogStore, MemoryStore,
    ReadRequest, RecordedEvent,
};
use annals_testkit::MeetingStore;
use dcb::Made;
use futures_executor::block_on;

/// How many clients race.
pub(crate) const CLIENTS: usize = 16;

/// What came of a race.
pub(crate) struct Race<T> {
    pub(crate) answers: Vec<T>,
    /// The whole history after it.
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) decisions: Decisions<JsonCodec>,
}

/// Decisions in a fresh store in memory.
pub(crate) fn fresh() -> Decisions<JsonCodec> {
    Decisions::new(Arc::new(MemoryStore::new()), JsonCodec)
}

/// Lets clients race in threads, on each store: `prepare` comes first, `check` after. All of them have read
/// before one appends.
pub(crate) fn race<T: Send>(
    prepare: impl Fn(&Decisions<JsonCodec>),
    client: impl Fn(&Decisions<JsonCodec>, usize) -> T + Sync,
    check: impl Fn(&Race<T>),
) {
    let meet = |store| Arc::new(MeetingStore::new(store, CLIENTS)) as Arc<dyn EventStore>;
    race_through(meet, prepare, client, check);
}

/// The same for clients that need not read, as they come.
pub(crate) fn race_as_they_come<T: Send>(
    client: impl Fn(&Decisions<JsonCodec>, usize) -> T + Sync,
    check: impl Fn(&Race<T>),
) {
    race_through(|store| store, |_| (), client, check);
}

fn race_through<T: Send>(
    way: impl Fn(Arc<dyn EventStore>) -> Arc<dyn EventStore>,
    prepare: impl Fn(&Decisions<JsonCodec>),
    client: impl Fn(&Decisions<JsonCodec>, usize) -> T + Sync,
    check: impl Fn(&Race<T>),
) {
    let directory = tempfile::tempdir().unwrap();
    let log = LogStore::builder(directory.path().join("store")).open_or_create();
    let stores: [Arc<dyn EventStore>; 2] = [Arc::new(MemoryStore::new()), Arc::new(log.unwrap())];
    for store in stores {
        prepare(&Decisions::new(store.clone(), JsonCodec));
        // Where all are to win, one has to lose against each of the others first.
        let attempts_max = u32::try_from(CLIENTS).unwrap();
        let racing = Decisions::new(way(store.clone()), JsonCodec).with_attempts_max(attempts_max);
        let answers = thread::scope(|scope| {
            let clients = (0..CLIENTS).map(|number| {
                let (client, racing) = (&client, &racing);
                scope.spawn(move || client(racing, number))
            });
            let clients: Vec<_> = clients.collect();
            let answers = clients.into_iter().map(|client| client.join().unwrap());
            answers.collect()
        });
        let events = block_on(store.collect(ReadRequest::all())).unwrap();
        check(&Race {
            answers,
            events,
            decisions: Decisions::new(store, JsonCodec),
        });
    }
}

/// Holds a race to one winner, with everybody else refused for this reason.
#[track_caller]
pub(crate) fn assert_one_winner<T: fmt::Debug, R: fmt::Debug + PartialEq>(
    answers: &[Result<T, CommandError<R>>],
    refusal: &R,
) {
    let is_loser = |answer: &&Result<T, CommandError<R>>| match answer {
        Ok(_) => false,
        Err(CommandError::Refused(refused)) if refused == refusal => true,
        Err(error) => panic!("{error:?}"),
    };
    let losers = answers.iter().filter(is_loser).count();
    assert_eq!(answers.len() - losers, 1, "winners in {answers:?}");
}

/// Why a command was refused.
#[track_caller]
pub(crate) fn refused<E: fmt::Debug, R: fmt::Debug>(made: Made<E, R>) -> R {
    match made {
        Err(CommandError::Refused(refused)) => refused,
        other => panic!("it was not refused: {other:?}"),
    }
}

/// How many events of a kind there are.
pub(crate) fn count(events: &[RecordedEvent], kind: &str) -> usize {
    let of_kind = |event: &&RecordedEvent| event.event_type().as_str() == kind;
    events.iter().filter(of_kind).count()
}
