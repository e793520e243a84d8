//! What has timers fire.

use std::fmt;
use std::sync::Arc;

use annals_codec::{ErrorKind as CodecErrorKind, EventCodecExt};
use annals_concurrency::{Chance, Spawn, SystemChance, Timer};
use annals_core::{
    Append, AppendId, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Clock, Cursor,
    Error, ErrorKind, Event, EventStore, Expected, Metadata, Page, ReadRequest, Receipt,
    RecordedEvent,
};
use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::change::TimerChange;
use super::event::{TimerCodec, TimerEvent, TimerId};
use super::handle::TimersHandle;
use super::pending::{Due, Pending, Waiting};
use super::settings::TimerSettings;
use crate::derived;
use crate::errors::may_pass;

/// Has the timers of a store fire: those of all process managers, and any that were [set](Self::change) otherwise.
///
/// A timer is a stream of the category `timer`: set, moved, cancelled and fired by an event each. Whoever runs the
/// timers of a store follows that category, sleeps until the first one is due, and appends that it has fired.
///
/// # What happens once
/// A timer fires once for each time it is set, however often and wherever the timers are run: the event is appended
/// on condition that the stream still ends with the one that set it, under an append id that follows from that. After
/// a restart the timers that wait are read again, and those that are overdue fire at once, in the order in which
/// they were due. A timer that is cancelled before it fires does not fire.
///
/// # Time
/// A timer is due by the [`Clock`], and never fires before; the [`Timer`] is what sleeps. How late it is depends
/// on the two, on the store, and on how many are due at once: they are appended one by one. While none waits
/// nothing is done at all.
///
/// # Memory
/// [`TimerSettings::pending_max`] timers, and a page of events.
#[derive(Clone)]
pub struct Timers {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    timer: Arc<dyn Timer>,
    chance: Arc<dyn Chance>,
    settings: TimerSettings,
    marks: Option<(Arc<dyn CheckpointStore>, CheckpointName)>,
}

/// Timers that run.
struct Running<'a> {
    timers: &'a Timers,
    pending: Pending,
    /// Events of timers are read up to here.
    cursor: Cursor,
    saved: Option<Checkpoint>,
    /// How many events were read since a mark was saved.
    unmarked: u64,
}

