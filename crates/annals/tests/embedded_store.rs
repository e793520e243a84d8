//! The code of the book's chapter on the embedded store, which includes what stands between the anchors, and
//! proof that it does what the chapter says.

#![cfg(feature = "embedded")]
#![expect(
    clippy::unwrap_used,
    reason = "test helpers outside of a test function"
)]

use std::fs;
use std::path::Path;

use annals::embedded::{CommitterThread, Durability, Settings};
use annals::prelude::*;
use futures_executor::block_on;

fn append(text: &'static str) -> Append {
    let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, text).unwrap();
    Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse("note-1").unwrap(), Expected::Any, [event])
        .build()
        .unwrap()
}

/// How many events the store in a directory has.
fn count(directory: &Path) -> usize {
    let store = LogStore::builder(directory).open().unwrap();
    block_on(store.collect(ReadRequest::all())).unwrap().len()
}

#[test]
fn what_is_acknowledged_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("store");
    let write = async |directory: &Path, append: Append| {
        // ANCHOR: open
        let store = LogStore::builder(directory).open_or_create()?;
        let receipt = store.append(append).await?; // on disk from here on
        store.close()?;
        // ANCHOR_END: open
        Ok::<_, annals::Error>(receipt)
    };
    let missing = LogStore::builder(&directory).open().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    let first = block_on(write(&directory, append("{}"))).unwrap();
    let second = block_on(write(&directory, append("{}"))).unwrap();
    assert_eq!(second.first_position, first.last_position.next());
    assert_eq!(count(&directory), 2);
    let existing = LogStore::builder(&directory).create().unwrap_err();
    assert_eq!(existing.kind(), ErrorKind::Unavailable);
}

#[test]
fn settings_are_data() {
    let folder = tempfile::tempdir().unwrap();
    let open = |directory: &Path| {
        // ANCHOR: settings
        let mut settings = Settings::default();
        settings.durability = Durability::Process;
        settings.committer = CommitterThread::Own;
        let store = LogStore::builder(directory)
            .settings(settings)
            .open_or_create()?;
        // ANCHOR_END: settings
        Ok::<_, annals::Error>(store)
    };
    let store = open(folder.path()).unwrap();
    let durability = store.capabilities().durability;
    assert_eq!(durability, annals::Durability::Process);
}

#[test]
fn one_process_writes_and_others_follow() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let writer = LogStore::builder(directory).create().unwrap();
    let second = LogStore::builder(directory).open().unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Unavailable);
    let follow = async || {
        // ANCHOR: follow
        let follower = LogStore::builder(directory).follow()?;
        let mut events = follower.subscribe(ReadRequest::all());
        // ANCHOR_END: follow
        writer.append(append("{}")).await?;
        events.next().await.expect("a subscription goes on")
    };
    assert_eq!(block_on(follow()).unwrap().payload(), b"{}");
    let follower = LogStore::builder(directory).follow().unwrap();
    let refused = block_on(follower.append(append("{}"))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[test]
fn damage_is_listed_and_given_up_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let store = LogStore::builder(directory).create().unwrap();
    for text in ["[1]", "\"to be damaged\"", "[3]"] {
        block_on(store.append(append(text))).unwrap();
    }
    store.close().unwrap();
    let segment = directory.join("log/00000000000000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let damaged = b"to be damaged";
    let at = bytes
        .windows(damaged.len())
        .position(|window| window == damaged);
    bytes[at.unwrap()] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let check = || {
        // ANCHOR: verify
        let found = LogStore::builder(directory).verify(&mut |_| ())?;
        for damage in &found.log.damage {
            println!(
                "{} at {}: {:?}",
                damage.file.display(),
                damage.offset,
                damage.kind
            );
        }
        // ANCHOR_END: verify
        Ok::<_, annals::Error>(found)
    };
    let found = check().unwrap();
    assert!(!found.is_whole());
    assert_eq!(found.log.damage[0].file, segment);

    let repair = || {
        // ANCHOR: repair
        let repair = LogStore::builder(directory).repair(&mut |_| ())?;
        for copy in &repair.quarantined {
            println!("the damaged file is kept as {}", copy.display());
        }
        // ANCHOR_END: repair
        Ok::<_, annals::Error>(repair)
    };
    assert_eq!(repair().unwrap().quarantined.len(), 1);
    let after = check().unwrap();
    assert!(after.log.damage.is_empty() && !after.is_whole());
    assert_eq!(after.log.lost.len(), 1);

    let store = LogStore::builder(directory).open().unwrap();
    let read = |from: u64| block_on(store.read(ReadRequest::all().after(Position::new(from))));
    assert_eq!(read(0).unwrap().events.len(), 1);
    assert_eq!(read(1).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(read(2).unwrap().events.len(), 1);
    let receipt = block_on(store.append(append("[4]"))).unwrap();
    assert_eq!(receipt.first_position, Position::new(4));
}

/// The chapter's table of files.
#[test]
fn a_lost_file_is_told_or_made_again() {
    let cases = [
        ("log/00000000000000000001.segment", Some(0)),
        ("log/MANIFEST", Some(3)),
        ("log/WATERMARK", Some(3)),
        ("log/LOCK", None),
        ("index", None),
    ];
    for (name, after_repair) in cases {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let store = LogStore::builder(directory).create().unwrap();
        for _ in 0..3 {
            block_on(store.append(append("{}"))).unwrap();
        }
        store.close().unwrap();
        let lost = directory.join(name);
        drop(fs::remove_file(&lost).or_else(|_| fs::remove_dir_all(&lost)));
        let Some(left) = after_repair else {
            assert_eq!(count(directory), 3, "{name}");
            continue;
        };
        let error = LogStore::builder(directory).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
        assert!(
            error.to_string().contains(name.rsplit('/').next().unwrap()),
            "{error}"
        );
        LogStore::builder(directory).repair(&mut |_| ()).unwrap();
        let store = LogStore::builder(directory).open().unwrap();
        let read = block_on(store.collect(ReadRequest::all()));
        match left {
            0 => assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "{name}"),
            left => assert_eq!(read.unwrap().len(), left, "{name}"),
        }
    }
}

#[test]
fn a_copy_of_a_closed_store_is_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("store");
    let copy = folder.path().join("copy");
    let store = LogStore::builder(&directory).create().unwrap();
    block_on(store.append(append("{}"))).unwrap();
    let back_up = |store: LogStore| {
        // ANCHOR: backup
        store.close()?;
        copy_directory(&directory, &copy)?;
        let whole = LogStore::builder(&copy).verify(&mut |_| ())?.is_whole();
        // ANCHOR_END: backup
        Ok::<_, Box<dyn std::error::Error>>(whole)
    };
    assert!(back_up(store).unwrap());
    assert_eq!(count(&copy), 1);
}

fn copy_directory(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
