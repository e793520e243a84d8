//! Takes each step on the store and on the model, and compares the answers.

use std::time::Duration;

use annals_core::{
    Append, AppendBuilder, AppendId, Clock, ConsistencyLevel, ContentType, Cursor, Direction,
    Error, ErrorKind, EventOrdering, Expected, FailedCheck, Metadata, NewEvent, Page, PolicyChange,
    Position, ReadRequest, RecordedEvent, Selection, StreamId, Timestamp, Version,
};

use super::operation::{
    AppendPlan, EventPlan, ExpectedPlan, Mark, Moment, Operation, ReadPlan, SelectionPlan, Twist,
};
use super::pools::{CATEGORIES, Pools, TYPES, of};
use super::state::{Answer, Attempt, Model, Place, Query};
use super::text;
use crate::backend::TimeSource;
use crate::bench::Bench;
use crate::failure::{Failure, Verdict, check_eq, ensure};
use crate::names::{append_id, category, event_id, event_type, tags};
use crate::pages;

/// A store and its model, side by side.
pub(super) struct Drive<'a> {
    bench: &'a Bench,
    pools: Pools,
    model: Model,
    attempts: Vec<Attempt>,
    /// What was done, a line for each step.
    pub(super) lines: Vec<String>,
}

impl<'a> Drive<'a> {
    pub(super) fn new(bench: &'a Bench) -> Self {
        Self {
            bench,
            pools: Pools::of(bench.capabilities()),
            model: Model::new(*bench.capabilities()),
            attempts: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Takes one step.
    pub(super) async fn step(&mut self, operation: &Operation) -> Verdict {
        match operation {
            Operation::Append(plan) => {
                let attempt = self.attempt(plan)?;
                self.append(attempt).await
            }
            Operation::Retry { which, twist } => {
                let Some(index) = which.checked_rem(self.attempts.len()) else {
                    return Ok(());
                };
                let Some(first) = self.attempts.get(index) else {
                    return Ok(());
                };
                let retry = twisted(first, *twist)?;
                self.append(retry).await
            }
            Operation::ChangePolicy {
                stream,
                expected,
                action,
            } => {
                let stream = self.pools.stream(*stream);
                let expected = self.expected(*expected, &stream);
                let action = action.clone();
                let change = PolicyChange {
                    stream,
                    expected,
                    action,
                };
                self.change_policy(change).await
            }
            Operation::Receipt(which) => {
                let unknown = append_id("never sent");
                let id = which
                    .and_then(|number| self.sent(number))
                    .map_or(unknown, Append::id);
                self.lines.push(format!("receipt({:?})", id.as_str()));
                let found = self.bench.store().receipt(&id).await?;
                check_eq("the receipt", found, self.model.receipt(&id))
            }
            Operation::Read(plan) => self.read(plan).await,
            Operation::StreamHead(number) => {
                let stream = self.pools.stream(*number);
                self.lines
                    .push(format!("stream_head({:?})", stream.as_str()));
                let found = self.bench.store().stream_head(&stream).await?;
                check_eq(
                    "the head of the stream",
                    found,
                    self.model.stream_head(&stream),
                )
            }
            Operation::Head => {
                self.lines.push("head(Strong)".to_owned());
                let found = self.bench.store().head(ConsistencyLevel::Strong).await?;
                check_eq("the head", found, self.model.head())
            }
            Operation::Wait { seconds } => {
                self.lines.push(format!("clock.advance({seconds}s)"));
                self.bench.clock().advance(Duration::from_secs(*seconds));
                Ok(())
            }
        }
    }

    /// Adds to the line of the last step how it ended.
    fn note(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.push_str(" // ");
            line.push_str(text);
        }
    }

    fn now(&self) -> Timestamp {
        self.bench.clock().now()
    }

    async fn append(&mut self, attempt: Attempt) -> Verdict {
        self.lines.push(text::append(&attempt.append));
        let expected = self.model.answer(&attempt, self.now());
        let found = self.bench.store().append(attempt.append.clone()).await;
        self.attempts.push(attempt.clone());
        let note = match (expected, found) {
            (Answer::Recorded, Ok(receipt)) => {
                let clock = self.bench.stores().time() == TimeSource::Given;
                let clock = clock.then(|| self.now());
                let mark = self.bench.mark().await?;
                self.model.record(&attempt.append, &receipt, &mark, clock)?;
                format!(
                    "recorded at {} to {}",
                    receipt.first_position, receipt.last_position
                )
            }
            (Answer::Duplicate(first), Ok(receipt)) => {
                check_eq("the receipt", receipt, first)?;
                "a duplicate".to_owned()
            }
            (Answer::Conflict(expected), Err(error)) => {
                kind_is(&error, ErrorKind::Conflict)?;
                check_failures(&expected, &error)?;
                error.to_string()
            }
            (Answer::Reused, Err(error)) => {
                kind_is(&error, ErrorKind::AppendIdReused)?;
                "its id stands for other content".to_owned()
            }
            (Answer::Ahead, Err(error)) => {
                kind_is(&error, ErrorKind::CursorAhead)?;
                "ahead of the store".to_owned()
            }
            (expected, found) => {
                return Err(Failure::new(format!(
                    "the answer\n  expected: {expected:?}\n  found:    {found:?}"
                )));
            }
        };
        self.note(&note);
        Ok(())
    }

    async fn change_policy(&mut self, change: PolicyChange) -> Verdict {
        self.lines.push(text::policy(&change));
        let expected = self.model.change_policy(&change, self.now());
        let found = self.bench.store().change_stream_policy(change).await;
        match (expected, found) {
            (Ok(expected), Ok(found)) => check_eq("the head of the stream", found, expected),
            (Err(expected), Err(error)) => {
                kind_is(&error, ErrorKind::Conflict)?;
                check_failures(&[expected], &error)?;
                self.note(&error.to_string());
                Ok(())
            }
            (expected, found) => Err(Failure::new(format!(
                "the answer\n  expected: {expected:?}\n  found:    {found:?}"
            ))),
        }
    }

    async fn read(&mut self, plan: &ReadPlan) -> Verdict {
        let query = self.query(plan);
        let request = query.request.clone();
        self.lines
            .push(format!("read({})", pages::text_of(&request)));
        if query.after == Place::Ahead || query.session == Some(Place::Ahead) {
            return match self.bench.store().read(request).await {
                Ok(page) => Err(Failure::new(format!(
                    "a read ahead of the store is answered with {} events",
                    page.events.len()
                ))),
                Err(error) => {
                    self.note("ahead of the store");
                    kind_is(&error, ErrorKind::CursorAhead)
                }
            };
        }
        let pages = pages::read_pages(&**self.bench.store(), request.clone()).await?;
        if let Selection::Stream(stream) = &request.selection {
            for page in &pages {
                let head = Some(self.model.stream_head(stream));
                check_eq(
                    "the stream's head on the page",
                    page.stream.as_ref(),
                    head.as_ref(),
                )?;
            }
        }
        let mut expected = self.model.select(&query, self.now());
        let mut found: Vec<&RecordedEvent> = pages.iter().flat_map(|page| &page.events).collect();
        if request.ordering == EventOrdering::PerStream {
            // Streams may interleave in any way.
            expected.sort_by_key(|place| self.model.stream_place(*place));
            found.sort_by_key(|event| (event.stream().clone(), event.version()));
        }
        let shown: Vec<String> = found.iter().map(|event| pages::place_of(event)).collect();
        check_eq(
            format!("the number of events shown: {shown:?}"),
            found.len(),
            expected.len(),
        )?;
        for (index, event) in expected.into_iter().zip(found) {
            self.model.check_event(index, event)?;
        }
        self.note(&format!("{} events on {} pages", shown.len(), pages.len()));
        self.check_cursors(&query, &pages)
    }

    /// A forward reader stands between what it was shown and what it was not.
    fn check_cursors(&self, query: &Query, pages: &[Page]) -> Verdict {
        let request = &query.request;
        if request.direction == Direction::Backward || !self.bench.capabilities().total_order {
            return Ok(());
        }
        for (number, page) in pages.iter().enumerate() {
            let shown = page.events.last().map(RecordedEvent::position);
            let mut later = pages.iter().skip(number + 1).flat_map(|page| &page.events);
            let next = later.next().map(RecordedEvent::position);
            let at = page.cursor.position();
            ensure!(
                shown <= at && (next.is_none() || at < next),
                "the cursor {} of page {} stands not between its last event and the next one",
                page.cursor,
                number + 1
            );
        }
        let Some(page) = pages.last() else {
            return Ok(());
        };
        let head = self.model.head();
        let until = request.until.as_ref();
        if let Some(before) = request.appended_before {
            let reach = self.model.reach(before, query.until);
            let (at, after) = (page.cursor.position(), request.after.position());
            ensure!(
                at >= reach.last_within && (at == after || is_before(at, reach.first_beyond)),
                "the last cursor {} stands not where the bounds end: {reach:?}",
                page.cursor
            );
            return Ok(());
        }
        if until.is_none() && request.until_version == Version::MAX {
            return check_eq("the last cursor", &page.cursor, &head);
        }
        let reached = until.filter(|until| head.covers(until));
        ensure!(
            head.covers(&page.cursor) && reached.is_none_or(|until| page.cursor.covers(until)),
            "the last cursor {} is past the head {head}, or before the bound",
            page.cursor
        );
        Ok(())
    }
}

/// From plans to values.
impl Drive<'_> {
    /// The n-th append, counted around.
    fn sent(&self, number: usize) -> Option<&Append> {
        let index = number.checked_rem(self.attempts.len())?;
        self.attempts.get(index).map(|attempt| &attempt.append)
    }

