//! A damaged log is refused, verified, repaired; what is lost is an error for ever, never a gap.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;

use annals_core::{
    Append, AppendId, ContentType, Criteria, Cursor, Error, ErrorKind, EventStore, EventType,
    Expected, NewEvent, Position, ReadRequest, Receipt, StreamId, Version,
};
use annals_store_log::LogStore;
use futures_executor::block_on;

const HAPPENED: EventType = EventType::from_static("happened");
const EVENTS: u64 = 9;

/// Each event in a frame of its own, `marker-<n>` in its payload.
fn append(store: &LogStore, n: u64) -> Result<Receipt, Error> {
    let event = NewEvent::new(HAPPENED, ContentType::JSON, format!("\"marker-{n}\"")).unwrap();
    let append = Append::builder(AppendId::parse(&format!("append-{n}")).unwrap())
        .write(stream(n), Expected::Any, [event])
        .build()
        .unwrap();
    block_on(store.append(append))
}

fn stream(n: u64) -> StreamId {
    StreamId::parse(&format!("thing-{}", n % 3)).unwrap()
}

/// Flips a bit in the payload of the n-th event.
fn damage(directory: &Path, n: u64) {
    let path = directory.join("log/00000000000000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    let marker = format!("marker-{n}");
    let found = bytes
        .windows(marker.len())
        .position(|window| window == marker.as_bytes());
    *bytes.get_mut(found.unwrap()).unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
}

fn positions(store: &LogStore, request: ReadRequest) -> Result<Vec<u64>, Error> {
    let page = block_on(store.read(request))?;
    Ok(page
        .events
        .iter()
        .map(|event| event.position().value())
        .collect())
}

#[test]
fn what_a_repair_gave_up_is_an_error_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = LogStore::builder(&path).create().unwrap();
    (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
    store.close().unwrap();
    damage(&path, 5);

    let builder = || LogStore::builder(&path);
    let verification = builder().verify(&mut |_| {}).unwrap();
    assert_eq!(verification.log.damage.len(), 1, "{verification:?}");
    assert_eq!(verification.log.damage[0].numbers, Some(5..6));
    let repair = builder().repair(&mut |_| {}).unwrap();
    assert_eq!(repair.quarantined.len(), 1);

    for with_index in [true, false] {
        if !with_index {
            fs::remove_dir_all(path.join("index")).unwrap();
        }
        let store = builder().open().unwrap();
        check_reads(&store);
        check_conditions(&store);
        let next = append(&store, 100 + u64::from(with_index)).unwrap();
        assert!(next.first_position > Position::new(EVENTS));
        store.close().unwrap();
    }
}

fn check_reads(store: &LogStore) {
    let criteria = Criteria::of_types([HAPPENED]).unwrap();
    for request in [ReadRequest::all(), ReadRequest::matching(criteria)] {
        let page = block_on(store.read(request.clone())).unwrap();
        assert_eq!(page.events.len(), 4);
        assert_eq!(page.cursor, Cursor::at(Position::new(4)));
        let error = block_on(store.read(page.next.unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let after = request.clone().after(Position::new(5));
        assert_eq!(
            positions(store, after).unwrap().get(..4),
            Some(&[6, 7, 8, 9][..])
        );
        let backward = request.backward().until(Position::new(9));
        assert_eq!(positions(store, backward).unwrap(), [9, 8, 7, 6]);
    }
    let whole = ReadRequest::stream(stream(4));
    assert_eq!(
        positions(store, whole).unwrap().get(..3),
        Some(&[1, 4, 7][..])
    );
    let lost = ReadRequest::stream(stream(5)).until_version(Version::new(2));
    assert_eq!(
        positions(store, lost).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let receipt = block_on(store.receipt(&AppendId::parse("append-4").unwrap()));
    assert_eq!(receipt.unwrap().unwrap().first_position, Position::new(4));
}

fn check_conditions(store: &LogStore) {
    let other = EventType::from_static("other");
    for (after, refused) in [(4, true), (5, false)] {
        let event = NewEvent::new(HAPPENED, ContentType::JSON, "{}").unwrap();
        let id = AppendId::parse(&format!("unless-{after}")).unwrap();
        let append = Append::builder(id)
            .write(StreamId::from_static("conditions"), Expected::Any, [event])
            .unless(
                Criteria::of_types([other.clone()]).unwrap(),
                Cursor::at(Position::new(after)),
            )
            .build()
            .unwrap();
        let recorded = block_on(store.append(append));
        assert_eq!(recorded.is_err(), refused, "{recorded:?}");
    }
}

#[test]
fn a_position_index_is_built_again_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = LogStore::builder(&path).create().unwrap();
    (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
    drop(store);
    fs::remove_dir_all(path.join("index")).unwrap();
    let store = LogStore::builder(&path).open().unwrap();
    let all = positions(&store, ReadRequest::all()).unwrap();
    assert_eq!(all, (1..=EVENTS).collect::<Vec<_>>());
    assert!(append(&store, 3).unwrap().is_duplicate());
}
