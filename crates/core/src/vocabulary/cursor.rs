//! Where a reader stands.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::number::Position;
use super::serial::serde_as_text;
use crate::{Error, ErrorKind};

/// Where a reader, a checkpoint or a condition stands in a store: all up to here has been seen.
///
/// In a single log it is one position, in a partitioned store one position for each partition. Only a
/// store looks inside; everyone else keeps it, hands it back, and may write it as text.
///
/// ```
/// use annals_core::{Cursor, Position};
///
/// let cursor = Cursor::at(Position::new(7));
/// assert_eq!(cursor.to_string().parse::<Cursor>()?, cursor);
/// assert!(cursor.covers(&Cursor::START));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Places);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Places {
    One(Position),
    /// One for each of at least two partitions.
    Many(Arc<[Position]>),
}

impl Cursor {
    /// Before every event, in a store of any number of partitions.
    pub const START: Self = Self(Places::One(Position::START));

    /// After this position of a single log.
    pub const fn at(position: Position) -> Self {
        Self(Places::One(position))
    }

    /// After these positions, one for each partition.
    pub fn partitioned(positions: impl Into<Arc<[Position]>>) -> Self {
        let positions = positions.into();
        match &*positions {
            [] => Self::START,
            [one] => Self::at(*one),
            all if all.iter().all(|position| *position == Position::START) => Self::START,
            _ => Self(Places::Many(positions)),
        }
    }

    /// The position in a single log; `None` for a cursor of several partitions.
    pub fn position(&self) -> Option<Position> {
        match &self.0 {
            Places::One(position) => Some(*position),
            Places::Many(_) => None,
        }
    }

    /// The positions, one for each partition; a single one for a single log and for the start.
    pub fn positions(&self) -> &[Position] {
        match &self.0 {
            Places::One(position) => std::slice::from_ref(position),
            Places::Many(positions) => positions,
        }
    }

    /// How many positions it has: 1 for a single log and for the start.
    pub fn partitions(&self) -> usize {
        self.positions().len()
    }

    /// Whether who stands here has seen all that one who stands at `other` has.
    ///
    /// Cursors of stores with different numbers of partitions cover each other only from the start.
    pub fn covers(&self, other: &Self) -> bool {
        if *other == Self::START {
            return true;
        }
        let (ours, theirs) = (self.positions(), other.positions());
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| ours >= theirs)
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::START
    }
}

impl PartialOrd for Cursor {
    /// By [`covers`](Self::covers): a partial order, as two readers may each be ahead in a partition.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl From<Position> for Cursor {
    fn from(position: Position) -> Self {
        Self::at(position)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, position) in self.positions().iter().enumerate() {
            let separator = if index == 0 { "" } else { "." };
            write!(f, "{separator}{position}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let positions: Result<Vec<Position>, _> = text
            .split('.')
            .map(|number| number.parse().map(Position::new))
            .collect();
        positions.map(Self::partitioned).map_err(|source| {
            Error::new(
                ErrorKind::Invalid,
                "not a cursor; hand back one that a store gave",
            )
            .with("text", text)
            .caused_by(source)
        })
    }
}

serde_as_text!(Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(text: &str) -> Cursor {
        text.parse().unwrap()
    }

    #[test]
    fn cursors_are_partly_ordered() {
        for (left, right, expected) in [
            ("7", "7", Some(Ordering::Equal)),
            ("7", "8", Some(Ordering::Less)),
            ("3.4", "0", Some(Ordering::Greater)),
            ("3.4", "3.5", Some(Ordering::Less)),
            ("3.4", "4.3", None),
            ("3.4", "3", None),
            ("0.0", "0", Some(Ordering::Equal)),
        ] {
            assert_eq!(
                cursor(left).partial_cmp(&cursor(right)),
                expected,
                "{left} and {right}"
            );
        }
    }

    #[test]
    fn a_cursor_survives_its_text() {
        for text in ["0", "18446744073709551615", "1.2.3"] {
            assert_eq!(cursor(text).to_string(), text);
        }
        for text in ["", "x", "1.", "-1", "1 2"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }
}
