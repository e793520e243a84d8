//! Backups, and what becomes of them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use annals_core::{CheckpointName, CheckpointSave, CheckpointStore as _, Cursor, Position};
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

use crate::damage::{damage, damage_at};
use crate::live::{append, application};
use crate::support::Place;

/// A store of several small segments.
fn segmented(place: &Place) -> LogStore {
    let mut settings = Settings::default();
    settings.segment_bytes = 16 * 1024;
    let store = LogStore::builder(place.path("shop"))
        .settings(settings)
        .create()
        .unwrap();
    for event in 0..300 {
        append(&store, &format!("note-{event}"));
    }
    store
}

#[test]
fn a_backup_has_what_is_new_and_shares_the_rest() {
    let place = Place::empty();
    let store = segmented(&place);
    assert!(
        place
            .ok("annals backup backups")
            .contains("up to position 300")
    );
    append(&store, "note-new");
    let second = place.ok("annals backup backups --json");
    assert!(
        second.contains("\"position\":301,\"removed\":[],\"segments_copied\":0,"),
        "{second}"
    );
    let links = |name: &str| {
        let path = format!("backups/{name}/log/00000000000000000001.segment");
        fs::metadata(place.path(&path)).unwrap().nlink()
    };
    // Shared between backups, and never with the store.
    assert_eq!((links("000001"), links("000002")), (2, 2));
    assert_eq!(
        fs::metadata(place.path("shop/log/00000000000000000001.segment"))
            .unwrap()
            .nlink(),
        1
    );
    for backup in ["backups/000001", "backups/000002"] {
        assert!(
            place
                .ok(&format!("annals --store {backup} verify --deep"))
                .contains("whole")
        );
    }
    assert_eq!(place.export("backups/000002"), place.export("shop"));
    // What is removed is told before, and asked about: also where nobody is there, and nothing is made then.
    let would = place.ok("annals backup backups --keep 2 --dry-run");
    assert!(
        would.contains("in backups/000003; would remove backups/000001"),
        "{would}"
    );
    for keep in ["2", "9"] {
        let ran = place.run(&["backup", "backups", "--keep", keep]);
        assert_eq!(ran.code, 5, "{}", ran.err);
        assert!(ran.err.contains("--yes"), "{}", ran.err);
    }
    assert_eq!(place.ok("annals backup backups --list").lines().count(), 3);
    let done = place.ok("annals backup backups --keep 2 --yes");
    assert!(done.contains("; removed backups/000001"), "{done}");
    let listed = place.ok("annals backup backups --list --json");
    let names: Vec<_> = listed.lines().map(|line| &line[..26]).collect();
    assert_eq!(
        names,
        [
            r#"{"backup":"backups/000002""#,
            r#"{"backup":"backups/000003""#
        ]
    );
}

#[test]
fn no_backup_is_removed_that_has_what_the_store_lost() {
    let place = Place::shop();
    place.ok("annals backup backups");
    damage(&place);
    // A store that is damaged makes no backup, and removes none.
    let ran = place.run(&["backup", "backups", "--keep", "1", "--yes"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    place.ok("annals repair --quarantine --yes");
    // One of before the loss has no more than another.
    place.ok("cp -r backups/000001 backups/000000");
    for expected in ["000001\n000002\n", "000001\n000003\n"] {
        let ran = place.run(&["backup", "backups", "--keep", "1", "--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("backups/000001 is kept"),
            "{}{}",
            ran.out,
            ran.err
        );
        assert_eq!(place.ok("ls backups | grep ^0"), expected);
    }
    place.ok("annals restore backups/000001 restored && annals --store restored read");
    // What is lost after that, the backup in between has, and what was lost before, the first one alone.
    damage_at(&place, "Grace");
    place.ok("annals repair --quarantine --yes");
    place.ok("annals backup backups --keep 1 --yes");
    assert_eq!(place.ok("ls backups | grep ^0"), "000001\n000003\n000004\n");
}

#[test]
fn a_backup_that_was_cut_short_is_none() {
    let place = Place::shop();
    place.ok("annals backup backups");
    // As a kill leaves it.
    place.ok("mv backups/000001 backups/.making-000001");
    assert_eq!(place.shell("annals restore backups restored").code, 3);
    place.ok("annals backup backups");
    assert_eq!(place.ok("ls -A backups"), "000001\nannals-backups.json\n");
}

#[test]
fn a_restored_store_is_the_store_with_its_checkpoints() {
    let place = Place::shop();
    let application = application(&place);
    let save = CheckpointSave {
        name: CheckpointName::parse("totals").unwrap(),
        cursor: Cursor::at(Position::new(9)),
        expected_revision: 0,
    };
    block_on(application.save_checkpoint(save)).unwrap();
    place.ok("annals backup backups");
    assert!(
        place
            .ok("annals restore backups restored")
            .contains("up to position 15")
    );
    assert_eq!(place.export("restored"), place.export("shop"));
    let told = place.ok("annals --store restored projections --json");
    assert!(told.contains(r#""name":"totals","position":9"#), "{told}");
    place.ok("annals --store restored append note-1 noted");
    assert_eq!(place.ok("ls -A"), "backups\nrestored\nshop\n");
}

#[test]
fn a_store_is_restored_as_it_was_then() {
    let place = Place::shop();
    place.ok("annals backup backups");
    // Position 5 is within an append, which is whole or not there.
    for (until, head) in [("4", 4), ("5", 4), ("6", 6), ("2026-01-31T10:00:03.5Z", 3)] {
        place.ok(&format!(
            "rm -rf then; annals restore backups then --until {until}"
        ));
        assert!(
            place
                .export("then")
                .ends_with(&format!("{{\"end\":{{\"position\":{head}}}}}\n")),
            "{until}"
        );
    }
}

#[test]
fn nothing_is_restored_over_anything() {
    let place = Place::shop();
    place.ok("annals backup backups; mkdir full empty; touch full/file");
    for target in ["shop", "full", "full/file"] {
        let ran = place.shell(&format!("annals restore backups {target}"));
        assert_eq!(ran.code, 5, "{target}: {}", ran.err);
    }
    place.ok("annals restore backups empty");
    let other = place.shell("annals init other && annals --store other backup backups");
    assert_eq!(other.code, 5);
    assert!(
        other.err.contains("holds backups of another store"),
        "{}",
        other.err
    );
}

#[test]
fn a_damaged_backup_is_told_and_not_restored() {
    let place = Place::empty();
    drop(segmented(&place));
    place.ok("annals backup backups");
    // A sealed segment, which is copied without being parsed.
    place.ok("printf X | dd of=backups/000001/log/00000000000000000001.segment bs=1 seek=5000 conv=notrunc status=none");
    let ran = place.shell("annals restore backups restored");
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("take an older one"), "{}", ran.err);
    assert!(!place.path("restored").exists());
    // The next backup shares the damaged file, reads it back, and does not count.
    let ran = place.shell("annals backup backups");
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert_eq!(place.ok("ls -A backups"), "000001\nannals-backups.json\n");
}
