//! The four commands. Each imports into a store in memory first, and then asks the store.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use annals::MemoryStore;
use anyhow::{Result, bail};

use crate::cli::{Against, Cli, Command, Verify};
use crate::git::{GitPath, Mainline, Repository, TreeSource};
use crate::history::{History, Imported};
use crate::progress::Step;
use crate::report::{self, Format};
use crate::verify::{sample, verify};

/// How a command ended that had its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// `verify` found a difference.
    Different,
}

/// Runs a command and prints its answer.
///
/// # Errors
/// When the repository or what the command names can't be read, and when `out` can't be written.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<Outcome> {
    let format = if cli.json { Format::Json } else { Format::Text };
    let here = Command::Import {
        repository: ".".into(),
    };
    match cli.command.as_ref().unwrap_or(&here) {
        Command::Import { repository } => import(repository, format, out),
        Command::At { repository, when } => at(repository, when, format, out),
        Command::Log { repository, path } => log(repository, path, format, out),
        Command::Verify(options) => verify_commits(options, format, out),
    }
}

/// A repository whose history is in a store.
struct Loaded {
    repository: Repository,
    mainline: Mainline,
    imported: Imported,
    store: MemoryStore,
    took: Duration,
}

impl Loaded {
    fn open(path: &Path) -> Result<Self> {
        let repository = Repository::open(path)?;
        let mainline = repository.mainline()?;
        Self::import(repository, mainline)
    }

    fn import(repository: Repository, mainline: Mainline) -> Result<Self> {
        let store = MemoryStore::new();
        let step = Step::begin("importing", mainline.len());
        let imported = History::new(&store).import(&repository, &mainline, || step.advance())?;
        let took = step.end();
        Ok(Self {
            repository,
            mainline,
            imported,
            store,
            took,
        })
    }

    fn history(&self) -> History<'_> {
        History::new(&self.store)
    }
}

fn import(path: &Path, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let loaded = Loaded::open(path)?;
    let step = Step::begin("folding", loaded.imported.events);
    let summary = loaded.history().summary(|| step.advance())?;
    let report = report::Import {
        place: &loaded.repository.place(),
        mainline: &loaded.mainline,
        imported: &loaded.imported,
        summary: &summary,
        imported_in: loaded.took,
        folded_in: step.end(),
    };
    report.print(format, out)?;
    Ok(Outcome::Done)
}

fn at(path: &Path, when: &str, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let repository = Repository::open(path)?;
    let mainline = repository.mainline()?;
    // A revision that there is not is told before the work, not after.
    let place = repository.resolve(&mainline, when)?;
    let loaded = Loaded::import(repository, mainline)?;
    let (Some(link), Some(cursor)) = (
        loaded.mainline.links().get(place),
        loaded.imported.cursors.get(place),
    ) else {
        bail!("the mainline has no commit {place}");
    };
    let tree = loaded.history().tree_at(cursor)?;
    report::tree(link, &tree, format, out)?;
    Ok(Outcome::Done)
}

fn log(path: &Path, file: &OsStr, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let loaded = Loaded::open(path)?;
    let as_it_is = GitPath::new(file.as_encoded_bytes());
    let mut entries = loaded.history().log(&as_it_is)?;
    if entries.is_empty()
        && let Some(Ok(decoded)) = file.to_str().map(GitPath::from_encoded)
    {
        entries = loaded.history().log(&decoded)?;
    }
    if entries.is_empty() {
        bail!(
            "{as_it_is} never was in the mainline of HEAD; give the path from the top of the tree"
        );
    }
    report::log(&entries, format, out)?;
    Ok(Outcome::Done)
}

fn verify_commits(options: &Verify, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let repository = Repository::open(&options.repository)?;
    let source = match options.against {
        None => TreeSource::choose(&repository),
        Some(Against::Walk) => TreeSource::walk(&repository),
        Some(Against::Git) => match TreeSource::choose(&repository) {
            TreeSource::Walk(_) => bail!("there is no git on the PATH that reads this repository"),
            git @ TreeSource::Git(_) => git,
        },
    };
    let mainline = repository.mainline()?;
    let loaded = Loaded::import(repository, mainline)?;
    let total = loaded.mainline.len();
    // Without a seed a run chooses by chance, as the standard library seeds its hash maps.
    let seed = options
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one(0));
    let (places, seed) = if options.all {
        ((0..total).collect(), None)
    } else {
        (sample(total, options.commits.get(), seed), Some(seed))
    };
    let step = Step::begin("verifying", places.len());
    let (history, imported) = (loaded.history(), &loaded.imported);
    let verification = verify(
        &history,
        imported,
        &loaded.mainline,
        &source,
        &places,
        || step.advance(),
    )?;
    let took = step.end();
    let report = report::Verified {
        verification: &verification,
        source: source.name(),
        total,
        seed,
        took,
    };
    report.print(format, out)?;
    Ok(if verification.different == 0 {
        Outcome::Done
    } else {
        Outcome::Different
    })
}
