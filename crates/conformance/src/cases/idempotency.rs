//! A retry with the same append id is recorded once and answered by the first receipt.

use annals_core::{
    Append, AppendBuilder, AppendId, AppendScope, ConsistencyLevel, ContentType, Cursor, ErrorKind,
    Expected, Metadata, NewEvent, PolicyAction, Receipt, SchemaVersion, Timestamp, Version,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{append_id, criteria, event, event_id, stream, typed};

cases! {
    a_retry_gets_the_first_receipt;
    a_retry_records_nothing;
    a_retry_is_answered_after_the_stream_moved_on;
    a_retry_is_answered_after_its_condition_broke needs [Conditions];
    a_retry_is_answered_after_a_delete needs [StreamPolicies];
    a_retry_may_expect_something_else;
    a_retry_may_have_other_ids_times_and_context;
    a_retry_with_its_own_event_ids_is_no_conflict needs [UniqueEventIds];
    a_retry_of_several_streams_gets_all_of_them needs [MultiStreamAppends];
    other_content_is_refused;
    other_streams_are_refused needs [MultiStreamAppends];
    a_rejected_append_leaves_its_id_free;
    ids_are_whole_texts;
    a_receipt_is_kept;
    a_rejected_append_has_no_receipt;
}

/// An append of two events to `a-1`.
fn first(id: AppendId) -> AppendBuilder {
    let events = [typed("made", &["t:1"], "x"), event("y")];
    Append::builder(id).write(stream("a-1"), Expected::Any, events)
}

async fn answers_as_duplicate(bench: &Bench, of: &Receipt, retry: AppendBuilder) -> Verdict {
    let before = bench.store().head(ConsistencyLevel::Strong).await?;
    let found = bench.append(retry).await?;
    check_eq("the receipt of a retry", found, of.as_duplicate())?;
    let after = bench.store().head(ConsistencyLevel::Strong).await?;
    check_eq("the head after a retry", after, before)
}

async fn a_retry_gets_the_first_receipt(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let receipt = bench.append(first(id)).await?;
    for _ in 0..3 {
        answers_as_duplicate(bench, &receipt, first(id)).await?;
    }
    Ok(())
}

async fn a_retry_records_nothing(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    bench.append(first(id)).await?;
    bench.append(first(id)).await?;
    bench.stream_shows("a-1", &["x", "y"]).await?;
    bench.is_at("a-1", 2).await?;
    bench.write("a-1", &["z"]).await?;
    bench.append(first(id)).await?;
    bench.stream_shows("a-1", &["x", "y", "z"]).await
}

async fn a_retry_is_answered_after_the_stream_moved_on(bench: &Bench) -> Verdict {
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::NoStream, [event("x")]);
    let receipt = bench.append(append.clone()).await?;
    bench.write_each("a-1", 3).await?;
    bench.write_each("b-1", 3).await?;
    answers_as_duplicate(bench, &receipt, append).await?;
    bench.is_at("a-1", 4).await
}

async fn a_retry_is_answered_after_its_condition_broke(bench: &Bench) -> Verdict {
    let unless = criteria(&[(&["noted"], &[])]);
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::Any, [event("x")])
        .unless(unless, Cursor::START);
    let receipt = bench.append(append.clone()).await?;
    bench.write("b-1", &["y"]).await?;
    answers_as_duplicate(bench, &receipt, append).await
}

async fn a_retry_is_answered_after_a_delete(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let receipt = bench.append(first(id)).await?;
    for action in [PolicyAction::SoftDelete, PolicyAction::Tombstone] {
        let head = bench.change_policy("a-1", action).await?;
        answers_as_duplicate(bench, &receipt, first(id)).await?;
        is_kept(bench, id, Some(&receipt)).await?;
        check_eq(
            "the stream after a retry",
            bench.head_of("a-1").await?,
            head,
        )?;
    }
    Ok(())
}

/// Expects the store to know this receipt of the append id.
async fn is_kept(bench: &Bench, id: AppendId, receipt: Option<&Receipt>) -> Verdict {
    let found = bench.store().receipt(&id).await?;
    let what = format!("the receipt of append {id}");
    check_eq(what, found, receipt.map(Receipt::as_duplicate))
}

