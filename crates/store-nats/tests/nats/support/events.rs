//! Appends of one event, and what of them a log has.

use std::time::Duration;

use annals_conformance::load;
pub(crate) use annals_conformance::load::{append, assert_recorded, event, stream};
use annals_core::{Append, Error, EventStore, Receipt};
use tokio::time::sleep;

pub(crate) const WRITERS: usize = 8;

const PAUSE: Duration = Duration::from_millis(20);

/// Appends until it is known to be recorded.
pub(crate) async fn insist(store: &impl EventStore, append: Append) -> Result<Receipt, Error> {
    load::insist(store, append, || sleep(PAUSE)).await
}

/// Writers on stores of one log; `each` is called with the number of appends that were acknowledged so far. The
/// round tells their ids from those of others.
pub(crate) async fn load<S: EventStore>(
    stores: &[S],
    round: &str,
    appends_each: usize,
    each: impl Fn(usize) + Sync,
) -> Vec<Receipt> {
    let load = load::Load {
        writers: WRITERS,
        appends_each,
        round,
    };
    load.run(stores, each, || sleep(PAUSE)).await
}
