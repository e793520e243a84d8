//! What `--json` gives has the fields that the book tells of, and no others.

use std::collections::{BTreeMap, BTreeSet};

use annals_core::{ContentType, EventType, NewEvent};
use serde_json::Value;

use crate::damage::damage;
use crate::examples::make_keys;
use crate::live::{append_event, application};
use crate::optimize::sealed;
use crate::support::{Place, SHOP};

/// Fields whose values are an application's own.
const CONTENTS: [&str; 5] = ["payload", "headers", "state", "before", "after"];

/// Fields whose values have names of an application's own, with what is told of each.
const NAMED: [&str; 3] = ["categories", "types", "operations"];

/// The fields of each verb by the book's tables: a row tells of one verb or of several.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = annals_cli::reference();
    let (_, tables) = page.split_once("## Lines of JSON").unwrap();
    let (events, rest) = tables.split_once("Lines of other verbs:").unwrap();
    let mut fields = BTreeMap::new();
    let of_events: BTreeSet<String> = rows(events).flat_map(|(first, _)| words(first)).collect();
    for verb in ["read", "tail", "find", "show"] {
        fields.insert(verb.to_owned(), of_events.clone());
    }
    for (verbs, told) in rows(rest) {
        let mut all: BTreeSet<String> = words(told).collect();
        // What is told as of another verb, which stands before it.
        for (_, after) in told
            .match_indices("(as of `")
            .map(|(at, _)| told.split_at(at))
        {
            let other = words(after).next().unwrap();
            all.remove(&other);
            all.extend(fields[&other].clone());
        }
        for verb in words(verbs) {
            fields.insert(verb, all.clone());
        }
    }
    fields
}

fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split_once(" | ").unwrap())
}

/// What stands between backticks.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The fields of a value and of what is in it.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name.clone());
                match value {
                    Value::Object(named) if NAMED.contains(&name.as_str()) => {
                        named.values().for_each(|value| fields(value, found));
                    }
                    value if !CONTENTS.contains(&name.as_str()) => fields(value, found),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

/// What verbs told.
#[derive(Default)]
struct Told(BTreeMap<&'static str, BTreeSet<String>>);

impl Told {
    fn take(&mut self, verb: &'static str, lines: &str) {
        let all = self.0.entry(verb).or_default();
        for line in lines.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(value.is_object(), "{verb}: {line}");
            fields(&value, all);
        }
    }

    fn run(&mut self, place: &Place, verb: &'static str, options: &str) {
        let line = format!("annals {verb} --json {options}");
        let lines = place.ok(&line);
        assert!(!lines.is_empty(), "{line}");
        self.take(verb, &lines);
    }
}

#[test]
fn every_field_is_in_the_book_and_no_other() {
    let mut told = Told::default();
    of_a_shop(&mut told);
    of_files(&mut told);
    of_sealed_segments(&mut told);
    let documented = documented();
    let mut others = Vec::new();
    for (verb, fields) in &told.0 {
        let known = documented.get(*verb).cloned().unwrap_or_default();
        let unknown = fields.difference(&known);
        others.extend(unknown.map(|field| format!("{verb} tells {field}, the book does not")));
    }
    for (verb, known) in &documented {
        let fields = told.0.get(verb.as_str()).cloned().unwrap_or_default();
        let missing = known
            .difference(&fields)
            .filter(|word| !is_beside(verb, word));
        others.extend(missing.map(|word| format!("the book tells of {word}, {verb} does not")));
    }
    assert!(others.is_empty(), "{others:#?}");
}

/// Whether a word of the book is an option, or a field that takes more than a store: metrics of an application, events that
/// are encrypted.
fn is_beside(verb: &str, word: &str) -> bool {
    word.starts_with("--")
        || (verb == "top" && word == "application")
        || (verb.starts_with("subjects") && word == "stream")
}

fn of_a_shop(told: &mut Told) {
    let place = Place::shop();
    let event = "note-1 noted --content-type application/octet-stream --header who=ada \
        --correlation request-7 --causation request-7";
    told.run(&place, "append", event);
    // A payload that is not what its form says.
    let application = application(&place);
    let kind = EventType::from_static("noted");
    let event = NewEvent::new(kind, ContentType::JSON, "{").unwrap();
    append_event(&application, "note-1", event);
    application.close().unwrap();
    for (verb, options) in [
        ("read", ""),
        ("tail", "-n 100"),
        ("find", "--after 0"),
        ("find --count", "Ada"),
        ("show", "2"),
        ("show", "16"),
        ("streams", ""),
        ("stats", ""),
        ("stats", "--quick"),
        ("schemas", ""),
        ("history", "account-1"),
        ("at", "9 --stream account-1"),
        ("diff", "1 9"),
        ("diff", "4 9 --stream account-1"),
        ("trace", "request-7"),
        ("projections", ""),
        ("parked", ""),
        ("profile", ""),
        ("top", "--once"),
        ("doctor", ""),
        ("init", "another"),
    ] {
        told.run(&place, verb, options);
    }
    make_keys(&place);
    let who = "customer-42 --keys keys --master-key-file master.key";
    told.run(&place, "subjects show", who);
    told.run(&place, "subjects erase", &format!("{who} --yes"));
}

fn of_files(told: &mut Told) {
    let place = Place::shop();
    told.run(&place, "verify", "--deep");
    told.run(&place, "backup", "backups");
    told.run(&place, "backup", "backups --keep 1 --dry-run");
    told.run(&place, "backup", "backups --list");
    told.run(&place, "restore", "backups restored");
    told.run(&place, "copy", "shop copied --dry-run");
    told.run(&place, "copy", "shop copied");
    told.take(
        "import",
        &place.ok(&format!("annals --store imported import --json {SHOP}")),
    );
    damage(&place);
    told.take("verify", &place.run(&["verify", "--json"]).out);
    told.run(&place, "repair", "--quarantine --yes");
}

fn of_sealed_segments(told: &mut Told) {
    let place = Place::empty();
    sealed(&place);
    for (verb, options) in [
        ("optimize plan", ""),
        ("optimize apply", "--rate 0"),
        ("optimize plan", "--archive cold"),
        ("optimize apply", "--archive cold --rate 0"),
        ("stats", ""),
        ("verify", "--skip-archived"),
        ("optimize status", ""),
        ("optimize undo", "--dry-run"),
        ("optimize undo", "--rate 0"),
        ("optimize plan", "--keep 200 --category session"),
        ("optimize plan", "--truncate-before 400 --category session"),
        ("optimize apply", "--keep 200 --category session --yes"),
        ("optimize plan", "--reclaim"),
        ("optimize apply", "--reclaim --yes"),
        ("optimize apply", "--dry-run"),
    ] {
        let line = format!("annals {verb} --json {options}");
        let verb = match options {
            options if options.contains("--dry-run") => "optimize plan",
            _ => verb,
        };
        let lines = place.ok(&line);
        told.take(verb, &lines);
    }
}
