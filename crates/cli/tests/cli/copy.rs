//! A history is the same in whatever store it is copied to, however often the copy is broken off.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use annals_core::{
    ConsistencyLevel, Cursor, EventStore as _, Expected, PolicyAction, PolicyChange, Position,
    StreamId,
};
use annals_services::{NatsServer, PostgresServer};
use annals_store_log::LogStore;
use futures_executor::block_on;
use rustix::process::{Pid, Signal, kill_process};

use crate::exchange::large;
use crate::live::{append, application};
use crate::support::{ANNALS, Place, SHOP};

/// Addresses of stores of this name on the servers; none where tests are told to do without.
pub(crate) struct Services {
    pub(crate) postgres: String,
    pub(crate) nats: String,
}

impl Services {
    pub(crate) fn of(place: &Place, name: &str) -> Option<Self> {
        let folder = place.path("");
        let folder = folder.file_name().unwrap().to_string_lossy();
        let name = format!("{name}{}", folder.trim_start_matches('.'));
        let postgres = PostgresServer::shared().unwrap();
        let nats = NatsServer::shared().unwrap();
        let (Some(postgres), Some(nats)) = (postgres, nats) else {
            eprintln!("SKIPPED a part of a test of `annals copy`: told to do without services");
            return None;
        };
        Some(Self {
            postgres: format!("{postgres}?schema={name}"),
            nats: format!("{nats}/{name}?sync=lazy"),
        })
    }
}

/// Copies, which must go well; the digest.
fn copy(place: &Place, from: &str, to: &str) -> String {
    let told = place.ok(&format!("annals copy '{from}' '{to}' --json"));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told["sha256"].as_str().unwrap().to_owned()
}

/// The digest of the events of an export.
pub(crate) fn digest_of(export: &str) -> String {
    use sha2::Digest as _;
    let mut digest = sha2::Sha256::new();
    let events = export
        .lines()
        .filter(|line| line.starts_with("{\"position\""));
    for line in events {
        digest.update(format!("{line}\n"));
    }
    let bytes = digest.finalize();
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn a_history_comes_back_byte_for_byte() {
    let (place, text) = large(700);
    place.ok("annals import large.ndjson");
    let digest = digest_of(&text);
    assert_eq!(copy(&place, "shop", "log:second"), digest);
    assert_eq!(place.export("second"), text);
    let Some(services) = Services::of(&place, "bytes") else {
        return;
    };
    assert_eq!(copy(&place, "second", &services.postgres), digest);
    assert_eq!(copy(&place, &services.postgres, "third"), digest);
    assert_eq!(place.export("third"), text);
    assert_eq!(copy(&place, &services.postgres, &services.nats), digest);
    assert_eq!(copy(&place, &services.nats, "fourth"), digest);
    assert_eq!(place.export("fourth"), text);
    // Nothing is left to do.
    let again = place.ok(&format!("annals copy fourth '{}'", services.postgres));
    assert!(
        again.starts_with("copied 0 events in 0 appends, and 0 policy changes"),
        "{again}"
    );
}

#[test]
fn policies_and_what_they_hide_are_copied() {
    let place = Place::shop();
    place.ok("annals copy shop second");
    assert_eq!(place.export("second"), place.export("shop"));
    let Some(services) = Services::of(&place, "policies") else {
        return;
    };
    let events = |store: &str| {
        let export = place.export(store);
        let events = export
            .lines()
            .filter(|line| !line.starts_with("{\"policy\""));
        events.map(str::to_owned).collect::<Vec<_>>()
    };
    let streams = |store: &str| place.ok(&format!("annals --store {store} streams --json"));
    for (between, name) in [(&services.postgres, "third"), (&services.nats, "fourth")] {
        place.ok(&format!(
            "annals copy shop '{between}' && annals copy '{between}' {name}"
        ));
        assert_eq!(events(name), events("shop"));
        assert_eq!(streams(name), streams("shop"));
        assert_eq!(
            place.ok(&format!("annals --store {name} read --json")),
            place.ok("annals read --json")
        );
        // The streams of the copy are as those of the source for whoever copies on.
        place.ok(&format!("annals copy shop {name}"));
    }
    // A log keeps where a policy was set, NATS too.
    assert_eq!(place.export("fourth"), place.export("shop"));
}

fn begin(place: &Place, from: &str, to: &str) -> Child {
    let mut copy = place.program(ANNALS);
    copy.args(["copy", from, to]);
    let copy = copy.stdout(Stdio::null()).stderr(Stdio::null());
    copy.spawn().unwrap()
}

/// Begins a copy, and kills it after this time.
fn kill_after(place: &Place, from: &str, to: &str, time: Duration) {
    let mut copy = begin(place, from, to);
    #[expect(
        clippy::disallowed_methods,
        reason = "it is killed at some time, whatever it does then"
    )]
    std::thread::sleep(time);
    copy.kill().unwrap();
    copy.wait().unwrap();
}

