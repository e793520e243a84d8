//! `annals init`: makes an empty store.

use std::io;
use std::path::Path;

use clap::Args;

use crate::failure::{Failure, Result};
use crate::session::Session;
use crate::store_at::StoreAddress;

const EXAMPLES: &str = "Examples:\n  annals init shop";

/// Make an empty store.
///
/// Refused where there is one already, or anything else.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Where; by default what --store says.
    #[arg(value_name = "DIRECTORY")]
    directory: Option<StoreAddress>,
}

pub(crate) fn run(args: &Init, session: &mut Session) -> Result {
    let store = args.directory.as_ref().unwrap_or(&session.store);
    refuse_what_is_there(store)?;
    store.builder().create()?.close()?;
    let made = serde_json::json!({ "store": store.to_string() });
    session
        .out
        .item(&made, |_| format!("made an empty store in {store}"))
}

/// A directory can't be made there.
pub(crate) fn cannot_be_made(directory: &Path, error: &io::Error) -> Failure {
    Failure::file("make", directory, error).or_hint(|| {
        "name a directory that is there, or one below a directory that can be written".to_owned()
    })
}

/// Refuses a place that is not free.
pub(crate) fn refuse_what_is_there(store: &StoreAddress) -> Result {
    let directory = store.directory();
    if store.exists() {
        return Err(
            Failure::refused(format!("there is a store in {store} already"))
                .hint("use it as it is, or name another place"),
        );
    }
    if directory.is_file() {
        return Err(Failure::refused(format!("{store} is a file")).hint("name another place"));
    }
    let mut names = match directory.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot_be_made(directory, &error)),
        Ok(names) => names,
    };
    if names.next().is_some() {
        return Err(
            Failure::refused(format!("{store} is not empty, and no store"))
                .hint("name a place of its own, which is made"),
        );
    }
    Ok(())
}
