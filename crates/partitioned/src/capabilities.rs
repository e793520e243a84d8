//! What a store of several partitions offers.

use annals_core::{AppendIdWindow, AppendScope, Capabilities};

/// What all partitions offer, less what none can promise for the others. A single partition is the store.
pub(crate) fn of_all(partitions: impl IntoIterator<Item = Capabilities>) -> Option<Capabilities> {
    let mut partitions = partitions.into_iter();
    let first = partitions.next()?;
    Some(partitions.fold(first, |all, one| {
        let mut both = within(all);
        both.durability = all.durability.min(one.durability);
        both.append_ids = shorter(all.append_ids, one.append_ids);
        both.payload_bytes_max = all.payload_bytes_max.min(one.payload_bytes_max);
        both.append_events_max = all.append_events_max.min(one.append_events_max);
        both.append_bytes_max = all.append_bytes_max.min(one.append_bytes_max);
        both.multi_stream_appends = all.multi_stream_appends && one.multi_stream_appends;
        both.stream_checks = all.stream_checks && one.stream_checks;
        both.conditions = all.conditions && one.conditions;
        both.backward_reads = all.backward_reads && one.backward_reads;
        both.stream_policies = all.stream_policies && one.stream_policies;
        both
    }))
}

/// The same where there are other partitions.
fn within(mut capabilities: Capabilities) -> Capabilities {
    capabilities.append_scope = AppendScope::PartitionKey;
    capabilities.dense_positions = false;
    capabilities.total_order = false;
    capabilities.unique_event_ids = false;
    capabilities
}

fn shorter(left: AppendIdWindow, right: AppendIdWindow) -> AppendIdWindow {
    match (left, right) {
        (AppendIdWindow::AtLeast(left), AppendIdWindow::AtLeast(right)) => {
            AppendIdWindow::AtLeast(left.min(right))
        }
        (AppendIdWindow::AtLeast(_), _) => left,
        _ => right,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annals_core::Durability;

    use super::*;

    #[test]
    fn several_offer_what_each_does() {
        let mut weak = Capabilities::COMPLETE;
        weak.append_ids = AppendIdWindow::AtLeast(Duration::from_secs(9));
        weak.payload_bytes_max = 7;
        weak.conditions = false;
        let mut strong = Capabilities::COMPLETE;
        strong.durability = Durability::Synced;
        let found = of_all([strong, weak]).unwrap();
        let mut expected = weak;
        expected.append_scope = AppendScope::PartitionKey;
        expected.dense_positions = false;
        expected.total_order = false;
        expected.unique_event_ids = false;
        assert_eq!(found, expected);
        assert_eq!(of_all([weak, strong]), Some(expected));
        assert_eq!(of_all([strong]), Some(strong));
        assert_eq!(of_all([]), None);
    }
}
