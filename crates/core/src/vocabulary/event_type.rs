//! What kind of event, in which version of its schema, in which form of bytes.

use std::fmt;

use super::name::name_type;
use super::serial::serde_as_number;
use crate::{Error, ErrorKind};

name_type! {
    /// The recorded name of a kind of event, as `money-deposited`; it never depends on Rust paths.
    EventType, "event type"
}

name_type! {
    /// The form of a payload's bytes: a codec's media type, as `application/json`.
    ContentType, "content type"
}

impl ContentType {
    /// Bytes that annals knows nothing about.
    pub const OCTETS: Self = Self::from_static("application/octet-stream");
    /// JSON text.
    pub const JSON: Self = Self::from_static("application/json");
}

/// The version of an event type's schema: 1 for the first, one more for each change of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion(u32);

/// A kind of event that the application knows: its recorded name and the current version of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventKind {
    event_type: EventType,
    schema_version: SchemaVersion,
}

impl SchemaVersion {
    /// The version of a schema that never changed.
    pub const FIRST: Self = Self(1);

    /// A version known when the program is built.
    ///
    /// # Panics
    /// When the number is 0: at compile time in a constant.
    pub const fn from_static(number: u32) -> Self {
        assert!(number > 0, "schema versions start at 1");
        Self(number)
    }

    /// The version with this number, which is 1 or more.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for 0.
    pub fn new(number: u32) -> Result<Self, Error> {
        match number {
            0 => Err(Error::new(
                ErrorKind::Invalid,
                "schema version is 0; versions start at 1",
            )),
            _ => Ok(Self(number)),
        }
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl EventKind {
    /// A kind of event; const, so that a table of kinds costs nothing at run time.
    pub const fn new(event_type: EventType, schema_version: SchemaVersion) -> Self {
        Self {
            event_type,
            schema_version,
        }
    }

    /// The recorded name.
    pub const fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// The version of the schema that the application writes now.
    pub const fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }
}

impl Default for SchemaVersion {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_number!(SchemaVersion, u32, value, SchemaVersion::new);
