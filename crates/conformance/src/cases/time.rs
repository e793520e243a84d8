//! Bounds in time select events by when the store recorded them, beside every other bound.

use std::time::Duration;

use annals_core::{
    Clock, Cursor, Error, EventStoreExt, Expected, Page, PolicyAction, ReadRequest, RecordedEvent,
    Timestamp, Version,
};
use futures_util::StreamExt;

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{category, criteria, event, labels, stream, typed};
use crate::pages;

cases! {
    bounds_are_half_open needs [Clock];
    every_selection_keeps_to_its_times;
    backward_keeps_to_its_times needs [BackwardReads];
    pages_keep_to_their_times;
    times_hold_beside_other_bounds needs [Clock, TotalOrder];
    the_stores_time_counts needs [Clock];
    a_clock_that_goes_back_moves_no_bound needs [Clock];
    hidden_events_move_no_bound needs [Clock, StreamPolicies];
    the_cursor_stays_at_the_bound needs [Clock, TotalOrder];
    a_reader_goes_on_to_later_times needs [Clock];
    a_subscription_ends_at_its_time needs [Clock, TotalOrder];
}

const SECOND: Duration = Duration::from_secs(1);

/// Ten appends of one to three events over three streams, at six moments a second apart.
async fn fill(bench: &Bench) -> Verdict {
    for number in 0..10_usize {
        if number % 5 > 1 {
            bench.clock().advance(SECOND);
        }
        let name = ["a-1", "b-1", "a-2"].get(number * 2 % 3).unwrap_or(&"a-1");
        let of = if number % 2 == 0 { "hot" } else { "noted" };
        let events =
            (0..=number % 3).map(|event| typed(of, &["t:1"], &format!("{number}.{event}")));
        bench
            .append(bench.fresh().write(stream(name), Expected::Any, events))
            .await?;
    }
    Ok(())
}

fn requests() -> [ReadRequest; 6] {
    [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["hot"], &[])])),
        ReadRequest::matching(criteria(&[(&[], &["t:1"])])),
        ReadRequest::stream(stream("none-1")),
    ]
}

/// A bound below and one above, either of which may be none.
type Span = (Option<Timestamp>, Option<Timestamp>);

/// The moments at which events were appended, and none at all.
async fn moments(bench: &Bench) -> Result<Vec<Option<Timestamp>>, Failure> {
    let log = bench.read(ReadRequest::all()).await?;
    let times = log.iter().map(|event| Some(event.appended_at()));
    let mut moments: Vec<Option<Timestamp>> = times.chain([None]).collect();
    moments.sort_unstable();
    moments.dedup();
    Ok(moments)
}

/// All pairs of moments, and each alone, just before it and just after it too.
async fn spans(bench: &Bench) -> Result<Vec<Span>, Failure> {
    let mut spans = pairs(bench).await?;
    for moment in moments(bench).await?.into_iter().flatten() {
        for beside in [-1, 1] {
            let moment = Some(Timestamp::from_micros(moment.as_micros() + beside));
            spans.extend([(moment, None), (None, moment)]);
        }
    }
    Ok(spans)
}

async fn pairs(bench: &Bench) -> Result<Vec<Span>, Failure> {
    let moments = moments(bench).await?;
    let with = |from: &Option<Timestamp>| {
        let from = *from;
        moments.iter().map(move |before| (from, *before))
    };
    Ok(moments.iter().flat_map(with).collect())
}

fn bounded(
    request: &ReadRequest,
    from: Option<Timestamp>,
    before: Option<Timestamp>,
) -> ReadRequest {
    let mut request = request.clone();
    request.appended_from = from;
    request.appended_before = before;
    request
}

/// Holds the request, bounded by each of these spans, to what it shows without such bounds.
async fn keeps_to(bench: &Bench, request: &ReadRequest, spans: &[Span]) -> Verdict {
    let whole = bench.read(request.clone()).await?;
    for (from, before) in spans {
        let within = |event: &&RecordedEvent| {
            let time = event.appended_at();
            from.is_none_or(|from| from <= time) && before.is_none_or(|before| time < before)
        };
        let expected: Vec<RecordedEvent> = whole.iter().filter(within).cloned().collect();
        let request = bounded(request, *from, *before);
        let found = bench.read(request.clone()).await?;
        let what = format!("reading {}", pages::text_of(&request));
        check_eq(&what, labels(&found), labels(&expected))?;
        check_eq(&what, found, expected)?;
    }
    Ok(())
}