/// Begins a copy to a server, and kills it once the destination has more events than these.
fn kill_beyond(place: &Place, from: &str, to: &str, events: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut copy = begin(place, from, to);
    let mut is_over = || copy.try_wait().unwrap().is_some();
    runtime.block_on(async {
        // Not there before the copy makes it.
        let store = loop {
            match annals::AnyStore::at(to.parse().unwrap()).open().await {
                Ok(store) => break store,
                Err(_) if !is_over() => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let beyond = Cursor::at(Position::new(events + 1));
        while !is_over()
            && !store
                .head(ConsistencyLevel::Strong)
                .await
                .unwrap()
                .covers(&beyond)
        {
            tokio::task::yield_now().await;
        }
    });
    // It may be over by now.
    let _ = copy.kill();
    copy.wait().unwrap();
}

/// How many events of the source a destination has.
fn present(place: &Place, from: &str, to: &str) -> u64 {
    let told = place.ok(&format!("annals copy '{from}' '{to}' --dry-run --json"));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told["events_present"].as_u64().unwrap()
}

#[test]
fn a_copy_that_was_killed_goes_on() {
    let (place, text) = large(1200);
    place.ok("annals import large.ndjson");
    // One to a directory has nothing to wait for: each lives longer, whatever it is killed at.
    let (mut last, mut time) = (0, Duration::from_millis(30));
    while last < 1800 {
        kill_after(&place, "shop", "log:second", time);
        let now = present(&place, "shop", "log:second");
        assert!(now >= last, "{now} after {last}");
        (last, time) = (now, time.mul_f64(1.7));
    }
    let mut targets = vec!["log:second".to_owned()];
    if let Some(services) = Services::of(&place, "killed") {
        for target in [services.postgres, services.nats] {
            let mut cuts = Vec::new();
            for _ in 0..3 {
                let before = cuts.last().copied().unwrap_or_default();
                kill_beyond(&place, "shop", &target, before);
                let now = present(&place, "shop", &target);
                assert!(now > before || before == 1800, "{now} after {before}");
                cuts.push(now);
            }
            assert!(
                cuts[0] < 1800,
                "no copy to {target} was killed in its midst"
            );
            targets.push(target);
        }
    }
    for (number, target) in targets.iter().enumerate() {
        copy(&place, "shop", target);
        let back = format!("back{number}");
        copy(&place, target, &back);
        assert_eq!(place.export(&back), text, "{target}");
    }
}

/// Sets the rule by count of a stream.
fn retain(store: &LogStore, stream: &str, max_count: Option<u64>) {
    let change = PolicyChange {
        stream: StreamId::parse(stream).unwrap(),
        expected: Expected::Any,
        action: PolicyAction::Retain {
            max_age: None,
            max_count,
        },
    };
    block_on(store.change_stream_policy(change)).unwrap();
}

#[test]
fn a_rule_that_is_changed_hides_in_the_copy_what_it_hides_in_the_source() {
    let place = Place::shop();
    let Some(services) = Services::of(&place, "rules") else {
        return;
    };
    let chain = || {
        place.ok(&format!("annals copy shop '{}'", services.postgres));
        for to in ["log:third", &services.nats] {
            place.ok(&format!("annals copy '{}' '{to}'", services.postgres));
        }
        place.ok(&format!(
            "rm -rf fourth && annals copy '{}' fourth",
            services.nats
        ));
        for name in ["third", "fourth"] {
            assert_eq!(
                place.ok(&format!("annals --store {name} read --json")),
                place.ok("annals read --json"),
                "{name}"
            );
        }
    };
    let shown = || {
        place
            .ok("annals read --json --stream note-1")
            .lines()
            .count()
    };
    let store = application(&place);
    (0..50).for_each(|_| append(&store, "note-1"));
    retain(&store, "note-1", Some(10));
    store.close().unwrap();
    chain();
    assert_eq!(shown(), 10);
    // What was copied already goes on, though the source gives its policies last.
    let store = application(&place);
    retain(&store, "note-1", Some(1000));
    retain(&store, "note-2", Some(7));
    (0..100).for_each(|_| append(&store, "note-1"));
    store.close().unwrap();
    chain();
    assert_eq!(shown(), 110);
    // Lifted, and followed.
    let mut following = Following::begin(
        &place,
        &format!("annals copy '{}' third --follow", services.postgres),
    );
    following.caught_up();
    let store = application(&place);
    (0..20).for_each(|_| append(&store, "note-1"));
    retain(&store, "note-1", Some(5));
    (0..20).for_each(|_| append(&store, "note-1"));
    retain(&store, "note-1", Some(50));
    (0..20).for_each(|_| append(&store, "note-1"));
    store.close().unwrap();
    place.ok(&format!("annals copy shop '{}'", services.postgres));
    following.end();
    chain();
    assert_eq!(shown(), 25);
}

/// The files of a store.
fn files_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files_of(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_before_a_loss_of_power_is_copied() {
    let place = Place::shop();
    let watermark = Path::new("log").join("WATERMARK");
    let store = application(&place);
    append(&store, "note-1");
    let stale = std::fs::read(place.path("shop").join(&watermark)).unwrap();
    (0..5).for_each(|_| append(&store, "note-1"));
    // The disk has what was synced, and a watermark that was not.
    files_of(&place.path("shop"), &place.path("crashed"));
    std::fs::write(place.path("crashed").join(&watermark), stale).unwrap();
    let told = place.ok("annals copy crashed moved --dry-run --json");
    assert!(told.contains("\"events_to_copy\":16,"), "{told}");
    place.ok("annals copy crashed moved");
    store.close().unwrap();
    assert_eq!(place.export("moved"), place.export("shop"));
}

#[test]
fn another_history_is_refused() {
    let (place, _) = large(40);
    place.ok("annals import large.ndjson");
    let mut others = vec!["log:other".to_owned()];
    if let Some(services) = Services::of(&place, "refused") {
        others.extend([services.postgres, services.nats]);
    }
    place.ok(&format!("annals --store shop2 import {SHOP}"));
    for other in &others {
        place.ok(&format!("annals copy shop2 '{other}'"));
        let refused = place.shell(&format!("annals copy shop '{other}'"));
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (5, ""),
            "{}",
            refused.err
        );
        assert!(
            refused
                .err
                .contains("the destination holds another history: the source has position 1 "),
            "{}",
            refused.err
        );
    }
    // One that goes on where the source ends is another too.
    place.ok("annals copy shop longer && annals --store longer append cart-1 changed '{}'");
    let refused = place.shell("annals copy shop longer");
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(
        refused.err.contains("goes on after the source ends"),
        "{}",
        refused.err
    );
}

#[test]
fn a_look_copies_nothing() {
    let place = Place::shop();
    let told = place.ok("annals copy shop second --dry-run");
    assert_eq!(
        told,
        "would copy 15 events from log:shop to log:second, which has 0 events of the same history\n"
    );
    assert!(!place.path("second").exists());
    place.ok("annals copy shop second && annals append account-7 opened '{}'");
    let told = place.ok("annals copy shop second --dry-run --json");
    assert!(told.contains("\"events_to_copy\":1,"), "{told}");
    for (line, code, said) in [
        ("annals copy shop shop", 2, "to itself"),
        ("annals copy shop memory:", 2, "in memory"),
        ("annals copy memory: second", 2, "in memory"),
        ("annals copy nowhere second", 3, "no directory nowhere"),
        (
            "annals copy shop 'mysql://app:secret@h/d'",
            2,
            "no such kind of store",
        ),
        (
            "annals copy shop 'nats://app:secret@127.0.0.1:1/d'",
            2,
            "sync=always",
        ),
        (
            "annals copy shop 'postgres://app:secret@127.0.0.1:1/d'",
            1,
            "did not answer",
        ),
    ] {
        let ran = place.shell(line);
        assert_eq!(ran.code, code, "{line}: {}", ran.err);
        assert!(ran.err.contains(said), "{line}: {}", ran.err);
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    }
}

/// A copy that follows, and what it says.
pub(crate) struct Following {
    copy: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Following {
    pub(crate) fn begin(place: &Place, line: &str) -> Self {
        let mut copy = place
            .program("bash")
            .args(["-c", &format!("exec {line}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(copy.stderr.take().unwrap());
        Self { copy, said }
    }

    /// Waits until it says that it has caught up.
    pub(crate) fn caught_up(&mut self) -> String {
        let mut line = String::new();
        while !line.starts_with("caught up at position ") {
            line.clear();
            let read = self.said.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before it had caught up");
        }
        line
    }

    /// Ends it by Ctrl-C; what it printed.
    pub(crate) fn end(self) -> String {
        let pid = Pid::from_child(&self.copy);
        kill_process(pid, Signal::INT).unwrap();
        let output = self.copy.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_copy_follows_what_an_application_appends() {
    let place = Place::shop();
    let mut targets = vec!["log:second".to_owned()];
    if let Some(services) = Services::of(&place, "follow") {
        targets.extend([services.postgres, services.nats]);
    }
    for (number, target) in targets.iter().enumerate() {
        let mut following =
            Following::begin(&place, &format!("annals copy shop '{target}' --follow"));
        let line = following.caught_up();
        assert!(line.contains("0 events behind"), "{line}");
        let store = application(&place);
        for _ in 0..20 {
            append(&store, "session-1");
        }
        store.close().unwrap();
        // What was acknowledged before Ctrl-C is copied.
        let told = following.end();
        assert!(told.contains("and have the same events"), "{told}");
        let back = format!("back{number}");
        copy(&place, target, &back);
        let (back, shop) = (place.export(&back), place.export("shop"));
        let events = |text: &str| {
            let events = text
                .lines()
                .filter(|line| line.starts_with("{\"position\""));
            events.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(events(&back), events(&shop), "{target}");
    }
}
