//! What the figures mean, their medians, and the table of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::workload::Workload;

/// A row group of the table: one figure of a workload.
#[derive(Debug)]
pub struct Measure {
    pub workload: Workload,
    /// The figure's key in what a run gives.
    pub key: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub better: Better,
    /// Whether the latencies are shown, which a run gives as `<key>.p50` and `<key>.p99` in microseconds.
    /// The work of the processor, `<key>.cpu` in microseconds, is shown wherever there is one.
    pub latencies: Latencies,
}

impl Measure {
    /// The two subjects that the others are held against.
    pub fn against(&self) -> [&'static str; 2] {
        if self.workload.is_of_frameworks() {
            ["cqrs-es", "evento"]
        } else {
            ["limit", "tephra"]
        }
    }
}

/// Which of two figures is the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// Whether latencies are worth a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latencies {
    Shown,
    None,
}

/// Every figure, in the order of the table.
pub const MEASURES: &[Measure] = &[
    shown(Workload::W1, "one writer, one event an append", "events/s"),
    shown(
        Workload::W2,
        "64 writers, one event an append each",
        "events/s",
    ),
    shown(Workload::W2L, "the same on the large store", "events/s"),
    shown(Workload::W3, "one writer, 100 events an append", "events/s"),
    higher(
        Workload::W4,
        "rate",
        "import, durable at the end",
        "events/s",
    ),
    lower(
        Workload::W4,
        "peak",
        "import: peak of resident memory",
        "MiB",
    ),
    higher(
        Workload::W5,
        "one",
        "read a random stream of 10, 1 thread",
        "streams/s",
    ),
    higher(
        Workload::W5,
        "two",
        "read a random stream of 10, 2 threads",
        "streams/s",
    ),
    higher(Workload::W6, "rate", "read a stream of 10,000", "events/s"),
    higher(Workload::W7, "raw", "replay, raw", "events/s"),
    higher(
        Workload::W7,
        "decoded",
        "replay, decoded by serde_json",
        "events/s",
    ),
    shown(Workload::W8, "refuse a stale expectation", "refusals/s"),
    lower(Workload::W9, "warm.open", "open, warm", "ms"),
    lower(Workload::W9, "warm.read", "open and first read, warm", "ms"),
    lower(Workload::W9, "cold.open", "open, cold", "ms"),
    lower(Workload::W9, "cold.read", "open and first read, cold", "ms"),
    lower(
        Workload::W9,
        "bytes",
        "bytes on disk an event, payload 202",
        "bytes",
    ),
    lower(
        Workload::W9,
        "resident",
        "resident memory added by open and first read",
        "MiB",
    ),
    lower(
        Workload::W9,
        "anonymous",
        "of it not of mapped files",
        "MiB",
    ),
    shown(
        Workload::W10,
        "64 writers, each under a tag condition, large store",
        "events/s",
    ),
    shown(Workload::C1, "commands, one writer", "commands/s"),
    shown(
        Workload::C64,
        "commands, 64 writers on aggregates of their own",
        "commands/s",
    ),
    shown(Workload::L10, "load an aggregate of 10 events", "loads/s"),
];

const fn shown(workload: Workload, title: &'static str, unit: &'static str) -> Measure {
    Measure {
        workload,
        key: "rate",
        title,
        unit,
        better: Better::Higher,
        latencies: Latencies::Shown,
    }
}

const fn higher(
    workload: Workload,
    key: &'static str,
    title: &'static str,
    unit: &'static str,
) -> Measure {
    Measure {
        workload,
        key,
        title,
        unit,
        better: Better::Higher,
        latencies: Latencies::None,
    }
}

const fn lower(
    workload: Workload,
    key: &'static str,
    title: &'static str,
    unit: &'static str,
) -> Measure {
    Measure {
        workload,
        key,
        title,
        unit,
        better: Better::Lower,
        latencies: Latencies::None,
    }
}

