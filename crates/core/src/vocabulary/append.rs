//! What to record, and under which circumstances.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use super::criteria::Criteria;
use super::cursor::Cursor;
use super::event::{ContentRef, NewEvent};
use super::expected::Expected;
use super::ids::AppendId;
use super::metadata::Metadata;
use super::stream_id::StreamId;
use crate::error::check_limit;
use crate::{Error, ErrorKind};

/// Events to record in one atomic step: all of them or none.
///
/// It writes one or more streams, each in an expected state; it may check streams that it does not
/// write, and require that no event of some criteria appeared after a cursor. Events take their
/// positions in the order of the writes. Cheap to clone: a retry sends the same value again.
///
/// ```
/// use annals_core::{Append, ContentType, EventType, Expected, Ids, NewEvent, StreamId, UuidIds};
///
/// let opened = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}")?;
/// let append = Append::builder(UuidIds::default().append_id())
///     .write(StreamId::parse("account-42")?, Expected::NoStream, [opened])
///     .build()?;
/// assert_eq!(append.event_count(), 1);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Append(Arc<Content>);

/// An [`Append`] in the making; [`build`](Self::build) is the only step that can fail.
#[derive(Clone, Debug)]
#[must_use = "call `build` to have an append"]
pub struct AppendBuilder(Content);

/// Events for one stream, and the state in which the append expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamWrite {
    /// The stream that takes the events.
    pub stream: StreamId,
    /// Its state before the append.
    pub expected: Expected,
    /// The events, in order; at least one.
    pub events: Vec<NewEvent>,
}

/// The state in which an append expects a stream that it does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCheck {
    /// The stream.
    pub stream: StreamId,
    /// Its state before the append.
    pub expected: Expected,
}

/// A dynamic consistency boundary: the append fails when an event that matches `unless` was recorded
/// after `after`. Events that a stream policy hides do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What must not have happened.
    pub unless: Criteria,
    /// Up to where the caller has read.
    pub after: Cursor,
}

#[derive(Clone, Debug)]
struct Content {
    id: AppendId,
    writes: Vec<StreamWrite>,
    checks: Vec<StreamCheck>,
    conditions: Vec<Condition>,
    event_count: usize,
}

impl Append {
    /// Begins an append of this identity.
    pub fn builder(id: AppendId) -> AppendBuilder {
        AppendBuilder(Content {
            id,
            writes: Vec::new(),
            checks: Vec::new(),
            conditions: Vec::new(),
            event_count: 0,
        })
    }

    /// Its identity: a retry with the same one is recorded once.
    pub fn id(&self) -> AppendId {
        self.0.id
    }

    /// The streams that it writes, each once, in the order of positions.
    pub fn writes(&self) -> &[StreamWrite] {
        &self.0.writes
    }

    /// The streams that it only checks, none of which it writes.
    pub fn checks(&self) -> &[StreamCheck] {
        &self.0.checks
    }

    /// The conditions, all of which must hold.
    pub fn conditions(&self) -> &[Condition] {
        &self.0.conditions
    }

    /// The expectations of written and of checked streams, in this order.
    pub fn expectations(&self) -> impl Iterator<Item = (&StreamId, Expected)> {
        let written = self
            .0
            .writes
            .iter()
            .map(|write| (&write.stream, write.expected));
        let checked = self
            .0
            .checks
            .iter()
            .map(|check| (&check.stream, check.expected));
        written.chain(checked)
    }

    /// The events in the order of their positions, each with its stream.
    pub fn events(&self) -> impl Iterator<Item = (&StreamId, &NewEvent)> {
        let writes = self.0.writes.iter();
        writes.flat_map(|write| write.events.iter().map(move |event| (&write.stream, event)))
    }

    /// What the events say, in the order of their positions, each with its stream.
    pub fn contents(&self) -> impl Iterator<Item = (&StreamId, ContentRef<'_>)> {
        self.events()
            .map(|(stream, event)| (stream, event.content()))
    }

