//! What a failed expectation tells: a headline, then sections, differences line by line.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::io::IsTerminal as _;

use similar::{ChangeTag, TextDiff};

/// How many events of a longer list are shown: half of them from its beginning, half from its end.
const EVENTS_SHOWN_MAX: usize = 20;

/// How many equal lines are shown around a difference.
const CONTEXT_LINES: usize = 4;

/// The message of a failure in the making.
#[derive(Debug)]
pub(crate) struct Report {
    headline: String,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    title: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    mark: Mark,
    text: String,
}

/// What a line of a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Plain,
    Expected,
    Actual,
}

/// Whether the report is coloured.
#[derive(Clone, Copy, Debug)]
enum Paint {
    Plain,
    Ansi,
}

impl Report {
    /// A report that begins with this sentence.
    pub(crate) fn new(headline: impl Into<String>) -> Self {
        Self {
            headline: headline.into(),
            sections: Vec::new(),
        }
    }

    /// The same as the failure of this law.
    pub(crate) fn of_law(mut self, law: &str) -> Self {
        self.headline = format!("broken law: {law}\n{}", self.headline);
        self
    }

    /// The same as a lack of samples for this law, which may yet hold.
    pub(crate) fn of_samples(mut self, law: &str) -> Self {
        self.headline = format!(
            "samples are incomplete for the law: {law}\n{}",
            self.headline
        );
        self
    }

    /// With a section of this text; an empty one is shown as none.
    pub(crate) fn text(mut self, title: impl Into<String>, text: &str) -> Self {
        let text = if text.is_empty() { "none" } else { text };
        self.sections.push(Section {
            title: title.into(),
            lines: plain(text),
        });
        self
    }

    /// With a section of this value.
    pub(crate) fn value(self, title: impl Into<String>, value: &impl Debug) -> Self {
        self.text(title, &format!("{value:#?}"))
    }

    /// With a section of this error and all that caused it.
    pub(crate) fn error(self, error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let _ = write!(text, "\ncaused by: {error}");
            source = error.source();
        }
        self.text("error", &text)
    }

    /// With a section of these events, each a line with its number from 1.
    pub(crate) fn events<E: Debug>(self, title: impl Into<String>, events: &[E]) -> Self {
        let left_out = events.len().saturating_sub(EVENTS_SHOWN_MAX);
        let first = events.len().saturating_sub(left_out).div_ceil(2);
        let mut text = String::new();
        for (index, event) in events.iter().enumerate() {
            if left_out == 0 || index < first || index >= first + left_out {
                push_line(&mut text, format_args!("{}. {event:?}", index + 1));
            } else if index == first {
                push_line(&mut text, format_args!("... {left_out} more"));
            }
        }
        self.text(title, &text)
    }

    /// With a section of the differences between two values.
    pub(crate) fn difference<T: Debug + ?Sized>(self, expected: &T, actual: &T) -> Self {
        self.text_difference(&format!("{expected:#?}"), &format!("{actual:#?}"))
    }

    /// With a section of the differences between two lists of events.
    pub(crate) fn event_difference<E: Debug>(self, expected: &[E], actual: &[E]) -> Self {
        let lines = |events: &[E]| {
            let mut text = String::new();
            for event in events {
                push_line(&mut text, format_args!("{event:#?}"));
            }
            text
        };
        self.text_difference(&lines(expected), &lines(actual))
    }

    /// Fails the test.
    #[track_caller]
    #[expect(clippy::panic, reason = "a failed expectation fails its test")]
    pub(crate) fn fail(self) -> ! {
        panic!("{}", self.render(Paint::of_stderr()))
    }

    /// With a section of the differences between two texts.
    pub(crate) fn text_difference(mut self, expected: &str, actual: &str) -> Self {
        let lines = difference(expected, actual);
        if lines.iter().all(|line| line.mark == Mark::Plain) {
            return self.text(
                "both print alike, but differ",
                &format!("{actual}\n\n`PartialEq` sees what `Debug` does not show"),
            );
        }
        self.sections.push(Section {
            title: "difference (- expected, + actual)".to_owned(),
            lines,
        });
        self
    }

    fn render(&self, paint: Paint) -> String {
        let mut text = self.headline.clone();
        for section in &self.sections {
            let _ = write!(text, "\n\n{}:", section.title);
            for line in &section.lines {
                text.push('\n');
                text.push_str(&line.render(paint));
            }
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Paint::Plain))
    }
}

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            mark: Mark::Plain,
            text: text.into(),
        }
    }

    fn render(&self, paint: Paint) -> String {
        let (sign, colour) = match self.mark {
            Mark::Plain => (' ', None),
            Mark::Expected => ('-', Some("\u{1b}[31m")),
            Mark::Actual => ('+', Some("\u{1b}[32m")),
        };
        match (paint, colour) {
            (Paint::Ansi, Some(colour)) => format!("{colour}  {sign} {}\u{1b}[0m", self.text),
            _ if self.text.is_empty() && self.mark == Mark::Plain => String::new(),
            _ => format!("  {sign} {}", self.text),
        }
    }
}

