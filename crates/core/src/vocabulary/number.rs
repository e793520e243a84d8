//! Places: in a stream ([`Version`]) and in the whole log ([`Position`]).

use std::fmt;

use super::serial::serde_as_number;

/// How many events a stream has had so far; the place of an event in its stream.
///
/// The first event has version 1, an absent stream is at version 0. Versions of a stream have no gaps
/// and go on after a soft delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// The place of an event in the whole log: unique, increasing in the order of the log.
///
/// 0 stands before every event. A reader who has seen a position never later meets a new event at or
/// below it: positions are given in the order in which appends become visible. Whether they are dense is
/// told by [`Capabilities`](crate::Capabilities). A partitioned store keeps them unique by the
/// [partition's number](Self::partition) in the high 16 bits; their order then has a meaning inside a partition
/// alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Version {
    /// The version of a stream without events.
    pub const ABSENT: Self = Self(0);
    /// The version of the first event of a stream.
    pub const FIRST: Self = Self(1);
    /// Past every version that a stream reaches.
    pub const MAX: Self = Self(u64::MAX);
}

impl Position {
    /// Before every event.
    pub const START: Self = Self(0);
    /// The first place that an event can have.
    pub const FIRST: Self = Self(1);
    /// Past every position that a log reaches.
    pub const MAX: Self = Self(u64::MAX);

    /// The last place of a partition: of this many bits is what lies below the partition's number.
    const PLACE_BITS: u32 = 48;
    const PLACE_MASK: u64 = (1 << Self::PLACE_BITS) - 1;

    /// The position in a partitioned store of what has this position in the log of its partition, the first of which
    /// has number 0; `None` where the log is longer than 2^48 - 1 places.
    ///
    /// ```
    /// use annals_core::Position;
    ///
    /// let position = Position::new(7).in_partition(2);
    /// assert_eq!(position.map(|position| (position.partition(), position.in_log())), Some((2, 7.into())));
    /// assert_eq!(Position::MAX.in_partition(2), None);
    /// ```
    pub const fn in_partition(self, partition: u16) -> Option<Self> {
        if self.0 > Self::PLACE_MASK {
            return None;
        }
        Some(Self(((partition as u64) << Self::PLACE_BITS) | self.0))
    }

    /// The number of the partition that holds this position of a partitioned store; 0 in a single log.
    pub const fn partition(self) -> u16 {
        (self.0 >> Self::PLACE_BITS) as u16
    }

    /// The position in the log of its partition, of this position of a partitioned store.
    #[must_use]
    pub const fn in_log(self) -> Self {
        Self(self.0 & Self::PLACE_MASK)
    }
}

macro_rules! number {
    ($type:ident) => {
        impl $type {
            /// The place with this number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn value(self) -> u64 {
                self.0
            }

            /// The place after this one; stays at `MAX`, which no log reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                self.forward(1)
            }

            /// The place before this one; stays at 0.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// The place `count` further on; stays at `MAX`, which no log reaches.
            #[must_use]
            pub const fn forward(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// How many places lie after `other` up to and with this one; 0 when this one is not after it.
            pub const fn since(self, other: Self) -> u64 {
                self.0.saturating_sub(other.0)
            }
        }

        impl From<u64> for $type {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl From<$type> for u64 {
            fn from(place: $type) -> Self {
                place.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        serde_as_number!($type, u64, value, |value| Ok($type(value)));
    };
}

number!(Version);
number!(Position);
