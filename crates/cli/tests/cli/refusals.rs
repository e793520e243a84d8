//! What can't be done is told, with what to do, and the exit code says of which sort it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Place, SHOP};

/// Runs a line, and holds its exit code and its error against what is expected.
fn check(place: &Place, line: &str, code: i32, error: &str) {
    let ran = place.shell(line);
    assert_eq!(ran.code, code, "{line}: {}{}", ran.out, ran.err);
    assert!(ran.err.contains(error), "{line}: {}", ran.err);
}

#[test]
fn a_directory_that_is_no_store_is_told_apart() {
    let place = Place::shop();
    fs::create_dir(place.path("foreign")).unwrap();
    place.write("foreign/letter.txt", "dear");
    place.write("file", "");
    place.ok("annals backup backups");
    for (store, error) in [
        ("nowhere", "there is no directory nowhere"),
        ("foreign", "foreign is no store: it has no folder `log`"),
        ("file", "file is a file"),
        ("shop/log", "name the directory above it"),
        ("backups", "name one of them, as backups/000001"),
    ] {
        for verb in [
            "read",
            "verify",
            "export",
            "append a-1 b",
            "stats",
            "top --once",
        ] {
            check(&place, &format!("annals --store {store} {verb}"), 3, error);
        }
    }
    for verb in [format!("import {SHOP}"), "init".to_owned()] {
        check(
            &place,
            &format!("annals --store foreign {verb}"),
            5,
            "foreign is not empty, and no store",
        );
    }
    check(
        &place,
        "annals init shop",
        5,
        "there is a store in shop already",
    );
    check(
        &place,
        "annals --store postgres://host/db read",
        2,
        "postgres is no kind of store",
    );
    assert_eq!(fs::read_dir(place.path("foreign")).unwrap().count(), 1);
}

#[test]
fn a_stream_and_a_position_that_are_not_there_are_told() {
    let place = Place::shop();
    for verb in ["read", "find", "tail", "history", "at 5", "diff 1 5"] {
        let stream = if verb == "history" { "" } else { "--stream " };
        let line = format!("annals {verb} {stream}account-99");
        check(&place, &line, 3, "there is no stream account-99");
    }
    for line in ["at 99", "diff 1 99", "restore shop then --until 99"] {
        let told = "position 99 is not there yet";
        check(&place, &format!("annals {line}"), 3, told);
    }
    assert!(!place.path("then").exists());
    // One of which nothing is asked for is there all the same.
    check(
        &place,
        "annals read --stream account-1 --after 9 --limit 0",
        0,
        "",
    );
}

#[test]
fn what_was_typed_wrong_is_told() {
    let place = Place::shop();
    for (line, error) in [
        ("annals append account-1", "TYPE"),
        (
            "annals append account-1 opened nonsense",
            "the payload is no application/json",
        ),
        (
            "annals append account-1 opened --expect sometimes",
            "neither any, no-stream, exists nor a version",
        ),
        ("annals read --since yesterday", "write it as"),
        ("annals read --after x", "a whole number from 1"),
        ("annals find --where x", "/pointer=value"),
        ("annals read --criteria ' '", "chooses nothing"),
        ("annals diff 5 2", "the second moment is before the first"),
        ("annals top", "top needs a terminal"),
        ("annals export --after 99", "the store ends at position 15"),
        ("annals read --after 99", "tells where the store ends"),
        (
            "annals --store copy import < /dev/null",
            "there is nothing to import",
        ),
    ] {
        check(&place, line, 2, error);
    }
    for (line, error) in [
        ("annals at 99", "the store ends at position 15"),
        ("annals restore nowhere x", "that `annals backup` made"),
    ] {
        check(&place, line, 3, error);
    }
    let hint = place.run(&["--store", "/", "read"]).err;
    assert!(!hint.contains("annals init"), "{hint}");
    let unseen = place.ok("annals diff 6 9 --stream session-9");
    assert!(unseen.contains("nothing changed in between"), "{unseen}");
}