    fn attempt(&self, plan: &AppendPlan) -> Result<Attempt, Failure> {
        let home = self
            .pools
            .stream(plan.writes.first().map_or(0, |write| write.stream));
        let mut append = Append::builder(self.append_id(plan, &home));
        let mut streams = Vec::new();
        let mut ids = Vec::new();
        for write in &plan.writes {
            let stream = self.pools.stream(write.stream);
            if self.pools.may_meet(&home, &stream) && !streams.contains(&stream) {
                let expected = self.expected(write.expected, &stream);
                let new_event = |plan: &EventPlan| {
                    let tagged = self.pools.tags(&plan.tags, &stream);
                    new_event(plan, &tagged, &mut ids)
                };
                let events: Result<Vec<_>, Error> = write.events.iter().map(new_event).collect();
                append = append.write(stream.clone(), expected, events?);
                streams.push(stream);
            }
        }
        for (number, expected) in &plan.checks {
            let stream = self.pools.stream(*number);
            if self.pools.may_meet(&home, &stream) && !streams.contains(&stream) {
                append = append.check(stream.clone(), self.expected(*expected, &stream));
                streams.push(stream);
            }
        }
        let mut places = Vec::new();
        for (criteria, mark) in &plan.conditions {
            let (cursor, place) = self.cursor(*mark);
            append = append.unless(self.pools.criteria(criteria, &home), cursor);
            places.push(place);
        }
        Ok(Attempt {
            append: append.build()?,
            places,
        })
    }

