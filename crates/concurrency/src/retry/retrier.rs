//! A policy, with the time and the chance that it needs.

use std::fmt;
use std::sync::Arc;

use annals_core::{Append, Error, ErrorKind, EventStore, Receipt};

use super::policy::RetryPolicy;
use super::tries::{Tries, can_pass};
use crate::{Chance, SystemChance, Timer};

/// Tries again by a [`RetryPolicy`].
///
/// Cheap to clone, and shared by any number of tasks.
///
/// ```
/// use annals_concurrency::{ManualTimer, Retrier, RetryPolicy};
/// use annals_core::{Append, EventStore, Error, Expected, StreamId, Version};
/// # use annals_core::{ContentType, EventType, Ids, NewEvent, UuidIds};
///
/// async fn note(store: &dyn EventStore, retrier: &Retrier) -> Result<Version, Error> {
///     let diary = StreamId::parse("diary-ada")?;
///     retrier.run(async |tries| {
///         let seen = store.stream_head(&diary).await?.version;
/// #       let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}")?;
///         let append = Append::builder(UuidIds::default().append_id())
///             .write(diary.clone(), Expected::Exactly(seen), [event])
///             .build()?;
///         tries.append(store, &append).await?;
///         Ok(seen.next())
///     })
///     .await
/// }
/// # futures_executor::block_on(async {
/// # let store = annals_store_memory::MemoryStore::new();
/// let retrier = Retrier::new(RetryPolicy::DEFAULT, ManualTimer::default())?;
/// assert_eq!(note(&store, &retrier).await?, Version::FIRST);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Retrier {
    policy: RetryPolicy,
    timer: Arc<dyn Timer>,
    chance: Arc<dyn Chance>,
}

impl Retrier {
    /// Retries by this policy, with the pauses of this timer and the system's chance.
    ///
    /// # Errors
    /// As [`RetryPolicy::validate`] has it.
    pub fn new(policy: RetryPolicy, timer: impl Timer + 'static) -> Result<Self, Error> {
        Self::default_with(Arc::new(timer)).with_policy(policy)
    }

    /// Retries by the default policy, with the pauses of this timer and the system's chance.
    pub fn default_with(timer: Arc<dyn Timer>) -> Self {
        Self {
            policy: RetryPolicy::DEFAULT,
            timer,
            chance: Arc::new(SystemChance),
        }
    }

    /// The same with another policy.
    ///
    /// # Errors
    /// As [`RetryPolicy::validate`] has it.
    pub fn with_policy(mut self, policy: RetryPolicy) -> Result<Self, Error> {
        policy.validate()?;
        self.policy = policy;
        Ok(self)
    }

    /// The same with at most this many attempts; the first one counts, and is always made.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: u32) -> Self {
        self.policy.attempts_max = attempts_max.max(1);
        self
    }

    /// The same with at most this many resends of appends of unknown outcome.
    #[must_use]
    pub fn with_resends_max(mut self, resends_max: u32) -> Self {
        self.policy.resends_max = resends_max;
        self
    }

    /// The same with the pauses of this timer.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = timer;
        self
    }

    /// The same with the chance from here.
    #[must_use]
    pub fn with_chance(mut self, chance: Arc<dyn Chance>) -> Self {
        self.chance = chance;
        self
    }

    /// The settings.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Begins the tries of one command: its deadline counts from now.
    pub fn begin(&self) -> Tries {
        Tries::first(self.clone())
    }

    /// Sends one append, as [`Tries::append`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn append(
        &self,
        store: &(impl EventStore + ?Sized),
        append: &Append,
    ) -> Result<Receipt, Error> {
        self.begin().append(store, append).await
    }

    /// Runs an attempt, and again while it ends in a conflict that another attempt may pass, as often as the
    /// policy grants. The attempt reads, decides, and appends through the [`Tries`] that it is given, with an
    /// append id of its own each time or one for all.
    ///
    /// # Cancellation
    /// When the future is dropped, what the attempt appends is appended whole or not at all.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn run<T>(
        &self,
        mut attempt: impl AsyncFnMut(&mut Tries) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = self.begin();
        loop {
            match attempt(&mut tries).await {
                Err(error) if is_worth_another(&error) => {
                    if !tries.again().await {
                        return Err(error.with("attempts", tries.attempts()));
                    }
                }
                answer => return answer,
            }
        }
    }

    pub(super) fn timer(&self) -> &dyn Timer {
        self.timer.as_ref()
    }

    pub(super) fn chance(&self) -> &dyn Chance {
        self.chance.as_ref()
    }
}

#[cfg(feature = "timer")]
impl Default for Retrier {
    /// The default policy, with the machine's timer and the system's chance.
    fn default() -> Self {
        Self::default_with(Arc::new(crate::SystemTimer))
    }
}

impl fmt::Debug for Retrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Retrier").field(&self.policy).finish()
    }
}

fn is_worth_another(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.conflict().is_some_and(can_pass)
}
