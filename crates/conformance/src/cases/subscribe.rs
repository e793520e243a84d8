//! A subscription shows what was recorded, then what is recorded from then on: each event once.

use std::pin::pin;

use annals_core::{
    Cursor, Error, EventStoreExt, Expected, PolicyAction, ReadRequest, RecordedEvent, Version,
};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{category, criteria, labels, stream, typed};
use crate::pages::place_of;

cases! {
    catches_up_then_goes_on;
    starts_after_its_cursor;
    shows_its_selection_only;
    follows_a_stream_from_a_version;
    ends_where_it_is_bounded;
    wakes_for_every_append;
    goes_on_from_a_checkpoint;
    follows_a_stream_that_is_reopened needs [StreamPolicies];
    many_subscribers_see_all;
    the_hand_over_loses_nothing;
    the_hand_over_of_a_stream_loses_nothing;
    the_hand_over_of_criteria_loses_nothing;
    a_change_in_the_past_is_told_at_once;
    a_change_to_come_is_waited_for;
    a_waiter_may_leave;
}

/// The next `count` events of a subscription.
async fn take(
    subscription: &mut BoxStream<'_, Result<RecordedEvent, Error>>,
    count: usize,
) -> Result<Vec<RecordedEvent>, Failure> {
    let mut events = Vec::new();
    while events.len() < count {
        match subscription.next().await {
            Some(event) => events.push(event?),
            None => {
                return Err(Failure::new(format!(
                    "the subscription ended after {:?}; {count} events were expected",
                    labels(&events)
                )));
            }
        }
    }
    Ok(events)
}

/// Expects the next events to have these labels.
async fn goes_on(
    subscription: &mut BoxStream<'_, Result<RecordedEvent, Error>>,
    what: &str,
    expected: &[&str],
) -> Verdict {
    let events = take(subscription, expected.len()).await?;
    check_eq(what, labels(&events), expected)
}

/// Expects nothing to be there yet. Having looked, the subscription waits for what is to come.
fn is_quiet(subscription: &mut BoxStream<'_, Result<RecordedEvent, Error>>) -> Verdict {
    match subscription.next().now_or_never() {
        None => Ok(()),
        Some(None) => Err(Failure::new("the subscription ended")),
        Some(Some(event)) => {
            let event = event?;
            let place = place_of(&event);
            Err(Failure::new(format!(
                "the subscription shows {place}, which it must not"
            )))
        }
    }
}

async fn catches_up_then_goes_on(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    let request = bench.ordered(ReadRequest::all());
    let mut subscription = bench.store().subscribe(request);
    goes_on(&mut subscription, "the past", &["1", "2"]).await?;
    is_quiet(&mut subscription)?;
    bench.write("a-1", &["3"]).await?;
    goes_on(&mut subscription, "the present", &["3"]).await?;
    is_quiet(&mut subscription)?;
    bench.write("a-1", &["4", "5"]).await?;
    bench.write("a-1", &["6"]).await?;
    goes_on(&mut subscription, "what follows", &["4", "5", "6"]).await
}

async fn starts_after_its_cursor(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1"]).await?;
    bench.write("a-1", &["2"]).await?;
    let second = bench.mark().await?;
    bench.write("a-1", &["3"]).await?;
    let request = bench.ordered(ReadRequest::all()).after(second);
    let mut subscription = bench.store().subscribe(request);
    goes_on(&mut subscription, "after the second", &["3"]).await?;
    let head = bench.mark().await?;
    let request = bench.ordered(ReadRequest::all()).after(head);
    let mut at_the_head = bench.store().subscribe(request);
    is_quiet(&mut at_the_head)?;
    is_quiet(&mut subscription)?;
    bench.write("a-1", &["4"]).await?;
    goes_on(&mut at_the_head, "after the head", &["4"]).await?;
    goes_on(&mut subscription, "after the second", &["4"]).await
}

