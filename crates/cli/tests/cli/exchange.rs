//! Export and import: the same bytes again, whatever happens on the way.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{ANNALS, Place, SHOP};

/// A place with a larger store: many streams, appends of several streams, policies, and bytes of all sorts.
pub(crate) fn large(appends: usize) -> (Place, String) {
    let place = Place::empty();
    let mut text = String::from("{\"annals_export\":1,\"after\":0}\n");
    let (mut position, mut versions) = (0, std::collections::HashMap::<String, u64>::new());
    for append in 0..appends {
        let streams = [
            format!("cart-{}", append % 17),
            format!("item-{}", append % 101),
        ];
        let events = 1 + append % 2;
        for (index, stream) in streams.iter().take(events).enumerate() {
            position += 1;
            let version = versions.entry(stream.clone()).or_default();
            *version += 1;
            let head = if index == 0 {
                format!("\"append\":{{\"id\":\"append-{append}\",\"events\":{events}}},")
            } else {
                String::new()
            };
            // Never back, and to the microsecond: a rounder time is written shorter.
            let (hours, minutes, seconds) = (10 + append / 3600, append / 60 % 60, append % 60);
            let time = format!(
                "2026-01-31T{hours}:{minutes:02}:{seconds:02}.{:06}Z",
                10 * append + 1
            );
            text.push_str(&format!(
                "{{\"position\":{position},{head}\"stream\":\"{stream}\",\"version\":{version},\"type\":\"changed\",\"schema_version\":1,\"content_type\":\"application/json\",\"id\":\"019c1398-0000-7000-8000-{position:012x}\",\"recorded_at\":\"{time}\",\"appended_at\":\"{time}\",\"tags\":[\"n:{}\"],\"payload\":{{\"number\":{append}}}}}\n",
                append % 7
            ));
        }
    }
    text.push_str(&format!("{{\"end\":{{\"position\":{position}}}}}\n"));
    place.write("large.ndjson", &text);
    (place, text)
}

#[test]
fn what_was_exported_and_imported_is_exported_the_same() {
    let shop = fs::read_to_string(SHOP).unwrap();
    let place = Place::shop();
    assert_eq!(place.export("shop"), shop);
    place.ok("annals export --format cloudevents > shop.cloud");
    place.ok("annals --store second import shop.cloud");
    assert_eq!(place.export("second"), shop);
    // What the application appended itself has the times and ids of then.
    place.ok(
        "annals append account-7 opened '{ \"odd\" :  1.0}' --expect no-stream --tag b --tag a",
    );
    place.ok("annals --store third import <(annals export)");
    assert_eq!(place.export("third"), place.export("shop"));
}

#[test]
fn an_import_that_was_interrupted_goes_on() {
    let (place, text) = large(300);
    let lines: Vec<&str> = text.lines().collect();
    for cut in [2, 3, 77, 200, lines.len() - 1] {
        // Cut within a line, within an append, or between.
        let part = format!(
            "{}\n{}",
            lines[..cut].join("\n"),
            &lines[cut][..lines[cut].len() / 2]
        );
        place.write("part.ndjson", &part);
        let ran = place.shell("annals --store copy import part.ndjson");
        assert_eq!(ran.code, 2, "{}", ran.err);
    }
    let ran = place.shell("annals --store copy import large.ndjson --json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("\"events_present\":"), "{}", ran.out);
    assert_eq!(place.export("copy"), text);
    let again = place.ok("annals --store copy import large.ndjson --json");
    assert!(again.starts_with("{\"appends\":0,\"events\":0,"), "{again}");
}

