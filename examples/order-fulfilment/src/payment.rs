//! Payments: what the log knows of them, and the service outside, which fails at times.

use std::collections::BTreeMap;
use std::future::Ready;
use std::sync::{Arc, Mutex, PoisonError};

use annals::{AppendId, Event};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happens to the payment of an order: stream `payment-<order>`.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "payment")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PaymentEvent {
    Received { cents: u64 },
}

/// Somebody else's service, reached over a network: it asks customers for money, and gives it back.
///
/// It heeds idempotency keys, as such services do: what is asked again with the same key is done once.
#[derive(Clone, Debug, Default)]
pub struct PaymentService {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    is_down: bool,
    calls: u32,
    requests: BTreeMap<String, Asked>,
}

/// What the service was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Asked {
    Payment { order: String, cents: u64 },
    Refund { order: String },
}

/// The service does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the payment service does not answer")]
pub struct NoAnswer;

impl PaymentService {
    // ANCHOR: service
    /// Asks for something, once for each key.
    ///
    /// # Errors
    /// [`NoAnswer`] while it is down.
    pub fn ask(&self, key: AppendId, asked: Asked) -> Ready<Result<(), NoAnswer>> {
        std::future::ready(self.with(|inner| {
            inner.calls += 1;
            if inner.is_down {
                return Err(NoAnswer);
            }
            inner.requests.entry(key.to_string()).or_insert(asked);
            Ok(())
        }))
    }
    // ANCHOR_END: service

    /// Lets it fail from now on, or not any more.
    pub fn set_down(&self, is_down: bool) {
        self.with(|inner| inner.is_down = is_down);
    }

    /// What it was asked for, in no order.
    pub fn requests(&self) -> Vec<Asked> {
        self.with(|inner| inner.requests.values().cloned().collect())
    }

    /// How often it was called, failing calls included.
    pub fn calls(&self) -> u32 {
        self.with(|inner| inner.calls)
    }

    fn with<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> T {
        call(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
