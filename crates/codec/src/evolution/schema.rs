//! A version of an event type, and what an upcaster makes of one.

use std::fmt;

use annals_core::{EventKind, EventType, SchemaVersion};

/// A version of an event type: what a payload follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema {
    /// The recorded name of the kind of event.
    pub event_type: EventType,
    /// The version of its fields.
    pub schema_version: SchemaVersion,
}

/// One step of a plan: an upcaster, or a type that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedStep {
    /// What goes in.
    pub from: Schema,
    /// What may come out: one, several for a split, none for a drop.
    pub to: Vec<Schema>,
}

/// What becomes of events of a schema when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// They are read as they are.
    Current,
    /// These steps are run, each on what the steps before it gave.
    Steps(Vec<PlannedStep>),
    /// They are newer than the code; its policy decides.
    Future,
    /// The code does not know their type; its policy decides.
    UnknownType,
}

impl Schema {
    /// This version of this type.
    pub fn new(event_type: EventType, schema_version: SchemaVersion) -> Self {
        Self {
            event_type,
            schema_version,
        }
    }

    /// What a kind of event is written as now.
    pub fn of_kind(kind: &EventKind) -> Self {
        Self::new(kind.event_type().clone(), kind.schema_version())
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.event_type, self.schema_version)
    }
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> ", self.from)?;
        if self.to.is_empty() {
            return f.write_str("nothing");
        }
        for (index, schema) in self.to.iter().enumerate() {
            let lead = if index == 0 { "" } else { " + " };
            write!(f, "{lead}{schema}")?;
        }
        Ok(())
    }
}