#[test]
fn an_import_that_was_killed_goes_on() {
    let (place, text) = large(4000);
    let (mut last, mut was_cut) = (0, 0);
    for kill in 0..6 {
        let mut import = place
            .program(ANNALS)
            .args(["--store", "copy", "import"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = import.stdin.take().unwrap();
        let part = text.len() * (kill + 1) / 8;
        input.write_all(&text.as_bytes()[..part]).unwrap();
        // It reads, and waits for more: killed at whatever it does.
        import.kill().unwrap();
        import.wait().unwrap();
        if place.path("copy").exists() {
            let whole = place.shell("annals --store copy verify");
            assert_eq!(whole.code, 0, "{}{}", whole.out, whole.err);
            let head = place
                .ok("annals --store copy read --json | wc -l")
                .trim()
                .parse()
                .unwrap();
            assert!(head >= last, "{head} after {last}");
            was_cut += usize::from(head > last);
            last = head;
        }
    }
    assert!(was_cut > 0, "no import was killed in its midst");
    place.ok("annals --store copy import large.ndjson");
    assert_eq!(place.export("copy"), text);
}

#[test]
fn an_export_into_a_file_goes_on() {
    let (place, text) = large(300);
    place.ok("annals import large.ndjson");
    place.ok("annals export --output whole.ndjson");
    assert_eq!(
        fs::read_to_string(place.path("whole.ndjson")).unwrap(),
        text
    );
    for cut in [40, 1000, text.len() / 2, text.len() - 5] {
        place.write("part.ndjson", &text[..cut]);
        place.ok("annals export --output part.ndjson --resume");
        assert_eq!(
            fs::read_to_string(place.path("part.ndjson")).unwrap(),
            text,
            "cut at {cut}"
        );
    }
    place.ok("annals append account-7 opened");
    place.ok("annals export --output whole.ndjson --resume");
    assert_eq!(
        fs::read_to_string(place.path("whole.ndjson")).unwrap(),
        place.export("shop")
    );
    // One export after the other.
    place.ok("annals --store copy import large.ndjson; annals export --after 450 | annals --store copy import");
    assert_eq!(place.export("copy"), place.export("shop"));
}

#[test]
fn policies_come_back_where_they_were_set() {
    let place = Place::shop();
    let shop = fs::read_to_string(SHOP).unwrap();
    // Cut right behind a policy, so that the import goes on between the two.
    let lines: Vec<&str> = shop.lines().collect();
    for (index, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with("{\"policy\""))
    {
        for cut in [index, index + 1] {
            let part = format!("{}\n", lines[..cut].join("\n"));
            place.write("part.ndjson", &part);
            assert_eq!(
                place.shell("annals --store copy import part.ndjson").code,
                1
            );
        }
    }
    place.ok(&format!("annals --store copy import {SHOP}"));
    assert_eq!(place.export("copy"), shop);
    for cut in [
        index_of(&lines, "session-9\",\"max"),
        index_of(&lines, "account-2\",\"max") + 1,
    ] {
        place.write("part.ndjson", &format!("{}\n", lines[..cut].join("\n")));
        place.ok("annals export --output part.ndjson --resume");
        assert_eq!(fs::read_to_string(place.path("part.ndjson")).unwrap(), shop);
    }
}

fn index_of(lines: &[&str], text: &str) -> usize {
    lines.iter().position(|line| line.contains(text)).unwrap()
}

#[test]
fn another_history_is_refused_and_renumbered_on_demand() {
    let place = Place::shop();
    place.ok("annals --store other append account-1 opened '{}' || annals init other && annals --store other append account-1 opened '{}'");
    let refused = place.shell(&format!("annals --store other import {SHOP}"));
    assert_eq!(
        (refused.code, refused.out.contains("imported 0 events")),
        (5, true),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("holds another history"),
        "{}",
        refused.err
    );
    let told = place.ok(&format!(
        "annals --store other import --renumber {SHOP} 2>&1"
    ));
    assert!(told.contains("3 policy changes were left out"), "{told}");
    assert!(told.contains("imported 15 events in 13 appends"), "{told}");
    let again = place.ok(&format!(
        "annals --store other import --renumber {SHOP} 2>/dev/null"
    ));
    assert!(
        again.contains(
            "imported 0 events in 0 appends, and 0 policy changes; 15 events there already"
        ),
        "{again}"
    );
}

#[test]
fn events_from_elsewhere_are_recorded_once() {
    let place = Place::empty();
    place.ok("annals init shop");
    let event = r#"{"specversion":"1.0","id":"A-1","source":"/orders","type":"com.shop.paid","subject":"order-7","time":"2026-01-31T10:00:00Z","data":{"cents":5}}"#;
    place.write(
        "events.jsonl",
        &format!("{event}\n{}\n", event.replace("A-1", "A-2")),
    );
    for _ in 0..2 {
        place.ok("annals import events.jsonl");
    }
    let told = place.ok("annals read --json");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains(r#""cloudevents.source":"/orders""#), "{told}");
}

#[test]
fn a_line_without_an_id_is_known_by_what_it_says() {
    let place = Place::empty();
    place.ok("annals init shop");
    let line = r#"{"stream":"note-1","type":"noted","payload":{"n":1}}"#;
    place.write("first.jsonl", &format!("{line}\n"));
    place.write("second.jsonl", &format!("{}\n", line.replace(":1}", ":2}")));
    for (file, told) in [
        ("first", "imported 1 event"),
        ("first", "1 event there already"),
        ("second", "imported 1 event"),
        ("second", "1 event there already"),
    ] {
        let ran = place.ok(&format!("annals import {file}.jsonl"));
        assert!(ran.contains(told), "{file}: {ran}");
    }
    assert_eq!(place.ok("annals read --json").lines().count(), 2);
}

#[test]
fn a_line_that_says_nothing_is_told_with_its_number() {
    let place = Place::empty();
    let lines = fs::read_to_string(SHOP).unwrap();
    let bad = lines.replacen("\"version\":2", "\"versoin\":2", 1);
    place.write("bad.ndjson", &bad);
    let ran = place.run(&["import", "bad.ndjson"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("line 3: unknown field `versoin`"),
        "{}",
        ran.err
    );
    // A version that does not follow is no part of any history.
    place.write(
        "bad.ndjson",
        &lines.replacen("\"version\":2", "\"version\":3", 1),
    );
    let ran = place.run(&["import", "bad.ndjson"]);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(
        ran.err.contains("line 3") && ran.err.contains("account-1"),
        "{}",
        ran.err
    );
    let output = Command::new(ANNALS)
        .args(["import", "nowhere.ndjson"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}
