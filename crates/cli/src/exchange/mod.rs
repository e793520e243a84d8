//! Stores as text: what `export` writes and `import` reads.
//!
//! Both forms are lines of JSON, and hold all that a store recorded: events with their ids, times and context, where
//! each append begins, and policies. What only a store sets (positions, versions, the time of recording) is in them
//! too, and an import into an empty store reproduces it.

pub(crate) mod cloud_events;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod line;
pub(crate) mod loose;
pub(crate) mod ndjson;
pub(crate) mod policy;

use clap::ValueEnum;

use self::line::Line;
use crate::failure::Result;

/// In which form a store is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines of JSON of annals.
    Ndjson,
    /// CloudEvents 1.0, each a line of JSON.
    Cloudevents,
}

impl Format {
    /// The line without its end.
    pub(crate) fn encode(self, line: &Line) -> Result<String> {
        match self {
            Self::Ndjson => ndjson::encode(line),
            Self::Cloudevents => cloud_events::encode(line),
        }
    }

    /// What a line says; why it says nothing.
    pub(crate) fn decode(self, text: &str) -> std::result::Result<Line, String> {
        match self {
            Self::Ndjson => ndjson::decode(text),
            Self::Cloudevents => cloud_events::decode(text),
        }
    }

    /// The form that a line is in.
    pub(crate) fn of(text: &str) -> Self {
        if text.contains("\"specversion\"") {
            Self::Cloudevents
        } else {
            Self::Ndjson
        }
    }
}
