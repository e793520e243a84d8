//! Reading to the end, with every page held to what a page must be.

use std::collections::BTreeMap;

use annals_core::{
    Cursor, Direction, EventOrdering, EventStore, Page, ReadRequest, RecordedEvent, Selection,
    StreamId, Version,
};

use crate::failure::{Failure, Verdict, check_eq, ensure};

/// How many pages without events a store may give in a row, in logs as short as those of the suite.
const EMPTY_PAGES_MAX: usize = 10_000;

/// All events that answer the request.
pub(crate) async fn read(
    store: &dyn EventStore,
    request: ReadRequest,
) -> Result<Vec<RecordedEvent>, Failure> {
    let pages = read_pages(store, request).await?;
    Ok(pages.into_iter().flat_map(|page| page.events).collect())
}

/// All events that answer the request, and the cursor of the last page.
pub(crate) async fn read_to_end(
    store: &dyn EventStore,
    request: ReadRequest,
) -> Result<(Vec<RecordedEvent>, Cursor), Failure> {
    let after = request.after.clone();
    let pages = read_pages(store, request).await?;
    let cursor = pages.last().map_or(after, |page| page.cursor.clone());
    Ok((
        pages.into_iter().flat_map(|page| page.events).collect(),
        cursor,
    ))
}

/// The pages that answer the request, followed from one to the next.
pub(crate) async fn read_pages(
    store: &dyn EventStore,
    request: ReadRequest,
) -> Result<Vec<Page>, Failure> {
    let mut pages: Vec<Page> = Vec::new();
    let mut order = Order::of(&request);
    let mut cursor = request.after.clone();
    let mut empty = 0;
    let mut next = Some(request.clone());
    while let Some(asked) = next {
        let what = format!("page {} of {}", pages.len() + 1, text_of(&request));
        let failed = |error| Failure::from(error).during(&what);
        let mut page = store.read(asked.clone()).await.map_err(failed)?;
        check_page(&request, &page).map_err(|failure| failure.during(&what))?;
        ensure!(
            page.cursor.covers(&cursor),
            "{what}: its cursor {} goes back from {cursor}",
            page.cursor
        );
        empty = if page.events.is_empty() { empty + 1 } else { 0 };
        ensure!(
            empty < EMPTY_PAGES_MAX && page.next.as_ref() != Some(&asked),
            "{what}: there is always a next page, and nothing on it"
        );
        order.check(&page)?;
        cursor = page.cursor.clone();
        next = page.next.take();
        pages.push(page);
    }
    Ok(pages)
}

/// One line that says what a request asks for.
pub(crate) fn text_of(request: &ReadRequest) -> String {
    let plain = ReadRequest::new(request.selection.clone());
    let mut parts = vec![match &request.selection {
        Selection::All => "all events".to_owned(),
        Selection::Stream(stream) => format!("stream {stream}"),
        Selection::Category(category) => format!("category {category}"),
        Selection::Criteria(criteria) => format!("criteria {criteria}"),
        other => format!("{other:?}"),
    }];
    if request.direction == Direction::Backward {
        parts.push("backward".to_owned());
    }
    if request.after != plain.after {
        parts.push(format!("after {}", request.after));
    }
    if let Some(until) = &request.until {
        parts.push(format!("until {until}"));
    }
    if request.after_version != plain.after_version {
        parts.push(format!("after version {}", request.after_version));
    }
    if request.until_version != plain.until_version {
        parts.push(format!("until version {}", request.until_version));
    }
    if let Some(from) = request.appended_from {
        parts.push(format!("appended from {from}"));
    }
    if let Some(before) = request.appended_before {
        parts.push(format!("appended before {before}"));
    }
    if request.events_max != plain.events_max {
        parts.push(format!("by {} events", request.events_max));
    }
    if request.bytes_max != plain.bytes_max {
        parts.push(format!("by {} bytes", request.bytes_max));
    }
    if request.consistency != plain.consistency {
        parts.push(format!("with {:?}", request.consistency));
    }
    parts.join(" ")
}

/// What holds of every page that answers, or goes on to answer, the request.
pub(crate) fn check_page(request: &ReadRequest, page: &Page) -> Verdict {
    let count = page.events.len();
    ensure!(
        count <= request.events_max,
        "it has {count} events, more than asked for"
    );
    let sizes = page.events.iter().map(RecordedEvent::bytes);
    let bytes: usize = sizes.sum();
    ensure!(
        bytes <= request.bytes_max || count == 1,
        "it has {bytes} bytes in {count} events, more than asked for"
    );
    if request.direction == Direction::Backward {
        check_eq(
            "the cursor of a backward page",
            &page.cursor,
            &request.after,
        )?;
    } else {
        ensure!(
            page.cursor.covers(&request.after),
            "its cursor {} lies before the request's {}",
            page.cursor,
            request.after
        );
    }
    let of_one_stream = matches!(request.selection, Selection::Stream(_));
    check_eq(
        "whether it tells the stream's head",
        page.stream.is_some(),
        of_one_stream,
    )
}

/// Holds the events of a read, page after page, to the order that was asked for. It looks at each page
/// as it comes, so that a store which repeats itself for ever is found out.
struct Order<'a> {
    request: &'a ReadRequest,
    count: usize,
    last: Option<RecordedEvent>,
    last_of_stream: BTreeMap<StreamId, Version>,
}

impl<'a> Order<'a> {
    fn of(request: &'a ReadRequest) -> Self {
        Self {
            request,
            count: 0,
            last: None,
            last_of_stream: BTreeMap::new(),
        }
    }

    fn check(&mut self, page: &Page) -> Verdict {
        let forward = self.request.direction == Direction::Forward;
        let total = self.request.ordering == EventOrdering::Total;
        for event in &page.events {
            let in_stream = self
                .last_of_stream
                .insert(event.stream().clone(), event.version())
                .is_none_or(|last| last != event.version() && (last < event.version()) == forward);
            let in_log = self.last.as_ref().is_none_or(|last| {
                let (last, position) = (last.position(), event.position());
                !total || (last != position && (last < position) == forward)
            });
            ensure!(
                in_stream && in_log,
                "event {} of reading {} is out of order, or comes twice: {} after {}",
                self.count + 1,
                text_of(self.request),
                place_of(event),
                self.last.as_ref().map_or_else(String::new, place_of)
            );
            self.count += 1;
            self.last = Some(event.clone());
        }
        Ok(())
    }
}

/// An event's stream, version and position, as `account-42@3 (at 7)`.
pub(crate) fn place_of(event: &RecordedEvent) -> String {
    format!(
        "{}@{} (at {})",
        event.stream(),
        event.version(),
        event.position()
    )
}
