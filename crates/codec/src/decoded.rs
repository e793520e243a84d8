//! What a recorded event reads as.

use std::{option, vec};

use crate::{Error, ErrorKind};

/// What a recorded event reads as: itself, or what has become of it since.
///
/// An event that is of the code's own schema is [`One`](Self::One). An older one may have been split into
/// several, or dropped (no event at all), by its upcasters, and a policy may have passed over one that the
/// code does not know, or have made one of it. Iterating gives the events in order; what was skipped gives none.
///
/// ```
/// use annals_codec::Decoded;
///
/// let moved = Decoded::Many(vec!["left", "arrived"]);
/// assert_eq!(moved.map(str::len).into_iter().collect::<Vec<_>>(), [4, 7]);
/// assert_eq!(Decoded::One(7).one()?, 7);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Debug)]
pub enum Decoded<E> {
    /// One event, as nearly all are.
    One(E),
    /// As many events as the recorded one was split into; without any, the event was dropped.
    Many(Vec<E>),
    /// What a policy made of an event that the code does not know, which it was handed as it was recorded.
    HandedOver(E),
    /// A policy passed over the event, for this reason.
    Skipped(Error),
}

/// The events of a [`Decoded`], in order.
#[derive(Debug)]
pub struct DecodedIter<E>(Events<E>);

#[derive(Debug)]
enum Events<E> {
    One(option::IntoIter<E>),
    Many(vec::IntoIter<E>),
}

impl<E> Decoded<E> {
    /// The one event.
    ///
    /// # Errors
    /// [`ErrorKind::NotOne`] for an event that was split or dropped; the reason for one that was
    /// skipped.
    pub fn one(self) -> Result<E, Error> {
        let events = match self {
            Self::One(event) | Self::HandedOver(event) => return Ok(event),
            Self::Many(events) => events,
            Self::Skipped(reason) => return Err(reason),
        };
        let count = events.len();
        <[E; 1]>::try_from(events).map_or_else(
            |_| {
                let message = "event reads as several events or none; take all that it reads as";
                Err(Error::new(ErrorKind::NotOne, message).with("events", count))
            },
            |[event]| Ok(event),
        )
    }

    /// The same with each event turned into something else.
    pub fn map<T>(self, mut turn: impl FnMut(E) -> T) -> Decoded<T> {
        match self {
            Self::One(event) => Decoded::One(turn(event)),
            Self::HandedOver(event) => Decoded::HandedOver(turn(event)),
            Self::Many(events) => Decoded::Many(events.into_iter().map(turn).collect()),
            Self::Skipped(reason) => Decoded::Skipped(reason),
        }
    }

    /// The events, in order.
    pub fn as_slice(&self) -> &[E] {
        match self {
            Self::One(event) | Self::HandedOver(event) => std::slice::from_ref(event),
            Self::Many(events) => events,
            Self::Skipped(_) => &[],
        }
    }

    /// Why the event was passed over, if it was.
    pub fn skipped(&self) -> Option<&Error> {
        match self {
            Self::Skipped(reason) => Some(reason),
            Self::One(_) | Self::Many(_) | Self::HandedOver(_) => None,
        }
    }
}

impl<E> IntoIterator for Decoded<E> {
    type Item = E;
    type IntoIter = DecodedIter<E>;

    fn into_iter(self) -> DecodedIter<E> {
        DecodedIter(match self {
            Self::One(event) | Self::HandedOver(event) => Events::One(Some(event).into_iter()),
            Self::Many(events) => Events::Many(events.into_iter()),
            Self::Skipped(_) => Events::One(None.into_iter()),
        })
    }
}

impl<E> Iterator for DecodedIter<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        match &mut self.0 {
            Events::One(event) => event.next(),
            Events::Many(events) => events.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Events::One(event) => event.size_hint(),
            Events::Many(events) => events.size_hint(),
        }
    }
}

impl<E> ExactSizeIterator for DecodedIter<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped() -> Decoded<u8> {
        Decoded::Skipped(Error::new(ErrorKind::FutureVersion, "newer"))
    }

    #[test]
    fn the_events_come_in_order() {
        for (decoded, expected) in [
            (Decoded::One(1), &[1][..]),
            (Decoded::HandedOver(1), &[1]),
            (Decoded::Many(vec![1, 2]), &[1, 2]),
            (Decoded::Many(vec![]), &[]),
            (skipped(), &[]),
        ] {
            assert_eq!(decoded.as_slice(), expected);
            let doubled: Vec<u8> = decoded.map(|number| number * 2).into_iter().collect();
            let expected: Vec<u8> = expected.iter().map(|number| number * 2).collect();
            assert_eq!(doubled, expected);
        }
        assert_eq!(Decoded::Many(vec![1, 2]).into_iter().len(), 2);
        assert!(skipped().map(u16::from).skipped().is_some());
    }

    #[test]
    fn one_is_one() {
        for (decoded, expected) in [
            (Decoded::One(1), Ok(1)),
            (Decoded::HandedOver(1), Ok(1)),
            (Decoded::Many(vec![1]), Ok(1)),
            (Decoded::Many(vec![]), Err(ErrorKind::NotOne)),
            (Decoded::Many(vec![1, 2]), Err(ErrorKind::NotOne)),
            (skipped(), Err(ErrorKind::FutureVersion)),
        ] {
            assert_eq!(decoded.one().map_err(|error| error.kind()), expected);
        }
    }
}
