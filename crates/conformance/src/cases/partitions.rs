//! What holds in a partition, and what is refused across them.

use std::collections::BTreeMap;

use annals_core::{
    Append, AppendId, AppendScope, Cursor, ErrorKind, EventStoreExt, Expected, FailedCheck,
    NewEvent, Outcome, Position, ReadRequest, RecordedEvent, StreamId, Version,
};
use futures_util::{StreamExt, TryStreamExt};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{category, criteria, event, labels, stream, typed};

cases! {
    streams_of_one_key_change_together needs [AppendsOfOneKey];
    a_conflict_of_one_key_lists_everything needs [AppendsOfOneKey];
    streams_of_several_partitions_are_refused_together needs [AppendsOfOneKey];
    a_condition_on_a_key_is_exact needs [AppendsOfOneKey];
    a_condition_without_its_key_is_refused needs [AppendsOfOneKey];
    a_tag_of_another_key_is_refused;
    criteria_of_a_key_are_read_in_order needs [AppendsOfOneKey];
    positions_are_unique;
    every_cursor_goes_on;
    a_partition_is_read_in_order;
    backward_is_the_reverse_of_a_partition needs [BackwardReads];
    a_subscription_follows_every_partition;
    a_receipt_is_found_in_any_partition needs [AppendsOfOneKey];
    an_id_is_known_in_its_partition;
}

/// How many keys are tried for one of another partition.
const KEYS: usize = 64;

fn of_key(key: usize, name: &str) -> String {
    format!("a-{{k{key}}}{name}")
}

fn tag_of(key: usize) -> String {
    format!("partition:k{key}")
}

/// An event that is tagged with its key.
fn tagged(of: &str, key: usize, label: &str) -> NewEvent {
    typed(of, &[&tag_of(key)], label)
}

/// Whether appends reach no further than a partition.
fn is_partitioned(bench: &Bench) -> bool {
    bench.capabilities().append_scope == AppendScope::PartitionKey
}

