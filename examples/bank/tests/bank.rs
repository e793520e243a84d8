//! The rules of an account, and what holds when tellers race.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::process::Command;
use std::sync::Arc;

use annals::{CommandError, EventStoreExt, MemoryStore, ReadRequest, Version};
use annals_services::{NatsServer, PostgresServer};
use annals_testkit::Scenario;
use bank::{Account, AccountError, AccountEvent, Bank};

const RACERS: u64 = 16;

fn opened() -> AccountEvent {
    AccountEvent::Opened {
        owner: "Ada".to_owned(),
    }
}

fn deposited(cents: u64) -> AccountEvent {
    AccountEvent::Deposited { cents }
}

fn withdrawn(cents: u64) -> AccountEvent {
    AccountEvent::Withdrawn { cents }
}

#[test]
fn an_account_is_opened_once() {
    Scenario::<Account>::given([])
        .when(|account| account.open("Ada"))
        .then([opened()]);
    Scenario::<Account>::given([opened()])
        .when(|account| account.open("Ben"))
        .then_error(AccountError::AlreadyOpen);
}

#[test]
fn an_account_is_opened_before_it_is_used() {
    Scenario::<Account>::given([])
        .when(|account| account.deposit(1))
        .then_error(AccountError::NotOpen);
}

#[test]
fn an_overdraft_is_refused() {
    let given = || Scenario::<Account>::given([opened(), deposited(100)]);
    given()
        .when(|account| account.withdraw(100))
        .then([withdrawn(100)]);
    given()
        .when(|account| account.withdraw(101))
        .then_error(AccountError::Overdraft {
            wanted: 101,
            balance: 100,
        });
}

#[test]
fn an_overdraft_is_told_in_euros() {
    let refused = AccountError::Overdraft {
        wanted: 9_900,
        balance: 5,
    };
    assert_eq!(refused.to_string(), "99.00 wanted, 0.05 there");
}

#[tokio::test]
async fn a_transfer_moves_money_whole_or_not_at_all() {
    let store = Arc::new(MemoryStore::new());
    let bank = Bank::new(store.clone());
    bank.open("1", "Ada").await.unwrap();
    bank.open("2", "Ben").await.unwrap();
    bank.deposit("1", 100).await.unwrap();

    assert_eq!(bank.transfer("1", "2", 30).await.unwrap(), 70);
    assert_eq!(bank.balance("2").await.unwrap(), 30);

    let before = store.collect(ReadRequest::all()).await.unwrap();
    let refused = bank.transfer("1", "2", 71).await.unwrap_err();
    assert_eq!(
        refused.refused(),
        Some(&AccountError::Overdraft {
            wanted: 71,
            balance: 70
        })
    );
    let to_nobody = bank.transfer("1", "3", 10).await.unwrap_err();
    assert_eq!(to_nobody.refused(), Some(&AccountError::NotOpen));
    assert_eq!(store.collect(ReadRequest::all()).await.unwrap(), before);
}

#[tokio::test]
async fn an_earlier_version_can_be_had() {
    let bank = Bank::new(Arc::new(MemoryStore::new()));
    bank.open("1", "Ada").await.unwrap();
    bank.deposit("1", 100).await.unwrap();
    bank.withdraw("1", 40).await.unwrap();
    for (version, balance) in [(1, 0), (2, 100), (3, 60), (4, 60)] {
        assert_eq!(
            bank.balance_at("1", Version::new(version)).await.unwrap(),
            balance
        );
    }
}

/// Every teller wants half of what is there: exactly two are served, whoever they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_tellers_never_pay_out_more_than_there_is() {
    let bank = Bank::new(Arc::new(MemoryStore::new()));
    bank.open("1", "Ada").await.unwrap();
    bank.deposit("1", 100).await.unwrap();
    let tellers: Vec<_> = (0..RACERS)
        .map(|_| {
            let bank = bank.clone();
            tokio::spawn(async move { bank.withdraw("1", 50).await })
        })
        .collect();
    let mut paid = 0;
    for teller in tellers {
        match teller.await.unwrap() {
            Ok(_) => paid += 50,
            Err(CommandError::Refused(AccountError::Overdraft { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(paid, 100);
    assert_eq!(bank.balance("1").await.unwrap(), 0);
}

#[test]
fn the_program_ends_quietly_when_nobody_listens() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
    let output = program.stdout(writer).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""));
}

#[test]
fn the_accounts_are_there_again_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let story = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
        let output = program.arg("--store").arg(folder.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = story();
    assert!(
        first.starts_with("Ada puts in 100.00 and has 100.00\n"),
        "{first}"
    );
    let second = story();
    let begins = "Ada comes back and has 20.00\nBen comes back and has 30.00\n\
                  Ada puts in 100.00 and has 120.00\n";
    assert!(second.starts_with(begins), "{second}");
    let history = |story: &str| {
        story
            .split_once("the whole history:\n")
            .unwrap()
            .1
            .to_owned()
    };
    assert!(history(&second).starts_with(&history(&first)), "{second}");
}

/// What the program prints with this store; which teller was which is left out, as it changes from run to run.
fn story_in(store: &str) -> Vec<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
    let output = program.args(["--store", store]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{store}: {error}");
    let told = String::from_utf8(output.stdout).unwrap();
    let lines = told.lines().map(|line| match line.strip_prefix("teller ") {
        Some(teller) => teller.get(1..).unwrap().to_owned(),
        None => line.to_owned(),
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn the_story_is_the_same_in_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let expected = story_in("memory:");
    assert!(expected.len() > 15, "{expected:?}");
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
    assert_eq!(story_in(&format!("{postgres}?schema=bank{name}")), expected);
    assert_eq!(story_in(&format!("{nats}/bank{name}?sync=lazy")), expected);
}

#[test]
fn other_arguments_are_refused() {
    for arguments in [
        &["--stor", "x"][..],
        &["--store"],
        &["x"],
        &["--store", "x", "y"],
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
        let output = program.args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains("--help"),
            "{error}"
        );
    }
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    for address in ["mysql://u:secret@host/bank", "my-sql://u:secret@host/bank"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
        let output = program.args(["--store", address]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            error.contains("store; ") && !error.contains("secret"),
            "{error}"
        );
    }
}
