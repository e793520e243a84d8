//! Where a reader stands: the cursors that a store gives, and those that it takes.

use annals_core::{ConsistencyLevel, Cursor, Error, ErrorKind, Expected, Position, ReadRequest};

use super::read::fill;
use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{category, criteria, event, labels, stream};
use crate::pages;

cases! {
    the_last_cursor_is_the_head;
    a_bounded_read_ends_at_its_bound;
    a_session_sees_its_own_receipts;
    an_eventual_read_shows_only_what_is_recorded;
    a_read_ahead_of_the_store_is_refused;
    a_condition_ahead_of_the_store_is_refused needs [Conditions];
    a_wait_ahead_of_the_store_is_refused;
    a_cursor_of_another_kind_of_store_is_refused needs [TotalOrder];
}

async fn the_last_cursor_is_the_head(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let head = bench.mark().await?;
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::stream(stream("none-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["never"], &[])])),
    ] {
        for size in [1, 2, 1000] {
            let request = bench.ordered(request.clone()).events_max(size);
            let (_, cursor) = pages::read_to_end(&**bench.store(), request.clone()).await?;
            let what = format!("{}: the last cursor", pages::text_of(&request));
            check_eq(what, &cursor, &head)?;
        }
    }
    Ok(())
}

/// A subscription that is bounded ends when its cursor covers the bound.
async fn a_bounded_read_ends_at_its_bound(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let until = bench.mark().await?;
    bench.write("b-1", &["y"]).await?;
    bench.write("a-1", &["z"]).await?;
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("b")),
        ReadRequest::matching(criteria(&[(&["never"], &[])])),
    ] {
        let request = bench.ordered(request).until(until.clone());
        let (_, cursor) = pages::read_to_end(&**bench.store(), request.clone()).await?;
        let what = pages::text_of(&request);
        ensure!(
            cursor.covers(&until),
            "{what}: the last cursor {cursor} is before the bound"
        );
    }
    Ok(())
}

async fn a_session_sees_its_own_receipts(bench: &Bench) -> Verdict {
    let mut expected = Vec::new();
    for label in ["1", "2", "3"] {
        let receipt = bench.write("a-1", &[label]).await?;
        expected.push(label);
        let session = ConsistencyLevel::Session(receipt.cursor.clone());
        let request = ReadRequest::stream(stream("a-1")).consistency(session.clone());
        bench.shows(request, &expected).await?;
        let head = bench.store().head(session).await?;
        ensure!(
            head.covers(&receipt.cursor),
            "the session's head {head} lacks its own receipt"
        );
    }
    Ok(())
}

async fn an_eventual_read_shows_only_what_is_recorded(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let request = ReadRequest::stream(stream("a-1")).consistency(ConsistencyLevel::Eventual);
    let found = labels(&bench.read(request).await?);
    let all = ["a1.1", "a1.2", "a1.3"];
    ensure!(
        all.iter().take(found.len()).eq(found.iter()) && found.len() <= all.len(),
        "an eventual read of a-1 shows {found:?}, which is no beginning of {all:?}"
    );
    let head = bench.store().head(ConsistencyLevel::Eventual).await?;
    let strong = bench.store().head(ConsistencyLevel::Strong).await?;
    ensure!(
        strong.covers(&head),
        "the eventual head {head} is past the head {strong}"
    );
    Ok(())
}

/// A cursor that no reader of the store can have yet: that of another store, which holds more.
async fn ahead(bench: &Bench) -> Result<Cursor, Failure> {
    let head = bench.mark().await?;
    let further = |position: &Position| position.forward(1);
    let positions: Vec<Position> = head.positions().iter().map(further).collect();
    Ok(Cursor::partitioned(positions))
}

/// Expects the error of a cursor that is ahead of the store.
fn is_ahead<T>(what: &str, outcome: Result<T, Error>) -> Verdict {
    let kind = outcome.err().map(|error| error.kind());
    check_eq(
        format!("{what}: the kind of error"),
        kind,
        Some(ErrorKind::CursorAhead),
    )
}

async fn a_read_ahead_of_the_store_is_refused(bench: &Bench) -> Verdict {
    let empty = bench.ordered(ReadRequest::all()).after(ahead(bench).await?);
    is_ahead("reading an empty store", bench.store().read(empty).await)?;
    fill(bench).await?;
    let ahead = ahead(bench).await?;
    let session = ConsistencyLevel::Session(ahead.clone());
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
    ] {
        let request = bench.ordered(request);
        let after = request.clone().after(ahead.clone());
        is_ahead(&pages::text_of(&after), bench.store().read(after).await)?;
        let session = request.consistency(session.clone());
        is_ahead(&pages::text_of(&session), bench.store().read(session).await)?;
    }
    is_ahead("the head of a session", bench.store().head(session).await)?;
    let until = bench.read(ReadRequest::all().until(ahead)).await?;
    check_eq(
        "how many events a bound ahead of the store shows",
        until.len(),
        8,
    )
}

async fn a_condition_ahead_of_the_store_is_refused(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::Any, [event("lost")])
        .unless(criteria(&[(&["never"], &[])]), ahead(bench).await?);
    bench.refused(append, ErrorKind::CursorAhead).await?;
    bench.is_at("a-1", 1).await
}

async fn a_wait_ahead_of_the_store_is_refused(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let ahead = ahead(bench).await?;
    is_ahead("waiting", bench.store().changed_since(&ahead).await)
}

/// Expects a cursor of a partitioned store to be refused, as such or as one that is ahead.
fn is_foreign<T>(what: &str, outcome: Result<T, Error>) -> Verdict {
    let kind = outcome.err().map(|error| error.kind());
    ensure!(
        matches!(kind, Some(ErrorKind::Invalid | ErrorKind::CursorAhead)),
        "{what} with a cursor of a partitioned store ends with {kind:?}"
    );
    Ok(())
}

async fn a_cursor_of_another_kind_of_store_is_refused(bench: &Bench) -> Verdict {
    fill(bench).await?;
    let foreign = Cursor::partitioned([Position::new(1), Position::new(2)]);
    let store = bench.store();
    for request in [
        ReadRequest::all().after(foreign.clone()),
        ReadRequest::all().until(foreign.clone()),
        ReadRequest::stream(stream("a-1")).after(foreign.clone()),
        ReadRequest::all().consistency(ConsistencyLevel::Session(foreign.clone())),
    ] {
        is_foreign(&pages::text_of(&request), store.read(request).await)?;
    }
    is_foreign("waiting", store.changed_since(&foreign).await)?;
    if bench.capabilities().conditions {
        let append = bench
            .fresh()
            .write(stream("c-1"), Expected::Any, [event("lost")])
            .unless(criteria(&[(&["never"], &[])]), foreign);
        is_foreign("appending", store.append(append.build()?).await)?;
        bench.is_at("c-1", 0).await?;
    }
    Ok(())
}
