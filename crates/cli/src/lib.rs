//! The command `annals`: look into event stores, and keep them, from a terminal.
//!
//! Everything that an operator does with a store of events without writing code: read, find and follow events, see
//! what a stream was at any time and what caused what, check and repair the files, back up and restore, export and
//! import. It reads a store while an application writes it. It is *not* a server, and no tool to change history.
//!
//! This library is the program, so that tests reach it: [`run`] is all that `main` does, [`command`] is the command
//! line as clap has it, [`reference`](fn@reference) the page of the book that is made of it. Nothing of it is meant for other programs:
//! they use the facade `annals`, or call the program with `--json`.
//!
//! # Output
//! Tables for people; with `--json` a line of JSON for each item, of a shape that stays. Answers go to the standard
//! output, all else (progress, notes, questions, errors) to the standard error.
//!
//! # Exit codes
//! | code | means |
//! |---|---|
//! | 0 | all is well |
//! | 1 | it failed: a file can't be read or written, the disk is full, another process holds the store |
//! | 2 | the command line is wrong, or what was given can't be read |
//! | 3 | not found: no store, no such event, stream, position or backup |
//! | 4 | damage was found |
//! | 5 | refused: an expectation does not hold, there is something already, or a question was answered with no |
//! | 6 | unknown: it may be recorded or not; the same command again finds out and never records twice |
//! | 130 | interrupted by Ctrl-C |
//!
//! # Limits
//! | limit | |
//! |---|---|
//! | a line of an import | 48 MiB |
//! | streams kept by name for `streams --sort`, `top` and `profile` | what `--limit` says, 20 by default; the rest is summed |
//! | events of one `trace` | 100,000 |

mod ago;
mod archives;
mod cli;
mod commands;
mod copy;
mod decode;
mod exchange;
mod failure;
mod fold;
mod interrupt;
mod lost;
mod output;
mod reference;
mod select;
mod session;
mod store_at;
mod survey;
mod top;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

pub use reference::reference;

/// Runs the program with these arguments, the first of which is its name; what it exits with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => session::run(cli),
        Err(error) => {
            // Where even this can't be written, the exit code has to do.
            let _ = error.print();
            let is_help = !error.use_stderr();
            if is_help {
                ExitCode::SUCCESS
            } else {
                failure::Exit::Usage.into()
            }
        }
    }
}

/// The command line, as clap has it.
pub fn command() -> clap::Command {
    cli::Cli::command()
}