    /// The same append with other context on its events, as `change` makes of what each has: for layers that add a
    /// header. It stays [the same append](Self::same_content), as context is no part of what events say.
    ///
    /// # Errors
    /// As `change` has it, and [`ErrorKind::Invalid`] when the whole grows over a limit.
    pub fn map_metadata(
        self,
        mut change: impl FnMut(&Metadata) -> Result<Metadata, Error>,
    ) -> Result<Self, Error> {
        let mut content = Arc::unwrap_or_clone(self.0);
        for write in &mut content.writes {
            let events = std::mem::take(&mut write.events).into_iter();
            let changed = events.map(|event| {
                let metadata = change(event.metadata())?;
                Ok(event.with_metadata(metadata))
            });
            write.events = changed.collect::<Result<_, Error>>()?;
        }
        AppendBuilder(content).build()
    }

    /// The same append with other cursors in its conditions, as `change` makes of each: for layers that name places
    /// otherwise than the store below.
    ///
    /// # Errors
    /// As `change` has it.
    pub fn map_cursors(
        self,
        mut change: impl FnMut(&Cursor) -> Result<Cursor, Error>,
    ) -> Result<Self, Error> {
        if self.0.conditions.is_empty() {
            return Ok(self);
        }
        let mut content = Arc::unwrap_or_clone(self.0);
        for condition in &mut content.conditions {
            condition.after = change(&condition.after)?;
        }
        Ok(Self(Arc::new(content)))
    }

    /// How many events it records.
    pub fn event_count(&self) -> usize {
        self.0.event_count
    }

    /// Whether `recorded`, the events that the first append of this id recorded in order, is the
    /// content of this one: the same streams and [the same events](ContentRef::same_content). `None`
    /// stands for an event that retention has removed since, of which nothing can be said any more.
    pub fn same_content<'a>(
        &self,
        recorded: impl IntoIterator<Item = Option<(&'a StreamId, ContentRef<'a>)>>,
    ) -> bool {
        let mut recorded = recorded.into_iter();
        let all_found = self.events().all(|(stream, event)| match recorded.next() {
            Some(Some((of, first))) => of == stream && first.same_content(&event.content()),
            Some(None) => true,
            None => false,
        });
        all_found && recorded.next().is_none()
    }
}

