//! Bugs that campaigns plant in the store, to see that they are caught.
//!
//! Without the feature `planted` the question whether one is active is a constant, and nothing of this
//! is in the binary.

/// A bug of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "public with the feature")
)]
pub enum Bug {
    /// The writer relies on what the caller found out before it waited in the queue.
    NotCheckedAgain,
    /// Checks and conditions don't see the batch that is in the making.
    StaleHead,
    /// A batch that could not be recorded is answered as if it were.
    FailureAcknowledged,
    /// The last event of an append of several is not written.
    LastEventDropped,
    /// After opening, the newest position is given out a second time.
    PositionReused,
    /// Policies are not read from the log.
    PoliciesForgotten,
    /// Append ids are looked for among the newest events only.
    AppendIdsForgotten,
    /// A kind counts as stated in a segment though its batch was rejected.
    KindStatedTooEarly,
    /// An index file is trusted though the log ends before it.
    IndexAheadTrusted,
    /// The blocks of an index file are not held against their checksums.
    IndexUnchecked,
    /// Who sends an append twice at once is answered for the second before the first is durable.
    RepeatAcknowledged,
    /// A page that was made ahead is used whatever was hidden since.
    PageAheadTrusted,
}

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Every bug that can be planted.
        pub const ALL: [Self; 12] = [
            Self::NotCheckedAgain,
            Self::StaleHead,
            Self::FailureAcknowledged,
            Self::LastEventDropped,
            Self::PositionReused,
            Self::PoliciesForgotten,
            Self::AppendIdsForgotten,
            Self::KindStatedTooEarly,
            Self::IndexAheadTrusted,
            Self::IndexUnchecked,
            Self::RepeatAcknowledged,
            Self::PageAheadTrusted,
        ];
    }

    /// A planted bug; dropping it takes the bug out.
    #[derive(Debug)]
    pub struct Planted(());

    /// Plants the bug in every store without a background that this thread works on.
    #[must_use]
    pub fn plant(bug: Bug) -> Planted {
        ACTIVE.set(Some(bug));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }

    pub(crate) fn is_active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub(crate) use switch::is_active;
#[cfg(feature = "planted")]
pub use switch::{Planted, plant};

/// Whether the bug is planted.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_active(_: Bug) -> bool {
    false
}
