//! A store that is really damaged: the chapter "Operating annals", as it stands there.

use std::fs;

use annals_core::{ContentType, EventStoreExt as _, EventType, Expected, NewEvent, StreamId};
use futures_executor::block_on;

use crate::live::{append, append_event, application};
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
pub(crate) fn damage(place: &Place) {
    damage_at(place, "\"day\":97");
}

/// Changes the first byte of the first place in the log where this stands.
pub(crate) fn damage_at(place: &Place, text: &str) {
    damage_of(place, text, |bytes| {
        bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes())
    });
}

/// Changes the first byte of the last place in the log where this stands.
fn damage_last(place: &Place, text: &str) {
    damage_of(place, text, |bytes| {
        bytes
            .windows(text.len())
            .rposition(|window| window == text.as_bytes())
    });
}

fn damage_of(place: &Place, text: &str, find: impl Fn(&[u8]) -> Option<usize>) {
    let mut segments: Vec<_> = fs::read_dir(place.path("shop/log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "segment"))
        .collect();
    segments.sort();
    for segment in segments {
        let mut bytes = fs::read(&segment).unwrap();
        if let Some(byte) = find(&bytes).and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
            return fs::write(&segment, bytes).unwrap();
        }
    }
    panic!("{text} stands nowhere in the log");
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
    // An export has no gap without being told to; from behind it, it is whole.
    assert_eq!(place.run(&["export"]).code, 4);
    assert_eq!(place.run(&["export", "--after", "4"]).code, 4);
    assert!(
        place
            .ok("annals export --after 6")
            .contains("\"position\":16")
    );
}

#[test]
fn an_event_whose_kind_nothing_states_any_more_is_damage() {
    let place = Place::shop();
    // The event of position 1 is of the kind of the one of position 4.
    damage_at(&place, "Ada");
    place.ok("rm -r shop/index && annals repair --quarantine --yes");
    for line in ["annals verify --deep", "annals export --skip-lost"] {
        let ran = place.shell(line);
        assert_eq!(ran.code, 4, "{line}: {}{}", ran.out, ran.err);
    }
    // With the index, which knows it, nothing more is lost; also not where a backup is restored, which has no index.
    let place = Place::shop();
    damage_at(&place, "Ada");
    place.ok("annals repair --quarantine --yes");
    place.ok("annals backup backups && annals restore backups restored");
    place.ok("annals --store restored verify --deep");
    let read = place.ok("annals --store restored read --skip-lost");
    assert!(read.contains("Grace"), "{read}");
}

#[test]
fn a_policy_that_is_lost_is_told() {
    let place = Place::shop();
    let application = application(&place);
    let stream = StreamId::parse("zebra-1").unwrap();
    append(&application, "zebra-1");
    block_on(application.soft_delete(stream, Expected::Any)).unwrap();
    append(&application, "note-1");
    application.close().unwrap();
    // The name stands in the event, then in the policy.
    damage_last(&place, "zebra-1");
    place.ok("annals repair --quarantine --yes");
    assert_eq!(place.run(&["export"]).code, 4);
    let ran = place.run(&["export", "--skip-lost"]);
    let told = "1 place in the log where policies of streams may have been is lost";
    assert!(ran.code == 0 && ran.err.contains(told), "{}", ran.err);
    assert!(place.ok("annals doctor").contains(told));
}

/// A store of which the positions 5 and 6 were given up.
fn repaired() -> Place {
    let place = Place::shop();
    damage(&place);
    place.ok("annals repair --quarantine --yes");
    place
}

#[test]
fn what_is_lost_is_told_for_ever_and_is_no_new_damage() {
    let place = repaired();
    let ran = place.run(&["verify"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("5 to 6") && ran.out.contains("whole but for what a repair gave up"),
        "{}",
        ran.out
    );
    let deep = place.ok("annals verify --deep --json");
    assert!(
        deep.contains(r#""is_whole":false,"is_damaged":false"#)
            && deep.contains(r#""events_read":13"#),
        "{deep}"
    );
    let doctor = place.ok("annals doctor");
    assert!(
        doctor.contains("shop can be read, but 2 events are lost, positions 5 to 6"),
        "{doctor}"
    );
    // What is damaged after that is told from it.
    damage_at(&place, "Grace");
    let ran = place.run(&["verify", "--json"]);
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(
        ran.out.contains(r#""is_damaged":true"#)
            && ran.out.contains(r#""finding":"damage""#)
            && ran.out.contains(r#""finding":"lost""#),
        "{}",
        ran.out
    );
    // It is not passed over with what is known to be lost.
    for line in [
        "annals read --skip-lost",
        "annals streams",
        "annals stats",
        "annals export --skip-lost",
    ] {
        let ran = place.shell(line);
        assert_eq!(ran.code, 4, "{line}: {}", ran.err);
        assert!(ran.err.contains("annals verify"), "{line}: {}", ran.err);
    }
}

#[test]
fn what_tells_of_a_whole_store_goes_past_what_is_lost_and_says_so() {
    let place = repaired();
    for line in [
        "annals streams",
        "annals stats",
        "annals schemas",
        "annals projections",
        "annals parked",
        "annals profile",
    ] {
        let ran = place.shell(line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
        assert_eq!(
            ran.err,
            "warning: 2 events are lost, positions 5 to 6, as a repair recorded, and not in this answer\n",
            "{line}"
        );
    }
    assert!(place.ok("annals top --once").contains("lost 2 positions"));
    for line in ["annals stats --json", "annals top --once --json"] {
        let told = place.ok(line);
        assert!(told.contains(r#""head":15,"#), "{line}: {told}");
        assert!(told.contains(r#""lost_positions":2"#), "{line}: {told}");
    }
}

#[test]
fn what_gives_events_goes_past_what_is_lost_on_demand() {
    let place = repaired();
    let event: serde_json::Value = serde_json::from_str(&place.ok("annals show 9 --json")).unwrap();
    let show = format!("annals show {}", event["id"].as_str().unwrap());
    for line in [
        "annals read",
        "annals read --backward",
        "annals read --stream account-1",
        "annals tail",
        "annals find --type deposited",
        &show,
        "annals history account-1",
        "annals at 6",
        "annals at 8 --stream account-1",
        "annals diff 1 9",
        "annals trace request-7",
        "annals export",
    ] {
        let ran = place.shell(line);
        assert_eq!(ran.code, 4, "{line}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("--skip-lost"), "{line}: {}", ran.err);
        let ran = place.shell(&format!("{line} --skip-lost"));
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
        assert!(!ran.out.is_empty(), "{line}");
        assert!(
            ran.err
                .starts_with("warning: 2 events are lost, positions 5 to 6"),
            "{line}: {}",
            ran.err
        );
    }
    // Streams that have nothing there are read as ever.
    place.ok("annals history blob-1");
    assert_eq!(place.run(&["show", "5", "--skip-lost"]).code, 4);
}

#[test]
fn what_is_left_of_a_store_is_copied_backed_up_and_restored() {
    let place = repaired();
    // Exact up to the gap, and all of it at new places.
    let ran = place.shell("annals export --skip-lost | annals --store fresh import");
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("--renumber"), "{}", ran.err);
    place.ok("annals export --skip-lost | annals --store fresh import --renumber");
    assert!(
        place
            .ok("annals --store fresh verify --deep --json")
            .contains(r#""events_read":13"#)
    );
    // What follows the gap is there already, and the same again changes nothing.
    let behind = place.ok("annals export --after 6 | annals import");
    assert!(behind.contains("9 events there already"), "{behind}");
    let again = place.ok("annals export --skip-lost | annals import");
    assert!(again.contains("13 events there already"), "{again}");
    // It is backed up and restored as it is.
    place.ok("annals backup backups && annals restore backups restored");
    assert_eq!(
        place.ok("annals --store restored export --skip-lost"),
        place.ok("annals export --skip-lost")
    );
}

#[test]
fn a_stream_that_lost_its_first_event_is_listed_and_counted_once() {
    let place = Place::shop();
    let streams = |place: &Place| place.ok("annals streams").lines().count();
    let before = streams(&place);
    // The first event of the store, and of account-1.
    damage_at(&place, "Ada");
    place.ok("annals repair --quarantine --yes");
    assert_eq!(streams(&place), before);
    assert!(place.ok("annals streams").contains("account-1"));
    let stats = place.ok("annals stats --json");
    assert!(
        stats.contains(&format!(r#""streams":{}"#, before - 1)),
        "{stats}"
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
        append_event(&application, "note-1", event);
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