async fn bounds_are_half_open(bench: &Bench) -> Verdict {
    let first = bench.clock().advance(SECOND);
    bench.write("a-1", &["1", "2"]).await?;
    let second = bench.clock().advance(SECOND);
    bench.write("a-1", &["3"]).await?;
    let third = bench.clock().advance(SECOND);
    bench.write("a-1", &["4"]).await?;
    let of_a = || ReadRequest::stream(stream("a-1"));
    let end = Timestamp::from_micros(i64::MAX);
    let start = Timestamp::from_micros(i64::MIN);
    for (request, expected) in [
        (of_a().appended_from(first), &["1", "2", "3", "4"][..]),
        (of_a().appended_from(second), &["3", "4"]),
        (of_a().appended_from(third), &["4"]),
        (of_a().appended_from(end), &[]),
        (of_a().appended_from(start), &["1", "2", "3", "4"]),
        (of_a().appended_before(start), &[]),
        (of_a().appended_before(first), &[]),
        (of_a().appended_before(second), &["1", "2"]),
        (of_a().appended_before(third), &["1", "2", "3"]),
        (of_a().appended_before(end), &["1", "2", "3", "4"]),
        (of_a().appended_until(second), &["1", "2", "3"]),
        (of_a().appended_until(end), &["1", "2", "3", "4"]),
        (
            of_a().appended_from(first).appended_before(second),
            &["1", "2"],
        ),
        (of_a().appended_from(second).appended_before(third), &["3"]),
        (of_a().appended_from(second).appended_before(second), &[]),
        (of_a().appended_from(third).appended_before(first), &[]),
    ] {
        bench.shows(request, expected).await?;
    }
    Ok(())
}

async fn every_selection_keeps_to_its_times(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let spans = spans(bench).await?;
    for request in requests() {
        keeps_to(bench, &request, &spans).await?;
    }
    Ok(())
}

async fn backward_keeps_to_its_times(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let spans = spans(bench).await?;
    for request in requests() {
        keeps_to(bench, &request.backward(), &spans).await?;
    }
    Ok(())
}

async fn pages_keep_to_their_times(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let spans = pairs(bench).await?;
    for request in requests() {
        keeps_to(bench, &request.clone().events_max(1), &spans).await?;
        keeps_to(bench, &request.clone().events_max(3), &spans).await?;
        if bench.capabilities().backward_reads {
            keeps_to(bench, &request.backward().events_max(2), &spans).await?;
        }
    }
    Ok(())
}

async fn times_hold_beside_other_bounds(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let log = bench.read(ReadRequest::all()).await?;
    let (Some(fourth), Some(twelfth)) = (log.get(3), log.get(11)) else {
        return Err(Failure::new("more events were expected"));
    };
    let spans = spans(bench).await?;
    for request in requests() {
        let between = request.after(fourth.position()).until(twelfth.position());
        keeps_to(bench, &between, &spans).await?;
    }
    let of_versions = ReadRequest::stream(stream("a-1"))
        .after_version(Version::FIRST)
        .until_version(Version::new(4));
    keeps_to(bench, &of_versions, &spans).await
}

/// The application's own time says nothing about when the store recorded an event.
async fn the_stores_time_counts(bench: &Bench) -> Verdict {
    let now = bench.clock().advance(SECOND);
    let (earlier, later) = (Timestamp::EPOCH, now.after(SECOND * 1000));
    let events = [
        event("early").with_recorded_at(earlier),
        event("late").with_recorded_at(later),
    ];
    bench
        .append(bench.fresh().write(stream("a-1"), Expected::Any, events))
        .await?;
    let both = ["early", "late"];
    for request in [ReadRequest::all(), ReadRequest::stream(stream("a-1"))] {
        let asked = || request.clone();
        bench.shows(asked().appended_from(now), &both).await?;
        bench.shows(asked().appended_until(now), &both).await?;
        bench.shows(asked().appended_before(now), &[]).await?;
        bench.shows(asked().appended_from(later), &[]).await?;
    }
    Ok(())
}

async fn a_clock_that_goes_back_moves_no_bound(bench: &Bench) -> Verdict {
    let first = bench.clock().advance(SECOND);
    bench.write("a-1", &["1"]).await?;
    let second = bench.clock().advance(SECOND);
    bench.write("a-1", &["2"]).await?;
    bench.clock().set(Timestamp::EPOCH);
    bench.write("a-1", &["3"]).await?;
    let of_a = || ReadRequest::stream(stream("a-1"));
    bench
        .shows(of_a().appended_from(second), &["2", "3"])
        .await?;
    bench.shows(of_a().appended_before(second), &["1"]).await?;
    bench.shows(of_a().appended_before(first), &[]).await
}

