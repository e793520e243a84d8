//! What a repair gave up, and reading past it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use annals_core::{Position, RecordedEvent, StreamId, Version};
use annals_store_log::Losses;
use clap::Args;

use crate::failure::Result;
use crate::output::{text, warn};
use crate::store_at::StoreAddress;

/// Whether events are given though others are lost.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct PastLost {
    /// Go past events that a repair gave up, and say which; reading ends there with exit code 4 otherwise.
    #[arg(long)]
    skip_lost: bool,
}

impl PastLost {
    /// The store, to be read so.
    pub(crate) fn of(self, store: &StoreAddress) -> Result<StoreAddress> {
        if self.skip_lost {
            return surveyed(store);
        }
        Ok(store.clone())
    }
}

/// The store, to be looked over as a whole: past what a repair gave up, which is told.
pub(crate) fn surveyed(store: &StoreAddress) -> Result<StoreAddress> {
    survey(store).map(|(store, _)| store)
}

/// The same, with what is lost.
pub(crate) fn survey(store: &StoreAddress) -> Result<(StoreAddress, Losses)> {
    let lost = store.losses()?;
    if !lost.is_empty() {
        warn(&format!(
            "{}, as a repair recorded, and not in this answer",
            told(&lost)
        ));
    }
    Ok((store.past_lost(), lost))
}

/// What is lost, for people: `2 events are lost, positions 5 to 6`.
pub(crate) fn told(lost: &Losses) -> String {
    let mut parts = Vec::new();
    let events = lost.events();
    if events > 0 {
        let verb = if events == 1 { "is" } else { "are" };
        let positions = named(&lost.positions);
        parts.push(format!(
            "{} {verb} lost, {positions}",
            text::count(events, "event")
        ));
    }
    if lost.without_events > 0 {
        let places = text::count(lost.without_events as u64, "place");
        let verb = if lost.without_events == 1 {
            "is"
        } else {
            "are"
        };
        parts.push(format!(
            "{places} in the log where policies of streams may have been {verb} lost"
        ));
    }
    parts.join(", and ")
}

/// Which positions: `positions 5 to 6 and 9`.
pub(crate) fn named(lost: &[RangeInclusive<Position>]) -> String {
    const TOLD_MAX: usize = 5;
    let noun = match lost {
        [only] if only.start() == only.end() => "position",
        _ => "positions",
    };
    let mut ranges: Vec<String> = lost.iter().take(TOLD_MAX).map(text::positions).collect();
    if lost.len() > TOLD_MAX {
        ranges.push("others".to_owned());
    }
    let end = ranges.pop().unwrap_or_default();
    let before = ranges.join(", ");
    let and = if before.is_empty() { "" } else { " and " };
    format!("{noun} {before}{and}{end}")
}

/// Tells which events begin a stream, where its first event may be lost too.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    /// The streams that there are, where something is lost.
    begun: Option<HashSet<StreamId>>,
}

impl Beginnings {
    /// Of a store that has lost this.
    pub(crate) fn of(lost: &Losses) -> Self {
        Self {
            begun: (!lost.positions.is_empty()).then(HashSet::new),
        }
    }

    /// Whether an event is the first one of its stream that is there; each event is asked about once, in their order.
    pub(crate) fn has(&mut self, event: &RecordedEvent) -> bool {
        match &mut self.begun {
            None => event.version() == Version::FIRST,
            Some(begun) if begun.contains(event.stream()) => false,
            Some(begun) => begun.insert(event.stream().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_positions_are_told_as_one_says_it() {
        let lost = |ranges: &[(u64, u64)]| {
            let ranges = ranges.iter();
            let ranges = ranges.map(|(first, last)| Position::new(*first)..=Position::new(*last));
            ranges.collect::<Vec<_>>()
        };
        let named = |ranges: &[(u64, u64)]| named(&lost(ranges));
        assert_eq!(named(&[(5, 5)]), "position 5");
        assert_eq!(named(&[(5, 6)]), "positions 5 to 6");
        assert_eq!(named(&[(5, 6), (9, 9)]), "positions 5 to 6 and 9");
        let many: Vec<(u64, u64)> = (1..=9).map(|n| (n * 10, n * 10)).collect();
        assert_eq!(named(&many), "positions 10, 20, 30, 40, 50 and others");
    }
}