/// Whether streams of both keys may change together.
async fn meet(bench: &Bench, first: usize, other: usize) -> Result<bool, Failure> {
    let append = bench
        .fresh()
        .write(stream(&of_key(first, "")), Expected::Any, [event("meet")])
        .check(stream(&of_key(other, "never")), Expected::NoStream);
    match bench.store().append(append.build()?).await {
        Ok(_) => Ok(true),
        Err(error) if error.outcome() == Outcome::Rejected => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A key whose streams are in another partition than those of key 0, where there are several.
async fn other_key(bench: &Bench) -> Result<usize, Failure> {
    if !is_partitioned(bench) {
        return Ok(1);
    }
    for key in 1..=KEYS {
        if !meet(bench, 0, key).await? {
            return Ok(key);
        }
    }
    Err(Failure::new(format!(
        "{KEYS} keys are all in one partition"
    )))
}

/// Forty events of twenty streams, two at a time.
async fn fill(bench: &Bench) -> Verdict {
    for number in 0..40 {
        let key = number % 20;
        let kind = if number % 3 == 0 { "hot" } else { "noted" };
        let event = tagged(kind, key, &number.to_string());
        let to = stream(&of_key(key, ""));
        let append = bench.fresh().write(to, Expected::Any, [event]);
        bench.append(append).await?;
    }
    Ok(())
}

async fn streams_of_one_key_change_together(bench: &Bench) -> Verdict {
    let append = bench
        .fresh()
        .write(stream("a-{k}1"), Expected::NoStream, [event("1")])
        .write(stream("b-{k}1"), Expected::NoStream, ["2", "3"].map(event))
        .check(stream("c-{k}"), Expected::NoStream);
    let receipt = bench.append(append).await?;
    let span = receipt.last_position.since(receipt.first_position);
    check_eq("how many positions follow the first", span, 2)?;
    let torn = bench
        .fresh()
        .write(stream("a-{k}1"), Expected::Any, [event("lost")])
        .write(stream("b-{k}1"), Expected::NoStream, [event("lost")]);
    bench.conflict(torn).await?;
    bench.stream_shows("a-{k}1", &["1"]).await?;
    bench.stream_shows("b-{k}1", &["2", "3"]).await
}

async fn a_conflict_of_one_key_lists_everything(bench: &Bench) -> Verdict {
    let key = other_key(bench).await?;
    let (written, checked) = (of_key(key, "1"), of_key(key, "2"));
    let first = bench.write(&written, &["x"]).await?.first_position;
    let hot = bench
        .fresh()
        .write(stream(&checked), Expected::Any, [tagged("hot", key, "y")]);
    let second = bench.append(hot).await?.first_position;
    let tag = tag_of(key);
    let unless = criteria(&[(&["hot"], &[&tag])]);
    let append = bench
        .fresh()
        .write(stream(&written), Expected::NoStream, [event("lost")])
        .check(stream(&checked), Expected::NoStream)
        .unless(unless.clone(), Cursor::START);
    let mut places = Vec::new();
    for failure in bench.conflict(append).await? {
        match failure {
            FailedCheck::Stream { positions, .. } => places.extend(positions),
            FailedCheck::Condition {
                after, positions, ..
            } => {
                check_eq("the cursor of the condition", &after, &Cursor::START)?;
                places.extend(positions);
            }
            other => return Err(Failure::new(format!("another failure: {other}"))),
        }
    }
    check_eq("the offending positions", places, [first, second, second])
}

async fn streams_of_several_partitions_are_refused_together(bench: &Bench) -> Verdict {
    if !is_partitioned(bench) {
        return Ok(());
    }
    let key = other_key(bench).await?;
    let before = bench.mark().await?;
    let first = || {
        let append = bench.fresh();
        append.write(stream(&of_key(0, "1")), Expected::Any, [event("lost")])
    };
    let other = stream(&of_key(key, "1"));
    for append in [
        first().write(other.clone(), Expected::Any, [event("lost")]),
        first().check(other, Expected::NoStream),
    ] {
        bench.refused(append, ErrorKind::Unsupported).await?;
    }
    check_eq("the head", bench.mark().await?, before)
}

async fn a_condition_on_a_key_is_exact(bench: &Bench) -> Verdict {
    let key = other_key(bench).await?;
    let (tag, other_tag) = (tag_of(key), tag_of(0));
    let unless = criteria(&[(&["hot"], &[&tag])]);
    let guarded = |after: Cursor| {
        let event = tagged("cold", key, "guarded");
        let append = bench.fresh();
        let append = append.write(stream(&of_key(key, "g")), Expected::Any, [event]);
        append.unless(unless.clone(), after)
    };
    bench.append(guarded(Cursor::START)).await?;
    // Of another key: no business of the condition.
    let elsewhere = typed("hot", &[&other_tag], "elsewhere");
    let elsewhere = bench
        .fresh()
        .write(stream(&of_key(0, "")), Expected::Any, [elsewhere]);
    bench.append(elsewhere).await?;
    bench.append(guarded(Cursor::START)).await?;
    let before = bench.mark().await?;
    let hot = tagged("hot", key, "hot");
    let hot = bench
        .fresh()
        .write(stream(&of_key(key, "h")), Expected::Any, [hot]);
    bench.append(hot).await?;
    let failed = bench.conflict(guarded(before.clone())).await?;
    check_eq("how many checks failed", failed.len(), 1)?;
    let request = ReadRequest::matching(unless.clone()).after(before);
    let page = bench.store().read(request).await?;
    check_eq("what a decision reads", labels(&page.events), ["hot"])?;
    bench.append(guarded(page.cursor)).await.map(drop)
}

async fn a_condition_without_its_key_is_refused(bench: &Bench) -> Verdict {
    if !is_partitioned(bench) {
        return Ok(());
    }
    let key = other_key(bench).await?;
    let before = bench.mark().await?;
    let (tag, other_tag) = (tag_of(key), tag_of(0));
    for items in [
        &[(&["hot"][..], &[][..])][..],
        &[(&["hot"], &["t:1"])],
        &[(&["hot"], &[&other_tag])],
        &[(&["hot"], &[&tag]), (&["cold"], &[])],
    ] {
        let append = bench
            .fresh()
            .write(stream(&of_key(key, "")), Expected::Any, [event("lost")])
            .unless(criteria(items), Cursor::START);
        bench.refused(append, ErrorKind::Unsupported).await?;
    }
    check_eq("the head", bench.mark().await?, before)
}

async fn a_tag_of_another_key_is_refused(bench: &Bench) -> Verdict {
    if !is_partitioned(bench) {
        return Ok(());
    }
    let (tag, other_tag) = (tag_of(1), tag_of(2));
    for tags in [&[other_tag.as_str()][..], &[&tag, &other_tag]] {
        let event = typed("noted", tags, "lost");
        let append = bench
            .fresh()
            .write(stream(&of_key(1, "")), Expected::Any, [event]);
        bench.refused(append, ErrorKind::Invalid).await?;
    }
    bench.is_at(&of_key(1, ""), 0).await
}

async fn criteria_of_a_key_are_read_in_order(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let tag = tag_of(3);
    for (kinds, expected) in [
        (&["hot", "noted"][..], &["3", "23"][..]),
        (&["hot"], &["3"]),
    ] {
        let request = ReadRequest::matching(criteria(&[(kinds, &[&tag])]));
        for size in 1..=3 {
            // In total order: all of it is in one partition.
            let paged = request.clone().events_max(size);
            let events: Vec<RecordedEvent> = bench.store().events(paged).try_collect().await?;
            check_eq("the events of a key", labels(&events), expected)?;
        }
    }
    Ok(())
}

async fn positions_are_unique(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let events = bench.read(ReadRequest::all()).await?;
    let mut positions: Vec<Position> = events.iter().map(RecordedEvent::position).collect();
    positions.sort_unstable();
    positions.dedup();
    check_eq("how many positions 40 events have", positions.len(), 40)?;
    let mut keys: BTreeMap<String, u16> = BTreeMap::new();
    for event in &events {
        let key = event.stream().partition_key().to_owned();
        let partition = event.position().partition();
        let first = *keys.entry(key).or_insert(partition);
        check_eq("the partition of a key", partition, first)?;
    }
    let mut partitions: Vec<u16> = keys.into_values().collect();
    partitions.sort_unstable();
    partitions.dedup();
    ensure!(
        partitions.len() > 1 || !is_partitioned(bench),
        "twenty keys are all in partition {partitions:?}"
    );
    Ok(())
}

/// Whoever goes on from the cursor of any page meets the rest, each event once.
async fn every_cursor_goes_on(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in [
        ReadRequest::all(),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["hot"], &[])])),
        ReadRequest::stream(stream(&of_key(3, ""))),
    ] {
        let request = bench.ordered(request);
        let whole = labels(&bench.read(request.clone()).await?);
        for size in [1, 2, 3, 7, 39, 40] {
            let (mut seen, mut cursor) = (Vec::new(), Cursor::START);
            loop {
                let paged = request.clone().after(cursor).events_max(size);
                let page = bench.store().read(paged).await?;
                seen.extend(labels(&page.events));
                // As a checkpoint keeps it.
                cursor = page.cursor.to_string().parse()?;
                if page.next.is_none() {
                    break;
                }
            }
            check_eq("the events, going on by cursor", seen, whole.as_slice())?;
        }
    }
    Ok(())
}

