//! Every verb's help has examples, and they run as they stand there.

use annals_codec::privacy::{FileKeys, KeyStore as _, MasterKey, Subject, SystemEntropy};

use crate::copy::{Following, Services};
use crate::live::{append, application, first_lines};
use crate::support::{Place, SHOP};

/// The examples of a verb.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let lines = help.strip_prefix("Examples:").unwrap_or_default().lines();
    lines
        .filter_map(|line| line.strip_prefix("  "))
        .map(str::to_owned)
        .collect()
}

/// What the examples of a verb find.
fn place_for(verb: &str) -> Place {
    if verb == "init" {
        return Place::empty();
    }
    let place = Place::shop();
    std::fs::copy(SHOP, place.path("shop.ndjson")).unwrap();
    match verb {
        "restore" => {
            place.ok("annals backup backups");
        }
        "export" => std::fs::remove_file(place.path("shop.ndjson")).unwrap(),
        "optimize" => {
            place.write("policy.toml", "[compression]\nolder_than = \"30d\"\n");
            // The shop's events are old; by this one the clock is believed.
            let store = application(&place);
            append(&store, "session-1");
            store.close().unwrap();
        }
        "subjects" => make_keys(&place),
        _ => {}
    }
    place
}

pub(crate) fn make_keys(place: &Place) {
    let master = MasterKey::generate(&SystemEntropy).unwrap();
    place.write("master.key", &master.to_text());
    let keys = FileKeys::create(place.path("keys"), &master).unwrap();
    keys.key_for(&Subject::new("customer-42").unwrap()).unwrap();
}

/// The line with servers that are there; none where it needs them, and tests do without.
pub(crate) fn with_services(line: &str, services: Option<&Services>) -> Option<String> {
    if !line.contains("://") {
        return Some(line.to_owned());
    }
    let Services { postgres, nats } = services?;
    let (nats, _) = nats.split_once('?').unwrap();
    Some(
        line.replace("postgres://app@db.example/shop", postgres)
            .replace("nats://nats.example:4222/shop", nats),
    )
}

#[test]
fn every_example_in_a_help_runs() {
    let mut command = annals_cli::command();
    command.build();
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        let name = verb.get_name();
        let mut lines = examples(verb);
        assert!(!lines.is_empty(), "the help of {name} has no example");
        for below in verb
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            let more = examples(below);
            assert!(
                !more.is_empty(),
                "the help of {name} {} has no example",
                below.get_name()
            );
            lines.extend(more);
        }
        let place = place_for(name);
        let services = lines
            .iter()
            .any(|line| line.contains("://"))
            .then(|| Services::of(&place, "example"))
            .flatten();
        for line in lines {
            let Some(line) = with_services(&line, services.as_ref()) else {
                continue;
            };
            match line.as_str() {
                // A person sits before it: `terminal.rs` does.
                "annals top" => {}
                line if line.starts_with("annals doctor \"postgres:") => {
                    let url = line.split('"').nth(1).unwrap();
                    place.ok(&format!("annals copy shop '{url}'"));
                    // The server of the tests does not sync, and that is what it is for.
                    let ran = place.shell(line);
                    assert!(ran.out.contains("\nfsync "), "{}{}", ran.out, ran.err);
                }
                line if line.contains("--follow") => {
                    let mut following = Following::begin(&place, line);
                    following.caught_up();
                    following.end();
                }
                line if line.contains("tail -f") => {
                    assert_eq!(first_lines(&place, line, 2).len(), 2);
                }
                line => drop(place.ok(line)),
            }
        }
    }
}