impl AppendBuilder {
    /// Adds events for a stream that is expected in this state. A stream is written once.
    pub fn write(
        mut self,
        stream: StreamId,
        expected: Expected,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Self {
        let events = events.into_iter().collect();
        self.0.writes.push(StreamWrite {
            stream,
            expected,
            events,
        });
        self
    }

    /// Requires this state of a stream that the append does not write.
    pub fn check(mut self, stream: StreamId, expected: Expected) -> Self {
        self.0.checks.push(StreamCheck { stream, expected });
        self
    }

    /// Requires that no event of these criteria was recorded after the cursor.
    pub fn unless(mut self, criteria: Criteria, after: Cursor) -> Self {
        self.0.conditions.push(Condition {
            unless: criteria,
            after,
        });
        self
    }

    /// The append.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no event, when a stream is written or checked twice, when
    /// an event id occurs twice, or when a limit of [`limits`](crate::limits) is exceeded:
    /// `APPEND_EVENTS_MAX`, `APPEND_BYTES_MAX`, `APPEND_CHECKS_MAX`, `APPEND_CONDITIONS_MAX`.
    pub fn build(self) -> Result<Append, Error> {
        let mut content = self.0;
        let events = || content.writes.iter().flat_map(|write| &write.events);
        let count = events().count();
        if content.writes.iter().any(|write| write.events.is_empty()) || count == 0 {
            return Err(invalid(
                "an append writes at least one event to each of its streams",
            ));
        }
        check_limit!("append of too many events", count, APPEND_EVENTS_MAX)?;
        let streams = content.writes.iter().map(|write| &write.stream);
        let names = streams.chain(content.checks.iter().map(|check| &check.stream));
        let bytes = events().map(NewEvent::bytes).sum::<usize>()
            + names.map(|name| name.as_str().len()).sum::<usize>()
            + content
                .conditions
                .iter()
                .map(|condition| condition.unless.bytes())
                .sum::<usize>();
        check_limit!("append of too many bytes", bytes, APPEND_BYTES_MAX)?;
        check_limit!(
            "append of too many checks",
            content.checks.len(),
            APPEND_CHECKS_MAX
        )?;
        let conditions = content.conditions.len();
        check_limit!(
            "append of too many conditions",
            conditions,
            APPEND_CONDITIONS_MAX
        )?;

        let written = content.writes.iter().map(|write| &write.stream);
        let checked = content.checks.iter().map(|check| &check.stream);
        if let Some(twice) = first_repeated(written.chain(checked)) {
            return Err(
                invalid("stream occurs twice; write or check it once").with("stream", twice)
            );
        }
        if let Some(twice) = first_repeated(events().filter_map(NewEvent::id)) {
            return Err(
                invalid("event id occurs twice; give each event its own").with("event", twice)
            );
        }
        content.event_count = count;
        Ok(Append(Arc::new(content)))
    }
}

/// The first that was there before.
fn first_repeated<T: Copy + Eq + Hash>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    let second = all.next()?;
    if first == second {
        return Some(second);
    }
    let mut met = HashSet::with_capacity(all.size_hint().0 + 2);
    met.extend([first, second]);
    all.find(|next| !met.insert(*next))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message).during("append")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentType, EventId, EventType};

    fn event(payload: &'static str) -> NewEvent {
        NewEvent::new(EventType::from_static("e"), ContentType::JSON, payload).unwrap()
    }

    fn stream(text: &str) -> StreamId {
        StreamId::parse(text).unwrap()
    }

    fn append() -> AppendBuilder {
        Append::builder(AppendId::parse("test").unwrap())
    }

    fn check(builder: AppendBuilder, message: &str) {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn a_malformed_append_is_refused() {
        let one = || append().write(stream("a-1"), Expected::Any, [event("1")]);
        check(append(), "at least one event");
        check(
            one().write(stream("a-2"), Expected::Any, []),
            "at least one event",
        );
        check(
            one().write(stream("a-1"), Expected::Any, [event("2")]),
            "occurs twice",
        );
        check(
            one().check(stream("a-1"), Expected::NoStream),
            "occurs twice",
        );
        let id = EventId::new(uuid::Uuid::from_u128(7)).unwrap();
        let twins = [event("1").with_id(id), event("2").with_id(id)];
        check(
            append().write(stream("a-1"), Expected::Any, twins),
            "event id occurs twice",
        );
        let many = std::iter::repeat_n(event("1"), 65_537);
        check(
            append().write(stream("a-1"), Expected::Any, many),
            "APPEND_EVENTS_MAX",
        );
        let big = NewEvent::new(
            EventType::from_static("e"),
            ContentType::JSON,
            vec![0; 16 << 20],
        );
        let four = std::iter::repeat_n(big.unwrap(), 4);
        check(
            append().write(stream("a-1"), Expected::Any, four),
            "APPEND_BYTES_MAX",
        );
    }

    #[test]
    fn other_context_makes_no_other_append() {
        let first = append()
            .write(stream("a-1"), Expected::NoStream, [event("1"), event("2")])
            .check(stream("a-2"), Expected::NoStream)
            .build()
            .unwrap();
        let traced = first.clone();
        let traced = traced.map_metadata(|had| had.clone().with_header("trace", "7"));
        let traced = traced.unwrap();
        assert!(traced.same_content(first.contents().map(Some)));
        assert_eq!(traced.id(), first.id());
        assert_eq!(traced.checks(), first.checks());
        for (_, event) in traced.events() {
            assert_eq!(event.metadata().header("trace"), Some("7"));
        }
        let long = "x".repeat(crate::limits::METADATA_BYTES_MAX);
        let refused = first.map_metadata(|had| had.clone().with_header("trace", &long));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn content_is_streams_and_events_in_order() {
        let first = append()
            .write(stream("a-1"), Expected::NoStream, [event("1"), event("2")])
            .write(stream("a-2"), Expected::Any, [event("3")])
            .build()
            .unwrap();
        assert!(first.same_content(first.contents().map(Some)));
        let retry = append()
            .write(stream("a-1"), Expected::Any, [event("1"), event("2")])
            .write(
                stream("a-2"),
                Expected::Any,
                [event("3").with_metadata(Metadata::EMPTY)],
            );
        assert!(
            retry
                .build()
                .unwrap()
                .same_content(first.contents().map(Some))
        );
        for other in [
            append().write(stream("a-1"), Expected::Any, [event("1"), event("2")]),
            append().write(
                stream("a-1"),
                Expected::Any,
                [event("1"), event("2"), event("3")],
            ),
            append()
                .write(stream("a-1"), Expected::Any, [event("1"), event("2")])
                .write(stream("a-2"), Expected::Any, [event("4")]),
        ] {
            assert!(
                !other
                    .build()
                    .unwrap()
                    .same_content(first.contents().map(Some))
            );
        }
    }
}
