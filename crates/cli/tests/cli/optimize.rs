//! A store is made smaller, and larger again, from a terminal.

use std::fs;

use annals_core::{
    Append, ContentType, EventStore as _, EventType, Expected, Ids as _, NewEvent, StreamId,
    UuidIds,
};
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

use crate::copy::digest_of;
use crate::live::application;
use crate::support::Place;

/// A store of a megabyte in small sealed segments.
pub(crate) fn sealed(place: &Place) {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    let store = LogStore::builder(place.path("shop")).settings(settings);
    let store = store.create().unwrap();
    for session in 0..60 {
        let event = |click: usize| {
            let text = format!(
                "{{\"click\":{click},\"text\":\"{}\"}}",
                "like others ".repeat(12)
            );
            NewEvent::new(EventType::from_static("clicked"), ContentType::JSON, text).unwrap()
        };
        let stream = StreamId::parse(&format!("session-{}", session % 6)).unwrap();
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(stream, Expected::Any, (0..50).map(event));
        block_on(store.append(append.build().unwrap())).unwrap();
    }
    store.close().unwrap();
}

/// Holds the events of before against those of now, which the journal's follow.
pub(crate) fn check_same(place: &Place, before: &str) {
    let is_event = |line: &&str| !line.starts_with("{\"end\"");
    let events: Vec<&str> = before.lines().filter(is_event).collect();
    let now = place.export("shop");
    assert!(now.lines().take(events.len()).eq(events.iter().copied()));
    let rest = now.lines().skip(events.len());
    let others = rest.filter(|line| !line.contains("$optimizer-journal"));
    assert_eq!(others.count(), 1, "only the end is left");
}

/// The bytes of the first segments in plain form, without the zeros behind their ends.
fn segments(place: &Place) -> Vec<Option<Vec<u8>>> {
    let name = |id| format!("shop/log/{id:020}.segment");
    let read = |id| {
        let mut bytes = fs::read(place.path(&name(id))).ok()?;
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0)? + 1);
        Some(bytes)
    };
    (1..=5).map(read).collect()
}

