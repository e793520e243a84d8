//! What the suite found.

use std::collections::BTreeMap;
use std::fmt;

use crate::Failure;

/// The result of every case, in the order in which they ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "ask it whether all passed"]
pub struct Report {
    results: Vec<CaseResult>,
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The subject and the case, as `append.multi_stream_is_atomic`.
    pub name: String,
    /// How it ended.
    pub outcome: CaseOutcome,
}

/// How a case can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseOutcome {
    /// The store does what the contract says.
    Passed,
    /// It does not, or it panicked, or it hung.
    Failed(Failure),
    /// The case does not apply to this store, for this reason.
    Skipped(&'static str),
}

impl Report {
    pub(crate) fn new(results: Vec<CaseResult>) -> Self {
        Self { results }
    }

    /// Every case with its end.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// The names of the cases that passed.
    pub fn passed(&self) -> impl Iterator<Item = &str> {
        self.of(|outcome| matches!(outcome, CaseOutcome::Passed).then_some(()))
            .map(|(name, ())| name)
    }

    /// The cases that failed, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.of(|outcome| match outcome {
            CaseOutcome::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// The cases that do not apply, and why.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.of(|outcome| match outcome {
            CaseOutcome::Skipped(reason) => Some(*reason),
            _ => None,
        })
    }

    /// Ends the test unless no case failed and at least one passed.
    ///
    /// # Panics
    /// With the whole report, when a case failed or none passed.
    #[track_caller]
    pub fn assert_passed(&self) {
        let passed = self.failed().next().is_none() && self.passed().next().is_some();
        assert!(passed, "the store does not conform\n{self}");
    }

    fn of<'a, T>(
        &'a self,
        pick: impl Fn(&'a CaseOutcome) -> Option<T>,
    ) -> impl Iterator<Item = (&'a str, T)> {
        self.results
            .iter()
            .filter_map(move |result| Some((result.name.as_str(), pick(&result.outcome)?)))
    }
}

/// A table of counts by subject, then the skipped cases and the failed ones with their reasons.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subjects: Vec<&str> = Vec::new();
        let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for result in &self.results {
            let subject = subject_of(&result.name);
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
            let [passed, failed, skipped] = counts.entry(subject).or_default();
            match result.outcome {
                CaseOutcome::Passed => *passed += 1,
                CaseOutcome::Failed(_) => *failed += 1,
                CaseOutcome::Skipped(_) => *skipped += 1,
            }
        }
        writeln!(
            f,
            "{:<16}{:>8}{:>8}{:>8}",
            "subject", "passed", "failed", "skipped"
        )?;
        for subject in subjects {
            let [passed, failed, skipped] = counts.get(subject).copied().unwrap_or_default();
            writeln!(f, "{subject:<16}{passed:>8}{failed:>8}{skipped:>8}")?;
        }
        for (name, reason) in self.skipped() {
            writeln!(f, "skipped {name}: {reason}")?;
        }
        for (name, failure) in self.failed() {
            let message = failure.to_string().replace('\n', "\n    ");
            writeln!(f, "failed {name}\n    {message}")?;
        }
        Ok(())
    }
}

fn subject_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(subject, _)| subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: impl IntoIterator<Item = (&'static str, CaseOutcome)>) -> Report {
        let result = |(name, outcome): (&str, CaseOutcome)| CaseResult {
            name: name.to_owned(),
            outcome,
        };
        Report::new(outcomes.into_iter().map(result).collect())
    }

    #[test]
    fn a_report_is_a_table_by_subject() {
        let report = report([
            ("append.a", CaseOutcome::Passed),
            ("append.b", CaseOutcome::Failed(Failure::new("one\ntwo"))),
            ("read.c", CaseOutcome::Skipped("no")),
        ]);
        let expected = "\
subject           passed  failed skipped
append                 1       1       0
read                   0       0       1
skipped read.c: no
failed append.b
    one
    two
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    #[should_panic(expected = "does not conform")]
    fn a_suite_that_ran_nothing_has_not_passed() {
        report([("read.c", CaseOutcome::Skipped("no"))]).assert_passed();
    }
}
