//! Aggregates in a store.

use std::fmt;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_concurrency::ConflictResolver;
use annals_core::{
    Aggregate, Error, ErrorKind, Event, EventStore, ReadRequest, Receipt, StreamId, Version,
};

use crate::attempts::Attempts;
use crate::duplicate::check_same;
use crate::kept::Keeping;
use crate::rebase::Rebase;
use crate::skipped::Gaps;
use crate::writer::{Writer, is_same_store, writer_setters};
use crate::{CommandError, Context, Executed, IntoEvents, Loaded, Transaction};

/// The aggregates of one type in a store: loads them, decides, appends what was decided.
///
/// An aggregate is named by a key; its stream is the category of its events and the key, as in
/// `account-42`. Optimistic: nothing is locked, an append succeeds only when the stream still has the
/// version that was loaded, and [`execute`](Self::execute) does all of it again where it has not.
///
/// Cheap to clone, and shared by any number of tasks.
pub struct Repository<A: Aggregate> {
    pub(crate) writer: Writer,
    pub(crate) codec: Arc<dyn EventCodec<A::Event>>,
    pub(crate) page_events_max: usize,
    pub(crate) rebase: Option<Arc<Rebase<A>>>,
    pub(crate) gaps: Gaps,
    pub(crate) keeping: Keeping<A>,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates in this store, their events in the form of this codec; with the machine's clock,
    /// random append ids, the default [`RetryPolicy`](annals_concurrency::RetryPolicy), no resolver, and 1000 events a page.
    pub fn new(store: Arc<dyn EventStore>, codec: impl EventCodec<A::Event> + 'static) -> Self {
        Self {
            writer: Writer::new(store),
            codec: Arc::new(codec),
            page_events_max: ReadRequest::EVENTS_MAX_DEFAULT,
            rebase: None,
            gaps: Gaps::Refused,
            keeping: Keeping::default(),
        }
    }

    writer_setters!();

    /// The same with who resolves the conflicts of [`execute`](Self::execute) and
    /// [`execute_with`](Self::execute_with), as [`CommutingPairs`](annals_concurrency::CommutingPairs): where it says
    /// so, what was decided is appended at the newer version without deciding again, which counts as an attempt.
    ///
    /// It is asked when the stream has up to a page of newer events, all of which are known, and nothing else is in
    /// the way; otherwise the command is decided again. So it is when the aggregate refuses the new events after
    /// those that came between. The state is copied once for each command and each rebase.
    #[must_use]
    pub fn with_resolver(mut self, resolver: impl ConflictResolver<A::Event> + 'static) -> Self
    where
        A: Clone,
    {
        self.rebase = Some(Arc::new(Rebase {
            resolver: Arc::new(resolver),
            copy: A::clone,
        }));
        self
    }

    /// The same with at most this many attempts: to execute a command against conflicts, and to load an
    /// aggregate whose stream is truncated or deleted between two pages. The first one counts, and is
    /// always made.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: u32) -> Self {
        self.writer.retrier = self.writer.retrier.with_attempts_max(attempts_max);
        self
    }

    /// The same with at most this many resends in one command or save: while the outcome of an append is
    /// unknown, it is sent again. They count over all attempts of the command, so the store is sent at most
    /// attempts and resends together. 0 sends each append once.
    #[must_use]
    pub fn with_resends_max(mut self, resends_max: u32) -> Self {
        self.writer.retrier = self.writer.retrier.with_resends_max(resends_max);
        self
    }

    /// The same with at most this many events a page when it loads: 1 to
    /// [`PAGE_EVENTS_MAX`](annals_core::limits::PAGE_EVENTS_MAX), which the store checks.
    #[must_use]
    pub fn with_page_events_max(mut self, page_events_max: usize) -> Self {
        self.page_events_max = page_events_max;
        self
    }

    /// The same that decides and appends although the codec's policy passed over events of the aggregate, which
    /// are not in its state then. Without this, such an aggregate can be loaded, and no command is executed on it.
    ///
    /// What was passed over is told with every answer: [`Executed::skipped`].
    #[must_use]
    pub fn deciding_despite_skipped(mut self) -> Self {
        self.gaps = Gaps::Allowed;
        self
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.writer.store
    }

    /// The stream of the aggregate with this key; an empty key names the only one of its category.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the key makes no stream id.
    pub fn stream(&self, key: &str) -> Result<StreamId, Error> {
        StreamId::new(&A::Event::CATEGORY, key)
    }

