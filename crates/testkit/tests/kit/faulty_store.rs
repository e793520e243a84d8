//! The store that fails when it is told to.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use annals_aggregate::{CommandError, Repository};
use annals_codec::JsonCodec;
use annals_core::{
    Append, ContentType, ErrorKind, EventStore, EventType, Expected, Ids, NewEvent, Outcome,
    ReadRequest, StreamId,
};
use annals_store_memory::MemoryStore;
use annals_testkit::{CountingIds, Fault, FaultyStore};
use futures_executor::block_on;

use crate::account::{Account, AccountError, opened};
use crate::support::failure_of;

fn append(ids: &CountingIds, expected: Expected) -> Append {
    let event = NewEvent::new(EventType::from_static("e"), ContentType::JSON, "1").unwrap();
    let stream = StreamId::parse("a-1").unwrap();
    Append::builder(ids.append_id())
        .write(stream, expected, [event])
        .build()
        .unwrap()
}

fn events_in(store: &impl EventStore) -> usize {
    let page = block_on(store.read(ReadRequest::all())).unwrap();
    page.events.len()
}

/// Sends one append of an absent stream into the fault, then sends it again.
fn check(fault: Fault, first: Result<(), ErrorKind>, written: usize, again: Option<bool>) {
    let inner = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(Arc::clone(&inner)).on_append(1, fault);
    let ours = append(&CountingIds::series(1), Expected::NoStream);
    let answer = block_on(store.append(ours.clone()));
    assert_eq!(answer.map(|_| ()).map_err(|error| error.kind()), first);
    assert_eq!(events_in(&inner), written);
    let retried = block_on(store.append(ours)).ok();
    assert_eq!(retried.map(|receipt| receipt.is_duplicate()), again);
    assert_eq!(store.appends(), 2);
    store.assert_all_faults_met();
}

#[test]
fn each_fault_leaves_the_store_as_it_says() {
    let other = || CountingIds::series(2);
    let rejected = Fault::Rejected(ErrorKind::Overloaded);
    check(rejected, Err(ErrorKind::Overloaded), 0, Some(false));
    check(
        Fault::LostBeforeWrite,
        Err(ErrorKind::Unknown),
        0,
        Some(false),
    );
    check(
        Fault::LostAfterWrite,
        Err(ErrorKind::Unknown),
        1,
        Some(true),
    );
    let competing = Fault::Competing(append(&other(), Expected::Any));
    check(competing, Err(ErrorKind::Conflict), 1, None);
    let failing = Fault::Competing(append(&other(), Expected::StreamExists));
    check(failing, Err(ErrorKind::Invalid), 0, Some(false));
}

#[test]
fn a_lost_answer_does_not_make_a_bad_append_good() {
    let store = FaultyStore::new(MemoryStore::new()).on_append(1, Fault::LostAfterWrite);
    let ours = append(&CountingIds::default(), Expected::StreamExists);
    let error = block_on(store.append(ours)).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    let says = "append: failed as the test's script says; handle it (call: 1)";
    assert_eq!(error.to_string(), says);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(events_in(&store), 0);
}

#[test]
fn an_append_that_is_given_up_may_be_written() {
    let store = FaultyStore::new(MemoryStore::new()).on_append(1, Fault::HangAfterWrite);
    let ours = append(&CountingIds::default(), Expected::NoStream);
    {
        let mut hanging = pin!(store.append(ours.clone()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(hanging.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(events_in(&store), 1);
    assert!(block_on(store.append(ours)).unwrap().is_duplicate());
}

#[test]
fn a_read_fails_at_its_turn() {
    let store = FaultyStore::new(MemoryStore::new()).on_read(2, ErrorKind::Unavailable);
    let read = || block_on(store.read(ReadRequest::all())).map_err(|error| error.to_string());
    let second = "read: failed as the test's script says; handle it (call: 2)";
    assert!(read().is_ok());
    assert_eq!(read().unwrap_err(), second);
    assert!(read().is_ok());
    assert_eq!(store.reads(), 3);
}

#[test]
fn an_unmet_fault_is_told() {
    let store = FaultyStore::new(MemoryStore::new())
        .on_append(2, Fault::LostAfterWrite)
        .on_read(1, ErrorKind::Unavailable);
    block_on(store.append(append(&CountingIds::default(), Expected::Any))).unwrap();
    let message = failure_of(|| store.assert_all_faults_met());
    assert_eq!(
        message,
        "there were 1 appends and 0 reads, so these faults were not met; call the store more \
         often, or drop them:\n    append 2: LostAfterWrite\n    read 1: Unavailable"
    );
    let zero = failure_of(|| drop(store.on_append(0, Fault::LostBeforeWrite)));
    assert_eq!(zero, "calls are counted from 1; there is no append 0");
}

/// Opens an account in a store that goes wrong as told; gives how often it was tried, and the events.
fn open(store: FaultyStore<MemoryStore>) -> Result<(u32, usize), ErrorKind> {
    let store = Arc::new(store);
    let accounts = Repository::<Account>::new(store.clone(), JsonCodec)
        .with_attempts_max(2)
        .with_resends_max(1);
    let opening = accounts.execute("42", |account| match account.owner {
        Some(_) => Err(AccountError::NotOpen),
        None => Ok(opened()),
    });
    let executed = block_on(opening);
    let answer = match executed {
        Ok(executed) => Ok((executed.attempts, events_in(&store))),
        Err(CommandError::Refused(_)) => Err(ErrorKind::Refused),
        Err(error) => Err(error
            .store()
            .map_or(ErrorKind::Invalid, annals_core::Error::kind)),
    };
    store.assert_all_faults_met();
    answer
}

#[test]
fn a_repository_meets_every_fault() {
    let store = || FaultyStore::new(MemoryStore::new());
    let codec = JsonCodec;
    let theirs = |nth| {
        let event = annals_codec::EventCodec::encode(&codec, &opened()).unwrap();
        let stream = StreamId::parse("account-42").unwrap();
        let id = CountingIds::series(nth).append_id();
        let append = Append::builder(id).write(stream, Expected::Any, [event]);
        Fault::Competing(append.build().unwrap())
    };
    assert_eq!(open(store()), Ok((1, 1)));
    assert_eq!(
        open(store().on_append(1, Fault::LostBeforeWrite)),
        Ok((1, 1))
    );
    assert_eq!(
        open(store().on_append(1, Fault::LostAfterWrite)),
        Ok((1, 1))
    );
    assert_eq!(
        open(store().on_append(1, theirs(1))),
        Err(ErrorKind::Refused)
    );
    let overloaded = |times| {
        let fault = || Fault::Rejected(ErrorKind::Overloaded);
        (1..=times).fold(store(), |store, nth| store.on_append(nth, fault()))
    };
    assert_eq!(open(overloaded(1)), Ok((1, 1)));
    assert_eq!(open(overloaded(6)), Err(ErrorKind::Overloaded));
    let unread = store().on_read(1, ErrorKind::Unavailable);
    assert_eq!(open(unread), Err(ErrorKind::Unavailable));
    let lost = store()
        .on_append(1, Fault::LostAfterWrite)
        .on_append(2, Fault::LostBeforeWrite);
    assert_eq!(open(lost), Err(ErrorKind::Unknown));
}
