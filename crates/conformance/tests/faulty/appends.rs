//! Lies about appends.

use std::sync::atomic::Ordering;
use std::thread::yield_now;

use annals_core::{
    Answer, Append, AppendId, Condition, Conflict, Criteria, CriteriaItem, Cursor, Error,
    ErrorKind, EventStore, Expected, FailedCheck, Metadata, NewEvent, ReadRequest, Receipt,
    StreamCheck, StreamId, StreamReceipt, StreamWrite, Tags, Timestamp,
};

use super::{Bug, Faulty, lock};

/// The parts of an append, to change.
struct Plan {
    id: AppendId,
    writes: Vec<StreamWrite>,
    checks: Vec<StreamCheck>,
    conditions: Vec<Condition>,
}

impl Plan {
    fn of(append: &Append) -> Self {
        Self {
            id: append.id(),
            writes: append.writes().to_vec(),
            checks: append.checks().to_vec(),
            conditions: append.conditions().to_vec(),
        }
    }

    /// The same, expecting nothing.
    fn loose(append: &Append) -> Self {
        let mut plan = Self::of(append);
        plan.expect(|_| Expected::Any);
        plan.checks.clear();
        plan.conditions.clear();
        plan
    }

    fn expect(&mut self, change: impl Fn(Expected) -> Expected) {
        for write in &mut self.writes {
            write.expected = change(write.expected);
        }
        for check in &mut self.checks {
            check.expected = change(check.expected);
        }
    }

    fn events(
        &mut self,
        change: impl Fn(&NewEvent) -> Result<NewEvent, Error>,
    ) -> Result<(), Error> {
        for write in &mut self.writes {
            for event in &mut write.events {
                *event = change(event)?;
            }
        }
        Ok(())
    }

    fn build(self) -> Result<Append, Error> {
        let mut append = Append::builder(self.id);
        for write in self.writes {
            append = append.write(write.stream, write.expected, write.events);
        }
        for check in self.checks {
            append = append.check(check.stream, check.expected);
        }
        for condition in self.conditions {
            append = append.unless(condition.unless, condition.after);
        }
        append.build()
    }
}

impl Faulty {
    pub(super) async fn faulty_append(&self, append: Append) -> Result<Receipt, Error> {
        let Some(bug) = self.bug else {
            return self.store.append(append).await;
        };
        match bug {
            Bug::NoStreamTakenAsAny
            | Bug::StreamExistsTakenAsAny
            | Bug::CheckOnUnwrittenStreamIgnored
            | Bug::ConditionsIgnored
            | Bug::ConditionOneTooLate
            | Bug::ConditionOneTooEarly
            | Bug::ConditionWithoutTags
            | Bug::ConditionOfFirstItemOnly
            | Bug::FirstConditionOnly
            | Bug::EventIdReplaced
            | Bug::MetadataLost
            | Bug::TrailingZerosCut
            | Bug::RecordedAtReplaced
            | Bug::WritesReordered => {
                let changed = changed(&append, bug)?;
                let answer = self.store.append(changed).await;
                answer.map_err(|error| as_asked(error, &append))
            }
            Bug::RetryRecordedAgain => {
                let fresh = self.under_fresh_id(&append)?;
                let answer = self.store.append(fresh).await;
                answer.map(|receipt| of_id(receipt, &append))
            }
            Bug::VersionCheckedThenWritten => self.checked_then_written(append).await,
            Bug::ConditionCountsOwnEvents => self.counting_own_events(append).await,
            Bug::RejectedIdTaken => self.remembering_rejections(append).await,
            Bug::MultiStreamAppendInPart => self.write_by_write(append).await,
            Bug::EventsRecordedOneByOne => self.one_by_one(append).await,
            Bug::LostUnderConcurrency => self.losing(append).await,
            Bug::AcknowledgedBeforeRecorded => self.acknowledged_first(append).await,
            _ => {
                let answer = self.store.append(append.clone()).await;
                self.twisted(append, answer).await
            }
        }
    }

