//! One thing that is otherwise in a history.

use std::fmt;
use std::sync::Arc;

use annals_core::{BoxError, EventId, Position, RecordedEvent, Version};

/// Which events of a history are otherwise.
#[derive(Clone)]
#[non_exhaustive]
pub enum AlteredEvents {
    /// The one at this position.
    Position(Position),
    /// The one with this identity.
    Id(EventId),
    /// That of this version: of each stream of the history.
    Version(Version),
    /// All of which the function says so: see [`matching`](Self::matching).
    Matching(Arc<dyn Fn(&RecordedEvent) -> bool + Send + Sync>),
}

/// What becomes of an event that the altered history refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnRefusal {
    /// The altered history ends before it.
    #[default]
    Stop,
    /// It is left out, and the altered history goes on.
    LeaveOut,
}

/// One thing that is otherwise.
pub(super) enum Alteration<S, E> {
    LeaveOut(AlteredEvents),
    Change(AlteredEvents, Arc<Change<E>>),
    Decide(At, Arc<Decide<S, E>>),
}

/// What happened in place of an event.
pub(super) type Change<E> = dyn Fn(&E) -> Vec<E> + Send + Sync;

/// A command: its events, or why it is refused.
pub(super) type Decide<S, E> = dyn Fn(&S) -> Result<Vec<E>, BoxError> + Send + Sync;

/// Where a command is decided.
#[derive(Clone, Debug)]
pub(super) enum At {
    Before(AlteredEvents),
    After(AlteredEvents),
    End,
}

impl AlteredEvents {
    /// All events of which this is true.
    pub fn matching(choose: impl Fn(&RecordedEvent) -> bool + Send + Sync + 'static) -> Self {
        Self::Matching(Arc::new(choose))
    }

    /// Whether it is one of them.
    pub fn chooses(&self, event: &RecordedEvent) -> bool {
        match self {
            Self::Position(position) => event.position() == *position,
            Self::Id(id) => event.id() == *id,
            Self::Version(version) => event.version() == *version,
            Self::Matching(choose) => choose(event),
        }
    }
}

impl<S, E> Alteration<S, E> {
    /// The events at which something is otherwise; `None` at the end.
    pub(super) fn choice(&self) -> Option<&AlteredEvents> {
        match self {
            Self::LeaveOut(choice)
            | Self::Change(choice, _)
            | Self::Decide(At::Before(choice) | At::After(choice), _) => Some(choice),
            Self::Decide(At::End, _) => None,
        }
    }
}

impl fmt::Debug for AlteredEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => f.debug_tuple("Position").field(position).finish(),
            Self::Id(id) => f.debug_tuple("Id").field(id).finish(),
            Self::Version(version) => f.debug_tuple("Version").field(version).finish(),
            Self::Matching(_) => f.debug_tuple("Matching").finish_non_exhaustive(),
        }
    }
}

impl<S, E> fmt::Debug for Alteration<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaveOut(choice) => f.debug_tuple("LeaveOut").field(choice).finish(),
            Self::Change(choice, _) => f
                .debug_tuple("Change")
                .field(choice)
                .finish_non_exhaustive(),
            Self::Decide(at, _) => f.debug_tuple("Decide").field(at).finish_non_exhaustive(),
        }
    }
}

impl<S, E> Clone for Alteration<S, E> {
    fn clone(&self) -> Self {
        match self {
            Self::LeaveOut(choice) => Self::LeaveOut(choice.clone()),
            Self::Change(choice, change) => Self::Change(choice.clone(), change.clone()),
            Self::Decide(at, decide) => Self::Decide(at.clone(), decide.clone()),
        }
    }
}
