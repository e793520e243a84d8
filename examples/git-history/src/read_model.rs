//! What is asked for often, kept in a SQLite file while the history is recorded: authors, the churn of each folder, and
//! the sizes of files over time.
//!
//! Three projections of one store in one file, fed by one pass over it. Any program that reads SQLite can ask the file
//! its own questions; the tables have the version of their projection in their names, as `authors_v1`.

mod asked;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use annals::projection::{ConsumerState, Processor, ProcessorBuilder, ProcessorHandle, Projection};
use annals::sqlite::{Change, ColumnType, SqliteModel, SqliteSink, Table};
use annals::{BoxError, EventCodec, EventStore, Receipt, RecordedEvent};
use anyhow::{Result, anyhow};
use futures_executor::block_on;

pub use self::asked::{Author, Churn, ReadModels, Size};
use crate::codec;
use crate::events::FileEvent;
use crate::git::{GitPath, Mode, ObjectId, Repository};
use crate::history::{AUTHOR, COMMIT, tag};

/// The names of the projections.
const NAMES: [&str; 3] = ["authors", "churn", "sizes"];

/// The version of all three.
const VERSION: u32 = 1;

/// The read models of a store, as they are kept current.
#[derive(Debug)]
pub struct Projecting {
    handle: ProcessorHandle,
}

type Codec = Arc<dyn EventCodec<FileEvent>>;

impl Projecting {
    /// Goes on where the file stands, and follows the store from there for as long as the value lives.
    ///
    /// # Errors
    /// When a projection does not fit its file.
    pub fn begin(file: &Path, repository: &Repository, store: Arc<dyn EventStore>) -> Result<Self> {
        // One reader, so that each event is decoded once for all three.
        let codec: Codec = Arc::new(codec::every_form());
        let mut processor = Processor::builder(store);
        processor = authors(processor, file, &codec)?;
        processor = churn(processor, file, &codec)?;
        processor = sizes(processor, file, &codec, repository)?;
        let handle = processor.build()?.start();
        Ok(Self { handle })
    }

    /// Waits until what was recorded up to this receipt is in the file, and ends.
    ///
    /// # Errors
    /// When a projection failed, and why.
    pub fn finish(self, newest: Option<&Receipt>) -> Result<()> {
        let Some(newest) = newest else { return Ok(()) };
        for name in NAMES {
            let waited = block_on(self.handle.wait_for(name, newest));
            waited.map_err(|error| self.failure(name).unwrap_or_else(|| error.into()))?;
        }
        Ok(())
    }

    /// Why the read model of this name stands still.
    fn failure(&self, name: &str) -> Option<anyhow::Error> {
        let statuses = block_on(self.handle.status()).into_iter();
        let mut of_name = statuses.filter(|status| status.name.as_str() == name);
        match of_name.next()?.state {
            ConsumerState::Failed(error) => Some(anyhow!("the read model {name} failed: {error}")),
            _ => None,
        }
    }
}

impl Drop for Projecting {
    fn drop(&mut self) {
        block_on(self.handle.stop());
    }
}

/// Who changed how much; in SQL, as a commit counts once for all its changes.
fn authors(processor: ProcessorBuilder, file: &Path, codec: &Codec) -> Result<ProcessorBuilder> {
    let sink = SqliteSink::builder(file)
        .schema("CREATE TABLE {commits} (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")
        .schema(
            "CREATE TABLE {authors} (
                name TEXT PRIMARY KEY,
                commits INTEGER NOT NULL,
                changes INTEGER NOT NULL,
                first INTEGER NOT NULL,
                last INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID",
        )
        .build()?;
    let projection = Projection::builder("authors", VERSION)?.on(Arc::clone(codec), count_author);
    Ok(processor.project(projection.build()?, sink))
}