    /// Lies about the answer of the store.
    async fn twisted(
        &self,
        append: Append,
        answer: Result<Receipt, Error>,
    ) -> Result<Receipt, Error> {
        let error = match answer {
            Ok(receipt) => return self.twisted_receipt(&append, receipt).await,
            Err(error) => error,
        };
        let failures = error.conflict().map_or(&[][..], Conflict::failures);
        let accept = match self.bug {
            Some(Bug::ConflictLost) => !failures.is_empty(),
            Some(Bug::ExactlyTakenAsAtLeast) => {
                failures.iter().all(is_past) && !failures.is_empty()
            }
            Some(Bug::ConditionOnWrittenStreamsOnly) => {
                self.is_elsewhere(&append, failures).await? && !failures.is_empty()
            }
            Some(Bug::EventIdNotUnique) => {
                let held = |failure: &FailedCheck| matches!(failure, FailedCheck::EventId { .. });
                failures.iter().all(held) && !failures.is_empty()
            }
            Some(Bug::ReusedIdAccepted) => error.kind() == ErrorKind::AppendIdReused,
            _ => false,
        };
        if !accept {
            return Err(retold(error, self.bug));
        }
        let mut plan = Plan::loose(&append);
        plan.events(bare)?;
        let loose = self.under_fresh_id(&plan.build()?)?;
        let receipt = self.store.append(loose).await?;
        Ok(of_id(receipt, &append))
    }

    async fn twisted_receipt(
        &self,
        append: &Append,
        mut receipt: Receipt,
    ) -> Result<Receipt, Error> {
        match self.bug {
            Some(Bug::StrongReadLags) => self.armed.store(true, Ordering::SeqCst),
            Some(Bug::RetryNotMarked) => receipt.answer = Answer::First,
            Some(Bug::RetryJudgedAgain) if receipt.is_duplicate() => {
                let again = self.under_fresh_id(append)?;
                let mut plan = Plan::of(&again);
                plan.checks.push(StreamCheck {
                    stream: StreamId::from_static("never-there"),
                    expected: Expected::StreamExists,
                });
                // The added check makes it fail for certain; the others are judged with it.
                let judged = self.store.append(plan.build()?).await;
                if let Some(failures) = judged.err().as_ref().and_then(Error::conflict)
                    && failures.failures().len() > 1
                {
                    return Err(Error::from(failures.clone()));
                }
            }
            Some(Bug::AppendedAtGoesBack) => {
                receipt.appended_at = shifted(receipt.appended_at, receipt.first_position.value());
            }
            Some(Bug::RecordedButRejected) => {
                let number = self.count.fetch_add(1, Ordering::SeqCst);
                if number % 7 == 6 {
                    return Err(Error::new(
                        ErrorKind::Overloaded,
                        "too much to do; retry later",
                    ));
                }
            }
            Some(Bug::GapInVersions) => {
                for written in &mut receipt.streams {
                    written.first_version = super::reads::gapped(written.first_version);
                    written.last_version = super::reads::gapped(written.last_version);
                }
            }
            _ => {}
        }
        Ok(receipt)
    }

    /// Judges the versions, lets others in, and writes.
    async fn checked_then_written(&self, append: Append) -> Result<Receipt, Error> {
        let mut probe = Plan::of(&append);
        probe.id = self.fresh_id()?;
        probe.checks.push(StreamCheck {
            stream: StreamId::from_static("never-there"),
            expected: Expected::StreamExists,
        });
        let known = self.store.receipt(&append.id()).await?.is_some();
        let judged = self.store.append(probe.build()?).await.err();
        let count = judged
            .as_ref()
            .and_then(Error::conflict)
            .map(|all| all.failures().len());
        if known || count != Some(1) {
            return self.store.append(append).await;
        }
        for _ in 0..3 {
            yield_now();
        }
        self.store.append(Plan::loose(&append).build()?).await
    }