impl Paint {
    /// Colours where a person looks on and did not set `NO_COLOR`.
    fn of_stderr() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stderr().is_terminal() && !unwanted {
            Self::Ansi
        } else {
            Self::Plain
        }
    }
}

/// The lines of both texts, those in one only marked, runs of others cut short.
fn difference(expected: &str, actual: &str) -> Vec<Line> {
    let diff = TextDiff::from_lines(expected, actual);
    let mut lines = Vec::new();
    let mut shown_until = 0;
    for group in diff.grouped_ops(CONTEXT_LINES) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        if start > shown_until {
            lines.push(Line::plain("..."));
        }
        shown_until = group.last().map_or(0, |op| op.old_range().end);
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Equal => Mark::Plain,
                ChangeTag::Delete => Mark::Expected,
                ChangeTag::Insert => Mark::Actual,
            };
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(Line { mark, text });
        }
    }
    if shown_until < diff.old_len() {
        lines.push(Line::plain("..."));
    }
    lines
}

fn plain(text: &str) -> Vec<Line> {
    text.lines().map(Line::plain).collect()
}

fn push_line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(report: &Report, expected: &str) {
        assert_eq!(report.to_string(), format!("headline\n\n{expected}\n"));
    }

    #[test]
    fn equal_lines_are_cut_short_around_a_difference() {
        let numbers: Vec<u8> = (0..20).collect();
        let mut other = numbers.clone();
        other.retain(|number| *number != 10);
        other.insert(0, 99);
        check(
            &Report::new("headline").event_difference(&numbers, &other),
            "difference (- expected, + actual):\n  \
             + 99\n    0\n    1\n    2\n    3\n    ...\n    6\n    7\n    8\n    9\n  - 10\n    \
             11\n    12\n    13\n    14\n    ...",
        );
    }

    #[test]
    fn values_that_print_alike_are_told_apart_in_words() {
        check(
            &Report::new("headline").difference(&f64::NAN, &f64::NAN),
            "both print alike, but differ:\n    NaN\n\n    \
             `PartialEq` sees what `Debug` does not show",
        );
    }

    #[test]
    fn the_middle_of_a_long_history_is_left_out() {
        let events: Vec<u8> = (1..=23).collect();
        let report = Report::new("headline").events("given", &events).to_string();
        assert!(
            report.contains("    10. 10\n    ... 3 more\n    14. 14\n"),
            "{report}"
        );
        check(
            &Report::new("headline").events::<u8>("given", &[]),
            "given:\n    none",
        );
    }

    #[test]
    fn only_what_differs_is_coloured() {
        let report = Report::new("headline").difference(&1, &2);
        assert_eq!(
            report.render(Paint::Ansi),
            "headline\n\ndifference (- expected, + actual):\n\
             \u{1b}[31m  - 1\u{1b}[0m\n\u{1b}[32m  + 2\u{1b}[0m\n"
        );
    }
}
