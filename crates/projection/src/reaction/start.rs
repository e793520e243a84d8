//! Where a new reaction begins.

use annals_core::Cursor;

/// Where a reaction begins that has no checkpoint yet. Once it has one it goes on there, whatever is said here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the events that are recorded after it is first opened: what was before causes nothing.
    Now,
    /// With the first event of the store.
    Beginning,
    /// After this place.
    After(Cursor),
}
