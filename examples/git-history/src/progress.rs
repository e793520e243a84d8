//! How far a long step is, and how long it took.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use annals::replay::{ReplayObserver, ReplayProgress};
use indicatif::{ProgressBar, ProgressStyle};

/// A step of known length that shows a bar on a terminal, and nothing elsewhere.
pub(crate) struct Step {
    bar: ProgressBar,
    began: Instant,
}

impl Step {
    pub(crate) fn begin(name: &'static str, length: usize) -> Self {
        let bar = ProgressBar::new(length as u64);
        let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        // A template that did not parse would cost the looks of the bar, no more.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        Self { bar, began: now() }
    }

    pub(crate) fn advance(&self) {
        self.advance_by(1);
    }

    pub(crate) fn advance_by(&self, count: usize) {
        self.bar.inc(count as u64);
    }

    /// What moves the bar as a replay goes on.
    pub(crate) fn observer(&self) -> impl ReplayObserver + 'static {
        let bar = self.bar.clone();
        move |progress: &ReplayProgress| {
            if let Some(until) = progress.until {
                bar.set_length(until.value());
            }
            bar.set_position(progress.position.value());
        }
    }

    /// Takes the bar away, and tells how long the step took.
    pub(crate) fn end(self) -> Duration {
        self.bar.finish_and_clear();
        self.began.elapsed()
    }
}

/// Tells a person something beside the answer; nothing where nobody looks at a terminal.
pub(crate) fn note(text: &str) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        // Without it there is still the answer.
        let _ = writeln!(terminal, "{text}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program measures how long it takes"
)]
fn now() -> Instant {
    Instant::now()
}