async fn a_partition_is_read_in_order(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in [ReadRequest::all(), ReadRequest::category(category("a"))] {
        for size in [1, 4, 9, 1000] {
            let events = bench.read(request.clone().events_max(size)).await?;
            check_eq("how many events", events.len(), 40)?;
            let mut last: BTreeMap<u16, Position> = BTreeMap::new();
            for event in &events {
                let position = event.position();
                let before = last.insert(position.partition(), position);
                ensure!(
                    before.is_none_or(|before| before < position),
                    "in one partition {position} comes after {before:?}"
                );
            }
        }
    }
    Ok(())
}

async fn backward_is_the_reverse_of_a_partition(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let by_partition = |events: &[RecordedEvent]| {
        let mut all: BTreeMap<u16, Vec<Position>> = BTreeMap::new();
        for event in events {
            let position = event.position();
            all.entry(position.partition()).or_default().push(position);
        }
        all
    };
    for request in [
        ReadRequest::all(),
        ReadRequest::matching(criteria(&[(&["hot"], &[])])),
    ] {
        for size in [1, 3, 10, 1000] {
            let mut forward = by_partition(&bench.read(request.clone()).await?);
            for places in forward.values_mut() {
                places.reverse();
            }
            let backward = request.clone().backward().events_max(size);
            let mut seen: Vec<RecordedEvent> = Vec::new();
            let mut next = Some(bench.ordered(backward));
            while let Some(request) = next {
                let page = bench.store().read(request).await?;
                seen.extend(page.events);
                next = page.next;
                // What is appended meanwhile does not come.
                let late = of_key(seen.len() % 20, "late");
                bench.write(&late, &["late"]).await?;
            }
            check_eq("the partitions backward", by_partition(&seen), forward)?;
        }
    }
    Ok(())
}

async fn a_subscription_follows_every_partition(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let request = bench.ordered(ReadRequest::all()).events_max(7);
    let mut following = bench.store().subscribe(request);
    let mut seen: BTreeMap<StreamId, Version> = BTreeMap::new();
    for round in 0..3_u64 {
        let expected = if round == 0 { 40 } else { 20 };
        for _ in 0..expected {
            let Some(event) = following.next().await else {
                return Err(Failure::new("the subscription ends"));
            };
            let event = event?;
            let last = seen.insert(event.stream().clone(), event.version());
            let next = last.unwrap_or_default().next();
            check_eq("the next version of a stream", event.version(), next)?;
        }
        for key in 0..20 {
            bench.write(&of_key(key, ""), &["live"]).await?;
        }
    }
    Ok(())
}

async fn a_receipt_is_found_in_any_partition(bench: &Bench) -> Verdict {
    let key = other_key(bench).await?;
    for key in [0, key] {
        let receipt = bench.write(&of_key(key, "r"), &["x"]).await?;
        let found = bench.store().receipt(&receipt.append_id).await?;
        check_eq("the receipt", found, Some(receipt.as_duplicate()))?;
        bench.store().wait_for(&receipt).await?;
    }
    let never: AppendId = bench.fresh_id();
    check_eq("no receipt", bench.store().receipt(&never).await?, None)
}

async fn an_id_is_known_in_its_partition(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let of = |name: &str, label| {
        let append = Append::builder(id);
        append.write(stream(name), Expected::Any, [event(label)])
    };
    let receipt = bench.append(of("a-{k}1", "x")).await?;
    let retry = bench.append(of("a-{k}1", "x")).await?;
    check_eq("the receipt of the retry", retry, receipt.as_duplicate())?;
    for other in [of("a-{k}1", "y"), of("b-{k}1", "x")] {
        bench.refused(other, ErrorKind::AppendIdReused).await?;
    }
    bench.stream_shows("a-{k}1", &["x"]).await
}
