//! Values for people, cut where they are long.

use std::fmt::{self, Write};

use annals_codec::Value;

use super::StateDiff;
use super::path::is_plain;

/// A value on one line.
pub(super) struct Shown<'a>(pub(super) &'a Value);

/// Takes so many characters and no more.
struct Bounded<'a, 'f> {
    formatter: &'a mut fmt::Formatter<'f>,
    left: usize,
    is_cut: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounded = Bounded {
            formatter: f,
            left: StateDiff::VALUE_CHARS_MAX,
            is_cut: false,
        };
        match show(self.0, &mut bounded) {
            Err(fmt::Error) if bounded.is_cut => f.write_str("..."),
            shown => shown,
        }
    }
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Some((end, _)) = text.char_indices().nth(self.left) else {
            self.left -= text.chars().count();
            return self.formatter.write_str(text);
        };
        self.left = 0;
        self.is_cut = true;
        self.formatter
            .write_str(text.get(..end).unwrap_or_default())?;
        Err(fmt::Error)
    }
}

fn show(value: &Value, out: &mut Bounded<'_, '_>) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number:?}"),
        Value::Text(text) => write!(out, "{text:?}"),
        Value::Bytes(bytes) => write!(out, "{} bytes", bytes.len()),
        Value::List(values) => show_all(values, out, ("[", "]"), show),
        Value::Map(fields) => show_all(fields, out, ("{", "}"), |(key, value), out| {
            match key {
                Value::Text(name) if is_plain(name) => out.write_str(name)?,
                key => show(key, out)?,
            }
            out.write_str(": ")?;
            show(value, out)
        }),
    }
}

fn show_all<'f, T>(
    all: &[T],
    out: &mut Bounded<'_, 'f>,
    (open, close): (&str, &str),
    show: impl Fn(&T, &mut Bounded<'_, 'f>) -> fmt::Result,
) -> fmt::Result {
    out.write_str(open)?;
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        show(one, out)?;
    }
    out.write_str(close)
}