    /// The aggregate with this key as it is now. One to which nothing has happened, or whose stream was
    /// deleted, has the default state.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the key makes no stream id;
    /// [`ErrorKind::Undecodable`](annals_core::ErrorKind::Undecodable) and
    /// [`ErrorKind::Refused`](annals_core::ErrorKind::Refused) for an event that does not decode or that
    /// the aggregate refuses, which the error names by stream, version and position;
    /// [`ErrorKind::Unavailable`](annals_core::ErrorKind::Unavailable) when the stream was truncated or
    /// deleted between two pages in all attempts; or as the store has it.
    pub async fn load(&self, key: &str) -> Result<Loaded<A>, Error> {
        self.load_at(key, Version::MAX).await
    }

    /// The aggregate with this key as it was after the event of this version, or as it is now where the
    /// version is not reached yet. Events that the stream's policy hides are not seen in the past either.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub async fn load_at(&self, key: &str, version: Version) -> Result<Loaded<A>, Error> {
        self.read(self.stream(key)?, version).await
    }

    /// Appends the uncommitted events, if the stream still has the version that was loaded, and gives
    /// the receipt; `None` when there is none. The aggregate can be worked on then.
    ///
    /// With a fixed append id in the context, a save that is repeated records its events once, and the
    /// aggregate is loaded again where it was the earlier save that did. Other events under that id are
    /// refused, never dropped: [`ErrorKind::AppendIdReused`](annals_core::ErrorKind::AppendIdReused). Who
    /// would decide again asks the store for the [receipt](EventStore::receipt) before.
    ///
    /// # Cancellation
    /// When the future is dropped, the events are appended whole or not at all, and stay uncommitted
    /// here. Saving again is then a conflict where they were appended, or, with the same fixed append
    /// id, a duplicate.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](annals_core::ErrorKind::Conflict) when others wrote the stream meanwhile,
    /// or deleted it: load it and decide again. [`ErrorKind::Undecodable`](annals_core::ErrorKind::Undecodable) when
    /// events were skipped as it was loaded, as for [`execute`](Self::execute). [`ErrorKind::Unknown`](annals_core::ErrorKind::Unknown)
    /// when the outcome is unknown after all resends; [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid)
    /// when the aggregate was loaded from another store; or as encoding and the store have it. The events
    /// stay uncommitted.
    pub async fn save(
        &self,
        loaded: &mut Loaded<A>,
        context: &Context,
    ) -> Result<Option<Receipt>, Error> {
        self.writer
            .check_store(loaded.store(), loaded.stream(), "save")?;
        if loaded.uncommitted().is_empty() {
            return Ok(None);
        }
        let (append, stamp) = self.writer.begin(context);
        let append = loaded.add_to(append, &stamp)?.build()?;
        let mut attempts = Attempts::first(&self.writer);
        let receipt = attempts.send(&self.writer, &append).await?;
        if receipt.version_of(loaded.stream()) == Some(loaded.next_version()) {
            self.keep_appended(loaded);
            loaded.commit();
        } else {
            *loaded = self.read(loaded.stream().clone(), Version::MAX).await?;
        }
        Ok(Some(receipt))
    }

    /// Executes a command: loads the aggregate, lets `decide` look at its state and give events, and
    /// appends them if nobody wrote or deleted the stream meanwhile. Otherwise all of it is done again, up to the limit of attempts, so `decide` may run several times.
    ///
    /// ```
    /// # use annals_aggregate::{CommandError, Repository};
    /// # use annals_core::{Aggregate, Refusal};
    /// # use annals_macros::Event;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(category = "account")]
    /// # enum AccountEvent { MoneyDeposited { amount: u64 } }
    /// # #[derive(Default)]
    /// # struct Account { balance: u64 }
    /// # impl Aggregate for Account {
    /// #     type Event = AccountEvent;
    /// #     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
    /// #         let AccountEvent::MoneyDeposited { amount } = event;
    /// #         self.balance += amount;
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[derive(Debug)]
    /// # struct Overflow;
    /// # impl Account {
    /// #     fn deposit(&self, amount: u64) -> Result<AccountEvent, Overflow> {
    /// #         self.balance.checked_add(amount).ok_or(Overflow)?;
    /// #         Ok(AccountEvent::MoneyDeposited { amount })
    /// #     }
    /// # }
    /// # async fn example(accounts: Repository<Account>) -> Result<(), CommandError<Overflow>> {
    /// let executed = accounts.execute("42", |account| account.deposit(5)).await?;
    /// assert_eq!(executed.state.balance, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// When the future is dropped, the events are appended whole or not at all. Whoever has to know
    /// which fixes the append id ([`execute_with`](Self::execute_with)).
    ///
    /// # Errors
    /// See [`CommandError`]. An event that the aggregate itself would refuse is never appended, and
    /// [`ErrorKind::Undecodable`](annals_core::ErrorKind::Undecodable) says that the codec skipped events of the
    /// aggregate, unless the repository [decides all the same](Self::deciding_despite_skipped).
    pub async fn execute<I, E>(
        &self,
        key: &str,
        decide: impl FnMut(&A) -> Result<I, E>,
    ) -> Result<Executed<A>, CommandError<E>>
    where
        I: IntoEvents<A::Event>,
    {
        self.execute_with(&Context::new(), key, decide).await
    }

    /// Like [`execute`](Self::execute), with what the command carries to its events.
    ///
    /// # Idempotence
    /// With a fixed append id, a command that is executed twice is recorded once and answers the same,
    /// whatever happened since: the events that the first execution recorded, its receipt as a duplicate,
    /// and the state and the version right after them. That the command would be refused by now, would
    /// decide otherwise or nothing at all, that the aggregate was written, deleted or closed: none of it
    /// matters, as `decide` is not asked. It never sees a state that holds the events of its own command.
    ///
    /// - The id stands for the command: a different one with the same id, for the same aggregate, is taken
    ///   for the first. For another aggregate it is [`CommandError::AppendIdReused`].
    /// - Only what was recorded counts: a command that was refused, or that decided nothing, is decided
    ///   again.
    /// - Events that the stream's policy hides by now are missing from the answer, and the state is
    ///   without them, as with [`load_at`](Self::load_at). The receipt is whole.
    /// - The store has to know the id still ([`Capabilities::append_ids`](annals_core::Capabilities)).
    ///
    /// With a fixed append id, each attempt asks the store for the receipt, which is one call more.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub async fn execute_with<I, E>(
        &self,
        context: &Context,
        key: &str,
        decide: impl FnMut(&A) -> Result<I, E>,
    ) -> Result<Executed<A>, CommandError<E>>
    where
        I: IntoEvents<A::Event>,
    {
        let stream = self.stream(key)?;
        if self.writer.observer.is_none() {
            return self.run(context, &stream, decide).await;
        }
        let run = Box::pin(self.run(context, &stream, decide));
        self.writer.command(&stream, run).await
    }

    /// Executes a command on two aggregates, of the same type or of two, in one append: both take their
    /// events or neither does. One of the two may be left without events; it must not have changed
    /// meanwhile all the same.
    ///
    /// `decide` may run several times, as in [`execute`](Self::execute); the same goes for cancellation,
    /// and for idempotence as in [`execute_with`](Self::execute_with): one that was left without events is
    /// answered as it was then.
    ///
    /// # Errors
    /// See [`CommandError`]; [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when both are one
    /// aggregate, or are in different stores; [`ErrorKind::Unsupported`](annals_core::ErrorKind::Unsupported)
    /// when the store has no appends to several streams, or no checks.
    pub async fn execute_both<B, I, J, E>(
        &self,
        context: &Context,
        key: &str,
        (other, other_key): (&Repository<B>, &str),
        decide: impl FnMut(&A, &B) -> Result<(I, J), E>,
    ) -> Result<(Executed<A>, Executed<B>), CommandError<E>>
    where
        B: Aggregate,
        I: IntoEvents<A::Event>,
        J: IntoEvents<B::Event>,
    {
        let (stream, other_stream) = (self.stream(key)?, other.stream(other_key)?);
        check_pair(self, other, (&stream, &other_stream))?;
        if self.writer.observer.is_none() {
            let run = self.run_both(context, &stream, (other, &other_stream), decide);
            return run.await;
        }
        let run = self.run_both(context, &stream, (other, &other_stream), decide);
        self.writer.command(&stream, Box::pin(run)).await
    }

    /// Begins an append over several aggregates, with this repository's store, clock, ids and retries.
    pub fn transaction(&self) -> Transaction {
        Transaction::of(self.writer.clone())
    }

    /// Executes a command on the aggregate of a stream.
    async fn run<I, E>(
        &self,
        context: &Context,
        stream: &StreamId,
        mut decide: impl FnMut(&A) -> Result<I, E>,
    ) -> Result<Executed<A>, CommandError<E>>
    where
        I: IntoEvents<A::Event>,
    {
        let mut attempts = Attempts::first(&self.writer);
        loop {
            let loaded = self.read(stream.clone(), Version::MAX).await;
            // Asked once the state is here: so the state is from before the events of the command, if
            // there is no receipt, and an error in it does not matter if there is one.
            if let Some(receipt) = self.writer.recorded(context).await? {
                check_same(&receipt, &[stream])?;
                return Ok(self
                    .executed_before(stream.clone(), receipt, &attempts)
                    .await?);
            }
            let mut loaded = loaded?;
            loaded.check_whole()?;
            let decided = decide(loaded.state()).map_err(CommandError::Refused)?;
            let before = self.copy_for_rebase(&loaded);
            loaded.take(decided.into_events())?;
            if loaded.uncommitted().is_empty() {
                return Ok(self.executed(loaded, None, &attempts).await?);
            }
            let appended = self.append_decided(loaded, before, context, &mut attempts);
            if let Some((loaded, receipt)) = appended.await? {
                return Ok(self.executed(loaded, Some(receipt), &attempts).await?);
            }
        }
    }

    /// Executes a command on the aggregates of two streams.
    async fn run_both<B, I, J, E>(
        &self,
        context: &Context,
        stream: &StreamId,
        (other, other_stream): (&Repository<B>, &StreamId),
        mut decide: impl FnMut(&A, &B) -> Result<(I, J), E>,
    ) -> Result<(Executed<A>, Executed<B>), CommandError<E>>
    where
        B: Aggregate,
        I: IntoEvents<A::Event>,
        J: IntoEvents<B::Event>,
    {
        let mut attempts = Attempts::first(&self.writer);
        loop {
            let loaded = self.read(stream.clone(), Version::MAX).await;
            let other_loaded = other.read(other_stream.clone(), Version::MAX).await;
            if let Some(receipt) = self.writer.recorded(context).await? {
                check_same(&receipt, &[stream, other_stream])?;
                let first = self.executed_before(stream.clone(), receipt.clone(), &attempts);
                let second = other.executed_before(other_stream.clone(), receipt, &attempts);
                return Ok((first.await?, second.await?));
            }
            let (mut first, mut second) = (loaded?, other_loaded?);
            first.check_whole()?;
            second.check_whole()?;
            let decided = decide(first.state(), second.state()).map_err(CommandError::Refused)?;
            first.take(decided.0.into_events())?;
            second.take(decided.1.into_events())?;
            let receipt = if first.uncommitted().is_empty() && second.uncommitted().is_empty() {
                None
            } else {
                let (append, stamp) = self.writer.begin(context);
                let append = second.add_to(first.add_to(append, &stamp)?, &stamp)?;
                let append = append.build()?;
                match attempts.send(&self.writer, &append).await {
                    Ok(receipt) => Some(receipt),
                    Err(error) => {
                        attempts.next(append, error, context).await?;
                        continue;
                    }
                }
            };
            let first = self.executed(first, receipt.clone(), &attempts).await?;
            let second = other.executed(second, receipt, &attempts).await?;
            return Ok((first, second));
        }
    }

    /// The answer for an aggregate whose events were recorded by the append of this receipt.
    async fn executed(
        &self,
        loaded: Loaded<A>,
        receipt: Option<Receipt>,
        attempts: &Attempts,
    ) -> Result<Executed<A>, Error> {
        let receipt = receipt.filter(|_| !loaded.uncommitted().is_empty());
        let mut version = loaded.next_version();
        let recorded = receipt
            .as_ref()
            .and_then(|receipt| receipt.version_of(loaded.stream()));
        if recorded == Some(version) {
            self.keep_appended(&loaded);
        }
        let (stream, mut state, mut skipped, events) = loaded.into_parts();
        // Another execution recorded the same events since, on a later state than the one at hand.
        if let Some(earlier) = recorded.filter(|recorded| *recorded != version) {
            let read = self.read(stream.clone(), earlier).await?;
            (_, state, skipped, _) = read.into_parts();
            version = earlier;
        }
        Ok(Executed {
            stream,
            events,
            receipt,
            state,
            skipped,
            version,
            attempts: attempts.used(),
            rebases: attempts.rebases,
        })
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            writer: self.writer.clone(),
            codec: self.codec.clone(),
            page_events_max: self.page_events_max,
            rebase: self.rebase.clone(),
            gaps: self.gaps,
            keeping: self.keeping.clone(),
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("category", &A::Event::CATEGORY)
            .field("writer", &self.writer)
            .field("codec", &self.codec)
            .field("page_events_max", &self.page_events_max)
            .field("gaps", &self.gaps)
            .field("keeping", &self.keeping)
            .finish_non_exhaustive()
    }
}

/// Refuses what one append over both can't be right for.
fn check_pair<A: Aggregate, B: Aggregate>(
    first: &Repository<A>,
    second: &Repository<B>,
    streams: (&StreamId, &StreamId),
) -> Result<(), Error> {
    let refused = |message| {
        Err(Error::new(ErrorKind::Invalid, message)
            .during("execute")
            .with("stream", streams.0))
    };
    if streams.0 == streams.1 {
        return refused("both aggregates are the same; execute on one");
    }
    if !is_same_store(first.store(), second.store()) {
        return refused("repositories are of different stores; make both from one `Arc`");
    }
    Ok(())
}
