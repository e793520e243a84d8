//! Parts against a plain model, under generated entries, damage and crashes.

mod damage;
mod directories;
mod large;
mod memtables;
mod merges;
mod model;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_log::Place;
use annals_log::vfs::Vfs;

use super::{Run, RunDirectory, RunReads};
use model::{LOG_ID, Model};

/// What the tests give as the kinds.
const KINDS: &[u8] = b"kinds as their owner writes them";

fn directory(vfs: &Arc<dyn Vfs>, path: &Path) -> RunDirectory {
    RunDirectory::new(Arc::clone(vfs), path, LOG_ID, RunReads::Map).unwrap()
}

/// The end of a log in which all of the model is durable.
fn end(model: &Model) -> Place {
    model.upto()
}

fn path() -> PathBuf {
    PathBuf::from("/store/index")
}

/// Opens a run again, from its file.
fn reopened(vfs: &Arc<dyn Vfs>, run: &Run) -> Run {
    Run::open(vfs.as_ref(), run.path(), LOG_ID, RunReads::Map).unwrap()
}
