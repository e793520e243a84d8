//! What every verb says: of itself, and of a store of which every byte is known.

use std::path::PathBuf;

use expect_test::expect_file;

use crate::support::{Place, Ran};

/// Holds what was told against the file of this name.
fn check(name: &str, told: &str) {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/expected/{name}.txt"));
    expect_file![file].assert_eq(told);
}

/// What differs from one run to the next.
fn settled(ran: &Ran, line: &str) -> String {
    let mut text = ran.told(line);
    for (begin, end) in [
        ("\"milliseconds\":", "}"),
        ("\"frames\":", ","),
        ("\"records\":", ","),
        ("segment, ", " frames"),
        ("frames, ", " records"),
    ] {
        if let Some(at) = text.find(begin) {
            let from = at + begin.len();
            let to = from + text[from..].find(end).unwrap();
            text.replace_range(from..to, "#");
        }
    }
    text
}

#[test]
fn help_of_every_verb() {
    let place = Place::empty();
    let mut command = annals_cli::command();
    command.build();
    check("help/annals", &place.run(&["--help"]).told("annals --help"));
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        let name = verb.get_name();
        let line = format!("annals {name} --help");
        check(
            &format!("help/{name}"),
            &place.run(&[name, "--help"]).told(&line),
        );
        for below in verb
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            let below = below.get_name();
            let line = format!("annals {name} {below} --help");
            check(
                &format!("help/{name}-{below}"),
                &place.run(&[name, below, "--help"]).told(&line),
            );
        }
    }
}

/// Lines that change nothing, and the files that hold what they print.
const LINES: &[(&str, &str)] = &[
    ("read", "annals read"),
    (
        "read-backward",
        "annals read --stream account-1 --backward --limit 2",
    ),
    ("read-json", "annals read --json --limit 3"),
    ("read-full", "annals read --category parked --full"),
    (
        "read-criteria",
        "annals read --criteria 'opened closed #account:1' --criteria '#transfer:1'",
    ),
    (
        "read-times",
        "annals read --since 2026-01-31T10:00:03Z --before 2026-01-31T10:00:05Z",
    ),
    (
        "read-category-and-type",
        "annals read --category account --type opened",
    ),
    ("tail", "annals tail -n 2"),
    ("show", "annals show 2"),
    ("show-hidden", "annals show 1"),
    ("show-bytes", "annals show 11"),
    ("show-json", "annals show 12 --json"),
    (
        "show-by-id",
        "annals show 019c1398-0003-7000-8000-000000005ccd",
    ),
    ("show-beyond", "annals show 99"),
    ("streams", "annals streams"),
    (
        "streams-sorted",
        "annals streams --sort events --limit 3 --json",
    ),
    ("stats", "annals stats | grep -v 'index\\|all files'"),
    ("schemas", "annals schemas"),
    ("schemas-json", "annals schemas --category account --json"),
    ("history", "annals history account-1"),
    ("history-json", "annals history account-1 --after 2 --json"),
    ("at", "annals at 5"),
    (
        "at-stream",
        "annals at 2026-01-31T10:00:05.5Z --stream account-1",
    ),
    ("at-json", "annals at 6 --stream account-2 --json"),
    ("at-before-all", "annals at 2020-01-01"),
    ("diff", "annals diff 4 9"),
    ("diff-stream", "annals diff 2 6 --stream account-1"),
    ("diff-json", "annals diff 4 9 --category account --json"),
    ("trace", "annals trace request-7"),
    ("trace-json", "annals trace request-7 --json"),
    ("find", "annals find ada@"),
    (
        "find-where",
        "annals find --where /amount=3 --tag account:2",
    ),
    ("find-nothing", "annals find nowhere"),
    (
        "find-count",
        "annals find --count --json --correlation request-7",
    ),
    ("projections", "annals projections"),
    ("projections-json", "annals projections --json"),
    ("parked", "annals parked"),
    ("parked-json", "annals parked mailer --json"),
    ("verify", "annals verify --deep"),
    ("verify-json", "annals verify --json"),
    ("repair-nothing", "annals repair"),
    ("optimize-nothing", "annals optimize plan"),
    (
        "optimize-plan",
        "annals optimize plan --no-compression --category account --keep 2 --hold account-2",
    ),
    (
        "optimize-plan-json",
        "annals optimize plan --json --category account --keep 2 --truncate-before 2",
    ),
    ("export", "annals export"),
    ("export-cloudevents", "annals export --format cloudevents"),
    ("no-store", "annals --store nowhere read"),
    ("no-store-json", "annals --store nowhere read --json"),
    ("no-such-stream", "annals history account-99"),
    ("no-such-verb", "annals raed"),
    ("colors", "annals --color always read --limit 1"),
];

#[test]
fn what_a_store_is_told_to_hold() {
    let place = Place::shop();
    for (name, line) in LINES {
        check(name, &settled(&place.shell(line), line));
    }
}

#[test]
fn times_are_local_or_utc() {
    let place = Place::shop();
    let local = place.ok("TZ=Asia/Tokyo annals read --limit 1");
    assert!(local.contains("2026-01-31 19:00:02.002+09:00"), "{local}");
    let utc = place.ok("TZ=Asia/Tokyo annals read --limit 1 --utc");
    assert!(utc.contains("2026-01-31 10:00:02.002Z"), "{utc}");
}

#[test]
fn nothing_in_a_store_acts_on_the_terminal() {
    let place = Place::shop();
    place.ok(r#"annals append note-1 noted '{"text":"\u001b[31mred"}' --header 'x=a'$'\e''[2J'"#);
    for line in [
        "annals tail -n 1",
        "annals show 16",
        "annals history note-1",
        "annals find red",
    ] {
        let told = place.ok(line);
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
}
