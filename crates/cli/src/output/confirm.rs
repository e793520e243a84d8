//! Questions before what can't be taken back.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::{Failure, Result};
use crate::interrupt;

/// Goes on when `--yes` was given or when the name is typed in; refuses where there is nobody to ask.
pub(crate) fn typed_name(what: &str, name: &str, is_agreed: bool) -> Result {
    if is_agreed {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::refused(format!(
            "{what}: this can't be taken back, and nobody is here to ask"
        ))
        .hint("give --yes if you are sure, or --dry-run to see what would be done"));
    }
    let mut terminal = io::stderr();
    let asked = write!(
        terminal,
        "{what}.\nThis can't be taken back. Type {name} to go on: "
    );
    asked
        .and_then(|()| terminal.flush())
        .map_err(|error| Failure::output(&error))?;
    let mut line = String::new();
    let read = interrupt::while_waiting(|| io::stdin().lock().read_line(&mut line));
    read.map_err(|error| Failure::refused(format!("the answer can't be read: {error}")))?;
    if line.trim() == name {
        return Ok(());
    }
    Err(Failure::refused("that is not the name; nothing was done"))
}
