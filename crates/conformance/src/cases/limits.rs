//! What is at a limit is taken and comes back; what is over a limit of the store is refused.
//!
//! A store has the sizes of payloads and appends that its capabilities tell; all other limits are the
//! vocabulary's own, which stop a value from being made at all.

use annals_core::limits::{
    APPEND_CHECKS_MAX, APPEND_CONDITIONS_MAX, CRITERIA_ITEMS_MAX, CRITERIA_TYPES_MAX,
    METADATA_BYTES_MAX, NAME_BYTES_MAX, PAGE_EVENTS_MAX, STREAM_ID_BYTES_MAX, TAGS_MAX,
};
use annals_core::{
    AppendBuilder, ContentType, Criteria, Cursor, Error, ErrorKind, Expected, Metadata, NewEvent,
    ReadRequest, Tags,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{criteria, event, event_type, stream, tags, typed};

cases! {
    the_largest_payload;
    the_largest_append;
    the_most_events;
    the_longest_names;
    the_most_tags;
    the_largest_metadata;
    the_most_checks needs [StreamChecks];
    the_most_conditions needs [Conditions];
    the_widest_criteria;
    the_widest_condition needs [Conditions];
    the_widest_page;
}

/// Appends events within the limits to `a-1`, and expects them back.
async fn comes_back(bench: &Bench, events: Vec<NewEvent>) -> Verdict {
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::Any, events.clone());
    bench.append(append).await?;
    let request = ReadRequest::stream(stream("a-1")).events_max(PAGE_EVENTS_MAX);
    let found = bench.read(request).await?;
    check_eq("how many events come back", found.len(), events.len())?;
    let same = found.iter().zip(&events).all(|(found, event)| {
        found.content().same_content(&event.content()) && found.metadata() == event.metadata()
    });
    check_eq("whether they come back as they were", same, true)
}

/// Expects events over a limit to be refused, as they are made, put together or appended.
async fn is_over(bench: &Bench, what: &str, events: Result<Vec<NewEvent>, Error>) -> Verdict {
    let append = events.and_then(|events| {
        let append = bench.fresh();
        append.write(stream("b-1"), Expected::Any, events).build()
    });
    let outcome = match append {
        Ok(append) => bench.store().append(append).await.map(drop),
        Err(error) => Err(error),
    };
    let kind = outcome.err().map(|error| error.kind());
    check_eq(
        format!("{what}: the kind of error"),
        kind,
        Some(ErrorKind::Invalid),
    )?;
    bench.is_at("b-1", 0).await
}

fn big(bytes: usize) -> Result<NewEvent, Error> {
    NewEvent::new(event_type("big"), ContentType::OCTETS, vec![0xab; bytes])
}

async fn the_largest_payload(bench: &Bench) -> Verdict {
    let capabilities = bench.capabilities();
    // Names count too, so that an append may hold less than one payload of its size.
    let names = big(0)?.bytes() + "a-1".len();
    let most = capabilities.payload_bytes_max;
    let largest = most.min(capabilities.append_bytes_max - names);
    comes_back(bench, vec![big(largest)?]).await?;
    is_over(
        bench,
        "one byte of payload more",
        big(most + 1).map(|event| vec![event]),
    )
    .await
}

async fn the_largest_append(bench: &Bench) -> Verdict {
    let capabilities = bench.capabilities();
    let mut rest = capabilities.append_bytes_max - "a-1".len();
    let names = big(0)?.bytes();
    let mut events = Vec::new();
    while rest > names {
        let payload = capabilities.payload_bytes_max.min(rest - names);
        // What is left must hold another event, or nothing.
        let left = rest - names - payload;
        let payload = if left > 0 && left <= names {
            payload - names
        } else {
            payload
        };
        events.push(big(payload)?);
        rest -= names + payload;
    }
    let over = events.iter().cloned().chain([big(1)?]).collect();
    is_over(bench, "one event more", Ok(over)).await?;
    comes_back(bench, events).await
}

async fn the_most_events(bench: &Bench) -> Verdict {
    let most = bench.capabilities().append_events_max;
    is_over(bench, "one event more", Ok(vec![event(""); most + 1])).await?;
    comes_back(bench, vec![event(""); most]).await
}