    /// The id of an append before, which may be about this stream too, or a fresh one.
    fn append_id(&self, plan: &AppendPlan, home: &StreamId) -> AppendId {
        let fresh = append_id(&format!("id-{}", self.attempts.len()));
        let reused = plan.id.and_then(|number| self.sent(number));
        let reused = reused.filter(|append| {
            let mut streams = append.writes().iter().map(|write| &write.stream);
            streams.all(|stream| self.pools.may_meet(home, stream))
        });
        reused.map_or(fresh, Append::id)
    }

    fn expected(&self, plan: ExpectedPlan, stream: &StreamId) -> Expected {
        match plan {
            ExpectedPlan::Any => Expected::Any,
            ExpectedPlan::NoStream => Expected::NoStream,
            ExpectedPlan::StreamExists => Expected::StreamExists,
            ExpectedPlan::Current(more) => {
                let version = self.model.version(stream).value();
                Expected::Exactly(Version::new(version.saturating_add_signed(more.into())))
            }
        }
    }

    fn cursor(&self, mark: Mark) -> (Cursor, Place) {
        match mark {
            Mark::Start => (Cursor::START, Place::After(0)),
            Mark::Back(count) => self
                .model
                .cursor(self.model.event_count().saturating_sub(count)),
            // What is ahead of partitions that are all empty can't be told: the start says not how many there are.
            Mark::Ahead if self.pools.is_keyed() && self.model.event_count() == 0 => {
                (Cursor::START, Place::After(0))
            }
            Mark::Ahead => {
                let head = self.model.head();
                let further: Vec<_> = head
                    .positions()
                    .iter()
                    .map(|position| position.forward(3))
                    .collect();
                (Cursor::partitioned(further), Place::Ahead)
            }
        }
    }

    fn time(&self, moment: Moment) -> Timestamp {
        let time = self.model.time(moment.back).unwrap_or_default();
        Timestamp::from_micros(time.as_micros().saturating_add(moment.later))
    }

