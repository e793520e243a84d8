//! How far a long step is: on a terminal, and nowhere else.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A step that shows how far it is on the standard error, if that is a terminal.
pub(crate) struct Step {
    bar: ProgressBar,
    began: Instant,
}

impl Step {
    /// Begins a step of so many parts; of unknown length where there are none.
    pub(crate) fn begin(name: &'static str, length: u64) -> Self {
        let (bar, template) = if length > 0 {
            let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
            (ProgressBar::new(length), template)
        } else {
            (ProgressBar::new_spinner(), "{msg} {human_pos} {per_sec}")
        };
        Self::shown(name, bar, template)
    }

    /// Begins a step of so many bytes, which are told later.
    pub(crate) fn begin_bytes(name: &'static str) -> Self {
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        Self::shown(name, ProgressBar::new(1), template)
    }

    /// A template that did not parse would cost the looks of the bar, no more.
    fn shown(name: &'static str, bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        Self {
            bar,
            began: instant(),
        }
    }

    pub(crate) fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    pub(crate) fn set(&self, position: u64, length: u64) {
        self.bar.set_length(length);
        self.bar.set_position(position);
    }

    /// Takes the bar away, and tells how long the step took.
    pub(crate) fn end(self) -> Duration {
        self.bar.finish_and_clear();
        self.began.elapsed()
    }
}

/// A moment to measure from.
#[expect(
    clippy::disallowed_methods,
    reason = "a program measures how long it takes"
)]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
