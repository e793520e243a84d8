//! What `annals doctor` says of a server that keeps a store.

use annals::core::{Durability, EventStore as _};
use annals::postgres::{ReplicaReport, ServerReport};
use annals::{AnyStore, NatsSync, PostgresStore, StoreAddress};
use futures_executor::block_on;

use super::doctor::{Check, Verdict};
use crate::failure::{Exit, Failure, Result};
use crate::output::text;

/// More bytes than this that are kept for a replica which is not connected are told of.
const SLOT_BYTES_MAX: u64 = 1 << 30;

/// Checks the server of a store.
pub(super) fn checks(address: &StoreAddress) -> Result<Vec<Check>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no threads: {error}")))?;
    let _entered = runtime.enter();
    let store = match block_on(AnyStore::at(address.clone()).open()) {
        Ok(store) => store,
        Err(error) => {
            let failure = Failure::from(error);
            let advice = "the other checks take a store that opens";
            return Ok(vec![Check::new(
                "store",
                Verdict::Bad,
                failure.message,
                advice,
            )]);
        }
    };
    let mut checks = vec![
        Check::new("store", Verdict::Good, address.to_string(), ""),
        promise(address, &store),
    ];
    if let AnyStore::Postgres(store) = &store {
        checks.extend(of_postgres(&block_on(PostgresStore::server(store))?));
    }
    Ok(checks)
}

/// What an acknowledged append survives.
fn promise(address: &StoreAddress, store: &AnyStore) -> Check {
    const NAME: &str = "durability";
    if let StoreAddress::Nats(address) = address
        && address.sync == Some(NatsSync::Always)
        && address.monitoring.is_empty()
    {
        return Check::new(
            NAME,
            Verdict::Look,
            "acknowledged appends survive a loss of power if the servers sync always, which is taken on trust",
            "have them asked: give monitoring=http://host:8222, the monitoring port of each",
        );
    }
    let (verdict, found) = match store.capabilities().durability {
        Durability::Replicated => (
            Verdict::Good,
            "acknowledged appends survive the loss of a server",
        ),
        Durability::Synced => (
            Verdict::Good,
            "acknowledged appends survive a loss of power",
        ),
        Durability::Process => (
            Verdict::Bad,
            "acknowledged appends survive the process alone",
        ),
        _ => (
            Verdict::Bad,
            "acknowledged appends are gone with the process",
        ),
    };
    let advice = "a loss of power may take the newest ones: see what the server syncs";
    Check::new(NAME, verdict, found, advice)
}

fn of_postgres(server: &ServerReport) -> Vec<Check> {
    let on_or_off = |is_on| if is_on { "on" } else { "off" };
    let bad_unless = |is_on| if is_on { Verdict::Good } else { Verdict::Bad };
    let mut checks = vec![
        Check::new(
            "server",
            Verdict::Good,
            format!("PostgreSQL {}", server.version),
            "",
        ),
        Check::new(
            "fsync",
            bad_unless(server.fsync),
            on_or_off(server.fsync),
            "a loss of power may damage the whole database: set fsync = on",
        ),
        Check::new(
            "full_page_writes",
            bad_unless(server.full_page_writes),
            on_or_off(server.full_page_writes),
            "a loss of power may damage pages: set full_page_writes = on",
        ),
        commit(&server.synchronous_commit),
    ];
    let replicas = server.replicas.iter();
    checks.extend(replicas.map(|of| replica(of, &server.synchronous_commit)));
    checks.push(Check::new(
        "size",
        Verdict::Good,
        format!(
            "the log takes {}, the database {}; how much room is left, SQL can't tell",
            text::bytes(server.log_bytes),
            text::bytes(server.database_bytes)
        ),
        "",
    ));
    if server.unused_slot_bytes > 0 {
        let verdict = if server.unused_slot_bytes > SLOT_BYTES_MAX {
            Verdict::Bad
        } else {
            Verdict::Look
        };
        let kept = text::bytes(server.unused_slot_bytes);
        checks.push(Check::new(
            "replication slots",
            verdict,
            format!("{kept} of write-ahead log are kept for replicas that are not connected"),
            "that fills the disk: connect them, or drop their slots",
        ));
    }
    if server.archiving_fails {
        checks.push(Check::new(
            "archiving",
            Verdict::Bad,
            "the write-ahead log can't be archived, and piles up",
            "that fills the disk: see archive_command and the server's log",
        ));
    }
    checks
}

