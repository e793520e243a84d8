//! Appends of one event, and what of them a log has.

use std::time::Duration;

use annals_conformance::load;
pub(crate) use annals_conformance::load::{append, assert_recorded, event, stream};
use annals_core::{Append, Error, EventStore, Receipt};
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(20);

/// Appends until it is known to be recorded.
pub(crate) async fn insist(store: &impl EventStore, append: Append) -> Result<Receipt, Error> {
    load::insist(store, append, || sleep(PAUSE)).await
}

/// Eight writers on a store; `each` is called with the number of appends that were acknowledged so far.
pub(crate) async fn load(
    store: &impl EventStore,
    appends_each: usize,
    each: impl Fn(usize) + Sync,
) -> Vec<Receipt> {
    let load = load::Load {
        writers: 8,
        appends_each,
        round: "load",
    };
    load.run(&[store], each, || sleep(PAUSE)).await
}
