//! How a process learns what the log holds, and has what it reads verified.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{Error, ErrorKind, Position, RecordedEvent};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use crate::error::Failure;
use crate::record::{Raw, Record};
use crate::shared::Shared;
use crate::state::State;

/// The most messages, and bytes, that are asked for at once.
const PAGE_MESSAGES: usize = 4096;
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// How often a message that is not given, or is damaged, is asked for again, and the pause between: other replicas may
/// have it, and which of them answers can't be chosen.
const REREADS_MAX: usize = 40;
const REREAD_PAUSE: Duration = Duration::from_millis(5);

/// How often a leader that knows less than was read before is asked again: one that was cut off goes on answering until
/// it finds out.
const STALE_MAX: usize = 20;
const STALE_PAUSE: Duration = Duration::from_millis(100);

/// The pause before what rings is listened to again.
const LISTEN_PAUSE: Duration = Duration::from_millis(200);

/// How many messages that stand apart are asked for at the same time.
const APART_MAX: usize = 64;

impl Shared {
    /// Takes in all that the stream's leader holds now. Whoever asks while somebody does shares the next time.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let begun = self.refreshes.begun();
        let _one = self.refreshes.turn.lock().await;
        if self.refreshes.is_done_since(begun) {
            return Ok(());
        }
        let number = self.refreshes.begin();
        self.catch_up().await?;
        self.refreshes.finish(number);
        Ok(())
    }

    /// The same when a log is opened that is noted to go so far: a leader that was cut off, or has just been elected,
    /// may know less for a while.
    pub(crate) async fn refresh_up_to(&self, noted: u64) -> Result<(), Error> {
        self.refresh().await?;
        for _ in 0..STALE_MAX {
            if self.look(State::sequence)? >= noted {
                break;
            }
            sleep(STALE_PAUSE).await;
            self.refresh().await?;
        }
        Ok(())
    }

    async fn catch_up(&self) -> Result<(), Error> {
        for _ in 0..STALE_MAX {
            // What this process appends meanwhile is no reason to ask again.
            let known = self.look(State::sequence)?;
            let info = self.wire.info(self.log(), None).await;
            let last = info.map_err(Failure::into_error)?.state.last_seq;
            if last >= known {
                return self.reach(last).await;
            }
            sleep(STALE_PAUSE).await;
        }
        let message = "the log's leader knows less than was read before: it is cut off, or its servers lost data";
        Err(Error::new(ErrorKind::Unavailable, message).with("log", self.log()))
    }

    /// Takes in every message up to this sequence, and those of the append that it belongs to.
    async fn reach(&self, last: u64) -> Result<(), Error> {
        loop {
            let (next, settled) = self.look(|state| (state.next_sequence(), state.sequence()))?;
            // Of a batch, the leader may have told when only a part stood there.
            let is_between = next > settled + 1;
            if next > last && !is_between {
                return Ok(());
            }
            let wanted = usize::try_from(last.saturating_sub(next)).unwrap_or(usize::MAX);
            let count = wanted.saturating_add(1).min(PAGE_MESSAGES);
            let everything = self.subjects.everything();
            let page = self
                .wire
                .some(self.log(), &everything, next, count, PAGE_BYTES)
                .await
                .map_err(Failure::into_error)?;
            if !self.take_page(next, &page)? {
                let raw = self.one(next).await?;
                let record = Record::of(&raw, &self.subjects)?;
                self.take(vec![(next, record)])?;
            }
        }
    }

    /// Takes in what of a page follows without a hole and is sound; whether that is anything.
    fn take_page(&self, from: u64, page: &[Raw]) -> Result<bool, Error> {
        let records: Vec<(u64, Record)> = (from..)
            .zip(page)
            .take_while(|(expected, raw)| raw.sequence == *expected)
            .map_while(|(sequence, raw)| {
                let record = Record::of(raw, &self.subjects).ok()?;
                Some((sequence, record))
            })
            .collect();
        let is_any = !records.is_empty();
        self.take(records)?;
        Ok(is_any)
    }

    /// The message of a sequence that the stream has, sound: by the leader, else by any replica that has it.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where none has it.
    pub(crate) async fn one(&self, sequence: u64) -> Result<Raw, Error> {
        let mut found = self.wire.by_leader(self.log(), sequence).await;
        let mut damage = None;
        let mut silence = None;
        for _ in 0..REREADS_MAX {
            match found {
                Ok(Some(raw)) => match Record::of(&raw, &self.subjects) {
                    Ok(_) => return Ok(raw),
                    Err(error) => damage = Some(error),
                },
                Ok(None) => {}
                Err(failure) => silence = Some(failure),
            }
            sleep(REREAD_PAUSE).await;
            found = self.wire.by_any(self.log(), sequence).await;
        }
        match (damage, silence) {
            (Some(damage), _) => Err(damage),
            (None, Some(failure)) => Err(failure.into_error()),
            (None, None) => {
                let message =
                    "message of the log is missing on every server that was asked; restore it";
                Err(Error::new(ErrorKind::Corrupt, message).with("sequence", sequence))
            }
        }
    }

    /// The events at these positions, in their order, which ascends, out of a subject that selects few others there.
    pub(crate) async fn events(
        self: &Arc<Self>,
        positions: &[Position],
        subject: Option<&str>,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let wanted: Vec<(Position, u64)> = self.look(|state| {
            let sequence =
                |position: &Position| Some((*position, state.entry(*position)?.sequence));
            positions.iter().filter_map(sequence).collect()
        })?;
        let mut found = Vec::with_capacity(wanted.len());
        if let Some(subject) = subject
            && wanted.len() > 1
        {
            self.events_together(&wanted, subject, &mut found).await;
        }
        let rest = wanted.get(found.len()..).unwrap_or_default().to_vec();
        let asked = rest.into_iter().map(|(position, sequence)| {
            let shared = Arc::clone(self);
            async move { shared.event(position, sequence).await }
        });
        let mut answers = futures_util::stream::iter(asked).buffered(APART_MAX);
        while let Some(event) = answers.next().await {
            found.push(event?);
        }
        Ok(found)
    }

    /// Adds the first of the wanted events, as many as are given together and sound. What fails is left to be asked for
    /// one by one.
    async fn events_together(
        &self,
        wanted: &[(Position, u64)],
        subject: &str,
        found: &mut Vec<RecordedEvent>,
    ) {
        loop {
            let rest = wanted.get(found.len()..).unwrap_or_default();
            let Some((_, from)) = rest.first() else {
                return;
            };
            let count = rest.len().min(PAGE_MESSAGES);
            let page = self
                .wire
                .some(self.log(), subject, *from, count, PAGE_BYTES);
            let Ok(page) = page.await else {
                return;
            };
            let before = found.len();
            let mut page = page.iter().peekable();
            for (position, sequence) in rest {
                while page.next_if(|raw| raw.sequence < *sequence).is_some() {}
                let raw = page.next_if(|raw| raw.sequence == *sequence);
                let Some(event) = raw.and_then(|raw| self.event_of(raw, *position).ok()) else {
                    break;
                };
                found.push(event);
            }
            if found.len() == before {
                return;
            }
        }
    }

    async fn event(&self, position: Position, sequence: u64) -> Result<RecordedEvent, Error> {
        if let Ok(Some(raw)) = self.wire.by_any(self.log(), sequence).await
            && let Ok(event) = self.event_of(&raw, position)
        {
            return Ok(event);
        }
        let raw = self.one(sequence).await?;
        self.event_of(&raw, position)
    }

    /// The event of a message that stands at this position.
    fn event_of(&self, raw: &Raw, position: Position) -> Result<RecordedEvent, Error> {
        match Record::of(raw, &self.subjects)? {
            Record::Event(stored)
                if stored.sequence == raw.sequence && stored.event.position() == position =>
            {
                Ok(stored.event)
            }
            _ => {
                let message =
                    "message of the log is another than was read before; its servers disagree";
                Err(Error::new(ErrorKind::Corrupt, message).with("sequence", raw.sequence))
            }
        }
    }

    /// Takes in what others append, as long as the store is open: when they say so, and now and then.
    pub(crate) async fn keep_up(shared: std::sync::Weak<Self>) {
        loop {
            let Some(strong) = shared.upgrade() else {
                return;
            };
            let bell = strong.wire.client.subscribe(strong.subjects.bell()).await;
            let (Ok(mut bell), pause) = (bell, strong.settings.poll_interval_max) else {
                drop(strong);
                sleep(LISTEN_PAUSE).await;
                continue;
            };
            // Who wrote what is there may have ended before it could.
            strong.mark_aside();
            drop(strong);
            let mut marked = Instant::now();
            loop {
                let rung = timeout(pause, bell.next()).await;
                let Some(strong) = shared.upgrade() else {
                    return;
                };
                let news = match &rung {
                    Ok(Some(message)) => {
                        let payload = &message.payload;
                        !strong.rivals.hear(payload) && strong.is_news(payload)
                    }
                    Ok(None) => break,
                    Err(_) => true,
                };
                if news {
                    let looked = strong.refresh().await;
                    strong.note_look(&looked);
                    if let Err(error) = looked {
                        tracing::debug!(%error, "what others append could not be read");
                    }
                }
                if rung.is_err() || marked.elapsed() >= pause {
                    marked = Instant::now();
                    strong.mark_aside();
                }
            }
        }
    }

    /// Whether what rang speaks of a sequence that is not known.
    fn is_news(&self, rung: &[u8]) -> bool {
        let sequence = std::str::from_utf8(rung)
            .ok()
            .and_then(|text| text.parse().ok());
        sequence.is_none_or(|sequence: u64| {
            self.look(|state| state.sequence() < sequence)
                .unwrap_or(true)
        })
    }
}
