//! An append is recorded whole, in order and at once.

use annals_core::{Answer, ConsistencyLevel, Cursor, Expected, Position, ReadRequest, Version};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Verdict, check_eq, ensure};
use crate::names::{event, labels, stream};

cases! {
    gives_a_receipt;
    goes_on_where_the_stream_ended;
    agrees_with_what_is_read;
    keeps_streams_apart;
    takes_many_events;
    moves_the_head;
    shows_to_readers_before_its_place_only;
    rejected_writes_nothing;
    multi_stream_is_atomic needs [MultiStreamAppends];
    multi_stream_takes_positions_in_order needs [MultiStreamAppends, TotalOrder];
    takes_dense_positions needs [DensePositions];
    checks_streams_it_does_not_write needs [StreamChecks];
}

async fn gives_a_receipt(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let events = ["x", "y", "z"].map(event);
    let append = annals_core::Append::builder(id).write(stream("a-1"), Expected::Any, events);
    let receipt = bench.append(append).await?;
    check_eq("the append id", receipt.append_id, id)?;
    check_eq("the answer", receipt.answer, Answer::First)?;
    ensure!(
        receipt.first_position > Position::START
            && receipt.last_position.since(receipt.first_position) >= 2,
        "three events don't fit positions {} to {}",
        receipt.first_position,
        receipt.last_position
    );
    let streams: Vec<_> = receipt
        .streams
        .iter()
        .map(|of| {
            (
                of.stream.as_str(),
                of.first_version.value(),
                of.last_version.value(),
            )
        })
        .collect();
    check_eq("the versions by stream", streams, [("a-1", 1, 3)])?;
    bench.stream_shows("a-1", &["x", "y", "z"]).await
}

async fn goes_on_where_the_stream_ended(bench: &Bench) -> Verdict {
    let first = bench.write("a-1", &["x", "y"]).await?;
    bench.write("b-1", &["other"]).await?;
    let second = bench.write("a-1", &["z"]).await?;
    let version = second.version_of(&stream("a-1"));
    check_eq(
        "the version after the second append",
        version,
        Some(Version::new(3)),
    )?;
    ensure!(
        second.first_position > first.last_position,
        "the second append stands at {}, the first one up to {}",
        second.first_position,
        first.last_position
    );
    bench.stream_shows("a-1", &["x", "y", "z"]).await?;
    let events = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    let versions: Vec<u64> = events.iter().map(|event| event.version().value()).collect();
    check_eq("the versions of the events", versions, [1, 2, 3])
}

async fn agrees_with_what_is_read(bench: &Bench) -> Verdict {
    let receipt = bench.write("a-1", &["x", "y", "z"]).await?;
    let events = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    let positions: Vec<Position> = events
        .iter()
        .map(annals_core::RecordedEvent::position)
        .collect();
    check_eq(
        "the first position",
        positions.first(),
        Some(&receipt.first_position),
    )?;
    check_eq(
        "the last position",
        positions.last(),
        Some(&receipt.last_position),
    )?;
    for event in &events {
        check_eq(
            "the time of an event",
            event.appended_at(),
            receipt.appended_at,
        )?;
        check_eq("the stream of an event", event.stream(), &stream("a-1"))?;
    }
    Ok(())
}

async fn keeps_streams_apart(bench: &Bench) -> Verdict {
    let long = format!("a-{}", "x".repeat(1000));
    let names = [
        "a",
        "a-1",
        "A-1",
        "a-1-1",
        "a-11",
        "a-1 ",
        "a-%",
        "a-*",
        "a-'; --",
        "a-\u{e9}",
        "a-e\u{301}",
        "ab",
        &long,
    ];
    for name in names {
        bench.write(name, &[name]).await?;
    }
    for name in names {
        bench.stream_shows(name, &[name]).await?;
        bench.is_at(name, 1).await?;
    }
    Ok(())
}

async fn takes_many_events(bench: &Bench) -> Verdict {
    let count = bench.capabilities().append_events_max.min(2500);
    let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    bench.write("a-1", &texts).await?;
    bench.is_at("a-1", count as u64).await?;
    bench.stream_shows("a-1", &texts).await
}

async fn moves_the_head(bench: &Bench) -> Verdict {
    let store = bench.store();
    let mut before = store.head(ConsistencyLevel::Strong).await?;
    check_eq("the head of an empty store", &before, &Cursor::START)?;
    for label in ["x", "y", "z"] {
        let receipt = bench.write("a-1", &[label]).await?;
        let head = store.head(ConsistencyLevel::Strong).await?;
        ensure!(
            head.covers(&receipt.cursor) && head.covers(&before) && head != before,
            "the head is {head} after an append with cursor {}, and was {before}",
            receipt.cursor
        );
        before = head;
    }
    Ok(())
}

