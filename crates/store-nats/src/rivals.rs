//! How processes that append to one log take turns.
//!
//! Whoever recorded a batch knows the log's end at once, and all others have to read first what it appended: without a
//! pause it would come first again and again. So whoever was overtaken asks the others to give way, on the subject that
//! tells of appends, and they pause after each batch for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use annals_core::Ids;
use tokio::time::{Instant, sleep};

/// For how long a plea holds.
const PLEA_HOLDS: Duration = Duration::from_millis(300);

/// The longest pause after a batch. Whoever was overtaken asks how far the log goes, reads, judges and sends again: some
/// times as long as the batch took.
const PAUSE_MAX: Duration = Duration::from_millis(200);
const PAUSE_TIMES_MIN: u32 = 2;
const PAUSE_TIMES_MAX: u32 = 4;

/// The first word of a plea.
const PLEA: &str = "wait";

/// What is known of other processes that append.
#[derive(Debug)]
pub(crate) struct Rivals {
    /// Tells own pleas from those of others.
    own: String,
    /// When others asked last.
    asked: Mutex<Option<Instant>>,
}

impl Rivals {
    pub(crate) fn new(ids: &dyn Ids) -> Self {
        Self {
            own: ids.event_id().as_uuid().simple().to_string(),
            asked: Mutex::default(),
        }
    }

    /// What asks the others to give way.
    pub(crate) fn plea(&self) -> String {
        format!("{PLEA} {}", self.own)
    }

    /// Whether what rang is a plea, which is noted where it is another's.
    pub(crate) fn hear(&self, rung: &[u8]) -> bool {
        let text = std::str::from_utf8(rung).unwrap_or_default();
        let Some((PLEA, sender)) = text.split_once(' ') else {
            return false;
        };
        if sender != self.own {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        true
    }

    /// Pauses, where others asked lately, after a batch that took so long; for a time that differs from process to
    /// process.
    pub(crate) async fn give_way(&self, took: Duration, ids: &dyn Ids) {
        if self.is_asked() {
            let least = (took * PAUSE_TIMES_MIN).min(PAUSE_MAX);
            let span = (took * PAUSE_TIMES_MAX)
                .min(PAUSE_MAX)
                .saturating_sub(least);
            let part = ids.event_id().as_uuid().as_u128() % 1000;
            sleep(least + span * u32::try_from(part).unwrap_or_default() / 1000).await;
        }
    }

    fn is_asked(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| asked.elapsed() < PLEA_HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use annals_core::UuidIds;

    use super::*;

    #[test]
    fn pleas_of_others_are_noted_and_nothing_else() {
        let [one, other] = [(); 2].map(|()| Rivals::new(&UuidIds::default()));
        for (rung, is_plea, is_asked) in [
            ("17".to_owned(), false, false),
            (one.plea(), true, false),
            (other.plea(), true, true),
        ] {
            assert_eq!(one.hear(rung.as_bytes()), is_plea, "{rung}");
            assert_eq!(one.is_asked(), is_asked, "{rung}");
        }
    }
}
