//! What came of the comparison of two histories.

use std::fmt;

use annals_core::RecordedEvent;

use crate::StateDiff;

/// A history as it is beside the same as it would be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Comparison<S> {
    /// The state that the history gives.
    pub real: S,
    /// The state that the altered history gives: as far as it goes, where it [stopped](Self::stopped_at).
    pub altered: S,
    /// What is different in the altered state.
    pub diff: StateDiff,
    /// Where the states first differed; `None` when they never did.
    pub first_divergence: Option<FirstDivergence>,
    /// How many events the history has.
    pub events: u64,
    /// How many of them were left out by [`WhatIf::without`](crate::WhatIf::without).
    pub left_out: u64,
    /// How many of them were changed.
    pub changed: u64,
    /// How many events commands added.
    pub added: u64,
    /// How many alterations found no event to alter: a wrong position or identity, perhaps.
    pub unused_alterations: usize,
    /// What the altered history refused, the first [`REFUSED_MAX`](Self::REFUSED_MAX).
    pub refused: Vec<Refused>,
    /// How often it refused something.
    pub refused_count: u64,
    /// The event before which the altered history ended, as it or what goes before it was refused.
    pub stopped_at: Option<RecordedEvent>,
}

/// Where two histories first gave different states.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FirstDivergence {
    /// The event of the real history after which they differ; `None` where they do only after its end.
    pub event: Option<RecordedEvent>,
    /// What is different in the altered state there.
    pub diff: StateDiff,
}

/// Something that an altered history refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// What it was.
    pub kind: RefusedKind,
    /// The event of the real history at which it stood; `None` at the end.
    pub at: Option<RecordedEvent>,
    /// Why.
    pub reason: String,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedKind {
    /// An event of the real history, perhaps changed, by the fold.
    Event,
    /// An event that a command added, by the fold.
    AddedEvent,
    /// A command, by itself.
    Command,
}

impl<S> Comparison<S> {
    /// How many refusals are kept.
    pub const REFUSED_MAX: usize = 16;

    /// Whether both histories give the same state.
    pub fn is_same(&self) -> bool {
        self.diff.is_empty()
    }
}

impl<S> fmt::Display for Comparison<S> {
    /// What was altered, where the histories part, and what is different in the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            left_out,
            changed,
            added,
            ..
        } = self;
        write!(
            f,
            "{events} events, {left_out} left out, {changed} changed, {added} added"
        )?;
        match &self.first_divergence {
            Some(FirstDivergence {
                event: Some(event), ..
            }) => write!(f, "\ndifferent from position {} on", event.position())?,
            Some(_) => write!(f, "\ndifferent at the end")?,
            None => write!(f, "\nnever different")?,
        }
        self.refused
            .iter()
            .try_for_each(|refused| write!(f, "\n{refused}"))?;
        let kept = u64::try_from(self.refused.len()).unwrap_or(u64::MAX);
        if self.refused_count > kept {
            write!(f, "\n... and {} more refusals", self.refused_count - kept)?;
        }
        if let Some(event) = &self.stopped_at {
            write!(
                f,
                "\nthe altered history ends before position {}",
                event.position()
            )?;
        }
        let lines = self.diff.to_string();
        lines.lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            RefusedKind::Event => "the event",
            RefusedKind::AddedEvent => "an event that was added",
            RefusedKind::Command => "a command",
        };
        match &self.at {
            Some(event) => write!(f, "{what} at position {} is refused", event.position())?,
            None => write!(f, "{what} at the end is refused")?,
        }
        write!(f, ": {}", self.reason)
    }
}