async fn shows_to_readers_before_its_place_only(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x", "y"]).await?;
    let first = bench.mark().await?;
    bench.write("b-1", &["z"]).await?;
    let second = bench.mark().await?;
    let after = |cursor: &Cursor| ReadRequest::all().after(cursor.clone());
    let all = bench.read(after(&Cursor::START)).await?;
    check_eq("how many events there are", all.len(), 3)?;
    bench.shows(after(&first), &["z"]).await?;
    bench.shows(after(&second), &[]).await
}

async fn rejected_writes_nothing(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let head = bench.store().head(ConsistencyLevel::Strong).await?;
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::NoStream, [event("lost")]);
    bench.conflict(append).await?;
    let after = bench.store().head(ConsistencyLevel::Strong).await?;
    check_eq("the head after a rejection", after, head)?;
    bench.stream_shows("a-1", &["x"]).await?;
    bench.write("a-1", &["y"]).await?;
    bench.is_at("a-1", 2).await?;
    bench.stream_shows("a-1", &["x", "y"]).await
}

async fn multi_stream_is_atomic(bench: &Bench) -> Verdict {
    bench.write("b-1", &["x"]).await?;
    for last in ["b-1", "b-2"] {
        let append = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event("lost")])
            .write(
                stream(last),
                Expected::Exactly(Version::new(7)),
                [event("lost")],
            )
            .write(stream("c-1"), Expected::Any, [event("lost")]);
        bench.conflict(append).await?;
        for (untouched, labels) in [
            ("a-1", &[][..]),
            ("b-1", &["x"]),
            ("b-2", &[]),
            ("c-1", &[]),
        ] {
            bench.stream_shows(untouched, labels).await?;
            bench.is_at(untouched, labels.len() as u64).await?;
        }
    }
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::NoStream, [event("y")])
        .write(stream("b-1"), Expected::StreamExists, [event("z")]);
    bench.append(append).await?;
    bench.stream_shows("a-1", &["y"]).await?;
    bench.stream_shows("b-1", &["x", "z"]).await
}

async fn multi_stream_takes_positions_in_order(bench: &Bench) -> Verdict {
    bench.write("c-1", &["first"]).await?;
    let append = bench
        .fresh()
        .write(stream("c-1"), Expected::Any, ["1", "2"].map(event))
        .write(stream("a-1"), Expected::Any, ["3"].map(event))
        .write(stream("b-1"), Expected::Any, ["4", "5"].map(event));
    let receipt = bench.append(append).await?;
    bench.write("a-1", &["last"]).await?;
    let streams: Vec<_> = receipt
        .streams
        .iter()
        .map(|of| {
            (
                of.stream.as_str(),
                of.first_version.value(),
                of.last_version.value(),
            )
        })
        .collect();
    let expected = [("c-1", 2, 3), ("a-1", 1, 1), ("b-1", 1, 2)];
    check_eq("the versions by stream", streams, expected)?;
    let all = bench.read(ReadRequest::all()).await?;
    let expected = ["first", "1", "2", "3", "4", "5", "last"];
    check_eq("the log", labels(&all), expected)?;
    let inside = |event: &&annals_core::RecordedEvent| {
        receipt.first_position <= event.position() && event.position() <= receipt.last_position
    };
    let of_append = all.iter().filter(inside).count();
    check_eq("the events between the receipt's positions", of_append, 5)
}

async fn takes_dense_positions(bench: &Bench) -> Verdict {
    let mut next = Position::FIRST;
    for round in 0..4 {
        let append = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, ["x", "y"].map(event));
        let built = append.clone().build()?;
        let receipt = bench.append(append).await?;
        let found = (receipt.first_position, receipt.last_position);
        check_eq(
            format!("the positions of append {round}"),
            found,
            (next, next.next()),
        )?;
        next = receipt.last_position.next();
        bench.store().append(built).await?;
        let rejected = bench
            .fresh()
            .write(stream("a-1"), Expected::NoStream, [event("lost")]);
        bench.conflict(rejected).await?;
    }
    let all = bench.read(bench.ordered(ReadRequest::all())).await?;
    let mut positions: Vec<u64> = all.iter().map(|event| event.position().value()).collect();
    positions.sort_unstable();
    check_eq("all positions", positions, (1..=8).collect::<Vec<u64>>())
}

async fn checks_streams_it_does_not_write(bench: &Bench) -> Verdict {
    bench.write("b-1", &["x"]).await?;
    let checked = |expected| {
        let append = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event("y")]);
        append
            .check(stream("b-1"), expected)
            .check(stream("c-1"), Expected::NoStream)
    };
    bench
        .append(checked(Expected::Exactly(Version::FIRST)))
        .await?;
    bench
        .conflict(checked(Expected::Exactly(Version::ABSENT)))
        .await?;
    bench.stream_shows("a-1", &["y"]).await?;
    bench.stream_shows("b-1", &["x"]).await?;
    bench.is_at("c-1", 0).await
}
