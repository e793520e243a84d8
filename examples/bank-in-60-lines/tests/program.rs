//! The program has sixty lines, does what it says, and is durable.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Output};

use annals::{EventStoreExt, LogStore, ReadRequest};

const LINES_MAX: usize = 60;

fn run(directory: &Path) -> Result<Output, std::io::Error> {
    Command::new(env!("CARGO_BIN_EXE_bank-in-60-lines"))
        .current_dir(directory)
        .output()
}

#[test]
fn it_has_sixty_lines() {
    let program = include_str!("../src/main.rs");
    let lines = program.lines().filter(|line| !line.trim().is_empty());
    let count = lines.count();
    assert!(count <= LINES_MAX, "{count} lines that are not blank");
}

#[test]
fn it_runs_and_the_store_remembers() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let first = run(directory.path())?;
    assert_eq!(
        String::from_utf8(first.stdout)?,
        "Ada has 70 of 70 cents\n",
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );

    let second = run(directory.path())?;
    assert!(!second.status.success());
    let error = String::from_utf8(second.stderr)?;
    assert_eq!(error, "Error: Refused(AlreadyOpen)\n");

    let store = LogStore::builder(directory.path().join("bank.store")).open()?;
    let recorded = futures_executor::block_on(store.collect(ReadRequest::all()))?;
    let recorded: Vec<_> = recorded
        .iter()
        .map(|event| {
            let payload = String::from_utf8_lossy(event.payload());
            format!("{} {} {payload}", event.stream(), event.event_type())
        })
        .collect();
    assert_eq!(
        recorded,
        [
            r#"account-ada opened {"owner":"Ada"}"#,
            r#"account-ada deposited {"cents":100}"#,
            r#"account-ada withdrawn {"cents":30}"#,
        ]
    );
    Ok(())
}
