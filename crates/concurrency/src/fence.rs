//! What keeps the writes of a paused process out.

use std::fmt;

use annals_core::{AppendBuilder, Error, Expected, FailedCheck, StreamId, Version};

/// The number of a grant of a lease: a later grant has a higher one, whatever the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FencingToken(u64);

/// A check that an append carries: that a stream still has the version which it had when a right to write was
/// given. Where it does not, the store refuses the append.
///
/// A `Lease` (feature `lease`) gives one; any stream that tells of such rights can.
///
/// ```
/// use annals_concurrency::Fence;
/// use annals_core::{Append, ContentType, EventType, Expected, Ids, NewEvent, StreamId, UuidIds, Version};
///
/// let fence = Fence::new(StreamId::parse("lease-payroll")?, Version::new(3));
/// let paid = NewEvent::new(EventType::from_static("paid"), ContentType::JSON, "{}")?;
/// let append = fence
///     .guard(Append::builder(UuidIds::default().append_id()))
///     .write(StreamId::parse("payroll-may")?, Expected::Any, [paid])
///     .build()?;
/// assert_eq!(append.checks().len(), 1);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    stream: StreamId,
    version: Version,
}

impl FencingToken {
    /// The token of this number, as it was kept elsewhere.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Fence {
    /// Holds as long as this stream has this version.
    pub const fn new(stream: StreamId, version: Version) -> Self {
        Self { stream, version }
    }

    /// The version of the stream as a token, for whatever is written outside the store: it refuses one that is
    /// lower than the highest it has seen.
    pub const fn token(&self) -> FencingToken {
        FencingToken(self.version.value())
    }

    /// The stream that tells of the right.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The same append with the check. It needs a store with
    /// [`stream_checks`](annals_core::Capabilities::stream_checks).
    pub fn guard(&self, append: AppendBuilder) -> AppendBuilder {
        append.check(self.stream.clone(), Expected::Exactly(self.version))
    }

    /// Whether this conflict says that the right is lost: no later try passes then.
    pub fn is_broken_by(&self, error: &Error) -> bool {
        let failures = error
            .conflict()
            .map_or(&[][..], |conflict| conflict.failures());
        failures.iter().any(|failure| match failure {
            FailedCheck::Stream { stream, .. } | FailedCheck::Closed { stream } => {
                *stream == self.stream
            }
            _ => false,
        })
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