#[test]
fn an_expectation_that_does_not_hold_is_a_refusal() {
    let place = Place::shop();
    check(
        &place,
        "annals append account-1 opened --expect no-stream",
        5,
        "stream account-1 is at version 4",
    );
    check(
        &place,
        "annals append account-1 opened --expect 3",
        5,
        "expected version 3",
    );
    check(
        &place,
        "annals append account-1 opened --expect 3",
        5,
        "`annals history account-1`; if it still applies, expect version 4",
    );
    check(
        &place,
        "annals append account-77 closed --expect 2",
        5,
        "account-77 has no event yet: look whether its name is right",
    );
    check(
        &place,
        "annals append account-1 paid --id payment-1",
        5,
        "append id stands for other content",
    );
    place.ok("annals append account-1 reopened --expect 4 --id again-1");
    let again = place.ok("annals append account-1 reopened --expect 4 --id again-1");
    assert!(
        again.starts_with("recorded before at position 16"),
        "{again}"
    );
}

#[test]
fn a_batch_is_recorded_line_by_line_or_whole() {
    let place = Place::shop();
    let good = r#"{"stream":"note-1","type":"noted","payload":{"n":1}}"#;
    let bad = r#"{"stream":"account-1","type":"opened","expected":"no-stream","payload":{}}"#;
    place.write("lines", &format!("{good}\n{bad}\n"));
    check(
        &place,
        "annals append --stdin --atomic < lines",
        5,
        "stream account-1 is at version 4",
    );
    assert_eq!(place.shell("annals history note-1").code, 3);
    check(
        &place,
        "annals append --stdin < lines",
        5,
        "stream account-1 is at version 4",
    );
    assert!(place.ok("annals history note-1").contains("/n 1"));
    place.write(
        "lines",
        &format!("{good}\n{}\n", good.replace("note-1", "note-2")),
    );
    let told = place.ok("annals append --stdin --atomic --id batch-1 < lines");
    assert!(
        told.contains("note-1 version 2, note-2 version 1"),
        "{told}"
    );
    assert!(
        place
            .ok("annals append --stdin --atomic --id batch-1 < lines")
            .starts_with("recorded before")
    );
}

#[test]
fn a_place_that_can_not_be_made_is_told_with_what_to_do() {
    let place = Place::shop();
    place.write("file", "");
    for target in ["/proc/annals/backups", "file/backups"] {
        let ran = place.run(&["backup", target]);
        assert!(matches!(ran.code, 1 | 3), "{target}: {}", ran.err);
        assert!(ran.err.contains(target), "{}", ran.err);
        assert!(
            ran.err.contains("hint: name a directory"),
            "{target}: {}",
            ran.err
        );
    }
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let (place, lines) = (Place::shop(), 20_000);
    let line = r#"{"stream":"note-1","type":"noted","payload":{}}"#;
    place.ok(&format!("seq {lines} | sed 's/.*/{line}/' | annals import"));
    for verb in [
        "read",
        "read --json",
        "export",
        "find --type noted",
        "history note-1",
    ] {
        let ran = place.shell(&format!("annals {verb} | head -1"));
        assert_eq!(
            (ran.code, ran.out.lines().count(), ran.err.as_str()),
            (0, 1, ""),
            "{verb}"
        );
    }
}

#[test]
fn a_full_disk_is_told_with_what_to_do() {
    let place = Place::shop();
    for verb in ["read", "export", "stats --json"] {
        check(
            &place,
            &format!("annals {verb} > /dev/full"),
            1,
            "free space on that disk",
        );
    }
}

#[test]
fn a_directory_that_can_not_be_written_is_read_all_the_same() {
    let place = Place::shop();
    let directories = ["shop/log", "shop/index", "shop"];
    let set = |mode| {
        for directory in directories {
            fs::set_permissions(place.path(directory), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    let is_root = fs::write(place.path("shop/log/x"), "").is_ok();
    if is_root {
        let _ = fs::remove_file(place.path("shop/log/x"));
    }
    assert!(place.ok("annals read").contains("account-1"));
    assert!(place.ok("annals verify").contains("whole"));
    assert!(place.ok("annals export").contains("annals_export"));
    if !is_root {
        check(&place, "annals init shop/new", 1, "ermission denied");
    }
    set(0o755);
}