    async fn counting_own_events(&self, append: Append) -> Result<Receipt, Error> {
        let own = append
            .conditions()
            .iter()
            .enumerate()
            .find(|(_, condition)| {
                let matches =
                    |event: &NewEvent| condition.unless.selects(event.event_type(), event.tags());
                append.events().any(|(_, event)| matches(event))
            });
        let Some((index, condition)) = own else {
            return self.store.append(append).await;
        };
        let failure = FailedCheck::Condition {
            index,
            unless: condition.unless.clone(),
            after: condition.after.clone(),
            positions: Vec::new(),
        };
        Err(conflict(vec![failure]))
    }

    async fn remembering_rejections(&self, append: Append) -> Result<Receipt, Error> {
        let id = append.id();
        if lock(&self.rejected).contains(&id) {
            return Err(Error::new(
                ErrorKind::AppendIdReused,
                "append id was used; use a fresh one",
            ));
        }
        let answer = self.store.append(append).await;
        if answer.is_err() {
            lock(&self.rejected).insert(id);
        }
        answer
    }

    /// Records the writes one by one, up to the first that fails.
    async fn write_by_write(&self, append: Append) -> Result<Receipt, Error> {
        if append.writes().len() == 1 || self.store.receipt(&append.id()).await?.is_some() {
            return self.store.append(append).await;
        }
        let answer = self.store.append(append.clone()).await;
        if answer.is_err() {
            for write in append.writes() {
                let mut part = Plan::of(&append);
                part.id = self.fresh_id()?;
                part.writes = vec![write.clone()];
                self.store.append(part.build()?).await?;
            }
        }
        answer
    }

    /// Records the events one by one, so that readers see a part and others come in between.
    async fn one_by_one(&self, append: Append) -> Result<Receipt, Error> {
        let known = self.store.receipt(&append.id()).await?.is_some();
        if append.event_count() == 1 || known || append.writes().len() > 1 {
            return self.store.append(append).await;
        }
        let Some(write) = append.writes().first() else {
            return self.store.append(append).await;
        };
        let mut receipts: Vec<Receipt> = Vec::new();
        for event in &write.events {
            let first = receipts.is_empty();
            let mut part = if first {
                Plan::of(&append)
            } else {
                Plan::loose(&append)
            };
            part.id = self.fresh_id()?;
            part.writes = vec![StreamWrite {
                stream: write.stream.clone(),
                expected: if first { write.expected } else { Expected::Any },
                events: vec![event.clone()],
            }];
            receipts.push(self.store.append(part.build()?).await?);
            yield_now();
        }
        let (Some(first), Some(last)) = (receipts.first(), receipts.last()) else {
            return self.store.append(append).await;
        };
        let mut whole = of_id(last.clone(), &append);
        whole.first_position = first.first_position;
        if let (Some(from), Some(to)) = (first.streams.first(), whole.streams.first_mut()) {
            to.first_version = from.first_version;
        }
        Ok(whole)
    }