/// The figures of all rounds: by subject, workload and key.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<(&'static str, Workload, String), Vec<f64>>);

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Results {
    pub fn add(&mut self, subject: &'static str, workload: Workload, key: String, figure: f64) {
        self.0
            .entry((subject, workload, key))
            .or_default()
            .push(figure);
    }

    /// What each round gave.
    pub fn rounds(&self, subject: &'static str, workload: Workload, key: &str) -> &[f64] {
        let key = (subject, workload, key.to_owned());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The figure over all rounds; none when no round gave it.
    pub fn summary(&self, subject: &'static str, workload: Workload, key: &str) -> Option<Summary> {
        Summary::of(self.rounds(subject, workload, key))
    }

    /// How many times as good as another subject this one is.
    pub fn ratio(&self, measure: &Measure, subject: &'static str, to: &'static str) -> Option<f64> {
        let median = |subject| self.summary(subject, measure.workload, measure.key);
        let (ours, theirs) = (median(subject)?.median, median(to)?.median);
        let ratio = match measure.better {
            Better::Higher => ours / theirs,
            Better::Lower => theirs / ours,
        };
        ratio.is_finite().then_some(ratio)
    }

    /// The table.
    pub fn table(&self, subjects: &[&'static str]) -> String {
        let mut table = String::new();
        for measure in MEASURES {
            let rows: Vec<_> = subjects
                .iter()
                .filter_map(|subject| self.row(measure, subject))
                .collect();
            if !rows.is_empty() {
                let title = format!(
                    "{:?}  {} ({})",
                    measure.workload, measure.title, measure.unit
                );
                let latencies = match measure.latencies {
                    Latencies::Shown => "    cpu us    p50 us    p99 us",
                    Latencies::None if measure.better == Better::Higher => "    cpu us",
                    Latencies::None => "",
                };
                let [first, second] = measure.against();
                let _ = writeln!(
                    table,
                    "\n{title}\n  {:<18}{:>10}{:>23}{:>11}{:>11}{latencies}",
                    "subject",
                    "median",
                    "min .. max",
                    format!("x {first}"),
                    format!("x {second}"),
                );
                table.extend(rows);
            }
        }
        table
    }

    fn row(&self, measure: &Measure, subject: &'static str) -> Option<String> {
        let figure = |key: &str| self.summary(subject, measure.workload, key);
        let summary = figure(measure.key)?;
        let ratio = |to| {
            let ratio = self.ratio(measure, subject, to);
            ratio.map_or_else(|| "-".to_owned(), short)
        };
        let [first, second] = measure.against();
        let spread = format!("{} .. {}", short(summary.min), short(summary.max));
        let mut row = format!(
            "  {subject:<18}{:>10}{spread:>23}{:>11}{:>11}",
            short(summary.median),
            ratio(first),
            ratio(second),
        );
        for more in ["cpu", "p50", "p99"] {
            if let Some(of) = figure(&format!("{}.{more}", measure.key))
                && (more == "cpu" || measure.latencies == Latencies::Shown)
            {
                let _ = write!(row, "{:>10}", short(of.median));
            }
        }
        row.push('\n');
        Some(row)
    }
}

impl Summary {
    fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

/// A figure with three digits: `1.23 M`, `45,600`, `0.12`.
fn short(figure: f64) -> String {
    let size = figure.abs();
    if size >= 999_500.0 {
        return format!("{} M", three_digits(figure / 1e6));
    }
    if size >= 9_995.0 {
        return format!("{} k", three_digits(figure / 1e3));
    }
    three_digits(figure)
}

fn three_digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => format!("{figure:.0}"),
        size if size >= 9.995 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_three_digits() {
        for (figure, text) in [
            (0.123, "0.12"),
            (9.996, "10.0"),
            (123.4, "123"),
            (9_990.0, "9990"),
            (12_345.0, "12.3 k"),
            (999_600.0, "1.00 M"),
            (23_456_789.0, "23.5 M"),
        ] {
            assert_eq!(short(figure), text);
        }
    }

    #[test]
    fn a_summary_is_the_middle_and_the_ends() {
        let check = |rounds: &[f64], expected| {
            let summary = Summary::of(rounds);
            assert_eq!(summary.map(|of| (of.median, of.min, of.max)), expected);
        };
        check(&[], None);
        check(&[3.0, 1.0, 2.0], Some((2.0, 1.0, 3.0)));
        check(&[4.0, 1.0, 2.0, 3.0], Some((2.5, 1.0, 4.0)));
    }

    #[test]
    fn a_ratio_above_one_is_better() {
        let mut results = Results::default();
        for (subject, rate, open) in [("annals", 30.0, 2.0), ("tephra", 10.0, 8.0)] {
            results.add(subject, Workload::W1, "rate".to_owned(), rate);
            results.add(subject, Workload::W9, "warm.open".to_owned(), open);
        }
        let ratio = |workload, key| {
            let measure = MEASURES
                .iter()
                .find(|of| of.workload == workload && of.key == key);
            results.ratio(measure.unwrap(), "annals", "tephra")
        };
        assert_eq!(ratio(Workload::W1, "rate"), Some(3.0));
        assert_eq!(ratio(Workload::W9, "warm.open"), Some(4.0));
    }
}
