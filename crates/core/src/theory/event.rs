//! E: what can happen.

use crate::{Category, Error, EventKind, Tags};

/// A type of the application that says what happened: usually an enum, one variant for each kind.
///
/// Derive it (`#[derive(Event)]`, in `annals-macros` and the facade `annals`) or write it by hand:
///
/// ```
/// use annals_core::{Category, Error, Event, EventKind, EventType, SchemaVersion, Tags};
///
/// enum Light {
///     Switched { on: bool },
/// }
///
/// impl Event for Light {
///     const CATEGORY: Category = Category::from_static("light");
///     const KINDS: &'static [EventKind] =
///         &[EventKind::new(EventType::from_static("switched"), SchemaVersion::FIRST)];
///
///     fn kind_index(&self) -> usize {
///         0
///     }
///
///     fn tags(&self) -> Result<Tags, Error> {
///         Ok(Tags::EMPTY)
///     }
/// }
///
/// assert_eq!(Light::Switched { on: true }.kind().event_type(), &"switched");
/// ```
pub trait Event: Sized + Send + Sync + 'static {
    /// The category of the streams that hold these events.
    const CATEGORY: Category;

    /// One entry for each kind of event, in the order of declaration, with different names.
    const KINDS: &'static [EventKind];

    /// This event's place in [`KINDS`](Self::KINDS).
    fn kind_index(&self) -> usize;

    /// The tags by which this event is found across streams.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when a value makes no tag: empty text, a
    /// control character, too long.
    fn tags(&self) -> Result<Tags, Error>;

    /// The recorded name and current schema version of this event.
    ///
    /// # Panics
    /// When `kind_index` lies outside `KINDS`, which is a mistake in the implementation.
    #[expect(clippy::expect_used, reason = "an implementation's own promise")]
    fn kind(&self) -> &'static EventKind {
        Self::KINDS
            .get(self.kind_index())
            .expect("kind_index lies inside KINDS")
    }
}
