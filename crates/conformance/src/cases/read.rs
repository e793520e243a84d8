//! A read shows exactly what it was asked for, in the direction it was asked for.

use annals_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use annals_core::{
    ConsistencyLevel, Cursor, ErrorKind, EventOrdering, Expected, Position, ReadRequest,
    RecordedEvent, StreamPolicy, Version,
};

use super::boundaries::SELECTIONS;
use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{category, criteria, labels, stream, tags, typed};
use crate::pages;

cases! {
    an_empty_store_shows_nothing;
    all_shows_the_log_in_order needs [TotalOrder];
    all_shows_each_stream_in_order;
    a_stream_shows_its_events;
    a_category_is_no_prefix;
    criteria_select_what_they_say;
    after_is_exclusive_and_until_inclusive needs [TotalOrder];
    a_selection_keeps_to_its_bounds needs [TotalOrder];
    versions_bound_a_stream;
    cursors_and_versions_bound_a_stream_together needs [TotalOrder];
    beyond_the_end_is_nothing;
    backward_is_the_reverse needs [BackwardReads, TotalOrder];
    backward_keeps_to_its_bounds needs [BackwardReads, TotalOrder];
    backward_stream_keeps_to_its_versions needs [BackwardReads];
    a_stream_page_tells_the_whole_version;
    an_absent_stream_has_a_plain_head;
    a_request_beyond_a_limit_is_refused;
}

/// Three streams of two categories, interleaved: positions 1 to 8, each event labelled by stream and
/// version.
pub(super) async fn fill(bench: &Bench) -> Result<Vec<Position>, Failure> {
    for (name, new) in [
        ("a-1", &["a1.1", "a1.2"][..]),
        ("b-1", &["b1.1"]),
        ("a-2", &["a2.1", "a2.2"]),
        ("a-1", &["a1.3"]),
        ("b-1", &["b1.2", "b1.3"]),
    ] {
        bench.write(name, new).await?;
    }
    let all = bench.read(ReadRequest::all()).await?;
    let positions: Vec<Position> = all.iter().map(RecordedEvent::position).collect();
    check_eq("how many events there are", positions.len(), LOG.len())?;
    Ok(positions)
}

pub(super) const LOG: [&str; 8] = [
    "a1.1", "a1.2", "b1.1", "a2.1", "a2.2", "a1.3", "b1.2", "b1.3",
];

async fn an_empty_store_shows_nothing(bench: &Bench) -> Verdict {
    let requests = [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
    ];
    for request in requests {
        let request = bench.ordered(request);
        let page = bench.store().read(request.clone()).await?;
        let what = pages::text_of(&request);
        check_eq(format!("{what}: the events"), page.events.len(), 0)?;
        check_eq(format!("{what}: the next page"), page.next, None)?;
        check_eq(format!("{what}: the cursor"), page.cursor, Cursor::START)?;
        let of_stream = what.starts_with("stream").then_some(Version::ABSENT);
        check_eq(
            format!("{what}: the version"),
            page.stream.map(|stream| stream.version),
            of_stream,
        )?;
    }
    Ok(())
}

async fn all_shows_the_log_in_order(bench: &Bench) -> Verdict {
    fill(bench).await?;
    bench.shows(ReadRequest::all(), &LOG).await?;
    bench
        .shows(ReadRequest::all().ordering(EventOrdering::PerStream), &LOG)
        .await
}

async fn all_shows_each_stream_in_order(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let request = ReadRequest::all().ordering(EventOrdering::PerStream);
    let events = bench.read(request).await?;
    for (name, expected) in [
        ("a-1", &["a1.1", "a1.2", "a1.3"][..]),
        ("a-2", &["a2.1", "a2.2"]),
        ("b-1", &["b1.1", "b1.2", "b1.3"]),
    ] {
        let of: Vec<RecordedEvent> = events
            .iter()
            .filter(|event| event.stream() == &stream(name))
            .cloned()
            .collect();
        check_eq(format!("the events of {name}"), labels(&of), expected)?;
    }
    check_eq("how many events there are", events.len(), LOG.len())
}

async fn a_stream_shows_its_events(bench: &Bench) -> Verdict {
    fill(bench).await?;
    bench.stream_shows("a-1", &["a1.1", "a1.2", "a1.3"]).await?;
    bench.stream_shows("a-2", &["a2.1", "a2.2"]).await?;
    bench.stream_shows("b-1", &["b1.1", "b1.2", "b1.3"]).await?;
    bench.stream_shows("a", &[]).await?;
    bench.stream_shows("a-3", &[]).await
}