    /// Acknowledges an append without recording it when another one is under way.
    async fn losing(&self, append: Append) -> Result<Receipt, Error> {
        let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
        yield_now();
        let answer = if others > 0 && append.conditions().is_empty() {
            self.made_up(&append).await
        } else {
            self.store.append(append).await
        };
        yield_now();
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    /// Acknowledges an append, and records it when the next call comes.
    async fn acknowledged_first(&self, append: Append) -> Result<Receipt, Error> {
        let known = self.store.receipt(&append.id()).await?.is_some();
        let plain = append.conditions().is_empty()
            && append
                .expectations()
                .all(|(_, expected)| expected == Expected::Any);
        if known || !plain {
            self.record_waiting().await?;
            return self.store.append(append).await;
        }
        let promised = self.made_up(&append).await?;
        let before = lock(&self.waiting).replace(append);
        if let Some(before) = before {
            self.store.append(before).await?;
        }
        Ok(promised)
    }

    /// Records what was acknowledged already.
    pub(super) async fn record_waiting(&self) -> Result<(), Error> {
        let waiting = lock(&self.waiting).take();
        if let Some(append) = waiting {
            self.store.append(append).await?;
        }
        Ok(())
    }

    /// The receipt that the append would have if it were recorded now.
    async fn made_up(&self, append: &Append) -> Result<Receipt, Error> {
        let first_position = self.head_position().await?.next();
        let last_position = first_position.forward(append.event_count() as u64 - 1);
        let mut streams = Vec::new();
        for write in append.writes() {
            let before = self.store.stream_head(&write.stream).await?.version;
            streams.push(StreamReceipt {
                stream: write.stream.clone(),
                first_version: before.next(),
                last_version: before.forward(write.events.len() as u64),
            });
        }
        Ok(Receipt {
            append_id: append.id(),
            first_position,
            last_position,
            streams,
            cursor: Cursor::at(last_position),
            appended_at: Timestamp::EPOCH,
            answer: Answer::First,
        })
    }

    /// Whether all events that a condition rules out are of streams that the append does not write.
    async fn is_elsewhere(&self, append: &Append, failures: &[FailedCheck]) -> Result<bool, Error> {
        for failure in failures {
            let FailedCheck::Condition { positions, .. } = failure else {
                return Ok(false);
            };
            for position in positions {
                let one = ReadRequest::all()
                    .after(position.previous())
                    .until(*position);
                let page = self.store.read(one).await?;
                let written =
                    |stream: &StreamId| append.writes().iter().any(|write| write.stream == *stream);
                if page.events.iter().any(|event| written(event.stream())) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn under_fresh_id(&self, append: &Append) -> Result<Append, Error> {
        let mut plan = Plan::of(append);
        plan.id = self.fresh_id()?;
        plan.build()
    }

    fn fresh_id(&self) -> Result<AppendId, Error> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        AppendId::parse(&format!("made up {number}"))
    }
}

/// The append as a store with this bug understands it.
fn changed(append: &Append, bug: Bug) -> Result<Append, Error> {
    let mut plan = Plan::of(append);
    let taken_as_any = |ignored: Expected| {
        move |expected: Expected| {
            if expected == ignored {
                Expected::Any
            } else {
                expected
            }
        }
    };
    match bug {
        Bug::NoStreamTakenAsAny => plan.expect(taken_as_any(Expected::NoStream)),
        Bug::StreamExistsTakenAsAny => plan.expect(taken_as_any(Expected::StreamExists)),
        Bug::CheckOnUnwrittenStreamIgnored => plan.checks.clear(),
        Bug::ConditionsIgnored => plan.conditions.clear(),
        Bug::FirstConditionOnly => plan.conditions.truncate(1),
        Bug::WritesReordered => plan.writes.reverse(),
        Bug::EventIdReplaced => plan.events(|event| {
            let recorded_at = event.recorded_at();
            let kept = bare(event)?.with_metadata(event.metadata().clone());
            Ok(match recorded_at {
                Some(time) => kept.with_recorded_at(time),
                None => kept,
            })
        })?,
        Bug::MetadataLost => {
            plan.events(|event| Ok(event.clone().with_metadata(Metadata::EMPTY)))?;
        }
        Bug::RecordedAtReplaced => plan.events(|event| {
            let kept = bare(event)?.with_metadata(event.metadata().clone());
            Ok(match event.id() {
                Some(id) => kept.with_id(id),
                None => kept,
            })
        })?,
        Bug::TrailingZerosCut => plan.events(|event| {
            let end = event.payload().iter().rposition(|byte| *byte != 0);
            let payload = event.payload().slice(..end.map_or(0, |last| last + 1));
            with_payload(event, payload)
        })?,
        _ => {
            for condition in &mut plan.conditions {
                change_condition(condition, bug)?;
            }
        }
    }
    plan.build()
}

fn change_condition(condition: &mut Condition, bug: Bug) -> Result<(), Error> {
    let position = condition.after.position().unwrap_or_default();
    match bug {
        Bug::ConditionOneTooLate => condition.after = Cursor::at(position.next()),
        Bug::ConditionOneTooEarly => condition.after = Cursor::at(position.previous()),
        Bug::ConditionWithoutTags => {
            let items: Result<Vec<CriteriaItem>, Error> = condition
                .unless
                .items()
                .iter()
                .map(|item| CriteriaItem::new(item.types().iter().cloned(), Tags::EMPTY))
                .collect();
            condition.unless = Criteria::any_of(items?)?;
        }
        Bug::ConditionOfFirstItemOnly => {
            condition.unless = Criteria::any_of(condition.unless.items().iter().take(1).cloned())?;
        }
        _ => {}
    }
    Ok(())
}

/// The conflict in the words of the append that was sent.
fn as_asked(error: Error, append: &Append) -> Error {
    let Some(found) = error.conflict() else {
        return error;
    };
    let failures = found
        .failures()
        .iter()
        .cloned()
        .map(|failure| match failure {
            FailedCheck::Condition {
                index, positions, ..
            } => {
                let asked = append.conditions().get(index);
                FailedCheck::Condition {
                    index,
                    unless: asked.map_or_else(Criteria::everything, |asked| asked.unless.clone()),
                    after: asked.map_or(Cursor::START, |asked| asked.after.clone()),
                    positions,
                }
            }
            other => other,
        });
    conflict(failures.collect())
}

/// The conflict as a store with this bug tells it.
fn retold(error: Error, bug: Option<Bug>) -> Error {
    let Some(found) = error.conflict() else {
        return error;
    };
    let mut failures = found.failures().to_vec();
    if bug == Some(Bug::ConflictOfFirstCheckOnly) {
        failures.truncate(1);
    }
    for failure in &mut failures {
        if let (FailedCheck::Stream { actual, .. }, Some(Bug::ConflictWithVersionOneTooHigh)) =
            (&mut *failure, bug)
        {
            *actual = actual.next();
        }
        if let FailedCheck::Stream { positions, .. } | FailedCheck::Condition { positions, .. } =
            failure
        {
            match bug {
                Some(Bug::ConflictWithNewestPositions) => positions.reverse(),
                Some(Bug::ConflictWithoutPositions) => positions.clear(),
                _ => {}
            }
        }
    }
    conflict(failures)
}

fn conflict(failures: Vec<FailedCheck>) -> Error {
    Conflict::of(failures).map_or_else(
        || Error::new(ErrorKind::Conflict, "nothing failed"),
        Error::from,
    )
}

/// Whether a check failed because the stream is further than expected.
fn is_past(failure: &FailedCheck) -> bool {
    match failure {
        FailedCheck::Stream {
            expected: Expected::Exactly(expected),
            actual,
            ..
        } => actual > expected,
        _ => false,
    }
}

fn of_id(mut receipt: Receipt, append: &Append) -> Receipt {
    receipt.append_id = append.id();
    receipt
}

/// The event without identity, time and context.
fn bare(event: &NewEvent) -> Result<NewEvent, Error> {
    let kind = event.event_type().clone();
    let event = NewEvent::new(kind, event.content_type().clone(), event.payload().clone())?
        .with_schema_version(event.schema_version())
        .with_tags(event.tags().clone());
    Ok(event)
}

fn with_payload(event: &NewEvent, payload: bytes::Bytes) -> Result<NewEvent, Error> {
    let kind = event.event_type().clone();
    let mut new = NewEvent::new(kind, event.content_type().clone(), payload)?
        .with_schema_version(event.schema_version())
        .with_tags(event.tags().clone())
        .with_metadata(event.metadata().clone());
    if let Some(id) = event.id() {
        new = new.with_id(id);
    }
    if let Some(time) = event.recorded_at() {
        new = new.with_recorded_at(time);
    }
    Ok(new)
}

/// An hour earlier for every other append.
pub(super) fn shifted(time: Timestamp, position: u64) -> Timestamp {
    let hour = if position.is_multiple_of(2) {
        3_600_000_000
    } else {
        0
    };
    Timestamp::from_micros(time.as_micros() - hour)
}
