//! Medians, and how they stand to the goals.

use std::collections::BTreeMap;
use std::fmt;

use crate::names::{Name, Workload, text};
use crate::run::Figures;

/// A ratio of rates that annals is to reach: of one subject, to another.
struct Goal {
    of: (Workload, Name),
    to: (Workload, Name),
    least: f64,
}

const GOALS: [Goal; 8] = [
    goal(Workload::Many, Name::Annals, Name::CqrsEs, 8.0),
    goal(Workload::Many, Name::Annals, Name::Bare, 2.5),
    goal(Workload::Many, Name::Annals, Name::Disintegrate, 8.0),
    goal(Workload::Many, Name::AnnalsTwo, Name::Annals, 0.8),
    goal(Workload::One, Name::Annals, Name::Bare, 1.0 / 1.2),
    goal(Workload::Hundred, Name::Annals, Name::Bare, 1.5),
    goal(Workload::CatchUp, Name::Annals, Name::Bare, 0.9),
    goal(Workload::Streams, Name::Annals, Name::Bare, 0.9),
];

const fn goal(workload: Workload, of: Name, to: Name, least: f64) -> Goal {
    Goal {
        of: (workload, of),
        to: (workload, to),
        least,
    }
}

/// What was measured: the rates of the rounds, and the latencies of all of them.
#[derive(Debug, Default)]
pub struct Report {
    rates: BTreeMap<(Workload, Name), Vec<f64>>,
    latencies: BTreeMap<(Workload, Name), Vec<u64>>,
    /// The work of the processor for one of what is counted, in microseconds: of the client, of the server.
    work: BTreeMap<(Workload, Name), [Vec<f64>; 2]>,
}

impl Figures {
    /// How much a second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure is read to three digits"
    )]
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// The work of the processor for one of what is counted, in microseconds: of the client, of the server.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure is read to three digits"
    )]
    fn work_us(&self) -> [f64; 2] {
        [self.cpu, self.server_cpu].map(|seconds| seconds * 1e6 / self.count as f64)
    }

    /// Adds what another process did at the same time.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.seconds = self.seconds.max(other.seconds);
        self.cpu += other.cpu;
        self.latencies.extend(other.latencies);
    }
}

impl Report {
    pub fn add(&mut self, workload: Workload, subject: Name, figures: Figures) {
        let key = (workload, subject);
        self.rates.entry(key).or_default().push(figures.rate());
        let work = self.work.entry(key).or_default();
        for (all, one) in work.iter_mut().zip(figures.work_us()) {
            all.push(one);
        }
        self.latencies
            .entry(key)
            .or_default()
            .extend(figures.latencies);
    }

    /// The ratios of the rounds, of one subject to another; none where one was not measured.
    fn ratios(&self, of: (Workload, Name), to: (Workload, Name)) -> Option<Vec<f64>> {
        let (of, to) = (self.rates.get(&of)?, self.rates.get(&to)?);
        Some(of.iter().zip(to).map(|(of, to)| of / to).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut titled = None;
        for ((workload, subject), rates) in &self.rates {
            if titled != Some(*workload) {
                titled = Some(*workload);
                writeln!(f, "\n{}", workload.title())?;
                writeln!(
                    f,
                    "  {:<14}{:>10}{:>22}{:>10}{:>10}{:>10}{:>12}{:>12}",
                    "subject",
                    "median",
                    "least .. greatest",
                    "x bare",
                    "p50 us",
                    "p99 us",
                    "client us",
                    "server us"
                )?;
            }
            let [least, median, greatest] = spread(rates);
            let to_bare = self
                .ratios((*workload, *subject), (*workload, Name::Bare))
                .map_or_else(
                    || "-".to_owned(),
                    |ratios| format!("{:.2}", spread(&ratios)[1]),
                );
            let latencies = self.latencies.get(&(*workload, *subject));
            let [p50, p99] = percentiles(latencies.map_or(&[], Vec::as_slice));
            let work = self.work.get(&(*workload, *subject));
            let [client, server] = [0, 1].map(|place| {
                let least = work.and_then(|work| spread(work.get(place)?).first().copied());
                least.unwrap_or(f64::NAN)
            });
            writeln!(
                f,
                "  {:<14}{median:>10.0}{:>22}{to_bare:>10}{p50:>10}{p99:>10}{client:>12.2}{server:>12.2}",
                text(*subject),
                format!("{least:.0} .. {greatest:.0}"),
            )?;
        }
        writeln!(
            f,
            "\ngoals: medians of the ratios of the rounds, the least and the greatest"
        )?;
        for Goal { of, to, least } in &GOALS {
            if let Some(ratios) = self.ratios(*of, *to) {
                let [low, median, high] = spread(&ratios);
                let verdict = if median >= *least {
                    "reached"
                } else {
                    "missed"
                };
                writeln!(
                    f,
                    "  {:<10}{:<12} to {:<14}{median:>7.2} ({low:.2} to {high:.2}), goal {least:.2}: {verdict}",
                    text(of.0),
                    text(of.1),
                    text(to.1)
                )?;
            }
        }
        writeln!(f)
    }
}

/// The least, the median (of two in the middle, their mean) and the greatest.
fn spread(figures: &[f64]) -> [f64; 3] {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let (middle, last) = (sorted.len() / 2, sorted.len().saturating_sub(1));
    let median = if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    };
    [at(0), median, at(last)]
}

/// The latencies that half of the calls, and 99 of 100, keep within.
fn percentiles(latencies: &[u64]) -> [u64; 2] {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    [50, 99].map(|percent| {
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_ends_and_the_middle() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), [1.0, 2.5, 4.0]);
        assert_eq!(percentiles(&(1..=100).collect::<Vec<_>>()), [51, 100]);
        assert_eq!(percentiles(&[]), [0, 0]);
    }

    #[test]
    fn a_goal_is_held_against_rounds_of_the_same_time() {
        let mut report = Report::default();
        let figures = |count| Figures {
            count,
            seconds: 1.0,
            latencies: vec![1],
            ..Figures::default()
        };
        // The machine is ten times as slow in the second round, and twice as slow in the third.
        for (annals, bare) in [(3000, 1000), (200, 100), (1500, 500)] {
            report.add(Workload::Many, Name::Annals, figures(annals));
            report.add(Workload::Many, Name::Bare, figures(bare));
        }
        let text = report.to_string();
        let goal =
            "many      annals       to bare             3.00 (2.00 to 3.00), goal 2.50: reached";
        assert!(text.contains(goal), "{text}");
    }

    #[test]
    fn processes_at_the_same_time_add_up() {
        let mut all = Figures::default();
        for (count, seconds) in [(10, 2.0), (30, 1.0)] {
            all.add(Figures {
                count,
                seconds,
                latencies: vec![count],
                ..Figures::default()
            });
        }
        assert!((all.rate() - 20.0).abs() < 1e-9);
        assert_eq!(all.latencies, [10, 30]);
    }
}
