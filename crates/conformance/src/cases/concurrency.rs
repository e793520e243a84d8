//! Clients that act at the same time see one order of things.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Append, AppendId, Cursor, ErrorKind, Expected, FailedCheck, ReadRequest, Receipt,
    RecordedEvent, Version,
};
use futures_util::FutureExt;

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{criteria, event, event_id, labels, stream, typed};
use crate::pages::place_of;

cases! {
    racing_expectations_have_one_winner;
    racing_conditions_have_one_winner needs [Conditions];
    racing_retries_record_once;
    racing_contents_of_one_id_have_one_winner;
    racing_event_ids_have_one_winner needs [UniqueEventIds];
    writers_of_one_stream_leave_no_gap;
    appends_to_several_streams_stay_whole needs [MultiStreamAppends];
    readers_see_whole_appends needs [TotalOrder];
    readers_never_meet_an_event_behind_them needs [TotalOrder];
    a_client_reads_its_own_writes;
    an_append_that_is_dropped_is_whole_or_not_at_all;
}

const CLIENTS: usize = 6;
const ROUNDS: u64 = 15;

/// The outcome of an append among several of which one may win.
async fn attempt(bench: &Bench, append: Append) -> Result<Option<Receipt>, Failure> {
    match bench.store().append(append).await {
        Ok(receipt) => Ok(Some(receipt)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn racing_expectations_have_one_winner(bench: &Bench) -> Verdict {
    for round in 0..ROUNDS {
        let expected = Expected::Exactly(Version::new(round));
        let outcomes = bench.race(CLIENTS, |client, bench| async move {
            let events = [event(&format!("{client}"))];
            let append = bench
                .fresh()
                .write(stream("a-1"), expected, events)
                .build()?;
            match bench.store().append(append).await {
                Ok(receipt) => Ok(Some(receipt)),
                Err(error) => {
                    let failures = error
                        .conflict()
                        .map_or(&[][..], |conflict| conflict.failures());
                    let [
                        FailedCheck::Stream {
                            actual, positions, ..
                        },
                    ] = failures
                    else {
                        return Err(Failure::from(error).during("the loser of a race"));
                    };
                    check_eq("the actual version", actual.value(), round + 1)?;
                    check_eq("how many events came between", positions.len(), 1)?;
                    Ok(None)
                }
            }
        });
        let won = outcomes.await?.into_iter().flatten().count();
        check_eq(
            format!("how many of {CLIENTS} expecting {expected} won"),
            won,
            1,
        )?;
    }
    bench.is_at("a-1", ROUNDS).await
}

async fn racing_conditions_have_one_winner(bench: &Bench) -> Verdict {
    let mut after = Cursor::START;
    for round in 0..ROUNDS {
        let outcomes = bench.race(CLIENTS, |client, bench| {
            let after = after.clone();
            async move {
                let taken = typed("taken", &["seat:1"], "x");
                let unless = criteria(&[(&["taken"], &["seat:1"])]);
                let append = bench
                    .fresh()
                    .write(stream(&format!("client-{client}")), Expected::Any, [taken])
                    .unless(unless, after);
                attempt(&bench, append.build()?).await
            }
        });
        let won: Vec<Receipt> = outcomes.await?.into_iter().flatten().collect();
        let [receipt] = won.as_slice() else {
            check_eq(format!("round {round}: how many won"), won.len(), 1)?;
            continue;
        };
        let first = bench.mark().await?;
        ensure!(
            first.covers(&receipt.cursor),
            "the head {first} lacks the winner's append"
        );
        after = first;
    }
    Ok(())
}

async fn racing_retries_record_once(bench: &Bench) -> Verdict {
    for round in 1..=ROUNDS {
        let id = bench.fresh_id();
        let receipts = bench.race(CLIENTS, |_, bench| async move {
            let events = ["x", "y"].map(event);
            bench
                .append(Append::builder(id).write(stream("a-1"), Expected::Any, events))
                .await
        });
        let receipts = receipts.await?;
        let first: Vec<&Receipt> = receipts
            .iter()
            .filter(|receipt| !receipt.is_duplicate())
            .collect();
        check_eq("how many of the receipts are the first", first.len(), 1)?;
        for receipt in &receipts {
            let expected = first.first().map(|first| first.as_duplicate());
            check_eq(
                "the receipt of a retry",
                Some(receipt.as_duplicate()),
                expected,
            )?;
        }
        bench.is_at("a-1", 2 * round).await?;
    }
    Ok(())
}

async fn racing_contents_of_one_id_have_one_winner(bench: &Bench) -> Verdict {
    for round in 1..=ROUNDS {
        let id: AppendId = bench.fresh_id();
        let outcomes = bench.race(CLIENTS, |client, bench| async move {
            let events = [event(&client.to_string())];
            let append = Append::builder(id)
                .write(stream("a-1"), Expected::Any, events)
                .build()?;
            match bench.store().append(append).await {
                Ok(receipt) => check_eq("the answer", receipt.is_duplicate(), false).map(|()| 1),
                Err(error) => {
                    check_eq("the kind of error", error.kind(), ErrorKind::AppendIdReused)
                        .map(|()| 0)
                }
            }
        });
        let won: u32 = outcomes.await?.into_iter().sum();
        check_eq("how many contents of one append id were recorded", won, 1)?;
        bench.is_at("a-1", round).await?;
    }
    Ok(())
}

async fn racing_event_ids_have_one_winner(bench: &Bench) -> Verdict {
    for round in 0..ROUNDS {
        let id = event_id(round + 1);
        let outcomes = bench.race(CLIENTS, |client, bench| async move {
            let events = [event(&client.to_string()).with_id(id)];
            let to = stream(&format!("client-{client}"));
            attempt(
                &bench,
                bench.fresh().write(to, Expected::Any, events).build()?,
            )
            .await
        });
        let won = outcomes.await?.into_iter().flatten().count();
        check_eq("how many events of one id were recorded", won, 1)?;
    }
    Ok(())
}

const APPENDS_OF_EACH: usize = 40;

async fn writers_of_one_stream_leave_no_gap(bench: &Bench) -> Verdict {
    let receipts = bench.race(CLIENTS, |client, bench| async move {
        let mut receipts: Vec<Receipt> = Vec::new();
        for number in 0..APPENDS_OF_EACH {
            let label = format!("{client}.{number}");
            receipts.push(bench.write("a-1", &[&label, &label]).await?);
        }
        Ok(receipts)
    });
    let mut receipts: Vec<Receipt> = receipts.await?.into_iter().flatten().collect();
    receipts.sort_by_key(|receipt| receipt.first_position);
    let events = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    check_eq(
        "how many events there are",
        events.len(),
        2 * CLIENTS * APPENDS_OF_EACH,
    )?;
    for (index, (receipt, events)) in receipts.iter().zip(events.chunks(2)).enumerate() {
        let versions: Vec<u64> = events.iter().map(|event| event.version().value()).collect();
        let first = 2 * index as u64 + 1;
        check_eq(
            "the versions in the order of positions",
            versions,
            [first, first + 1],
        )?;
        let [x, y] = events else { continue };
        check_eq("the events of one append", x.payload(), y.payload())?;
        let found = (x.position(), y.position(), Some(y.version()));
        let told = (
            receipt.first_position,
            receipt.last_position,
            receipt.version_of(&stream("a-1")),
        );
        check_eq("what the receipt tells", told, found)?;
    }
    Ok(())
}

async fn appends_to_several_streams_stay_whole(bench: &Bench) -> Verdict {
    let clients = bench.race(CLIENTS, |client, bench| async move {
        for number in 0..APPENDS_OF_EACH {
            let label = format!("{client}.{number}");
            let (one, other) = if client % 2 == 0 {
                ("a-1", "b-1")
            } else {
                ("b-1", "a-1")
            };
            let append = bench
                .fresh()
                .write(stream(one), Expected::Any, [event(&label)])
                .write(stream(other), Expected::Any, [event(&label)]);
            bench.append(append).await?;
        }
        Ok(())
    });
    clients.await?;
    let a = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    let b = bench.read(ReadRequest::stream(stream("b-1"))).await?;
    check_eq(
        "how many events there are",
        a.len(),
        CLIENTS * APPENDS_OF_EACH,
    )?;
    check_eq("the two streams, written together", labels(&a), labels(&b))
}

/// What a read showed before, and what it shows now.
type Compare = fn(&[RecordedEvent], &[RecordedEvent]) -> Verdict;

/// Runs writers of appends of three events beside a reader, which compares each of its reads with the one
/// before, until the writers are done.
async fn read_beside_writers(bench: &Bench, request: ReadRequest, compare: Compare) -> Verdict {
    const WRITERS: usize = 3;
    let done = Arc::new(AtomicUsize::new(0));
    let clients = bench.race(WRITERS + 1, |client, bench| {
        let (request, done) = (request.clone(), Arc::clone(&done));
        async move {
            if client < WRITERS {
                let written = write_threes(&bench, client).await;
                done.fetch_add(1, Ordering::SeqCst);
                return written;
            }
            let mut before = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst) == WRITERS;
                let events = bench.read(request.clone()).await?;
                compare(&before, &events)?;
                if last {
                    return check_eq(
                        "how many events are read",
                        events.len(),
                        3 * WRITERS * APPENDS_OF_EACH,
                    );
                }
                before = events;
            }
        }
    });
    clients.await.map(drop)
}

async fn write_threes(bench: &Bench, client: usize) -> Verdict {
    for _ in 0..APPENDS_OF_EACH {
        bench
            .write(&format!("w-{client}"), &["1", "2", "3"])
            .await?;
    }
    Ok(())
}

async fn readers_see_whole_appends(bench: &Bench) -> Verdict {
    let whole: Compare = |_, events| {
        check_eq(
            "how many events of a torn append are shown",
            events.len() % 3,
            0,
        )
    };
    read_beside_writers(bench, ReadRequest::all(), whole).await
}

async fn readers_never_meet_an_event_behind_them(bench: &Bench) -> Verdict {
    let grown: Compare = |before, events| {
        let moved = before
            .iter()
            .zip(events)
            .find(|(before, now)| before != now);
        ensure!(
            moved.is_none() && before.len() <= events.len(),
            "an event appeared before one that was read earlier, or one is gone: {}",
            moved.map_or_else(String::new, |(_, now)| place_of(now))
        );
        Ok(())
    };
    read_beside_writers(bench, ReadRequest::all().events_max(7), grown).await
}

async fn a_client_reads_its_own_writes(bench: &Bench) -> Verdict {
    let clients = bench.race(CLIENTS, |client, bench| async move {
        let own = format!("client-{client}");
        for number in 1..=APPENDS_OF_EACH {
            let receipt = bench.write(&own, &[&number.to_string()]).await?;
            let count = bench.read(ReadRequest::stream(stream(&own))).await?.len();
            check_eq(format!("what {own} reads of its own"), count, number)?;
            bench.is_at(&own, number as u64).await?;
            let head = bench
                .store()
                .head(annals_core::ConsistencyLevel::Strong)
                .await?;
            ensure!(
                head.covers(&receipt.cursor),
                "the head {head} lacks the client's own append"
            );
        }
        Ok(())
    });
    clients.await.map(drop)
}

async fn an_append_that_is_dropped_is_whole_or_not_at_all(bench: &Bench) -> Verdict {
    let clients = bench.race(CLIENTS, |client, bench| async move {
        let own = format!("client-{client}");
        for number in 0..ROUNDS {
            let append = bench
                .fresh()
                .write(stream(&own), Expected::Any, ["x", "y"].map(event))
                .build()?;
            {
                let mut dropped = pin!(bench.store().append(append.clone()));
                if let Some(answer) = dropped.as_mut().now_or_never() {
                    answer?;
                }
            }
            let version = bench.head_of(&own).await?.version.value();
            ensure!(
                version == 2 * number || version == 2 * number + 2,
                "{own} is at version {version} after a dropped append of 2 events to version {}",
                2 * number
            );
            bench.store().append(append).await?;
            bench.is_at(&own, 2 * number + 2).await?;
        }
        Ok(())
    });
    clients.await.map(drop)
}