async fn shows_its_selection_only(bench: &Bench) -> Verdict {
    for (request, expected) in [
        (ReadRequest::stream(stream("a-1")), ["1", "5", "1", "5"]),
        (ReadRequest::category(category("b")), ["2", "3", "2", "3"]),
        (
            ReadRequest::matching(criteria(&[(&["hot"], &["t:1"])])),
            ["2", "5", "2", "5"],
        ),
    ] {
        let head = bench.mark().await?;
        let request = bench.ordered(request).after(head).events_max(1);
        let what = crate::pages::text_of(&request);
        let mut subscription = bench.store().subscribe(request);
        for half in expected.chunks(2) {
            is_quiet(&mut subscription)?;
            for (to, of, tagged, label) in [
                ("a-1", "cold", &[][..], "1"),
                ("b-1", "hot", &["t:1"], "2"),
                ("b-2", "hot", &["t:2"], "3"),
                ("ab-1", "cold", &["t:1"], "4"),
                ("a-1", "hot", &["t:0", "t:1"], "5"),
            ] {
                let event = typed(of, tagged, label);
                bench
                    .append(bench.fresh().write(stream(to), Expected::Any, [event]))
                    .await?;
            }
            let events = take(&mut subscription, half.len()).await?;
            let mut shown = labels(&events);
            if !bench.capabilities().total_order {
                // Those of several streams come in any order.
                shown.sort_unstable();
            }
            check_eq(&what, shown, half)?;
        }
    }
    Ok(())
}

async fn follows_a_stream_from_a_version(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    let after = |version| ReadRequest::stream(stream("a-1")).after_version(Version::new(version));
    let mut behind = bench.store().subscribe(after(1));
    let mut ahead = bench.store().subscribe(after(5));
    goes_on(&mut behind, "after version 1", &["2", "3"]).await?;
    is_quiet(&mut ahead)?;
    is_quiet(&mut behind)?;
    bench.write("b-1", &["other"]).await?;
    bench.write("a-1", &["4", "5", "6"]).await?;
    goes_on(&mut behind, "after version 1", &["4", "5", "6"]).await?;
    goes_on(&mut ahead, "after version 5", &["6"]).await
}

async fn ends_where_it_is_bounded(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1"]).await?;
    bench.write("a-1", &["2"]).await?;
    let until = bench.mark().await?;
    bench.write("a-1", &["3"]).await?;
    let past = bench.ordered(ReadRequest::all()).until(until);
    let found: Vec<_> = bench.store().subscribe(past).collect().await;
    let found: Result<Vec<RecordedEvent>, Error> = found.into_iter().collect();
    check_eq("a bound in the past", labels(&found?), ["1", "2"])?;

    let to_come = ReadRequest::stream(stream("a-1")).until_version(Version::new(5));
    let mut subscription = bench.store().subscribe(to_come);
    goes_on(&mut subscription, "before the bound", &["1", "2", "3"]).await?;
    bench.write("a-1", &["4"]).await?;
    goes_on(&mut subscription, "before the bound", &["4"]).await?;
    bench.write("a-1", &["5", "6"]).await?;
    goes_on(&mut subscription, "at the bound", &["5"]).await?;
    ensure!(
        subscription.next().await.is_none(),
        "the subscription goes on past version 5"
    );
    Ok(())
}

/// Two clients take turns, each woken by the other's append alone.
async fn wakes_for_every_append(bench: &Bench) -> Verdict {
    let clients = bench.race(2, |client, bench| async move {
        let (own, other) = if client == 0 {
            ("x-0", "x-1")
        } else {
            ("x-1", "x-0")
        };
        let mut subscription = bench.store().subscribe(ReadRequest::stream(stream(other)));
        for number in 0..100_u32 {
            let label = number.to_string();
            if client == 0 {
                bench.write(own, &[&label]).await?;
            }
            goes_on(&mut subscription, "the event", &[label.as_str()]).await?;
            if client == 1 {
                bench.write(own, &[&label]).await?;
            }
        }
        Ok(())
    });
    clients.await.map(drop)
}

/// A reader that keeps the cursor of each page as its checkpoint may stop and go on at any page.
async fn goes_on_from_a_checkpoint(bench: &Bench) -> Verdict {
    bench.write_each("a-1", 5).await?;
    let mut seen: Vec<RecordedEvent> = Vec::new();
    let mut checkpoint = Cursor::START;
    for round in 0..5 {
        let request = bench
            .ordered(ReadRequest::category(category("a")))
            .after(checkpoint.clone());
        let mut pages = bench.store().subscribe_pages(request.events_max(2));
        let Some(page) = pages.next().await.transpose()? else {
            return Err(Failure::new("the subscription ended"));
        };
        checkpoint = page.cursor;
        seen.extend(page.events);
        bench.write("b-1", &["other"]).await?;
        if round == 2 {
            bench.write("a-1", &["6"]).await?;
        }
    }
    check_eq(
        "all that was seen",
        labels(&seen),
        ["1", "2", "3", "4", "5", "6"],
    )
}

