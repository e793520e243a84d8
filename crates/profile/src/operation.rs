//! What is measured.

use std::fmt;

use annals_core::WorkKind;
use serde::Serialize;

/// A kind of work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operation {
    /// An append to a store, until its answer.
    Append,
    /// A page of events, read from a store.
    Read,
    /// Another question to a store: a head, a receipt, a policy, a checkpoint.
    Ask,
    /// A snapshot, saved, loaded or removed.
    Snapshot,
    /// An event, made into bytes.
    Encode,
    /// An event, made of bytes.
    Decode,
    /// An aggregate, loaded: its snapshot, its events, and the fold.
    Load,
    /// Events, folded into a state.
    Fold,
    /// A batch of events, brought into a read model.
    Project,
    /// A command, with its loads, its decision, its appends and all retries.
    Command,
    /// An event, delivered to a reaction.
    React,
}

impl Operation {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Append,
        Self::Read,
        Self::Ask,
        Self::Snapshot,
        Self::Encode,
        Self::Decode,
        Self::Load,
        Self::Fold,
        Self::Project,
        Self::Command,
        Self::React,
    ];

    /// Its name, as reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::Ask => "ask",
            Self::Snapshot => "snapshot",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Load => "load",
            Self::Fold => "fold",
            Self::Project => "project",
            Self::Command => "command",
            Self::React => "react",
        }
    }
}

impl From<WorkKind> for Operation {
    fn from(kind: WorkKind) -> Self {
        match kind {
            WorkKind::Load => Self::Load,
            WorkKind::Fold => Self::Fold,
            WorkKind::Project => Self::Project,
            WorkKind::React => Self::React,
            _ => Self::Command,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
