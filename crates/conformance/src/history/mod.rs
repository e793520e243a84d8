//! Histories of concurrent clients, held against the log that the store ended with.

mod appends;
mod forgetful;
mod reads;
mod recorder;
#[cfg(test)]
mod tests;
mod violation;
mod witness;
mod workload;

use annals_core::RecordedEvent;

use self::recorder::What;
pub use self::recorder::{History, Recorder};
pub use self::violation::Violation;
use self::witness::Witness;
pub use self::workload::{HistorySettings, check_histories};

impl History {
    /// Everything that is wrong with this history, given all events of the store in the order of its log.
    ///
    /// The log is the witness: an acknowledged append must stand there exactly once, at the positions of
    /// its receipt, its expectations and conditions kept at that place; a rejected one must not, and must
    /// have had its reason at some moment of its call; one of unknown fate stands there whole or not at
    /// all. Who was acknowledged before another began stands before it. A strong read shows all that was
    /// acknowledged before it, and whole appends only; no cursor passes what was not delivered.
    ///
    /// The store was empty when the recording began, is a single log, and its events can be told from
    /// each other by stream and content.
    pub fn check(&self, log: &[RecordedEvent]) -> Vec<Violation> {
        let policy_changed = |call: &recorder::Call| matches!(call.what, What::ChangePolicy);
        if self.calls.iter().any(policy_changed) {
            return vec![Violation::PolicyChanged];
        }
        let mut violations = appends::check_log(log);
        if !violations.is_empty() {
            return violations;
        }
        let mut witness = Witness::new(log);
        violations.extend(appends::check(self, &mut witness));
        violations.extend(reads::check(self, &witness));
        violations
    }

    /// How many calls were noted.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}
