//! Rates and trends, from one look to the next.

use std::collections::VecDeque;
use std::time::Duration;

/// What was seen of a consumer lately.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<Sample>,
}

/// What was seen at one look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) handled: u64,
    pub(super) lag: Option<u64>,
}

/// What changed between two looks, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    pub(super) rate: f64,
    pub(super) trend: f64,
}

impl Meter {
    /// How many looks are remembered.
    const SAMPLES_MAX: usize = 64;
    /// How far apart they are at least.
    const APART: Duration = Duration::from_secs(1);
    /// How long they count.
    const SPAN: Duration = Duration::from_mins(1);

    /// Notes a look, and tells what changed since the oldest that counts.
    pub(super) fn look(&mut self, now: Sample) -> Change {
        while self.samples.len() > 1 && self.is_old(now.at) {
            self.samples.pop_front();
        }
        let change = self.samples.front().map(|before| change(before, &now));
        let last = self.samples.back().map(|last| last.at);
        if last.is_none_or(|last| now.at.saturating_sub(last) >= Self::APART) {
            self.samples.push_back(now);
        }
        if self.samples.len() > Self::SAMPLES_MAX {
            self.samples.pop_front();
        }
        change.unwrap_or_default()
    }

    fn is_old(&self, now: Duration) -> bool {
        let oldest = self.samples.front();
        oldest.is_some_and(|oldest| now.saturating_sub(oldest.at) > Self::SPAN)
    }
}

fn change(before: &Sample, now: &Sample) -> Change {
    let seconds = now.at.saturating_sub(before.at).as_secs_f64();
    if seconds <= 0.0 {
        return Change::default();
    }
    let lag = match (before.lag, now.lag) {
        (Some(before), Some(now)) => number(now) - number(before),
        _ => 0.0,
    };
    Change {
        rate: number(now.handled.saturating_sub(before.handled)) / seconds,
        trend: lag / seconds,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is no count: beyond 2^53 its last digits do not matter"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: u64, handled: u64, lag: u64) -> Sample {
        Sample {
            at: Duration::from_secs(second),
            handled,
            lag: Some(lag),
        }
    }

    #[test]
    fn what_changed_is_told_a_second() {
        let mut meter = Meter::default();
        assert_eq!(meter.look(sample(0, 0, 100)), Change::default());
        let second = meter.look(sample(2, 50, 80));
        assert_eq!((second.rate, second.trend), (25.0, -10.0));
        let third = meter.look(sample(4, 50, 100));
        assert_eq!((third.rate, third.trend), (12.5, 0.0));
        // The first look is too long ago by now.
        let later = meter.look(sample(61, 50, 158));
        assert_eq!((later.rate, later.trend), (0.0, 78.0 / 59.0));
    }

    #[test]
    fn looks_are_bounded() {
        let mut meter = Meter::default();
        for tenth in 0..10_000 {
            meter.look(Sample {
                at: Duration::from_millis(100) * tenth,
                handled: 0,
                lag: None,
            });
            assert!(meter.samples.len() <= Meter::SAMPLES_MAX);
        }
    }
}
