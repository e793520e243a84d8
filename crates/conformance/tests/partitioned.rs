//! A store of two partitions keeps the contract too, as far as it goes: cursors with a position for each
//! partition, no order across them, positions with gaps. The suite must not take a single log for granted.

mod partitions;

use std::sync::Arc;

use annals_conformance::{
    CaseOutcome, HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};

use crate::partitions::Partitions;

fn stores(clock: ManualClock) -> Stores {
    Stores::new(Partitions::new(&Arc::new(clock))).on_the_clock()
}

#[test]
fn it_passes_what_it_offers() {
    let report = check(stores);
    report.assert_passed();
    let reasons: Vec<&str> = report.skipped().map(|(_, reason)| reason).collect();
    for expected in [
        "not offered: one order of all events",
        "not offered: positions without gaps",
        "not offered: appends to several streams",
        "not offered: conditions",
        "not offered: unique event ids",
        "not offered: backward reads",
        "not offered: a snapshot store",
        "not offered: a checkpoint store",
    ] {
        assert!(reasons.contains(&expected), "{expected}\n{report}");
    }
}

#[test]
fn it_agrees_with_the_model() {
    check_model(stores, 500).assert_passed();
}

#[test]
fn its_histories_have_no_witness() {
    let report = check_histories(stores, HistorySettings::default());
    let outcomes: Vec<_> = report
        .results()
        .iter()
        .map(|result| &result.outcome)
        .collect();
    assert!(
        matches!(outcomes[..], [CaseOutcome::Skipped(_)]),
        "{report}"
    );
}
