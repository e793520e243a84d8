//! The program `git-history`; see the library.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use git_history::cli::Cli;
use git_history::{Outcome, run};

/// Broken usage and everything that keeps a command from its answer; clap exits with the same.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli, &mut io::stdout().lock()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::FAILURE,
        Err(error) => {
            // Where even this can't be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}
