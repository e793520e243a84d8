//! The workloads that the benchmarks share: one event of a typical size, streams, appends.

use annals_core::{
    Append, AppendId, ContentType, Error, EventType, Expected, NewEvent, Placement, Position,
    RecordedEvent, StreamId, Timestamp, Version,
};

pub mod account;
pub mod shop;

/// The type of the benchmark event.
pub const LINE_ADDED: EventType = EventType::from_static("order-line-added");

/// An order line as JSON, 198 bytes: the event of every store benchmark.
pub const ORDER_LINE: &str = concat!(
    r#"{"order":"8f14e45f-ceea-467f-a9ae-6c1c0d6d4f31","line":7,"article":"M8-HEX-BOLT-ZN","#,
    r#""quantity":250,"unit_price_cents":1199,"currency":"EUR","warehouse":"HAM-2","#,
    r#""requested_at":"2026-11-23T08:00:00Z"}"#,
);

/// One order line to append. The payload is shared, as that of a page read from a store is.
///
/// # Errors
/// None: the event is within every limit.
pub fn order_line() -> Result<NewEvent, Error> {
    NewEvent::new(LINE_ADDED, ContentType::JSON, ORDER_LINE)
}

/// The name of the n-th order's stream.
///
/// # Errors
/// None: the name is within every limit.
pub fn order(number: u64) -> Result<StreamId, Error> {
    StreamId::parse(&format!("order-{number}"))
}

/// `appends` appends of `events` order lines each, spread over `streams` streams in turn.
///
/// # Errors
/// None while `events` is within the limits of an append.
pub fn order_appends(appends: u64, events: usize, streams: u64) -> Result<Vec<Append>, Error> {
    let line = order_line()?;
    (0..appends)
        .map(|number| {
            let lines = std::iter::repeat_n(line.clone(), events);
            Append::builder(AppendId::parse(&format!("append-{number}"))?)
                .write(order(number % streams)?, Expected::Any, lines)
                .build()
        })
        .collect()
}

/// The n-th event of a log that holds one order line a stream, as a store would hold it: for the limit,
/// a `Vec` of such.
///
/// # Errors
/// None: the event is within every limit.
pub fn recorded_line(number: u64) -> Result<RecordedEvent, Error> {
    let placement = Placement {
        id: format!("0190a5f0-0000-7000-8000-{number:012x}").parse()?,
        stream: order(number)?,
        version: Version::FIRST,
        position: Position::new(number + 1),
        recorded_at: Timestamp::EPOCH,
        appended_at: Timestamp::EPOCH,
    };
    Ok(RecordedEvent::new(order_line()?, placement))
}
