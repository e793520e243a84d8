//! Appends of which it can't be told whether they are recorded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_core::{AppendId, Error, ErrorKind};

/// Knows which appends the writer had in hand when it failed, and that it failed.
///
/// Until the store is opened again, nobody may be told that one of them was rejected, or is not there.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    in_hand: Mutex<Vec<AppendId>>,
    has_failed: AtomicBool,
}

/// Appends that are being written. Dropped without [`settle`](Self::settle), as by a panic, they stay in doubt.
#[derive(Debug)]
pub(crate) struct InHand<'a>(Option<&'a Doubt>);

impl Doubt {
    /// The writer takes these in hand. One that has failed writes nothing any more, and what it had in hand
    /// stays in doubt.
    pub(crate) fn take(&self, ids: impl Iterator<Item = AppendId>) -> InHand<'_> {
        if self.has_failed() {
            return InHand(None);
        }
        let mut in_hand = self.lock();
        in_hand.clear();
        in_hand.extend(ids);
        InHand(Some(self))
    }

    /// Whether the writer failed: there will be no more appends.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Refuses to say anything of an append that is in doubt.
    pub(crate) fn check(&self, id: &AppendId) -> Result<(), Error> {
        if !self.has_failed() || !self.lock().contains(id) {
            return Ok(());
        }
        let message = "the writer failed while it had this append; open the store again, then retry with the \
                       same append id";
        Err(Error::new(ErrorKind::Unknown, message).with("append_id", id))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AppendId>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand<'_> {
    /// Their fate is known.
    pub(crate) fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(doubt) = self.0 {
            doubt.has_failed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_writer_had_in_hand_stays_in_doubt() {
        let id = |text| AppendId::parse(text).unwrap();
        let doubt = Doubt::default();
        doubt.take([id("settled")].into_iter()).settle();
        drop(doubt.take([id("lost")].into_iter()));
        doubt.take([id("later")].into_iter()).settle();
        assert!(doubt.has_failed());
        assert!(doubt.check(&id("lost")).is_err());
        assert!(doubt.check(&id("settled")).is_ok() && doubt.check(&id("later")).is_ok());
    }
}
