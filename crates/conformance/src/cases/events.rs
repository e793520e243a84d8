//! An event comes back as it was appended, with an identity and times that can be relied on.

use std::collections::BTreeSet;
use std::time::Duration;

use annals_core::{
    CausationId, Clock, ContentType, CorrelationId, Expected, FailedCheck, Metadata, NewEvent,
    PolicyAction, ReadRequest, RecordedEvent, SchemaVersion, StreamId, Timestamp,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{event, event_id, event_type, stream, tags, typed};

cases! {
    payloads_come_back;
    names_come_back;
    metadata_comes_back;
    schema_versions_come_back;
    every_read_shows_the_same_event;
    a_given_id_is_kept;
    an_id_is_made_where_none_is_given;
    an_id_that_is_held_is_refused needs [UniqueEventIds];
    an_id_of_a_hidden_event_is_held needs [UniqueEventIds, StreamPolicies];
    an_id_of_a_rejected_append_is_free needs [UniqueEventIds];
    a_given_time_is_kept;
    a_time_that_is_not_given_is_the_stores;
    the_stores_time_is_its_clocks needs [Clock];
    the_stores_time_never_goes_back needs [Clock];
    an_appends_events_have_one_time;
}

const ODD_TEXTS: [&str; 9] = [
    " ",
    "a b",
    "'; drop table events; --",
    "%_\\\"`{}[]",
    "\u{e9} and e\u{301}",
    "\u{1f980}\u{200d}\u{1f468}",
    "\u{feff}mark",
    "\u{202e}right to left",
    "\u{10ffff}\u{e000}",
];

async fn append_one(bench: &Bench, event: NewEvent) -> Result<RecordedEvent, Failure> {
    let receipt = bench
        .append(bench.fresh().write(stream("a-1"), Expected::Any, [event]))
        .await?;
    let version = receipt.version_of(&stream("a-1")).unwrap_or_default();
    let request = ReadRequest::stream(stream("a-1")).after_version(version.previous());
    let mut found = bench.read(request).await?;
    match (found.pop(), found.is_empty()) {
        (Some(event), true) => Ok(event),
        _ => Err(Failure::new(format!(
            "version {version} can't be read by itself"
        ))),
    }
}

/// Appends the event, and expects it back; a difference in what a retry may change counts too.
async fn comes_back(bench: &Bench, event: NewEvent) -> Verdict {
    let found = append_one(bench, event.clone()).await?;
    let content = found.content();
    check_eq("the type", content.event_type, event.event_type())?;
    check_eq(
        "the schema version",
        content.schema_version,
        event.schema_version(),
    )?;
    check_eq(
        "the content type",
        content.content_type,
        event.content_type(),
    )?;
    ensure!(
        content.payload == event.payload(),
        "a payload of {} bytes came back as {} other ones",
        event.payload().len(),
        content.payload.len()
    );
    check_eq("the tags", content.tags, event.tags())?;
    check_eq("the metadata", found.metadata(), event.metadata().view())
}

async fn payloads_come_back(bench: &Bench) -> Verdict {
    let every_byte: Vec<u8> = (0..=255).collect();
    let payloads = [
        Vec::new(),
        vec![0],
        vec![0xff; 3],
        every_byte,
        b"\r\n\0\x1a".to_vec(),
        vec![7; 100_000],
    ];
    let texts = ODD_TEXTS.iter().map(|text| text.as_bytes().to_vec());
    for payload in payloads.into_iter().chain(texts) {
        let event = NewEvent::new(event_type("made"), ContentType::OCTETS, payload)?;
        comes_back(bench, event).await?;
    }
    Ok(())
}

async fn names_come_back(bench: &Bench) -> Verdict {
    for text in ODD_TEXTS {
        let event = NewEvent::new(event_type(text), ContentType::parse(text)?, "x")?;
        comes_back(
            bench,
            event.with_tags(tags(&[text, "plain", "key:value:more"])),
        )
        .await?;
        let of = StreamId::parse(&format!("odd-{text}"))?;
        bench
            .append(
                bench
                    .fresh()
                    .write(of.clone(), Expected::NoStream, [typed("made", &[], text)]),
            )
            .await?;
        bench.shows(ReadRequest::stream(of), &[text]).await?;
    }
    Ok(())
}

async fn metadata_comes_back(bench: &Bench) -> Verdict {
    let mut all = Metadata::EMPTY;
    for text in ODD_TEXTS {
        all = all.with_header(text, text)?;
    }
    let all = all
        .with_header("empty", "")?
        .with_header("control", "a\tb\r\nc")?
        .with_correlation_id(CorrelationId::parse("request \u{1f980}")?)?
        .with_causation_id(CausationId::from(event_id(7)))?;
    for metadata in [
        Metadata::EMPTY,
        Metadata::EMPTY.with_correlation_id(CorrelationId::parse("c")?)?,
        Metadata::EMPTY.with_causation_id(CausationId::parse("c")?)?,
        Metadata::EMPTY.with_header("correlation_id", "a header, not the id")?,
        all,
    ] {
        comes_back(bench, event("x").with_metadata(metadata)).await?;
    }
    Ok(())
}

async fn schema_versions_come_back(bench: &Bench) -> Verdict {
    for number in [1, 2, 255, 65_536, u32::MAX] {
        comes_back(
            bench,
            event("x").with_schema_version(SchemaVersion::new(number)?),
        )
        .await?;
    }
    Ok(())
}

async fn every_read_shows_the_same_event(bench: &Bench) -> Verdict {
    let event = typed("made", &["t:1"], "x")
        .with_metadata(Metadata::EMPTY.with_header("h", "v")?)
        .with_recorded_at(Timestamp::from_micros(1));
    let first = append_one(bench, event).await?;
    for request in [
        ReadRequest::all(),
        ReadRequest::stream(stream("a-1")),
        ReadRequest::category(crate::names::category("a")),
        ReadRequest::matching(crate::names::criteria(&[(&["made"], &["t:1"])])),
    ] {
        let found = bench.read(request.clone()).await?;
        check_eq(
            crate::pages::text_of(&request),
            found.as_slice(),
            std::slice::from_ref(&first),
        )?;
    }
    Ok(())
}

async fn a_given_id_is_kept(bench: &Bench) -> Verdict {
    for number in [1, 2, u64::MAX] {
        let id = event_id(number);
        let found = append_one(bench, event("x").with_id(id)).await?;
        check_eq("the id of the event", found.id(), id)?;
    }
    Ok(())
}

async fn an_id_is_made_where_none_is_given(bench: &Bench) -> Verdict {
    let labels: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    bench.write("a-1", &labels).await?;
    bench.write_each("a-1", 50).await?;
    let events = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    let ids: BTreeSet<_> = events.iter().map(RecordedEvent::id).collect();
    check_eq("how many different ids there are", ids.len(), 250)?;
    let again = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    check_eq("whether the ids stay", again == events, true)
}

async fn an_id_that_is_held_is_refused(bench: &Bench) -> Verdict {
    let held = append_one(bench, event("x").with_id(event_id(1))).await?;
    for (to, label) in [("a-1", "x"), ("b-1", "other")] {
        let new = [event("lost"), event(label).with_id(event_id(1))];
        let failures = bench
            .conflict(bench.fresh().write(stream(to), Expected::Any, new))
            .await?;
        let expected = FailedCheck::EventId {
            id: event_id(1),
            position: held.position(),
        };
        check_eq("the failing checks", failures, [expected])?;
    }
    let made = append_one(bench, event("y")).await?;
    let new = [event("lost").with_id(made.id())];
    let failures = bench
        .conflict(bench.fresh().write(stream("b-1"), Expected::Any, new))
        .await?;
    let expected = FailedCheck::EventId {
        id: made.id(),
        position: made.position(),
    };
    check_eq(
        "the failing checks for an id that the store made",
        failures,
        [expected],
    )?;
    bench.is_at("b-1", 0).await?;
    bench.is_at("a-1", 2).await
}

async fn an_id_of_a_hidden_event_is_held(bench: &Bench) -> Verdict {
    let held = append_one(bench, event("x").with_id(event_id(1))).await?;
    for action in [PolicyAction::SoftDelete, PolicyAction::Tombstone] {
        bench.change_policy("a-1", action).await?;
        let new = [event("lost").with_id(event_id(1))];
        let append = bench.fresh().write(stream("b-1"), Expected::Any, new);
        let expected = FailedCheck::EventId {
            id: event_id(1),
            position: held.position(),
        };
        check_eq(
            "the failing checks",
            bench.conflict(append).await?,
            [expected],
        )?;
    }
    Ok(())
}

async fn an_id_of_a_rejected_append_is_free(bench: &Bench) -> Verdict {
    let new = || [event("x").with_id(event_id(1))];
    let rejected = bench
        .fresh()
        .write(stream("a-1"), Expected::StreamExists, new());
    bench.conflict(rejected).await?;
    bench
        .append(
            bench
                .fresh()
                .write(stream("a-1"), Expected::NoStream, new()),
        )
        .await?;
    bench.stream_shows("a-1", &["x"]).await
}

async fn a_given_time_is_kept(bench: &Bench) -> Verdict {
    for micros in [0, 1, -1, 1_700_000_000_123_456, -62_000_000_000_000_000] {
        let time = Timestamp::from_micros(micros);
        let found = append_one(bench, event("x").with_recorded_at(time)).await?;
        check_eq("when it happened", found.recorded_at(), time)?;
    }
    Ok(())
}

async fn a_time_that_is_not_given_is_the_stores(bench: &Bench) -> Verdict {
    for _ in 0..3 {
        let found = append_one(bench, event("x")).await?;
        check_eq("when it happened", found.recorded_at(), found.appended_at())?;
    }
    Ok(())
}

async fn the_stores_time_is_its_clocks(bench: &Bench) -> Verdict {
    for _ in 0..3 {
        bench.clock().advance(Duration::from_micros(1_000_001));
        let found = append_one(bench, event("x")).await?;
        check_eq(
            "when it was appended",
            found.appended_at(),
            bench.clock().now(),
        )?;
    }
    Ok(())
}

async fn the_stores_time_never_goes_back(bench: &Bench) -> Verdict {
    let start = bench.clock().now();
    let at = |seconds: i64| Timestamp::from_micros(start.as_micros() + seconds * 1_000_000);
    for (clock, expected) in [
        (0, 0),
        (10, 10),
        (3, 10),
        (-1_000_000_000, 10),
        (11, 11),
        (5, 11),
    ] {
        bench.clock().set(at(clock));
        // Where there is no one order of all events, the time is that of the stream.
        let own = bench.capabilities().total_order.then_some(clock);
        let name = own.map_or_else(|| "a-1".to_owned(), |clock| format!("a-{clock}"));
        let receipt = bench.write(&name, &["x"]).await?;
        let what = format!("when it was appended, with the clock at {clock} seconds");
        check_eq(what, receipt.appended_at, at(expected))?;
    }
    let events = bench.read(bench.ordered(ReadRequest::all())).await?;
    check_eq("how many events there are", events.len(), 6)?;
    if bench.capabilities().total_order {
        let times: Vec<Timestamp> = events.iter().map(RecordedEvent::appended_at).collect();
        ensure!(times.is_sorted(), "the times go back: {times:?}");
    }
    Ok(())
}

async fn an_appends_events_have_one_time(bench: &Bench) -> Verdict {
    let receipt = bench.write("a-1", &["x", "y", "z"]).await?;
    for event in bench.read(ReadRequest::stream(stream("a-1"))).await? {
        check_eq(
            "when it was appended",
            event.appended_at(),
            receipt.appended_at,
        )?;
    }
    Ok(())
}
