//! What appends were told, held against where they stand.

use std::collections::{BTreeMap, HashMap, HashSet};

use annals_core::{Append, AppendId, ErrorKind, Receipt, RecordedEvent, StreamId, Version};

use super::recorder::{Call, History, Told, ToldReceipt, What};
use super::violation::Violation;
use super::witness::{Placed, Witness};

/// The calls that sent one append id, in the order in which they began.
struct Attempts<'a> {
    id: AppendId,
    calls: Vec<(&'a Call, &'a Append, &'a Told)>,
}

/// The log by itself: order, versions, times, ids.
pub(super) fn check_log(log: &[RecordedEvent]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut versions: HashMap<&StreamId, Version> = HashMap::new();
    let mut ids = HashSet::new();
    let mut last: Option<&RecordedEvent> = None;
    for event in log {
        let position = event.position();
        if last.is_some_and(|last| last.position() >= position) {
            violations.push(Violation::OutOfOrder { position });
        }
        if last.is_some_and(|last| last.appended_at() > event.appended_at()) {
            violations.push(Violation::TimeWentBack { position });
        }
        if !ids.insert(event.id()) {
            let id = event.id();
            violations.push(Violation::EventIdTwice { id, position });
        }
        let version = versions.entry(event.stream()).or_default();
        let expected = version.next();
        if event.version() != expected {
            violations.push(Violation::VersionGap {
                stream: event.stream().clone(),
                expected,
                found: event.version(),
            });
        }
        *version = event.version();
        last = Some(event);
    }
    violations
}

/// Finds where each append stands, notes it in the witness, and judges what each was told.
pub(super) fn check(history: &History, witness: &mut Witness<'_>) -> Vec<Violation> {
    let attempts = attempts(history);
    let mut violations = Vec::new();
    let placed = place(&attempts, witness, &mut violations);
    witness.place(placed);
    for attempts in &attempts {
        violations.extend(check_kept(attempts, witness));
        violations.extend(check_rejections(attempts, witness));
    }
    violations.extend(check_real_time(witness));
    violations.extend(check_told_receipts(history, &attempts, witness));
    violations
}

fn attempts(history: &History) -> Vec<Attempts<'_>> {
    let mut by_id: BTreeMap<AppendId, Vec<(&Call, &Append, &Told)>> = BTreeMap::new();
    for call in &history.calls {
        if let What::Append(append, told) = &call.what {
            by_id
                .entry(append.id())
                .or_default()
                .push((call, append, told));
        }
    }
    by_id
        .into_iter()
        .map(|(id, calls)| Attempts { id, calls })
        .collect()
}

impl<'a> Attempts<'a> {
    fn receipts(&self) -> impl Iterator<Item = (&'a Call, &'a Append, &'a Receipt)> {
        self.calls
            .iter()
            .filter_map(|(call, append, told)| match told {
                Told::Recorded(receipt) => Some((*call, *append, receipt)),
                _ => None,
            })
    }

    fn unknown(&self) -> impl Iterator<Item = (&'a Call, &'a Append)> {
        self.calls.iter().filter_map(|(call, append, told)| {
            matches!(told, Told::Unknown).then_some((*call, *append))
        })
    }

    /// The calls that recorded the append, or may have: the one that was told so, else those that
    /// were told nothing.
    fn recorders(&self) -> Vec<(&'a Call, &'a Append)> {
        let told = self
            .receipts()
            .find(|(.., receipt)| !receipt.is_duplicate());
        match told {
            Some((call, append, _)) => vec![(call, append)],
            None => self.unknown().collect(),
        }
    }

    /// The place of an append in the log that has been found.
    fn placed(&self, from: usize, to: usize) -> Placed {
        let recorders = self.recorders();
        Placed {
            from,
            to,
            began: recorders
                .iter()
                .map(|(call, _)| call.began)
                .min()
                .unwrap_or(0),
            acknowledged: self
                .receipts()
                .map(|(call, ..)| call.ended)
                .min()
                .unwrap_or(u64::MAX),
        }
    }
}