fn commit(setting: &str) -> Check {
    let verdict = if setting == "off" {
        Verdict::Look
    } else {
        Verdict::Good
    };
    Check::new(
        "synchronous_commit",
        verdict,
        setting,
        "the store raises it for itself: what else the application commits may be lost, and is then without its events",
    )
}

fn replica(replica: &ReplicaReport, commit: &str) -> Check {
    const NAME: &str = "replica";
    let ReplicaReport {
        name,
        is_synchronous,
        lag_bytes,
        ..
    } = replica;
    let Some(is_synchronous) = is_synchronous else {
        let found = format!("{name}: whether it is synchronous can't be told");
        return Check::new(NAME, Verdict::Look, found, "grant pg_monitor to the role");
    };
    if *is_synchronous && commit == "local" {
        let found = format!("{name} is synchronous, and no commit waits for it");
        let advice =
            "it may lack acknowledged appends when it takes over: set synchronous_commit = on";
        return Check::new(NAME, Verdict::Look, found, advice);
    }
    if *is_synchronous {
        return Check::new(NAME, Verdict::Good, format!("{name} is synchronous"), "");
    }
    let behind = lag_bytes.map_or_else(|| "unknown how far".to_owned(), text::bytes);
    Check::new(
        NAME,
        Verdict::Look,
        format!("{name} is asynchronous, and {behind} behind"),
        "it may lack acknowledged appends when it takes over: name it in synchronous_standby_names",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(server: &ServerReport) -> Vec<(&'static str, Verdict)> {
        let checks = of_postgres(server);
        let checks = checks.into_iter().map(|check| (check.name, check.verdict));
        checks
            .filter(|(_, verdict)| *verdict != Verdict::Good)
            .collect()
    }

    fn sound() -> ServerReport {
        let mut server = ServerReport::default();
        server.fsync = true;
        server.full_page_writes = true;
        server.synchronous_commit = "on".to_owned();
        server
    }

    #[test]
    fn what_may_lose_events_is_told() {
        fn check(change: impl FnOnce(&mut ServerReport), expected: &[(&'static str, Verdict)]) {
            let mut server = sound();
            change(&mut server);
            assert_eq!(verdicts(&server), expected);
        }
        check(|_| (), &[]);
        check(|server| server.fsync = false, &[("fsync", Verdict::Bad)]);
        check(
            |server| server.full_page_writes = false,
            &[("full_page_writes", Verdict::Bad)],
        );
        check(
            |server| server.synchronous_commit = "off".to_owned(),
            &[("synchronous_commit", Verdict::Look)],
        );
        check(
            |server| server.unused_slot_bytes = 5,
            &[("replication slots", Verdict::Look)],
        );
        check(
            |server| server.unused_slot_bytes = 2 << 30,
            &[("replication slots", Verdict::Bad)],
        );
        check(
            |server| server.archiving_fails = true,
            &[("archiving", Verdict::Bad)],
        );
        for (is_synchronous, commit, expected) in [
            (Some(true), "on", Verdict::Good),
            (Some(true), "local", Verdict::Look),
            (Some(false), "on", Verdict::Look),
            (None, "on", Verdict::Look),
        ] {
            let report = ReplicaReport::new("r", is_synchronous, None);
            assert_eq!(replica(&report, commit).verdict, expected);
        }
    }
}
