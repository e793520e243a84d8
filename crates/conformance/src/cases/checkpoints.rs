//! A checkpoint is saved by one reader at a time: whoever does not know its revision finds out.

use std::sync::Arc;

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Cursor, ErrorKind, Position,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};

cases! {
    there_is_none_at_first needs [Checkpoints];
    revisions_rise_with_saves needs [Checkpoints];
    a_stranger_is_refused needs [Checkpoints];
    the_first_save_expects_none needs [Checkpoints];
    any_cursor_comes_back needs [Checkpoints];
    a_removed_checkpoint_is_gone needs [Checkpoints];
    a_removal_expects_a_revision needs [Checkpoints];
    revisions_never_come_again needs [Checkpoints];
    names_are_kept_apart needs [Checkpoints];
    racing_saves_have_one_winner needs [Checkpoints];
}

fn store(bench: &Bench) -> Result<Arc<dyn CheckpointStore>, Failure> {
    let missing = || Failure::new("the backend offered a checkpoint store and then did not");
    bench.stores().checkpoints().cloned().ok_or_else(missing)
}

fn name() -> CheckpointName {
    CheckpointName::from_static("projection")
}

fn at(position: u64) -> Cursor {
    Cursor::at(Position::new(position))
}

fn save(name: &CheckpointName, cursor: &Cursor, expected_revision: u64) -> CheckpointSave {
    CheckpointSave {
        name: name.clone(),
        cursor: cursor.clone(),
        expected_revision,
    }
}

async fn is_refused(store: &dyn CheckpointStore, save: CheckpointSave) -> Verdict {
    let what = format!("saving {save:?}: the kind of error");
    let outcome = store.save_checkpoint(save).await;
    let kind = outcome.err().map(|error| error.kind());
    check_eq(what, kind, Some(ErrorKind::Conflict))
}

async fn removal_is_refused(store: &dyn CheckpointStore, revision: u64) -> Verdict {
    let outcome = store.remove_checkpoint(&name(), revision).await;
    let kind = outcome.err().map(|error| error.kind());
    let what = format!("removing with revision {revision}: the kind of error");
    check_eq(what, kind, Some(ErrorKind::Conflict))
}

async fn there_is_none_at_first(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    check_eq(
        "the checkpoint",
        store.load_checkpoint(&name()).await?,
        None,
    )?;
    store.remove_checkpoint(&name(), 0).await?;
    removal_is_refused(&*store, 1).await?;
    check_eq(
        "the checkpoint",
        store.load_checkpoint(&name()).await?,
        None,
    )
}

async fn revisions_rise_with_saves(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let mut revision = 0;
    for position in [10, 20, 5, 0, 30] {
        let saved = store
            .save_checkpoint(save(&name(), &at(position), revision))
            .await?;
        ensure!(
            saved.revision > revision && (revision > 0 || saved.revision == 1),
            "the revision after {revision} is {}",
            saved.revision
        );
        check_eq("the cursor as saved", &saved.cursor, &at(position))?;
        revision = saved.revision;
        let loaded = store.load_checkpoint(&name()).await?;
        check_eq("the checkpoint as loaded", loaded, Some(saved))?;
    }
    Ok(())
}

async fn a_stranger_is_refused(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let first = store.save_checkpoint(save(&name(), &at(1), 0)).await?;
    let second = store
        .save_checkpoint(save(&name(), &at(2), first.revision))
        .await?;
    for revision in [0, first.revision, second.revision + 1, u64::MAX] {
        is_refused(&*store, save(&name(), &at(3), revision)).await?;
        let loaded = store.load_checkpoint(&name()).await?;
        check_eq("the checkpoint", loaded.as_ref(), Some(&second))?;
    }
    store
        .save_checkpoint(save(&name(), &at(3), second.revision))
        .await?;
    Ok(())
}

async fn the_first_save_expects_none(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    for revision in [1, 2, u64::MAX] {
        is_refused(&*store, save(&name(), &at(1), revision)).await?;
    }
    check_eq(
        "the checkpoint",
        store.load_checkpoint(&name()).await?,
        None,
    )
}