/// Where each append stands: by its receipts, or by its events where nobody was told.
fn place(
    attempts: &[Attempts<'_>],
    witness: &Witness<'_>,
    violations: &mut Vec<Violation>,
) -> BTreeMap<AppendId, Placed> {
    let mut placed = BTreeMap::new();
    let mut claimed = vec![false; witness.log.len()];
    for attempts in attempts {
        if let Some((from, to)) = check_receipts(attempts, witness, violations) {
            let span = claimed.get_mut(from..to).unwrap_or_default();
            if span.iter().any(|claimed| *claimed) {
                let append = attempts.id;
                violations.push(Violation::RecordedTwice { append });
            }
            span.fill(true);
            placed.insert(attempts.id, attempts.placed(from, to));
        }
    }
    for attempts in attempts {
        if placed.contains_key(&attempts.id) {
            continue;
        }
        let found = attempts
            .unknown()
            .find_map(|(_, append)| find(append, witness, &claimed));
        if let Some((from, to)) = found {
            claimed.get_mut(from..to).unwrap_or_default().fill(true);
            placed.insert(attempts.id, attempts.placed(from, to));
        }
    }
    for (index, event) in witness.log.iter().enumerate() {
        if claimed.get(index) == Some(&false) {
            violations.push(unclaimed(index, event, attempts, witness));
        }
    }
    placed
}

/// Holds the receipts of an append against each other and against the log; gives the span of its events.
fn check_receipts(
    attempts: &Attempts<'_>,
    witness: &Witness<'_>,
    violations: &mut Vec<Violation>,
) -> Option<(usize, usize)> {
    let append = attempts.id;
    let (.., first) = attempts.receipts().next()?;
    let firsts = attempts
        .receipts()
        .filter(|(.., receipt)| !receipt.is_duplicate());
    if firsts.count() > 1 {
        violations.push(Violation::RecordedTwice { append });
    }
    let (from, to) = (first.first_position, first.last_position);
    let span = (witness.moment_of(from.previous()), witness.moment_of(to));
    let earliest = attempts
        .recorders()
        .iter()
        .map(|(call, _)| call.began)
        .min();
    for (call, sent, receipt) in attempts.receipts() {
        if receipt.as_duplicate() != first.as_duplicate() {
            violations.push(Violation::ReceiptsDiffer { append });
        }
        if receipt.is_duplicate() && earliest.is_none_or(|earliest| earliest > call.ended) {
            violations.push(Violation::DuplicateOfNothing { append });
        }
        let kept = receipt.is_duplicate() || keeps_ids(sent, witness, span);
        if !kept || !witness.shows(sent, span.0, span.1) || !agrees(receipt, witness, span) {
            violations.push(Violation::Misplaced {
                append,
                first: from,
                last: to,
            });
            return None;
        }
    }
    Some(span)
}

/// Whether the events have the ids that the application gave them.
fn keeps_ids(sent: &Append, witness: &Witness<'_>, (from, to): (usize, usize)) -> bool {
    let events = witness.log.get(from..to).unwrap_or_default();
    let mut pairs = sent.events().zip(events);
    pairs.all(|((_, sent), recorded)| sent.id().is_none_or(|id| id == recorded.id()))
}

/// Whether positions, versions and times of a receipt are those of the events.
fn agrees(receipt: &Receipt, witness: &Witness<'_>, (from, to): (usize, usize)) -> bool {
    let events = witness.log.get(from..to).unwrap_or_default();
    let positions = events
        .first()
        .zip(events.last())
        .is_some_and(|(first, last)| {
            first.position() == receipt.first_position && last.position() == receipt.last_position
        });
    let times = events
        .iter()
        .all(|event| event.appended_at() == receipt.appended_at);
    let versions = receipt.streams.iter().all(|written| {
        let stream = &written.stream;
        written.first_version == witness.version(stream, from).next()
            && written.last_version == witness.version(stream, to)
    });
    positions && times && versions
}

/// Where the events of an append stand that nobody claims.
fn find(append: &Append, witness: &Witness<'_>, claimed: &[bool]) -> Option<(usize, usize)> {
    let (stream, first) = append.events().next()?;
    let count = append.event_count();
    witness.of_stream(stream).iter().find_map(|from| {
        let free = claimed
            .get(*from..from + count)?
            .iter()
            .all(|claimed| !claimed);
        let found = free
            && witness.is_one_of(*from, stream, first)
            && witness.shows(append, *from, from + count);
        found.then_some((*from, from + count))
    })
}

/// Why an event stands in the log that no append can claim.
fn unclaimed(
    index: usize,
    event: &RecordedEvent,
    attempts: &[Attempts<'_>],
    witness: &Witness<'_>,
) -> Violation {
    let position = event.position();
    let sent = attempts
        .iter()
        .flat_map(|attempts| &attempts.calls)
        .find(|(_, append, _)| {
            append
                .events()
                .any(|(stream, event)| witness.is_one_of(index, stream, event))
        });
    match sent {
        None => Violation::FromNowhere { position },
        Some((_, append, told)) => {
            let append = append.id();
            match told {
                Told::Recorded(_) => Violation::RecordedTwice { append },
                Told::Rejected(..) => Violation::RejectedButRecorded { append, position },
                Told::Unknown => Violation::PartlyRecorded { append, position },
            }
        }
    }
}

/// Expectations and conditions of a recorded append hold at its place.
fn check_kept(attempts: &Attempts<'_>, witness: &Witness<'_>) -> Vec<Violation> {
    let Some(placed) = witness.placed.get(&attempts.id) else {
        return Vec::new();
    };
    let broken: Vec<Vec<Violation>> = attempts
        .recorders()
        .iter()
        .map(|(_, append)| broken(append, placed.from, witness))
        .collect();
    // Of several attempts that may have recorded it, one that kept its word will do.
    broken.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

fn broken(append: &Append, moment: usize, witness: &Witness<'_>) -> Vec<Violation> {
    let id = append.id();
    let expectations = append.expectations().filter_map(|(stream, expected)| {
        let actual = witness.version(stream, moment);
        (!expected.holds(actual, false)).then(|| Violation::ExpectationBroken {
            append: id,
            stream: stream.clone(),
            expected,
            actual,
        })
    });
    let conditions = append.conditions().iter().filter_map(|condition| {
        let after = witness.moment_of(condition.after.position().unwrap_or_default());
        let span = witness.log.get(after..moment).unwrap_or_default();
        let event = span.iter().find(|event| condition.unless.matches(event))?;
        Some(Violation::ConditionBroken {
            append: id,
            position: event.position(),
        })
    });
    expectations.chain(conditions).collect()
}

/// Conflicts really were there at some moment of the call; reused ids really stood for something else.
fn check_rejections(attempts: &Attempts<'_>, witness: &Witness<'_>) -> Vec<Violation> {
    let placed = witness.placed.get(&attempts.id);
    let mut violations = Vec::new();
    for (call, append, told) in &attempts.calls {
        let id = append.id();
        match told {
            Told::Rejected(ErrorKind::Conflict, conflict) => {
                let span = witness.span(call.began, call.ended);
                let listed = conflict
                    .as_ref()
                    .map_or(&[][..], |conflict| conflict.failures());
                let unrecorded =
                    |moment: &usize| placed.is_none_or(|placed| *moment <= placed.from);
                let justified = !listed.is_empty()
                    && witness
                        .moments(span)
                        .filter(unrecorded)
                        .any(|moment| witness.failures(append, moment) == listed);
                if !justified {
                    violations.push(Violation::UnjustifiedConflict {
                        append: id,
                        conflict: conflict.clone(),
                    });
                }
            }
            Told::Rejected(ErrorKind::AppendIdReused, _) => {
                let other = placed.is_some_and(|placed| {
                    placed.began < call.ended && !witness.shows(append, placed.from, placed.to)
                });
                if !other {
                    violations.push(Violation::UnjustifiedReuse { append: id });
                }
            }
            _ => {}
        }
    }
    violations
}

/// A receipt that was asked for is that of the append, and is there once the append was acknowledged.
fn check_told_receipts(
    history: &History,
    attempts: &[Attempts<'_>],
    witness: &Witness<'_>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for call in &history.calls {
        let What::Receipt(id, told) = &call.what else {
            continue;
        };
        let placed = witness.placed.get(id);
        let right = match (told, placed) {
            (ToldReceipt::NoAnswer, _) => true,
            (ToldReceipt::NoReceipt, placed) => {
                placed.is_none_or(|placed| placed.acknowledged > call.began)
            }
            (ToldReceipt::Receipt(_), None) => false,
            (ToldReceipt::Receipt(told), Some(placed)) => {
                let sent = attempts.iter().find(|attempts| attempts.id == *id);
                let mut known = sent.into_iter().flat_map(Attempts::receipts);
                let same = known.all(|(.., receipt)| receipt.as_duplicate() == *told);
                let there = agrees(told, witness, (placed.from, placed.to));
                same && there && told.is_duplicate() && placed.began < call.ended
            }
        };
        if !right {
            violations.push(Violation::WrongReceipt { append: *id });
        }
    }
    violations
}

/// An append that began after another was acknowledged stands after it.
fn check_real_time(witness: &Witness<'_>) -> Vec<Violation> {
    let mut by_beginning: Vec<(&AppendId, &Placed)> = witness.placed.iter().collect();
    by_beginning.sort_unstable_by_key(|(_, placed)| placed.began);
    let mut by_end = by_beginning.clone();
    by_end.sort_unstable_by_key(|(_, placed)| placed.acknowledged);
    let mut ended = by_end.into_iter().peekable();
    let mut furthest: Option<(&AppendId, &Placed)> = None;
    let mut violations = Vec::new();
    for (later, placed) in by_beginning {
        while let Some(next) = ended.next_if(|(_, other)| other.acknowledged < placed.began) {
            if furthest.is_none_or(|(_, furthest)| furthest.to < next.1.to) {
                furthest = Some(next);
            }
        }
        if let Some((earlier, _)) = furthest.filter(|(_, furthest)| furthest.to > placed.from) {
            violations.push(Violation::OutOfRealTime {
                earlier: *earlier,
                later: *later,
            });
        }
    }
    violations
}
