//! How far the log goes, noted beside it.
//!
//! A server that finds a damaged message when it starts may cut its stream there, and say nothing of what stood behind it.
//! What is noted in the other stream, now and then, tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use annals_core::{Error, ErrorKind};
use async_nats::HeaderMap;
use tokio::sync::Mutex;

use crate::layout::auxiliary;
use crate::record::sealed;
use crate::shared::Shared;
use crate::state::State;
use crate::wire::Guard;

/// What this process knows of the note.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// How far the log is noted to go, at least.
    known: AtomicU64,
    /// Whether this process appended something, so that it may write.
    has_appended: AtomicBool,
    /// Whether it could not note something.
    has_failed: AtomicBool,
    /// One notes at a time.
    turn: Mutex<()>,
}

impl Mark {
    /// Tells that this process appended something.
    pub(crate) fn appended(&self) {
        self.has_appended.store(true, Ordering::Relaxed);
    }

    /// Whether this process may be allowed to note. One that only reads gives up where it could not.
    fn may_try(&self) -> bool {
        self.has_appended.load(Ordering::Relaxed) || !self.has_failed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Notes how far the log is known to go, unless as much is noted or somebody is at it. Nobody waits for it: where
    /// it is not allowed, no answer comes.
    pub(crate) fn mark_aside(self: &Arc<Self>) {
        if self.mark.turn.try_lock().is_ok() {
            self.mark_at_last();
        }
    }

    /// The same after whoever is at it.
    pub(crate) fn mark_at_last(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            let _one = shared.mark.turn.lock().await;
            if let Err(error) = shared.note().await {
                shared.mark.has_failed.store(true, Ordering::Relaxed);
                tracing::debug!(%error, "how far the log goes could not be noted");
            }
        });
    }

    async fn note(&self) -> Result<(), Error> {
        let sequence = self.look(State::sequence)?;
        if sequence <= self.mark.known.load(Ordering::Relaxed) || !self.mark.may_try() {
            return Ok(());
        }
        let (message, mut known) = self.noted().await?;
        if known < sequence {
            let text = sequence.to_string();
            let noted = sealed(self.mark_subject(), HeaderMap::new(), text.into());
            // Where another process notes at the same time, it is for the next time.
            if self.keep(noted, Guard::LastOfSubject(message)).await? {
                known = sequence;
            }
        }
        self.mark.known.fetch_max(known, Ordering::Relaxed);
        Ok(())
    }

    /// The sequence that is noted; 0 for none. It was there by then.
    pub(crate) async fn noted_sequence(&self) -> Result<u64, Error> {
        self.noted().await.map(|(_, noted)| noted)
    }

    /// Refuses a log that ends before the place that was noted before it was read.
    pub(crate) fn check_mark(&self, noted: u64) -> Result<(), Error> {
        let sequence = self.look(State::sequence)?;
        if noted <= sequence {
            self.mark.known.fetch_max(noted, Ordering::Relaxed);
            return Ok(());
        }
        let message =
            "log ends before a place that it had reached: its servers lost messages; restore them";
        Err(Error::new(ErrorKind::Corrupt, message)
            .with("ends_at", sequence)
            .with("reached", noted))
    }

    /// The message that notes it, 0 for none, and what it says.
    async fn noted(&self) -> Result<(u64, u64), Error> {
        let Some(raw) = self.kept(&self.mark_subject()).await? else {
            return Ok((0, 0));
        };
        let number = std::str::from_utf8(&raw.payload).ok();
        let number = number.and_then(|text| text.parse().ok());
        number.map(|number| (raw.sequence, number)).ok_or_else(|| {
            let message = "note of how far the log goes can't be read; restore it";
            Error::new(ErrorKind::Corrupt, message)
        })
    }

    fn mark_subject(&self) -> String {
        format!("{}.m", auxiliary(self.log()))
    }
}
