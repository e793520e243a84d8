//! Two histories folded side by side.

use annals_core::{Error, RecordedEvent};
use serde::Serialize;

use super::alteration::{Alteration, At, Decide};
use super::branch::Branch;
use super::comparison::{Comparison, FirstDivergence, Refused, RefusedKind};
use super::{AlteredEvents, OnRefusal, WhatIf};
use crate::{ReplayFold, StateDiff};

/// A comparison under way.
pub(super) struct Run<'a, S, E> {
    fold: &'a ReplayFold<S, E>,
    what_if: &'a WhatIf<S, E>,
    real: S,
    /// There once the histories have parted.
    branch: Option<Branch<S, E>>,
    /// Whether each alteration found an event.
    used: Vec<bool>,
    has_stopped: bool,
    tally: Tally,
}

/// What is noted on the way.
#[derive(Default)]
struct Tally {
    first_divergence: Option<FirstDivergence>,
    events: u64,
    left_out: u64,
    changed: u64,
    added: u64,
    refused: Vec<Refused>,
    refused_count: u64,
    stopped_at: Option<RecordedEvent>,
}

impl<'a, S, E> Run<'a, S, E>
where
    S: Clone + PartialEq + Serialize + 'static,
    E: 'static,
{
    pub(super) fn begin(fold: &'a ReplayFold<S, E>, what_if: &'a WhatIf<S, E>) -> Self {
        let branch = what_if
            .fold
            .as_ref()
            .map(|fold| Branch::new(fold.clone(), fold.initial()));
        Self {
            fold,
            what_if,
            real: fold.initial(),
            branch,
            used: vec![false; what_if.alterations.len()],
            has_stopped: false,
            tally: Tally::default(),
        }
    }

    /// Folds the next event of the real history into both.
    pub(super) fn take(&mut self, recorded: &RecordedEvent) -> Result<(), Error> {
        self.tally.events += 1;
        if self.branch.is_none() && self.what_if.touches(recorded) {
            self.branch = Some(Branch::new(self.fold.clone(), self.real.clone()));
        }
        let decoded = self.fold.decode(recorded)?;
        self.fold
            .apply_all(&mut self.real, recorded, decoded.as_slice())?;
        if self.branch.is_some() {
            if !self.has_stopped {
                self.take_altered(recorded, decoded.into_iter().collect());
            }
            self.compare(Some(recorded))?;
        }
        Ok(())
    }

    /// The comparison, after the last event.
    pub(super) fn finish(mut self) -> Result<Comparison<S>, Error> {
        let what_if = self.what_if;
        for (index, alteration) in what_if.alterations.iter().enumerate() {
            if let Alteration::Decide(At::End, decide) = alteration {
                self.use_alteration(index);
                if self.branch.is_none() {
                    self.branch = Some(Branch::new(self.fold.clone(), self.real.clone()));
                }
                if !self.has_stopped {
                    self.decide(&**decide, None);
                }
            }
        }
        self.compare(None)?;
        let altered = self.branch.map(Branch::into_state);
        let altered = altered.unwrap_or_else(|| self.real.clone());
        let Tally {
            first_divergence,
            events,
            left_out,
            changed,
            added,
            refused,
            refused_count,
            stopped_at,
        } = self.tally;
        Ok(Comparison {
            diff: StateDiff::of(&self.real, &altered)?,
            real: self.real,
            altered,
            first_divergence,
            events,
            left_out,
            changed,
            added,
            unused_alterations: self.used.iter().filter(|used| !**used).count(),
            refused,
            refused_count,
            stopped_at,
        })
    }

    /// Folds into the branch what happens there at this event.
    fn take_altered(&mut self, recorded: &RecordedEvent, events: Vec<E>) {
        self.decide_all(recorded, |at| match at {
            At::Before(choice) => Some(choice),
            At::After(_) | At::End => None,
        });
        for event in self.altered(recorded, events) {
            self.apply(event, RefusedKind::Event, Some(recorded));
        }
        self.decide_all(recorded, |at| match at {
            At::After(choice) => Some(choice),
            At::Before(_) | At::End => None,
        });
    }

    /// What happens in place of an event of the real history.
    fn altered(&mut self, recorded: &RecordedEvent, mut events: Vec<E>) -> Vec<E> {
        let what_if = self.what_if;
        for (index, alteration) in what_if.alterations.iter().enumerate() {
            match alteration {
                Alteration::LeaveOut(choice) if choice.chooses(recorded) => {
                    self.use_alteration(index);
                    self.tally.left_out += 1;
                    events.clear();
                }
                Alteration::Change(choice, change) if choice.chooses(recorded) => {
                    self.use_alteration(index);
                    self.tally.changed += 1;
                    events = events.iter().flat_map(|event| change(event)).collect();
                }
                _ => {}
            }
        }
        events
    }

    /// Decides the commands that stand on one side of this event.
    fn decide_all(
        &mut self,
        recorded: &RecordedEvent,
        side: impl Fn(&At) -> Option<&AlteredEvents>,
    ) {
        let what_if = self.what_if;
        for (index, alteration) in what_if.alterations.iter().enumerate() {
            let Alteration::Decide(at, decide) = alteration else {
                continue;
            };
            if side(at).is_some_and(|choice| choice.chooses(recorded)) {
                self.use_alteration(index);
                self.decide(&**decide, Some(recorded));
            }
        }
    }

    fn use_alteration(&mut self, index: usize) {
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        }
    }

    fn decide(&mut self, decide: &Decide<S, E>, at: Option<&RecordedEvent>) {
        let Some(branch) = self.branch.as_ref().filter(|_| !self.has_stopped) else {
            return;
        };
        match decide(branch.state()) {
            Ok(events) => {
                for event in events {
                    let is_taken = self.apply(event, RefusedKind::AddedEvent, at);
                    self.tally.added += u64::from(is_taken);
                }
            }
            // A command that is refused changes nothing, and what follows can happen all the same.
            Err(reason) => self
                .tally
                .note(RefusedKind::Command, at, reason.to_string()),
        }
    }

    /// Folds an event into the branch; whether it was taken.
    fn apply(&mut self, event: E, kind: RefusedKind, at: Option<&RecordedEvent>) -> bool {
        let Some(branch) = self.branch.as_mut().filter(|_| !self.has_stopped) else {
            return false;
        };
        let Err(refusal) = branch.apply(event) else {
            return true;
        };
        self.tally.note(kind, at, refusal.to_string());
        if self.what_if.on_refusal == OnRefusal::Stop {
            self.has_stopped = true;
            self.tally.stopped_at = at.cloned();
        }
        false
    }

    /// Notes where the states first differ.
    fn compare(&mut self, at: Option<&RecordedEvent>) -> Result<(), Error> {
        let Some(branch) = &self.branch else {
            return Ok(());
        };
        if self.tally.first_divergence.is_none() && *branch.state() != self.real {
            self.tally.first_divergence = Some(FirstDivergence {
                event: at.cloned(),
                diff: StateDiff::of(&self.real, branch.state())?,
            });
        }
        Ok(())
    }
}

impl Tally {
    fn note(&mut self, kind: RefusedKind, at: Option<&RecordedEvent>, reason: String) {
        self.refused_count += 1;
        if self.refused.len() < Comparison::<()>::REFUSED_MAX {
            self.refused.push(Refused {
                kind,
                at: at.cloned(),
                reason,
            });
        }
    }
}