async fn the_longest_names(bench: &Bench) -> Verdict {
    let long = "n".repeat(NAME_BYTES_MAX);
    let name = format!("{}-k", "c".repeat(STREAM_ID_BYTES_MAX - 2));
    let named = NewEvent::new(event_type(&long), ContentType::parse(&long)?, "x")?
        .with_tags(tags(&[&long, "short"]));
    let append = bench
        .fresh()
        .write(stream(&name), Expected::NoStream, [named]);
    bench.append(append).await?;
    bench.stream_shows(&name, &["x"]).await?;
    bench
        .shows(ReadRequest::category(stream(&name).category()), &["x"])
        .await?;
    let matching = ReadRequest::matching(criteria(&[(&[&long], &[&long])]));
    bench.shows(matching, &["x"]).await
}

async fn the_most_tags(bench: &Bench) -> Verdict {
    let texts: Vec<String> = (0..TAGS_MAX).map(|number| format!("t:{number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    comes_back(bench, vec![typed("tagged", &texts, "x")]).await?;
    let matching = ReadRequest::matching(criteria(&[(&[], &texts)]));
    let count = bench.read(matching).await?.len();
    check_eq(
        "whether all tags find it",
        count,
        bench.read(ReadRequest::all()).await?.len(),
    )
}

async fn the_largest_metadata(bench: &Bench) -> Verdict {
    let value = "\u{20ac}".repeat((METADATA_BYTES_MAX - 1) / 3);
    let metadata = Metadata::EMPTY.with_header("h", &value)?;
    check_eq(
        "the bytes of the metadata",
        metadata.bytes(),
        METADATA_BYTES_MAX,
    )?;
    comes_back(bench, vec![event("x").with_metadata(metadata)]).await
}

async fn the_most_checks(bench: &Bench) -> Verdict {
    let append = |expected| {
        let start = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event("x")]);
        (0..APPEND_CHECKS_MAX).fold(start, |append, number| {
            append.check(stream(&format!("c-{number}")), expected)
        })
    };
    bench.append(append(Expected::NoStream)).await?;
    let failures = bench.conflict(append(Expected::StreamExists)).await?;
    check_eq("how many checks fail", failures.len(), APPEND_CHECKS_MAX)
}

async fn the_most_conditions(bench: &Bench) -> Verdict {
    let append = |of: &str| {
        let start = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event("x")]);
        (0..APPEND_CONDITIONS_MAX).fold(start, |append: AppendBuilder, _| {
            append.unless(criteria(&[(&[of], &[])]), Cursor::START)
        })
    };
    bench.append(append("never")).await?;
    let failures = bench.conflict(append("noted")).await?;
    check_eq(
        "how many conditions fail",
        failures.len(),
        APPEND_CONDITIONS_MAX,
    )
}

/// Criteria of the most items, the last of which names the most types, `noted` among them.
fn widest() -> Result<Criteria, Failure> {
    let narrow = (1..CRITERIA_ITEMS_MAX).map(|number| {
        let types = [event_type(&format!("never-{number}"))];
        annals_core::CriteriaItem::new(types, Tags::EMPTY)
    });
    let types = (1..CRITERIA_TYPES_MAX).map(|number| event_type(&format!("rare-{number}")));
    let wide = annals_core::CriteriaItem::new(types.chain([event_type("noted")]), Tags::EMPTY);
    let items: Result<Vec<_>, _> = narrow.chain([wide]).collect();
    Ok(Criteria::any_of(items?)?)
}

async fn the_widest_criteria(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let other = typed("other", &[], "y");
    bench
        .append(bench.fresh().write(stream("a-1"), Expected::Any, [other]))
        .await?;
    bench.shows(ReadRequest::matching(widest()?), &["x"]).await
}

async fn the_widest_condition(bench: &Bench) -> Verdict {
    let append = |label| {
        let start = bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [event(label)]);
        Ok::<_, Failure>(start.unless(widest()?, Cursor::START))
    };
    bench.append(append("x")?).await?;
    let failures = bench.conflict(append("y")?).await?;
    check_eq("how many conditions fail", failures.len(), 1)
}

async fn the_widest_page(bench: &Bench) -> Verdict {
    let labels: Vec<String> = (0..=PAGE_EVENTS_MAX)
        .map(|label| label.to_string())
        .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for part in labels.chunks(bench.capabilities().append_events_max.min(1000)) {
        bench.write("a-1", part).await?;
    }
    let request = ReadRequest::stream(stream("a-1")).events_max(PAGE_EVENTS_MAX);
    let found = crate::names::labels(&bench.read(request).await?);
    check_eq("whether all events come", found == labels, true)
}