async fn a_category_is_no_prefix(bench: &Bench) -> Verdict {
    let names = [
        "a", "a-1", "ab", "ab-1", "a-b-1", "A-1", "b-a", "ba-1", "a b-1", "a_-1",
    ];
    for name in names {
        bench.write(name, &[name]).await?;
    }
    for (of, expected) in [
        ("a", &["a", "a-1", "a-b-1"][..]),
        ("ab", &["ab", "ab-1"]),
        ("A", &["A-1"]),
        ("b", &["b-a"]),
        ("a b", &["a b-1"]),
        ("a_", &["a_-1"]),
        ("c", &[]),
    ] {
        let mut found = labels(&bench.read(ReadRequest::category(category(of))).await?);
        if !bench.capabilities().total_order {
            found.sort_by_key(|name| names.iter().position(|other| other == name));
        }
        check_eq(format!("category {of}"), found, expected)?;
    }
    Ok(())
}

async fn criteria_select_what_they_say(bench: &Bench) -> Verdict {
    for (number, (_, rows)) in SELECTIONS.iter().enumerate() {
        for (row, (of, tagged, _)) in rows.iter().enumerate() {
            let event = typed(of, tagged, &format!("{number}.{row}"));
            let to = stream(&format!("a-{}", row % 3));
            bench
                .append(bench.fresh().write(to, Expected::Any, [event]))
                .await?;
        }
    }
    let everything: Vec<(&str, &[&str], String)> = SELECTIONS
        .iter()
        .enumerate()
        .flat_map(|(number, (_, rows))| {
            rows.iter()
                .enumerate()
                .map(move |(row, (of, tagged, _))| (*of, *tagged, format!("{number}.{row}")))
        })
        .collect();
    for (number, (items, rows)) in SELECTIONS.iter().enumerate() {
        let choice = criteria(items);
        let found = labels(&bench.read(ReadRequest::matching(choice.clone())).await?);
        let selected =
            |(item_types, item_tags): &super::boundaries::Item, of: &str, has: &[&str]| {
                (item_types.is_empty() || item_types.contains(&of))
                    && item_tags.iter().all(|tag| has.contains(tag))
            };
        let mut expected: Vec<&str> = everything
            .iter()
            .filter(|(of, tagged, _)| items.iter().any(|item| selected(item, of, tagged)))
            .map(|(_, _, label)| label.as_str())
            .collect();
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        if !bench.capabilities().total_order {
            expected.sort_unstable();
            found.sort_unstable();
        }
        check_eq(format!("criteria {choice}"), &found, &expected)?;
        for (row, (of, tagged, expected)) in rows.iter().enumerate() {
            let label = format!("{number}.{row}");
            let what = format!(
                "whether criteria {choice} show ({of}) with {:?}",
                tags(tagged)
            );
            check_eq(what, found.contains(&label.as_str()), *expected)?;
        }
    }
    Ok(())
}

async fn after_is_exclusive_and_until_inclusive(bench: &Bench) -> Verdict {
    let positions = fill(bench).await?;
    let places: Vec<Position> = [Position::START].into_iter().chain(positions).collect();
    for (first, after) in places.iter().enumerate() {
        for (last, until) in places.iter().enumerate() {
            let request = ReadRequest::all().after(*after).until(*until);
            let expected = LOG.get(first..last).unwrap_or_default();
            bench.shows(request, expected).await?;
        }
        bench
            .shows(
                ReadRequest::all().after(*after),
                LOG.get(first..).unwrap_or_default(),
            )
            .await?;
    }
    Ok(())
}

async fn a_selection_keeps_to_its_bounds(bench: &Bench) -> Verdict {
    let positions = fill(bench).await?;
    let [_, second, third, .., seventh, _] = positions.as_slice() else {
        return Err(Failure::new("eight events were expected"));
    };
    let between = |request: ReadRequest| request.after(*second).until(*seventh);
    let of_a = ReadRequest::category(category("a"));
    bench
        .shows(between(of_a), &["a2.1", "a2.2", "a1.3"])
        .await?;
    let of_stream = ReadRequest::stream(stream("b-1"));
    bench
        .shows(between(of_stream.clone()), &["b1.1", "b1.2"])
        .await?;
    bench
        .shows(of_stream.after(*third), &["b1.2", "b1.3"])
        .await?;
    let matching = ReadRequest::matching(criteria(&[(&["noted"], &[])]));
    let expected = ["b1.1", "a2.1", "a2.2", "a1.3", "b1.2"];
    bench.shows(between(matching), &expected).await
}

async fn versions_bound_a_stream(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let all = ["b1.1", "b1.2", "b1.3"];
    for after in 0..5_usize {
        for until in 0..5_usize {
            let request = ReadRequest::stream(stream("b-1"))
                .after_version(Version::new(after as u64))
                .until_version(Version::new(until as u64));
            let expected = all.get(after.min(3)..until.min(3)).unwrap_or_default();
            bench.shows(request, expected).await?;
        }
    }
    Ok(())
}

async fn cursors_and_versions_bound_a_stream_together(bench: &Bench) -> Verdict {
    let positions = fill(bench).await?;
    let [first, .., last] = positions.as_slice() else {
        return Err(Failure::new("eight events were expected"));
    };
    let of_a = || ReadRequest::stream(stream("a-1"));
    let version = Version::new;
    bench
        .shows(of_a().after(*first).until_version(version(2)), &["a1.2"])
        .await?;
    bench
        .shows(of_a().after(*first).after_version(version(2)), &["a1.3"])
        .await?;
    bench
        .shows(of_a().until(*first).after_version(version(1)), &[])
        .await?;
    bench
        .shows(
            of_a().until(*last).after_version(version(1)),
            &["a1.2", "a1.3"],
        )
        .await
}

