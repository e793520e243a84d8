//! The program tells the same story whatever its store is.

use std::process::Command;

use annals_services::{NatsServer, PostgresServer};

/// What the program prints with this store; who was first of the two who ask at once changes from run to run.
fn story_in(store: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_dcb"));
    let output = program.args(["--store", store]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let told = String::from_utf8(output.stdout).unwrap();
    told.replace("student:dan", "student:cleo")
}

#[test]
fn the_story_is_the_same_in_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let expected = story_in("memory:");
    assert!(
        expected.contains("1 of the two has the last one"),
        "{expected}"
    );
    // A directory alone is the embedded store too.
    for store in [
        folder.path().join("store").display().to_string(),
        format!("log:{}", folder.path().join("other").display()),
    ] {
        assert_eq!(story_in(&store), expected);
    }
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
    assert_eq!(story_in(&format!("{postgres}?schema=dcb{name}")), expected);
    assert_eq!(story_in(&format!("{nats}/dcb{name}?sync=lazy")), expected);
}
