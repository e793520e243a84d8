//! The program tells the same story whatever its store is.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Command;

use annals_services::{NatsServer, PostgresServer};

/// What the program prints with this store.
fn story_in(store: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_order-fulfilment"));
    let output = program.args(["--store", store]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{store}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_story_is_the_same_in_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let expected = story_in("memory:");
    assert!(expected.contains("v1 kept, v2 live"), "{expected}");
    let log = format!("log:{}", folder.path().display());
    assert_eq!(story_in(&log), expected);
    let services = (
        PostgresServer::shared().unwrap(),
        NatsServer::shared().unwrap(),
    );
    let (Some(postgres), Some(nats)) = services else {
        eprintln!("SKIPPED the_story_is_the_same_in_every_store: told to do without services");
        return;
    };
    let name = folder.path().file_name().unwrap().to_string_lossy();
    let name = name.trim_start_matches('.');
    for store in [
        format!("{postgres}?schema=orders{name}"),
        format!("{nats}/orders{name}?sync=lazy"),
    ] {
        assert_eq!(story_in(&store), expected);
        // It is there the next time.
        assert!(story_in(&store).contains("the new version is there from an earlier story"));
    }
}
