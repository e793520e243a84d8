//! A store that is really damaged: the chapter "Operating annals", as it stands there.

use std::fs;

use annals_core::{
    Append, ContentType, EventStore as _, EventType, Expected, Ids as _, NewEvent, StreamId,
    UuidIds,
};
use futures_executor::block_on;

use crate::live::{append, application};
use crate::support::Place;

/// The blocks of a page that a shell runs, in order.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```sh\n") {
        let (block, after) = after.split_once("```").unwrap();
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

#[test]
fn the_chapter_about_operating_runs_as_it_stands() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/book/src/operating.md"
    );
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    let place = Place::shop();
    let before = place.export("shop");
    let told: Vec<String> = blocks
        .iter()
        .map(|block| place.ok(&format!("set -e\n{block}")))
        .collect();
    let all = told.concat();
    for expected in [
        "backed up up to position 15 in backups/000001",
        "damage",
        "exit code 4",
        "lost: positions 5 to 6",
        "imported 1 event in 1 append",
    ] {
        assert!(all.contains(expected), "{expected} is not in\n{all}");
    }
    // With a backup nothing is lost, not even what came after it.
    let after = place.export("shop");
    let lines = before.lines().count();
    assert_eq!(
        after.lines().take(lines - 1).collect::<Vec<_>>(),
        before.lines().take(lines - 1).collect::<Vec<_>>()
    );
    assert!(after.contains("\"position\":16"), "{after}");
}

/// Damages the append at the positions 5 and 6.
fn damage(place: &Place) {
    place.ok(
        "at=$(grep -abo '\"day\":97' shop/log/*.segment | cut -d: -f1); \
         printf X | dd of=$(ls shop/log/*.segment) bs=1 seek=$at conv=notrunc status=none",
    );
}

#[test]
fn damage_is_found_told_and_given_up_on_demand_alone() {
    let place = Place::shop();
    damage(&place);
    let verify = place.run(&["verify", "--json"]);
    assert_eq!(verify.code, 4);
    assert!(verify.out.contains(r#""is_whole":false"#), "{}", verify.out);
    assert!(
        verify
            .out
            .contains(r#""first_position":5,"last_position":6"#),
        "{}",
        verify.out
    );
    // What is beside it can be read, and is not left out in silence.
    assert!(place.ok("annals read --until 4").contains("Grace"));
    assert!(
        place
            .ok("annals read --after 6 --limit 1")
            .contains("closed")
    );
    let read = place.run(&["read"]);
    assert_eq!(read.code, 4, "{}", read.err);
    assert!(read.err.contains("annals verify"), "{}", read.err);
    assert_eq!(place.run(&["export"]).code, 4);
    let bytes = || fs::read(place.path("shop/log/00000000000000000001.segment")).unwrap();
    let damaged = bytes();
    for line in [
        "annals repair",
        "annals repair --quarantine --dry-run",
        "annals repair --quarantine",
    ] {
        let ran = place.shell(line);
        assert!(matches!(ran.code, 4 | 5), "{line}: {}", ran.err);
        assert_eq!(bytes(), damaged, "{line}");
    }
    let repaired = place.ok("annals repair --quarantine --yes --json");
    assert!(
        repaired.contains(r#""first_position":5,"last_position":6}]"#),
        "{repaired}"
    );
    let kept = place.ok("ls shop/log/quarantine");
    assert_eq!(
        fs::read(place.path(&format!("shop/log/quarantine/{}", kept.trim()))).unwrap(),
        damaged
    );
    assert_eq!(place.run(&["show", "5"]).code, 4);
    assert!(
        place
            .ok("annals append note-1 noted")
            .contains("position 16")
    );
    let ran = place.run(&["verify"]);
    assert_eq!(ran.code, 4, "what is lost is told for ever");
    assert!(ran.err.contains("a repair gave up a part"), "{}", ran.err);
    // An export never has a gap; from behind it, it is whole.
    assert_eq!(place.run(&["export"]).code, 4);
    assert_eq!(place.run(&["export", "--after", "4"]).code, 4);
    assert!(
        place
            .ok("annals export --after 6")
            .contains("\"position\":16")
    );
}

#[test]
fn a_payload_that_is_not_what_its_form_says_is_found_by_a_deep_look() {
    let place = Place::shop();
    let application = application(&place);
    for (form, payload) in [
        ("application/json", "{\"n\":"),
        ("application/json+zstd", "{}"),
    ] {
        let kind = EventType::from_static("noted");
        let event = NewEvent::new(kind, ContentType::parse(form).unwrap(), payload).unwrap();
        let append = Append::builder(UuidIds::default().append_id())
            .write(StreamId::from_static("note-1"), Expected::Any, [event])
            .build()
            .unwrap();
        block_on(application.append(append)).unwrap();
    }
    application.close().unwrap();
    place.ok("annals verify");
    let ran = place.run(&["verify", "--deep", "--json"]);
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert_eq!(
        ran.out.matches("\"finding\":\"payload\"").count(),
        2,
        "{}",
        ran.out
    );
    assert!(ran.err.contains("not what their form says"), "{}", ran.err);
    assert!(
        place
            .ok("annals schemas --category note")
            .contains("1 not, the first at 16")
    );
}

#[test]
fn a_store_in_use_is_not_repaired() {
    let place = Place::shop();
    let application = application(&place);
    append(&application, "note-1");
    damage(&place);
    let ran = place.run(&["repair", "--quarantine", "--yes"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[test]
fn a_cut_file_and_a_missing_one_are_damage() {
    for (line, what) in [
        ("truncate -s 4500 shop/log/*.segment", "cut short"),
        ("rm shop/log/*.segment", "missing"),
    ] {
        let place = Place::shop();
        place.ok(line);
        let ran = place.run(&["verify"]);
        assert_eq!(ran.code, 4, "{line}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(what), "{line}: {}", ran.out);
    }
    let place = Place::shop();
    place.ok("for f in shop/index/*; do [ -s $f ] && printf X | dd of=$f bs=1 seek=$(($(stat -c %s $f) / 2)) conv=notrunc status=none; done");
    let ran = place.run(&["verify"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("nothing is lost"), "{}", ran.err);
    place.ok("annals read");
}