async fn a_receipt_is_kept(bench: &Bench) -> Verdict {
    let (one, other) = (bench.fresh_id(), bench.fresh_id());
    is_kept(bench, one, None).await?;
    let receipt = bench.append(first(one)).await?;
    is_kept(bench, one, Some(&receipt)).await?;
    is_kept(bench, other, None).await?;
    let second = bench.append(first(other)).await?;
    bench.append(first(one)).await?;
    is_kept(bench, one, Some(&receipt)).await?;
    is_kept(bench, other, Some(&second)).await
}

async fn a_rejected_append_has_no_receipt(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let exists = Append::builder(id).write(stream("a-1"), Expected::StreamExists, [event("x")]);
    bench.conflict(exists.clone()).await?;
    is_kept(bench, id, None).await?;
    bench.write("a-1", &["first"]).await?;
    let receipt = bench.append(exists).await?;
    is_kept(bench, id, Some(&receipt)).await
}

async fn a_retry_may_expect_something_else(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let receipt = bench.append(first(id)).await?;
    let events = || [typed("made", &["t:1"], "x"), event("y")];
    for expected in [
        Expected::NoStream,
        Expected::Exactly(Version::new(9)),
        Expected::StreamExists,
    ] {
        let retry = Append::builder(id).write(stream("a-1"), expected, events());
        answers_as_duplicate(bench, &receipt, retry).await?;
    }
    let reaches_all = bench.capabilities().append_scope == AppendScope::Store;
    if reaches_all && bench.capabilities().stream_checks {
        let retry = first(id).check(stream("z-1"), Expected::StreamExists);
        answers_as_duplicate(bench, &receipt, retry).await?;
    }
    if reaches_all && bench.capabilities().conditions {
        let retry = first(id).unless(criteria(&[(&[], &[])]), Cursor::START);
        answers_as_duplicate(bench, &receipt, retry).await?;
    }
    Ok(())
}

async fn a_retry_may_have_other_ids_times_and_context(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let receipt = bench.append(first(id)).await?;
    let context = Metadata::EMPTY.with_header("attempt", "2")?;
    let events = [
        typed("made", &["t:1"], "x")
            .with_id(event_id(1))
            .with_metadata(context),
        event("y").with_recorded_at(Timestamp::from_seconds(1)),
    ];
    let retry = Append::builder(id).write(stream("a-1"), Expected::Any, events);
    answers_as_duplicate(bench, &receipt, retry).await?;
    let events = bench
        .read(annals_core::ReadRequest::stream(stream("a-1")))
        .await?;
    let changed = events.iter().any(|event| {
        event.id() == event_id(1)
            || !event.metadata().is_empty()
            || event.recorded_at() == Timestamp::from_seconds(1)
    });
    check_eq("whether the retry changed an event", changed, false)
}

async fn a_retry_with_its_own_event_ids_is_no_conflict(bench: &Bench) -> Verdict {
    let events = [
        event("x").with_id(event_id(1)),
        event("y").with_id(event_id(2)),
    ];
    let append = bench.fresh().write(stream("a-1"), Expected::Any, events);
    let receipt = bench.append(append.clone()).await?;
    answers_as_duplicate(bench, &receipt, append).await
}

async fn a_retry_of_several_streams_gets_all_of_them(bench: &Bench) -> Verdict {
    bench.write("b-1", &["before"]).await?;
    let append = bench
        .fresh()
        .write(stream("b-1"), Expected::Any, ["x", "y"].map(event))
        .write(stream("a-1"), Expected::Any, ["z"].map(event));
    let receipt = bench.append(append.clone()).await?;
    bench.write("a-1", &["after"]).await?;
    answers_as_duplicate(bench, &receipt, append).await
}

