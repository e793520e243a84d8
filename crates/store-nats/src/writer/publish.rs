//! Sends a batch until it is known what became of it.

use std::time::Duration;

use annals_core::{Error, ErrorKind};
use tokio::time::{Instant, sleep};

use crate::error::{Failure, Meaning, Refusal};
use crate::record::{BATCH, Message, Record, value};
use crate::shared::Shared;
use crate::wire::Guard;

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Fate {
    /// It stands where it was meant to.
    Recorded,
    /// Something else stands there, so that it never will. The state has all that stood in the log after it was sent.
    Overtaken,
    /// It was refused for what it is.
    Refused(Refusal),
    /// It was not sent, or not taken, and there was no more time.
    NotWritten(Error),
    /// It may stand there, now or later.
    Unknown(String),
}

/// What stands at the place that a batch was meant for.
enum Place {
    Ours,
    Others,
    Free,
}

/// The pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The number of the answer that the stream ends elsewhere.
const WRONG_LAST: u32 = 10071;

/// The number of the answer that the leader failed to store what the cluster may have agreed on.
const STORE_FAILED: u32 = 10077;

impl Shared {
    /// Publishes the records that follow a sequence.
    ///
    /// However often it is sent, and whatever becomes of an attempt that was not answered: it counts at its own place
    /// alone, and only one can stand there.
    pub(super) async fn publish(&self, after: u64, records: &[Record]) -> Fate {
        let own = self.ids.event_id().as_uuid().simple().to_string();
        let mut messages = records
            .iter()
            .map(|record| record.to_message(&self.subjects));
        let first = messages.next().map(|first| first.first_of(&own));
        let messages: Vec<Message> = first.into_iter().chain(messages).collect();
        let meant = after + u64::try_from(records.len()).unwrap_or(u64::MAX);
        let end = Instant::now() + self.settings.resolve_timeout;
        let mut in_doubt = None;
        let mut pause = PAUSE_MIN;
        loop {
            let batch = self.ids.event_id().as_uuid().simple().to_string();
            let sent = self
                .wire
                .publish(self.log(), &batch, messages.clone(), Guard::Last(after));
            let cause = match sent.await {
                Ok(last) if last == meant => return Fate::Recorded,
                Ok(last) => format!("acknowledged at {last}, meant for {meant}"),
                Err(Failure::Refused(refusal)) => match refusal.meaning() {
                    Meaning::Final if in_doubt.is_none() => {
                        return Fate::Refused(refusal);
                    }
                    // Nothing was on its way before, so that nothing of it can stand there.
                    Meaning::Moved if in_doubt.is_none() && refusal.number == WRONG_LAST => {
                        match self.is_behind(after).await {
                            Ok(true) => return Fate::Overtaken,
                            // What stands against it waits for the other servers, and may come to nothing.
                            Ok(false) => refusal.description,
                            Err(error) => return Fate::NotWritten(error),
                        }
                    }
                    _ => {
                        // Of a cluster, one server failed to store what others may have.
                        if refusal.number == STORE_FAILED {
                            in_doubt = Some(refusal.description.clone());
                        }
                        refusal.description
                    }
                },
                Err(Failure::NobodyAnswers) => {
                    in_doubt = Some("no server leads the stream".to_owned());
                    "no server leads the stream".to_owned()
                }
                Err(Failure::Lost(cause)) => {
                    in_doubt = Some(cause.to_string());
                    cause.to_string()
                }
            };
            match self.place(after + 1, &own).await {
                Ok(Place::Ours) if self.is_whole(meant, records).await => return Fate::Recorded,
                // Its beginning stands there, and what follows can't be told, or is not there.
                Ok(Place::Ours) => in_doubt = Some(format!("stored in part: {cause}")),
                Ok(Place::Others) => {
                    let seen = self.refresh().await;
                    return seen.map_or_else(Fate::NotWritten, |()| Fate::Overtaken);
                }
                Ok(Place::Free) | Err(_) => {}
            }
            if Instant::now() >= end {
                return in_doubt.map_or_else(|| Fate::NotWritten(exhausted(&cause)), Fate::Unknown);
            }
            sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// Whether more than up to this sequence is known, once it was asked for.
    async fn is_behind(&self, after: u64) -> Result<bool, Error> {
        self.refresh().await?;
        self.look(|state| state.sequence() > after)
    }

    /// Whether the last of the records stands where it was meant to, as far as that can be told.
    async fn is_whole(&self, meant: u64, records: &[Record]) -> bool {
        let [_, .., last] = records else {
            return true;
        };
        let found = self.wire.by_leader(self.log(), meant).await;
        let Ok(Some(raw)) = found else {
            return false;
        };
        Record::of(&raw, &self.subjects).is_ok_and(|record| record == *last)
    }

    /// What the leader has at the place of the first record. Only the mark of the batch tells: another process may have
    /// recorded the same append, or events of the same ids, there.
    async fn place(&self, sequence: u64, own: &str) -> Result<Place, Error> {
        let found = self.wire.by_leader(self.log(), sequence).await;
        let raw = if let Some(raw) = found.map_err(Failure::into_error)? {
            raw
        } else {
            let info = self.wire.info(self.log(), None).await;
            if info.map_err(Failure::into_error)?.state.last_seq < sequence {
                return Ok(Place::Free);
            }
            self.one(sequence).await?
        };
        let record = Record::of(&raw, &self.subjects)?;
        let is_ours = record.sequence() == sequence && value(&raw.headers, BATCH) == Some(own);
        Ok(if is_ours { Place::Ours } else { Place::Others })
    }
}

fn exhausted(cause: &str) -> Error {
    let message = "the servers took nothing for too long; retry later";
    Error::new(ErrorKind::Unavailable, message).with("cause", cause)
}
