//! `annals man`: manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man as Page;

use crate::failure::{Failure, Result};
use crate::output::note;
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals man | head -1\n  annals man --directory man1";

/// Print the manual page, or write those of all commands into a directory.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// Write a page for each command into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &Man, session: &mut Session) -> Result {
    let mut command = crate::command();
    command.build();
    let Some(directory) = &args.directory else {
        let page = render(command).map_err(|error| Failure::output(&error))?;
        return session.out.line(page.trim_end());
    };
    fs::create_dir_all(directory).map_err(|error| Failure::file("make", directory, &error))?;
    let mut pages = 1_u64;
    write(directory, "annals", command.clone())?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("annals-{}", verb.get_name());
        write(directory, &name, verb.clone().display_name(name.clone()))?;
        pages += 1;
    }
    note(&format!(
        "wrote {}",
        crate::output::text::count(pages, "page")
    ));
    Ok(())
}

fn render(command: clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    // Without a date: the same command line gives the same page.
    Page::new(command).date("").render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(directory: &Path, name: &str, command: clap::Command) -> Result {
    let path = directory.join(format!("{name}.1"));
    let written = render(command).and_then(|page| fs::write(&path, page));
    written.map_err(|error| Failure::file("write", &path, &error))
}
