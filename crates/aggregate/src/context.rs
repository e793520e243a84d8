//! What a command carries to its events.

use annals_concurrency::Fence;
use annals_core::{
    AppendId, CausationId, CorrelationId, Error, Metadata, RecordedEvent, Timestamp,
};

/// What a command carries to every event that it causes.
///
/// ```
/// use annals_aggregate::Context;
/// use annals_core::{AppendId, CorrelationId, Metadata};
///
/// let request = Metadata::EMPTY.with_correlation_id(CorrelationId::parse("request-8842")?)?;
/// let context = Context::new()
///     .with_metadata(request.with_header("user", "ada")?)
///     .with_append_id(AppendId::parse("order-17/pay")?);
/// # let _ = context;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    metadata: Metadata,
    append_id: Option<AppendId>,
    recorded_at: Option<Timestamp>,
    fence: Option<Fence>,
}

impl Context {
    /// Nothing: no ids, no headers; a fresh append id, and the time of the repository's clock.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata::EMPTY,
            append_id: None,
            recorded_at: None,
            fence: None,
        }
    }

    /// The context of a command that an event causes: the event is the cause, and the correlation is
    /// the event's own, or begins with the event where it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the metadata grow over their limit.
    pub fn caused_by(event: &RecordedEvent) -> Result<Self, Error> {
        let correlation = event.metadata().correlation_id();
        let metadata = Metadata::EMPTY
            .with_correlation_id(correlation.unwrap_or_else(|| CorrelationId::from(event.id())))?
            .with_causation_id(CausationId::from(event.id()))?;
        Ok(Self::new().with_metadata(metadata))
    }

    /// The same with this correlation, cause and these headers.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same with this identity for the append, so that a command which is sent again is recorded
    /// once; see [`Repository::execute_with`](crate::Repository::execute_with).
    #[must_use]
    pub fn with_append_id(mut self, append_id: AppendId) -> Self {
        self.append_id = Some(append_id);
        self
    }

    /// The same with the time at which the events happened, in place of the repository's clock.
    #[must_use]
    pub fn with_recorded_at(mut self, recorded_at: Timestamp) -> Self {
        self.recorded_at = Some(recorded_at);
        self
    }

    /// The same under this fence, as that of a lease: the store refuses the append once the right to it is lost
    /// ([`CommandError::FenceBroken`](crate::CommandError::FenceBroken)). A command that decides no event appends
    /// nothing, and is not checked.
    #[must_use]
    pub fn with_fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    /// The correlation, the cause and the headers.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The identity of the append, if it is fixed.
    pub fn append_id(&self) -> Option<AppendId> {
        self.append_id
    }

    /// When the events happened, if it is fixed.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.recorded_at
    }

    /// The fence of the append, if it has one.
    pub fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// Whether a conflict says that the right to append is lost.
    pub(crate) fn is_fence_broken_by(&self, error: &Error) -> bool {
        let mut fence = self.fence.iter();
        fence.any(|fence| fence.is_broken_by(error))
    }
}

impl From<Metadata> for Context {
    fn from(metadata: Metadata) -> Self {
        Self::new().with_metadata(metadata)
    }
}