    fn query(&self, plan: &ReadPlan) -> Query {
        let selection = match &plan.selection {
            SelectionPlan::All => Selection::All,
            SelectionPlan::Stream(number) => Selection::Stream(self.pools.stream(*number)),
            SelectionPlan::Category(number) => {
                Selection::Category(category(of(&CATEGORIES, *number)))
            }
            SelectionPlan::Criteria(plan) => Selection::Criteria(self.pools.read_criteria(plan)),
        };
        let (after, after_place) = self.cursor(plan.after);
        let mut request = self.bench.ordered(ReadRequest::new(selection)).after(after);
        if plan.backward {
            request = request.backward();
        }
        let until = plan.until.map(|mark| self.cursor(mark));
        if let Some((cursor, _)) = &until {
            request = request.until(cursor.clone());
        }
        let of_stream = matches!(request.selection, Selection::Stream(_));
        if let (true, Some((after, until))) = (of_stream, plan.versions) {
            request = request
                .after_version(Version::new(after))
                .until_version(Version::new(until));
        }
        request.appended_from = plan.from.map(|moment| self.time(moment));
        request.appended_before = plan.before.map(|moment| self.time(moment));
        let session = plan.session.map(|mark| self.cursor(mark));
        if let Some((cursor, _)) = &session {
            request = request.consistency(ConsistencyLevel::Session(cursor.clone()));
        }
        Query {
            request: request
                .events_max(plan.events_max)
                .bytes_max(plan.bytes_max),
            after: after_place,
            until: until.map(|(_, place)| place),
            session: session.map(|(_, place)| place),
        }
    }
}

fn is_before(place: Option<Position>, next: Option<Position>) -> bool {
    next.is_none_or(|next| place < Some(next))
}

/// The event of a plan; an id that the append carries already is left out.
fn new_event(plan: &EventPlan, tagged: &[&str], ids: &mut Vec<u8>) -> Result<NewEvent, Error> {
    let payload = "p".repeat(usize::from(plan.payload));
    let kind = event_type(of(&TYPES, plan.event_type));
    let mut event = NewEvent::new(kind, ContentType::OCTETS, payload)?.with_tags(tags(tagged));
    if let Some(id) = plan.id.filter(|id| !ids.contains(id)) {
        ids.push(id);
        event = event.with_id(event_id(id.into()));
    }
    if let Some(seconds) = plan.recorded_at {
        event = event.with_recorded_at(Timestamp::from_seconds(seconds));
    }
    if let Some(header) = plan.header {
        event = event.with_metadata(Metadata::EMPTY.with_header("h", &header.to_string())?);
    }
    Ok(event)
}

/// An append of the same id, changed so.
fn twisted(first: &Attempt, twist: Twist) -> Result<Attempt, Failure> {
    let mut builder = Append::builder(first.append.id());
    for (number, write) in first.append.writes().iter().enumerate() {
        let changed = |event: &NewEvent| match twist {
            Twist::OtherContext => Ok(bare(event)?
                .with_recorded_at(Timestamp::from_seconds(77))
                .with_metadata(Metadata::EMPTY.with_header("h", "retry")?)),
            Twist::OtherPayload => {
                let payload = format!("{}!", String::from_utf8_lossy(event.payload()));
                let kind = event.event_type().clone();
                Ok(NewEvent::new(kind, event.content_type().clone(), payload)?
                    .with_tags(event.tags().clone()))
            }
            _ => Ok(event.clone()),
        };
        let events: Result<Vec<NewEvent>, Error> = write.events.iter().map(changed).collect();
        let mut events = events?;
        if let (Twist::OneEventMore, 0, Some(last)) = (twist, number, events.last()) {
            events.push(bare(last)?);
        }
        let expected = match twist {
            Twist::NoChecks => Expected::Any,
            _ => write.expected,
        };
        builder = builder.write(write.stream.clone(), expected, events);
    }
    // A place that was ahead of the store may be within it by now, so it is left out.
    let plain = matches!(twist, Twist::NoChecks) || first.places.contains(&Place::Ahead);
    let (builder, places) = if plain {
        (builder, Vec::new())
    } else {
        let places = first.places.clone();
        (with_checks_of(builder, &first.append), places)
    };
    Ok(Attempt {
        append: builder.build()?,
        places,
    })
}

fn with_checks_of(builder: AppendBuilder, append: &Append) -> AppendBuilder {
    let checked = append.checks().iter().fold(builder, |builder, check| {
        builder.check(check.stream.clone(), check.expected)
    });
    append
        .conditions()
        .iter()
        .fold(checked, |builder, condition| {
            builder.unless(condition.unless.clone(), condition.after.clone())
        })
}

/// The content of an event without identity, time and context.
fn bare(event: &NewEvent) -> Result<NewEvent, Error> {
    let kind = event.event_type().clone();
    let event = NewEvent::new(kind, event.content_type().clone(), event.payload().clone())?
        .with_tags(event.tags().clone());
    Ok(event)
}

fn check_failures(expected: &[FailedCheck], error: &Error) -> Verdict {
    let found = error
        .conflict()
        .map_or(&[][..], |conflict| conflict.failures());
    Model::check_conflict(expected, found)
}

fn kind_is(error: &Error, expected: ErrorKind) -> Verdict {
    check_eq(
        format!("the kind of the error `{error}`"),
        error.kind(),
        expected,
    )
}