fn count_author(
    model: &mut SqliteModel,
    _: &FileEvent,
    recorded: &RecordedEvent,
) -> Result<(), BoxError> {
    let commit = tag(recorded, COMMIT);
    let new = model.execute(
        "INSERT INTO {commits} VALUES (?1) ON CONFLICT DO NOTHING",
        [commit],
    )?;
    model.execute(
        "INSERT INTO {authors} VALUES (?1, ?2, 1, ?3, ?3) ON CONFLICT DO UPDATE SET
            commits = commits + ?2, changes = changes + 1, first = min(first, ?3), last = max(last, ?3)",
        (tag(recorded, AUTHOR), i64::try_from(new)?, seconds(recorded)),
    )?;
    Ok(())
}

/// How often the files below each folder changed; declared, without SQL.
fn churn(processor: ProcessorBuilder, file: &Path, codec: &Codec) -> Result<ProcessorBuilder> {
    let folders = Table::new("folders")
        .key("folder", ColumnType::Text)
        .number("added")
        .number("changed")
        .number("removed")
        .build()?;
    let sink = SqliteSink::builder(file).table(&folders).build()?;
    let rows = folders.rows(|event: &FileEvent, _| {
        let column = match event {
            FileEvent::Added { .. } => "added",
            FileEvent::Changed { .. } | FileEvent::ModeChanged { .. } => "changed",
            FileEvent::Removed { .. } => "removed",
        };
        let folders = folders_of(event.path()).into_iter();
        folders
            .map(|folder| Change::upsert().key("folder", folder).add(column, 1))
            .collect::<Vec<_>>()
    });
    let projection = Projection::builder("churn", VERSION)?.on(Arc::clone(codec), rows);
    Ok(processor.project(projection.build()?, sink))
}

/// The folders that a file is in, the top of the tree first.
fn folders_of(path: &GitPath) -> Vec<String> {
    let path = path.encoded();
    let ends = path.match_indices('/').map(|(at, _)| at);
    let below = ends.filter_map(|end| path.get(..end).map(str::to_owned));
    std::iter::once(".".to_owned()).chain(below).collect()
}

/// How large files were over time. Events name a blob by its content, whose size is the repository's to tell, and never
/// another.
fn sizes(
    processor: ProcessorBuilder,
    file: &Path,
    codec: &Codec,
    repository: &Repository,
) -> Result<ProcessorBuilder> {
    let sizes = Table::new("sizes")
        .key("path", ColumnType::Text)
        .key("version", ColumnType::Integer)
        .column("seconds", ColumnType::Integer)
        .column("git_commit", ColumnType::Text)
        .optional("bytes", ColumnType::Integer)
        .build()?;
    let sink = SqliteSink::builder(file).table(&sizes).build()?;
    let repository = Mutex::new(repository.clone());
    let size_of = move |mode: Mode, blob: ObjectId| match mode {
        Mode::Submodule => Ok(None),
        _ => repository
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size(blob)
            .map(Some),
    };
    let take = move |model: &mut SqliteModel, event: &FileEvent, recorded: &RecordedEvent| {
        let bytes = match event {
            FileEvent::Added { mode, blob, .. } | FileEvent::Changed { mode, blob, .. } => {
                size_of(*mode, *blob).map_err(|error| BoxError::from(format!("{error:#}")))?
            }
            FileEvent::Removed { .. } => None,
            FileEvent::ModeChanged { .. } => return Ok(()),
        };
        let row = Change::upsert()
            .key("path", event.path().encoded())
            .key("version", recorded.version().value())
            .set("seconds", seconds(recorded))
            .set("git_commit", tag(recorded, COMMIT))
            .set("bytes", bytes);
        Ok(sizes.apply(model, row)?)
    };
    let projection = Projection::builder("sizes", VERSION)?.on(Arc::clone(codec), take);
    Ok(processor.project(projection.build()?, sink))
}

fn seconds(recorded: &RecordedEvent) -> i64 {
    recorded.recorded_at().as_micros().div_euclid(1_000_000)
}
