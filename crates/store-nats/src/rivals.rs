//! How processes that append to one log take turns.
//!
//! Whoever recorded a batch knows the log's end at once, and all others have to read first what it appended: without a
//! pause it would come first again and again. So whoever was overtaken asks the others to give way, on the subject that
//! tells of appends, and they pause after each batch for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use annals_core::Ids;
use tokio::time::{Instant, sleep};

/// For how long a plea holds, beside the pause that it asks for.
const PLEA_HOLDS: Duration = Duration::from_millis(300);

/// The longest pause after a batch. Whoever was overtaken asks how far the log goes, reads, judges and sends again: some
/// times as long as the batch took.
const PAUSE_MAX: Duration = Duration::from_millis(200);
const PAUSE_TIMES_MIN: u32 = 2;
const PAUSE_TIMES_MAX: u32 = 4;

/// The longest pause that a plea asks for.
const ASKED_MAX: Duration = Duration::from_secs(1);

/// How often one is overtaken before it says how long a pause it needs.
const ASKED_FROM: usize = 4;

/// The first word of a plea.
const PLEA: &str = "wait";

/// What is known of other processes that append.
#[derive(Debug)]
pub(crate) struct Rivals {
    /// Tells own pleas from those of others.
    own: String,
    /// The plea of another that is heeded.
    asked: Mutex<Option<Asked>>,
}

/// What another asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    pause: Duration,
}

impl Asked {
    fn holds(self) -> bool {
        self.at.elapsed() < PLEA_HOLDS + self.pause
    }
}

impl Rivals {
    pub(crate) fn new(ids: &dyn Ids) -> Self {
        Self {
            own: ids.event_id().as_uuid().simple().to_string(),
            asked: Mutex::default(),
        }
    }

    /// What asks the others to give way, by one that was overtaken so often, the last time after it took so long to be
    /// refused and to learn why. Where the pauses that they choose do not suffice, it says what would: twice as long each
    /// time.
    pub(crate) fn plea(&self, took: Duration, overtaken: usize) -> String {
        let pause = overtaken
            .checked_sub(ASKED_FROM)
            .map_or(Duration::ZERO, |doublings| {
                let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
                let times = 2_u32.saturating_pow(doublings);
                took.saturating_mul(times).min(ASKED_MAX)
            });
        format!("{PLEA} {} {}", self.own, pause.as_millis())
    }

    /// Whether what rang is a plea, which is noted where it is another's.
    pub(crate) fn hear(&self, rung: &[u8]) -> bool {
        let text = std::str::from_utf8(rung).unwrap_or_default();
        let mut words = text.split(' ');
        let (Some(PLEA), Some(sender)) = (words.next(), words.next()) else {
            return false;
        };
        if sender != self.own {
            let millis = words.next().and_then(|millis| millis.parse().ok());
            let pause = Duration::from_millis(millis.unwrap_or_default()).min(ASKED_MAX);
            self.note(pause);
        }
        true
    }

    /// Heeds the plea, unless that of one who needs longer still holds.
    fn note(&self, pause: Duration) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none_or(|asked| !asked.holds() || asked.pause <= pause) {
            let at = Instant::now();
            *asked = Some(Asked { at, pause });
        }
    }

    /// Pauses, where others asked lately, after a batch that took so long; for a time that differs from process to
    /// process.
    pub(crate) async fn give_way(&self, took: Duration, ids: &dyn Ids) {
        if let Some(pause) = self.asked() {
            let least = (took * PAUSE_TIMES_MIN).min(PAUSE_MAX).max(pause);
            let most = (took * PAUSE_TIMES_MAX).min(PAUSE_MAX);
            let span = most.max(pause + pause / 2).saturating_sub(least);
            let part = ids.event_id().as_uuid().as_u128() % 1000;
            sleep(least + span * u32::try_from(part).unwrap_or_default() / 1000).await;
        }
    }

    /// The pause that others asked for lately.
    fn asked(&self) -> Option<Duration> {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.filter(|asked| asked.holds()).map(|asked| asked.pause)
    }
}

#[cfg(test)]
mod tests {
    use annals_core::UuidIds;

    use super::*;

    #[test]
    fn pleas_of_others_are_noted_and_nothing_else() {
        let [one, other] = [(); 2].map(|()| Rivals::new(&UuidIds::default()));
        let took = Duration::from_millis(20);
        for (rung, is_plea, asked) in [
            ("17".to_owned(), false, None),
            (one.plea(took, 2), true, None),
            ("wait somebody".to_owned(), true, Some(0)),
            (other.plea(took, 3), true, Some(0)),
            (other.plea(took, 6), true, Some(80)),
            // Who needs less is served too.
            (other.plea(took, 4), true, Some(80)),
            (other.plea(took, 256), true, Some(1000)),
            ("wait somebody 5000".to_owned(), true, Some(1000)),
        ] {
            assert_eq!(one.hear(rung.as_bytes()), is_plea, "{rung}");
            let found = one.asked().map(|pause| pause.as_millis());
            assert_eq!(found, asked, "{rung}");
        }
    }
}