async fn is_reused(bench: &Bench, id: AppendId, events: Vec<NewEvent>) -> Verdict {
    let what = format!("another append with the same id, of {events:?}");
    let append = Append::builder(id).write(stream("a-1"), Expected::Any, events);
    let refused = bench.refused(append, ErrorKind::AppendIdReused).await;
    refused
        .map(drop)
        .map_err(|failure: Failure| failure.during(what))
}

async fn other_content_is_refused(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let x = || typed("made", &["t:1"], "x");
    bench.append(first(id)).await?;
    let others = [
        vec![x()],
        vec![x(), event("y"), event("z")],
        vec![event("y"), x()],
        vec![typed("made", &["t:1"], "other"), event("y")],
        vec![typed("made", &["t:1"], ""), event("y")],
        vec![typed("other", &["t:1"], "x"), event("y")],
        vec![typed("made", &["t:2"], "x"), event("y")],
        vec![typed("made", &["t:1", "t:2"], "x"), event("y")],
        vec![typed("made", &[], "x"), event("y")],
        vec![
            x().with_schema_version(SchemaVersion::from_static(2)),
            event("y"),
        ],
        vec![
            NewEvent::new(x().event_type().clone(), ContentType::OCTETS, "x")?
                .with_tags(x().tags().clone()),
            event("y"),
        ],
    ];
    for other in others {
        is_reused(bench, id, other).await?;
    }
    if bench.capabilities().append_scope == AppendScope::Store {
        let elsewhere = Append::builder(id).write(stream("b-1"), Expected::Any, [x(), event("y")]);
        bench.refused(elsewhere, ErrorKind::AppendIdReused).await?;
    }
    bench.stream_shows("a-1", &["x", "y"]).await?;
    bench.is_at("b-1", 0).await
}

async fn other_streams_are_refused(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let of = |names: &[&str]| {
        names.iter().fold(Append::builder(id), |append, name| {
            append.write(stream(name), Expected::Any, [event("x")])
        })
    };
    bench.append(of(&["a-1", "b-1"])).await?;
    for other in [
        &["b-1", "a-1"][..],
        &["a-1"],
        &["a-1", "b-1", "c-1"],
        &["a-1", "c-1"],
    ] {
        bench.refused(of(other), ErrorKind::AppendIdReused).await?;
    }
    let all_in_one = Append::builder(id).write(stream("a-1"), Expected::Any, ["x", "x"].map(event));
    bench.refused(all_in_one, ErrorKind::AppendIdReused).await?;
    bench.is_at("a-1", 1).await?;
    bench.is_at("c-1", 0).await
}

async fn a_rejected_append_leaves_its_id_free(bench: &Bench) -> Verdict {
    let id = bench.fresh_id();
    let exists =
        |label| Append::builder(id).write(stream("a-1"), Expected::StreamExists, [event(label)]);
    bench.conflict(exists("x")).await?;
    bench.conflict(exists("y")).await?;
    bench.write("a-1", &["first"]).await?;
    let receipt = bench.append(exists("z")).await?;
    check_eq("whether it is a duplicate", receipt.is_duplicate(), false)?;
    bench.stream_shows("a-1", &["first", "z"]).await
}

async fn ids_are_whole_texts(bench: &Bench) -> Verdict {
    let long = "x".repeat(64);
    let almost = format!("{}y", "x".repeat(63));
    let texts = [
        "a", "A", "a ", " a", "ab", "\u{e9}", "e\u{301}", "%", "a/b-1", &long, &almost,
    ];
    for text in texts {
        let append =
            Append::builder(append_id(text)).write(stream("a-1"), Expected::Any, [event(text)]);
        let receipt = bench.append(append).await?;
        check_eq(
            format!("whether {text:?} was seen before"),
            receipt.is_duplicate(),
            false,
        )?;
    }
    for text in texts {
        let append =
            Append::builder(append_id(text)).write(stream("a-1"), Expected::Any, [event(text)]);
        let receipt = bench.append(append).await?;
        check_eq(
            format!("whether {text:?} was seen before"),
            receipt.is_duplicate(),
            true,
        )?;
        check_eq("the id of the receipt", receipt.append_id, append_id(text))?;
    }
    Ok(())
}
