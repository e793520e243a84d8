//! What people and programs see: tables, lines of JSON, times, progress, questions.

pub(crate) mod confirm;
pub(crate) mod event;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use self::time::Zone;
use crate::failure::{Failure, Result};

/// What is grey: what matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What is bold: headings, names.
pub(crate) const BOLD: Style = Style::new().bold();
/// What was added, and what is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What was taken away, and what is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// What changed, and what to look at.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Types of events.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// In which form answers are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    Text,
    /// A line of JSON for each item.
    Json,
}

/// Where answers go.
pub(crate) struct Out {
    writer: BufWriter<Box<dyn Write>>,
    form: Form,
    has_color: bool,
    zone: Zone,
}

impl Out {
    /// The standard output.
    pub(crate) fn standard(form: Form, has_color: bool, zone: Zone) -> Self {
        let writer: Box<dyn Write> = Box::new(io::stdout().lock());
        Self {
            writer: BufWriter::with_capacity(64 * 1024, writer),
            form,
            has_color,
            zone,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// The text in a style, where there are colours.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.has_color && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result {
        let written = self.writer.write_all(text.as_bytes());
        let written = written.and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|error| Failure::output(&error))
    }

    /// Writes a line of JSON.
    pub(crate) fn json(&mut self, item: &impl Serialize) -> Result {
        let text = serde_json::to_string(item);
        let text =
            text.map_err(|error| Failure::new(crate::failure::Exit::Failed, error.to_string()))?;
        self.line(&text)
    }

    /// Writes a line of JSON, or what is said to people.
    pub(crate) fn item(
        &mut self,
        item: &impl Serialize,
        text: impl FnOnce(&Self) -> String,
    ) -> Result {
        if self.is_json() {
            return self.json(item);
        }
        let text = text(self);
        self.line(&text)
    }

    /// Writes a line for people alone.
    pub(crate) fn say(&mut self, text: &str) -> Result {
        if self.is_json() {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// The raw bytes of an export.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    /// Hands everything over.
    pub(crate) fn flush(&mut self) -> Result {
        self.writer.flush().map_err(|error| Failure::output(&error))
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

/// Tells of something that went not as it should, whoever looks.
pub(crate) fn warn(text: &str) {
    // Where even this can't be written, nothing can be told.
    let _ = writeln!(io::stderr(), "warning: {text}");
}