async fn beyond_the_end_is_nothing(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let head = bench.store().head(ConsistencyLevel::Strong).await?;
    bench.shows(ReadRequest::all().after(head), &[]).await?;
    let of_a = || ReadRequest::stream(stream("a-1"));
    bench
        .shows(of_a().after_version(Version::new(3)), &[])
        .await?;
    bench.shows(of_a().after_version(Version::MAX), &[]).await?;
    if bench.capabilities().total_order {
        bench
            .shows(ReadRequest::all().until(Position::MAX), &LOG)
            .await?;
    }
    Ok(())
}

async fn backward_is_the_reverse(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
        ReadRequest::stream(stream("none-1")),
    ] {
        let forward = bench.read(request.clone()).await?;
        let expected: Vec<RecordedEvent> = forward.into_iter().rev().collect();
        let found = bench.read(request.clone().backward()).await?;
        let what = format!("{} backward", pages::text_of(&request));
        check_eq(&what, labels(&found), labels(&expected))?;
        check_eq(&what, found, expected)?;
    }
    Ok(())
}

async fn backward_keeps_to_its_bounds(bench: &Bench) -> Verdict {
    let positions = fill(bench).await?;
    let places: Vec<Position> = [Position::START].into_iter().chain(positions).collect();
    for (first, after) in places.iter().enumerate() {
        for (last, until) in places.iter().enumerate() {
            let request = ReadRequest::all().after(*after).until(*until).backward();
            let expected = LOG.get(first..last).unwrap_or_default().iter().rev();
            bench
                .shows(request, &expected.copied().collect::<Vec<_>>())
                .await?;
        }
    }
    Ok(())
}

async fn backward_stream_keeps_to_its_versions(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let of_b = || ReadRequest::stream(stream("b-1")).backward();
    let version = Version::new;
    bench.shows(of_b(), &["b1.3", "b1.2", "b1.1"]).await?;
    bench
        .shows(of_b().events_max(1), &["b1.3", "b1.2", "b1.1"])
        .await?;
    bench
        .shows(of_b().until_version(version(2)), &["b1.2", "b1.1"])
        .await?;
    bench
        .shows(of_b().after_version(version(1)), &["b1.3", "b1.2"])
        .await?;
    bench
        .shows(of_b().until_version(Version::ABSENT), &[])
        .await?;
    bench
        .shows(
            of_b().after_version(version(1)).until_version(version(2)),
            &["b1.2"],
        )
        .await
}

async fn a_stream_page_tells_the_whole_version(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let of_b = || ReadRequest::stream(stream("b-1"));
    for request in [
        of_b(),
        of_b().events_max(1),
        of_b().after_version(Version::new(2)),
        of_b().until_version(Version::new(1)),
        of_b().after_version(Version::new(9)),
    ] {
        let page = bench.store().read(request.clone()).await?;
        let what = format!("{}: the version", pages::text_of(&request));
        let version = page.stream.map(|stream| stream.version);
        check_eq(what, version, Some(Version::new(3)))?;
    }
    Ok(())
}

async fn an_absent_stream_has_a_plain_head(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x", "y"]).await?;
    for (name, version) in [("a-2", 0), ("a", 0), ("a-1", 2)] {
        let head = bench.head_of(name).await?;
        let found = (head.stream.as_str(), head.version.value(), &head.policy);
        check_eq(
            "the head of a stream",
            found,
            (name, version, &StreamPolicy::default()),
        )?;
    }
    Ok(())
}

async fn a_request_beyond_a_limit_is_refused(bench: &Bench) -> Verdict {
    fill(bench).await?;
    for request in [
        ReadRequest::all().events_max(0),
        ReadRequest::all().events_max(PAGE_EVENTS_MAX + 1),
        ReadRequest::all().bytes_max(PAGE_BYTES_MAX + 1),
        ReadRequest::all().after_version(Version::FIRST),
        ReadRequest::category(category("a")).until_version(Version::FIRST),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])).after_version(Version::FIRST),
    ] {
        refused(bench, request).await?;
    }
    let widest = ReadRequest::all()
        .events_max(PAGE_EVENTS_MAX)
        .bytes_max(PAGE_BYTES_MAX);
    let events = bench.read(widest).await?;
    check_eq(
        "how many events the widest request shows",
        events.len(),
        LOG.len(),
    )
}

async fn refused(bench: &Bench, request: ReadRequest) -> Verdict {
    let request = bench.ordered(request);
    let what = format!("reading {}: the kind of error", pages::text_of(&request));
    let found = bench.store().read(request).await;
    check_eq(
        what,
        found.err().map(|error| error.kind()),
        Some(ErrorKind::Invalid),
    )
}
