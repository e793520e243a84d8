//! What can happen to a file, and the state that its history folds to.

use std::collections::BTreeMap;

use annals::{Aggregate, Event, Refusal};
use serde::{Deserialize, Serialize};

use crate::git::{Action, Change, GitPath, Mode, ObjectId};

/// What a commit did to one path.
///
/// Every event says the path, since the key of a stream may be a shortened one.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "file")]
pub enum FileEvent {
    /// The path came to be.
    Added {
        /// Where.
        path: GitPath,
        /// What it is.
        mode: Mode,
        /// Its content: a blob, or the commit of a submodule.
        #[serde(with = "hex")]
        blob: ObjectId,
    },
    /// It has other content now, and perhaps another mode too.
    Changed {
        /// Where.
        path: GitPath,
        /// What it is now.
        mode: Mode,
        /// Its content now.
        #[serde(with = "hex")]
        blob: ObjectId,
    },
    /// Only its mode is another.
    ModeChanged {
        /// Where.
        path: GitPath,
        /// What it is now.
        mode: Mode,
    },
    /// It is gone. It may come to be again.
    Removed {
        /// Where.
        path: GitPath,
    },
}

/// The state of one path: a file, or nothing there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File(Option<Content>);

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// What it is.
    pub mode: Mode,
    /// A blob, or the commit of a submodule.
    #[serde(serialize_with = "hex::serialize")]
    pub blob: ObjectId,
}

/// The states of all paths that hold something: the tree of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tree(BTreeMap<GitPath, Content>);

impl FileEvent {
    /// The event of a change.
    pub fn of(change: Change) -> Self {
        let path = change.path;
        match change.action {
            Action::Added { mode, blob } => Self::Added { path, mode, blob },
            Action::Changed { mode, blob } => Self::Changed { path, mode, blob },
            Action::ModeChanged { mode } => Self::ModeChanged { path, mode },
            Action::Removed => Self::Removed { path },
        }
    }

    /// Where it happened.
    pub fn path(&self) -> &GitPath {
        match self {
            Self::Added { path, .. }
            | Self::Changed { path, .. }
            | Self::ModeChanged { path, .. }
            | Self::Removed { path } => path,
        }
    }
}

impl Aggregate for File {
    type Event = FileEvent;

    fn apply(&mut self, event: &FileEvent) -> Result<(), Refusal> {
        self.0 = match (self.0, event) {
            (None, FileEvent::Added { mode, blob, .. })
            | (Some(_), FileEvent::Changed { mode, blob, .. }) => Some(Content {
                mode: *mode,
                blob: *blob,
            }),
            (Some(content), FileEvent::ModeChanged { mode, .. }) => Some(Content {
                mode: *mode,
                ..content
            }),
            (Some(_), FileEvent::Removed { .. }) => None,
            (Some(_), FileEvent::Added { .. }) => {
                return Err(Refusal::new("a file is added where there is one"));
            }
            (None, _) => {
                return Err(Refusal::new(
                    "a file that is not there is changed or removed",
                ));
            }
        };
        Ok(())
    }
}

impl Tree {
    /// Applies an event to the path that it is about.
    ///
    /// # Errors
    /// The [`Refusal`] of the [`File`].
    pub fn apply(&mut self, event: &FileEvent) -> Result<(), Refusal> {
        let path = event.path();
        let mut file = File(self.0.get(path).copied());
        file.apply(event)?;
        match file.0 {
            Some(content) => self.0.insert(path.clone(), content),
            None => self.0.remove(path),
        };
        Ok(())
    }

    /// The paths and what they hold, ordered by the bytes of the path, as git does.
    pub fn iter(&self) -> impl Iterator<Item = (&GitPath, &Content)> {
        self.0.iter()
    }

    /// What a path holds.
    pub fn get(&self, path: &GitPath) -> Option<&Content> {
        self.0.get(path)
    }

    /// How many paths hold something.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no path holds anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Ids as hex digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::git::ObjectId;

    pub(super) fn serialize<S: Serializer>(
        id: &ObjectId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ObjectId, D::Error> {
        let digits = String::deserialize(deserializer)?;
        ObjectId::from_hex(digits.as_bytes()).map_err(de::Error::custom)
    }
}
