//! A snapshot store gives the newest snapshot that is not too new.

use annals_core::{
    ContentType, FoldId, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, Timestamp, Version,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::stream;

cases! {
    there_is_none_at_first needs [Snapshots];
    a_snapshot_comes_back needs [Snapshots];
    the_newest_that_is_not_too_new_is_loaded needs [Snapshots];
    the_order_of_saves_does_not_matter needs [Snapshots];
    the_same_version_is_replaced needs [Snapshots];
    streams_and_folds_are_kept_apart needs [Snapshots];
    the_newest_are_kept_when_old_ones_are_removed needs [Snapshots];
    removal_keeps_to_its_key needs [Snapshots];
    purged_streams_lose_every_fold needs [Snapshots];
}

fn key(of: &str, fold: &'static str) -> SnapshotKey {
    SnapshotKey {
        stream: stream(of),
        fold: FoldId::from_static(fold),
    }
}

fn snapshot(key: SnapshotKey, version: u64, state: &str) -> Result<Snapshot, Failure> {
    let version = Version::new(version);
    let taken_at = Timestamp::from_micros(1_700_000_000_000_001);
    Ok(Snapshot::new(
        key,
        version,
        ContentType::JSON,
        state.to_owned(),
        taken_at,
    )?)
}

/// The store of snapshots, with the steps that the cases take.
struct Shelf<'a>(&'a dyn SnapshotStore);

impl<'a> Shelf<'a> {
    fn of(bench: &'a Bench) -> Result<Self, Failure> {
        let missing = || Failure::new("the backend offered a snapshot store and then did not");
        bench.stores().snapshots().map(Self).ok_or_else(missing)
    }

    async fn save(&self, key: &SnapshotKey, versions: &[u64]) -> Verdict {
        for version in versions {
            let state = format!("state {version}");
            self.0
                .save_snapshot(snapshot(key.clone(), *version, &state)?)
                .await?;
        }
        Ok(())
    }

    /// Expects this version for each of these limits.
    async fn gives(&self, key: &SnapshotKey, rows: &[(u64, Option<u64>)]) -> Verdict {
        for (at_most, expected) in rows {
            let found = self.0.load_snapshot(key, Version::new(*at_most)).await?;
            let version = found.map(|snapshot| snapshot.version().value());
            check_eq(
                format!("the snapshot at version {at_most} or before"),
                version,
                *expected,
            )?;
        }
        Ok(())
    }

    async fn removes(&self, key: &SnapshotKey, keep_newest: usize, expected: usize) -> Verdict {
        let key = key.clone();
        let removed = self
            .0
            .remove_snapshots(SnapshotRemoval::Older { key, keep_newest })
            .await?;
        check_eq(
            format!("how many are removed, keeping {keep_newest}"),
            removed,
            expected,
        )
    }
}

const LATEST: u64 = u64::MAX;

async fn there_is_none_at_first(bench: &Bench) -> Verdict {
    let shelf = Shelf::of(bench)?;
    shelf
        .gives(&key("a-1", "f"), &[(LATEST, None), (0, None)])
        .await?;
    shelf.removes(&key("a-1", "f"), 0, 0).await
}

async fn a_snapshot_comes_back(bench: &Bench) -> Verdict {
    let shelf = Shelf::of(bench)?;
    let octets: Vec<u8> = (0..=255).collect();
    for (number, payload) in (1..).zip([Vec::new(), octets, vec![0; 100_000]]) {
        let version = Version::new(number);
        let taken_at = Timestamp::from_micros(-1);
        let kind = ContentType::OCTETS;
        let saved = Snapshot::new(key("a-1", "f"), version, kind, payload, taken_at)?;
        shelf.0.save_snapshot(saved.clone()).await?;
        let found = shelf.0.load_snapshot(saved.key(), Version::MAX).await?;
        check_eq(
            "whether the snapshot comes back",
            found == Some(saved),
            true,
        )?;
    }
    Ok(())
}

async fn the_newest_that_is_not_too_new_is_loaded(bench: &Bench) -> Verdict {
    let (shelf, key) = (Shelf::of(bench)?, key("a-1", "f"));
    shelf.save(&key, &[3, 7, 10]).await?;
    let rows = [
        (LATEST, Some(10)),
        (11, Some(10)),
        (10, Some(10)),
        (9, Some(7)),
        (7, Some(7)),
        (6, Some(3)),
        (3, Some(3)),
        (2, None),
        (0, None),
    ];
    shelf.gives(&key, &rows).await
}

