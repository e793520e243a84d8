//! The terminal: drawing at each look, and keys in between.

use std::io;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw::{self, Mode};
use super::sample::Board;
use crate::failure::{Exit, Failure, Result};
use crate::output::progress::instant;
use crate::output::time::Zone;

/// The size of a look that is printed.
const COLUMNS: u16 = 100;
const ROWS: u16 = 30;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    End,
    Hold,
    Faster,
    Slower,
    Draw,
    None,
}

/// Shows the board until q is pressed. The terminal is as before when it returns, whatever happens.
pub(super) fn run(board: &mut Board, interval: Duration, zone: Zone) -> Result {
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let shown = show(&mut terminal, board, interval, zone);
    let restored = ratatui::try_restore();
    shown?;
    restored.map_err(|error| failed(&error))
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    board: &mut Board,
    mut interval: Duration,
    zone: Zone,
) -> Result {
    let mut mode = Mode::Running;
    loop {
        if mode == Mode::Running {
            board.look()?;
        }
        let begun = instant();
        loop {
            terminal
                .draw(|frame| draw::board(frame, board, zone, mode))
                .map_err(|error| failed(&error))?;
            let left = interval.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            match wish(left).map_err(|error| failed(&error))? {
                Wish::End => return Ok(()),
                Wish::Hold => {
                    mode = if mode == Mode::Held {
                        Mode::Running
                    } else {
                        Mode::Held
                    }
                }
                Wish::Faster => interval = (interval / 2).max(Duration::from_millis(100)),
                Wish::Slower => interval = (interval * 2).min(Duration::from_mins(1)),
                Wish::Draw | Wish::None => {}
            }
        }
    }
}

/// Waits for a key, for so long.
fn wish(wait: Duration) -> io::Result<Wish> {
    if !event::poll(wait)? {
        return Ok(Wish::None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => of_key(key),
        Event::Resize(..) => Wish::Draw,
        _ => Wish::None,
    })
}

fn of_key(key: KeyEvent) -> Wish {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Char('p' | ' ') => Wish::Hold,
        KeyCode::Char('+') => Wish::Faster,
        KeyCode::Char('-') => Wish::Slower,
        _ => Wish::None,
    }
}

/// One look, as lines of text.
pub(super) fn as_text(board: &Board, zone: Zone) -> Result<Vec<String>> {
    let backend = TestBackend::new(COLUMNS, ROWS);
    let drawn = Terminal::new(backend).and_then(|mut terminal| {
        terminal.draw(|frame| draw::board(frame, board, zone, Mode::Once))?;
        Ok(lines(terminal.backend().buffer()))
    });
    drawn.map_err(|_| Failure::new(Exit::Failed, "the look can't be drawn"))
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content().chunks(usize::from(COLUMNS));
    rows.map(|row| {
        let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    })
    .collect()
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the terminal can't be used: {error}"))
}
