//! A measured store keeps the contract, and nothing that it does goes unmeasured.

use std::sync::Arc;

use annals_concurrency::SystemTimer;
use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_profile::{ProfiledStore, Profiler};
use annals_store_memory::MemoryStore;

fn profiled(clock: ManualClock) -> Stores {
    let store = MemoryStore::builder().clock(Arc::new(clock)).build();
    let profiler = Profiler::new(Arc::new(SystemTimer));
    Stores::complete(ProfiledStore::new(store, profiler)).on_the_clock()
}

#[test]
fn a_measured_store_conforms() {
    let report = check(profiled);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[test]
fn a_measured_store_agrees_with_the_model() {
    check_model(profiled, 50).assert_passed();
}

#[test]
fn a_measured_store_keeps_order_under_many_clients() {
    check_histories(profiled, HistorySettings::default()).assert_passed();
}
