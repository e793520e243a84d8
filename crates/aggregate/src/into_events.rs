//! What a decision may give.

use annals_core::Event;

/// The events of a decision: one, several or none.
///
/// There for an event, a `Vec`, an array and an `Option` of events, so that a command method returns
/// what fits it best.
///
/// ```
/// use annals_aggregate::IntoEvents;
/// # use annals_macros::Event;
/// # #[derive(Debug, PartialEq, Event)]
/// # #[event(category = "light")]
/// # enum Light { On, Off }
/// fn decided(events: impl IntoEvents<Light>) -> usize {
///     events.into_events().len()
/// }
///
/// assert_eq!(decided(Light::On), 1);
/// assert_eq!(decided([Light::On, Light::Off]), 2);
/// assert_eq!(decided(vec![Light::Off]), 1);
/// assert_eq!(decided(None), 0);
/// ```
pub trait IntoEvents<E> {
    /// The events in order.
    fn into_events(self) -> Vec<E>;
}

impl<E: Event> IntoEvents<E> for E {
    fn into_events(self) -> Vec<E> {
        vec![self]
    }
}

impl<E: Event> IntoEvents<E> for Vec<E> {
    fn into_events(self) -> Self {
        self
    }
}

impl<E: Event, const N: usize> IntoEvents<E> for [E; N] {
    fn into_events(self) -> Vec<E> {
        self.into()
    }
}

impl<E: Event> IntoEvents<E> for Option<E> {
    fn into_events(self) -> Vec<E> {
        self.into_iter().collect()
    }
}
