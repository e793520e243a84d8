//! What came between: a conflict in words, and as a structure.

use std::fmt;

use annals_core::{
    Capabilities, Conflict, CorrelationId, Cursor, Error, EventStore, EventType, Expected,
    FailedCheck, Position, ReadRequest, RecordedEvent, StreamId, StreamState, Timestamp, Version,
};

/// A conflict with the events that caused it: its `Display` is one line for a log, its fields are for a
/// program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Explanation {
    /// One for each check that failed, in the order of the conflict.
    pub checks: Vec<ExplainedCheck>,
}

/// One failed check of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ExplainedCheck {
    /// The stream that was not as expected; `None` for a condition or an event id.
    pub stream: Option<StreamId>,
    /// What the append expected, in words.
    pub expected: String,
    /// What the store found, in words.
    pub actual: String,
    /// The version that the append expected, where it expected one.
    pub expected_version: Option<Version>,
    /// The version that the stream had.
    pub actual_version: Option<Version>,
    /// The events that came between, oldest first: those that are visible now, at most
    /// [`EVENTS_MAX`](Explanation::EVENTS_MAX).
    pub events: Vec<InterveningEvent>,
    /// Whether there are more of them.
    pub more: bool,
}

/// An event that stands against an append.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct InterveningEvent {
    /// What happened.
    pub event_type: EventType,
    /// In which stream.
    pub stream: StreamId,
    /// At which version of it.
    pub version: Version,
    /// At which position of the store.
    pub position: Position,
    /// When it happened, as its application says.
    pub recorded_at: Timestamp,
    /// When the store recorded it.
    pub appended_at: Timestamp,
    /// What it shares with the rest of its conversation.
    pub correlation_id: Option<CorrelationId>,
}

impl Explanation {
    /// How many events are read, and shown, for one failed check.
    pub const EVENTS_MAX: usize = 16;
}

/// Reads the events that a conflict is about: at most one page of [`Explanation::EVENTS_MAX`] for each failed check.
///
/// ```
/// use annals_concurrency::explain;
/// # use annals_core::{Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, StreamId, UuidIds};
/// # futures_executor::block_on(async {
/// # let store = annals_store_memory::MemoryStore::new();
/// # let write = || {
/// #     let event = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}")?;
/// #     Append::builder(UuidIds::default().append_id())
/// #         .write(StreamId::parse("account-42")?, Expected::NoStream, [event])
/// #         .build()
/// # };
/// store.append(write()?).await?;
/// let error = store.append(write()?).await.unwrap_err();
/// if let Some(conflict) = error.conflict() {
///     let explained = explain(&store, conflict).await?;
///     let line = explained.to_string();
///     assert!(line.starts_with("stream account-42: expected no stream, is at version 1; opened at 1"));
/// }
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// As the store has it when it reads.
pub async fn explain(
    store: &(impl EventStore + ?Sized),
    conflict: &Conflict,
) -> Result<Explanation, Error> {
    let mut checks = Vec::with_capacity(conflict.failures().len());
    for failure in conflict.failures() {
        let mut check = in_words(failure);
        if let Some(request) = events_of(failure, &store.capabilities()) {
            // One more than is shown, to tell whether there are more.
            let page = store
                .read(request.events_max(Explanation::EVENTS_MAX + 1))
                .await?;
            check.more = page.events.len() > Explanation::EVENTS_MAX || page.next.is_some();
            let shown = page.events.iter().take(Explanation::EVENTS_MAX);
            check.events = shown.map(InterveningEvent::of).collect();
        }
        checks.push(check);
    }
    Ok(Explanation { checks })
}

/// What reads the events that stand against a check.
fn events_of(failure: &FailedCheck, offered: &Capabilities) -> Option<ReadRequest> {
    match failure {
        FailedCheck::Stream {
            stream,
            expected,
            actual,
            ..
        } => {
            let after = match expected {
                Expected::NoStream => Version::ABSENT,
                Expected::Exactly(version) if version < actual => *version,
                _ => return None,
            };
            let request = ReadRequest::stream(stream.clone()).until_version(*actual);
            Some(request.after_version(after))
        }
        FailedCheck::Condition { unless, after, .. } => {
            Some(ReadRequest::matching(unless.clone()).after(after.clone()))
        }
        // Where positions are of partitions, only the store could tell what lies between two of them.
        FailedCheck::EventId { position, .. } if offered.total_order => {
            let only = ReadRequest::all().until(Cursor::at(*position));
            Some(only.after(Cursor::at(position.previous())))
        }
        _ => None,
    }
}

fn in_words(failure: &FailedCheck) -> ExplainedCheck {
    let of = |stream: Option<&StreamId>, expected: String, actual: String| ExplainedCheck {
        stream: stream.cloned(),
        expected,
        actual,
        expected_version: None,
        actual_version: None,
        events: Vec::new(),
        more: false,
    };
    match failure {
        FailedCheck::Stream {
            stream,
            expected,
            actual,
            state,
            ..
        } => {
            let how = match state {
                StreamState::SoftDeleted => "is soft-deleted at",
                _ => "is at",
            };
            let expected_version = match expected {
                Expected::Exactly(version) => Some(*version),
                _ => None,
            };
            let found = format!("{how} version {actual}");
            ExplainedCheck {
                expected_version,
                actual_version: Some(*actual),
                ..of(Some(stream), expected.to_string(), found)
            }
        }
        FailedCheck::Closed { stream } => of(
            Some(stream),
            "an open stream".into(),
            "is closed for good".into(),
        ),
        FailedCheck::Condition { unless, after, .. } => of(
            None,
            format!("no {unless} after {after}"),
            "there is".into(),
        ),
        FailedCheck::EventId { id, .. } => of(None, format!("no event {id}"), "there is".into()),
        // A check of a later version of annals, which says itself what it is.
        other => of(None, "every check to hold".into(), other.to_string()),
    }
}

impl InterveningEvent {
    fn of(event: &RecordedEvent) -> Self {
        Self {
            event_type: event.event_type().clone(),
            stream: event.stream().clone(),
            version: event.version(),
            position: event.position(),
            recorded_at: event.recorded_at(),
            appended_at: event.appended_at(),
            correlation_id: event.metadata().correlation_id(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, check) in self.checks.iter().enumerate() {
            let separator = if index == 0 { "" } else { " | " };
            write!(f, "{separator}{check}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = &self.stream {
            write!(f, "stream {stream}: ")?;
        }
        write!(f, "expected {}, {}", self.expected, self.actual)?;
        for (index, event) in self.events.iter().enumerate() {
            let separator = if index == 0 { "; " } else { ", " };
            write!(f, "{separator}{event}")?;
        }
        f.write_str(if self.more { ", and more" } else { "" })
    }
}

impl fmt::Display for InterveningEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, position, appended_at) = (&self.event_type, self.position, self.appended_at);
        write!(
            f,
            "{kind} at {position} ({} version {}, {appended_at}",
            self.stream, self.version
        )?;
        match &self.correlation_id {
            Some(correlation) => write!(f, ", correlation {correlation})"),
            None => f.write_str(")"),
        }
    }
}
