//! Tables for people: columns that are as wide as what stands in them.

use anstyle::Style;

use super::{BOLD, Out};
use crate::failure::Result;

/// How many rows are looked at for the widths of columns; later rows keep to these.
const ROWS_LOOKED_AT: usize = 256;

/// The side that texts of a column keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A text in a style.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// A table that is written as its rows come.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [(&'static str, Align)],
    waiting: Vec<Vec<Cell>>,
    widths: Option<Vec<usize>>,
}

impl Cell {
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self {
            text: super::text::one_line(&text.into()),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::new(), text)
    }
}

impl Table {
    pub(crate) fn new(columns: &'static [(&'static str, Align)]) -> Self {
        Self {
            columns,
            waiting: Vec::new(),
            widths: None,
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, out: &mut Out, cells: Vec<Cell>) -> Result {
        self.waiting.push(cells);
        if self.widths.is_some() || self.waiting.len() >= ROWS_LOOKED_AT {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Writes the rows that there are.
    pub(crate) fn flush(&mut self, out: &mut Out) -> Result {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let widths = if let Some(widths) = self.widths.take() {
            widths
        } else {
            let widths = self.measure();
            let headings = self.columns.iter();
            let headings = headings.map(|(name, _)| Cell::styled(BOLD, *name));
            self.write(out, &headings.collect::<Vec<_>>(), &widths)?;
            widths
        };
        for row in std::mem::take(&mut self.waiting) {
            self.write(out, &row, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    fn measure(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let widths = columns.map(|(index, (name, _))| {
            let cells = self.waiting.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| cell.text.chars().count()).max();
            widest.unwrap_or_default().max(name.chars().count())
        });
        widths.collect()
    }

    fn write(&self, out: &mut Out, row: &[Cell], widths: &[usize]) -> Result {
        let mut line = String::new();
        let last = row.len().saturating_sub(1);
        for (index, ((cell, width), (_, align))) in
            row.iter().zip(widths).zip(self.columns).enumerate()
        {
            if index > 0 {
                line.push_str("  ");
            }
            let space = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = out.paint(cell.style, &cell.text);
            match align {
                Align::Right => line.extend([space, text]),
                Align::Left if index == last => line.push_str(&text),
                Align::Left => line.extend([text, space]),
            }
        }
        out.line(line.trim_end())
    }
}
