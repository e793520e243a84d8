//! A partition stays the one that it is.

use std::sync::Arc;

use annals_core::{
    CheckpointName, CheckpointSave, CheckpointStore, Cursor, Error, ErrorKind, EventStore,
    EventStoreExt, Position,
};
use annals_partitioned::{PARTITIONS_MAX, Partitioned};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::support::{Store, all, memories, name_in, open, stream, write};

type Stores = Vec<Arc<MemoryStore>>;

fn try_open(stores: Stores) -> Result<Store, Error> {
    block_on(Partitioned::over(stores).open())
}

fn check(stores: Stores, message: &str) {
    let error = try_open(stores).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn it_opens_again_as_it_was() {
    let stores = memories(3);
    let store = open(&stores);
    let names: Vec<String> = (0..20).map(|number| format!("thing-{number}")).collect();
    for name in &names {
        write(&store, name, name);
    }
    drop(store);
    let store = open(&stores);
    assert_eq!(block_on(store.collect(all())).unwrap().len(), 20);
    for name in &names {
        let head = block_on(store.stream_head(&stream(name))).unwrap();
        assert_eq!(head.version.value(), 1, "{name}");
    }
}

#[test]
fn another_order_or_number_is_refused() {
    let stores = memories(3);
    drop(open(&stores));
    let [a, b, c] = &*stores else { unreachable!() };
    let of = |stores: &[&Arc<MemoryStore>]| stores.iter().map(|it| Arc::clone(it)).collect();
    check(
        of(&[b, a, c]),
        "another partition; give the stores in the order",
    );
    check(
        of(&[a, c, b]),
        "another partition; give the stores in the order",
    );
    check(of(&[a, b]), "another number of them");
    check(of(&[a]), "another number of them");
    check(of(&[a, b, c, &Arc::default()]), "another number of them");
    check(
        of(&[&Arc::default(), a, b]),
        "first store is no partition yet",
    );
    check(
        of(&[a, a, c]),
        "another partition; give the stores in the order",
    );
    // What was refused changed nothing.
    drop(open(&stores));
}

#[test]
fn partitions_of_another_store_are_refused() {
    let (one, other) = (memories(2), memories(2));
    drop((open(&one), open(&other)));
    let mixed = vec![Arc::clone(&one[0]), Arc::clone(&other[1])];
    check(mixed, "another partitioned store");
}

#[test]
fn events_of_before_are_refused() {
    for used in [0, 1] {
        let stores = memories(2);
        write(&stores[used], "thing-1", "before");
        check(stores, "store holds events, but not which partition it is");
    }
    // A single store is what it is.
    let store = memories(1);
    write(&store[0], "thing-1", "before");
    let store = open(&store);
    write(&store, "thing-1", "after");
    assert_eq!(block_on(store.collect(all())).unwrap().len(), 2);
}

#[test]
fn an_opening_that_was_cut_short_is_finished() {
    let stores = memories(3);
    drop(open(&stores));
    // As after a crash: the first says which store it is, the others are as new.
    let fresh = memories(2);
    let again = vec![
        Arc::clone(&stores[0]),
        Arc::clone(&fresh[0]),
        Arc::clone(&fresh[1]),
    ];
    drop(open(&again));
    drop(open(&again));
}

#[test]
fn no_store_and_too_many_are_refused() {
    check(Vec::new(), "1 to PARTITIONS_MAX (1024) partitions");
    check(
        memories(PARTITIONS_MAX + 1),
        "1 to PARTITIONS_MAX (1024) partitions",
    );
    open(&memories(PARTITIONS_MAX));
}

#[test]
fn a_partition_is_a_single_log() {
    let inner = || async { Partitioned::over(memories(2)).open().await.map(Arc::new) };
    let nested = block_on(async {
        Partitioned::over([inner().await?, inner().await?])
            .open()
            .await
    });
    assert_eq!(nested.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn what_says_which_partition_it_is_is_not_to_be_changed() {
    let store = open(&memories(2));
    let name = CheckpointName::from_static("annals.partition");
    let save = CheckpointSave {
        name: name.clone(),
        cursor: Cursor::START,
        expected_revision: 0,
    };
    let refused = [
        block_on(store.load_checkpoint(&name)).map(drop),
        block_on(store.save_checkpoint(save)).map(drop),
        block_on(store.remove_checkpoint(&name, 1)),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_cursor_of_another_number_of_partitions_is_refused() {
    let store = open(&memories(3));
    write(&store, &name_in(&store, 0), "x");
    for text in ["1", "1.0", "1.0.0.0"] {
        let cursor: Cursor = text.parse().unwrap();
        let error = block_on(store.read(all().after(cursor.clone()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorAhead);
        assert!(
            error.to_string().contains("another number of partitions"),
            "{error}"
        );
        let error = block_on(store.changed_since(&cursor)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorAhead);
    }
    let page = block_on(store.read(all().after("1.0.0".parse::<Cursor>().unwrap()))).unwrap();
    assert_eq!(page.cursor.positions(), [1, 0, 0].map(Position::new));
}