/// A cursor that no event store gave is taken too.
async fn any_cursor_comes_back(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let partitions: Vec<Position> = (1..=64).map(Position::new).collect();
    let mut revision = 0;
    for cursor in [
        Cursor::START,
        Cursor::at(Position::MAX),
        Cursor::partitioned([Position::new(3), Position::START]),
        Cursor::partitioned(partitions),
    ] {
        let saved = store
            .save_checkpoint(save(&name(), &cursor, revision))
            .await?;
        revision = saved.revision;
        let loaded = store.load_checkpoint(&name()).await?;
        check_eq(
            "the cursor",
            loaded.map(|checkpoint| checkpoint.cursor),
            Some(cursor),
        )?;
    }
    Ok(())
}

async fn a_removed_checkpoint_is_gone(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let saved = store.save_checkpoint(save(&name(), &at(1), 0)).await?;
    store.remove_checkpoint(&name(), saved.revision).await?;
    check_eq(
        "the checkpoint",
        store.load_checkpoint(&name()).await?,
        None,
    )?;
    store.remove_checkpoint(&name(), 0).await?;
    let again = store.save_checkpoint(save(&name(), &at(2), 0)).await?;
    check_eq(
        "the checkpoint",
        store.load_checkpoint(&name()).await?,
        Some(again),
    )
}

async fn a_removal_expects_a_revision(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let first = store.save_checkpoint(save(&name(), &at(1), 0)).await?;
    let second = store
        .save_checkpoint(save(&name(), &at(2), first.revision))
        .await?;
    for revision in [0, first.revision, second.revision + 1] {
        removal_is_refused(&*store, revision).await?;
    }
    let loaded = store.load_checkpoint(&name()).await?;
    check_eq("the checkpoint", loaded, Some(second))
}

/// A reader that was left behind finds out, even when the checkpoint was removed and begun again.
async fn revisions_never_come_again(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let mut seen: Vec<u64> = Vec::new();
    for _ in 0..3 {
        let first = store.save_checkpoint(save(&name(), &at(1), 0)).await?;
        let second = store
            .save_checkpoint(save(&name(), &at(2), first.revision))
            .await?;
        for revision in [first.revision, second.revision] {
            let highest = seen.iter().copied().max().unwrap_or(0);
            ensure!(
                revision > highest,
                "revision {revision} comes after {seen:?}"
            );
            seen.push(revision);
        }
        store.remove_checkpoint(&name(), second.revision).await?;
        is_refused(&*store, save(&name(), &at(3), second.revision)).await?;
        removal_is_refused(&*store, second.revision).await?;
    }
    Ok(())
}

async fn names_are_kept_apart(bench: &Bench) -> Verdict {
    let store = store(bench)?;
    let names = ["p", "P", "p ", "pp", "p-1", "\u{e9}", "e\u{301}", "%"];
    for (text, position) in names.iter().zip(1..) {
        let save = save(&CheckpointName::parse(text)?, &at(position), 0);
        let saved = store.save_checkpoint(save).await?;
        check_eq("the first revision", saved.revision, 1)?;
    }
    let removed = CheckpointName::from_static("p");
    store.remove_checkpoint(&removed, 1).await?;
    for (text, position) in names.iter().zip(1..) {
        let loaded = store.load_checkpoint(&CheckpointName::parse(text)?).await?;
        let expected = (*text != "p").then(|| at(position));
        let cursor = loaded.map(|checkpoint| checkpoint.cursor);
        check_eq(format!("the checkpoint {text:?}"), cursor, expected)?;
    }
    Ok(())
}

async fn racing_saves_have_one_winner(bench: &Bench) -> Verdict {
    let mut revision = 0;
    for _ in 0..20 {
        let outcomes = bench.race(6, |client, bench| async move {
            let save = save(&name(), &at(client as u64), revision);
            match store(&bench)?.save_checkpoint(save).await {
                Ok(saved) => Ok(Some(saved)),
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        let won: Vec<Checkpoint> = outcomes.await?.into_iter().flatten().collect();
        check_eq("how many of the saves won", won.len(), 1)?;
        let loaded = store(bench)?.load_checkpoint(&name()).await?;
        check_eq("the checkpoint", loaded.as_ref(), won.first())?;
        revision = loaded.map_or(0, |checkpoint| checkpoint.revision);
    }
    Ok(())
}
