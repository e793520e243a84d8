//! How far the log goes, noted beside it.
//!
//! A server that finds a damaged message when it starts may cut its stream there, and say nothing of what stood behind it.
//! What is noted in the other stream, now and then, tells.

use std::sync::atomic::Ordering;

use annals_core::{Error, ErrorKind};
use async_nats::HeaderMap;

use crate::layout::auxiliary;
use crate::record::sealed;
use crate::shared::Shared;
use crate::state::State;
use crate::wire::Guard;

impl Shared {
    /// Notes the last sequence that this process appended, unless as much is noted. Who only reads may not be allowed to.
    pub(crate) async fn mark(&self) -> Result<(), Error> {
        let sequence = self.appended.load(Ordering::Relaxed);
        if sequence <= self.marked.load(Ordering::Relaxed) {
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
        self.marked.fetch_max(known, Ordering::Relaxed);
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