impl Timers {
    /// The timers of a store, by this clock, with the pauses of this timer.
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, timer: Arc<dyn Timer>) -> Self {
        Self {
            store,
            clock,
            timer,
            chance: Arc::new(SystemChance),
            settings: TimerSettings::DEFAULT,
            marks: None,
        }
    }

    /// The same by these settings.
    ///
    /// # Errors
    /// As [`TimerSettings::validate`] has it.
    pub fn with_settings(mut self, settings: TimerSettings) -> Result<Self, Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(self)
    }

    /// The same with a mark in this store, so that a restart reads the events from the oldest timer that waits on,
    /// and not from the first that there ever was.
    #[must_use]
    pub fn with_checkpoints(
        mut self,
        checkpoints: Arc<dyn CheckpointStore>,
        name: CheckpointName,
    ) -> Self {
        self.marks = Some((checkpoints, name));
        self
    }

    /// Sets, moves or cancels a timer of this owner and key, as a reaction may under the append id of its delivery. A
    /// process manager says it with its own events instead.
    ///
    /// # Errors
    /// As for an append; [`ErrorKind::Invalid`] for what makes no [stream](TimerId::stream).
    pub async fn change(
        &self,
        id: AppendId,
        (owner, key): (&str, &str),
        change: TimerChange,
        metadata: Metadata,
    ) -> Result<Receipt, Error> {
        let (stream, event) = change.into_event(owner, key, metadata)?;
        let append = Append::builder(id).write(stream, Expected::Any, [event]);
        self.store.append(append.build()?).await
    }

    /// Runs the timers until they are stopped, there.
    pub fn start(self, spawn: &dyn Spawn) -> TimersHandle {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        spawn.spawn(Box::pin(async move {
            let answer = self.run_until(stopping(stopped)).await;
            // Who waits for the end may open the store anew.
            drop(self);
            // Nobody may wait for it.
            let _ = end.send(answer);
        }));
        TimersHandle {
            stop: Some(stop),
            ended,
        }
    }

    /// Runs the timers for as long as the future is polled.
    ///
    /// # Cancellation
    /// The future may be dropped at any point.
    ///
    /// # Errors
    /// An error of the store that does not pass, or did not in so many attempts; an event of a timer that does not
    /// decode.
    pub async fn run(&self) -> Result<(), Error> {
        self.run_until(std::future::pending()).await
    }

    async fn run_until(&self, stopped: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let stopped = std::pin::pin!(stopped);
        let running = std::pin::pin!(self.run_on());
        match select(running, stopped).await {
            Either::Left((failed, _)) => failed,
            Either::Right(_) => Ok(()),
        }
    }

    async fn run_on(&self) -> Result<(), Error> {
        let mut failures = 0;
        let mut running = Running::new(self);
        loop {
            let Err(error) = running.turn().await else {
                failures = 0;
                continue;
            };
            failures = u32::saturating_add(failures, 1);
            let retry = &self.settings.retry;
            if !may_pass(error.kind()) || failures >= retry.attempts_max {
                return Err(error.with("attempts", failures));
            }
            tracing::warn!(%error, failures, "timers fail, and try again");
            let pause = retry.pause(failures, self.chance.draw());
            self.timer.sleep(pause).await;
        }
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let request = request.events_max(self.settings.page_events_max);
        self.store.read(request).await
    }
}

impl<'a> Running<'a> {
    fn new(timers: &'a Timers) -> Self {
        Self {
            timers,
            pending: Pending::new(timers.settings.pending_max),
            cursor: Cursor::START,
            saved: None,
            unmarked: 0,
        }
    }

    /// Reads what is new, has those fire that are due, and waits where there is nothing to do.
    async fn turn(&mut self) -> Result<(), Error> {
        if self.saved.is_none() && self.timers.marks.is_some() {
            self.open().await?;
        }
        self.catch_up().await?;
        if self.fire_due().await? || self.look_beyond().await? {
            return Ok(());
        }
        self.save_mark().await?;
        self.wait().await
    }

    /// Begins at the mark.
    async fn open(&mut self) -> Result<(), Error> {
        if let Some((checkpoints, name)) = &self.timers.marks {
            let saved = load(&**checkpoints, name).await?;
            self.cursor = saved.cursor.clone();
            self.saved = Some(saved);
        }
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let request = ReadRequest::category(TimerEvent::CATEGORY).after(self.cursor.clone());
        let mut next = Some(request);
        while let Some(request) = next {
            let page = self.timers.read(request).await?;
            note(&mut self.pending, &self.cursor, &page)?;
            let count = u64::try_from(page.events.len()).unwrap_or(u64::MAX);
            self.unmarked = self.unmarked.saturating_add(count);
            self.cursor = page.cursor;
            next = page.next;
        }
        Ok(())
    }

    /// Has those fire that are due; tells whether any did.
    async fn fire_due(&mut self) -> Result<bool, Error> {
        let mut any = false;
        let now = self.timers.clock.now();
        while let Some((due, waiting)) = self.pending.first().filter(|((due, _), _)| *due <= now) {
            let stream = due.1.clone();
            self.timers.fire(due, waiting).await?;
            self.pending.remove(&stream);
            any = true;
        }
        Ok(any)
    }

    /// Takes the next timers into memory, once all of those have fired for which there was room.
    async fn look_beyond(&mut self) -> Result<bool, Error> {
        let Some((mut pending, mut after)) = self.pending.beyond() else {
            return Ok(false);
        };
        let request = ReadRequest::category(TimerEvent::CATEGORY).after(after.clone());
        let mut next = Some(request.until(self.cursor.clone()));
        while let Some(request) = next {
            let page = self.timers.read(request).await?;
            note(&mut pending, &after, &page)?;
            after = page.cursor;
            next = page.next;
        }
        pending.go_on();
        self.pending = pending;
        Ok(true)
    }

