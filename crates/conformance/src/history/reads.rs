//! What reads were told, held against what the store held at the time.

use std::collections::HashMap;

use annals_core::{
    ConsistencyLevel, Cursor, Direction, Page, Position, ReadRequest, RecordedEvent,
};

use super::recorder::{Call, History, What};
use super::violation::Violation;
use super::witness::{Span, Witness};
use crate::pages::text_of;

/// Judges every read, head and wake-up.
pub(super) fn check(history: &History, witness: &Witness<'_>) -> Vec<Violation> {
    let mut selections = Selections::new(witness);
    let mut violations = Vec::new();
    for call in &history.calls {
        match &call.what {
            What::Read(request, Some(page)) => {
                let span = span_of(witness, call, &request.consistency);
                let selected = selections.of(request);
                let read = Read {
                    witness,
                    request,
                    page,
                    span,
                    selected: &selected,
                };
                violations.extend(read.check());
            }
            What::Head(consistency, Some(head)) => {
                let span = span_of(witness, call, consistency);
                let moment = moment_of(witness, head);
                let possible = span.first <= moment && moment <= span.last;
                if !possible || !witness.is_boundary(moment) {
                    violations.push(wrong_head("the head", head));
                }
            }
            What::StreamHead(stream, Some(head)) => {
                let span = witness.span(call.began, call.ended);
                let mut moments = witness.moments(span);
                if !moments.any(|moment| witness.version(stream, moment) == head.version) {
                    let asked = format!("the version of stream {stream}");
                    violations.push(wrong_head(&asked, head.version));
                }
            }
            What::ChangedSince(since, Some(head)) => {
                let span = witness.span(call.began, call.ended);
                let past = head.covers(since) && head != since;
                if !past || moment_of(witness, head) > span.last {
                    violations.push(wrong_head(&format!("a change since {since}"), head));
                }
            }
            _ => {}
        }
    }
    violations
}

/// The log places of each selection that was asked for, found once.
struct Selections<'w, 'a> {
    witness: &'w Witness<'a>,
    known: HashMap<String, Vec<usize>>,
}

impl<'w, 'a> Selections<'w, 'a> {
    fn new(witness: &'w Witness<'a>) -> Self {
        Self {
            witness,
            known: HashMap::new(),
        }
    }

    /// What the request selects within its bounds, oldest first, whatever was there at the time.
    fn of(&mut self, request: &ReadRequest) -> Vec<usize> {
        let name = format!("{:?}", request.selection);
        let witness = self.witness;
        let all = self
            .known
            .entry(name)
            .or_insert_with(|| witness.select(&request.selection));
        let after = moment_of(witness, &request.after);
        let until = request.until.as_ref();
        let until = until.map_or(usize::MAX, |until| moment_of(witness, until));
        let in_bounds = |index: &usize| {
            let event = witness.log.get(*index);
            let version = event.map(RecordedEvent::version);
            let time = event.map(RecordedEvent::appended_at);
            let (from, before) = (request.appended_from, request.appended_before);
            version > Some(request.after_version)
                && version <= Some(request.until_version)
                && time >= from
                && before.is_none_or(|before| time < Some(before))
        };
        let from = all.partition_point(|index| *index < after);
        let to = all.partition_point(|index| *index < until).max(from);
        let within = all.get(from..to).unwrap_or_default();
        within.iter().copied().filter(in_bounds).collect()
    }
}

/// One read, and what it could have shown.
struct Read<'r, 'a> {
    witness: &'r Witness<'a>,
    request: &'r ReadRequest,
    page: &'r Page,
    span: Span,
    selected: &'r [usize],
}

impl Read<'_, '_> {
    fn check(&self) -> Vec<Violation> {
        let shown: Option<Vec<usize>> = self
            .page
            .events
            .iter()
            .map(|event| self.place(event))
            .collect();
        let Some(mut shown) = shown else {
            let wrong = self
                .page
                .events
                .iter()
                .find(|event| self.place(event).is_none());
            return wrong
                .map(|event| self.wrong(event.position()))
                .into_iter()
                .collect();
        };
        let backward = self.request.direction == Direction::Backward;
        if backward {
            shown.reverse();
        }
        // The run of selected events that is shown, as indexes into what is selected.
        let from = match (shown.first(), backward) {
            (Some(oldest), _) => self.selected.partition_point(|index| index < oldest),
            (None, true) => self.visible_end(),
            (None, false) => 0,
        };
        let to = from + shown.len();
        let run = self.selected.get(from..to).unwrap_or_default();
        if let Some(difference) = shown
            .iter()
            .zip(run)
            .find(|(shown, selected)| shown != selected)
        {
            return vec![self.stale(*difference.1)];
        }
        let at_the_end = backward || self.page.next.is_none();
        let at_the_start = !backward || self.page.next.is_none();
        let mut violations = Vec::new();
        if at_the_start && from > 0 {
            violations.extend(
                self.selected
                    .get(from - 1)
                    .map(|missing| self.stale(*missing)),
            );
        }
        if at_the_end {
            violations.extend(self.check_end(to));
        }
        violations.extend(self.check_stream_version(to, at_the_end));
        if !backward {
            violations.extend(self.check_cursor(to));
        }
        violations
    }