async fn the_order_of_saves_does_not_matter(bench: &Bench) -> Verdict {
    let (shelf, key) = (Shelf::of(bench)?, key("a-1", "f"));
    shelf.save(&key, &[10, 3, 7]).await?;
    shelf
        .gives(&key, &[(LATEST, Some(10)), (9, Some(7)), (6, Some(3))])
        .await
}

async fn the_same_version_is_replaced(bench: &Bench) -> Verdict {
    let (shelf, key) = (Shelf::of(bench)?, key("a-1", "f"));
    for state in ["one", "two"] {
        shelf
            .0
            .save_snapshot(snapshot(key.clone(), 5, state)?)
            .await?;
    }
    let found = shelf.0.load_snapshot(&key, Version::MAX).await?;
    check_eq(
        "the snapshot",
        found,
        Some(snapshot(key.clone(), 5, "two")?),
    )?;
    shelf.removes(&key, 0, 1).await
}

async fn streams_and_folds_are_kept_apart(bench: &Bench) -> Verdict {
    let shelf = Shelf::of(bench)?;
    let keys = [
        key("a-1", "f"),
        key("a-1", "g"),
        key("a-11", "f"),
        key("a", "f"),
    ];
    for (number, key) in keys.iter().enumerate() {
        shelf.save(key, &[number as u64 + 1]).await?;
    }
    for (number, key) in keys.iter().enumerate() {
        shelf
            .gives(key, &[(LATEST, Some(number as u64 + 1))])
            .await?;
    }
    shelf.gives(&key("a-11", "g"), &[(LATEST, None)]).await
}

async fn the_newest_are_kept_when_old_ones_are_removed(bench: &Bench) -> Verdict {
    let (shelf, key) = (Shelf::of(bench)?, key("a-1", "f"));
    shelf.save(&key, &[4, 1, 3, 2, 5]).await?;
    shelf.removes(&key, 5, 0).await?;
    shelf.removes(&key, 9, 0).await?;
    shelf.removes(&key, 2, 3).await?;
    shelf
        .gives(&key, &[(LATEST, Some(5)), (4, Some(4)), (3, None)])
        .await?;
    shelf.removes(&key, 0, 2).await?;
    shelf.gives(&key, &[(LATEST, None)]).await?;
    shelf.save(&key, &[6]).await?;
    shelf.gives(&key, &[(LATEST, Some(6))]).await
}

async fn removal_keeps_to_its_key(bench: &Bench) -> Verdict {
    let shelf = Shelf::of(bench)?;
    let (one, other, third) = (key("a-1", "f"), key("a-1", "g"), key("a-2", "f"));
    for key in [&one, &other, &third] {
        shelf.save(key, &[1, 2]).await?;
    }
    shelf.removes(&one, 0, 2).await?;
    shelf.gives(&one, &[(LATEST, None)]).await?;
    shelf
        .gives(&other, &[(LATEST, Some(2)), (1, Some(1))])
        .await?;
    shelf
        .gives(&third, &[(LATEST, Some(2)), (1, Some(1))])
        .await
}

async fn purged_streams_lose_every_fold(bench: &Bench) -> Verdict {
    let shelf = Shelf::of(bench)?;
    let gone = [key("a-1", "f"), key("a-1", "g"), key("a-3", "f")];
    let stays = [key("a-11", "f"), key("a", "f"), key("a-2", "f")];
    for key in gone.iter().chain(&stays) {
        shelf.save(key, &[1, 2]).await?;
    }
    let purged = SnapshotRemoval::Purged {
        streams: vec![stream("a-4"), stream("a-3"), stream("a-1")],
    };
    for expected in [6, 0] {
        let removed = shelf.0.remove_snapshots(purged.clone()).await?;
        check_eq("how many are purged", removed, expected)?;
    }
    for key in &gone {
        shelf.gives(key, &[(LATEST, None)]).await?;
    }
    for key in &stays {
        shelf.gives(key, &[(LATEST, Some(2)), (1, Some(1))]).await?;
    }
    shelf.save(&gone[0], &[3]).await?;
    shelf.gives(&gone[0], &[(LATEST, Some(3)), (2, None)]).await
}