    async fn save_mark(&mut self) -> Result<(), Error> {
        let (Some((checkpoints, name)), Some(saved)) = (&self.timers.marks, &self.saved) else {
            return Ok(());
        };
        let mark = self.pending.mark(&self.cursor);
        if self.unmarked < self.timers.settings.mark_events || saved.cursor.covers(&mark) {
            return Ok(());
        }
        let save = CheckpointSave {
            name: name.clone(),
            cursor: mark,
            expected_revision: saved.revision,
        };
        self.saved = Some(match checkpoints.save_checkpoint(save).await {
            // Another one runs the same timers: its mark is as good.
            Err(error) if error.kind() == ErrorKind::Conflict => load(&**checkpoints, name).await?,
            saved => saved?,
        });
        self.unmarked = 0;
        Ok(())
    }

    /// Waits for an event, or until the first timer is due.
    async fn wait(&mut self) -> Result<(), Error> {
        let timers = self.timers;
        let changed = timers.store.changed_since(&self.cursor);
        let Some(((due, _), _)) = self.pending.first() else {
            return changed.await.map(drop);
        };
        let pause = due.since(timers.clock.now());
        let pause = pause.min(timers.settings.clock_check_interval);
        match select(changed, timers.timer.sleep(pause)).await {
            Either::Left((changed, _)) => changed.map(drop),
            Either::Right(_) => Ok(()),
        }
    }
}

impl Timers {
    /// Appends that a timer has fired, unless it did, or was changed.
    async fn fire(&self, (due, stream): &Due, waiting: &Waiting) -> Result<(), Error> {
        let Some(timer) = TimerId::of(stream) else {
            return Ok(());
        };
        let fired = TimerEvent::Fired { timer, due: *due };
        let metadata = derived::in_conversation(waiting.correlation.clone(), waiting.set_by)?;
        let fired = fired.encode()?.with_metadata(metadata);
        let id = derived::fired(waiting.set_by);
        let expected = Expected::Exactly(waiting.version);
        let append = Append::builder(id).write(stream.clone(), expected, [fired]);
        match self.store.append(append.build()?).await {
            Err(error) if is_over(error.kind()) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// The mark of this name; the start where there is none.
async fn load(
    checkpoints: &dyn CheckpointStore,
    name: &CheckpointName,
) -> Result<Checkpoint, Error> {
    let saved = checkpoints.load_checkpoint(name).await?;
    Ok(saved.unwrap_or(Checkpoint {
        cursor: Cursor::START,
        revision: 0,
    }))
}

/// Whether a timer that does not fire for this reason has fired or was changed.
fn is_over(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::AppendIdReused)
}

/// Notes the events of a page.
fn note(pending: &mut Pending, after: &Cursor, page: &Page) -> Result<(), Error> {
    pending.begin_page(after);
    for recorded in &page.events {
        if let Some(event) = decode(recorded)? {
            pending.note(&event, recorded);
        }
    }
    Ok(())
}

/// The event of a timer; `None` for what is none.
fn decode(recorded: &RecordedEvent) -> Result<Option<TimerEvent>, Error> {
    let decoded = match TimerCodec.decode(recorded) {
        Err(error) if error.kind() == CodecErrorKind::UnknownType => return Ok(None),
        decoded => decoded?.one()?,
    };
    let is_own = TimerId::of(recorded.stream()).as_ref() == Some(decoded.timer());
    Ok(is_own.then_some(decoded))
}

/// Ends when it is told to, and not when nobody can tell it any more.
async fn stopping(stopped: oneshot::Receiver<()>) {
    if stopped.await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