    /// The log place of an event that may be shown: it was there, and it is what the log says.
    fn place(&self, event: &RecordedEvent) -> Option<usize> {
        let index = self.witness.moment_of(event.position()).checked_sub(1)?;
        let recorded = self.witness.at(event.position())?;
        let there = index < self.span.last && self.selected.binary_search(&index).is_ok();
        (there && recorded == event).then_some(index)
    }

    /// How many of the selected events were there for certain.
    fn visible_end(&self) -> usize {
        self.selected
            .partition_point(|index| *index < self.span.first)
    }

    /// After the newest event shown stands nothing that had to be shown, nor the rest of its append.
    fn check_end(&self, to: usize) -> Option<Violation> {
        let next = *self.selected.get(to)?;
        if next < self.span.first {
            return Some(self.stale(next));
        }
        let newest = *self.selected.get(to.checked_sub(1)?)?;
        let position = self.witness.log.get(newest)?.position();
        let mut between = self.witness.moments(Span {
            first: newest + 1,
            last: next,
        });
        // What was left out by the bounds of a backward page is not torn.
        let shown = !self.page.events.is_empty();
        (shown && between.next().is_none()).then(|| Violation::TornRead {
            request: text_of(self.request),
            position,
        })
    }

    /// The version that a page tells is one that the stream had when the page was read.
    fn check_stream_version(&self, to: usize, at_the_end: bool) -> Option<Violation> {
        let told = self.page.stream.as_ref()?.version;
        let annals_core::Selection::Stream(stream) = &self.request.selection else {
            return None;
        };
        let shown = to.checked_sub(1).and_then(|last| self.selected.get(last));
        let next = self.selected.get(to).filter(|_| at_the_end);
        let span = Span {
            first: self.span.first.max(shown.map_or(0, |shown| shown + 1)),
            last: self.span.last.min(next.copied().unwrap_or(usize::MAX)),
        };
        let mut moments = self.witness.moments(span);
        let had = moments.any(|moment| self.witness.version(stream, moment) == told);
        (!had).then(|| {
            wrong_head(
                &format!("the version, reading {}", text_of(self.request)),
                told,
            )
        })
    }

    /// The cursor of a forward page stands after what was shown and before what was not.
    fn check_cursor(&self, to: usize) -> Option<Violation> {
        let cursor = &self.page.cursor;
        let moment = moment_of(self.witness, cursor);
        let shown = to.checked_sub(1).and_then(|last| self.selected.get(last));
        let next = self.selected.get(to);
        let right = shown.is_none_or(|shown| moment > *shown)
            && next.is_none_or(|next| moment <= *next)
            && cursor.covers(&self.request.after);
        (!right).then(|| Violation::WrongCursor {
            request: text_of(self.request),
            cursor: cursor.clone(),
        })
    }

    fn stale(&self, index: usize) -> Violation {
        let missing = self.witness.log.get(index).map(RecordedEvent::position);
        Violation::StaleRead {
            request: text_of(self.request),
            missing: missing.unwrap_or_default(),
        }
    }

    fn wrong(&self, position: Position) -> Violation {
        Violation::WrongRead {
            request: text_of(self.request),
            position,
        }
    }
}

/// The moments that a call may have seen at this level of consistency.
fn span_of(witness: &Witness<'_>, call: &Call, consistency: &ConsistencyLevel) -> Span {
    let span = witness.span(call.began, call.ended);
    let first = match consistency {
        ConsistencyLevel::Strong => span.first,
        ConsistencyLevel::Session(cursor) => moment_of(witness, cursor),
        ConsistencyLevel::Eventual => 0,
    };
    Span { first, ..span }
}

fn moment_of(witness: &Witness<'_>, cursor: &Cursor) -> usize {
    witness.moment_of(cursor.position().unwrap_or_default())
}

fn wrong_head(asked: &str, told: impl std::fmt::Display) -> Violation {
    Violation::WrongHead {
        request: asked.to_owned(),
        told: told.to_string(),
    }
}