async fn hidden_events_move_no_bound(bench: &Bench) -> Verdict {
    for name in ["a-1", "b-1"] {
        for label in ["1", "2", "3"] {
            bench.clock().advance(SECOND);
            bench.write(name, &[label]).await?;
        }
    }
    let from = bench.clock().advance(SECOND);
    bench.write("a-1", &["4"]).await?;
    bench.clock().advance(SECOND);
    bench.write("b-1", &["4"]).await?;
    let truncation = PolicyAction::TruncateBefore(Version::new(4));
    bench.change_policy("a-1", truncation).await?;
    bench.change_policy("b-1", PolicyAction::SoftDelete).await?;
    for request in [
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
    ] {
        bench
            .shows(request.clone().appended_before(from), &[])
            .await?;
        bench.shows(request.appended_from(from), &["4"]).await?;
    }
    keeps_to(bench, &ReadRequest::all(), &spans(bench).await?).await
}

async fn the_cursor_stays_at_the_bound(bench: &Bench) -> Verdict {
    let mut marks = vec![(bench.clock().now(), Cursor::START)];
    for labels in [&["1", "2"][..], &["3"], &["4", "5", "6"]] {
        let time = bench.clock().advance(SECOND);
        bench.write("a-1", labels).await?;
        marks.push((time, bench.mark().await?));
    }
    let read_to_end = async |request: ReadRequest| -> Result<Cursor, Failure> {
        let pages = pages::read_pages(&**bench.store(), request).await?;
        Ok(pages
            .last()
            .map(|page| page.cursor.clone())
            .unwrap_or_default())
    };
    for (time, mark) in &marks {
        for request in requests() {
            for size in [1, 2, 1000] {
                let request = request.clone().events_max(size);
                let upper = request.clone().appended_until(*time);
                let what = format!("the last cursor of {}", pages::text_of(&upper));
                check_eq(what, &read_to_end(upper.clone()).await?, mark)?;
                for (_, after) in &marks {
                    let asked = upper.clone().after(after.clone());
                    let expected = if after.covers(mark) { after } else { mark };
                    let what = format!("the last cursor of {}", pages::text_of(&asked));
                    check_eq(what, &read_to_end(asked).await?, expected)?;
                }
                let lower = request.appended_from(*time);
                let what = format!("the last cursor of {}", pages::text_of(&lower));
                let head = bench.mark().await?;
                check_eq(what, read_to_end(lower).await?, head)?;
            }
        }
    }
    Ok(())
}

/// A reader who was bounded in time misses nothing when it goes on from its cursor.
async fn a_reader_goes_on_to_later_times(bench: &Bench) -> Verdict {
    let mut bounds = Vec::new();
    for number in 0..4 {
        for name in ["a-1", "b-1"] {
            bench.write(name, &[&format!("{name}.{number}")]).await?;
            bench.clock().advance(SECOND);
        }
        bounds.push(bench.clock().now());
    }
    for request in requests() {
        let request = bench.ordered(request);
        let whole = bench.read(request.clone()).await?;
        let mut seen = Vec::new();
        let mut cursor = Cursor::START;
        for bound in &bounds {
            let asked = request
                .clone()
                .after(cursor.clone())
                .appended_before(*bound);
            let (events, reached) = pages::read_to_end(&**bench.store(), asked).await?;
            seen.extend(events);
            cursor = reached;
        }
        let by_place = |event: &RecordedEvent| (event.stream().clone(), event.version());
        let mut expected = whole;
        expected.sort_by_key(by_place);
        seen.sort_by_key(by_place);
        let what = format!(
            "{}, a span in time after the other",
            pages::text_of(&request)
        );
        check_eq(what, labels(&seen), labels(&expected))?;
    }
    Ok(())
}

async fn a_subscription_ends_at_its_time(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1"]).await?;
    bench.clock().advance(SECOND);
    let bound = bench.clock().now().after(SECOND);
    let shown = |found: Vec<Result<Page, Error>>| -> Result<Vec<String>, Failure> {
        let pages: Result<Vec<Page>, Error> = found.into_iter().collect();
        let events: Vec<RecordedEvent> = pages?.into_iter().flat_map(|page| page.events).collect();
        Ok(labels(&events))
    };
    bench.write("a-1", &["2"]).await?;
    let request = ReadRequest::stream(stream("a-1")).appended_before(bound);
    let mut to_come = bench.store().subscribe(request);
    for expected in ["1", "2"] {
        let event = to_come.next().await.transpose()?;
        let found: Vec<RecordedEvent> = event.into_iter().collect();
        check_eq("before the bound", labels(&found), [expected])?;
    }
    bench.clock().advance(SECOND);
    bench.write("b-1", &["3"]).await?;
    let rest = to_come.next().await.transpose()?;
    check_eq("at the bound", rest, None)?;
    for (request, expected) in [
        (ReadRequest::all(), &["1", "2"][..]),
        (ReadRequest::category(category("a")), &["1", "2"]),
        (ReadRequest::stream(stream("none-1")), &[]),
    ] {
        let past = request.appended_before(bound);
        let what = format!("{} in the past", pages::text_of(&past));
        let found = bench.store().subscribe_pages(past).collect().await;
        check_eq(what, shown(found)?, expected)?;
    }
    Ok(())
}
