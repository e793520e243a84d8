//! An application with every shape of event: a ledger account.

use annals_core::{Aggregate, Refusal};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

/// What happens to an account of the ledger; one variant of each shape.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "ledger")]
pub enum LedgerEvent {
    /// It exists from now on.
    Opened {
        /// Whose it is; any text.
        owner: String,
        /// What it is called, if anything.
        alias: Option<String>,
    },
    /// Cents in (above zero) or out (below).
    Moved(i64),
    /// Cents in or out, and why.
    #[event(name = "corrected", version = 2)]
    Adjusted(i64, String),
    /// Words about it, with who wrote them, newest first.
    Annotated {
        /// The words.
        notes: Vec<(String, u32)>,
        /// A number of its own, so that not all is text.
        reference: Option<Reference>,
    },
    /// It takes no movement any more.
    Closed,
}

/// A nested enum, which keeps serde's own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// Of an invoice.
    Invoice(u64),
    /// Of nothing in particular.
    Other {
        /// What it says.
        text: String,
    },
}

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Whether it was opened, and not closed.
    pub open: bool,
    /// In cents.
    pub balance: i64,
    /// How many notes it has had.
    pub notes: usize,
}

impl Aggregate for Ledger {
    type Event = LedgerEvent;

    fn apply(&mut self, event: &LedgerEvent) -> Result<(), Refusal> {
        match event {
            LedgerEvent::Opened { .. } => self.open = true,
            LedgerEvent::Moved(cents) | LedgerEvent::Adjusted(cents, _) => {
                let balance = self.balance.checked_add(*cents);
                self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
            }
            LedgerEvent::Annotated { notes, .. } => self.notes += notes.len(),
            LedgerEvent::Closed => self.open = false,
        }
        Ok(())
    }
}