#[test]
fn a_store_is_compressed_and_brought_back() {
    let place = Place::empty();
    sealed(&place);
    let (before, files) = (place.export("shop"), segments(&place));
    assert!(files.iter().all(Option::is_some));
    let plan = place.ok("annals optimize plan");
    assert!(plan.contains("compress          segment 1"), "{plan}");
    assert_eq!(place.ok("annals optimize apply --dry-run"), plan);
    let status = place.ok("annals optimize status");
    assert!(
        status.contains(" 0 compressed") && status.contains("no run"),
        "{status}"
    );
    assert_eq!(place.export("shop"), before);

    let done = place.ok("annals optimize apply --rate 0 --json");
    assert!(done.contains(r#""ended":"finished""#), "{done}");
    assert!(segments(&place).iter().all(Option::is_none));
    check_same(&place, &before);
    assert!(place.ok("annals verify --deep").contains("whole"));
    assert!(
        place
            .ok("annals optimize apply")
            .starts_with("nothing to do")
    );
    let status = place.ok("annals optimize status --json");
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(lines.len(), 2, "{status}");
    assert!(!lines[0].contains(r#""segments_compressed":0"#), "{status}");
    assert!(lines[1].contains(r#""ended":"finished""#), "{status}");

    let plan = place.ok("annals optimize undo --dry-run --json");
    assert!(
        plan.starts_with(r#"{"step":"decompress","segment":1,"#),
        "{plan}"
    );
    let done = place.ok("annals optimize undo");
    assert!(done.starts_with("done: "), "{done}");
    assert!(segments(&place) == files);
    check_same(&place, &before);
    for line in ["annals optimize undo", "annals optimize undo --dry-run"] {
        let told = place.ok(line);
        assert!(
            told.starts_with("nothing to do: there is nothing that can be undone"),
            "{told}"
        );
    }
}

#[test]
fn old_segments_are_moved_to_an_archive_and_brought_back() {
    let place = Place::empty();
    sealed(&place);
    let (before, files) = (place.export("shop"), segments(&place));
    let plan = place.ok("annals optimize plan --archive cold");
    assert!(plan.contains("archive           segment 1"), "{plan}");
    let done = place.ok("annals optimize apply --archive cold --rate 0");
    assert!(done.starts_with("done: "), "{done}");
    assert!(segments(&place).iter().all(Option::is_none));
    check_same(&place, &before);
    assert!(place.ok("annals verify --deep").contains("whole"));
    let status = place.ok("annals optimize status");
    assert!(status.contains("  archived: "), "{status}");
    assert!(place.ok("annals stats --quick").contains("archived"));
    assert!(place.shell("annals doctor").out.contains("cold"));
    assert!(place.ok("annals backup backups").contains("backed up"));

    // Out of reach, it is told what is not there, and where.
    fs::rename(place.path("cold"), place.path("away")).unwrap();
    let refused = place.shell("annals read");
    assert_ne!(refused.code, 0);
    assert!(
        refused.err.contains("segment 1") && refused.err.contains("cold"),
        "{}",
        refused.err
    );
    assert_ne!(place.shell("annals verify").code, 0);
    assert!(place.ok("annals verify --skip-archived").contains("whole"));
    place.ok("annals stats --quick");
    let doctor = place.shell("annals doctor");
    assert!(
        doctor.code == 1 && doctor.out.contains("out of reach"),
        "{}",
        doctor.out
    );
    assert!(
        place
            .ok("annals --store backups/000001 verify")
            .contains("whole")
    );
    fs::rename(place.path("away"), place.path("cold")).unwrap();

    let plan = place.ok("annals optimize undo --dry-run --json");
    assert!(
        plan.starts_with(r#"{"step":"restore","segment":1,"#),
        "{plan}"
    );
    place.ok("annals optimize undo");
    assert!(segments(&place) == files);
    check_same(&place, &before);
}

#[test]
fn a_clock_by_which_everything_is_too_old_is_to_be_trusted_by_name() {
    let place = Place::shop();
    let before = place.export("shop");
    for verb in ["plan", "apply --yes"] {
        let line = format!("annals optimize {verb} --category account --max-age 0s");
        let refused = place.shell(&line);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains("--trust-clock"), "{}", refused.err);
        assert_eq!(place.export("shop"), before);
    }
    let line = "annals optimize apply --yes --category account --max-age 0s --trust-clock";
    assert!(place.ok(line).starts_with("done: "));
    assert_eq!(place.ok("annals history account-1 --json"), "");
}

#[test]
fn only_old_segments_are_compressed_on_demand() {
    let place = Place::empty();
    sealed(&place);
    assert!(
        place
            .ok("annals optimize plan --compress-older-than 1h")
            .starts_with("nothing to do")
    );
    let plan = place.ok("annals optimize plan --compress-older-than 0s --json");
    assert!(
        plan.starts_with(r#"{"step":"compress","segment":1,"level":9,"#),
        "{plan}"
    );
    place.write("policy.json", r#"{"compression":{"older_than":"1h"}}"#);
    assert!(
        place
            .ok("annals optimize plan --policy policy.json")
            .starts_with("nothing to do")
    );
}

#[test]
fn what_is_hidden_is_asked_for_and_a_hold_wins() {
    let place = Place::shop();
    let before = place.export("shop");
    let line = "annals optimize apply --category account --keep 1 --hold account-2";
    let refused = place.shell(line);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(
        refused.err.contains("nobody is here to ask"),
        "{}",
        refused.err
    );
    let plan = place.ok(&format!("{line} --dry-run"));
    assert!(plan.contains("keeps 1 event; hides"), "{plan}");
    assert_eq!(place.export("shop"), before);
    assert!(place.ok(&format!("{line} --yes")).starts_with("done: "));
    let history = |stream: &str| {
        place
            .ok(&format!("annals history {stream} --json"))
            .lines()
            .count()
    };
    assert_eq!(history("account-1"), 1);
    assert_eq!(
        history("account-2"),
        before
            .matches("\"stream\":\"account-2\",\"version\"")
            .count()
    );
    assert!(
        place
            .ok(&format!("{line} --yes"))
            .starts_with("nothing to do")
    );
}

#[test]
fn a_store_in_use_is_planned_for_and_told_to_be_in_use() {
    let place = Place::empty();
    sealed(&place);
    let application = application(&place);
    assert!(place.ok("annals optimize plan").contains("segment 1"));
    assert!(place.ok("annals optimize status").contains("no run"));
    place.ok("annals optimize undo --dry-run");
    for verb in ["apply", "undo"] {
        let refused = place.run(&["optimize", verb]);
        assert_eq!(refused.code, 1, "{}", refused.err);
        assert!(
            refused.err.contains("stop the application"),
            "{}",
            refused.err
        );
    }
    application.close().unwrap();
    place.ok("annals optimize apply --rate 0");
}

#[test]
fn a_policy_that_says_nothing_is_told() {
    let place = Place::shop();
    place.write(
        "policy.toml",
        "[[retention]]\ncategory = \"session\"\nmax_age = \"a month\"\n",
    );
    for (line, code, error) in [
        ("--policy nowhere.toml", 3, "can't read nowhere.toml"),
        ("--policy policy.toml", 2, "write it as 90s"),
        ("--max-age 30d", 2, "--category"),
        ("--category session", 2, "--keep"),
        ("--compress-older-than soon", 2, "no age"),
        ("--level 99", 2, "1..=19"),
    ] {
        let ran = place.shell(&format!("annals optimize plan {line}"));
        assert_eq!(ran.code, code, "{line}: {}", ran.err);
        assert!(ran.err.contains(error), "{line}: {}", ran.err);
    }
}

#[test]
fn what_is_hidden_is_reclaimed_on_demand_and_never_by_itself() {
    let place = Place::empty();
    sealed(&place);
    place.ok("annals optimize apply --no-compression --category session --keep 40 --hold session-2 --yes");
    let before = place.ok("annals read --json");
    place.ok("annals copy shop moved");
    assert!(!place.ok("annals optimize plan").contains("reclaim"));

    let line = "annals optimize apply --reclaim --hold session-2";
    let plan = place.ok(&format!("{line} --dry-run --json"));
    let first = plan.lines().next().unwrap();
    assert!(
        first.starts_with(r#"{"step":"reclaim","segment":1,"level":9,"events":"#),
        "{first}"
    );
    assert!(
        !plan.contains("\"compress\""),
        "a segment is rewritten once: {plan}"
    );
    let refused = place.shell(line);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("from the disk"), "{}", refused.err);
    assert!(place.ok(&format!("{line} --yes")).starts_with("done: "));

    let events = |told: &str| -> Vec<String> {
        let lines = told.lines().filter(|line| !line.contains("$optimizer"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(events(&place.ok("annals read --json")), events(&before));
    let exported = place.export("shop");
    let all = |stream: &str, payload: &str| {
        let name = format!("\"stream\":\"{stream}\"");
        let lines = exported.lines().filter(|line| line.contains(&name));
        lines.filter(|line| line.contains(payload)).count()
    };
    assert_eq!(all("session-2", "like others"), 500);
    assert!(all("session-1", "like others") < 100);
    // A copy that has it still goes on, and is told by the digest that it has itself.
    let told = place.ok("annals copy shop moved");
    assert!(told.contains("by place alone"), "{told}");
    let digest = digest_of(&place.export("moved"));
    assert!(told.contains(&digest), "{told}");
    // What is gone has no payload in an export, which is imported as any other.
    place.ok("annals --store second import <(annals export)");
    assert_eq!(place.export("second"), exported);

    assert!(place.ok("annals verify --deep").contains("whole"));
    let status = place.ok("annals optimize status --json");
    assert!(!status.contains("\"segments_reclaimed\":0"), "{status}");
    let undo = place.ok("annals optimize undo --dry-run");
    assert!(
        undo.contains("was reclaimed in part and stays compressed"),
        "{undo}"
    );
    assert!(
        place
            .ok(&format!("{line} --yes"))
            .starts_with("nothing to do")
    );
}

#[test]
fn an_archive_that_moved_is_told_where_it_is_by_now() {
    let place = Place::empty();
    sealed(&place);
    let before = place.export("shop");
    let cold = place.path("cold");
    let line = format!("annals optimize apply --archive file://{}", cold.display());
    assert!(place.ok(&line).starts_with("done: "));
    check_same(&place, &before);
    let archived = place.export("shop");
    let doctor = place.shell("annals doctor").out;
    assert!(doctor.contains("in file:///"), "{doctor}");
    fs::rename(&cold, place.path("away")).unwrap();
    assert_ne!(place.shell("annals read").code, 0);
    // The store has it as a URL, without a slash.
    let moved = format!(
        "--archive-moved {}/={}",
        cold.display(),
        place.path("away").display()
    );
    for line in [
        "read",
        "verify --deep",
        "stats",
        "doctor",
        "backup backups",
        "copy shop copied",
        "optimize status",
        "optimize undo --dry-run",
        "optimize undo",
    ] {
        let ran = place.shell(&format!("annals {line} {moved}"));
        assert!(ran.code == 0 || line == "doctor", "{line}: {}", ran.err);
        assert!(!ran.err.contains("warning: "), "{line}: {}", ran.err);
        if line.starts_with("optimize undo") {
            let told = format!("removed from file://{}", cold.display());
            assert!(ran.err.contains(&told) || ran.out.contains(&told), "{line}");
        }
        assert!(!ran.out.contains("out of reach"), "{line}: {}", ran.out);
    }
    check_same(&place, &before);
    for store in ["backups/000001", "copied"] {
        assert!(place.export(store) == archived, "{store}");
    }
    let warned = place.shell("annals read --archive-moved /mnt/other=/mnt/new");
    assert_eq!(warned.code, 0);
    assert!(
        warned.err.contains("no archive of this store"),
        "{}",
        warned.err
    );
    let refused = place.shell("annals read --archive-moved cold=away");
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("two places"), "{}", refused.err);
}

#[test]
fn a_place_that_can_t_be_an_archive_is_refused_before_anything_moves() {
    let place = Place::empty();
    sealed(&place);
    let files = segments(&place);
    let mut refused = vec![
        ("memory:///cold", "gone with the process"),
        ("tape://1/cold", "nobody opens archives of this kind"),
        ("s3:/bucket/secret", "two slashes"),
        ("s3:bucket", "two slashes"),
        ("s3://user:secret@bucket/cold", "give keys to what opens it"),
    ];
    if !cfg!(feature = "object-stores") {
        refused.push(("s3://bucket/cold", "its feature `object-stores`"));
    }
    for (to, says) in refused {
        for verb in ["plan", "apply"] {
            let ran = place.run(&["optimize", verb, "--archive", to]);
            assert_ne!(ran.code, 0);
            assert!(ran.err.contains(says), "{}", ran.err);
            assert!(!ran.err.contains("secret"), "{}", ran.err);
        }
    }
    assert!(segments(&place) == files);
}
