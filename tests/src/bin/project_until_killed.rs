//! Projects the events of a store that another process writes into SQLite, until it is killed, and prints a line
//! before and after each of the calls: `project_until_killed <store> <file> <events of a batch> [apart]`.
//!
//! With `apart` a bug is planted: the progress is kept apart from the rows, and saved after them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs};

use annals_core::{Error, ErrorKind};
use annals_projection::{ModelId, Processor, ProcessorSettings, Progress, Sink, Step};
use annals_read_sqlite::{SqliteModel, SqliteSink};
use annals_store_log::LogStore;
use annals_tests::counted;

/// A sink that tells of its calls.
#[derive(Debug)]
struct Telling {
    sink: SqliteSink,
    /// Where the progress is, in the planted bug.
    apart: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("give {name}"));
    let (directory, file) = (argument("a store")?, argument("a file")?);
    let mut settings = ProcessorSettings::default();
    settings.page_events_max = argument("a number of events")?.parse()?;
    let sink = SqliteSink::builder(&file)
        .table(&counted::sums()?)
        .build()?;
    let apart = arguments.next().map(|_| PathBuf::from(file + ".cursor"));
    let store = LogStore::builder(directory).follow()?;
    let processor = Processor::builder(Arc::new(store))
        .project(counted::projection()?, Telling { sink, apart })
        .settings(settings)
        .build()?;
    let _running = processor.start();
    // Whoever started it kills it.
    for line in std::io::stdin().lines() {
        line?;
    }
    Ok(())
}

fn tell(line: &str) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    let told = writeln!(output, "{line}").and_then(|()| output.flush());
    told.map_err(|source| {
        Error::new(ErrorKind::Invalid, "nobody listens any more").caused_by(source)
    })
}

impl Sink for Telling {
    type Model = SqliteModel;

    fn open(&mut self, model: &ModelId) -> Result<Progress, Error> {
        let mut progress = self.sink.open(model)?;
        tell("open")?;
        if let Some(apart) = &self.apart {
            let text = fs::read_to_string(apart).unwrap_or_default();
            progress.cursor = text.parse().unwrap_or_default();
        }
        Ok(progress)
    }

    fn begin(&mut self) -> Result<(), Error> {
        tell("begin")?;
        self.sink.begin()
    }

    fn model(&mut self) -> &mut SqliteModel {
        self.sink.model()
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        tell("commit")?;
        self.sink.commit(step)?;
        tell(&format!("committed {}", step.cursor))?;
        if let Some(apart) = &self.apart {
            let saved = fs::write(apart, step.cursor.to_string());
            saved
                .map_err(|source| Error::new(ErrorKind::Unknown, "not saved").caused_by(source))?;
        }
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut SqliteModel> {
        self.sink.second_copy()
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        self.sink.roll_back()
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.sink.reset()
    }

    fn puts_off(&self) -> bool {
        self.sink.puts_off()
    }

    fn blocks(&self) -> bool {
        self.sink.blocks()
    }
}