async fn follows_a_stream_that_is_reopened(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    let mut subscription = bench.store().subscribe(ReadRequest::stream(stream("a-1")));
    goes_on(&mut subscription, "before the delete", &["1", "2"]).await?;
    bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    bench.write("a-1", &["3"]).await?;
    goes_on(&mut subscription, "after the delete", &["3"]).await
}

const WRITERS: usize = 4;
const EVENTS_OF_EACH: usize = 60;

/// Subscribers and writers start together; each subscriber must see all events, each stream in order.
async fn hand_over(bench: &Bench, subscribers: usize, request: ReadRequest) -> Verdict {
    bench.write("w-0", &["0", "1", "2"]).await?;
    let total = WRITERS * EVENTS_OF_EACH + 3;
    let of_one_stream = matches!(request.selection, annals_core::Selection::Stream(_));
    let request = bench.ordered(request);
    let clients = bench.race(WRITERS + subscribers, |number, bench| {
        let request = request.clone().events_max(1 + number);
        async move {
            if number < WRITERS {
                let to = if of_one_stream { 0 } else { number };
                for label in 0..EVENTS_OF_EACH {
                    bench
                        .write(&format!("w-{to}"), &[&label.to_string()])
                        .await?;
                }
                return Ok(Vec::new());
            }
            let mut subscription = bench.store().subscribe(request);
            take(&mut subscription, total).await
        }
    });
    let seen = clients.await?;
    let whole = bench.read(request).await?;
    check_eq("how many events there are", whole.len(), total)?;
    for events in seen.into_iter().skip(WRITERS) {
        let mut places: Vec<String> = events.iter().map(place_of).collect();
        let mut expected: Vec<String> = whole.iter().map(place_of).collect();
        if !bench.capabilities().total_order {
            places.sort_unstable();
            expected.sort_unstable();
        }
        let difference = places
            .iter()
            .zip(&expected)
            .position(|(found, expected)| found != expected);
        if let Some(index) = difference {
            let around =
                |all: &[String]| all.iter().skip(index).take(3).cloned().collect::<Vec<_>>();
            check_eq(
                format!("the subscription from event {} on", index + 1),
                around(&places),
                around(&expected),
            )?;
        }
    }
    Ok(())
}

async fn many_subscribers_see_all(bench: &Bench) -> Verdict {
    hand_over(bench, 16, ReadRequest::all()).await
}

async fn the_hand_over_loses_nothing(bench: &Bench) -> Verdict {
    hand_over(bench, 2, ReadRequest::category(category("w"))).await
}

async fn the_hand_over_of_a_stream_loses_nothing(bench: &Bench) -> Verdict {
    hand_over(bench, 2, ReadRequest::stream(stream("w-0"))).await
}

async fn the_hand_over_of_criteria_loses_nothing(bench: &Bench) -> Verdict {
    hand_over(
        bench,
        2,
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
    )
    .await
}

async fn a_change_in_the_past_is_told_at_once(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1"]).await?;
    let first = bench.mark().await?;
    bench.write("a-1", &["2"]).await?;
    for seen in [Cursor::START, first] {
        let head = bench.store().changed_since(&seen).await?;
        ensure!(
            head.covers(&seen) && head != seen,
            "the head {head} is not past {seen}"
        );
    }
    Ok(())
}

async fn a_change_to_come_is_waited_for(bench: &Bench) -> Verdict {
    for label in ["1", "2", "3"] {
        let head = bench.mark().await?;
        let mut change = pin!(bench.store().changed_since(&head));
        ensure!(
            change.as_mut().now_or_never().is_none(),
            "a change since the head {head} is told before it happened"
        );
        let receipt = bench.write("a-1", &[label]).await?;
        let after = change.await?;
        ensure!(
            after.covers(&receipt.cursor),
            "woken with head {after}, which lacks the append with cursor {}",
            receipt.cursor
        );
    }
    Ok(())
}

async fn a_waiter_may_leave(bench: &Bench) -> Verdict {
    let head = bench.mark().await?;
    for _ in 0..10 {
        let waiter = bench.store().changed_since(&head);
        ensure!(
            waiter.now_or_never().is_none(),
            "a change is told before it happened"
        );
    }
    let staying = bench.race(1, |_, bench| {
        let head = head.clone();
        async move { Ok(bench.store().changed_since(&head).await?) }
    });
    let writing = bench.write("a-1", &["1"]);
    let (woken, receipt) = futures_util::future::join(staying, writing).await;
    let (woken, receipt) = (woken?, receipt?);
    ensure!(
        woken.iter().all(|head| head.covers(&receipt.cursor)),
        "the waiter that stayed was woken with {woken:?}"
    );
    Ok(())
}
